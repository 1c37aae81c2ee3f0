# Chooses the variants of ggml's CPU backend that are built. The library picks the best of those beside it when it starts.

set(LUUP_CPU_VARIANTS "" CACHE STRING
  "CPU variants to build: all (what a wheel needs) or native (the baseline and the best for this machine; the default)")

# ggml's variants with the features that each needs, by processor and system. In a list, a later variant gets a higher score from ggml.
set(LUUP_X86_VARIANTS
  "x64"
  "sse42          SSE42"
  "sandybridge    SSE42 AVX"
  "ivybridge      SSE42 AVX F16C"
  "piledriver     SSE42 AVX F16C FMA"
  "haswell        SSE42 AVX F16C FMA AVX2 BMI2"
  "alderlake      SSE42 AVX F16C FMA AVX2 BMI2 AVX_VNNI"
  "skylakex       SSE42 AVX F16C FMA AVX2 BMI2 AVX512"
  "cascadelake    SSE42 AVX F16C FMA AVX2 BMI2 AVX512 AVX512_VNNI"
  "zen4           SSE42 AVX F16C FMA AVX2 BMI2 AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16"
  "sapphirerapids SSE42 AVX F16C FMA AVX2 BMI2 AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16 AMX_TILE AMX_INT8")
# ggml's variants that no build has. No kernel has code for AVX512_VBMI, so icelake is cascadelake again, and cannonlake skylakex;
# cooperlake would add BF16 dot products on a few servers. Each of them would make the wheel 0.7 MB larger.
set(LUUP_LEFT_OUT_VARIANTS cannonlake icelake cooperlake)
set(LUUP_ARM_LINUX_VARIANTS
  "armv8.0_1"
  "armv8.2_1 DOTPROD"
  "armv8.2_2 DOTPROD FP16_VECTOR_ARITHMETIC"
  "armv8.2_3 DOTPROD FP16_VECTOR_ARITHMETIC SVE"
  "armv8.6_1 DOTPROD FP16_VECTOR_ARITHMETIC SVE MATMUL_INT8"
  "armv8.6_2 DOTPROD FP16_VECTOR_ARITHMETIC SVE MATMUL_INT8 SVE2"
  "armv9.2_1 DOTPROD FP16_VECTOR_ARITHMETIC SVE MATMUL_INT8 SME"
  "armv9.2_2 DOTPROD FP16_VECTOR_ARITHMETIC SVE MATMUL_INT8 SVE2 SME")
set(LUUP_ARM_APPLE_VARIANTS
  "apple_m1    DOTPROD"
  "apple_m2_m3 DOTPROD MATMUL_INT8"
  "apple_m4    DOTPROD MATMUL_INT8 SME")

# Sets `out` to "all" or "native": the CMake definition, else the environment variable, else "native".
function(luup_cpu_variants_wanted out)
  set(wanted "native")
  if(LUUP_CPU_VARIANTS)
    set(wanted "${LUUP_CPU_VARIANTS}")
  elseif(NOT "$ENV{LUUP_CPU_VARIANTS}" STREQUAL "")
    set(wanted "$ENV{LUUP_CPU_VARIANTS}")
  endif()
  if(NOT wanted STREQUAL "all" AND NOT wanted STREQUAL "native")
    message(FATAL_ERROR
      "LUUP_CPU_VARIANTS is \"${wanted}\", but must be \"native\" (the baseline and the best variant for this machine) or \"all\".")
  endif()
  set(${out} "${wanted}" PARENT_SCOPE)
endfunction()

# Sets `out` to the CPU features of this machine that ggml's variants ask for, as a list. Stops if they cannot be determined.
function(luup_cpu_features out)
  set(program "${CMAKE_BINARY_DIR}/luup-cpu-features${CMAKE_EXECUTABLE_SUFFIX}")
  set(source "${LUUP_CMAKE_DIR}/cpu_features.cpp")
  if("${source}" IS_NEWER_THAN "${program}")
    try_compile(compiled "${CMAKE_BINARY_DIR}/luup-cpu-features-build" SOURCES "${source}"
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${LUUP_LLAMA_DIR}/ggml/src;${LUUP_LLAMA_DIR}/ggml/include"
      CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON
      OUTPUT_VARIABLE reason COPY_FILE "${program}")
  else()
    set(compiled ON)
  endif()
  if(compiled)
    # Run it each time: a build folder may come from another machine.
    execute_process(COMMAND "${program}" RESULT_VARIABLE failed OUTPUT_VARIABLE features ERROR_VARIABLE reason)
  endif()
  if(NOT compiled OR failed)
    message(FATAL_ERROR
      "The CPU features of this machine could not be determined.\n${reason}\n"
      "Set LUUP_CPU_VARIANTS=all to build every CPU variant; it takes several times as long.")
  endif()
  string(REGEX MATCHALL "[A-Z0-9_]+" features "${features}")
  set(${out} "${features}" PARENT_SCOPE)
endfunction()

