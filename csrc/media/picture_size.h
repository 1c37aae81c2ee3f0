// The size of a picture, by its header.
#pragma once

#include <cstdint>
#include <string_view>

namespace luup {

// Reads the size of a PNG or JPEG file. False if its header is broken.
bool read_picture_size(std::string_view bytes, uint32_t & width, uint32_t & height);

}  // namespace luup
