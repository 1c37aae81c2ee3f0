// The retries of an answer that is not valid: a typed result, or calls that can't be read.
#pragma once

#include "base/error.h"
#include "chat/message.h"

#include <cstdint>
#include <string>
#include <vector>

namespace luup {

// Not locked by itself: reject() and clear() are called with the run's mutex held, and never while a turn is being
// begun, so the thread that begins it may call the rest without the mutex.
class OutputRetry {
  public:
    // Records an answer that was rejected. Returns the failure that ends the run if `allowed` retries are used up, else
    // success: then the next prompt ends with messages().
    Failure reject(const std::string & output, const std::string & problem, int32_t allowed);

    // Forgets the rejected answer, because a later one was accepted.
    void clear() { messages_.clear(); }

    // The rejected answer, and the request for a better one; empty if there is none.
    const std::vector<Message> & messages() const { return messages_; }

    // Whether an answer of the run was rejected.
    bool any() const { return count_ > 0; }

  private:
    std::vector<Message> messages_;
    int32_t              count_ = 0;
};

}  // namespace luup
