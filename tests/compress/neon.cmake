# SPDX-License-Identifier: Apache-2.0
# compress_neon: the NEON unit and its tests, cross-compiled, linked statically and run under qemu's user-mode
# emulation. On a 64-bit ARM host the ordinary tests run the unit; under sanitizers the emulated program would learn nothing new.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64" OR VECSTORE_SANITIZE)
  return()
endif()

find_program(VECSTORE_AARCH64_CXX aarch64-linux-gnu-g++)
find_program(VECSTORE_QEMU_AARCH64 NAMES qemu-aarch64-static qemu-aarch64)
if(NOT VECSTORE_AARCH64_CXX OR NOT VECSTORE_QEMU_AARCH64)
  set(skip "SKIPPED: the NEON kernels are not tested; install g++-aarch64-linux-gnu and qemu-user-static")
  message(WARNING "${skip}")
  add_test(NAME compress_neon COMMAND ${CMAKE_COMMAND} -E echo "${skip}")
  set_tests_properties(compress_neon PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED")
  return()
endif()

# Boost's headers alone: the rest of the host's include directory must not reach the cross compiler.
set(neon_dir ${CMAKE_CURRENT_BINARY_DIR}/neon)
find_path(neon_boost_root boost/test/included/unit_test.hpp REQUIRED NO_CACHE)
file(MAKE_DIRECTORY ${neon_dir}/include)
file(CREATE_LINK ${neon_boost_root}/boost ${neon_dir}/include/boost SYMBOLIC)

file(GLOB neon_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/compress/kernels_*test.cc)
set(neon_sources
    ${PROJECT_SOURCE_DIR}/compress/kernels/kernels.cc ${PROJECT_SOURCE_DIR}/compress/kernels/scalar.cc
    ${PROJECT_SOURCE_DIR}/compress/kernels/neon.cc ${PROJECT_SOURCE_DIR}/compress/rabitq.cc
    ${PROJECT_SOURCE_DIR}/base/status.cc
    ${PROJECT_SOURCE_DIR}/base/check.cc ${CMAKE_CURRENT_SOURCE_DIR}/compress/neon_main.cc ${neon_tests})
set(neon_flags -std=c++20 -O2 -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
               $<$<BOOL:${VECSTORE_DEVELOPER}>:-Werror>
               -isystem ${neon_dir}/include -I${PROJECT_SOURCE_DIR} -DVECSTORE_TEST_STATIC)
set(neon_objects "")
foreach(source IN LISTS neon_sources)
  get_filename_component(name ${source} NAME)
  set(object ${neon_dir}/${name}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${VECSTORE_AARCH64_CXX} ${neon_flags} -MMD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "Cross-compiling ${name} for aarch64"
    VERBATIM)
  list(APPEND neon_objects ${object})
endforeach()
add_custom_command(
  OUTPUT ${neon_dir}/compress_neon_test
  COMMAND ${VECSTORE_AARCH64_CXX} -static ${neon_objects} -o ${neon_dir}/compress_neon_test
  DEPENDS ${neon_objects}
  COMMENT "Linking compress_neon_test for aarch64"
  VERBATIM)
add_custom_target(compress_neon_test ALL DEPENDS ${neon_dir}/compress_neon_test)
add_test(NAME compress_neon COMMAND ${VECSTORE_QEMU_AARCH64} ${neon_dir}/compress_neon_test --log_level=warning)
set_tests_properties(compress_neon PROPERTIES ENVIRONMENT "VECSTORE_TEST_RUNNER=${VECSTORE_QEMU_AARCH64}")