# Sets `out` to those of the `variants` whose features are all in the list `features`, in the same order.
function(luup_runnable_cpu_variants out variants features)
  set(runnable)
  foreach(variant ${variants})
    string(REGEX MATCHALL "[^ ]+" needed "${variant}")
    list(POP_FRONT needed name)
    list(REMOVE_ITEM needed ${features})
    if(NOT needed)
      list(APPEND runnable "${name}")
    endif()
  endforeach()
  set(${out} "${runnable}" PARENT_SCOPE)
endfunction()

# Sets `out` to the variants of a native build, given those that this machine can run: the baseline and the best. A system may announce AMX
# and then refuse it, so the variant that needs it gets the next best one beside it.
function(luup_native_cpu_variants out runnable)
  list(GET runnable 0 -1 chosen)
  list(LENGTH runnable count)
  if("sapphirerapids" IN_LIST chosen AND count GREATER 1)
    list(GET runnable -2 next)
    list(APPEND chosen "${next}")
  endif()
  list(REMOVE_DUPLICATES chosen)
  set(${out} "${chosen}" PARENT_SCOPE)
endfunction()

# Sets LUUP_CPU_VARIANT_NAMES in the caller to the names of the variants to build; empty = all but those that are left out. Expects LUUP_LLAMA_DIR.
function(luup_choose_cpu_variants)
  luup_cpu_variants_wanted(wanted)
  set(names)
  if(wanted STREQUAL "native")
    # The target may not be this machine when cross-compiling, which on macOS is a matter of CMAKE_OSX_ARCHITECTURES.
    if(CMAKE_CROSSCOMPILING OR (CMAKE_OSX_ARCHITECTURES AND NOT CMAKE_OSX_ARCHITECTURES STREQUAL CMAKE_HOST_SYSTEM_PROCESSOR))
      set(variants)
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
      set(variants "${LUUP_X86_VARIANTS}")
      if(MSVC)  # ggml leaves these out
        list(FILTER variants EXCLUDE REGEX "^(ivybridge|piledriver|zen4|sapphirerapids) ")
      endif()
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$" AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
      set(variants "${LUUP_ARM_LINUX_VARIANTS}")
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$" AND APPLE)
      set(variants "${LUUP_ARM_APPLE_VARIANTS}")
    endif()
    if(variants)
      luup_cpu_features(features)
      luup_runnable_cpu_variants(runnable "${variants}" "${features}")
      if(NOT runnable)
        list(JOIN features ", " features)
        message(FATAL_ERROR "No CPU variant of ggml runs on this machine, which has: ${features}. Set LUUP_CPU_VARIANTS=all to build for others.")
      endif()
      luup_native_cpu_variants(names "${runnable}")
    else()
      message(STATUS "LUUP_CPU_VARIANTS=native knows no variants for ${CMAKE_SYSTEM_NAME} on ${CMAKE_SYSTEM_PROCESSOR}, or not for another machine: building all")
    endif()
  endif()
  set(LUUP_CPU_VARIANT_NAMES "${names}" PARENT_SCOPE)
endfunction()

# ggml asks for each of its variants; see ../llama_patches/cpu_variants.patch.
function(luup_wants_cpu_variant out name)
  if(name IN_LIST LUUP_LEFT_OUT_VARIANTS)
    set(${out} OFF PARENT_SCOPE)
    return()
  endif()
  if(NOT LUUP_CPU_VARIANT_NAMES OR name IN_LIST LUUP_CPU_VARIANT_NAMES)
    set(${out} ON PARENT_SCOPE)
  else()
    set(${out} OFF PARENT_SCOPE)
  endif()
  set(known ${LUUP_X86_VARIANTS} ${LUUP_ARM_LINUX_VARIANTS} ${LUUP_ARM_APPLE_VARIANTS})
  list(FILTER known INCLUDE REGEX "^${name}( |$)")
  if(LUUP_CPU_VARIANT_NAMES AND NOT known)
    message(FATAL_ERROR "ggml has a CPU variant ${name} that csrc/cmake/CpuVariants.cmake does not list: add it there, with its features.")
  endif()
endfunction()

# After ggml: checks that it made the variants that were chosen, and removes modules of an earlier build that this one does not have. They
# would be loaded if they were better.
function(luup_check_cpu_variants targets folder)
  foreach(name ${LUUP_CPU_VARIANT_NAMES})
    if(NOT "ggml-cpu-${name}" IN_LIST targets)
      message(FATAL_ERROR "csrc/cmake/CpuVariants.cmake lists the CPU variant ${name}, which ggml does not have: update the list.")
    endif()
  endforeach()
  file(GLOB modules "${folder}/*ggml-cpu*${CMAKE_SHARED_MODULE_SUFFIX}")
  foreach(module ${modules})
    cmake_path(GET module STEM LAST_ONLY stem)
    string(REGEX REPLACE "^lib" "" stem "${stem}")
    if(NOT stem IN_LIST targets)
      file(REMOVE "${module}")
    endif()
  endforeach()
  set(built ${targets})
  list(FILTER built INCLUDE REGEX "^ggml-cpu")
  list(TRANSFORM built REPLACE "^ggml-cpu-" "")
  list(JOIN built ", " built)
  message(STATUS "CPU variants: ${built}")
endfunction()
