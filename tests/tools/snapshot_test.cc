// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;

bool mentions(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

std::string ran_well(const std::string& arguments) {
  const Ran ran = run(arguments);
  BOOST_REQUIRE_MESSAGE(ran.exit_code == 0, arguments << ": " << ran.err);
  return ran.out;
}

BOOST_AUTO_TEST_SUITE(snapshot)

BOOST_AUTO_TEST_CASE(a_session_with_snapshots_and_copies) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("store"), copy = directory.path("copy"), second = directory.path("second");
  const std::string vectors = write_fbin(directory.path("vectors.fbin"), 30, 4);
  ran_well("create " + store);
  ran_well("insert " + store + " --quiet --count 20 --input " + vectors);
  BOOST_TEST(mentions(ran_well("snapshot " + store + " --list"), "no snapshots"));
  BOOST_TEST(mentions(ran_well("snapshot " + store + " monday"), "20 rows"));
  ran_well("insert " + store + " --quiet --skip 20 --input " + vectors);
  ran_well("compact --quiet " + store);
  BOOST_TEST(mentions(ran_well("snapshot " + store + " tuesday --json"), "\"rows\": 30"));
  const std::string list = ran_well("snapshot " + store + " --list --json");
  BOOST_TEST((mentions(list, "\"snapshots\": [") && mentions(list, "monday") && mentions(list, "tuesday")), list);
  const std::string monday = store + "/snapshots/monday";
  BOOST_TEST(mentions(ran_well("stats " + monday), "20"));
  BOOST_TEST(mentions(ran_well("verify --deep " + monday), "sound"));
  BOOST_TEST(mentions(run("delete " + monday + " 1").err, "restore"));
  BOOST_TEST(mentions(ran_well("restore --quiet " + monday + " --to " + copy), "20 rows, verified"));
  ran_well("delete " + copy + " 1");
  BOOST_TEST(
      mentions(ran_well("snapshot --quiet " + store + " --to " + second + " --since " + copy), "30 rows, verified"));
  BOOST_TEST(mentions(run("snapshot " + store + " --to " + second).err, "already"));
  BOOST_TEST(mentions(ran_well("snapshot " + store + " --remove monday"), "removed"));
  BOOST_TEST(!std::filesystem::exists(monday));
}

BOOST_AUTO_TEST_CASE(one_thing_at_a_time) {
  EveryCommand commands;
  const std::string arguments = commands.arguments_of("snapshot");
  for (const char* more : {" --list", " --remove x", " --to elsewhere"}) {
    const Ran ran = run("snapshot" + arguments + more);
    BOOST_TEST(ran.exit_code == 2);
    BOOST_TEST(mentions(ran.err, "one of"), ran.err);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
