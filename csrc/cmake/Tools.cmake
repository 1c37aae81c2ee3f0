# Programs for tests and benchmarks, from the same llama.cpp: llama-bench, llama-completion, llama-server without its web page, the server of
# the RPC backend, a plain greedy decoder, and the tests of the core's classes.
set(LLAMA_BUILD_UI OFF)
set(LLAMA_USE_PREBUILT_UI OFF)
set(LUUP_PROJECT_DIR "${PROJECT_SOURCE_DIR}")
set(PROJECT_SOURCE_DIR "${LUUP_LLAMA_DIR}")  # the tools expect llama.cpp's own project
foreach(tool llama-bench completion ui server rpc)
  add_subdirectory("${LUUP_LLAMA_DIR}/tools/${tool}" "llama-tools/${tool}" EXCLUDE_FROM_ALL)
endforeach()
set(PROJECT_SOURCE_DIR "${LUUP_PROJECT_DIR}")
# Compile these fast rather than for speed: the tests decode nothing with mtmd, and the server's own work is small. As one file each they take a
# fifth of the time.
set(LUUP_SERVER_PARTS mtmd server-context llama-server-impl)
set_target_properties(${LUUP_SERVER_PARTS} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
foreach(file mtmd-helper.cpp mtmd-helper-gen.cpp)  # they refuse to be compiled together with the others
  set_source_files_properties("${LUUP_LLAMA_DIR}/tools/mtmd/${file}" TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endforeach()
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  foreach(target ${LUUP_SERVER_PARTS})
    target_compile_options(${target} PRIVATE -O0)
  endforeach()
endif()

# The program that answers questions about pictures, for comparisons.
add_executable(llama-mtmd-cli EXCLUDE_FROM_ALL "${LUUP_LLAMA_DIR}/tools/mtmd/mtmd-cli.cpp")
target_link_libraries(llama-mtmd-cli PRIVATE llama-common mtmd Threads::Threads)
target_compile_features(llama-mtmd-cli PRIVATE cxx_std_17)

set(LUUP_TESTS "${CMAKE_CURRENT_SOURCE_DIR}/../tests/core")
add_executable(luup-reference "${LUUP_TESTS}/programs/reference.cpp")
target_link_libraries(luup-reference PRIVATE llama ggml)
add_executable(luup-tensor-shapes "${LUUP_TESTS}/programs/tensor_shapes.cpp")
target_link_libraries(luup-tensor-shapes PRIVATE llama ggml)
add_executable(luup-perplexity "${LUUP_TESTS}/programs/perplexity.cpp")
target_link_libraries(luup-perplexity PRIVATE llama ggml)

# Tests and benchmarks of the core's classes, without the C API. The folder of a case is the room that it checks.
file(GLOB LUUP_CASES CONFIGURE_DEPENDS "${LUUP_TESTS}/*/*.cpp")
list(FILTER LUUP_CASES EXCLUDE REGEX "/core/(kernels/|programs/|chat/(answers|orders|prompts|template_cases|thinking|writer)\\.cpp)")
add_executable(luup-core-cases "${LUUP_TESTS}/core_cases.cpp" "${LUUP_TESTS}/vocabulary.cpp" ${LUUP_CASES})
target_compile_definitions(luup-core-cases PRIVATE LUUP_CASES_DIR="${LUUP_TESTS}"
  LUUP_TEMPLATES="${LUUP_LLAMA_DIR}/models/templates"
  LUUP_LLAMA_VOCAB_CPP="${LUUP_LLAMA_DIR}/src/llama-vocab.cpp")
add_executable(luup-template-cases "${LUUP_TESTS}/vocabulary.cpp" "${LUUP_TESTS}/chat/answers.cpp" "${LUUP_TESTS}/chat/orders.cpp"
  "${LUUP_TESTS}/chat/prompts.cpp" "${LUUP_TESTS}/chat/template_cases.cpp" "${LUUP_TESTS}/chat/thinking.cpp"
  "${LUUP_TESTS}/chat/writer.cpp")
add_executable(luup-grammar-bench "${LUUP_TESTS}/programs/grammar_bench.cpp")
add_executable(luup-typed-bench "${LUUP_TESTS}/programs/typed_bench.cpp")

# All fuzz targets with their kept inputs, by any compiler; Fuzz.cmake makes programs that look for inputs.
set(LUUP_FUZZ "${CMAKE_CURRENT_SOURCE_DIR}/../tests/fuzz")
file(GLOB LUUP_FUZZ_FILES CONFIGURE_DEPENDS "${LUUP_FUZZ}/*.cpp")
foreach(file ${LUUP_FUZZ_FILES})
  cmake_path(GET file STEM name)
  if(NOT name MATCHES "^(corpus|main)$")
    set_source_files_properties("${file}" PROPERTIES COMPILE_DEFINITIONS LUUP_FUZZ_NAME="${name}")
  endif()
endforeach()
if(NOT WIN32)
  add_executable(luup-fuzz-corpus ${LUUP_FUZZ_FILES} "${LUUP_TESTS}/vocabulary.cpp")
  target_include_directories(luup-fuzz-corpus PRIVATE "${LUUP_FUZZ}")
  set(LUUP_FUZZ_CORPUS luup-fuzz-corpus)
endif()
foreach(program luup-core-cases luup-template-cases luup-grammar-bench luup-typed-bench ${LUUP_FUZZ_CORPUS})
  target_sources(${program} PRIVATE $<TARGET_OBJECTS:luup-core>)
  target_include_directories(${program} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${LUUP_TESTS}")
  target_include_directories(${program} SYSTEM PRIVATE
    "${LUUP_LLAMA_DIR}" "${LUUP_LLAMA_DIR}/src" "${LUUP_LLAMA_DIR}/ggml/src")
  target_link_libraries(${program} PRIVATE luup-mtmd llama llama-common ggml vendor::hash Threads::Threads ${CMAKE_DL_LIBS})
endforeach()

# Tests of our kernels, which are in the module that the program gets as its argument.
file(GLOB LUUP_KERNEL_CASES CONFIGURE_DEPENDS "${LUUP_TESTS}/kernels/*.cpp")
add_executable(luup-kernel-cases ${LUUP_KERNEL_CASES})
target_include_directories(luup-kernel-cases PRIVATE "${LUUP_TESTS}")
target_link_libraries(luup-kernel-cases PRIVATE ggml)
add_executable(luup-kernel-bench "${LUUP_TESTS}/programs/kernel_bench.cpp")
target_include_directories(luup-kernel-bench PRIVATE "${LUUP_TESTS}")
target_link_libraries(luup-kernel-bench PRIVATE ggml)

# Runs with tools and typed results, and what threads may do at once, through the library's C API.
if(NOT WIN32)
  foreach(name storm races)
    add_executable(luup-${name} "${LUUP_TESTS}/programs/${name}.c")
    target_link_libraries(luup-${name} PRIVATE luup-agent Threads::Threads)
    list(APPEND LUUP_STORM luup-${name})
  endforeach()
endif()

# One failing call to the system at each place. It replaces functions of glibc in all libraries of its process.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(CheckSymbolExists)
  check_symbol_exists(__GLIBC__ "features.h" LUUP_HAS_GLIBC)
endif()
if(LUUP_HAS_GLIBC AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  add_executable(luup-injected "${LUUP_TESTS}/programs/injected.c")
  target_link_libraries(luup-injected PRIVATE luup-agent Threads::Threads ${CMAKE_DL_LIBS})
  set_target_properties(luup-injected PROPERTIES ENABLE_EXPORTS ON)
  set(LUUP_INJECTED luup-injected)
endif()

set(LUUP_PROGRAMS llama-bench llama-completion llama-mtmd-cli llama-server ggml-rpc-server luup-reference luup-tensor-shapes luup-perplexity luup-core-cases luup-template-cases
  luup-kernel-cases luup-kernel-bench luup-grammar-bench luup-typed-bench ${LUUP_FUZZ_CORPUS} ${LUUP_STORM} ${LUUP_INJECTED})

# Built in the folder of the libraries that they load.
set_target_properties(${LUUP_PROGRAMS} PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}" BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${LUUP_RPATH}")
add_custom_target(luup-tools ALL DEPENDS ${LUUP_PROGRAMS})
