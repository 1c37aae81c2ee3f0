// Prints the CPU features of this machine that ggml's CPU variants ask for, by ggml's names. The tests are ggml's own.
#include <cstdio>

namespace {

void print_if(bool has, const char * name) {
    if (has) {
        std::puts(name);
    }
}

}  // namespace

#if defined(__x86_64__) || defined(_M_AMD64)

#    define GGML_BACKEND_DL
#    include "ggml-cpu/arch/x86/cpu-feats.cpp"

namespace {

// The registers that the operating system saves, as bits of XCR0; ggml's tests leave this out.
unsigned long long saved_registers(const cpuid_x86 & cpu) {
#    if defined(_MSC_VER) && !defined(__clang__)
    return cpu.f_1_ecx[27] ? _xgetbv(0) : 0;
#    else
    unsigned low = 0, high = 0;
    if (cpu.f_1_ecx[27]) {
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    }
    return low | (static_cast<unsigned long long>(high) << 32);
#    endif
}

}  // namespace

int main() {
    cpuid_x86                cpu;
    const unsigned long long saved  = saved_registers(cpu);
    const bool               avx    = (saved & 0x06) == 0x06;        // SSE and AVX
    const bool               avx512 = (saved & 0xE6) == 0xE6;        // also the mask registers and the upper halves
    const bool               amx    = (saved & 0x60000) == 0x60000;  // the tiles and their configuration
    print_if(cpu.SSE42(), "SSE42");
    print_if(avx && cpu.AVX(), "AVX");
    print_if(avx && cpu.F16C(), "F16C");
    print_if(avx && cpu.FMA(), "FMA");
    print_if(avx && cpu.AVX2(), "AVX2");
    print_if(cpu.BMI2(), "BMI2");
    print_if(avx && cpu.AVX_VNNI(), "AVX_VNNI");
    print_if(avx512 && cpu.AVX512F() && cpu.AVX512CD() && cpu.AVX512VL() && cpu.AVX512DQ() && cpu.AVX512BW(), "AVX512");
    print_if(avx512 && cpu.AVX512_VBMI(), "AVX512_VBMI");
    print_if(avx512 && cpu.AVX512_VNNI(), "AVX512_VNNI");
    print_if(avx512 && cpu.AVX512_BF16(), "AVX512_BF16");
    print_if(amx && cpu.AMX_TILE(), "AMX_TILE");
    print_if(amx && cpu.AMX_INT8(), "AMX_INT8");
    return 0;
}

#elif defined(__aarch64__) || defined(_M_ARM64)

#    include "ggml-feats.h"

int main() {
    const ggml_feats_arch64_runtime_t cpu = ggml_feats_get_arch64_runtime();
    print_if(cpu.has_dotprod, "DOTPROD");
    print_if(cpu.has_fp16, "FP16_VECTOR_ARITHMETIC");
    print_if(cpu.has_sve, "SVE");
    print_if(cpu.has_i8mm, "MATMUL_INT8");
    print_if(cpu.has_sve2, "SVE2");
    print_if(cpu.has_sme, "SME");
    return 0;
}

#else
#    error "the names of this processor's features are not known"
#endif
