// Weights that the CPU's kernels read in a layout of their own: from a file that all processes share, or made now.
#pragma once

#include "base/mapped_files.h"
#include "model/weights_cache.h"

#include "ggml-backend.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace luup {

// Bytes of weights in the kernels' layouts.
struct StoredSizes {
    uint64_t found  = 0;  // in files that existed
    uint64_t made   = 0;  // in files that this load has written
    uint64_t memory = 0;  // in this process's own memory
};

// One load of a model, by the thread that has this object. ggml's CPU backend allocates a buffer for each layout, and
// llama.cpp gives it the weights one by one. Meanwhile such a buffer is here
//  - a mapping of the file in the cache, if there is one: then the weights of the model's file are not even read;
//  - else memory, where they are converted, and the pages of the model's file that were read are given back. keep()
//    writes them to the cache, and puts a mapping of that file in the memory's place.
class StoredWeights {
  public:
    // `model` names the content of the model's files. `mapped`: llama.cpp maps them. `watched` gets the files that are
    // mapped. `stop` says whether to wait for another process no longer.
    StoredWeights(const WeightsCache & cache, std::string model, bool mapped, MappedFiles & watched,
                  std::function<bool()> stop);
    ~StoredWeights();
    StoredWeights(const StoredWeights &)             = delete;
    StoredWeights & operator=(const StoredWeights &) = delete;

    // Whether all files that were found had these tensors. If not, they are removed: load the model again.
    bool is_right() const { return right_; }

    // After a load that succeeded.
    void keep();

    const StoredSizes & sizes() const { return sizes_; }

  private:
    struct Part;
    friend struct WeightsHooks;

    ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size);
    ggml_backend_buffer_t in_file(Part & part, ggml_backend_buffer_type_t type);
    ggml_backend_buffer_t in_memory(Part & part, ggml_backend_buffer_type_t type);
    bool                  is_intact(const Part & part, const WeightsFile & file, const void * weights) const;
    void                  set(ggml_backend_buffer_t buffer, ggml_tensor * tensor, const void * data, size_t size);
    void                  keep(Part & part);

    const WeightsCache &               cache_;
    std::string                        model_;
    bool                               mapped_;
    MappedFiles &                      watched_;
    std::function<bool()>              stop_;
    std::vector<std::unique_ptr<Part>> parts_;
    bool                               right_ = true;
    StoredSizes                        sizes_;
    StoredWeights *                    outer_;
};

}  // namespace luup
