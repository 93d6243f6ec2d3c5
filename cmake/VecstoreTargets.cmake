# SPDX-License-Identifier: Apache-2.0
# Warnings, sanitizers and the one way to add a library or a folder of tests.

add_library(vecstore_options INTERFACE)
target_include_directories(vecstore_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(vecstore_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                                                  -Wnon-virtual-dtor -Wimplicit-fallthrough)
# What nothing of a program or of the shared library calls is left out of it.
target_compile_options(vecstore_options INTERFACE -ffunction-sections -fdata-sections)
# GCC 12 reports impossible overlaps in "literal" + std::string (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(vecstore_options INTERFACE -Wno-restrict)
endif()
# What base/mutex.h says of locks; only clang understands it.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(vecstore_options INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
if(VECSTORE_DEVELOPER)
  target_compile_options(vecstore_options INTERFACE -Werror)
endif()
if(VECSTORE_SANITIZE)
  # Instrumented code compiles several times slower at -O3 and finds no more; -g1 keeps the lines of a report.
  target_compile_options(vecstore_options INTERFACE -fsanitize=${VECSTORE_SANITIZE} -fno-omit-frame-pointer
                                                    -fno-sanitize-recover=all -O1 -g1)
  target_link_options(vecstore_options INTERFACE -fsanitize=${VECSTORE_SANITIZE})
  target_compile_definitions(vecstore_options INTERFACE VECSTORE_INSTRUMENTED)
endif()
if(VECSTORE_COVERAGE)
  target_compile_options(vecstore_options INTERFACE --coverage)
  target_link_options(vecstore_options INTERFACE --coverage)
endif()

# vecstore_library(NAME SOURCES … LINK … [HOT …] [COLD …]): the static library of one folder. Where HOT or COLD are given, those
# are optimised for speed and for size, and the others in between: what waits for a disk gains nothing from longer code. Each is
# a regular expression that fits sources.
function(vecstore_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;HOT;COLD" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  if((ARG_HOT OR ARG_COLD) AND NOT VECSTORE_SANITIZE)
    foreach(source IN LISTS ARG_SOURCES)
      set(level -O2)
      foreach(fits IN LISTS ARG_COLD)
        if(source MATCHES "^(${fits})$")
          # GCC 12 takes the constructor of std::stop_source for a read of what it makes, at -Os alone.
          set(level "-Os;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")
        endif()
      endforeach()
      foreach(fits IN LISTS ARG_HOT)
        if(source MATCHES "^(${fits})$")
          set(level "")
        endif()
      endforeach()
      if(level)
        set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS "$<$<CONFIG:Release,RelWithDebInfo>:${level}>")
      endif()
    endforeach()
  endif()
  # A unique symbol can be hidden by nobody, and keeps a shared library from being unloaded.
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  target_link_libraries(${name} PUBLIC vecstore_options ${ARG_LINK})
  set_property(GLOBAL APPEND PROPERTY VECSTORE_LIBRARIES ${name})
endfunction()

# vecstore_tests(FOLDER LINK …): one Boost.Test program from every *_test.cc of the folder. Run by ctest it leaves its
# counts of test cases in test-reports/, where tools/count_tests finds them. What one thread does alone cannot race: the
# thread sanitizer runs the suites and cases named by THREADED, where they are given. Those named by MEASURED find out how
# good answers are, what memory is taken, or whether bytes are the same, in ways that other cases go too: sanitizers leave
# them out, but for what THREADED names.
#
# The checks of a test are long to optimise and quick to run; what takes time at run time is in the libraries.
set(VECSTORE_TEST_OPTIMISATION $<$<CONFIG:Release,RelWithDebInfo>:-O1>)
if(VECSTORE_SANITIZE)
  set(VECSTORE_TEST_OPTIMISATION -O0)
endif()
set(VECSTORE_TEST_REPORTS ${PROJECT_BINARY_DIR}/test-reports)
file(MAKE_DIRECTORY ${VECSTORE_TEST_REPORTS})
function(vecstore_tests folder)
  cmake_parse_arguments(ARG "" "" "LINK;THREADED;MEASURED" ${ARGN})
  set(selection)
  if(ARG_THREADED AND VECSTORE_SANITIZE MATCHES "thread")
    list(JOIN ARG_THREADED ":" selection)
    set(selection --run_test=${selection})
  elseif(VECSTORE_SANITIZE)
    list(TRANSFORM ARG_MEASURED PREPEND --run_test=! OUTPUT_VARIABLE selection)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" flat ${folder})
  set(target ${flat}_test)
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE vecstore_options ${ARG_LINK} vecstore_test_main)
  target_compile_options(${target} PRIVATE ${VECSTORE_TEST_OPTIMISATION})
  add_test(NAME ${flat} COMMAND ${target} --log_level=message --color_output=no --report_level=short --report_format=XML
                                          --report_sink=${VECSTORE_TEST_REPORTS}/${flat}.xml ${selection})
endfunction()
