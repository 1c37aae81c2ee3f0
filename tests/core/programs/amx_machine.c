/*
 * A machine with AMX, for tests on one that has none: preloaded into a process, it carries out the tile instructions.
 *
 * The CPU raises SIGILL at a tile instruction; the handler here decodes it, does what Intel's manual says (Software
 * Developer's Manual, volume 2, and volume 1, chapter 18), and goes on behind it. `cpuid` and `xgetbv` don't fault, so
 * in the libraries that ask them for AMX they are overwritten by `ud2`, which does. The code under test is the one that
 * ships.
 *
 * AMX_MACHINE says what kind of machine it is:
 *   works     everything is granted
 *   denied    the CPU announces AMX, the kernel refuses it
 *   unsaved   the CPU announces AMX, the operating system does not save its registers
 *   faulty    all of them promise AMX, and the first tile instruction ends the process
 * AMX_PLACES has the addresses of `cpuid` and `xgetbv`, as "library:hex,hex;library:hex".
 * AMX_COUNT names a file that gets the number of tile products when the process ends.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };

/* ---- Registers ---- */

struct config {
    uint8_t  palette;
    uint8_t  start_row;
    uint8_t  reserved[14];
    uint16_t columns[16]; /* bytes of a row */
    uint8_t  rows[16];
};

static _Thread_local struct config config;
static _Thread_local uint8_t       tiles[TILES][ROWS][ROW_BYTES];
static atomic_ulong                products;

/* ldtilecfg faults on anything that the manual does not allow: a configuration that was not fully stored is found out
 * here. */
static int valid(const struct config * c) {
    if (c->palette > 1) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(c->reserved); i++) {
        if (c->reserved[i]) {
            return 0;
        }
    }
    for (int i = 0; i < 16; i++) {
        const int used = c->rows[i] || c->columns[i];
        if (used && (i >= TILES || !c->rows[i] || !c->columns[i] || c->rows[i] > ROWS || c->columns[i] > ROW_BYTES)) {
            return 0;
        }
    }
    return 1;
}

/* One of tdpbssd, tdpbsud, tdpbusd, tdpbuud: 32-bit sums of products of four 8-bit integers. */
static void multiply(int to, int left, int right, int left_signed, int right_signed) {
    const int columns = config.columns[to] / 4, depth = config.columns[left] / 4;
    for (int m = 0; m < config.rows[to]; m++) {
        int32_t sums[ROWS];
        memcpy(sums, tiles[to][m], sizeof(sums));
        for (int k = 0; k < depth; k++) {
            for (int n = 0; n < columns; n++) {
                for (int i = 0; i < 4; i++) {
                    const uint8_t a = tiles[left][m][4 * k + i], b = tiles[right][k][4 * n + i];
                    sums[n] += (left_signed ? (int8_t) a : a) * (right_signed ? (int8_t) b : b);
                }
            }
        }
        memset(tiles[to][m], 0, ROW_BYTES);
        memcpy(tiles[to][m], sums, (size_t) columns * 4);
    }
    for (int m = config.rows[to]; m < ROWS; m++) {
        memset(tiles[to][m], 0, ROW_BYTES);
    }
    atomic_fetch_add(&products, 1);
}

static void load(int to, const uint8_t * from, int64_t stride) {
    memset(tiles[to], 0, sizeof(tiles[to]));
    for (int row = 0; row < config.rows[to]; row++) {
        memcpy(tiles[to][row], from + row * stride, config.columns[to]);
    }
}

static void store(int from, uint8_t * to, int64_t stride) {
    for (int row = 0; row < config.rows[from]; row++) {
        memcpy(to + row * stride, tiles[from][row], config.columns[from]);
    }
}

/* ---- Instructions ---- */

