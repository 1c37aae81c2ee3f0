# Compiles llama and llama-common in batches of files, which share the time that headers take, and reduces llama-common to what the library links.

# Puts the sources (absolute paths) after `size` into unity groups NAME_0, NAME_1, … of at most `size` files. Their target needs
# UNITY_BUILD_MODE GROUP. If it is not of this directory, LUUP_BATCH_SCOPE must be TARGET_DIRECTORY and its name.
function(luup_batch_sources name size)
  list(LENGTH ARGN count)
  math(EXPR batches "(${count} + ${size} - 1) / ${size}")
  set(index 0)
  foreach(source ${ARGN})
    math(EXPR batch "${index} * ${batches} / ${count}")
    set_source_files_properties("${source}" ${LUUP_BATCH_SCOPE} PROPERTIES UNITY_GROUP "${name}_${batch}" SKIP_UNITY_BUILD_INCLUSION OFF)
    math(EXPR index "${index} + 1")
  endforeach()
endfunction()

# Puts the files after `name` into one unity group. Stops if they are not among the sources of `target`.
function(luup_batch_together target name)
  get_target_property(all ${target} SOURCES)
  get_target_property(folder ${target} SOURCE_DIR)
  set(LUUP_BATCH_SCOPE TARGET_DIRECTORY ${target})
  foreach(file ${ARGN})
    if(NOT file IN_LIST all)
      message(FATAL_ERROR "${target} has no source ${file} any more: update csrc/cmake/Batches.cmake.")
    endif()
    luup_batch_sources(${name} 1000 "${folder}/${file}")
  endforeach()
endfunction()

# llama.cpp itself compiles only the models in batches.
set(LUUP_LLAMA_CACHES llama-kv-cache.cpp llama-kv-cache-iswa.cpp llama-kv-cache-dsa.cpp llama-kv-cache-dsa-iswa.cpp llama-kv-cache-msa.cpp
  llama-kv-cache-dsv4.cpp)
set(LUUP_LLAMA_MEMORIES llama-memory.cpp llama-memory-hybrid.cpp llama-memory-hybrid-iswa.cpp llama-memory-hybrid-idx.cpp
  llama-memory-recurrent.cpp llama-batch.cpp llama-cparams.cpp llama-hparams.cpp llama-io.cpp)
set(LUUP_LLAMA_FILES llama.cpp llama-model-loader.cpp llama-model-saver.cpp llama-quant.cpp llama-mmap.cpp llama-impl.cpp llama-arch.cpp
  llama-adapter.cpp llama-chat.cpp)
set(LUUP_LLAMA_WORDS llama-vocab.cpp llama-grammar.cpp llama-sampler.cpp unicode.cpp unicode-data.cpp)

function(luup_batch_llama)
  foreach(group CACHES MEMORIES FILES WORDS)
    luup_batch_together(llama ${group} ${LUUP_LLAMA_${group}})
  endforeach()
  get_target_property(models llama SOURCES)
  list(FILTER models INCLUDE REGEX "/models/[^/]+\\.cpp$")
  set(LUUP_BATCH_SCOPE TARGET_DIRECTORY llama)
  luup_batch_sources(models 16 ${models})
  set_target_properties(llama PROPERTIES UNITY_BUILD_MODE GROUP)
endfunction()

# The part of llama-common that the library links: chat templates, the parsers of answers, and JSON schemas as grammars.
# jinja/value.cpp comes first: its specializations of templates must precede their uses.
set(LUUP_COMMON_CHAT chat.cpp chat-auto-parser-generator.cpp chat-auto-parser-helpers.cpp chat-diff-analyzer.cpp chat-peg-parser.cpp)
set(LUUP_COMMON_JINJA jinja/value.cpp jinja/caps.cpp jinja/lexer.cpp jinja/parser.cpp jinja/runtime.cpp jinja/string.cpp)
set(LUUP_COMMON_JSON json.cpp)  # alone: it specializes templates that the others instantiate
set(LUUP_COMMON_GRAMMAR peg-parser.cpp json-schema-to-grammar.cpp json-schema.cpp trie.cpp unicode.cpp)
set(LUUP_COMMON_COMMON common.cpp log.cpp)

function(luup_batch_llama_common)
  get_target_property(parsers llama-common SOURCES)
  list(FILTER parsers INCLUDE REGEX "/parsers/[^/]+\\.cpp$")
  if(NOT parsers)
    message(FATAL_ERROR "llama-common has no sources in common/parsers any more: update csrc/cmake/Batches.cmake.")
  endif()
  set(LUUP_BATCH_SCOPE TARGET_DIRECTORY llama-common)
  luup_batch_sources(parsers 1000 ${parsers})
  foreach(group CHAT JINJA JSON GRAMMAR COMMON)
    luup_batch_together(llama-common ${group} ${LUUP_COMMON_${group}})
  endforeach()
  # Files of jinja/ define FILENAME.
  set_target_properties(llama-common PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP UNITY_BUILD_CODE_BEFORE_INCLUDE "#undef FILENAME")
  # llama.cpp's own tools need the rest too: command lines, downloads, samplers, speculative decoding, an HTTP client. It takes twice as long.
  if(NOT LUUP_BUILD_TOOLS)
    set_target_properties(llama-common PROPERTIES
      SOURCES "${LUUP_COMMON_CHAT};${LUUP_COMMON_JINJA};${LUUP_COMMON_JSON};${LUUP_COMMON_GRAMMAR};${LUUP_COMMON_COMMON};${parsers}")
    target_compile_definitions(llama-common PRIVATE LUUP_TRIM_COMMON)  # see ../llama_patches/trim_common.patch
    get_target_property(libraries llama-common LINK_LIBRARIES)
    list(REMOVE_ITEM libraries cpp-httplib)
    set_target_properties(llama-common PROPERTIES LINK_LIBRARIES "${libraries}")
  endif()
endfunction()
