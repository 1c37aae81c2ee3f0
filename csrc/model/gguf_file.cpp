#include "model/gguf_file.h"

#include "base/error.h"
#include "base/fingerprint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

namespace luup {

void check_file(const std::string & path) {
    const fs::path  p = fs::u8path(path);
    std::error_code ec;
    const auto      status = fs::status(p, ec);
    if (!fs::exists(status)) {
        fail(LUUP_ERROR_MODEL_NOT_FOUND, "there is no file %s", path.c_str());
    }
    if (fs::is_directory(status)) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is a directory, not a GGUF file", path.c_str());
    }
    if (!fs::is_regular_file(status)) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is not a regular file", path.c_str());
    }
    std::ifstream       file(p, std::ios::binary);
    std::array<char, 4> magic = {};
    if (!file) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be read", path.c_str());
    }
    if (!file.read(magic.data(), magic.size())) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is too short for a GGUF file (%zu bytes)", path.c_str(),
             static_cast<size_t>(file.gcount()));
    }
    if (std::memcmp(magic.data(), "GGUF", magic.size()) != 0) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is not a GGUF file: it does not begin with the letters GGUF",
             path.c_str());
    }
}

std::string text_key(const std::string & text) {
    Fingerprint f;
    f.add(text.data(), text.size());
    return std::to_string(f.value());
}

std::string file_key(const std::string & path) {
    constexpr std::streamoff part = 4 << 20;
    std::ifstream            file(fs::u8path(path), std::ios::binary | std::ios::ate);
    const std::streamoff     size = file.tellg();
    if (size < 0) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be read", path.c_str());
    }
    std::string          bytes(static_cast<size_t>(std::min(size, 2 * part)), '\0');
    const std::streamoff head = std::min(size, part);
    file.seekg(0);
    file.read(&bytes[0], head);
    file.seekg(size - static_cast<std::streamoff>(bytes.size()) + head);
    file.read(&bytes[static_cast<size_t>(head)], static_cast<std::streamsize>(bytes.size()) - head);
    return std::to_string(size) + " " + text_key(bytes);
}

}  // namespace luup
