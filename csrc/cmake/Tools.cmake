# What tests and benchmarks measure against, from the same llama.cpp: llama-bench, llama-completion, and a bare greedy decoder.
add_subdirectory("${LUUP_LLAMA_DIR}/tools/llama-bench" llama-bench EXCLUDE_FROM_ALL)
add_subdirectory("${LUUP_LLAMA_DIR}/tools/completion" llama-completion EXCLUDE_FROM_ALL)

add_executable(luup-reference "${CMAKE_CURRENT_SOURCE_DIR}/../tests/native/reference.cpp")
target_link_libraries(luup-reference PRIVATE llama ggml)

# The core's own classes, tested without a model.
add_executable(luup-native-tests
  "${CMAKE_CURRENT_SOURCE_DIR}/../tests/native/native_tests.cpp" amx.cpp error.cpp log.cpp sampler.cpp text.cpp trial.cpp)
target_include_directories(luup-native-tests PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${LUUP_LLAMA_DIR}/ggml/src")
target_link_libraries(luup-native-tests PRIVATE llama llama-common ggml Threads::Threads)

# They lie in the folder of the libraries that they load.
set_target_properties(llama-bench llama-completion luup-reference luup-native-tests PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${LUUP_OUTPUT_DIR}" BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${LUUP_RPATH}")
add_custom_target(luup-tools ALL DEPENDS llama-bench llama-completion luup-reference luup-native-tests)
