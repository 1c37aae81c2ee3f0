#include "engine/adapters.h"

#include "base/error.h"

#include <algorithm>
#include <cstdio>

namespace luup {

Adapters::Adapters(std::vector<Adapter> adapters) : adapters_(std::move(adapters)), sets_(1) {}

AdapterSet Adapters::find(const std::vector<AdapterScale> & wanted) {
    std::vector<float> scales(adapters_.size());
    for (const AdapterScale & each : wanted) {
        const auto named = [&](const Adapter & a) { return a.name == each.name; };
        const auto found = std::find_if(adapters_.begin(), adapters_.end(), named);
        if (found == adapters_.end()) {
            std::string names;
            for (const Adapter & a : adapters_) {
                names += (names.empty() ? "" : ", ") + a.name;
            }
            fail(LUUP_ERROR_INVALID_PARAM, "the model has no adapter \"%.80s\"; it was loaded with %s",
                 each.name.c_str(), names.empty() ? "none" : names.c_str());
        }
        scales[static_cast<size_t>(found - adapters_.begin())] = each.scale;
    }
    Set set;
    for (size_t i = 0; i < adapters_.size(); i++) {
        if (scales[i] != 0) {
            char scale[32];
            std::snprintf(scale, sizeof(scale), " %a ", static_cast<double>(scales[i]));
            set.weights.push_back(adapters_[i].weights);
            set.scales.push_back(scales[i]);
            set.key += scale + adapters_[i].key;
        }
    }
    std::lock_guard<std::mutex> lock(mutex_);
    const auto                  same = std::find_if(sets_.begin(), sets_.end(), [&](const Set & each) {
        return each.weights == set.weights && each.scales == set.scales;
    });
    const auto                  at   = static_cast<AdapterSet>(same - sets_.begin());
    if (same == sets_.end()) {
        sets_.push_back(std::move(set));
    }
    return at;
}

const Adapters::Set & Adapters::get(AdapterSet set) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return sets_[set];
}

std::string Adapters::key(AdapterSet set) const {
    return get(set).key;
}

void Adapters::apply(llama_context * context, AdapterSet set) const {
    const Set &                       wanted  = get(set);
    std::vector<llama_adapter_lora *> weights = wanted.weights;
    std::vector<float>                scales  = wanted.scales;
    llama_set_adapters_lora(context, weights.data(), weights.size(), scales.data());
}

uint64_t Adapters::bytes() const {
    uint64_t sum = 0;
    for (const Adapter & each : adapters_) {
        sum += each.bytes;
    }
    return sum;
}

}  // namespace luup
