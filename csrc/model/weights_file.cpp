#include "model/weights_file.h"

#include "base/atomic_file.h"
#include "base/fingerprint.h"
#include "device/backends.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

#ifdef __linux__
#    include <cerrno>

#    include <fcntl.h>
#    include <unistd.h>
#endif

namespace luup {

namespace {

constexpr uint64_t weights_page      = 4096;     // the weights fill whole pages
constexpr uint64_t summed_part       = 4 << 20;  // bytes that one thread sums up at once
constexpr char     weights_format[8] = { 'L', 'U', 'U', 'P', 'W', 'T', 'S', '1' };
constexpr uint64_t longest_table     = 64 << 20;

struct Footer {
    char     format[8];
    uint64_t size, table_size;
    uint64_t sum, table_sum, key_sum;
    uint64_t footer_sum;  // of the fields before
};

static_assert(std::is_trivially_copyable_v<Footer> && sizeof(Footer) == 56);

uint64_t fingerprint_of(const void * data, size_t size) {
    Fingerprint f;
    f.add(data, size);
    return f.value();
}

uint64_t fingerprint_of(const std::string & text) {
    return fingerprint_of(text.data(), text.size());
}

// Calls sum(first, size) for each part, in several threads, and returns the sum of the sums.
template <typename Sum> uint64_t sum_parts(uint64_t size, Sum sum) {
    const uint64_t        parts = (size + summed_part - 1) / summed_part;
    std::vector<uint64_t> sums(parts);
    std::atomic<uint64_t> next{ 0 };
    const auto            work = [&] {
        for (uint64_t part = next++; part < parts; part = next++) {
            const uint64_t begin = part * summed_part;
            sums[part]           = sum(begin, static_cast<size_t>(std::min(summed_part, size - begin)));
        }
    };
    std::vector<std::thread> threads;
    try {
        for (int i = 1; i < std::min(usable_threads(), 8); i++) {
            threads.emplace_back(work);
        }
    } catch (const std::system_error &) {
        // The system has no more threads: this one does the rest.
    }
    work();
    for (std::thread & thread : threads) {
        thread.join();
    }
    return fingerprint_of(sums.data(), sums.size() * sizeof(uint64_t));
}

}  // namespace

uint64_t mapped_size(uint64_t size) {
    return (size + weights_page - 1) / weights_page * weights_page;
}

uint64_t weights_file_size(uint64_t size, const std::string & table) {
    return mapped_size(size) + table.size() + sizeof(Footer);
}

uint64_t weights_sum(const void * data, uint64_t size) {
    return sum_parts(
        size, [&](uint64_t begin, size_t n) { return fingerprint_of(static_cast<const char *>(data) + begin, n); });
}

#ifdef __linux__

std::optional<uint64_t> file_sum(const std::string & path) {
    const auto info = identify_file(path);
    const int  fd   = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (!info || fd < 0) {
        return std::nullopt;
    }
    std::atomic<bool> complete{ true };
    const uint64_t    sum = sum_parts(info->size, [&](uint64_t begin, size_t size) {
        const std::unique_ptr<char[]> bytes(new (std::nothrow) char[size]);
        for (size_t done = 0; bytes && done < size;) {
            const ssize_t n = pread(fd, bytes.get() + done, size - done, static_cast<off_t>(begin + done));
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n <= 0) {
                complete = false;
                return uint64_t(0);
            }
            done += static_cast<size_t>(n);
        }
        complete = complete && bytes;
        return bytes ? fingerprint_of(bytes.get(), size) : 0;
    });
    close(fd);
    return complete ? std::optional<uint64_t>(sum) : std::nullopt;
}

#else

std::optional<uint64_t> file_sum(const std::string &) {
    return std::nullopt;
}

#endif

bool WeightsFile::open(const OwnFolder & folder, const std::string & name, const std::string & key, uint64_t size) {
    file = folder.open(name);
    if (!file) {
        return false;
    }
    Footer         footer = {};
    const uint64_t length = file.identity().size;
    bool intact = length >= sizeof(footer) && file.read(&footer, sizeof(footer), length - sizeof(footer)) &&
                  std::memcmp(footer.format, weights_format, sizeof(weights_format)) == 0 &&
                  footer.footer_sum == fingerprint_of(&footer, offsetof(Footer, footer_sum)) && footer.size == size &&
                  footer.key_sum == fingerprint_of(key) && footer.table_size <= longest_table &&
                  length == mapped_size(size) + footer.table_size + sizeof(footer);
    if (intact) {
        table.assign(static_cast<size_t>(footer.table_size), '\0');
        intact = file.read(&table[0], table.size(), mapped_size(size)) && fingerprint_of(table) == footer.table_sum;
        sum    = footer.sum;
    }
    if (!intact) {
        file = OwnFile();
        folder.remove(name);
    }
    return intact;
}

void write_weights_file(const OwnFolder & folder, const std::string & name, const std::string & key, const void * data,
                        uint64_t size, const std::string & table) {
    Footer footer = {};
    std::memcpy(footer.format, weights_format, sizeof(weights_format));
    footer.size       = size;
    footer.table_size = table.size();
    footer.sum        = weights_sum(data, size);
    footer.table_sum  = fingerprint_of(table);
    footer.key_sum    = fingerprint_of(key);
    footer.footer_sum = fingerprint_of(&footer, offsetof(Footer, footer_sum));

    AtomicFile     file(folder.path(name));
    const auto *   bytes = static_cast<const char *>(data);
    constexpr auto part  = size_t(8) << 20;  // large parts, so that the kernel keeps the file in large pages
    for (uint64_t done = 0; done < size; done += part) {
        file.write(bytes + done, static_cast<size_t>(std::min<uint64_t>(part, size - done)));
    }
    const std::string padding(static_cast<size_t>(mapped_size(size) - size), '\0');
    file.write(padding.data(), padding.size());
    file.write(table.data(), table.size());
    file.write(&footer, sizeof(footer));
    file.commit_soon();
}

}  // namespace luup
