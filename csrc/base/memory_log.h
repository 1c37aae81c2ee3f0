// The words of llama.cpp in its log when memory is short.
#pragma once

#include <string>

namespace luup {

// Whether llama.cpp says in its log that memory is short.
bool tells_of_memory(const std::string & log);

}  // namespace luup
