#include "model/stored_weights.h"

#include "base/error.h"
#include "base/fork_locks.h"
#include "base/log.h"
#include "device/backends.h"

#include "ggml-backend-impl.h"
#include "ggml.h"
#include "read_ahead.h"

#include <array>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#ifdef __linux__
#    include <sys/mman.h>
#    include <unistd.h>
#endif

namespace luup {

#ifdef __linux__

// The layouts that may be kept: what they are depends on the build, the CPU variant and the processor's features.
constexpr const char * kept_layouts[] = { "CPU_INTERLEAVED", "CPU_REPACK", "AMX" };

constexpr uint64_t smallest_kept = 1 << 20;
constexpr uint64_t huge_page     = 2 << 20;

struct StoredWeights::Part {
    ggml_backend_buffer_t    buffer = nullptr;
    void *                   at     = nullptr;
    uint64_t                 size   = 0;
    std::string              name, key;
    bool                     found = false, made = false;
    std::set<std::string>    tensors;  // that the file has and llama.cpp has not named yet
    std::string              table;    // of those that were converted
    std::unique_ptr<OwnLock> lock;     // of the file that will be written; null if none will
};

// ggml's buffer types are changed once, for all threads; only loads of this class see a difference.
struct WeightsHooks {
    using Allocate = ggml_backend_buffer_t (*)(ggml_backend_buffer_type_t, size_t);
    using Set      = void (*)(ggml_backend_buffer_t, ggml_tensor *, const void *, size_t, size_t);

    struct Layout {
        ggml_backend_buffer_type_t type     = nullptr;
        Allocate                   allocate = nullptr;
        Set                        set      = nullptr;
    };

    static std::array<Layout, 8>        layouts;
    static std::string                  features;  // of the CPU backend and the processor
    static thread_local StoredWeights * load;

    static std::mutex & mutex;
    static bool         installed;

    static Layout * find(ggml_backend_buffer_type_t type) {
        for (Layout & layout : layouts) {
            if (layout.type == type) {
                return &layout;
            }
        }
        return nullptr;
    }

    // Adds a type, unless its buffers can't be put at another place.
    static void add(Layout & layout, ggml_backend_buffer_type_t type) {
        const ggml_backend_buffer_t buffer = type->iface.alloc_buffer(type, 64);
        if (!buffer) {
            return;
        }
        const bool known = buffer->iface.set_tensor && buffer->iface.free_buffer && buffer->iface.get_base &&
                           buffer->iface.get_base(buffer) == buffer->context;
        if (known) {
            layout                   = { type, type->iface.alloc_buffer, buffer->iface.set_tensor };
            type->iface.alloc_buffer = allocate;
        }
        ggml_backend_buffer_free(buffer);
    }

    static void install() {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!installed) {
            const ggml_backend_reg_t cpu   = ggml_backend_dev_backend_reg(cpu_device());
            const auto               types = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
                ggml_backend_reg_get_proc_address(cpu, "ggml_backend_dev_get_extra_bufts"));
            const auto describe = reinterpret_cast<ggml_backend_get_features_t>(
                ggml_backend_reg_get_proc_address(cpu, "ggml_backend_get_features"));
            features = load_backends().name;
            for (const ggml_backend_feature * f = describe ? describe(cpu) : nullptr; f && f->name; f++) {
                features += std::string(" ") + f->name + "=" + f->value;
            }
            for (auto * type = types ? types(cpu_device()) : nullptr; type && *type; type++) {
                for (const char * name : kept_layouts) {
                    Layout * const place = find(nullptr);
                    if (place && !find(*type) && std::strcmp(ggml_backend_buft_name(*type), name) == 0) {
                        add(*place, *type);
                    }
                }
            }
            installed = true;
        }
    }

    static ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
        if (load) {
            try {
                return load->allocate(type, size);
            } catch (const std::exception & error) {
                log_write(LUUP_LOG_WARN, std::string("the cache of weights can't be used: ") + error.what());
            }
        }
        return find(type)->allocate(type, size);
    }

    // Called for all buffers that a load has allocated, only while the load runs.
    static void set(ggml_backend_buffer_t buffer, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
        if (load && offset == 0) {
            load->set(buffer, tensor, data, size);
        }
    }

    static void unmap(ggml_backend_buffer_t buffer) { munmap(buffer->context, mapped_size(buffer->size)); }

    // Returns a buffer of this type whose memory is at `at`; null, and nothing is freed, without memory for it.
    static ggml_backend_buffer_t wrap(ggml_backend_buffer_type_t type, void * at, uint64_t size) {
        const Layout &              layout = *find(type);
        const ggml_backend_buffer_t buffer = layout.allocate(type, 64);
        if (!buffer) {
            return nullptr;
        }
        buffer->iface.free_buffer(buffer);
        buffer->context           = at;
        buffer->size              = static_cast<size_t>(size);
        buffer->iface.free_buffer = unmap;
        buffer->iface.set_tensor  = set;
        return buffer;
    }
};

