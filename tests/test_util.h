// SPDX-License-Identifier: Apache-2.0
//
// What tests share: a directory that goes away, checks on Status and Result, the data sets.
#pragma once

#ifndef VECSTORE_TEST_STATIC  // cross-compiled tests carry Boost.Test in themselves
#define BOOST_TEST_DYN_LINK
#endif
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/status.h"

// A Status or Result that must be ok; its message otherwise.
#define REQUIRE_OK(expression)                                                                        \
  do {                                                                                                \
    const auto& outcome_ = (expression);                                                              \
    BOOST_REQUIRE_MESSAGE(::vecstore::test::is_ok(outcome_), ::vecstore::test::message_of(outcome_)); \
  } while (false)

namespace vecstore::test {

inline bool is_ok(const Status& status) { return status.is_ok(); }
inline std::string message_of(const Status& status) { return status.message(); }
template <typename T>
bool is_ok(const Result<T>& result) {
  return result.has_value();
}
template <typename T>
std::string message_of(const Result<T>& result) {
  return result.has_value() ? "ok" : result.error().message();
}
template <typename T>
Code code_of(const Result<T>& result) {
  return result.has_value() ? Code::kOk : result.error().code();
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "vecstore-test-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::vector<char> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  BOOST_REQUIRE_MESSAGE(in.good(), "cannot open " << path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::string& path, const std::vector<char>& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  BOOST_REQUIRE_MESSAGE(out.good(), "cannot write " << path);
}

// The sets that ship with the project.
inline std::string shipped_data(const std::string& name) {
  return std::string(VECSTORE_SOURCE_DIR) + "/tests/data/" + name;
}

// A larger set, or "" when this machine has none: tests then say loudly that they skip.
inline std::string large_data(const std::string& name) {
  const char* root = std::getenv("VECSTORE_DATA");
  const std::string path =
      (root != nullptr ? std::string(root) : std::string(VECSTORE_SOURCE_DIR) + "/../shared/data") + "/" + name;
  return std::filesystem::exists(path) ? path : std::string();
}

}  // namespace vecstore::test
