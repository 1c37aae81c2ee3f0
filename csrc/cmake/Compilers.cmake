# Enables C and C++. CMake's own message about a missing compiler does not say what to install.
include(CheckLanguage)
check_language(C)
check_language(CXX)
if(NOT CMAKE_C_COMPILER OR NOT CMAKE_CXX_COMPILER)
  set(named "")
  if(DEFINED ENV{CC} OR DEFINED ENV{CXX})
    set(named "\nCC and CXX name \"$ENV{CC}\" and \"$ENV{CXX}\", which must exist.")
  endif()
  message(FATAL_ERROR
    "luup-agent has to be compiled, but there is no compiler for C and C++17.${named}\n"
    "Either install a wheel, which needs no compiler:\n"
    "  pip install --only-binary luup-agent luup-agent\n"
    "or install a compiler:\n"
    "  Debian, Ubuntu: apt install g++\n"
    "  Fedora: dnf install gcc-c++\n"
    "  Alpine: apk add g++\n"
    "  macOS: xcode-select --install\n"
    "  Windows: Visual Studio's Build Tools with \"C++ Clang\"\n"
    "or set the environment variables CC and CXX to one.")
endif()
enable_language(C)
enable_language(CXX)
