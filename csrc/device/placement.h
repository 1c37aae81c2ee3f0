// Where a model's layers go: the devices, the number of layers on them, and how they share these.
#pragma once

#include "luup_agent.h"
#include "device/rpc_servers.h"

#include "llama.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

// The device settings of luup_model_params, checked against the devices of this machine. Owns what llama.cpp's
// parameters point to.
class Placement {
  public:
    // Only after load_backends(). Throws Error, with LUUP_ERROR_BACKEND_INIT_FAILED if a requested GPU does not exist.
    explicit Placement(const luup_model_params & params);

    // Returns llama.cpp's parameters for this placement, with defaults for the rest. Valid while the placement lives.
    llama_model_params model_params();

    // Returns the connections, which must live as long as the model; null without rpc_servers.
    std::unique_ptr<RpcServers> take_servers() { return std::move(servers_); }

  private:
    void choose_devices(const luup_model_params & params);
    void choose_split(const luup_model_params & params);

    std::unique_ptr<RpcServers>     servers_;
    int32_t                         gpu_layers_ = 0;  // -1 = all
    std::vector<ggml_backend_dev_t> devices_;         // ends with nullptr
    // No devices were named, so llama.cpp chooses. It takes these, but a device that two backends see only once.
    bool               choose_     = false;
    llama_split_mode   split_mode_ = LLAMA_SPLIT_MODE_LAYER;
    int32_t            main_gpu_   = 0;
    std::vector<float> tensor_split_;  // empty = in proportion to their free memory
};

}  // namespace luup
