/*
 * Mends gcc's AMX tile configuration; force-included into the AMX variant of ggml's CPU backend.
 *
 * gcc 12's _tile_loadconfig() tells the compiler that `ldtilecfg` reads one pointer's worth of memory (8 bytes), while
 * the instruction reads 64. The optimiser therefore drops the stores to the other 56 bytes as dead, and the instruction
 * faults on what it finds there. Here the operand has its true size, for every version of gcc: where the intrinsic is
 * already right, this is the same instruction.
 */
#ifndef LUUP_AMX_TILE_CONFIG_H
#define LUUP_AMX_TILE_CONFIG_H

#include <immintrin.h>

static inline __attribute__((always_inline)) void luup_tile_loadconfig(const void * config) {
    __asm__ volatile("ldtilecfg\t%0" ::"m"(*(const char (*)[64]) config));
}

#undef _tile_loadconfig
#define _tile_loadconfig(config) luup_tile_loadconfig(config)

#endif
