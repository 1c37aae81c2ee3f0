// Forced into llama-common, whose templates may be rendered by several threads at once: std::localtime() keeps its
// result in one place for all threads. Windows has one for each.
#pragma once

#include <ctime>

namespace std {
inline tm * luup_local_time(const time_t * time) {
    thread_local tm parts;
    return ::localtime_r(time, &parts);
}
}  // namespace std

#define localtime luup_local_time
