// SPDX-License-Identifier: Apache-2.0
//
// The program as a person or a script meets it: exit codes, one clear line for what is refused, and documentation that
// names the options there are.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "tests/tools/every_command.h"

using namespace vecstore;
using test::commands_in_help;
using test::mentions;
using test::Ran;
using test::refused;
using test::run;
using test::text_of;

namespace {

const std::string kQueries = test::shipped_data("csift55k.query.u8bin");

// The long options in CLI11's help, which stand at the start of lines.
std::set<std::string> options_in_help(const std::string& help) {
  std::set<std::string> options;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t start = line.find_first_not_of(' ');
    if (start == std::string::npos || start == 0 || line[start] != '-') continue;
    std::string names = line.substr(start, line.find(' ', start) - start);
    const std::size_t at = names.find("--");
    if (at != std::string::npos) options.insert(names.substr(at, names.find(',', at) - at));
  }
  options.erase("--help");
  options.erase("--help-all");  // every command inherits it; the manual has it once
  return options;
}

std::set<std::string> options_in_text(const std::string& text) {
  std::set<std::string> options;
  for (std::size_t at = text.find("--"); at != std::string::npos; at = text.find("--", at + 2)) {
    const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyzL-", at);
    if (end - at > 2) options.insert(text.substr(at, end - at));
  }
  return options;
}

// What the manual says of one command, with troff's escaped hyphens made plain; only the lines that head a paragraph.
std::set<std::string> options_in_manual(const std::string& command) {
  std::istringstream lines(text_of(std::string(VECSTORE_SOURCE_DIR) + "/tools/vecstore.1"));
  std::string section, previous;
  bool inside = false;
  for (std::string line; std::getline(lines, line); previous = line) {
    if (line.starts_with(".S")) inside = line == ".SS " + command;
    if (inside && previous == ".TP") section += line + "\n";
  }
  for (std::size_t at = section.find('\\'); at != std::string::npos; at = section.find('\\', at)) section.erase(at, 1);
  return options_in_text(section);
}

std::set<std::string> commands_in_manual() {
  std::set<std::string> commands;
  std::istringstream lines(text_of(std::string(VECSTORE_SOURCE_DIR) + "/tools/vecstore.1"));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(".SS ")) commands.insert(line.substr(4));
  return commands;
}

std::string completion_text() { return text_of(std::string(VECSTORE_SOURCE_DIR) + "/tools/vecstore.bash-completion"); }

// Commands offered for the word that stands first on a command line.
std::set<std::string> commands_in_completion() {
  const std::string text = completion_text();
  const std::size_t begin = text.find("-W \"", text.find("elif [[ -z $command ]]")) + 4;
  std::istringstream words(text.substr(begin, text.find('"', begin) - begin));
  std::set<std::string> commands;
  for (std::string word; words >> word;) commands.insert(word);
  return commands;
}

// Those that the table under "## Commands" begins its lines with.
std::set<std::string> commands_in_readme() {
  std::set<std::string> commands;
  bool inside = false;
  std::istringstream lines(text_of(std::string(VECSTORE_SOURCE_DIR) + "/tools/README.md"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) inside = line == "## Commands";
    if (!inside || !line.starts_with("| `")) continue;
    const std::string names = line.substr(0, line.find('|', 1));
    for (std::size_t at = names.find('`'); at != std::string::npos; at = names.find('`', at + 1)) {
      const std::size_t end = names.find('`', at + 1);
      commands.insert(names.substr(at + 1, end - at - 1));
      at = end;
    }
  }
  return commands;
}

std::set<std::string> options_in_completion(const std::string& command) {
  const std::string text = completion_text();
  const std::size_t begin = text.find("    " + command + ") echo");
  BOOST_REQUIRE(begin != std::string::npos);
  return options_in_text(text.substr(begin, text.find(";;", begin) - begin));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli)

BOOST_AUTO_TEST_CASE(manual_completion_and_readme_name_the_commands_there_are) {
  const std::vector<std::string> listed = commands_in_help();
  const std::set<std::string> known(listed.begin(), listed.end());
  BOOST_TEST(known.size() >= 15u);
  BOOST_TEST(commands_in_manual() == known, boost::test_tools::per_element());
  BOOST_TEST(commands_in_completion() == known, boost::test_tools::per_element());
  BOOST_TEST(commands_in_readme() == known, boost::test_tools::per_element());
}

