// Frees the memory of an embedder at the end of a call that was closed by its own progress function.
#pragma once

#include "embed/embedder.h"

#include <atomic>

namespace luup {

class CloseAfter {
  public:
    CloseAfter(Embedder & embedder, const std::atomic<bool> & closing) : embedder_(embedder), closing_(closing) {}
    ~CloseAfter() {
        if (closing_) {
            embedder_.close();
        }
    }
    CloseAfter(const CloseAfter &)             = delete;
    CloseAfter & operator=(const CloseAfter &) = delete;

  private:
    Embedder &                embedder_;
    const std::atomic<bool> & closing_;
};

}  // namespace luup
