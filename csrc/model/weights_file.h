// A file of weights in the layout that the kernels of this machine read.
#pragma once

#include "base/own_folder.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace luup {

// The weights from the beginning of the file, so that a mapping of it may have huge pages; then a table of the tensors,
// and a footer with sizes and checksums of all of it.
struct WeightsFile {
    OwnFile     file;
    std::string table;
    uint64_t    sum = 0;  // of the weights

    // Opens a file and checks all but the weights themselves. `size` is that of the weights. False if it is missing; it
    // is removed if it is not what was written for this key.
    bool open(const OwnFolder & folder, const std::string & name, const std::string & key, uint64_t size);
};

// Return the checksum of weights in memory, and of a file, with several threads. std::nullopt if it can't be read.
uint64_t                weights_sum(const void * data, uint64_t size);
std::optional<uint64_t> file_sum(const std::string & path);

// Returns the size of such a file, and that of its part that is mapped.
uint64_t weights_file_size(uint64_t size, const std::string & table);
uint64_t mapped_size(uint64_t size);

// Writes such a file. Throws Error(LUUP_ERROR_IO).
void write_weights_file(const OwnFolder & folder, const std::string & name, const std::string & key, const void * data,
                        uint64_t size, const std::string & table);

}  // namespace luup
