#include "warm_store.h"

#include "kv.h"

#include <algorithm>
#include <iterator>

namespace luup {

namespace {

constexpr std::ptrdiff_t max_ownerless = 4;

bool is_ownerless(const StoredSequence & sequence) {
    return sequence.owner == 0;
}

}  // namespace

WarmStore::Kept::iterator WarmStore::oldest_ownerless() {
    const auto found = std::find_if(kept_.rbegin(), kept_.rend(), is_ownerless);
    return found == kept_.rend() ? kept_.end() : std::prev(found.base());
}

StoredSequence WarmStore::take_out(Kept::iterator it) {
    StoredSequence taken = std::move(*it);
    bytes_ -= taken.bytes();
    kept_.erase(it);
    return taken;
}

void WarmStore::put(StoredSequence sequence) {
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

std::optional<StoredSequence> WarmStore::take(uint64_t owner, const std::vector<llama_token> & tokens, size_t least) {
    auto best = kept_.end();
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
        const size_t length = it->owner == owner || is_ownerless(*it) ? common_prefix(it->tokens, tokens) : 0;
        if (length > least) {
            least = length;
            best  = it;
        }
    }
    return best == kept_.end() ? std::nullopt : std::optional<StoredSequence>(take_out(best));
}

void WarmStore::disown(uint64_t owner) {
    for (auto it = kept_.begin(); it != kept_.end();) {
        const auto next = std::next(it);
        if (it->owner == owner) {
            take_out(it);
        }
        it = next;
    }
}

}  // namespace luup
