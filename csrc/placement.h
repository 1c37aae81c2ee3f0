// Where a model's layers go: which devices, how many layers, and how several devices share them.
#pragma once

#include "luup_agent.h"
#include "rpc_servers.h"

#include "llama.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

// What luup_model_params says of devices, checked against those that are there. Keeps alive what llama's parameters point to.
class Placement {
  public:
    // Only after load_backends(). Throws Error: (LUUP_ERROR_BACKEND_INIT_FAILED) if a GPU is asked for that is not there.
    explicit Placement(const luup_model_params & params);

    // llama.cpp's parameters for this placement, to be used while it lives; all else is the default.
    llama_model_params model_params();

    // What must live as long as the model; null without rpc_servers.
    std::unique_ptr<RpcServers> take_servers() { return std::move(servers_); }

  private:
    void choose_devices(const luup_model_params & params);
    void choose_split(const luup_model_params & params);

    std::unique_ptr<RpcServers>     servers_;
    int32_t                         gpu_layers_ = 0;  // -1 = all
    std::vector<ggml_backend_dev_t> devices_;         // ends in nullptr
    bool                            choose_     = false;  // they are not named: llama.cpp takes these, but none twice that two backends see
    llama_split_mode                split_mode_ = LLAMA_SPLIT_MODE_LAYER;
    int32_t                         main_gpu_   = 0;
    std::vector<float>              tensor_split_;  // empty = by their free memory
};

}  // namespace luup
