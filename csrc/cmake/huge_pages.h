/*
 * Puts ggml's large buffers (the weights that were laid out anew, the KV cache, what a decode computes) on huge pages where Linux has them
 * for the asking; force-included into ggml.c.
 *
 * With pages of 4 KiB a decode spends a tenth of its time on the translation of addresses, and a buffer's first touch takes several times as long.
 */
#ifndef LUUP_HUGE_PAGES_H
#define LUUP_HUGE_PAGES_H

#if defined(__linux__)

#    include <stdlib.h>
#    include <sys/mman.h>

static inline int luup_posix_memalign(void ** memory, size_t alignment, size_t size) {
    const size_t huge = (size_t) 2 << 20;
    if (size < 2 * huge) {
        return posix_memalign(memory, alignment, size);
    }
    const int error = posix_memalign(memory, huge, size);
    if (error == 0) {
        (void) madvise(*memory, size & ~(huge - 1), MADV_HUGEPAGE); /* a kernel without them says no, and nothing is lost */
    }
    return error;
}

#    define posix_memalign luup_posix_memalign

#endif

#endif
