// SPDX-License-Identifier: Apache-2.0
//
// Every option of every command, as a script gets it wrong.
#include <filesystem>
#include <set>
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

// "groundtruth --k 0" was a failure or wrong usage, after what else was wrong; "--ram 0" was no bound at all.
BOOST_AUTO_TEST_CASE(every_number_has_a_range_that_is_checked_first) {
  EveryCommand every;
  const std::set<std::string> zero_means_something = {"--threads", "--skip",  "--count", "--first-key", "--first-row",
                                                      "--row",     "--cache", "--seed",  "--bound",     "--radius"};
  const std::set<std::string> huge_means_something = {"--seed", "--cache", "--radius"};
  const std::set<std::string> depend_on_the_file = {"--skip", "--count", "--first-key", "--first-row", "--row"};
  int checked = 0;
  for (const std::string& command : commands_in_help())
    for (const ListedOption& option : options_in_help(command)) {
      const bool is_size = option.form.starts_with("SIZE");
      if (option.form != "UINT" && option.form != "FLOAT" && !is_size) continue;
      ++checked;
      const auto code_of = [&](const std::string& value) {
        // What --row needs is among the arguments; --keys excludes nothing that is there.
        const Ran ran = run(command + every.arguments_of(command) + " " + option.name + " " + value);
        if (ran.exit_code == 2 && !depend_on_the_file.contains(option.name))
          BOOST_TEST(mentions(ran.err, option.name), command << " " << option.name << " " << value << ": " << ran.err);
        return ran.exit_code;
      };
      const bool is_distance = option.name == "--radius";  // which may be any number
      for (const std::string never : {"-1", "text", "18446744073709551616", "99999PiB", "1e400", "0x10"})
        if (!is_distance || never.find_first_not_of("-0123456789") != std::string::npos)
          BOOST_TEST(code_of(never) == 2, command << " " << option.name << " " << never);
      BOOST_TEST(code_of("0") == (zero_means_something.contains(option.name) ? 0 : 2), command << " " << option.name);
      const std::string huge = is_size ? "8191TiB" : "18446744073709551615";
      const bool takes_any = is_size && option.name != "--page-size";
      const int expected = takes_any || huge_means_something.contains(option.name) ? 0 : 2;
      BOOST_TEST(code_of(huge) == expected, command << " " << option.name << " " << huge);
    }
  BOOST_TEST(checked >= 45, checked);
}

// Before any file is looked at.
BOOST_AUTO_TEST_CASE(a_number_out_of_range_is_told_before_a_file_that_is_missing) {
  const std::string truth = "groundtruth --base none.fbin --queries none.fbin --output none.ibin";
  const std::string search = "search none --queries none.fbin", build = "build --input none.fbin --output none";
  BOOST_TEST(mentions(refused(truth + " --k 0", 2), "--k: '0' is not a whole number from 1 to 1000"));
  BOOST_TEST(mentions(refused(truth + " --k 1001", 2), "--k: '1001'"));
  BOOST_TEST(mentions(refused(truth + " --threads 257", 2), "from 0 to 256"));
  for (const char* wrong :
       {"--k 0", "--k 1001", "--L 0", "--L 4097", "--blocks 0", "--clients 0", "--clients 1025", "--threads 257",
        "--recall-target 0", "--recall-target 1.01", "--bound 1000001", "--ram 0"}) {
    BOOST_TEST(mentions(refused(search + " " + wrong, 2), " is "), wrong);
  }
  for (const char* wrong : {"--max-degree 0", "--max-degree 256", "--build-list 0", "--build-list 4097",
                            "--code-bytes 0", "--code-bytes 4097", "--alpha 0.99", "--alpha 4.01", "--ram 0",
                            "--search-ram 0", "--page-size 0", "--threads 257"})
    BOOST_TEST(mentions(refused(build + " " + wrong, 2), " is "), wrong);
  const std::string insert = "insert none --input none.fbin";
  for (const char* wrong : {"--batch 0", "--batch 1000001", "--sync-interval 0", "--delta 1048575", "--log 4194303"})
    BOOST_TEST(mentions(refused(insert + " " + wrong, 2), " is "), wrong);
  BOOST_TEST(mentions(refused("create none --dim 0", 2), "from 1 to 4096"));
  BOOST_TEST(mentions(refused(insert + " --log 4194303", 2), "less than 4.0 MiB, the least"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
