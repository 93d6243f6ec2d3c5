// SPDX-License-Identifier: Apache-2.0
//
// A stream that is closed, full or read by nobody: the command ends with the code it would have, or says that its
// results are lost. It is never aborted, and nothing that was meant for the stream goes into a file of the store.
#include <filesystem>

#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;

// With the shell's redirections behind the command; 128 and more is a signal.
int code_with(const std::string& arguments, const std::string& redirections) {
  const int status =
      std::system(("{ " + std::string(VECSTORE_CLI) + " " + arguments + " </dev/null; } " + redirections).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool has_full_device() {
  const bool has = std::filesystem::exists("/dev/full");
  if (!has) BOOST_TEST_MESSAGE("skipped: this machine has no /dev/full");
  return has;
}

const std::vector<std::string> kLostErrors = {"2>&-", "2>/dev/full", "2>&- 0<&-"};

BOOST_AUTO_TEST_SUITE(streams)

BOOST_AUTO_TEST_CASE(an_error_that_cannot_be_printed_has_its_exit_code) {
  if (!has_full_device()) return;
  EveryCommand every;
  for (const std::string& lost : kLostErrors) {
    BOOST_TEST(code_with("info /nonexistent", lost + " >/dev/null") == 1, lost);
    BOOST_TEST(code_with("frobnicate", lost + " >/dev/null") == 2, lost);
    for (const std::string& command : commands_in_help()) {
      BOOST_TEST(code_with(command + " --no-such-option", lost + " >/dev/null") == 2, command << " " << lost);
      BOOST_TEST(code_with(command + every.arguments_of(command), lost + " >/dev/null") == 0, command << " " << lost);
    }
  }
}

BOOST_AUTO_TEST_CASE(results_that_cannot_be_printed_are_a_failure) {
  if (!has_full_device()) return;
  EveryCommand every;
  const TemporaryDirectory directory;
  for (const std::string& command : commands_in_help())
    for (const std::string full : {">/dev/full", ">&-", ">&- <&-", ">/dev/full 2>&-"}) {
      // An empty store is made without a word.
      const std::string arguments = command + every.arguments_of(command) + (command == "create" ? " --json" : "");
      const std::string errors = full.find("2>") == std::string::npos ? " 2>" + directory.path("err") : "";
      BOOST_TEST(code_with(arguments, full + errors) == 1, arguments << " " << full);
      if (!errors.empty())
        BOOST_TEST(mentions(text_of(directory.path("err")), "standard output: the results could not be written"),
                   arguments << " " << full << ": " << text_of(directory.path("err")));
      BOOST_TEST(code_with(command + " --help", full + errors) == 1, command << " " << full);
    }
  BOOST_TEST(code_with("--version", ">/dev/full 2>/dev/null") == 1);
  BOOST_TEST(code_with("--help-all", ">&- 2>/dev/null") == 1);
}

// What is printed would go into the first file that is opened, had it the number of the stream.
BOOST_AUTO_TEST_CASE(closed_streams_leave_the_store_whole) {
  EveryCommand every;
  const TemporaryDirectory directory;
  const std::string store = directory.path("s"), file = write_fbin(directory.path("v.fbin"), 50, 4);
  BOOST_TEST(run("create " + store).exit_code == 0);
  for (const std::string closed : {">&- 2>&- <&-", ">&- 2>/dev/null", "2>&- >/dev/null"})
    static_cast<void>(code_with("insert " + store + " --batch 10 --ack --input " + file, closed));
  BOOST_TEST(run("insert " + store + " --quiet --input " + file).exit_code == 0);
  BOOST_TEST(run("verify " + store + " --deep").exit_code == 0);
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  50"));
}

BOOST_AUTO_TEST_CASE(a_reader_that_went_away_is_a_failure_and_no_signal) {
  const TemporaryDirectory directory;
  const std::string file = write_fbin(directory.path("v.fbin"), 9, 4), store = directory.path("s");
  BOOST_TEST(run("create " + store).exit_code == 0);
  const std::string script = "{ sleep .2; " + std::string(VECSTORE_CLI) + " insert " + store +
                             " --ack --batch 1 --input " + file + " 2>" + directory.path("err") + "; echo $? >" +
                             directory.path("code") + "; } | true";
  static_cast<void>(std::system(script.c_str()));
  BOOST_TEST(text_of(directory.path("code")) == "1\n");
  BOOST_TEST(mentions(text_of(directory.path("err")), "standard output: the results could not be written"));
}

BOOST_AUTO_TEST_CASE(closed_input_is_told) {
  const TemporaryDirectory directory;
  const std::string file = write_fbin(directory.path("v.fbin"), 9, 4), store = directory.path("s");
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(run("insert " + store + " --quiet --input " + file).exit_code == 0);
  const std::string query = std::string(VECSTORE_CLI) + " query " + store + " <&- 2>" + directory.path("err");
  const int status = std::system(query.c_str());
  BOOST_TEST(WEXITSTATUS(status) == 1);
  BOOST_TEST(mentions(text_of(directory.path("err")), "standard input: cannot read the numbers"));
}

// These throw, or lose what went wrong.
BOOST_AUTO_TEST_CASE(commands_print_by_output_h_alone) {
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(std::string(VECSTORE_SOURCE_DIR) + "/tools")) {
    if (file.path().extension() != ".cc" || file.path().filename() == "output.cc") continue;
    ++files;
    for (const char* call : {"fmt::print(", "printf(", "std::cout", "std::cerr", "fputs(", "fwrite("})
      BOOST_TEST(!mentions(text_of(file.path()), call), file.path() << " calls " << call);
  }
  BOOST_TEST(files >= 20);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
