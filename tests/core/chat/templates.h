// The chat templates that llama.cpp bundles.
#pragma once

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

// Return the source of the template `name`, from llama.cpp's models/templates.
inline std::string read_template(const std::string & name) {
    const std::string path = LUUP_TEMPLATES "/" + name + ".jinja";
    std::ifstream     file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error("there is no file " + path);
    }
    return std::string(std::istreambuf_iterator<char>(file), {});
}
