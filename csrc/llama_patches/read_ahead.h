// How much of a model's file llama.cpp brings into memory when it maps the file. Its own way maps every page at once,
// also where the weights are then copied to another layout, or come from a file that has them in that layout.
#pragma once

enum luup_read_ahead {
    LUUP_READ_AND_MAP,  // llama.cpp's way
    LUUP_READ,          // read from the disk meanwhile; a page is mapped when it is used
    LUUP_READ_NOTHING,  // a page is read when it is used
};

#if defined(_WIN32)
#    define LUUP_READ_AHEAD_HIDDEN
#else
#    define LUUP_READ_AHEAD_HIDDEN __attribute__((visibility("hidden")))  // the library exports what begins with luup_
#endif

// For the files that this thread maps.
LUUP_READ_AHEAD_HIDDEN extern thread_local luup_read_ahead luup_mapping;
