#include "engine/checkpoints.h"

#include <algorithm>
#include <iterator>
#include <new>

namespace luup {

namespace {

constexpr llama_state_seq_flags partial = LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY;

// lengths() compares the tokens of all of them.
constexpr size_t max_kept = 256;

bool begins_with(const std::vector<llama_token> & tokens, const std::vector<llama_token> & prefix) {
    return prefix.size() <= tokens.size() && std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

}  // namespace

size_t longest(const std::vector<size_t> & lengths, size_t limit) {
    const auto beyond = std::upper_bound(lengths.begin(), lengths.end(), limit);
    return beyond == lengths.begin() ? 0 : *std::prev(beyond);
}

Checkpoints::Kept::iterator Checkpoints::drop(Kept::iterator it) {
    bytes_ -= it->bytes();
    return kept_.erase(it);
}

Checkpoints::Kept::iterator Checkpoints::find(AdapterSet adapters, const std::vector<llama_token> & tokens,
                                              size_t length) {
    return std::find_if(kept_.begin(), kept_.end(), [&](const StoredSequence & each) {
        return each.tokens.size() == length && each.key.adapters == adapters && begins_with(tokens, each.tokens);
    });
}

bool Checkpoints::take(llama_seq_id sequence, const SequenceKey & key, const std::vector<llama_token> & tokens) {
    const auto same = find(key.adapters, tokens, tokens.size());
    if (same != kept_.end()) {
        same->key.owner = same->key.owner == key.owner ? key.owner : 0;
        kept_.splice(kept_.begin(), kept_, same);
        return true;
    }
    const size_t size  = llama_state_seq_get_size_ext(context_, sequence, partial);
    const size_t bytes = size + tokens.size() * sizeof(llama_token);
    if (size == 0 || bytes > capacity_) {
        return false;
    }
    while (bytes_ + bytes > capacity_ || kept_.size() >= max_kept) {
        drop(std::prev(kept_.end()));
    }
    try {
        StoredSequence taken = { key, tokens, 0, Buffer(size) };
        if (llama_state_seq_get_data_ext(context_, taken.state.data(), size, sequence, partial) != size) {
            return false;
        }
        kept_.push_front(std::move(taken));
    } catch (const std::bad_alloc &) {  // it only saves time
        return false;
    }
    bytes_ += bytes;
    return true;
}

std::vector<size_t> Checkpoints::lengths(AdapterSet adapters, const std::vector<llama_token> & tokens) const {
    std::vector<size_t> lengths;
    for (const StoredSequence & each : kept_) {
        if (each.key.adapters == adapters && begins_with(tokens, each.tokens)) {
            lengths.push_back(each.tokens.size());
        }
    }
    std::sort(lengths.begin(), lengths.end());
    return lengths;
}

bool Checkpoints::restore(llama_seq_id sequence, AdapterSet adapters, const std::vector<llama_token> & tokens,
                          size_t length) {
    const auto found = find(adapters, tokens, length);
    if (found == kept_.end()) {
        return false;
    }
    kept_.splice(kept_.begin(), kept_, found);
    const auto & state = kept_.front().state;
    const bool   whole = llama_state_seq_set_data_ext(context_, state.data(), state.size(), sequence, partial) != 0;
    restored_ += whole;
    return whole;
}

void Checkpoints::disown(uint64_t owner) {
    for (auto it = kept_.begin(); it != kept_.end();) {
        it = it->key.owner == owner ? drop(it) : std::next(it);
    }
}

}  // namespace luup
