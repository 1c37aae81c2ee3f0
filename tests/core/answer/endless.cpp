// Which answers are taken as endless.
#include "answer/endless.h"

#include "check.h"

#include <functional>
#include <string>

using namespace luup;

namespace {

// Returns how many tokens are added before an answer is found to be endless, 0 if that does not happen within n.
size_t tokens_until_endless(size_t n, const std::function<void(EndlessWatch &, size_t)> & add) {
    EndlessWatch watch;
    for (size_t i = 0; i < n; i++) {
        add(watch, i);
        if (!watch.reason().empty()) {
            return i + 1;
        }
    }
    return 0;
}

}  // namespace

CASE(repetition_without_a_limit_is_endless) {
    for (const size_t period : { 1, 2, 7, 100, 500 }) {
        const size_t found =
            tokens_until_endless(10000, [&](EndlessWatch & watch, size_t i) { watch.add(int(i % period), 3); });
        CHECK(found == std::max(EndlessWatch::least_tokens, EndlessWatch::least_repeats * period));
    }
    // After a text that does not repeat itself.
    const size_t found = tokens_until_endless(
        10000, [&](EndlessWatch & watch, size_t i) { watch.add(i < 3000 ? int(i) : int(i % 3), 3); });
    CHECK(found > 3000 + 1000 && found < 3000 + 1100);
}

CASE(repetition_that_ends_or_that_the_schema_counts_is_not_endless) {
    // A hundred equal numbers of three digits, and 500 zeros.
    CHECK(tokens_until_endless(400, [](EndlessWatch & watch, size_t i) { watch.add(int(i % 4), 3); }) == 0);
    CHECK(tokens_until_endless(1000, [](EndlessWatch & watch, size_t i) { watch.add(int(i % 2), 3); }) == 0);
    // A table whose rows differ in one cell.
    CHECK(tokens_until_endless(20000, [](EndlessWatch & watch, size_t i) {
              watch.add(i % 20 == 7 ? int(1000 + i) : int(i % 20), 3);
          }) == 0);
    // The grammar counts: it is at another place after each token.
    CHECK(tokens_until_endless(20000, [](EndlessWatch & watch, size_t i) { watch.add(1, i); }) == 0);
}

CASE(containers_without_end_are_endless) {
    CHECK(tokens_until_endless(1000, [](EndlessWatch & watch, size_t) { watch.read("{\"a\":["); }) == 65);
    CHECK(tokens_until_endless(1000, [](EndlessWatch & watch, size_t) { watch.read("[[]]"); }) == 0);
    CHECK(tokens_until_endless(1000, [](EndlessWatch & watch, size_t i) {
              watch.read(i == 0 ? "\"" : "[\\\"{");  // inside of a string
          }) == 0);
}