std::array<WeightsHooks::Layout, 8> WeightsHooks::layouts;
std::string                         WeightsHooks::features;
thread_local StoredWeights *        WeightsHooks::load      = nullptr;
bool                                WeightsHooks::installed = false;

// Never destroyed, and made when the library is loaded, see keep_over_fork().
std::mutex & WeightsHooks::mutex = []() -> std::mutex & {
    auto * made = new std::mutex();
    keep_over_fork(ForkLock::Weights, *made);
    return *made;
}();

namespace {

// Returns memory that begins at a huge page; null if there is none.
void * reserve(uint64_t size) {
    void * const whole =
        mmap(nullptr, size + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (whole == MAP_FAILED) {
        return nullptr;
    }
    const auto     begin = reinterpret_cast<uintptr_t>(whole);
    const uint64_t head  = (huge_page - begin % huge_page) % huge_page;
    if (head > 0) {
        munmap(whole, head);
    }
    munmap(reinterpret_cast<void *>(begin + head + size), huge_page - head);
    return reinterpret_cast<void *>(begin + head);
}

// Maps the weights of a file over memory from reserve().
bool map_over(void * at, uint64_t size, const OwnFile & file) {
    if (mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, file.descriptor(), 0) == MAP_FAILED) {
        return false;
    }
    madvise(at, size, MADV_HUGEPAGE);  // reads large parts, if the kernel has huge pages for files
    return true;
}

// A line of a file's table.
std::string tensor_line(const ggml_tensor * tensor, const void * base) {
    std::string line = std::to_string(static_cast<const char *>(tensor->data) - static_cast<const char *>(base));
    line += " " + std::to_string(static_cast<int>(tensor->type));
    for (const int64_t n : tensor->ne) {
        line += " " + std::to_string(n);
    }
    return line + " " + ggml_get_name(tensor);
}

// Returns the pages of a mapped file to the system; they are read again when they are needed.
void give_back(const void * data, size_t size) {
    const auto page  = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
    const auto end   = (reinterpret_cast<uintptr_t>(data) + size) / page * page;
    if (begin < end) {
        madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
    }
}

}  // namespace

StoredWeights::StoredWeights(const WeightsCache & cache, std::string model, bool mapped, MappedFiles & watched,
                             std::function<bool()> stop)
    : cache_(cache),
      model_(std::move(model)),
      mapped_(mapped),
      watched_(watched),
      stop_(std::move(stop)),
      outer_(WeightsHooks::load) {
    WeightsHooks::install();
    WeightsHooks::load = this;
    luup_mapping       = !model_.empty() && cache_.may_have(model_) ? LUUP_READ_NOTHING : LUUP_READ;
}

StoredWeights::~StoredWeights() {
    WeightsHooks::load = outer_;
    luup_mapping       = LUUP_READ_AND_MAP;
}

ggml_backend_buffer_t StoredWeights::allocate(ggml_backend_buffer_type_t type, size_t size) {
    auto part  = std::make_unique<Part>();
    part->size = size;
    const std::string layout =
        std::string(ggml_backend_buft_name(type)) + " " LUUP_LAYOUT_ID " " + WeightsHooks::features;
    part->key                    = model_ + "\n" + layout;
    part->name                   = WeightsCache::name_of(model_, layout + " " + std::to_string(size));
    ggml_backend_buffer_t buffer = nullptr;
    if (!model_.empty() && cache_ && size >= smallest_kept) {
        buffer = in_file(*part, type);
        if (!buffer) {
            // Whoever makes the file first makes it for all.
            part->lock = std::make_unique<OwnLock>();
            if (!cache_.lock(*part->lock, part->name, stop_)) {
                part->lock.reset();
            }
            buffer = in_file(*part, type);
        }
    }
    if (buffer && part->lock) {
        cache_.unlock(*part->lock, part->name);
        part->lock.reset();
    }
    if (!buffer) {
        buffer = in_memory(*part, type);
    }
    part->buffer = buffer;
    if (buffer) {
        parts_.push_back(std::move(part));
    }
    return buffer;
}

