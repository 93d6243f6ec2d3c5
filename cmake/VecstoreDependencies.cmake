# SPDX-License-Identifier: Apache-2.0
# Everything comes from Debian 12 packages (tools/setup installs them); nothing is fetched at configure time.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
if(VECSTORE_THREADS STREQUAL "tbb")
  find_package(TBB REQUIRED)
elseif(NOT VECSTORE_THREADS STREQUAL "std")
  message(FATAL_ERROR "VECSTORE_THREADS must be tbb or std, not '${VECSTORE_THREADS}'")
endif()
if(VECSTORE_TESTS)
  find_package(Boost REQUIRED COMPONENTS unit_test_framework)
  pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)  # reads the catalogs that we write
endif()
if(VECSTORE_BENCH)
  find_package(benchmark REQUIRED)
endif()
