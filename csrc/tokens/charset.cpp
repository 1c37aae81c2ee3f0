#include "tokens/charset.h"

#include <algorithm>
#include <cstring>

namespace luup {

namespace {

constexpr std::pair<uint32_t, uint32_t> characters[] = { { 0x1, 0xD7FF }, { 0xE000, 0x10FFFF } };

// Returns the first range that ends at `low` or after.
Ranges::const_iterator find_range(const Ranges & ranges, uint32_t low) {
    return std::lower_bound(ranges.begin(), ranges.end(), low,
                            [](const auto & range, uint32_t value) { return range.second < value; });
}

// Returns the characters of `set` from `low` on.
CharSet from(const CharSet & set, uint32_t low) {
    Ranges ranges;
    for (const auto & range : set.ranges()) {
        ranges.emplace_back(std::max(range.first, low), range.second);
    }
    return CharSet(std::move(ranges));
}

}  // namespace

CharSet::CharSet(Ranges ranges, bool inverse) {
    ranges = merge_ranges(std::move(ranges));
    if (inverse) {
        ranges = invert_ranges(ranges, UINT32_MAX);
    }
    for (const auto & [low, high] : characters) {
        for (auto range = find_range(ranges, low); range != ranges.end() && range->first <= high; ++range) {
            ranges_.emplace_back(std::max(range->first, low), std::min(range->second, high));
        }
    }
}

bool CharSet::contains(const CharSet & other) const {
    return std::all_of(other.ranges_.begin(), other.ranges_.end(), [&](const auto & range) {
        const auto found = find_range(ranges_, range.first);
        return found != ranges_.end() && found->first <= range.first && range.second <= found->second;
    });
}

CharKinds kind_of(uint32_t c) {
    static const char marks[] = "\t\n\r !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";  // the kinds 0 to 35
    if (c == 0) {
        return 0;
    }
    if (c >= 0x80) {
        return CharKinds(1) << 63;
    }
    if (const char * mark = std::strchr(marks, static_cast<int>(c))) {
        return CharKinds(1) << (mark - marks);
    }
    const int kind = c >= '0' && c <= '9'   ? 40
                     : c >= 'a' && c <= 'f' ? 41
                     : c > 'f' && c <= 'z'  ? 42
                     : c >= 'A' && c <= 'F' ? 43
                     : c > 'F' && c <= 'Z'  ? 44
                     : c == 0x7F            ? 45
                                            : 46;  // control characters
    return CharKinds(1) << kind;
}

CharKinds whole_kinds(const CharSet & set) {
    return touched_kinds(CharSet({}, true)) & ~touched_kinds(CharSet(set.ranges(), true));
}

CharKinds touched_kinds(const CharSet & set) {
    CharKinds kinds = 0;
    for (const auto & range : set.ranges()) {
        for (uint32_t c = range.first; c <= std::min(range.second, 0x80u); c++) {
            kinds |= kind_of(c);
        }
        kinds |= kind_of(range.second);
    }
    return kinds;
}

ByteAutomaton::ByteAutomaton() {
    nodes_.resize(2, Node{});
    ids_.emplace(nodes_[dead], dead);
}

uint32_t ByteAutomaton::intern(const Node & node) {
    const auto [entry, added] = ids_.emplace(node, size());
    if (added) {
        nodes_.push_back(node);
    }
    return entry->second;
}

// Returns the node before the last `bytes` bytes of characters whose first bytes are those of `low`.
uint32_t ByteAutomaton::continuation(const CharSet & set, uint32_t low, int bytes) {
    const uint32_t high  = low + (1u << (6 * bytes)) - 1;
    const auto     range = find_range(set.ranges(), low);
    if (range == set.ranges().end() || range->first > high) {
        return dead;
    }
    if (bytes == 0) {
        return whole;
    }
    Node           node{};
    const uint32_t step   = 1u << (6 * (bytes - 1));
    const bool     is_all = range->first <= low && high <= range->second;
    const uint32_t same   = is_all ? continuation(set, low, bytes - 1) : dead;
    for (uint32_t i = 0; i < 64; i++) {
        node[0x80 + i] = is_all ? same : continuation(set, low + i * step, bytes - 1);
    }
    return intern(node);
}

uint32_t ByteAutomaton::add(const CharSet & set) {
    const auto known = roots_.find(set);
    if (known != roots_.end()) {
        return known->second;
    }
    Node node{};
    for (uint32_t byte = 0x01; byte < 0x80; byte++) {
        node[byte] = continuation(set, byte, 0);
    }
    for (uint32_t byte = 0xC2; byte <= 0xDF; byte++) {
        node[byte] = continuation(set, (byte & 0x1F) << 6, 1);
    }
    // Overlong forms are not valid.
    const CharSet three = from(set, 0x800);
    for (uint32_t byte = 0xE0; byte <= 0xEF; byte++) {
        node[byte] = continuation(three, (byte & 0x0F) << 12, 2);
    }
    const CharSet four = from(set, 0x10000);
    for (uint32_t byte = 0xF0; byte <= 0xF4; byte++) {
        node[byte] = continuation(four, (byte & 0x07) << 18, 3);
    }
    return roots_[set] = intern(node);
}

}  // namespace luup
