# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone: one generated source per header, built unoptimised with everything else. Once is enough: with
# clang, which takes less time for it.

set(patterns "")
foreach(folder IN LISTS VECSTORE_FOLDERS ITEMS tools tests bench)
  list(APPEND patterns ${PROJECT_SOURCE_DIR}/${folder}/*.h ${PROJECT_SOURCE_DIR}/${folder}/*.hpp)
endforeach()
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${patterns})
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
target_compile_definitions(header_check PRIVATE VECSTORE_CLI="")
