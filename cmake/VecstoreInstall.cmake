# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts down: a static library of C++ and C, a shared one of C, their headers, the command with its manual
# page and completion, and how CMake and pkg-config find them. Consumers write #include <vecstore/vecstore.hpp> or <vecstore.h>.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(VECSTORE_INSTALLED_HEADERS
  engine/files/convert.h
  engine/key.h
  engine/metrics.h
  engine/options.h
  engine/progress.h
  engine/reports.h
  engine/truth.h
  engine/vecstore.hpp
  engine/vector_source.h
  base/cancel_token.h
  base/ids.h
  base/latency_histogram.h
  base/status.h
  base/sync_mode.h
  base/vector_view.h
  compress/codec.h
  graph/query_stats.h
  pagestore/backend.h)

# The headers as users have them: below vecstore/, which is also how they name each other. The one that users include stands
# first.
set(public_headers ${PROJECT_BINARY_DIR}/include)
foreach(header IN LISTS VECSTORE_INSTALLED_HEADERS)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
  file(READ ${PROJECT_SOURCE_DIR}/${header} text)
  string(REGEX REPLACE "#include \"([a-z]+/[^\"]*)\"" "#include \"vecstore/\\1\"" text "${text}")
  string(REPLACE "engine/vecstore.hpp" "vecstore.hpp" as_installed ${header})
  file(CONFIGURE OUTPUT ${public_headers}/vecstore/${as_installed} CONTENT "${text}" @ONLY)
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/bindings/c/vecstore.h ${public_headers}/vecstore.h COPYONLY)

get_property(folders GLOBAL PROPERTY VECSTORE_LIBRARIES)
list(TRANSFORM folders REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
set(third_parties Threads::Threads PkgConfig::URING PkgConfig::ZSTD PkgConfig::XXHASH)
set(VECSTORE_PC_REQUIRES "liburing libzstd libxxhash")
if(VECSTORE_THREADS STREQUAL "tbb")
  list(APPEND third_parties TBB::tbb)
  string(APPEND VECSTORE_PC_REQUIRES " tbb")
endif()

# For C++ and C. It leaves no symbol of others outside, so that it links with whatever Eigen or JSON library a program has.
add_library(vecstore_whole STATIC ${objects})
add_library(vecstore::vecstore ALIAS vecstore_whole)
set_target_properties(vecstore_whole PROPERTIES OUTPUT_NAME vecstore EXPORT_NAME vecstore LINKER_LANGUAGE CXX)
target_compile_features(vecstore_whole INTERFACE cxx_std_20)
target_include_directories(vecstore_whole INTERFACE $<BUILD_INTERFACE:${public_headers}>
                                                    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(vecstore_whole INTERFACE ${third_parties})
if(VECSTORE_SANITIZE)
  target_link_options(vecstore_whole INTERFACE -fsanitize=${VECSTORE_SANITIZE})
elseif(NOT VECSTORE_COVERAGE)
  add_custom_command(TARGET vecstore_whole POST_BUILD VERBATIM
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/hide_symbols $<TARGET_FILE:vecstore_whole> ${CMAKE_LINKER} ${CMAKE_OBJCOPY} ${CMAKE_AR})
endif()

# For every language: the functions of vecstore.h, and nothing else.
add_library(vecstore_shared SHARED ${objects})
add_library(vecstore::shared ALIAS vecstore_shared)
set_target_properties(
  vecstore_shared
  PROPERTIES OUTPUT_NAME vecstore
             EXPORT_NAME shared
             VERSION ${PROJECT_VERSION}
             SOVERSION ${PROJECT_VERSION_MAJOR}
             LINKER_LANGUAGE CXX
             LINK_DEPENDS ${PROJECT_SOURCE_DIR}/bindings/c/vecstore.map)
target_include_directories(vecstore_shared INTERFACE $<BUILD_INTERFACE:${public_headers}>
                                                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_options(vecstore_shared PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/bindings/c/vecstore.map
                                            -Wl,--gc-sections -Wl,--exclude-libs,ALL)
target_link_libraries(vecstore_shared PRIVATE ${third_parties})
if(VECSTORE_SANITIZE)
  target_link_options(vecstore_shared PRIVATE -fsanitize=${VECSTORE_SANITIZE})
else()
  target_link_options(vecstore_shared PRIVATE -Wl,-z,defs)
endif()

install(TARGETS vecstore_whole EXPORT vecstore-static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS vecstore_shared EXPORT vecstore-shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${public_headers}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vecstore)
install(EXPORT vecstore-static NAMESPACE vecstore:: DESTINATION ${package_dir})
install(EXPORT vecstore-shared NAMESPACE vecstore:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/vecstore-config.cmake.in ${PROJECT_BINARY_DIR}/vecstore-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/vecstore-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/vecstore-config.cmake ${PROJECT_BINARY_DIR}/vecstore-config-version.cmake
        DESTINATION ${package_dir})
# Relative, so that `cmake --install --prefix` may choose another place than the configured one.
file(RELATIVE_PATH VECSTORE_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
foreach(package vecstore vecstore-cpp)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

if(TARGET vecstore_cli)
  install(TARGETS vecstore_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(EXISTS ${PROJECT_SOURCE_DIR}/tools/vecstore.1)
    install(FILES ${PROJECT_SOURCE_DIR}/tools/vecstore.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
  if(EXISTS ${PROJECT_SOURCE_DIR}/tools/vecstore.bash-completion)
    install(FILES ${PROJECT_SOURCE_DIR}/tools/vecstore.bash-completion
            DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME vecstore)
  endif()
endif()
