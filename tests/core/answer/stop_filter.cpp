// The filter that ends an answer at a stop text.
#include "check.h"
#include "answer/stop_filter.h"

#include <string>

using namespace luup;

CASE(stop_filter_holds_back_what_may_become_a_stop) {
    const std::string text = "Hello, END of ENDING";
    for (size_t cut = 0; cut <= text.size(); cut++) {
        StopFilter  filter({ "ENDI", "never" });
        std::string shown = filter.push(text.substr(0, cut));
        shown += filter.push(text.substr(cut));
        CHECK(filter.stopped());
        CHECK(shown + filter.finish() == "Hello, END of ");
    }
    StopFilter  none({ "ENDX" });
    std::string shown = none.push("the EN");
    CHECK(shown == "the ");
    shown += none.push("D");
    CHECK(shown + none.finish() == "the END");
    CHECK(!none.stopped());
}
