/*
 * Lets a process outlive the servers of its RPC backend; force-included into ggml-rpc.cpp.
 *
 * There a server that goes away, or answers nonsense, ends the process. Here what was asked of it counts as answered with zeros, and
 * luup_rpc_losses() counts it: whoever decoded asks for that before the results are used (see RpcServers::lost). Each server has a thread of
 * its own that sends and receives, rpc_dispatcher::work; elsewhere, where connections are made, what can't go on is an exception.
 */
#ifndef LUUP_RPC_LOST_H
#define LUUP_RPC_LOST_H

#include "ggml-backend.h"
#include "ggml.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>

#undef GGML_ASSERT
#undef GGML_ABORT
#define GGML_ASSERT(x) ((x) ? void(0) : ggml_abort(__FILE__, __LINE__, "GGML_ASSERT(%s) failed", #x))
#define GGML_ABORT(...) luup_rpc::lost(msg_ptr, __VA_ARGS__)

/* In rpc_dispatcher::work this name is a variable of its own, the message that is under way. */
[[maybe_unused]] static const std::nullptr_t msg_ptr = nullptr;

namespace luup_rpc {

inline std::atomic<uint64_t> losses{ 0 };

template <class... Ignored>
[[noreturn]] void lost(std::nullptr_t, const char * message, const Ignored &...) {
    throw std::runtime_error(message);
}

template <class Message>
void lost(const std::shared_ptr<Message> & message, const char *) {
    if (message->output) {
        std::memset(message->output, 0, message->output_size);
    }
    losses.fetch_add(1, std::memory_order_release);
}

}  // namespace luup_rpc

extern "C" {
GGML_BACKEND_API uint64_t luup_rpc_losses(void);
}
uint64_t luup_rpc_losses(void) {
    return luup_rpc::losses.load(std::memory_order_acquire);
}

#endif
