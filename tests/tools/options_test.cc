// SPDX-License-Identifier: Apache-2.0
//
// Every option of every command, as a script gets it wrong.
#include <filesystem>
#include <sstream>

#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;

struct ListedOption {
  std::string name, form;  // form: "UINT", or what else stands behind the name; empty for a flag
};

// Those with two dashes, without --help and --help-all.
std::vector<ListedOption> options_in_help(const std::string& command) {
  std::vector<ListedOption> options;
  std::istringstream help(run(command + " --help").out);
  for (std::string line; std::getline(help, line);) {
    std::istringstream words(line);
    ListedOption option;
    words >> option.name;
    const std::size_t at = option.name.find("--");
    if (line.find_first_not_of(' ') == 0 || at == std::string::npos) continue;
    option.name.erase(0, at);
    if (option.name.starts_with("--help")) continue;
    words >> option.form;
    const bool is_form = option.form.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ|") == std::string::npos ||
                         option.form.find('|') != std::string::npos;
    if (!is_form) option.form.clear();
    options.push_back(option);
  }
  return options;
}

BOOST_AUTO_TEST_SUITE(options)

// "--output=$NAME", where NAME is not set, took the next option for the name.
BOOST_AUTO_TEST_CASE(an_empty_value_is_told_and_takes_nothing_else) {
  EveryCommand every;
  int checked = 0;
  for (const std::string& command : commands_in_help())
    for (const ListedOption& option : options_in_help(command)) {
      const std::string arguments = command + every.arguments_of(command) + " ";
      for (const std::string& empty : {option.name + "=", option.name + "= --help", option.name + "= x"})
        BOOST_TEST(mentions(refused(arguments + empty, 2), option.name + ": its value is empty"), arguments << empty);
      if (option.form.empty()) continue;
      ++checked;
      BOOST_TEST(mentions(refused(arguments + option.name + " ''", 2), option.name + ": its value is empty"));
      for (const std::string next : {"--help", "--help-all"})
        BOOST_TEST(mentions(refused(arguments + option.name + " " + next, 2),
                            option.name + ": its value is missing before " + next));
    }
  BOOST_TEST(checked >= 80, checked);
}

BOOST_AUTO_TEST_CASE(no_file_gets_the_name_of_an_option) {
  const TemporaryDirectory directory;
  const std::string file = write_fbin(directory.path("v.fbin"), 3, 4);
  for (const char* output : {"--output= --overwrite", "--output --overwrite", "--output '' --overwrite"}) {
    const std::string script = "cd " + directory.path() + " && " + VECSTORE_CLI + " build --no-calibration --input " +
                               file + " " + output + " >/dev/null 2>&1";
    BOOST_TEST(WEXITSTATUS(std::system(script.c_str())) == 2, output);
    BOOST_TEST(!std::filesystem::exists(directory.path("--overwrite")), output);
  }
  // The way out that the message names.
  const std::string advised = "cd " + directory.path() + " && " + VECSTORE_CLI + " convert --overwrite -- " + file +
                              " --count=.npy >/dev/null && " + VECSTORE_CLI + " groundtruth --k 1 --base " + file +
                              " --queries " + file + " --output=--overwrite >/dev/null";
  BOOST_TEST(WEXITSTATUS(std::system(advised.c_str())) == 0);
  BOOST_TEST(std::filesystem::exists(directory.path("--overwrite")));
  BOOST_TEST(std::filesystem::exists(directory.path("--count=.npy")));
}

BOOST_AUTO_TEST_CASE(an_empty_argument_is_told) {
  EveryCommand every;
  for (const std::string& command : commands_in_help()) {
    const std::string help = run(command + " --help").out;
    if (help.find("Positionals:") == std::string::npos) continue;
    BOOST_TEST(mentions(refused(command + " ''" + every.arguments_of(command), 2), ""), command);
  }
  BOOST_TEST(mentions(refused("get '' 1", 2), "store: its value is empty"));
  BOOST_TEST(mentions(refused("delete s 1 '' 2", 2), "key: its value is empty"));
  BOOST_TEST(mentions(refused("frobnicate s", 2), "there is no command 'frobnicate'"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
