// SPDX-License-Identifier: Apache-2.0
//
// The program run as a person or a script runs it.
#pragma once

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/test_util.h"

namespace vecstore::test {

struct Ran {
  int exit_code = -1;
  std::string out, err;
};

inline std::string text_of(const std::string& path) {
  const auto bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

inline Ran run(const std::string& arguments, const std::string& input = "/dev/null") {
  const TemporaryDirectory directory;
  const std::string command = std::string(VECSTORE_CLI) + " " + arguments + " <" + input + " >" +
                              directory.path("out") + " 2>" + directory.path("err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(directory.path("out")), text_of(directory.path("err"))};
}

// The one line on stderr.
inline std::string refused(const std::string& arguments, int exit_code, const std::string& input = "/dev/null") {
  const Ran ran = run(arguments, input);
  BOOST_TEST(ran.exit_code == exit_code, arguments << ": " << ran.exit_code << " " << ran.err);
  BOOST_TEST(std::count(ran.err.begin(), ran.err.end(), '\n') == 1, ran.err);
  BOOST_TEST(ran.out.empty(), ran.out);
  return ran.err;
}

inline bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace vecstore::test
