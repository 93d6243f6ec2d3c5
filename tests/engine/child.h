// SPDX-License-Identifier: Apache-2.0
//
// A part of a test that runs in a process of its own. It is to die, to be limited, or to have no rights.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "tests/test_util.h"

namespace vecstore::test {

// What a child says about a call: its code, its message.
struct Said {
  Code code = Code::kOk;
  std::string message;
  int signal = 0;  // that killed it
};

// Runs `body` in a child and waits. The child must use no thread of the parent's.
inline Said in_child(const std::function<Status()>& body) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    const Status status = body();
    const std::string text = static_cast<char>(status.code()) + status.message();
    ::_exit(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  Said said;
  std::string text;
  char part[1024];
  for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof(part))) > 0;)
    text.append(part, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) said.signal = WTERMSIG(status);
  if (text.empty()) {
    said.code = Code::kUnsupported;
    said.message = "the child said nothing";
    return said;
  }
  said.code = static_cast<Code>(text[0]);
  said.message = text.substr(1);
  return said;
}

}  // namespace vecstore::test
