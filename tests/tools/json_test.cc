// SPDX-License-Identifier: Apache-2.0
//
// Every command reports in the same two ways: one JSON object with the members that the manual names, and nothing on
// stderr when quiet.
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;
using nlohmann::json;

// The words under each command in the manual's section on JSON.
std::map<std::string, std::set<std::string>> members_in_manual() {
  std::map<std::string, std::set<std::string>> members;
  std::istringstream lines(text_of(std::string(VECSTORE_SOURCE_DIR) + "/tools/vecstore.1"));
  std::string command;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(".SH ")) inside = line == ".SH JSON";
    if (!inside) continue;
    if (line.starts_with(".B ")) command = line.substr(3);
    std::istringstream words(line);
    if (!command.empty() && !line.starts_with('.'))
      for (std::string word; words >> word;) members[command].insert(word);
  }
  return members;
}

// The names as the manual writes them; what a document says is its writer's own.
void add_members(const json& value, const std::string& path, std::set<std::string>& members) {
  if (value.is_object() && !path.ends_with("document"))
    for (const auto& [name, member] : value.items())
      add_members(member, path + (path.empty() ? "" : ".") + name, members);
  else if (value.is_array() && !value.empty() && value[0].is_object())
    for (const json& element : value) add_members(element, path + "[]", members);
  else
    members.insert(path);
}

std::set<std::string> members_of(const std::string& arguments, int exit_code = 0) {
  const Ran ran = run(arguments + " --quiet --json");
  BOOST_TEST(ran.exit_code == exit_code, arguments << ": " << ran.err);
  if (exit_code == 0) BOOST_TEST(ran.err.empty(), arguments << ": " << ran.err);
  const json object = json::parse(ran.out, nullptr, false);  // one, and nothing behind it
  BOOST_TEST(object.is_object(), arguments << ": " << ran.out);
  std::set<std::string> members;
  add_members(object, "", members);
  return members;
}

BOOST_AUTO_TEST_SUITE(json_of_commands)

BOOST_AUTO_TEST_CASE(every_command_prints_the_object_that_the_manual_describes) {
  EveryCommand every;
  const auto described = members_in_manual();
  const std::vector<std::string> commands = commands_in_help();
  BOOST_TEST(described.size() == commands.size());
  for (const std::string& command : commands) {
    if (command == "info") continue;  // below, with a calibration
    BOOST_REQUIRE_MESSAGE(described.contains(command), command << " is not in the manual's section on JSON");
    BOOST_TEST_CONTEXT(command) {
      BOOST_TEST(members_of(command + every.arguments_of(command)) == described.at(command),
                 boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_calibrated_index_has_the_points_that_the_manual_describes) {
  const TemporaryDirectory directory;
  const std::string file = directory.path("v.u8bin"), index = directory.path("index");
  BOOST_TEST(run("convert " + shipped_data("csift55k.base.u8bin") + " " + file + " --count 1200").exit_code == 0);
  members_of("build --input " + file + " --output " + index);
  BOOST_TEST((members_of("info " + index) == members_in_manual()["info"]));
  members_of("build --dry-run --input " + file + " --output " + directory.path("none"));
}

BOOST_AUTO_TEST_CASE(a_command_that_fails_prints_no_object) {
  for (const char* arguments :
       {"info none", "get none 1", "export none --output o.fbin --keys k", "salvage none --output o", "verify none",
        "stats none", "search none --queries none.fbin"})
    BOOST_TEST(!refused(std::string(arguments) + " --json --quiet", 1).empty(), arguments);
  const TemporaryDirectory directory;
  const std::string store = directory.path("s"), file = write_fbin(directory.path("v.fbin"), 4, 3);
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(mentions(refused("insert " + store + " --ack --json --input " + file, 2), "give one of them"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
