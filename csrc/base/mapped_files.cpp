#include "base/mapped_files.h"

#include <atomic>

#ifdef __linux__
#    include "base/fork_locks.h"

#    include <array>
#    include <cerrno>
#    include <csignal>
#    include <mutex>

#    include <fcntl.h>
#    include <sys/mman.h>
#    include <sys/sysmacros.h>
#    include <unistd.h>
#endif

namespace luup {

// Read by the signal handler, so without locks. `users` is changed under slots_mutex only.
struct MappedFiles::Slot {
    std::atomic<int>      users{ 0 };
    std::atomic<uint64_t> device{ 0 }, inode{ 0 };
    std::atomic<uint64_t> losses{ 0 };
};

#ifdef __linux__

struct MappedFileTable {
    static std::array<MappedFiles::Slot, 256> slots;

    static MappedFiles::Slot * find(uint64_t device, uint64_t inode) {
        for (MappedFiles::Slot & slot : slots) {
            if (slot.users.load() > 0 && slot.inode.load() == inode && slot.device.load() == device) {
                return &slot;
            }
        }
        return nullptr;
    }

    // Call it with slots_mutex held.
    static MappedFiles::Slot * take(uint64_t device, uint64_t inode) {
        for (MappedFiles::Slot & slot : slots) {
            if (slot.users.load() == 0) {
                slot.device.store(device);
                slot.inode.store(inode);
                return &slot;
            }
        }
        return nullptr;
    }
};

std::array<MappedFiles::Slot, 256> MappedFileTable::slots;

namespace {

// Never destroyed, and made when the library is loaded, see keep_over_fork().
std::mutex & slots_mutex = []() -> std::mutex & {
    auto * made = new std::mutex();
    keep_over_fork(ForkLock::MappedFiles, *made);
    return *made;
}();

struct sigaction previous;  // the action that ours has replaced

// A line of /proc/self/maps: "begin-end perms offset major:minor inode   path".
struct Mapping {
    uint64_t begin = 0, end = 0, device = 0, inode = 0;
    bool     writable = false;
};

// Reads /proc/self/maps with nothing but calls that a signal handler may use.
class MapsReader {
  public:
    MapsReader() : fd_(open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}

    ~MapsReader() {
        if (fd_ >= 0) {
            close(fd_);
        }
    }

    // Returns false at the end of the file.
    bool next(Mapping & mapping) {
        uint64_t offset = 0, major = 0, minor = 0;
        char     permissions[4] = {};
        if (!number(16, '-', mapping.begin) || !number(16, ' ', mapping.end)) {
            return false;
        }
        for (char & c : permissions) {
            c = static_cast<char>(get());
        }
        get();
        if (!number(16, ' ', offset) || !number(16, ':', major) || !number(16, ' ', minor) ||
            !number(10, ' ', mapping.inode)) {
            return false;
        }
        mapping.writable = permissions[1] == 'w';
        mapping.device   = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
        for (int c = last_; c != '\n' && c >= 0;) {
            c = get();
        }
        return true;
    }

  private:
    int get() {
        if (at_ == size_) {
            do {
                size_ = fd_ < 0 ? -1 : read(fd_, buffer_, sizeof buffer_);
            } while (size_ < 0 && fd_ >= 0 && errno == EINTR);
            at_ = 0;
            if (size_ <= 0) {
                size_        = 0;
                return last_ = -1;
            }
        }
        return last_ = static_cast<unsigned char>(buffer_[at_++]);
    }

    // Reads digits up to `end`.
    bool number(unsigned base, char end, uint64_t & value) {
        value = 0;
        for (int c = get(); c != end; c = get()) {
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
            if (digit >= static_cast<int>(base)) {
                return base == 10 && c == '\n' && value != 0;  // a mapping without a path
            }
            value = value * base + static_cast<uint64_t>(digit);
        }
        return true;
    }

