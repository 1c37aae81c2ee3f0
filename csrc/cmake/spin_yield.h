/*
 * Makes ggml's spinning threads give way; force-included into the C files of its CPU backend.
 *
 * Between two operations ggml's threads wait for each other by spinning on a counter. When more threads want to run than there are
 * processors, the thread that is waited for may not be running at all, and each such wait burns the rest of a time slice: a busy
 * machine decodes twenty times slower. Here every 1,024th pause (some 10 to 50 microseconds of spinning) offers the processor to
 * whoever waits for it; on an idle machine that call returns at once.
 */
#ifndef LUUP_SPIN_YIELD_H
#define LUUP_SPIN_YIELD_H

#if defined(__x86_64__) && !defined(_WIN32)

#    include <immintrin.h>
#    include <sched.h>

static inline __attribute__((always_inline)) void luup_spin_pause(void) {
    static _Thread_local unsigned pauses = 0;
    __builtin_ia32_pause();
    if ((++pauses & 1023) == 0) {
        sched_yield();
    }
}

#    undef _mm_pause
#    define _mm_pause() luup_spin_pause()

#endif

#endif
