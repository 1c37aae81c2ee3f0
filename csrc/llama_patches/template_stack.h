// How much of its stack a thread has left. For template_limits.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(_WIN32)
#    ifndef NOMINMAX
#        define NOMINMAX
#    endif
#    define WIN32_LEAN_AND_MEAN
#    include <windows.h>
#elif defined(__linux__) || defined(__APPLE__)
#    include <pthread.h>
#endif

namespace luup_template {

// The lowest and the highest address of this thread's stack; zeros where the system doesn't say.
inline std::pair<uintptr_t, uintptr_t> stack_bounds() {
#if defined(_WIN32)
    ULONG_PTR low = 0, high = 0;
    GetCurrentThreadStackLimits(&low, &high);
    return { low, high };
#elif defined(__APPLE__)
    const auto high = reinterpret_cast<uintptr_t>(pthread_get_stackaddr_np(pthread_self()));
    return { high - pthread_get_stacksize_np(pthread_self()), high };
#elif defined(__linux__)
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return { 0, 0 };
    }
    void *    low  = nullptr;
    size_t    size = 0;
    const int rc   = pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    const auto begin = reinterpret_cast<uintptr_t>(low);
    return rc == 0 ? std::make_pair(begin, begin + size) : std::make_pair<uintptr_t, uintptr_t>(0, 0);
#else
    return { 0, 0 };
#endif
}

// Whether little is left of this thread's stack: less than a quarter of it or than 256 KiB, whichever is less.
inline bool stack_is_short() {
    constexpr uintptr_t spare   = 256 * 1024;
    constexpr uintptr_t assumed = 256 * 1024;  // of the stack, from the first call on, where the bounds are unknown
    const char          here    = 0;
    const auto          address = reinterpret_cast<uintptr_t>(&here);
    static thread_local uintptr_t lowest = [&] {
        const auto bounds = stack_bounds();
        const bool known  = bounds.first < address && address < bounds.second;
        return known ? bounds.first + std::min(spare, (bounds.second - bounds.first) / 4)
                     : address - std::min(address, assumed);
    }();
    return address < lowest;
}

}  // namespace luup_template
