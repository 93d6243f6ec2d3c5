# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts down: one static library made of all folders, the few public headers, the binary with its
# manual page and completion, and how CMake and pkg-config find them. Consumers write #include "engine/vecstore.hpp".

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
set(headers_dir ${CMAKE_INSTALL_INCLUDEDIR}/vecstore)

get_property(folders GLOBAL PROPERTY VECSTORE_LIBRARIES)
list(TRANSFORM folders REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
add_library(vecstore_whole STATIC ${objects})
add_library(vecstore::vecstore ALIAS vecstore_whole)
set_target_properties(vecstore_whole PROPERTIES OUTPUT_NAME vecstore EXPORT_NAME vecstore LINKER_LANGUAGE CXX)
target_compile_features(vecstore_whole INTERFACE cxx_std_20)
target_include_directories(vecstore_whole INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                                    $<INSTALL_INTERFACE:${headers_dir}>)
target_link_libraries(vecstore_whole INTERFACE Threads::Threads PkgConfig::URING PkgConfig::ZSTD PkgConfig::XXHASH)
set(VECSTORE_PC_REQUIRES "liburing libzstd libxxhash")
if(VECSTORE_THREADS STREQUAL "tbb")
  target_link_libraries(vecstore_whole INTERFACE TBB::tbb)
  string(APPEND VECSTORE_PC_REQUIRES " tbb")
endif()
if(VECSTORE_SANITIZE)
  target_link_options(vecstore_whole INTERFACE -fsanitize=${VECSTORE_SANITIZE})
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
target_include_directories(vecstore_shared INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/bindings/c>
                                                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_options(vecstore_shared PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/bindings/c/vecstore.map -Wl,--gc-sections
                                            -Wl,--exclude-libs,ALL)
target_link_libraries(vecstore_shared PRIVATE Threads::Threads PkgConfig::URING PkgConfig::ZSTD PkgConfig::XXHASH)
if(VECSTORE_THREADS STREQUAL "tbb")
  target_link_libraries(vecstore_shared PRIVATE TBB::tbb)
endif()
if(VECSTORE_SANITIZE)
  target_link_options(vecstore_shared PRIVATE -fsanitize=${VECSTORE_SANITIZE})
else()
  target_link_options(vecstore_shared PRIVATE -Wl,-z,defs)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/bindings/c/vecstore.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

install(TARGETS vecstore_whole vecstore_shared EXPORT vecstore-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(header IN LISTS VECSTORE_INSTALLED_HEADERS)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${headers_dir}/${folder})
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vecstore)
install(EXPORT vecstore-targets NAMESPACE vecstore:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/vecstore-config.cmake.in ${PROJECT_BINARY_DIR}/vecstore-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/vecstore-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/vecstore-config.cmake ${PROJECT_BINARY_DIR}/vecstore-config-version.cmake
        DESTINATION ${package_dir})
# Relative, so that `cmake --install --prefix` may choose another place than the configured one.
file(RELATIVE_PATH VECSTORE_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/vecstore.pc.in ${PROJECT_BINARY_DIR}/vecstore.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/vecstore.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

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