// Help shows the words of an option as "--metric l2|ip|cosine".
BOOST_AUTO_TEST_CASE(completion_offers_the_words_that_an_option_takes) {
  std::map<std::string, std::string> forms;
  std::istringstream help(run("--help-all").out);
  for (std::string line; std::getline(help, line);) {
    std::istringstream words(line);
    std::string option, form;
    if (words >> option >> form && option.starts_with("--") && form.find('|') != std::string::npos &&
        form != "SIZE|PERCENT")
      forms[option] = form;
  }
  forms["--page-size"] = "4096|8192|16384";  // shown as a size, because 4KiB does as well

  std::map<std::string, std::string> offered;
  std::istringstream completion(completion_text());
  for (std::string line; std::getline(completion, line);) {
    const std::size_t begin = line.find("--"), end = line.find(") mapfile -t COMPREPLY < <(compgen -W \"");
    if (end == std::string::npos || end < begin) continue;
    const std::size_t first = line.find('"', end) + 1;
    std::string words = line.substr(first, line.find('"', first) - first);
    std::replace(words.begin(), words.end(), ' ', '|');
    offered[line.substr(begin, end - begin)] = words;
  }
  BOOST_TEST((offered == forms));
  for (const auto& [option, form] : forms) BOOST_TEST(offered[option] == form, option << ": " << offered[option]);
}

