#include "device/backends.h"

#include "device/amx.h"
#include "device/cgroup.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/fork_locks.h"
#include "base/log.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#if defined(_WIN32)
#    define WIN32_LEAN_AND_MEAN
#    include <windows.h>
#else
#    include <dlfcn.h>
#    include <unistd.h>
#endif
#if defined(__linux__)
#    include <sched.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#    include <cpuid.h>
#endif

namespace fs = std::filesystem;

namespace luup {

namespace {

#if defined(_WIN32)
const char module_prefix[] = "ggml-";
const char module_suffix[] = ".dll";
#else
const char module_prefix[] = "libggml-";
const char module_suffix[] = ".so";  // MODULE libraries of CMake end in .so on macOS too
#endif

// Returns the folder of this library, which has the modules. The current directory and the executable's folder are
// never searched.
fs::path library_folder() {
#if defined(_WIN32)
    HMODULE handle = nullptr;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                       reinterpret_cast<LPCWSTR>(&luup_backends_load), &handle);
    std::vector<wchar_t> buffer(32768);
    const DWORD          length = GetModuleFileNameW(handle, buffer.data(), static_cast<DWORD>(buffer.size()));
    return fs::path(std::wstring(buffer.data(), length)).parent_path();
#else
    Dl_info info;
    if (dladdr(reinterpret_cast<const void *>(&luup_backends_load), &info) == 0 || !info.dli_fname) {
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "the folder of the luup-agent library was not found");
    }
    std::error_code ec;
    const fs::path  path = fs::canonical(info.dli_fname, ec);
    return (ec ? fs::path(info.dli_fname) : path).parent_path();
#endif
}

// Returns a function of a module that stays loaded; nullptr if it has none with this name.
void * loaded_function(const fs::path & path, const char * name) {
#if defined(_WIN32)
    HMODULE handle = GetModuleHandleW(path.c_str());
    return handle ? reinterpret_cast<void *>(GetProcAddress(handle, name)) : nullptr;
#else
    void * handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (!handle) {
        return nullptr;
    }
    void * function = dlsym(handle, name);
    dlclose(handle);
    return function;
#endif
}

// Returns a module's score for this CPU: higher is better, 0 = it cannot run; -1 if the file cannot be loaded.
int module_score(const fs::path & path) {
    using score_function = int (*)();
#if defined(_WIN32)
    HMODULE handle = LoadLibraryW(path.c_str());
    if (!handle) {
        return -1;
    }
    auto      score  = reinterpret_cast<score_function>(GetProcAddress(handle, "ggml_backend_score"));
    const int result = score ? score() : 1;
    FreeLibrary(handle);
#else
    void * handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char * reason = dlerror();
        log_write(LUUP_LOG_WARN, "backends: " + path.string() + ": " + (reason ? reason : "can't be loaded"));
        return -1;
    }
    auto      score  = reinterpret_cast<score_function>(dlsym(handle, "ggml_backend_score"));
    const int result = score ? score() : 1;
    dlclose(handle);
#endif
    return result;
}

// Returns an error if the operating system does not save the wide registers of `variant`, else "". The scores of the
// modules leave this out.
std::string registers_missing(const std::string & variant) {
#if defined(__x86_64__) && defined(__GNUC__)
    const std::set<std::string> plain  = { "x64", "sse42" };
    const std::set<std::string> avx    = { "sandybridge", "ivybridge", "piledriver", "haswell", "alderlake" };
    const std::set<std::string> avx512 = { "skylakex", "cascadelake", "zen4", "sapphirerapids" };
    const uint64_t              needed = avx512.count(variant) ? 0xE6 : avx.count(variant) ? 0x06 : 0;
    if (needed == 0 || plain.count(variant)) {
        return "";
    }
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    __get_cpuid(1, &eax, &ebx, &ecx, &edx);
    uint32_t low = 0, high = 0;
    if (ecx & (1u << 27)) {
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    }
    return (low & needed) == needed ? "" : "the operating system does not save its registers";
#else
    (void) variant;
    return "";
#endif
}

struct Candidate {
    std::string name;
    fs::path    path;
    int         score;
    std::string refused;  // why it cannot be used; empty if it can
};

Candidate judge(const std::string & name, const fs::path & path) {
    Candidate c = { name, path, module_score(path), "" };
    if (c.score < 0) {
        c.refused = "its file can't be loaded";
    } else if (c.score == 0) {
        c.refused = "this CPU lacks its instructions";
    } else {
        c.refused = registers_missing(name);
    }
    if (c.refused.empty() && name == "sapphirerapids") {
        c.refused = amx_missing();
    }
    return c;
}

