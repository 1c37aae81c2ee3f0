// Byte automata of character sets against plain definitions, over all of Unicode.
#include "check.h"
#include "tokens/charset.h"

#include <algorithm>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

using namespace luup;

namespace {

bool is_character(uint32_t c) {
    return c >= 1 && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
}

uint32_t walk(const ByteAutomaton & automaton, uint32_t node, std::string_view bytes) {
    for (char byte : bytes) {
        node = automaton.next(node, static_cast<uint8_t>(byte));
    }
    return node;
}

}  // namespace

CASE(automata_know_every_character) {
    std::mt19937   random(3);
    ByteAutomaton  automaton;
    const uint32_t edges[] = { 0,      1,      0x41,   0x7F,   0x80,   0x7FF,   0x800,   0xFFF,   0x1000,
                               0xD7FF, 0xD800, 0xDFFF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x10FFFF };
    for (int round = 0; round < 12; round++) {
        std::vector<std::pair<uint32_t, uint32_t>> ranges;
        for (int i = 0; i < round % 5; i++) {
            const uint32_t low = round % 2 ? edges[random() % 17] + random() % 3 - 1 : random() % 0x3000;
            ranges.emplace_back(low, low + random() % (round % 3 ? 100 : 70000));
        }
        const bool     inverse = round >= 6;
        const CharSet  set(ranges, inverse);
        const uint32_t root  = automaton.add(set);
        CharKinds      kinds = 0, lacking = 0;
        for (uint32_t c = 0; c <= 0x10FFFF; c++) {
            const bool listed = std::any_of(ranges.begin(), ranges.end(),
                                            [&](const auto & r) { return r.first <= c && c <= r.second; });
            const bool in     = is_character(c) && listed != inverse;
            CHECK((walk(automaton, root, utf8(c)) == ByteAutomaton::whole) == in);
            if (is_character(c)) {
                (in ? kinds : lacking) |= kind_of(c);
            }
        }
        CHECK(whole_kinds(set) == (kinds & ~lacking) && touched_kinds(set) == kinds);
    }
}

CASE(automata_refuse_what_can_not_become_a_character) {
    ByteAutomaton  automaton;
    const uint32_t any = automaton.add(CharSet({}, true));
    for (const char * bad : { "\x80", "\xC0", "\xC1", "\xE0\x80", "\xE0\x9F", "\xED\xA0", "\xF0\x80", "\xF0\x8F",
                              "\xF4\x90", "\xF5", "\xFF", "\xC3\x41", "\xE2\x82\x41" }) {
        CHECK(walk(automaton, any, bad) == ByteAutomaton::dead);
    }
    CHECK(walk(automaton, any, std::string_view("\0", 1)) == ByteAutomaton::dead);
    const uint32_t e = automaton.add(CharSet({ { 0xE9, 0xE9 } }));
    CHECK(walk(automaton, e, "\xC3") > ByteAutomaton::whole);
    CHECK(walk(automaton, e, "\xC2") == ByteAutomaton::dead);
}
