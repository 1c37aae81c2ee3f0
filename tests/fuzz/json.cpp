// JSON texts: read as nlohmann's own reader reads them, the keys of large objects included.
#include "base/json.h"

#include "target.h"

#include <string>

using namespace luup;

FUZZ_TARGET() {
    std::string problem;
    const Json  read = try_read_json(input, &problem);
    const Json  theirs =
        is_nested_too_deeply(input) ? Json(Json::value_t::discarded) : Json::parse(input, nullptr, false);
    MUST(read.is_discarded() == theirs.is_discarded());
    MUST(read.is_discarded() == !problem.empty());
    if (!read.is_discarded()) {
        MUST(read.dump(-1, ' ', false, Json::error_handler_t::replace) ==
             theirs.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
}