std::vector<fs::path> list_modules(const fs::path & folder) {
    std::vector<fs::path> paths;
    for (const std::string & name : names_in(folder.u8string())) {
        const fs::path path = folder / fs::u8path(name);
        if (name.rfind(module_prefix, 0) == 0 && path.extension() == module_suffix) {
            paths.push_back(path);
        }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

// Returns "zen4" for libggml-cpu-zen4.so, "native" for libggml-cpu.so, and "" for the module of another backend.
std::string cpu_variant_name(const fs::path & path) {
    const std::string stem   = path.stem().string();
    const std::string prefix = std::string(module_prefix) + "cpu";
    if (stem == prefix) {
        return "native";
    }
    return stem.rfind(prefix + "-", 0) == 0 ? stem.substr(prefix.size() + 1) : "";
}

CpuVariant choose_cpu_variant(const std::vector<fs::path> & modules) {
    std::vector<Candidate> candidates;
    for (const fs::path & path : modules) {
        const std::string name = cpu_variant_name(path);
        if (!name.empty()) {
            candidates.push_back(judge(name, path));
        }
    }
    const char * wanted = std::getenv("LUUP_CPU_VARIANT");
    if (wanted && *wanted) {
        std::string names;
        for (const Candidate & c : candidates) {
            if (c.name == wanted) {
                if (!c.refused.empty()) {
                    fail(LUUP_ERROR_BACKEND_INIT_FAILED, "LUUP_CPU_VARIANT=%s can't be used: %s", wanted,
                         c.refused.c_str());
                }
                return { c.name, c.path.string(), "named by LUUP_CPU_VARIANT" };
            }
            names += (names.empty() ? "" : ", ") + c.name;
        }
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "LUUP_CPU_VARIANT=%s is not one of: %s", wanted, names.c_str());
    }
    const Candidate * best    = nullptr;
    const Candidate * refused = nullptr;  // the best of those that have a score but are refused for another reason
    size_t            usable  = 0;
    for (const Candidate & c : candidates) {
        if (c.refused.empty()) {
            usable++;
            best = !best || c.score > best->score ? &c : best;
        } else if (c.score > 0) {
            refused = !refused || c.score > refused->score ? &c : refused;
        }
    }
    if (!best) {
        fail(LUUP_ERROR_BACKEND_INIT_FAILED,
             "this machine can run none of the %zu CPU variants in the library's folder; install the wheel, which has "
             "all variants, or build luup-agent on this machine",
             candidates.size());
    }
    std::ostringstream reason;
    reason << "the best of " << usable << " that run here, out of " << candidates.size();
    if (refused && refused->score > best->score) {
        reason << "; " << refused->name << " was refused: " << refused->refused;
    }
    return { best->name, best->path.string(), reason.str() };
}

// The backends of this process. `mutex` guards all of it until `done`; then nothing changes any more.
struct State {
    std::mutex            mutex;
    bool                  done = false;
    std::vector<fs::path> folders;  // in addition to the library's own
    std::vector<Backend>  backends;
    Backend               rpc;
    CpuVariant            variant;
    Failure               failure;
};

State & state() {
    static State * the_one = [] {  // never destroyed: a thread may fork while the process exits
        State * made = new State();
        keep_over_fork(ForkLock::Backends, made->mutex);
        return made;
    }();
    return *the_one;
}

// Made when the library is loaded, see keep_over_fork().
[[maybe_unused]] const State & state_at_load = state();

Backend load_backend(const fs::path & path) {
    LogCapture               log;
    const ggml_backend_reg_t registration = ggml_backend_load(path.string().c_str());
    if (registration) {
        return { ggml_backend_reg_name(registration), path.string(), "", registration };
    }
    const std::string stem = path.stem().string().substr(std::strlen(module_prefix));
    const std::string reason =
        log.text().empty() ? "this machine does not have its driver or a library that it needs" : log.text();
    log_write(LUUP_LOG_WARN, "backends: " + path.string() + " was not loaded: " + reason);
    return { stem, path.string(), reason, nullptr };
}

// Another package may have loaded a ggml of its own for the whole process (with RTLD_GLOBAL, or LD_PRELOAD did): then
// this library's calls would end there.
void check_symbols() {
#if defined(__linux__)
    for (const char * name : { "ggml_init", "ggml_backend_load", "gguf_init_from_file" }) {
        Dl_info      info     = {};
        const void * function = dlsym(RTLD_DEFAULT, name);
        if (!function || dladdr(function, &info) == 0 || !info.dli_fname) {
            continue;
        }
        std::error_code ec;
        const fs::path  path = fs::canonical(info.dli_fname, ec);
        if (!ec && path.parent_path() != library_folder()) {
            fail(LUUP_ERROR_BACKEND_INIT_FAILED,
                 "another package loaded %s for the whole process, so its %s would be called in place of this "
                 "package's; "
                 "load it without RTLD_GLOBAL and LD_PRELOAD, or in another process",
                 path.c_str(), name);
        }
    }
#endif
}

CpuVariant load() {
    log_install();
    check_symbols();
    const auto       modules = list_modules(library_folder());
    const CpuVariant variant = choose_cpu_variant(modules);
    state().rpc.reason       = "it is not in " + library_folder().string();
    // GPUs first, because llama.cpp offers work to the devices in the order of their registration.
    for (const fs::path & path : modules) {
        if (path.stem().string() == std::string(module_prefix) + "rpc") {
            state().rpc = load_backend(path);
        } else if (cpu_variant_name(path).empty()) {
            state().backends.push_back(load_backend(path));
        }
    }
    for (const fs::path & folder : state().folders) {
        for (const fs::path & path : list_modules(folder)) {
            if (cpu_variant_name(path).empty()) {
                state().backends.push_back(load_backend(path));
            }
        }
    }
    const ggml_backend_reg_t registration = ggml_backend_load(variant.path.c_str());
    if (!registration) {
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "the CPU variant %s could not be loaded from %s", variant.name.c_str(),
             variant.path.c_str());
    }
    state().backends.push_back({ ggml_backend_reg_name(registration), variant.path, "", registration });
    log_write(LUUP_LOG_INFO, "backends: CPU variant " + variant.name + ": " + variant.reason);
    return variant;
}

}  // namespace

