// Devices of other machines, by llama.cpp's RPC backend.
#pragma once

#include "ggml-backend.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

// The connections to servers, which close with it. ggml ends the process when a server can't be reached or goes away, so each is asked
// first whether it is there and speaks the same protocol.
class RpcServers {
  public:
    // `servers`: "host:port", each once. Only after load_backends(). Throws Error: (LUUP_ERROR_BACKEND_INIT_FAILED) for one that is of no use.
    explicit RpcServers(const std::vector<std::string> & servers);

    // In the order of the servers.
    const std::vector<ggml_backend_dev_t> & devices() const { return devices_; }

  private:
    std::vector<ggml_backend_dev_t>            devices_;
    std::vector<std::shared_ptr<ggml_backend>> connections_;
};

}  // namespace luup
