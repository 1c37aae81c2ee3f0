// Declarations for fuzz targets. FUZZ_TARGET() { … } defines the only target of a program, or with LUUP_FUZZ_NAME one
// of those of luup-fuzz-corpus: it gets the bytes as `input` and may throw luup::Error, which is how the core refuses
// input. Everything else that ends it is a finding.
#pragma once

#include "base/error.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

void run_target(std::string_view input);

#ifdef LUUP_FUZZ_NAME
// Adds a target to the program that runs all of them (corpus.cpp). Returns true.
bool add_target(const char * name, void (*target)(std::string_view));

#    define FUZZ_TARGET()                                                     \
        static void       this_target(std::string_view input);                \
        static const bool is_added = add_target(LUUP_FUZZ_NAME, this_target); \
        static void       this_target([[maybe_unused]] std::string_view input)
#else
#    define FUZZ_TARGET() void run_target([[maybe_unused]] std::string_view input)
#endif

// Ends the program, so that libFuzzer keeps the input.
#define MUST(condition)                                                                     \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            std::fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                   \
        }                                                                                   \
    } while (0)

// Returns the parts of `input` that zero bytes separate, at least `count`: missing ones are empty.
std::vector<std::string_view> split(std::string_view input, size_t count);

// Writes `input` to a file that belongs to this process, and returns its path.
const std::string & write_file(std::string_view input);
