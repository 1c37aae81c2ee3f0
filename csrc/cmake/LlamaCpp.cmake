# Adds llama.cpp to the build: shared ggml, each CPU variant and GPU backend as a module that is loaded at run time, static llama and llama-common.
include("${CMAKE_CURRENT_LIST_DIR}/LlamaSource.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/CpuVariants.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/Batches.cmake")

# GPU backends. Each is a module that is loaded if the machine has its driver. macOS includes Metal. The others go into packages of their own
# (see ../plugin/) or into a build for one machine.
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
      message(FATAL_ERROR "LUUP_GPU_BACKENDS: there is no backend ${backend}; choose from: ${known}")
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

# Checks the Vulkan headers first, since a compiler would fail on them only after minutes. Debian 12 and Ubuntu 22.04 have older ones than ggml
# needs.
function(luup_check_vulkan)
  find_package(Vulkan)
  if(NOT Vulkan_INCLUDE_DIR)
    set(problem "the Vulkan headers were not found")
  else()
    file(STRINGS "${Vulkan_INCLUDE_DIR}/vulkan/vulkan_core.h" found REGEX "VK_EXT_layer_settings" LIMIT_COUNT 1)
    if(NOT found)
      set(problem "the Vulkan headers in ${Vulkan_INCLUDE_DIR} are too old: ggml uses VK_EXT_layer_settings")
    endif()
  endif()
  if(problem)
    message(FATAL_ERROR
      "${problem}.\n"
      "Unpack newer Vulkan-Headers and SPIRV-Headers into a folder and set the environment variable VULKAN_SDK to it.\n"
      "The backend also needs glslc and the Vulkan loader (Debian, Ubuntu: apt install glslc libvulkan-dev).")
  endif()
endfunction()

option(LUUP_KERNELS "Our own matrix and attention kernels; OFF to measure their effect" ON)

# Adds our kernels to each CPU variant with the instructions that they need. announce.cpp, which registers them with ggml, is compiled without
# these instructions, because it runs before they are known to work.
function(luup_add_kernels)
  set(folder "${LUUP_CMAKE_DIR}/../kernels")
  set(kernels "${folder}/activations.cpp" "${folder}/attention.cpp" "${folder}/buffer_type.cpp" "${folder}/interleave.cpp" "${folder}/multiply.cpp"
    "${folder}/multiply_experts.cpp")
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    # gcc 12 warns of variables that its own header leaves undefined on purpose.
    set_source_files_properties(${kernels} DIRECTORY "${LUUP_LLAMA_DIR}/ggml/src"
      PROPERTIES COMPILE_OPTIONS "-fvisibility=hidden;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>;$<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>")
  endif()
  set(targets ggml-cpu-haswell ggml-cpu-alderlake ggml-cpu-skylakex ggml-cpu-cascadelake ggml-cpu-zen4 ggml-cpu-sapphirerapids)
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