const CpuVariant & load_backends() {
    State &                     s = state();
    std::lock_guard<std::mutex> lock(s.mutex);
    if (!s.done) {
        try {
            s.variant = load();
        } catch (...) {
            s.failure = current_failure();
        }
        s.done = true;
    }
    if (s.failure.code != LUUP_SUCCESS) {
        throw Error(s.failure.code, s.failure.message);
    }
    return s.variant;
}

void add_backends(const std::string & folder, const std::string & version) {
    State &                     s = state();
    std::lock_guard<std::mutex> lock(s.mutex);
    if (s.done) {
        fail(LUUP_ERROR_UNSUPPORTED, "the backends are loaded already; add the folder %s before", folder.c_str());
    }
    const fs::path path = fs::u8path(folder);
    if (version != LUUP_VERSION) {
        const std::string reason =
            "its version is " + version + ", but this library's is " LUUP_VERSION "; install the same version of both";
        s.backends.push_back({ path.filename().string(), folder, reason, nullptr });
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "the backend in %s can't be used: %s", folder.c_str(), reason.c_str());
    }
    std::error_code ec;
    if (!fs::is_directory(path, ec)) {
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "there is no folder %s", folder.c_str());
    }
    s.folders.push_back(path);
}

const std::vector<Backend> & backends() {
    return state().backends;
}

const Backend & rpc_backend() {
    return state().rpc;
}

uint64_t rpc_losses() {
    static const auto count = reinterpret_cast<uint64_t (*)()>(loaded_function(rpc_backend().path, "luup_rpc_losses"));
    return count ? count() : 0;
}

std::string backends_refused() {
    std::string text;
    for (const Backend & backend : backends()) {
        if (!backend.reason.empty()) {
            text += "; " + backend.path + " was not loaded: " + backend.reason;
        }
    }
    return text;
}

ggml_backend_dev_t cpu_device() {
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

int usable_threads() {
    int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        threads = std::max(1, CPU_COUNT(&set));
        if (threads > 4) {
            std::set<std::string> cores;
            for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
                if (CPU_ISSET(cpu, &set)) {
                    std::ifstream siblings("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                                           "/topology/thread_siblings_list");
                    std::string   core;
                    cores.insert(siblings >> core ? core : std::to_string(cpu));
                }
            }
            threads = static_cast<int>(cores.size());
        }
    }
#endif
    const int limit = cgroup_processors();
    return limit > 0 ? std::min(threads, limit) : threads;
}

}  // namespace luup