BOOST_AUTO_TEST_CASE(manual_and_completion_name_the_options_there_are) {
  for (const std::string& command : commands_in_help()) {
    const auto known = options_in_help(run(command + " --help").out);
    for (const char* everywhere : {"--quiet", "--json"}) BOOST_TEST(known.contains(everywhere), command << everywhere);
    BOOST_TEST(options_in_manual(command) == known, boost::test_tools::per_element());
    BOOST_TEST(options_in_completion(command) == known, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(help_and_version_are_no_errors) {
  BOOST_TEST(run("--version").out == "vecstore " + std::string(version()) + "\n");
  BOOST_TEST(run("--version").exit_code == 0);
  const Ran help = run("--help-all");
  BOOST_TEST(help.exit_code == 0);
  for (const std::string& command : commands_in_help()) BOOST_TEST(mentions(help.out, command));
}

BOOST_AUTO_TEST_CASE(wrong_usage_is_two) {
  const test::TemporaryDirectory directory;
  const std::string truth =
      "groundtruth --base " + kQueries + " --queries " + kQueries + " --output " + directory.path("gt.ibin");
  BOOST_TEST(run("").exit_code == 2);
  BOOST_TEST(run("frobnicate").exit_code == 2);
  BOOST_TEST(run("groundtruth").exit_code == 2);
  BOOST_TEST(run(truth + " --metric hamming").exit_code == 2);
  BOOST_TEST(run(truth + " --k -1").exit_code == 2);
  BOOST_TEST(run("search idx --queries " + kQueries + " --ram 12Q").exit_code == 2);
  BOOST_TEST(run("search idx --queries " + kQueries + " --cache 101%").exit_code == 2);
  BOOST_TEST(mentions(refused(truth + " --k 0", 2), "from 1 to 1000"));
  BOOST_TEST(mentions(refused(truth + " --k 1001", 2), "from 1 to 1000"));
  BOOST_TEST(mentions(refused("search idx --queries " + kQueries + " --k 0", 2), "from 1 to 1000"));
  BOOST_TEST(mentions(refused("query idx --queries " + kQueries + " --k 0", 2), "from 1 to 1000"));
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_read_are_named) {
  const test::TemporaryDirectory directory;
  const auto truth = [&](const std::string& base, const std::string& queries) {
    return "groundtruth --base " + base + " --queries " + queries + " --output " + directory.path("gt.ibin");
  };
  BOOST_TEST(mentions(refused(truth(directory.path("none.fbin"), kQueries), 1), "none.fbin"));
  auto bytes = test::read_file(kQueries);
  bytes.resize(bytes.size() - 1);
  test::write_file(directory.path("cut.u8bin"), bytes);
  BOOST_TEST(mentions(refused(truth(directory.path("cut.u8bin"), kQueries), 1), "cut.u8bin"));
  BOOST_TEST(mentions(refused(truth(directory.path("cut.u8bin"), kQueries), 1), "offset 128007"));
  test::write_file(directory.path("wrong.npy"), bytes);
  BOOST_TEST(mentions(refused(truth(directory.path("wrong.npy"), kQueries), 1), "magic"));
  BOOST_TEST(mentions(refused("build --input " + directory.path("cut.u8bin") + " --output " + directory.path("idx"), 1),
                      "offset 128007"));
  BOOST_TEST(!std::filesystem::exists(directory.path("idx")));
  BOOST_TEST(!std::filesystem::exists(directory.path("gt.ibin")));
}

BOOST_AUTO_TEST_CASE(vectors_that_cannot_be_ranked_are_named) {
  const test::TemporaryDirectory directory;
  std::vector<float> values(4 * 3, 1.0f);
  const auto write = [&](const std::string& name) {
    std::vector<char> bytes(8 + values.size() * 4);
    const std::uint32_t header[2] = {4, 3};
    std::memcpy(bytes.data(), header, 8);
    std::memcpy(bytes.data() + 8, values.data(), values.size() * 4);
    test::write_file(directory.path(name), bytes);
    return directory.path(name);
  };
  const std::string good = write("good.fbin");
  const auto truth = [&](const std::string& base, const std::string& queries, const std::string& metric) {
    return "groundtruth --base " + base + " --queries " + queries + " --k 1 --output " + directory.path("gt.ibin") +
           " --metric " + metric;
  };
  BOOST_TEST(mentions(refused(truth(good, kQueries, "l2"), 1), "another dimension"));
  values[7] = std::numeric_limits<float>::quiet_NaN();
  BOOST_TEST(mentions(refused(truth(write("nan.fbin"), good, "l2"), 1), "nan.fbin: row 2"));
  BOOST_TEST(mentions(refused(truth(good, write("nan.fbin"), "ip"), 1), "nan.fbin: row 2"));
  values[7] = -std::numeric_limits<float>::infinity();
  BOOST_TEST(mentions(refused(truth(write("inf.fbin"), good, "l2"), 1), "inf.fbin: row 2"));
  values.assign(values.size(), 1.0f);
  std::fill_n(values.begin() + 9, 3, 0.0f);
  BOOST_TEST(mentions(refused(truth(write("zero.fbin"), good, "cosine"), 1), "zero.fbin: row 3"));
  BOOST_TEST(run(truth(write("zero.fbin"), good, "l2")).exit_code == 0);
}

BOOST_AUTO_TEST_CASE(groundtruth_and_convert_do_as_they_say) {
  const test::TemporaryDirectory directory;
  const std::string npy = directory.path("q.npy"), truth = directory.path("gt.ibin");
  const Ran converted = run("convert " + kQueries + " " + npy + " --count 30 --json");
  BOOST_TEST(converted.exit_code == 0);
  BOOST_TEST(nlohmann::json::parse(converted.out).at("rows") == 30);
  BOOST_TEST(mentions(refused("convert " + kQueries + " " + npy, 1), "q.npy"));
  const Ran found =
      run("groundtruth --base " + kQueries + " --queries " + npy + " --k 5 --output " + truth + " --json");
  BOOST_TEST(found.exit_code == 0, found.err);
  BOOST_TEST(nlohmann::json::parse(found.out).at("queries") == 30);
  const auto neighbours = read_neighbours(truth);
  REQUIRE_OK(neighbours);
  for (std::uint32_t query = 0; query < 30; ++query) BOOST_TEST(neighbours->distances[query * 5] == 0.0f);
  BOOST_TEST(
      mentions(refused("groundtruth --base " + kQueries + " --queries " + npy + " --output " + truth, 1), "gt.ibin"));
}

BOOST_AUTO_TEST_SUITE_END()
