# What tests and benchmarks measure against and talk to, from the same llama.cpp: llama-bench, llama-completion, llama-server without its web
# page, the server of the RPC backend, and a bare greedy decoder.
set(LLAMA_BUILD_UI OFF)
set(LLAMA_USE_PREBUILT_UI OFF)
set(LUUP_PROJECT_DIR "${PROJECT_SOURCE_DIR}")
set(PROJECT_SOURCE_DIR "${LUUP_LLAMA_DIR}")  # what the tools take for their own project
foreach(tool llama-bench completion ui server rpc)
  add_subdirectory("${LUUP_LLAMA_DIR}/tools/${tool}" "llama-tools/${tool}" EXCLUDE_FROM_ALL)
endforeach()
set(PROJECT_SOURCE_DIR "${LUUP_PROJECT_DIR}")
# What counts of these is how long they compile: no token passes through mtmd here, and the server's own work is small. In one piece each they
# take a fifth of the time.
set(LUUP_SERVER_PARTS mtmd server-context llama-server-impl)
set_target_properties(${LUUP_SERVER_PARTS} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
foreach(file mtmd-helper.cpp mtmd-helper-gen.cpp)  # they refuse to stand beside the others
  set_source_files_properties("${LUUP_LLAMA_DIR}/tools/mtmd/${file}" TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endforeach()
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  foreach(target ${LUUP_SERVER_PARTS})
    target_compile_options(${target} PRIVATE -O0)
  endforeach()
endif()

add_executable(luup-reference "${CMAKE_CURRENT_SOURCE_DIR}/../tests/native/reference.cpp")
target_link_libraries(luup-reference PRIVATE llama ggml)

# The core's own classes, tested and measured without the C API.
set(LUUP_TESTS "${CMAKE_CURRENT_SOURCE_DIR}/../tests/native")
foreach(program native_tests schema_cases grammar_cases grammar_bench template_cases)
  string(REPLACE _ - name "luup-${program}")
  add_executable(${name} "${LUUP_TESTS}/${program}.cpp" $<TARGET_OBJECTS:luup-core>)
  target_include_directories(${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_include_directories(${name} SYSTEM PRIVATE
    "${LUUP_LLAMA_DIR}" "${LUUP_LLAMA_DIR}/src" "${LUUP_LLAMA_DIR}/ggml/src")
  target_link_libraries(${name} PRIVATE llama llama-common ggml Threads::Threads ${CMAKE_DL_LIBS})
endforeach()
target_sources(luup-template-cases PRIVATE "${LUUP_TESTS}/template_answers.cpp" "${LUUP_TESTS}/template_prompts.cpp")

# Our kernels: what they need is in the module that they are given.
add_executable(luup-kernel-cases "${LUUP_TESTS}/kernel_cases.cpp")
target_link_libraries(luup-kernel-cases PRIVATE ggml)

# Runs with tools and typed results, against the library as programs use it.
if(NOT WIN32)
  add_executable(luup-storm "${LUUP_TESTS}/storm.c")
  target_link_libraries(luup-storm PRIVATE luup-agent Threads::Threads)
  set(LUUP_STORM luup-storm)
endif()

set(LUUP_PROGRAMS llama-bench llama-completion llama-server ggml-rpc-server luup-reference luup-native-tests luup-schema-cases luup-grammar-cases
  luup-grammar-bench luup-template-cases luup-kernel-cases ${LUUP_STORM})

# They lie in the folder of the libraries that they load.
set_target_properties(${LUUP_PROGRAMS} PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}" BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${LUUP_RPATH}")
add_custom_target(luup-tools ALL DEPENDS ${LUUP_PROGRAMS})
