# Enables C and C++. CMake's own words for a missing compiler don't tell what to install, and most who read them only wanted the package.
include(CheckLanguage)
check_language(C)
check_language(CXX)
if(NOT CMAKE_C_COMPILER OR NOT CMAKE_CXX_COMPILER)
  set(named "")
  if(DEFINED ENV{CC} OR DEFINED ENV{CXX})
    set(named "\nCC and CXX name \"$ENV{CC}\" and \"$ENV{CXX}\", which must be there.")
  endif()
  message(FATAL_ERROR
    "luup-agent is compiled here, and there is no compiler for C and C++17.${named}\n"
    "Either take a finished wheel, for which none is needed:\n"
    "  pip install --only-binary luup-agent luup-agent\n"
    "or install a compiler:\n"
    "  Debian, Ubuntu: apt install g++\n"
    "  Fedora: dnf install gcc-c++\n"
    "  Alpine: apk add g++\n"
    "  macOS: xcode-select --install\n"
    "  Windows: Visual Studio's Build Tools with \"C++ Clang\"\n"
    "or let the environment variables CC and CXX name one.")
endif()
enable_language(C)
enable_language(CXX)
