// SPDX-License-Identifier: Apache-2.0
//
// What the system refuses is told as the system's refusal, and not as an option of ours.
#include "tests/instrumented.h"
#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;

// The program after `before`, in one shell.
Ran run_in_shell(const TemporaryDirectory& directory, const std::string& before, const std::string& arguments) {
  const std::string script = directory.path("script"),
                    text = before + "\nexec " + std::string(VECSTORE_CLI) + " " + arguments + "\n";
  write_file(script, {text.begin(), text.end()});
  const std::string command =
      "sh " + script + " >" + directory.path("out") + " 2>" + directory.path("err") + " </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(directory.path("out")), text_of(directory.path("err"))};
}

BOOST_AUTO_TEST_SUITE(system_limits)

// The delta, which had room, was said to be used up.
BOOST_AUTO_TEST_CASE(a_small_address_space_is_told_from_a_full_delta) {
  if (kInstrumented) return;  // sanitizers need address space of their own
  const TemporaryDirectory directory;
  const std::string vectors = write_fbin(directory.path("v.fbin"), 60000, 64);
  int refused = 0;
  for (int kib = 30 << 10; kib <= 400 << 10; kib += 2 << 10) {
    const std::string store = directory.path("s" + std::to_string(kib));
    BOOST_REQUIRE(run("create " + store).exit_code == 0);
    const Ran ran = run_in_shell(directory, "ulimit -v " + std::to_string(kib),
                                 "insert " + store + " --quiet --sync none --batch 5000 --input " + vectors);
    if (ran.exit_code == 0) break;
    if (mentions(ran.err, "loading shared libraries")) continue;
    ++refused;
    BOOST_TEST(ran.exit_code == 1, ran.err);
    BOOST_TEST(std::count(ran.err.begin(), ran.err.end(), '\n') == 1, ran.err);
    BOOST_TEST((mentions(ran.err, "the system") || mentions(ran.err, "Cannot allocate memory") ||
                mentions(ran.err, "Resource temporarily unavailable")),
               ran.err);
    for (const char* ours : {"waits to be merged", "--delta", "--ram needs", "budget is too small"})
      BOOST_TEST(!mentions(ran.err, ours), ran.err);
  }
  BOOST_TEST(refused > 2);
}

BOOST_AUTO_TEST_CASE(a_read_only_file_system_is_told_as_one) {
  const TemporaryDirectory directory;
  const std::string mount = directory.path("m"), vectors = write_fbin(directory.path("v.fbin"), 20, 4);
  if (std::system(("unshare -m true 2>/dev/null && mkdir " + mount).c_str()) != 0) {
    BOOST_TEST_MESSAGE("skipped: this machine does not let us mount a file system");
    return;
  }
  const std::string cli = VECSTORE_CLI, store = mount + "/s";
  const std::string prepare = "mount -t tmpfs none " + mount + "\n" + cli + " create " + store + "\n" + cli +
                              " insert " + store + " --quiet --input " + vectors + " >/dev/null\nmount -o remount,ro " +
                              mount;
  // The rest of the script runs in a mount namespace of its own.
  const std::string inside = "[ -n \"$INSIDE\" ] || INSIDE=1 exec unshare -m sh " + directory.path("script") + "\n";
  for (const std::string& arguments :
       {"create " + mount + "/t", "insert " + store + " --quiet --input " + vectors, "delete " + store + " 3",
        "build --quiet --no-calibration --input " + vectors + " --output " + mount + "/b",
        "export " + store + " --output " + mount + "/o.fbin --keys " + mount + "/k",
        "convert --quiet " + vectors + " " + mount + "/o.npy"}) {
    const Ran ran = run_in_shell(directory, inside + prepare, arguments);
    BOOST_TEST(ran.exit_code == 1, arguments << ": " << ran.err);
    BOOST_TEST(mentions(ran.err, "the file system is read-only (Read-only file system)"), arguments << ": " << ran.err);
    BOOST_TEST(mentions(ran.err, mount), ran.err);
  }
  BOOST_TEST(run_in_shell(directory, inside + prepare, "get " + store + " 3").exit_code == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