    int     fd_;
    char    buffer_[1024];
    ssize_t at_ = 0, size_ = 0;
    int     last_ = 0;
};

// Finds out which device and inode a mapping of the file has in /proc/self/maps. With some file systems (overlayfs,
// btrfs) they are not those of stat().
bool identify(const std::string & path, Mapping & mapping) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    const size_t page  = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void *       at    = mmap(nullptr, page, PROT_READ, MAP_SHARED, fd, 0);
    bool         found = false;
    close(fd);
    if (at == MAP_FAILED) {
        return false;
    }
    for (MapsReader maps; !found && maps.next(mapping);) {
        found = mapping.begin <= reinterpret_cast<uint64_t>(at) && reinterpret_cast<uint64_t>(at) < mapping.end;
    }
    munmap(at, page);
    return found && mapping.inode != 0;
}

// The address ranges that got zeros. Several threads may read lost pages at once: a late thread finds the zeros
// already.
class Replaced {
  public:
    void add(uint64_t begin, uint64_t end) {
        const size_t i = count_.fetch_add(1) % ends_.size();
        begins_[i].store(begin);
        ends_[i].store(end);
    }

    bool contains(uint64_t address) const {
        for (size_t i = 0; i < ends_.size(); i++) {
            if (begins_[i].load() <= address && address < ends_[i].load()) {
                return true;
            }
        }
        return false;
    }

  private:
    std::array<std::atomic<uint64_t>, 256> begins_{}, ends_{};
    std::atomic<size_t>                    count_{ 0 };
};

Replaced replaced;

// If `address` belongs to a watched file, puts zeros there and counts the loss. The rest of the mapping gets zeros too,
// because all of it is behind the file's end.
bool replace_lost_pages(uint64_t address) {
    MapsReader maps;
    for (Mapping mapping; maps.next(mapping);) {
        if (address < mapping.begin || address >= mapping.end) {
            continue;
        }
        if (mapping.inode == 0) {
            return replaced.contains(address);
        }
        auto * slot = MappedFileTable::find(mapping.device, mapping.inode);
        if (!slot) {
            return false;
        }
        const uint64_t page  = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
        const uint64_t begin = address / page * page;
        void * const   at    = reinterpret_cast<void *>(begin);
        const int      how   = mapping.writable ? PROT_READ | PROT_WRITE : PROT_READ;
        replaced.add(begin, mapping.end);
        slot->losses.fetch_add(1);
        return mmap(at, mapping.end - begin, how, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == at;
    }
    return false;
}

void on_bus_error(int number, siginfo_t * info, void * context) {
    const int error = errno;
    if (info->si_code == BUS_ADRERR && replace_lost_pages(reinterpret_cast<uint64_t>(info->si_addr))) {
        errno = error;
        return;
    }
    errno = error;
    if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else {
        signal(SIGBUS, SIG_DFL);  // the read is repeated and ends the process
    }
}

// Once in a process. Never undone: another library may have put its own handler on top.
void install_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action = {};
        action.sa_sigaction     = on_bus_error;
        action.sa_flags         = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, nullptr, &previous);
        sigaction(SIGBUS, &action, nullptr);
    });
}

}  // namespace

void MappedFiles::watch(const std::string & path, const std::string & name) {
    opened_.push_back({ name, std::make_unique<UnchangedFile>(path) });
    const std::lock_guard<std::mutex> lock(slots_mutex);
    Mapping                           mapping;
    if (!identify(path, mapping)) {
        return;
    }
    Slot * slot = MappedFileTable::find(mapping.device, mapping.inode);
    if (!slot) {
        slot = MappedFileTable::take(mapping.device, mapping.inode);
    }
    if (slot) {  // more files than slots are not watched
        slot->users.fetch_add(1);
        files_.push_back({ name, slot, slot->losses.load() });
        install_handler();
    }
}

MappedFiles::~MappedFiles() {
    const std::lock_guard<std::mutex> lock(slots_mutex);
    for (const Watched & file : files_) {
        file.slot->users.fetch_sub(1);
    }
}

std::string MappedFiles::lost() const {
    for (const Watched & file : files_) {
        if (file.slot->losses.load(std::memory_order_relaxed) > file.losses) {
            return file.path;
        }
    }
    return "";
}

#else

MappedFiles::~MappedFiles() = default;

void MappedFiles::watch(const std::string & path, const std::string & name) {
    opened_.push_back({ name, std::make_unique<UnchangedFile>(path) });
}

std::string MappedFiles::lost() const {
    return "";
}

#endif

MappedFiles::MappedFiles(const std::vector<std::string> & paths) {
    for (const std::string & path : paths) {
        watch(path, path);
    }
}

std::string MappedFiles::changed() const {
    for (const Opened & opened : opened_) {
        if (!opened.file->is_unchanged()) {
            return opened.path;
        }
    }
    return "";
}

}  // namespace luup
