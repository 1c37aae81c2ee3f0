// Devices of other machines, by llama.cpp's RPC backend.
#pragma once

#include "ggml-backend.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace luup {

// The connections to servers, which close with it. Each is asked first whether it is there and speaks the same protocol. One that goes away later
// answers zeros from then on.
class RpcServers {
  public:
    // `servers`: "host:port", each once. Only after load_backends(). Throws Error: (LUUP_ERROR_BACKEND_INIT_FAILED) for one that is of no use.
    explicit RpcServers(const std::vector<std::string> & servers);

    // In the order of the servers.
    const std::vector<ggml_backend_dev_t> & devices() const { return devices_; }

    // The name of one that has gone away, or "": to be asked before anything is used that came from them. Takes no time while none has. One thread at
    // a time.
    std::string lost();

  private:
    std::vector<ggml_backend_dev_t>            devices_;
    std::vector<std::string>                   names_;  // of the devices' servers
    uint64_t                                   losses_ = 0;  // when all of them were there
    std::vector<std::shared_ptr<ggml_backend>> connections_;
};

}  // namespace luup
