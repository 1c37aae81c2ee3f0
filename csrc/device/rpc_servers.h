// Devices of other machines, through llama.cpp's RPC backend.
#pragma once

#include "ggml-backend.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace luup {

// The connections to servers; the destructor closes them. Before a connection, a probe checks that the server answers
// and has the same protocol. If a connection is lost later, all results of that server are zeros.
class RpcServers {
  public:
    // `servers`: "host:port", each once. Only after load_backends(). Throws Error, with LUUP_ERROR_BACKEND_INIT_FAILED
    // for a server that cannot be used.
    explicit RpcServers(const std::vector<std::string> & servers);

    // Returns the devices, in the order of the servers.
    const std::vector<ggml_backend_dev_t> & devices() const { return devices_; }

    // Returns the name of a server whose connection is lost, or "". Call it before using results of the devices. It
    // takes no time while all servers answer. One thread at a time.
    std::string lost();

  private:
    std::vector<ggml_backend_dev_t>            devices_;
    std::vector<std::string>                   names_;  // of the devices' servers
    uint64_t                                   losses_ = 0;  // the count when all servers answered
    std::vector<std::shared_ptr<ggml_backend>> connections_;
};

}  // namespace luup
