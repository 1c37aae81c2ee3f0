// Word boundaries against the standard library's, which tries all ways.
#include "check.h"
#include "schema/determine.h"
#include "schema/pattern.h"

#include <cstddef>
#include <memory>
#include <random>
#include <regex>
#include <string>
#include <vector>

using namespace luup;

namespace {

class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}

    size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(engine_); }

    std::string text() {
        std::string out;
        for (size_t n = below(7); n > 0; n--) {
            out += "ab_- "[below(5)];
        }
        return out;
    }

    std::string expression(int depth) {
        static const char * const atoms[] = { "a", "b", "-", " ", "\\w", "\\W", ".", "[a-]", "\\b", "\\B", "^", "$" };
        switch (depth == 0 ? 0 : below(5)) {
            case 0: return atoms[below(std::size(atoms))];
            case 1: return "(?:" + expression(depth - 1) + "|" + expression(depth - 1) + ")";
            case 2: return "(?:" + expression(depth - 1) + ")" + "*+?"[below(3)];
            default: return expression(depth - 1) + expression(depth - 1);
        }
    }

  private:
    std::mt19937 engine_;
};

bool accepts(const Dfa & dfa, const std::string & text) {
    if (dfa.states.empty()) {
        return false;
    }
    int state = 0;
    for (const char c : text) {
        int next = -1;
        for (const Dfa::Edge & edge : dfa.states[state].edges) {
            next = contains(edge.set, static_cast<unsigned char>(c)) ? edge.target : next;
        }
        if (next < 0) {
            return false;
        }
        state = next;
    }
    return dfa.states[state].accepts;
}

}  // namespace

CASE(boundaries_are_where_the_standard_library_finds_them) {
    Random random(1);
    for (int i = 0; i < 3000; i++) {
        const std::string source = random.expression(4);
        const auto        ours   = std::make_shared<const Pattern>(source);
        const std::regex  theirs(source);
        const auto        found = find_dfa({ { ours, true } }, {}, { 0, {}, 2000 });
        const auto        other = find_dfa({ { ours, false } }, {}, { 0, {}, 2000 });
        for (int k = 0; k < 20; k++) {
            const std::string text     = random.text();
            const bool        expected = std::regex_search(text, theirs);
            if (ours->search(text) != expected || accepts(*found, text) != expected ||
                accepts(*other, text) == expected) {
                std::printf("%s in \"%s\"\n", source.c_str(), text.c_str());
            }
            CHECK(ours->search(text) == expected);
            CHECK(accepts(*found, text) == expected);
            CHECK(accepts(*other, text) == !expected);
        }
    }
}

// Whether "é" is a part of a word depends on the validator, so that no generated text hangs on it.
CASE(letters_beyond_ascii_are_next_to_no_boundary_of_generated_texts) {
    const auto use = [](const char * source, bool positive) {
        return find_dfa({ { std::make_shared<const Pattern>(source), positive } }, {}, { 0, {}, 2000 });
    };
    const auto reads = [](const Dfa & dfa, const std::vector<uint32_t> & codes) {
        int state = dfa.states.empty() ? -1 : 0;
        for (const uint32_t code : codes) {
            int next = -1;
            for (size_t i = 0; state >= 0 && i < dfa.states[state].edges.size(); i++) {
                next = contains(dfa.states[state].edges[i].set, code) ? dfa.states[state].edges[i].target : next;
            }
            state = next;
        }
        return state >= 0 && dfa.states[state].accepts;
    };
    for (const char * source : { "a\\b", "a\\B" }) {
        CHECK(!reads(*use(source, true), { 'a', 0xE9 }));
        CHECK(!reads(*use(source, false), { 'a', 0xE9 }));
    }
    CHECK(reads(*use("\\ba", true), { '-', 'a' }));
    CHECK(!reads(*use("\\ba", true), { 0xE9, 'a' }));
}
