# llama.cpp's encoders of pictures and sound, as a static library. Its helpers are left out: they would add a reader of many picture formats,
# a player of videos and the synthesis of speech. csrc/media reads the files, and csrc/engine decodes what the encoders make of them.
function(luup_add_mtmd)
  set(folder "${LUUP_LLAMA_DIR}/tools/mtmd")
  file(GLOB models CONFIGURE_DEPENDS "${folder}/models/*.cpp")
  if(NOT models)
    message(FATAL_ERROR "llama.cpp has no files in tools/mtmd/models any more: update csrc/cmake/Mtmd.cmake.")
  endif()
  add_library(luup-mtmd STATIC EXCLUDE_FROM_ALL
    "${folder}/mtmd.cpp" "${folder}/mtmd-audio.cpp" "${folder}/mtmd-image.cpp" "${folder}/clip.cpp" ${models})
  luup_batch_sources(mtmd_models 1000 ${models})
  set_target_properties(luup-mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
  target_compile_features(luup-mtmd PRIVATE cxx_std_17)
  target_include_directories(luup-mtmd PUBLIC "${folder}" PRIVATE "${LUUP_LLAMA_DIR}/vendor")
  target_link_libraries(luup-mtmd PUBLIC ggml llama PRIVATE Threads::Threads)
  if(WIN32)
    target_compile_definitions(luup-mtmd PRIVATE _USE_MATH_DEFINES) # for M_PI
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    # Most files build graphs, whose work is done elsewhere, so their size counts; the linker drops the unused functions.
    target_compile_options(luup-mtmd PRIVATE -w -Os -ffunction-sections -fdata-sections)
    set_source_files_properties("${folder}/mtmd-audio.cpp" "${folder}/mtmd-image.cpp" PROPERTIES COMPILE_OPTIONS "-O2")
  endif()
endfunction()