# Adds the shared libraries ggml and ggml-base and the modules ggml-cpu-* and of the GPU backends. They are built in LUUP_OUTPUT_DIR and look for
# each other in LUUP_RPATH. Sets LUUP_BACKEND_TARGETS to the modules.
macro(luup_add_ggml)
  luup_patched_llama(LUUP_LLAMA_DIR)
  luup_choose_gpu_backends()
  if(GGML_VULKAN)
    luup_check_vulkan()
  endif()

  # A wheel is a zip file without links, so it would store a versioned library three times.
  set(CMAKE_PLATFORM_NO_VERSIONED_SONAME ON)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)

  set(GGML_NATIVE OFF CACHE BOOL "" FORCE)
  set(GGML_BACKEND_DL ON CACHE BOOL "" FORCE)
  if(WIN32 AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
    set(default OFF)  # ggml has no variants for it
  else()
    set(default ON)
  endif()
  set(GGML_CPU_ALL_VARIANTS ${default} CACHE BOOL "Build CPU variants, as LUUP_CPU_VARIANTS says; the best is loaded at run time")
  set(LUUP_CPU_VARIANT_NAMES)
  if(GGML_CPU_ALL_VARIANTS)
    luup_choose_cpu_variants()
  endif()
  # A second OpenMP runtime in a process (torch has one) deadlocks or aborts, and ggml's own thread pool is as fast.
  set(GGML_OPENMP OFF CACHE BOOL "" FORCE)
  # Faster products of F32, F16 and BF16 weights with several tokens, which our kernels leave to ggml.
  set(GGML_LLAMAFILE ON CACHE BOOL "" FORCE)
  set(GGML_BUILD_TESTS OFF CACHE BOOL "" FORCE)
  set(GGML_BUILD_EXAMPLES OFF CACHE BOOL "" FORCE)
  set(BUILD_TESTING OFF)

  unset(GGML_AVAILABLE_BACKENDS CACHE)  # ggml only adds to it, and this build folder may have had other backends
  set(BUILD_SHARED_LIBS ON)
  add_subdirectory("${LUUP_LLAMA_DIR}/ggml" ggml EXCLUDE_FROM_ALL)
  set(BUILD_SHARED_LIBS OFF)

  # glibc reuses a loaded library with the same SONAME. With names of their own these two are never confused with another package's.
  set_target_properties(ggml PROPERTIES OUTPUT_NAME luup-ggml)
  set_target_properties(ggml-base PROPERTIES OUTPUT_NAME luup-ggml-base)

  # ggml lists the backends that it made in GGML_AVAILABLE_BACKENDS: ggml-cpu-haswell, …, ggml-vulkan.
  set(LUUP_BACKEND_TARGETS ${GGML_AVAILABLE_BACKENDS})
  if(NOT GGML_CPU STREQUAL "OFF")
    luup_check_cpu_variants("${LUUP_BACKEND_TARGETS}" "${LUUP_OUTPUT_DIR}")
  endif()
  foreach(target ggml ggml-base ${LUUP_BACKEND_TARGETS})
    set_target_properties(${target} PROPERTIES
      BUILD_RPATH_USE_ORIGIN ON INSTALL_RPATH "${LUUP_RPATH}" BUILD_WITH_INSTALL_RPATH ON
      LIBRARY_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}" RUNTIME_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}")
    # See checked_memory.h there: an exception passes through functions in C.
    target_include_directories(${target} PRIVATE "${LUUP_CMAKE_DIR}/../llama_patches")
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANG_AND_ID:C,GNU,Clang,AppleClang>:-fexceptions>")
  endforeach()

  if(LUUP_KERNELS)
    luup_add_kernels()
  endif()

  # See ../llama_patches/README.md.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND TARGET ggml-cpu-sapphirerapids)
    target_compile_options(ggml-cpu-sapphirerapids PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include \"${LUUP_CMAKE_DIR}/../llama_patches/amx_tile_config.h\">")
  endif()
endmacro()

# As luup_add_ggml, and adds the module ggml-rpc and the static libraries llama and llama-common.
macro(luup_add_llama)
  # For a model in the memory of several machines. Its fast path for special networks would link a library that few machines have.
  set(GGML_RPC ON CACHE BOOL "" FORCE)
  set(GGML_RPC_RDMA OFF CACHE BOOL "" FORCE)
  luup_add_ggml()
  set(LLAMA_OPENSSL OFF CACHE BOOL "" FORCE)
  set(LLAMA_SUBPROCESS OFF CACHE BOOL "" FORCE)
  set(LLAMA_BUILD_COMMON ON CACHE BOOL "" FORCE)
  set(LLAMA_BUILD_MTMD ${LUUP_BUILD_TOOLS} CACHE BOOL "" FORCE)
  set(LLAMA_BUILD_NUMBER 0)
  set(LLAMA_BUILD_COMMIT "${LUUP_LLAMA_COMMIT}")
  add_subdirectory("${LUUP_LLAMA_DIR}" llama.cpp EXCLUDE_FROM_ALL)
  target_include_directories(llama PRIVATE "${LUUP_CMAKE_DIR}/../llama_patches")  # see pretokenizer_regex.patch there
  target_include_directories(llama-common PUBLIC "${LUUP_CMAKE_DIR}/../llama_patches")  # see template_limits.patch and grammar_names.patch
  luup_batch_llama()
  luup_batch_llama_common()
  if(NOT WIN32)  # see ../llama_patches/README.md
    target_compile_options(llama-common PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include \"${LUUP_CMAKE_DIR}/../llama_patches/local_time.h\">")
  endif()
endmacro()
