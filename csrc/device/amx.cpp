#include "device/amx.h"

#if defined(__x86_64__) && defined(__linux__)

#    include "base/child_trial.h"

#    include <cpuid.h>
#    include <sys/syscall.h>
#    include <unistd.h>

#    include <cstdint>
#    include <cstring>
#    include <stdexcept>

namespace luup {

namespace {

// Linux grants the tile registers on request, per process (Documentation/arch/x86/xstate.rst).
constexpr int ARCH_REQ_XCOMP_PERM = 0x1023;
constexpr int XFEATURE_XTILEDATA  = 18;

uint64_t enabled_xfeatures() {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<uint64_t>(high) << 32) | low;
}

// The operand of `ldtilecfg`: palette 1 and three tiles of 16 rows and 64 bytes, tile 0 for 32-bit sums, tiles 1 and 2
// for 8-bit factors.
struct alignas(64) TileConfig {
    uint8_t  palette     = 1;
    uint8_t  start_row   = 0;
    uint8_t  unused[14]  = {};
    uint16_t columns[16] = { 64, 64, 64 };
    uint8_t  rows[16]    = { 16, 16, 16 };
};
static_assert(sizeof(TileConfig) == 64, "the tile configuration has 64 bytes");

// Every product is 1 × 2, so every sum must be 64 × 2.
bool multiply_tiles() {
    TileConfig          config;
    alignas(64) int8_t  a[16 * 64];
    alignas(64) int8_t  b[16 * 64];
    alignas(64) int32_t sums[16 * 16];
    std::memset(a, 1, sizeof(a));
    std::memset(b, 2, sizeof(b));
    std::memset(sums, 0, sizeof(sums));
    const int64_t stride = 64;
    __asm__ volatile(
        "ldtilecfg (%0)\n\t"
        "tilezero %%tmm0\n\t"
        "tileloadd (%1,%4,1), %%tmm1\n\t"
        "tileloadd (%2,%4,1), %%tmm2\n\t"
        "tdpbssd %%tmm2, %%tmm1, %%tmm0\n\t"
        "tilestored %%tmm0, (%3,%4,1)\n\t"
        "tilerelease"
        :
        : "r"(&config), "r"(a), "r"(b), "r"(sums), "r"(stride)
        : "memory");
    for (int32_t sum : sums) {
        if (sum != 128) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool amx_try_tiles() {
    const auto task = [] {
        if (!multiply_tiles()) {
            throw std::runtime_error("wrong sums");
        }
    };
    TrialEnd end;
    try_in_child(task, { 5, 64 << 20 }, &end);
    return end == TrialEnd::Passed;
}

std::string amx_missing() {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(edx & (1u << 24)) || !(edx & (1u << 25))) {
        return "this CPU has no AMX";
    }
    if (!__get_cpuid_count(0x1D, 0, &eax, &ebx, &ecx, &edx) || eax < 1) {
        return "AMX is announced without a tile palette";
    }
    __get_cpuid_count(0x1D, 1, &eax, &ebx, &ecx, &edx);
    if ((eax >> 16) < 1024 || (ebx & 0xFFFF) < 64 || (ebx >> 16) < 8 || (ecx & 0xFFFF) < 16) {
        return "AMX is announced with tiles that are too small";
    }
    __get_cpuid(1, &eax, &ebx, &ecx, &edx);
    const uint64_t tiles = (1ull << 17) | (1ull << 18);
    if (!(ecx & (1u << 27)) || (enabled_xfeatures() & tiles) != tiles) {
        return "AMX is announced, but the operating system does not save its registers";
    }
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0) {
        return "AMX is announced, but the kernel refused it";
    }
    if (!amx_try_tiles()) {
        return "AMX is announced, but a first multiplication of tiles failed";
    }
    return "";
}

}  // namespace luup

#elif defined(_WIN32) && (defined(_M_X64) || defined(__x86_64__))

// Windows 11 and Server 2022 enable the tiles for every process, so a CPU that announces them can run them.
namespace luup {

bool amx_try_tiles() {
    return true;
}

std::string amx_missing() {
    return "";
}

}  // namespace luup

#else

namespace luup {

bool amx_try_tiles() {
    return false;
}

std::string amx_missing() {
    return "AMX is not used on this system";
}

}  // namespace luup

#endif
