// The LoRA adapters of a model, and the sets of them that completions are decoded with.
#pragma once

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace luup {

// The most adapters of a model, and of one run.
constexpr size_t most_adapters = 64;

// How strongly an adapter changes the weights: 1 is as it was trained.
struct AdapterScale {
    std::string name;
    float       scale = 1;
};

// An adapter's weights, which belong to the model.
struct Adapter {
    std::string          name;
    llama_adapter_lora * weights = nullptr;
    std::string          key;        // names its file
    uint64_t             bytes = 0;  // of memory
};

// A set of adapters with their scales; 0 is the empty set.
using AdapterSet = uint32_t;

// All methods may be called from any thread but apply().
class Adapters {
  public:
    explicit Adapters(std::vector<Adapter> adapters);

    // Returns the set of these adapters. Throws Error(LUUP_ERROR_INVALID_PARAM) if the model has none of such a name.
    AdapterSet find(const std::vector<AdapterScale> & wanted);

    // Names what a KV state that was computed with the set depends on; "" for the empty one.
    std::string key(AdapterSet set) const;

    // Makes the context's next decodes use the set. Call it from the thread that owns the context.
    void apply(llama_context * context, AdapterSet set) const;

    uint64_t bytes() const;

  private:
    struct Set {
        std::vector<llama_adapter_lora *> weights;
        std::vector<float>                scales;
        std::string                       key;
    };

    const Set & get(AdapterSet set) const;

    const std::vector<Adapter> adapters_;
    mutable std::mutex         mutex_;
    std::deque<Set>            sets_;  // grows only, so that references stay valid
};

}  // namespace luup
