// All fuzz targets in one program that needs no libFuzzer, so that any compiler builds them in every build of the
// tools:
//   luup-fuzz-corpus --model=FILE FOLDER
// Runs each target with the inputs that are kept for it in FOLDER/TARGET, and with beginnings of them. A finding ends
// the program; the last line names its input.
#include "target.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

extern "C" int LLVMFuzzerInitialize(int * count, char *** arguments);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

namespace {

constexpr size_t CUTS = 16;  // beginnings of an input

using Target = void (*)(std::string_view);

// A function, as targets are added before main() in any order of files.
std::map<std::string, Target> & targets() {
    static std::map<std::string, Target> all;
    return all;
}

Target current = nullptr;

std::string read(const std::filesystem::path & path) {
    std::ifstream file(path, std::ios::binary);
    std::string   bytes{ std::istreambuf_iterator<char>(file), {} };
    MUST(file);
    return bytes;
}

// Runs the current target with an input, and with its beginnings. Returns the number of runs.
size_t run_beginnings(const std::string & input) {
    size_t       runs = 0;
    const size_t step = std::max<size_t>(input.size() / CUTS, 1);
    for (size_t size = input.size();; size -= step, runs++) {
        const std::string beginning = input.substr(0, size);  // a copy, which a sanitizer guards at its end
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(beginning.data()), beginning.size());
        if (size < step) {
            return runs + 1;
        }
    }
}

}  // namespace

bool add_target(const char * name, void (*target)(std::string_view)) {
    MUST(targets().emplace(name, target).second);
    return true;
}

void run_target(std::string_view input) {
    current(input);
}

int main(int count, char ** arguments) {
    if (count != 3) {
        std::fprintf(stderr, "usage: luup-fuzz-corpus --model=FILE FOLDER\n");
        return 2;
    }
    LLVMFuzzerInitialize(&count, &arguments);
    for (const auto & [name, target] : targets()) {
        current     = target;
        size_t runs = 0;
        for (const auto & entry : std::filesystem::directory_iterator(std::filesystem::path(arguments[2]) / name)) {
            std::printf("%s: %s\n", name.c_str(), entry.path().filename().c_str());
            std::fflush(stdout);
            runs += run_beginnings(read(entry.path()));
        }
        MUST(runs > 0);
        std::printf("%s: %zu runs\n", name.c_str(), runs);
    }
    return 0;
}
