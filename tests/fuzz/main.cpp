// The frame of every fuzz target: LLVMFuzzerTestOneInput() for libFuzzer.
//   luup-fuzz-TARGET --model=FILE [LIBFUZZER OPTION…] [CORPUS…]
#include "target.h"

#include "vocabulary.h"

#include <filesystem>
#include <fstream>

#include <unistd.h>

std::vector<std::string_view> split(std::string_view input, size_t count) {
    std::vector<std::string_view> parts;
    size_t                        begin = 0;
    for (size_t end; (end = input.find('\0', begin)) != std::string_view::npos; begin = end + 1) {
        parts.push_back(input.substr(begin, end - begin));
    }
    parts.push_back(input.substr(begin));
    while (parts.size() < count) {
        parts.emplace_back();
    }
    return parts;
}

#if defined(__clang__) && defined(__ELF__)
// The initialization of `luup_mapping` (llama_patches/read_ahead.h), a constant that needs none. clang refers to
// such a function where a variable of a thread is declared extern, and the linker refuses a program without it.
extern "C" void _ZTH12luup_mapping() {}
#endif

namespace {

// Removes the file at exit.
struct OwnFile {
    std::string path =
        (std::filesystem::temp_directory_path() / ("luup-fuzz-" + std::to_string(getpid()) + ".input")).string();

    ~OwnFile() { std::filesystem::remove(path); }
};

}  // namespace

const std::string & write_file(std::string_view input) {
    static const OwnFile file;
    std::ofstream        stream(file.path, std::ios::binary | std::ios::trunc);
    stream.write(input.data(), static_cast<std::streamsize>(input.size()));
    MUST(stream.flush());
    return file.path;
}

extern "C" int LLVMFuzzerInitialize(int * count, char *** arguments) {
    const std::string option = "--model=";  // libFuzzer ignores options with two dashes
    for (int i = 1; i < *count; i++) {
        const std::string argument = (*arguments)[i];
        if (argument.compare(0, option.size(), option) == 0) {
            set_model_path(argument.substr(option.size()));
        }
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    try {
        run_target({ reinterpret_cast<const char *>(data), size });
    } catch (const luup::Error & error) {
        MUST(error.code() != LUUP_ERROR_INTERNAL);
    }
    return 0;
}
