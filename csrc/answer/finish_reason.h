// Why a server's answer ended, in the words of many servers.
#pragma once

#include <string>

namespace luup {

enum class ServerFinish { Stop, Length, Filter, Failed };

// Reads a finish_reason. One that is unknown means Stop.
ServerFinish read_finish_reason(const std::string & reason);

}  // namespace luup
