// SPDX-License-Identifier: Apache-2.0
//
// What tests share: a directory that goes away, checks on Status and Result, the data sets.
#pragma once

#ifndef VECSTORE_TEST_STATIC  // cross-compiled tests carry Boost.Test in themselves
#define BOOST_TEST_DYN_LINK
#endif
#include <boost/test/unit_test.hpp>
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
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }

 private:
  std::string path_;
};

std::vector<char> read_file(const std::string& path);
void write_file(const std::string& path, const std::vector<char>& bytes);

// The sets that ship with the project.
std::string shipped_data(const std::string& name);
// A larger set, or "" when this machine has none: tests then say loudly that they skip.
std::string large_data(const std::string& name);

}  // namespace vecstore::test
