// SPDX-License-Identifier: Apache-2.0
//
// A command that ends midway says how far it came and what goes on from there, and going on as it says brings in the
// rest.
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;
using nlohmann::json;

constexpr std::uint64_t kRows = 9000;

std::uint64_t rows_of(const std::string& store) {
  const Ran ran = run("stats " + store + " --json");
  BOOST_REQUIRE_MESSAGE(ran.exit_code == 0, ran.err);
  return json::parse(ran.out)["rows"];
}

// The number in front of `words`.
std::uint64_t number_before(const std::string& text, const std::string& words) {
  const std::size_t end = text.find(words);
  BOOST_REQUIRE_MESSAGE(end != std::string::npos, text);
  return std::stoull(text.substr(text.find_last_not_of("0123456789", end - 1) + 1));
}

// A line of its own for each row.
std::string write_lines(const std::string& path, const std::string& each, std::uint64_t rows) {
  std::string text;
  for (std::uint64_t i = 0; i < rows; ++i) text += each + std::to_string(i) + "\n";
  write_file(path, {text.begin(), text.end()});
  return path;
}

struct Files {
  TemporaryDirectory directory;
  std::string vectors = write_fbin(directory.path("v.fbin"), kRows, 64);
  std::string keys = write_lines(directory.path("k.txt"), "key ", kRows);
  std::string documents = write_lines(directory.path("d.txt"), "document ", kRows);
  std::string sides = " --input " + vectors + " --keys " + keys + " --documents " + documents;

  std::string made(const std::string& name, const std::string& options = "") const {
    const std::string store = directory.path(name);
    BOOST_TEST(run("create " + store + options).exit_code == 0);
    return store;
  }
};

// Of `wanted` rows from `first` on; takes the advice with more memory. Returns the line.
std::string check_insert(const std::string& store, const std::string& command, const std::string& then,
                         std::uint64_t first, std::uint64_t wanted) {
  const std::string line = refused(command + " --quiet --merge manual --delta 1MiB", 1);
  const std::uint64_t in = number_before(line, " of " + std::to_string(wanted) + " rows are in, on the disk");
  BOOST_TEST(in > 0u, line);
  BOOST_TEST(in < wanted, line);
  BOOST_TEST(rows_of(store) == in, line);
  BOOST_TEST(mentions(line, "a larger --delta than 1MiB (1048576 bytes);"), line);
  BOOST_TEST(!mentions(line, "delta_bytes"), line);
  BOOST_TEST(mentions(line, "the next is row " + std::to_string(first + in) + " of "), line);
  const std::size_t advice = line.find("go on with ");
  BOOST_REQUIRE_MESSAGE(advice != std::string::npos, line);
  const std::string options = line.substr(advice + 11, line.size() - advice - 12);
  const Ran rest = run(then + " --quiet " + options);
  BOOST_TEST(rest.exit_code == 0, rest.err);
  BOOST_TEST(rows_of(store) == wanted);
  return line;
}

BOOST_AUTO_TEST_SUITE(midway)

BOOST_AUTO_TEST_CASE(an_insert_goes_on_where_it_says) {
  const Files files;
  const std::string store = files.made("s", " --key-type bytes"), insert = "insert " + store + files.sides;
  const std::string line = check_insert(store, insert, insert, 0, kRows);
  const std::string next = std::to_string(number_before(line, " of 9000 rows") + 1);
  BOOST_TEST(mentions(line, "(line " + next + " of " + files.keys + ", line " + next + " of " + files.documents + ")"),
             line);
  BOOST_TEST(mentions(run("get " + store + " 'key 8999'").out, "document 8999"));
}

BOOST_AUTO_TEST_CASE(a_part_of_a_file_goes_on_under_its_own_keys) {
  const Files files;
  const std::string store = files.made("s"),
                    insert = "insert " + store + " --batch 70 --sync none --input " + files.vectors;
  check_insert(store, insert + " --skip 1000 --count 6500 --first-key 50000", insert, 1000, 6500);
  BOOST_TEST(run("get " + store + " 56499").out.starts_with("7499.25 "));
  BOOST_TEST(mentions(refused("get " + store + " 56500", 1), "no such key"));
}

