# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone: one generated source per header, built unoptimised with everything else.

file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/compress/*.h ${PROJECT_SOURCE_DIR}/engine/*.h ${PROJECT_SOURCE_DIR}/engine/*.hpp
  ${PROJECT_SOURCE_DIR}/graph/*.h ${PROJECT_SOURCE_DIR}/pagestore/*.h ${PROJECT_SOURCE_DIR}/tests/*.h
  ${PROJECT_SOURCE_DIR}/tools/*.h)
set(sources "")
foreach(header IN LISTS headers)
  string(MAKE_C_IDENTIFIER ${header} flat)
  set(source ${PROJECT_BINARY_DIR}/header-check/${flat}.cc)
  # Written only when it changes, so that configuring again rebuilds nothing. Twice, to see that a second time is harmless.
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n" @ONLY)
  list(APPEND sources ${source})
endforeach()
add_library(header_check OBJECT ${sources})
target_link_libraries(header_check PRIVATE vecstore_options Boost::unit_test_framework Eigen3::Eigen PkgConfig::URING
                                           PkgConfig::LMDB PkgConfig::ZSTD PkgConfig::XXHASH nlohmann_json::nlohmann_json
                                           fmt::fmt CLI11::CLI11)
if(TARGET TBB::tbb)
  target_link_libraries(header_check PRIVATE TBB::tbb)
endif()
target_compile_options(header_check PRIVATE -O0)
target_compile_definitions(header_check PRIVATE VECSTORE_SOURCE_DIR="" VECSTORE_BINARY_DIR="" VECSTORE_CLI="")
