#include "schema/length_count.h"

#include "base/text.h"

#include <algorithm>
#include <cstdlib>

namespace luup {

namespace {

constexpr size_t unicode_escape = 6;  // \u0041

size_t utf8_length(char first) {
    const auto byte = static_cast<unsigned char>(first);
    return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

uint32_t escaped(char letter) {
    switch (letter) {
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        default: return static_cast<unsigned char>(letter);
    }
}

}  // namespace

LengthCount::LengthCount(const SchemaPlans & plans, const std::vector<int> & ids) {
    for (const int id : ids) {
        if (plans.plan(id).any) {
            readings_.clear();
            return;
        }
        for (const StringPlan & s : plans.plan(id).strings) {
            if (s.to_end.empty()) {
                readings_.clear();
                return;
            }
            readings_.push_back({ &s, 0 });
        }
    }
}

bool LengthCount::may_refuse(size_t n) const {
    return !readings_.empty() && std::all_of(readings_.begin(), readings_.end(), [&](const Reading & r) {
        const uint32_t most = *std::max_element(r.plan->to_end.begin(), r.plan->to_end.end());
        return n_ + n + most > *r.plan->max;
    });
}

bool LengthCount::accept(char byte) {
    if (readings_.empty()) {
        return true;
    }
    part_ += byte;
    if (part_[0] != '\\') {
        return part_.size() < utf8_length(part_[0]) || end_character(code_points(part_)[0]);
    }
    if (part_.size() < 2 || (part_[1] == 'u' && part_.size() < unicode_escape)) {
        return true;
    }
    return end_character(part_[1] == 'u' ? static_cast<uint32_t>(std::strtoul(part_.c_str() + 2, nullptr, 16))
                                         : escaped(part_[1]));
}

bool LengthCount::end_character(uint32_t code) {
    part_.clear();
    n_++;
    std::vector<Reading> after;
    bool                 too_long = false;
    for (const Reading & r : readings_) {
        for (const Dfa::Edge & edge : r.plan->dfa->states[r.state].edges) {
            if (contains(edge.set, code)) {
                if (n_ + r.plan->to_end[edge.target] <= *r.plan->max) {
                    after.push_back({ r.plan, edge.target });
                } else {
                    too_long = true;
                }
            }
        }
    }
    readings_ = std::move(after);
    return !readings_.empty() || !too_long;  // what matches no automaton is another alternative, such as an enum's
}

}  // namespace luup