static const int general[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

enum { NONE, P66, PF3, PF2 }; /* the prefix that VEX's pp stands for */

struct operands {
    uint8_t * base;   /* of the memory operand, displacement included */
    int64_t   stride; /* its index register, scaled */
    int       length; /* bytes of modrm, sib and displacement */
};

static struct operands decode_memory(const uint8_t * modrm, int rex_x, int rex_b, const greg_t * r) {
    struct operands o   = { 0 };
    const int       mod = modrm[0] >> 6, rm = modrm[0] & 7;
    const uint8_t * at  = modrm + 1;
    uint64_t        sum = 0;
    if (rm == 4) {
        const int sib = *at++, index = ((sib >> 3) & 7) | rex_x << 3, base = sib & 7;
        if (index != 4) {
            o.stride = (int64_t) r[general[index]] << (sib >> 6);
        }
        if (base == 5 && mod == 0) {
            int32_t displacement;
            memcpy(&displacement, at, 4);
            at += 4;
            sum = (uint64_t) (int64_t) displacement;
        } else {
            sum = (uint64_t) r[general[base | rex_b << 3]];
        }
    } else if (rm == 5 && mod == 0) { /* relative to the next instruction */
        int32_t displacement;
        memcpy(&displacement, at, 4);
        at += 4;
        sum = (uint64_t) (uintptr_t) at + (uint64_t) (int64_t) displacement;
    } else {
        sum = (uint64_t) r[general[rm | rex_b << 3]];
    }
    if (mod == 1) {
        sum += (uint64_t) (int64_t) (int8_t) *at++;
    } else if (mod == 2) {
        int32_t displacement;
        memcpy(&displacement, at, 4);
        at += 4;
        sum += (uint64_t) (int64_t) displacement;
    }
    o.base   = (uint8_t *) (uintptr_t) sum;
    o.length = (int) (at - modrm);
    return o;
}

/* Carries out the tile instruction at rip; returns its length, 0 if it is another instruction, -1 if it faults. */
static int tile_instruction(greg_t * r) {
    const uint8_t * at = (const uint8_t *) (uintptr_t) r[REG_RIP];
    if (at[0] != 0xC4 || (at[1] & 0x1F) != 2 || (at[2] & 0x84) != 0) { /* VEX.128.0F38.W0 */
        return 0;
    }
    const int prefix = at[2] & 3, code = at[3], reg = (at[4] >> 3) & 7, rm = at[4] & 7, third = (~at[2] >> 3) & 7;
    if (at[4] >> 6 == 3) {
        if (code == 0x49 && prefix == PF2 && rm == 0) {
            memset(tiles[reg], 0, sizeof(tiles[reg]));
        } else if (code == 0x49 && prefix == NONE && at[4] == 0xC0) { /* tilerelease */
            memset(&config, 0, sizeof(config));
            memset(tiles, 0, sizeof(tiles));
        } else if (code == 0x5E) {
            multiply(reg, rm, third, prefix == PF2 || prefix == PF3, prefix == PF2 || prefix == P66);
        } else {
            return 0;
        }
        return 5;
    }
    const struct operands o = decode_memory(at + 4, !(at[1] & 0x40), !(at[1] & 0x20), r);
    if (code == 0x49 && prefix == NONE && reg == 0) { /* ldtilecfg */
        struct config wanted;
        memcpy(&wanted, o.base, sizeof(wanted));
        if (!valid(&wanted)) {
            return -1;
        }
        config = wanted;
        memset(tiles, 0, sizeof(tiles));
    } else if (code == 0x49 && prefix == P66 && reg == 0) { /* sttilecfg */
        memcpy(o.base, &config, sizeof(config));
    } else if (code == 0x4B && (prefix == PF2 || prefix == P66)) {
        load(reg, o.base, o.stride);
    } else if (code == 0x4B && prefix == PF3) {
        store(reg, o.base, o.stride);
    } else {
        return 0;
    }
    return 4 + o.length;
}

/* ---- cpuid and xgetbv ---- */

static int saved = 1; /* whether the operating system saves tiles */

static void answer_cpuid(greg_t * r) {
    uint32_t leaf = (uint32_t) r[REG_RAX], part = (uint32_t) r[REG_RCX], eax, ebx, ecx, edx;
    __cpuid_count(leaf, part, eax, ebx, ecx, edx);
    if (leaf == 0 && eax < 0x1E) {
        eax = 0x1E;
    } else if (leaf == 7 && part == 0) {
        edx |= 1u << 24 | 1u << 25; /* AMX-TILE, AMX-INT8 */
    } else if (leaf == 0x1D) {
        eax = part == 0 ? 1 : 1024u << 16 | TILES * ROWS * ROW_BYTES;
        ebx = part == 0 ? 0 : TILES << 16 | ROW_BYTES;
        ecx = part == 0 ? 0 : ROWS;
        edx = 0;
    }
    r[REG_RAX] = eax, r[REG_RBX] = ebx, r[REG_RCX] = ecx, r[REG_RDX] = edx;
}

static void answer_xgetbv(greg_t * r) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"((uint32_t) r[REG_RCX]));
    r[REG_RAX] = saved ? low | 3u << 17 : low & ~(3u << 17);
    r[REG_RDX] = high;
}

/* ud2 and the instruction that it replaces: 1 = cpuid, 2 = xgetbv (three bytes). */
static const uint8_t cpuid_code[2] = { 0x0F, 0xA2 }, xgetbv_code[3] = { 0x0F, 0x01, 0xD0 };
static const uint8_t stand_in[2][3] = { { 0x0F, 0x0B, 0 }, { 0x0F, 0x0B, 0x90 } };

static uintptr_t places[256];
static uint8_t   place_kinds[256];
static size_t    n_places;

