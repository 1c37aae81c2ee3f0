#include "engine/sequence_store.h"

#include "engine/token_prefix.h"

#include <algorithm>
#include <iterator>

namespace luup {

namespace {

// How many sequences without an owner are kept at most.
constexpr std::ptrdiff_t max_ownerless = 4;

bool is_ownerless(const StoredSequence & sequence) {
    return sequence.key.owner == 0;
}

}  // namespace

SequenceStore::Kept::iterator SequenceStore::oldest_ownerless() {
    const auto found = std::find_if(kept_.rbegin(), kept_.rend(), is_ownerless);
    return found == kept_.rend() ? kept_.end() : std::prev(found.base());
}

StoredSequence SequenceStore::take_out(Kept::iterator it) {
    StoredSequence taken = std::move(*it);
    bytes_ -= taken.bytes();
    kept_.erase(it);
    return taken;
}

void SequenceStore::put(StoredSequence sequence) {
    if (!takes(sequence.bytes())) {
        return;
    }
    if (is_ownerless(sequence) && std::count_if(kept_.begin(), kept_.end(), is_ownerless) == max_ownerless) {
        take_out(oldest_ownerless());
    }
    bytes_ += sequence.bytes();
    kept_.push_front(std::move(sequence));
    while (bytes_ > capacity_) {
        const auto ownerless = oldest_ownerless();
        take_out(ownerless != kept_.end() ? ownerless : std::prev(kept_.end()));
    }
}

std::optional<StoredSequence> SequenceStore::take(const SequenceKey & key, const std::vector<llama_token> & tokens,
                                                  size_t least) {
    auto best = kept_.end();
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
        const bool   usable = (it->key.owner == key.owner || is_ownerless(*it)) && it->key.adapters == key.adapters;
        const size_t length = usable ? common_prefix(it->tokens, tokens) : 0;
        if (length > least) {
            least = length;
            best  = it;
        }
    }
    return best == kept_.end() ? std::nullopt : std::optional<StoredSequence>(take_out(best));
}

void SequenceStore::disown(uint64_t owner) {
    for (auto it = kept_.begin(); it != kept_.end();) {
        const auto next = std::next(it);
        if (it->key.owner == owner) {
            take_out(it);
        }
        it = next;
    }
}

}  // namespace luup
