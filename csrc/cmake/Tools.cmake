# What tests and benchmarks measure against, from the same llama.cpp: llama-bench, llama-completion, and a bare greedy decoder.
add_subdirectory("${LUUP_LLAMA_DIR}/tools/llama-bench" llama-bench EXCLUDE_FROM_ALL)
add_subdirectory("${LUUP_LLAMA_DIR}/tools/completion" llama-completion EXCLUDE_FROM_ALL)

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

# Runs with tools and typed results, against the library as programs use it.
if(NOT WIN32)
  add_executable(luup-storm "${LUUP_TESTS}/storm.c")
  target_link_libraries(luup-storm PRIVATE luup-agent Threads::Threads)
  set(LUUP_STORM luup-storm)
endif()

set(LUUP_PROGRAMS llama-bench llama-completion luup-reference luup-native-tests luup-schema-cases luup-grammar-cases luup-grammar-bench
  luup-template-cases ${LUUP_STORM})

# They lie in the folder of the libraries that they load.
set_target_properties(${LUUP_PROGRAMS} PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}" BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${LUUP_RPATH}")
add_custom_target(luup-tools ALL DEPENDS ${LUUP_PROGRAMS})
