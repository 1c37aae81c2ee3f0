#include "device/placement.h"

#include "device/backends.h"
#include "base/error.h"

#include <algorithm>
#include <cmath>

namespace luup {

namespace {

bool is_gpu(ggml_backend_dev_t device) {
    const auto type = ggml_backend_dev_type(device);
    return type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

// Returns the GPUs that llama.cpp uses by default: those with their own memory, else the integrated ones.
std::vector<ggml_backend_dev_t> default_gpus() {
    std::vector<ggml_backend_dev_t> own, shared;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        const ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const auto               type   = ggml_backend_dev_type(device);
        if (type == GGML_BACKEND_DEVICE_TYPE_GPU) {
            own.push_back(device);
        } else if (type == GGML_BACKEND_DEVICE_TYPE_IGPU &&
                   (shared.empty() ||
                    ggml_backend_dev_backend_reg(device) == ggml_backend_dev_backend_reg(shared[0]))) {
            shared.push_back(device);
        }
    }
    return own.empty() ? shared : own;
}

ggml_backend_dev_t named_gpu(const std::string & name) {
    std::string names;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        const ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (is_gpu(device)) {
            if (name == ggml_backend_dev_name(device)) {
                return device;
            }
            names += (names.empty() ? "" : ", ") + std::string(ggml_backend_dev_name(device));
        }
    }
    fail(LUUP_ERROR_BACKEND_INIT_FAILED, "devices: this machine has no GPU %s; %s%s", name.c_str(),
         names.empty() ? "it has none at all" : "it has: ", names.empty() ? backends_refused().c_str() : names.c_str());
}

}  // namespace

Placement::Placement(const luup_model_params & params) {
    choose_devices(params);
    choose_split(params);
    choose_ = params.n_devices == 0 && !servers_ && !devices_.empty();
    devices_.push_back(nullptr);
}

void Placement::choose_devices(const luup_model_params & params) {
    if (params.gpu_layers == 0 && (params.n_devices > 0 || params.n_rpc_servers > 0)) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s are given, but gpu_layers is 0, so nothing would run on them",
             params.n_devices > 0 ? "devices" : "rpc_servers");
    }
    if (params.n_devices > 0) {
        for (size_t i = 0; i < params.n_devices; i++) {
            const ggml_backend_dev_t device = named_gpu(params.devices[i]);
            if (std::find(devices_.begin(), devices_.end(), device) != devices_.end()) {
                fail(LUUP_ERROR_INVALID_PARAM, "devices names %s twice", params.devices[i]);
            }
            devices_.push_back(device);
        }
    } else if (params.gpu_layers != 0) {
        devices_ = default_gpus();
    }
    if (params.n_rpc_servers > 0) {
        // First, as in llama.cpp: the last layers and the output stay on this machine, so that a server returns only
        // one hidden state per token.
        servers_ = std::make_unique<RpcServers>(
            std::vector<std::string>(params.rpc_servers, params.rpc_servers + params.n_rpc_servers));
        devices_.insert(devices_.begin(), servers_->devices().begin(), servers_->devices().end());
        if (devices_.size() > llama_max_devices()) {
            fail(LUUP_ERROR_INVALID_PARAM, "%zu devices are more than llama.cpp's limit of %zu", devices_.size(),
                 llama_max_devices());
        }
    }
    if (params.gpu_layers > 0 && devices_.empty()) {
        fail(
            LUUP_ERROR_BACKEND_INIT_FAILED,
            "gpu_layers is %d, but no GPU backend found a device; use -1 for a GPU if there is one, or 0 for the CPU%s",
            params.gpu_layers, backends_refused().c_str());
    }
    gpu_layers_ = devices_.empty() ? 0 : params.gpu_layers;
}

void Placement::choose_split(const luup_model_params & params) {
    switch (params.split_mode) {
        case LUUP_SPLIT_NONE: split_mode_ = LLAMA_SPLIT_MODE_NONE; break;
        case LUUP_SPLIT_LAYER: split_mode_ = LLAMA_SPLIT_MODE_LAYER; break;
        case LUUP_SPLIT_ROW: split_mode_ = LLAMA_SPLIT_MODE_ROW; break;
        default:
            fail(LUUP_ERROR_INVALID_PARAM, "split_mode must be a luup_split_mode, got %d",
                 static_cast<int>(params.split_mode));
    }
    const auto n_devices = static_cast<int32_t>(devices_.size());
    if (params.main_gpu < 0 || (params.main_gpu > 0 && params.main_gpu >= n_devices)) {
        fail(LUUP_ERROR_INVALID_PARAM, "main_gpu is %d, but %d GPUs are used; it counts from 0", params.main_gpu,
             n_devices);
    }
    main_gpu_ = params.main_gpu;
    if (params.n_tensor_split == 0) {
        return;
    }
    if (params.n_tensor_split != devices_.size()) {
        fail(LUUP_ERROR_INVALID_PARAM, "tensor_split has %zu numbers, but %d GPUs are used; it needs one for each",
             params.n_tensor_split, n_devices);
    }
    float sum = 0;
    for (size_t i = 0; i < params.n_tensor_split; i++) {
        const float share = params.tensor_split[i];
        if (!std::isfinite(share) || share < 0) {
            fail(LUUP_ERROR_INVALID_PARAM, "tensor_split[%zu] must be a number of at least 0, got %g", i,
                 static_cast<double>(share));
        }
        sum += share;
    }
    if (sum <= 0) {
        fail(LUUP_ERROR_INVALID_PARAM, "tensor_split must give at least one GPU a share, but all are 0");
    }
    tensor_split_.assign(llama_max_devices(), 0.0f);
    std::copy(params.tensor_split, params.tensor_split + params.n_tensor_split, tensor_split_.begin());
}

llama_model_params Placement::model_params() {
    llama_model_params p = llama_model_default_params();
    p.devices            = choose_ ? nullptr : devices_.data();
    p.n_gpu_layers       = gpu_layers_;
    p.split_mode         = split_mode_;
    p.main_gpu           = main_gpu_;
    p.tensor_split       = tensor_split_.empty() ? nullptr : tensor_split_.data();
    return p;
}

}  // namespace luup