ggml_backend_buffer_t StoredWeights::in_file(Part & part, ggml_backend_buffer_type_t type) {
    WeightsFile file;
    if (!cache_.open(file, part.name, part.key, part.size)) {
        return nullptr;
    }
    const uint64_t size = mapped_size(part.size);
    void * const   at   = reserve(size);
    if (!at) {
        return nullptr;
    }
    watched_.watch("/proc/self/fd/" + std::to_string(file.file.descriptor()), cache_.path(part.name));
    ggml_backend_buffer_t buffer = nullptr;
    if (map_over(at, size, file.file) && is_intact(part, file, at)) {
        buffer = WeightsHooks::wrap(type, at, part.size);
    }
    if (!buffer) {
        munmap(at, size);
        return nullptr;
    }
    for (size_t begin = 0; begin < file.table.size();) {
        const size_t end = std::min(file.table.find('\n', begin), file.table.size());
        part.tensors.insert(file.table.substr(begin, end - begin));
        begin = end + 1;
    }
    part.at    = at;
    part.found = true;
    cache_.set_used(part.name);
    return buffer;
}

// The file's table and sizes are right. The weights are compared with their checksum once, which reads all of them.
bool StoredWeights::is_intact(const Part & part, const WeightsFile & file, const void * weights) const {
    if (cache_.is_checked(part.name, file)) {
        return true;
    }
    if (weights_sum(weights, part.size) != file.sum) {
        log_write(LUUP_LOG_WARN, "the file " + cache_.path(part.name) + " is damaged, and is made again");
        cache_.remove(part.name);
        return false;
    }
    cache_.set_checked(part.name, file);
    return true;
}

ggml_backend_buffer_t StoredWeights::in_memory(Part & part, ggml_backend_buffer_type_t type) {
    if (part.size >= smallest_kept) {
        const uint64_t size = mapped_size(part.size);
        if (void * const at = reserve(size)) {
            madvise(at, size, MADV_HUGEPAGE);
            if (const ggml_backend_buffer_t buffer = WeightsHooks::wrap(type, at, part.size)) {
                part.at = at;
                return buffer;
            }
            munmap(at, size);
        }
    }
    part.lock.reset();
    return WeightsHooks::find(type)->allocate(type, static_cast<size_t>(part.size));
}

void StoredWeights::set(ggml_backend_buffer_t buffer, ggml_tensor * tensor, const void * data, size_t size) {
    for (const auto & part : parts_) {
        if (part->buffer != buffer) {
            continue;
        }
        const std::string line = tensor_line(tensor, part->at);
        if (part->found) {
            right_ = part->tensors.erase(line) == 1 && right_;
            return;
        }
        WeightsHooks::find(buffer->buft)->set(buffer, tensor, data, 0, size);
        part->table += line + "\n";
        if (mapped_) {
            give_back(data, size);
        }
    }
}

void StoredWeights::keep() {
    for (const auto & part : parts_) {
        right_ = right_ && part->tensors.empty();
        if (part->found && !right_) {
            cache_.remove(part->name);
        }
        if (part->lock) {
            keep(*part);
        }
        (part->found ? sizes_.found : part->made ? sizes_.made : sizes_.memory) += part->size;
    }
}

void StoredWeights::keep(Part & part) {
    const uint64_t size   = mapped_size(part.size);
    std::string    reason = cache_.make_room(weights_file_size(part.size, part.table));
    WeightsFile    file;
    if (reason.empty()) {
        try {
            cache_.write(part.name, part.key, part.at, part.size, part.table);
            if (!cache_.open(file, part.name, part.key, part.size)) {
                reason = "it was removed at once";
            }
        } catch (const Error & error) {
            reason = error.what();
        }
    }
    cache_.unlock(*part.lock, part.name);
    part.lock.reset();
    if (!reason.empty()) {
        log_write(LUUP_LOG_INFO, "the weights are not kept for the next load: " + reason);
        return;
    }
    watched_.watch("/proc/self/fd/" + std::to_string(file.file.descriptor()), cache_.path(part.name));
    if (!map_over(part.at, size, file.file)) {
        fail(LUUP_ERROR_OUT_OF_MEMORY, "the weights can't be mapped: there is not enough address space");
    }
    cache_.set_checked(part.name, file);
    part.made = true;
}

#else

struct StoredWeights::Part {};

StoredWeights::StoredWeights(const WeightsCache & cache, std::string model, bool mapped, MappedFiles & watched,
                             std::function<bool()> stop)
    : cache_(cache), model_(std::move(model)), mapped_(mapped), watched_(watched), stop_(std::move(stop)) {}

StoredWeights::~StoredWeights() = default;

void StoredWeights::keep() {}

#endif

}  // namespace luup
