#include "warm_store.h"

#include "kv.h"

namespace luup {

void WarmStore::put(StoredSequence sequence) {
    if (!takes(sequence.bytes())) {
        return;
    }
    bytes_ += sequence.bytes();
    kept_.push_front(std::move(sequence));
    while (bytes_ > capacity_) {
        bytes_ -= kept_.back().bytes();
        kept_.pop_back();
    }
}

std::optional<StoredSequence> WarmStore::take(uint64_t owner, const std::vector<llama_token> & tokens, size_t least) {
    auto best = kept_.end();
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
        const size_t length = it->owner == owner ? common_prefix(it->tokens, tokens) : 0;
        if (length > least) {
            least = length;
            best  = it;
        }
    }
    if (best == kept_.end()) {
        return std::nullopt;
    }
    StoredSequence taken = std::move(*best);
    bytes_ -= taken.bytes();
    kept_.erase(best);
    return taken;
}

void WarmStore::disown(uint64_t owner) {
    for (auto it = kept_.begin(); it != kept_.end();) {
        if (it->owner == owner) {
            bytes_ -= it->bytes();
            it = kept_.erase(it);
        } else {
            ++it;
        }
    }
}

}  // namespace luup