BOOST_AUTO_TEST_CASE(a_refused_row_is_told_from_those_of_its_batch) {
  const Files files;
  const std::string store = files.made("s");
  auto bytes = read_file(files.vectors);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + 8 + 1234 * 64 * 4, &nan, 4);
  write_file(files.directory.path("nan.fbin"), bytes);
  const std::string line = refused("insert " + store + " --quiet --input " + files.directory.path("nan.fbin"), 1);
  BOOST_TEST(mentions(line, "nan.fbin: row 1234: "), line);
  BOOST_TEST(mentions(line, "1200 of 9000 rows are in, on the disk; the next is row 1200 of "), line);
  BOOST_TEST(mentions(line, "go on with --skip 1200\n"), line);
  BOOST_TEST(rows_of(store) == 1200u);
}

BOOST_AUTO_TEST_CASE(json_tells_the_same) {
  const Files files;
  const std::string store = files.made("s", " --key-type bytes"), import = files.directory.path("t");
  for (const auto& [command, count] : {std::pair{"insert " + store + files.sides, "inserted"},
                                       {"import " + import + files.sides + " --key-type bytes", "imported"}}) {
    const Ran ran = run(command + " --json --quiet --merge manual --delta 1MiB");
    BOOST_TEST(ran.exit_code == 1, ran.err);
    const json object = json::parse(ran.out, nullptr, false);
    BOOST_REQUIRE_MESSAGE(object.is_object(), ran.out);
    BOOST_TEST(mentions(ran.err, "vecstore: " + object["error"].get<std::string>()), ran.err);
    BOOST_TEST(object[count] == number_before(ran.err, " of 9000 rows"));
    BOOST_TEST(object["durable"] == object[count]);
    BOOST_TEST(object["next_row"] == object[count]);
    BOOST_TEST(object["rows"] == object[count]);
    BOOST_TEST(object["wanted"] == kRows);
    BOOST_TEST(object["durable_lsn"].get<std::uint64_t>() >= object["rows"].get<std::uint64_t>());
  }
}

BOOST_AUTO_TEST_CASE(an_import_may_be_run_again) {
  const Files files;
  const std::string store = files.directory.path("s"),
                    import = "import " + store + " --key-type bytes --quiet" + files.sides;
  const std::string line = refused(import + " --merge manual --delta 1MiB", 1);
  BOOST_TEST(rows_of(store) == number_before(line, " of 9000 rows are in, on the disk"));
  BOOST_TEST(mentions(line, "the same import may be run again"), line);
  const Ran again = run(import);
  BOOST_TEST(again.exit_code == 0, again.err);
  BOOST_TEST(rows_of(store) == kRows);
}

// The log has no room for all of the erasures.
BOOST_AUTO_TEST_CASE(a_delete_may_be_run_again) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s"), vectors = write_fbin(directory.path("v.fbin"), 80000, 2);
  BOOST_TEST(run("create " + store).exit_code == 0);
  const std::string full =
      refused("insert " + store + " --quiet --merge manual --log 4MiB --sync none --batch 1000 --input " + vectors, 1);
  BOOST_TEST(mentions(full, "a larger --log than 4194304 bytes;"), full);
  const std::uint64_t in = rows_of(store);
  BOOST_TEST(number_before(full, " of 80000 rows are in, on the disk") == in, full);
  const std::string keys = write_lines(directory.path("keys"), "", in);
  const std::string copy = directory.path("copy");
  std::filesystem::copy(store, copy, std::filesystem::copy_options::recursive);
  const auto erase_in = [&](const std::string& path) { return "delete " + path + " 77777777 --keys " + keys; };
  const std::string erase = erase_in(store);
  const std::string line = refused(erase + " --log 5MiB", 1);
  const std::uint64_t done = number_before(line, " of " + std::to_string(in + 1) + " keys are done");
  const std::uint64_t deleted = number_before(line, " rows deleted");
  BOOST_TEST(done == deleted + 1, line);
  BOOST_TEST(rows_of(store) == in - deleted, line);
  BOOST_TEST(
      mentions(line, "the next key is " + std::to_string(done - 1) + " (line " + std::to_string(done) + " of " + keys),
      line);
  const Ran told = run(erase_in(copy) + " --log 5MiB --json");
  const json object = json::parse(told.out, nullptr, false);
  BOOST_REQUIRE_MESSAGE(object.is_object(), told.out << told.err);
  BOOST_TEST(object["wanted"] == in + 1);
  BOOST_TEST(object["deleted"] == deleted);
  BOOST_TEST(object["rows"] == in - deleted);
  BOOST_TEST(object["next_key"] == std::to_string(deleted));
  BOOST_TEST(mentions(told.err, object.value("error", "none") + "; "), told.err);
  const Ran again = run(erase + " --log 64MiB");
  BOOST_TEST(again.exit_code == 0, again.err);
  BOOST_TEST(rows_of(store) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