static int overwritten_instruction(greg_t * r) {
    for (size_t i = n_places; i-- > 0;) { /* the newest first: a library may be loaded again elsewhere */
        if (places[i] == (uintptr_t) r[REG_RIP]) {
            if (place_kinds[i] == 1) {
                answer_cpuid(r);
                return sizeof(cpuid_code);
            }
            answer_xgetbv(r);
            return sizeof(xgetbv_code);
        }
    }
    return 0;
}

static void overwrite(uint8_t * at) {
    const int kind = !memcmp(at, cpuid_code, sizeof(cpuid_code))     ? 1
                     : !memcmp(at, xgetbv_code, sizeof(xgetbv_code)) ? 2
                                                                     : 0;
    if (kind == 0 || n_places == sizeof(places) / sizeof(places[0])) {
        return; /* overwritten already, or full */
    }
    const uintptr_t page = (uintptr_t) at & ~(uintptr_t) 4095;
    if (mprotect((void *) page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) != 0 &&
        mprotect((void *) page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
        abort();
    }
    places[n_places]        = (uintptr_t) at;
    place_kinds[n_places++] = (uint8_t) kind;
    memcpy(at, stand_in[kind - 1], kind == 1 ? sizeof(cpuid_code) : sizeof(xgetbv_code));
}

/* Overwrites the instructions that AMX_PLACES lists for a loaded library. */
static int visit_library(struct dl_phdr_info * info, size_t size, void * data) {
    (void) size, (void) data;
    const char * name = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
    const char * all  = getenv("AMX_PLACES");
    const char * ours = name && all ? strstr(all, name + 1) : NULL;
    if (ours) {
        const char * at = ours + strlen(name + 1);
        while (*at == ':' || *at == ',') {
            char * end;
            overwrite((uint8_t *) (info->dlpi_addr + strtoul(at + 1, &end, 16)));
            at = end;
        }
    }
    return 0;
}

/* ---- Replaced functions of the C library ---- */

static int works, granted;

static void on_illegal_instruction(int number, siginfo_t * info, void * context) {
    (void) info;
    greg_t *  r      = ((ucontext_t *) context)->uc_mcontext.gregs;
    const int length = works ? tile_instruction(r) : 0;
    const int other  = length == 0 ? overwritten_instruction(r) : 0;
    if (length > 0 || other > 0) {
        r[REG_RIP] += length + other;
        return;
    }
    const struct sigaction end = { .sa_handler = SIG_DFL };
    syscall(SYS_rt_sigaction, number, &end, NULL, 8);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), length < 0 ? SIGSEGV : number);
}

void * dlopen(const char * file, int flags) {
    static void * (*real)(const char *, int);
    if (!real) {
        *(void **) &real = dlsym(RTLD_NEXT, "dlopen");
    }
    void * handle = real(file, flags);
    dl_iterate_phdr(visit_library, NULL);
    return handle;
}

/* SIGILL always reaches the machine: in a process that may die of it, its default stays what a real CPU's would be.
 */
int sigaction(int number, const struct sigaction * new_action, struct sigaction * old_action) {
    static int (*real)(int, const struct sigaction *, struct sigaction *);
    if (!real) {
        *(void **) &real = dlsym(RTLD_NEXT, "sigaction");
    }
    return real(number, number == SIGILL ? NULL : new_action, old_action);
}

sighandler_t signal(int number, sighandler_t handler) {
    static sighandler_t (*real)(int, sighandler_t);
    if (!real) {
        *(void **) &real = dlsym(RTLD_NEXT, "signal");
    }
    return number == SIGILL ? SIG_DFL : real(number, handler);
}

/* The kernel's permission for tiles, as ggml and the core ask for it; all else goes to the kernel. */
long syscall(long number, ...) {
    va_list list;
    long    a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    enum { ARCH_REQ_XCOMP_PERM = 0x1023 };
    if (number == SYS_arch_prctl && a[0] == ARCH_REQ_XCOMP_PERM) {
        errno = granted ? 0 : EINVAL;
        return granted ? 0 : -1;
    }
    long          result;
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8")   = a[4];
    register long r9 __asm__("r9")   = a[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (result < 0 && result > -4096) {
        errno = (int) -result;
        return -1;
    }
    return result;
}

__attribute__((constructor)) static void begin(void) {
    const char * kind = getenv("AMX_MACHINE");
    kind              = kind ? kind : "works";
    saved             = strcmp(kind, "unsaved") != 0;
    granted           = strcmp(kind, "denied") != 0;
    works             = strcmp(kind, "faulty") != 0;
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags     = SA_SIGINFO | SA_NODEFER;
    int (*real)(int, const struct sigaction *, struct sigaction *);
    *(void **) &real = dlsym(RTLD_NEXT, "sigaction");
    real(SIGILL, &action, NULL);
}

__attribute__((destructor)) static void end(void) {
    const char * path = getenv("AMX_COUNT");
    FILE *       file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%lu\n", atomic_load(&products));
        fclose(file);
    }
}
