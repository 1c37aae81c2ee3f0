#include "model/kept_params.h"

#include "base/read_file.h"

namespace luup {

namespace {

std::optional<std::string> copy_of(const char * text) {
    return text ? std::optional<std::string>(text) : std::nullopt;
}

const char * pointer_to(const std::optional<std::string> & text) {
    return text ? text->c_str() : nullptr;
}

std::vector<std::string> copies_of(const char * const * texts, size_t count) {
    return count > 0 ? std::vector<std::string>(texts, texts + count) : std::vector<std::string>();
}

std::vector<const char *> pointers_to(const std::vector<std::string> & texts) {
    std::vector<const char *> pointers;
    for (const std::string & text : texts) {
        pointers.push_back(text.c_str());
    }
    return pointers;
}

}  // namespace

KeptParams::KeptParams(const luup_model_params & params)
    : numbers_(params),
      devices_(copies_of(params.devices, params.n_devices)),
      servers_(copies_of(params.rpc_servers, params.n_rpc_servers)),
      device_texts_(pointers_to(devices_)),
      server_texts_(pointers_to(servers_)) {
    if (params.n_tensor_split > 0) {
        tensor_split_.assign(params.tensor_split, params.tensor_split + params.n_tensor_split);
    }
    for (size_t i = 0; i < params.n_adapters; i++) {
        adapter_names_.push_back(params.adapters[i].name);
        adapter_paths_.push_back(absolute_path(params.adapters[i].path));
    }
    for (size_t i = 0; i < adapter_names_.size(); i++) {
        adapters_.push_back({ adapter_names_[i].c_str(), adapter_paths_[i].c_str() });
    }
    if (params.prefix_cache) {
        prefix_cache_ = absolute_path(params.prefix_cache);
    }
    if (params.mmproj) {
        mmproj_ = absolute_path(params.mmproj);
    }
    if (params.weights_cache) {
        weights_cache_ = absolute_path(params.weights_cache);
    }
    if (params.draft) {
        draft_ = absolute_path(params.draft);
    }
    chat_template_     = copy_of(params.chat_template);
    cache_type_k_      = copy_of(params.cache_type_k);
    cache_type_v_      = copy_of(params.cache_type_v);
    rope_scaling_      = copy_of(params.rope_scaling);
    numbers_.progress  = nullptr;
    numbers_.user_data = nullptr;
}

luup_model_params KeptParams::view() const {
    luup_model_params params = numbers_;
    params.prefix_cache      = pointer_to(prefix_cache_);
    params.mmproj            = pointer_to(mmproj_);
    params.weights_cache     = pointer_to(weights_cache_);
    params.chat_template     = pointer_to(chat_template_);
    params.cache_type_k      = pointer_to(cache_type_k_);
    params.cache_type_v      = pointer_to(cache_type_v_);
    params.rope_scaling      = pointer_to(rope_scaling_);
    params.draft             = pointer_to(draft_);
    params.adapters          = adapters_.empty() ? nullptr : adapters_.data();
    params.devices           = device_texts_.empty() ? nullptr : device_texts_.data();
    params.rpc_servers       = server_texts_.empty() ? nullptr : server_texts_.data();
    params.tensor_split      = tensor_split_.empty() ? nullptr : tensor_split_.data();
    return params;
}

}  // namespace luup
