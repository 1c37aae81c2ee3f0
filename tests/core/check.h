// CASE(name) { … } registers a case, CHECK(condition) ends it at the first failed check. The case of a file
// tests/core/<room>/<file>.cpp has the id "<room>/<file>/<name>".
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <initializer_list>
#include <map>
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

// By id, so that the order does not depend on the linker's.
inline std::map<std::string, std::function<void()>> & all_cases() {
    static std::map<std::string, std::function<void()>> cases;
    return cases;
}

struct RegisteredCase {
    RegisteredCase(const std::string & file, const std::string & name, std::function<void()> run) {
        const size_t stem  = file.rfind('.');
        const size_t slash = file.find_last_of("/\\", stem);
        const size_t room  = file.find_last_of("/\\", slash - 1);
        std::string  id    = file.substr(room + 1, stem - room - 1) + "/" + name;
        std::replace(id.begin(), id.end(), '\\', '/');
        all_cases()[id] = std::move(run);
    }
};

#define CASE(name)                                                            \
    static void                 case_##name();                                \
    static const RegisteredCase case_of_##name(__FILE__, #name, case_##name); \
    static void                 case_##name()

// The command line of a program with cases: PROGRAM [--list] [--OPTION VALUE]… [FILTER…]
struct CaseArguments {
    bool                                            list = false;
    std::map<std::string, std::vector<std::string>> options;
    std::vector<std::string>                        filters;

    // Ends the process with 2 at an option that is not one of `known`.
    CaseArguments(int argc, char ** argv, std::initializer_list<const char *> known) {
        for (int i = 1; i < argc; i++) {
            const std::string argument = argv[i];
            if (argument == "--list") {
                list = true;
            } else if (argument.compare(0, 2, "--") != 0) {
                filters.push_back(argument);
            } else if (std::find(known.begin(), known.end(), argument) != known.end() && i + 1 < argc) {
                options[argument].push_back(argv[++i]);
            } else {
                std::fprintf(stderr, "unknown option, or one without its value: %s\nusage: %s [--list]",
                             argument.c_str(), argv[0]);
                for (const char * option : known) {
                    std::fprintf(stderr, " [%s FILE]", option);
                }
                std::fprintf(stderr, " [CASE ...]\n");
                std::exit(2);
            }
        }
    }
};

// The cases that one of the filters names, by their id or a part of it; all without filters.
inline std::vector<std::string> chosen_cases(const std::vector<std::string> & filters) {
    const auto chosen = [&](const std::string & id) {
        return std::any_of(filters.begin(), filters.end(), [&](const std::string & filter) {
            return filter == id || (all_cases().count(filter) == 0 && id.find(filter) != std::string::npos);
        });
    };
    std::vector<std::string> ids;
    for (const auto & [id, run] : all_cases()) {
        if (filters.empty() || chosen(id)) {
            ids.push_back(id);
        }
    }
    return ids;
}

// Runs the chosen cases, or lists them. Prints "run ID" before a case and "ok ID" or "FAIL ID" behind it, which
// tests/support/cases.py reads. Returns the exit status: 1 if a case failed, 2 if the filters match none.
inline int run_cases(const CaseArguments & arguments) {
    const std::vector<std::string> ids = chosen_cases(arguments.filters);
    if (arguments.list) {
        for (const std::string & id : ids) {
            std::printf("%s\n", id.c_str());
        }
        return 0;
    }
    size_t failed = 0;
    for (const std::string & id : ids) {
        std::printf("run  %s\n", id.c_str());
        std::fflush(stdout);  // a case may end the process, or fork
        const auto   begin = std::chrono::steady_clock::now();
        const char * state = "FAIL";
        try {
            all_cases().at(id)();
            state = "ok  ";
        } catch (const CheckFailed &) {
            failed++;
        } catch (const std::exception & e) {
            std::printf("%s\n", e.what());
            failed++;
        }
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        std::printf("%s %s (%.2f s)\n", state, id.c_str(), took.count());
        std::fflush(stdout);
    }
    std::printf("%zu passed, %zu failed\n", ids.size() - failed, failed);
    if (ids.empty()) {
        std::printf("no case matches; --list lists them all\n");
        return 2;
    }
    return failed > 0;
}

// The UTF-8 of a code point.
inline std::string utf8(uint32_t c) {
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
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
