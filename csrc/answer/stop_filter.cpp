#include "answer/stop_filter.h"

#include <algorithm>
#include <utility>

namespace luup {

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
    stops_.erase(std::remove_if(stops_.begin(), stops_.end(), [](const std::string & s) { return s.empty(); }),
                 stops_.end());
}

std::string StopFilter::push(std::string_view text) {
    if (stopped_) {
        return "";
    }
    if (stops_.empty()) {
        return std::string(text);
    }
    held_.append(text);
    size_t found = std::string::npos;
    for (const std::string & stop : stops_) {
        found = std::min(found, held_.find(stop));
    }
    if (found != std::string::npos) {
        stopped_ = true;
        held_.resize(found);
        return std::exchange(held_, "");
    }
    // Hold back the longest end that is a beginning of a stop text.
    size_t wait = 0;
    for (const std::string & stop : stops_) {
        for (size_t n = std::min(stop.size() - 1, held_.size()); n > wait; n--) {
            if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) {
                wait = n;
                break;
            }
        }
    }
    std::string out = held_.substr(0, held_.size() - wait);
    held_.erase(0, out.size());
    return out;
}

std::string StopFilter::finish() {
    return std::exchange(held_, "");
}

}  // namespace luup
