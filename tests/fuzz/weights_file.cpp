// A file of the weights cache: what was not written for its key is removed, and never read beyond its end.
#include "model/weights_file.h"

#include "base/own_folder.h"

#include "target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

using namespace luup;

namespace {

constexpr char     name[] = "fuzz.weights", key[] = "the model\nthe layout";
constexpr uint64_t size = 100;  // of the weights

// A folder of this process, which is gone at its end.
struct Folder {
    std::string path = (std::filesystem::temp_directory_path() / ("luup-fuzz-" + std::to_string(getpid()))).string();
    OwnFolder   own{ path };

    ~Folder() { std::filesystem::remove_all(path); }
};

void put(const OwnFolder & folder, std::string_view content) {
    std::FILE * file = std::fopen(folder.path(name).c_str(), "wb");
    MUST(file && std::fwrite(content.data(), 1, content.size(), file) == content.size() && std::fclose(file) == 0);
    MUST(chmod(folder.path(name).c_str(), 0600) == 0);
}

}  // namespace

FUZZ_TARGET() {
    static const Folder folder;
    put(folder.own, input);
    WeightsFile file;
    if (file.open(folder.own, name, key, size)) {
        MUST(file.file.identity().size == weights_file_size(size, file.table));
        file_sum(folder.own.path(name));
    } else {
        MUST(!std::filesystem::exists(folder.own.path(name)));
    }
    // A right file that is damaged at one place: open() finds it, or the checksum of the weights does.
    if (input.size() < 3) {
        return;
    }
    const std::string weights(size, 'w'), table = "0 0 1 1 1 1 a\n";
    write_weights_file(folder.own, name, key, weights.data(), size, table);
    const uint64_t length = weights_file_size(size, table);
    const uint64_t at     = (static_cast<unsigned char>(input[0]) << 8 | static_cast<unsigned char>(input[1])) % length;
    const int      fd     = open(folder.own.path(name).c_str(), O_RDWR);
    char           byte   = 0;
    MUST(fd >= 0 && pread(fd, &byte, 1, static_cast<off_t>(at)) == 1);
    const char other = input[2];
    MUST(pwrite(fd, &other, 1, static_cast<off_t>(at)) == 1 && close(fd) == 0);
    WeightsFile again;
    if (again.open(folder.own, name, key, size)) {
        std::string read(size, '\0');
        MUST(again.file.read(&read[0], size, 0) && again.table == table);
        MUST((weights_sum(read.data(), size) == again.sum) == (read == weights));
        MUST(other == byte || at < mapped_size(size));
    } else {
        MUST(other != byte);
    }
}
