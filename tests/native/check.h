// What the programs with cases share: a check that names its place, and a run of all cases.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

struct CheckFailed {};

#define CHECK(condition)                                                \
    do {                                                                \
        if (!(condition)) {                                             \
            std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            throw CheckFailed();                                        \
        }                                                               \
    } while (0)

// Runs all cases, with a line for each; a case ends at its first failed check. 1 if one failed.
inline int run_cases(const std::vector<std::pair<const char *, std::function<void()>>> & cases) {
    size_t failed = 0;
    for (const auto & [name, run] : cases) {
        const char * state = "FAIL";
        try {
            run();
            state = "ok  ";
        } catch (const CheckFailed &) {
            failed++;
        } catch (const std::exception & e) {
            std::printf("%s\n", e.what());
            failed++;
        }
        std::printf("%s %s\n", state, name);
    }
    std::printf("%zu passed, %zu failed\n", cases.size() - failed, failed);
    return failed > 0;
}

// The UTF-8 of a code point.
inline std::string utf8(uint32_t c) {
    const auto tail = [&](int shift) {
        return static_cast<char>(0x80 | (c >> shift & 0x3F));
    };
    if (c < 0x80) {
        return { static_cast<char>(c) };
    }
    if (c < 0x800) {
        return { static_cast<char>(0xC0 | c >> 6), tail(0) };
    }
    if (c < 0x10000) {
        return { static_cast<char>(0xE0 | c >> 12), tail(6), tail(0) };
    }
    return { static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0) };
}
