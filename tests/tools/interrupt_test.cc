// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C and its kin: the command ends by the signal, says so in one line, and leaves everything whole.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/random.h"
#include "engine/vecstore.hpp"
#include "tests/tools/command.h"

namespace vecstore {
namespace {

using namespace test;

const std::string kBase = shipped_data("csift55k.base.u8bin");

struct Ended {
  int status = 0;  // as waitpid() has it
  std::string err;
};

// Runs the program and sends it a signal after a time; `ignored`: that signal is ignored when the program begins.
Ended interrupt(const std::vector<std::string>& arguments, std::chrono::microseconds after, int signal,
                bool ignored = false) {
  const TemporaryDirectory directory;
  const std::string err = directory.path("err");
  write_file(err, {});
  std::vector<char*> argv;
  std::string name = "vecstore";
  argv.push_back(name.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);  // or the child prints it again
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(signal, ignored ? SIG_IGN : SIG_DFL);
    if (std::freopen("/dev/null", "w", stdout) == nullptr || std::freopen(err.c_str(), "w", stderr) == nullptr)
      ::_exit(126);
    ::execv(VECSTORE_CLI, argv.data());
    ::_exit(127);
  }
  std::this_thread::sleep_for(after);
  ::kill(child, signal);
  Ended ended;
  BOOST_REQUIRE(::waitpid(child, &ended.status, 0) == child);
  ended.err = text_of(err);
  return ended;
}

BOOST_AUTO_TEST_SUITE(interrupt_commands)

BOOST_AUTO_TEST_CASE(a_build_ends_by_the_signal_and_leaves_nothing) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("idx");
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Ended ended =
        interrupt({"build", "--input", kBase, "--output", path}, std::chrono::milliseconds(300), signal);
    BOOST_TEST(WIFSIGNALED(ended.status));
    BOOST_TEST(WTERMSIG(ended.status) == signal);
    BOOST_TEST(mentions(ended.err, "vecstore: interrupted\n"), ended.err);
    BOOST_TEST(!std::filesystem::exists(path));
  }
}

BOOST_AUTO_TEST_CASE(an_ignored_signal_stays_ignored) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("cut.u8bin");
  BOOST_REQUIRE(run("convert " + kBase + " " + path + " --count 2000").exit_code == 0);
  const Ended ended = interrupt({"build", "--input", path, "--output", directory.path("idx"), "--quiet"},
                                std::chrono::milliseconds(50), SIGHUP, true);
  BOOST_TEST(WIFEXITED(ended.status));
  BOOST_TEST(WEXITSTATUS(ended.status) == 0, ended.err);
  BOOST_TEST(ended.err == "");
}

// Whatever it is doing: each command ends by the signal, or had ended before, and what it works on stays whole.
BOOST_AUTO_TEST_CASE(commands_that_are_interrupted_anywhere_leave_everything_whole) {
  const TemporaryDirectory directory;
  const std::string index = directory.path("idx");
  const std::string store = directory.path("store");
  const std::string out = directory.path("out");
  BOOST_REQUIRE(run("build --input " + kBase + " --output " + index + " --no-calibration --quiet").exit_code == 0);
  REQUIRE_OK(Store::create(store, {.dtype = DType::kU8}));
  const std::string vectors = out + "/x.u8bin";
  std::filesystem::create_directory(out);
  const std::vector<std::vector<std::string>> commands = {
      {"search", index, "--queries", kBase, "--L", "200", "--blocks", "30", "--quiet"},
      {"verify", index, "--deep", "--quiet"},
      {"export", index, "--output", vectors, "--keys", out + "/keys", "--overwrite", "--quiet"},
      {"insert", store, "--input", kBase, "--batch", "50", "--quiet"},
      {"groundtruth", "--base", kBase, "--queries", kBase, "--output", out + "/truth", "--overwrite", "--quiet"},
      {"convert", kBase, out + "/y.fbin", "--overwrite", "--quiet"},
      {"delete", store, "--keys", directory.path("keys"), "--quiet"}};
  std::string keys;
  for (int key = 0; key < 55'000; ++key) keys += std::to_string(key) + "\n";
  write_file(directory.path("keys"), {keys.begin(), keys.end()});
  Random random(3);
  int interrupted = 0;
  for (const auto& command : commands)
    for (int i = 0; i < 6; ++i) {
      const Ended ended = interrupt(command, std::chrono::microseconds(2000 + random.below(250'000)), SIGINT);
      if (WIFSIGNALED(ended.status)) {
        ++interrupted;
        BOOST_TEST(WTERMSIG(ended.status) == SIGINT);
        // One that came before the program listened says nothing.
        BOOST_TEST((ended.err.empty() || mentions(ended.err, "interrupted")), command[0] << ": " << ended.err);
      } else {
        BOOST_TEST(WEXITSTATUS(ended.status) == 0, command[0] << ": " << ended.err);
      }
      for (const auto& entry : std::filesystem::directory_iterator(out))
        BOOST_TEST(!mentions(entry.path().string(), ".partial-"), command[0] << " left " << entry.path());
    }
  BOOST_TEST(interrupted > 5);
  BOOST_TEST(run("verify " + index + " --deep --quiet").exit_code == 0);
  BOOST_TEST(run("verify " + store + " --deep --quiet").exit_code == 0);
  const auto opened = Store::open(store, {.access = Access::kReadWrite});
  REQUIRE_OK(opened);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
