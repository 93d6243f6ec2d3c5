// SPDX-License-Identifier: Apache-2.0
//
// An index from the command line: built, described, searched, asked and checked.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "pagestore/store_lock.h"
#include "pagestore/superblock.h"
#include "tests/tools/command.h"

using namespace vecstore;
using nlohmann::json;
using test::mentions;
using test::Ran;
using test::refused;
using test::run;

namespace {

const std::string kQueries = test::shipped_data("csift55k.query.u8bin");

// Two small indices of real data, with what is needed to search them, made by the program itself.
struct Indices {
  test::TemporaryDirectory directory;
  std::string base = directory.path("base.u8bin"), truth = directory.path("gt.ibin"), idx = directory.path("idx");
  std::string texts = directory.path("texts.f16bin"), documents = directory.path("texts.jsonl"),
              keys = directory.path("keys.txt"), docs = directory.path("docs");
  Ran built, built_docs;

  Indices() {
    must("convert " + test::shipped_data("csift55k.base.u8bin") + " " + base + " --count 3000");
    must("groundtruth --base " + base + " --queries " + kQueries + " --k 100 --output " + truth);
    built = must("build --input " + base + " --metric l2 --output " + idx + " --threads 2 --ram 256MiB --json");
    must("convert " + test::shipped_data("win384-8k.base.f16bin") + " " + texts + " --count 600");
    std::string lines, names;
    for (int row = 0; row < 600; ++row) {
      lines += "{\"title\": \"Title " + std::to_string(row) + "\", \"text\": \"Some words\"}\n";
      names += "doc/" + std::to_string(row) + "\n";
    }
    test::write_file(documents, {lines.begin(), lines.end()});
    test::write_file(keys, {names.begin(), names.end()});
    built_docs = must("build --input " + texts + " --metric cosine --documents " + documents + " --keys " + keys +
                      " --output " + docs + " --quiet");
  }

  static Ran must(const std::string& arguments) {
    Ran ran = run(arguments);
    BOOST_REQUIRE_MESSAGE(ran.exit_code == 0, arguments << ": " << ran.err);
    return ran;
  }
};

const Indices& indices() {
  static const Indices made;
  return made;
}

json json_of(const std::string& arguments, const std::string& input = "/dev/null") {
  const Ran ran = run(arguments, input);
  BOOST_REQUIRE_MESSAGE(ran.exit_code == 0, arguments << ": " << ran.err);
  return json::parse(ran.out);
}

std::string input_file(const test::TemporaryDirectory& directory, const std::string& text) {
  const std::string path = directory.path("input");
  test::write_file(path, {text.begin(), text.end()});
  return path;
}

// The numbers of one row of a u8bin file, as a person types them.
std::string numbers_of_row(const std::string& path, std::size_t row) {
  const auto bytes = test::read_file(path);
  std::string text = "[";
  for (std::size_t i = 0; i < 128; ++i)
    text += std::to_string(static_cast<unsigned char>(bytes[8 + row * 128 + i])) + (i == 127 ? "]\n" : ", ");
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(index_commands)

BOOST_AUTO_TEST_CASE(build_reports_what_it_made) {
  const json built = json::parse(indices().built.out);
  BOOST_TEST(built.at("n") == 3000);
  BOOST_TEST(built.at("dim") == 128);
  BOOST_TEST(built.at("dtype") == "u8");
  BOOST_TEST(built.at("metric") == "l2");
  BOOST_TEST(built.at("rss_peak_bytes").get<std::uint64_t>() > 1000000u);
  BOOST_TEST(built.at("prediction").at("memory_peak_bytes").get<std::uint64_t>() > 0u);
  BOOST_TEST(built.at("calibrated_on") == "self");
  BOOST_TEST(indices().built_docs.err.empty(), indices().built_docs.err);
  BOOST_TEST(mentions(indices().built_docs.out, "600 rows"));
}

BOOST_AUTO_TEST_CASE(a_dry_run_writes_nothing) {
  const test::TemporaryDirectory directory;
  const std::string arguments = "build --input " + indices().base + " --output " + directory.path("idx") + " --dry-run";
  BOOST_TEST(mentions(Indices::must(arguments).out, "predicted: memory"));
  BOOST_TEST(json_of(arguments + " --json").at("prediction").at("disk_bytes").get<std::uint64_t>() > 3000u * 128);
  BOOST_TEST(!std::filesystem::exists(directory.path("idx")));
}

BOOST_AUTO_TEST_CASE(info_has_every_figure) {
  const json info = json_of("info " + indices().idx + " --json");
  for (const char* name : {"n",
                           "dim",
                           "dtype",
                           "metric",
                           "uuid",
                           "format",
                           "generation",
                           "page_bytes",
                           "rows_per_page",
                           "pages",
                           "page_fill",
                           "max_degree",
                           "mean_degree",
                           "edges_dropped",
                           "codec",
                           "code_bytes",
                           "code_bits",
                           "code_error",
                           "ram_bytes_per_row",
                           "fixed_ram_bytes",
                           "disk_bytes",
                           "has_keys",
                           "has_documents",
                           "has_originals",
                           "extents",
                           "calibrated_on",
                           "calibration",
                           "backend",
                           "backend_fallback"})
    BOOST_TEST(info.contains(name), name);
  BOOST_TEST(info.at("calibration").size() == 21u);
  BOOST_TEST(info.at("format") == "1.1");
  const Ran told = Indices::must("info " + indices().docs);
  BOOST_TEST(mentions(told.out, "600 x 384 f16, metric cosine"));
  BOOST_TEST(mentions(told.out, "may overstate recall") ==
             (json_of("info " + indices().docs + " --json").at("calibrated_on") == "self"));
  BOOST_TEST(mentions(told.out, "keys yes, documents yes, original vectors yes"));
}

BOOST_AUTO_TEST_CASE(search_prints_every_figure) {
  const std::string arguments = "search " + indices().idx + " --queries " + kQueries + " --groundtruth " +
                                indices().truth + " --ram 8MiB --cache 10% --quiet";
  const json found = json_of(arguments + " --json");
  for (const char* name : {"recall", "qps", "latency_us", "reads_per_query", "requests_per_query", "pages_cached",
                           "ram_budget_bytes", "ram_peak_bytes", "rss_peak_bytes", "bytes_per_query",
                           "rounds_per_query", "codes_scored_per_query", "n", "dim", "k", "L"})
    BOOST_TEST(found.contains(name), name);
  for (const char* name : {"mean", "p50", "p99"}) BOOST_TEST(found.at("latency_us").contains(name), name);
  const auto number = [&](const char* name) { return found.at(name).get<double>(); };
  BOOST_TEST(number("recall") >= 0.93);
  BOOST_TEST(number("ram_budget_bytes") == 8 << 20);
  BOOST_TEST(number("ram_peak_bytes") <= 8 << 20);
  BOOST_TEST(number("ram_peak_bytes") > 100000);
  BOOST_TEST(number("bytes_per_query") >= number("requests_per_query") * 4096);
  // A KiB of a request takes the device .69 µs and a request 9.1 µs more; one for 4 KiB is the unit.
  const double device_us = 9.1 * number("requests_per_query") + .69 * number("bytes_per_query") / 1024;
  BOOST_TEST(number("reads_per_query") == device_us / 11.86, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(number("n") == 3000);
  BOOST_TEST(number("dim") == 128);
  BOOST_TEST(number("k") == 10);
  BOOST_TEST(number("L") > 0);
  const Ran told = Indices::must(arguments);
  BOOST_TEST(mentions(told.out, "recall@10"));
  BOOST_TEST(mentions(told.out, "reads/query"));
  BOOST_TEST(told.err.empty(), told.err);
}

BOOST_AUTO_TEST_CASE(the_figures_printed_are_those_of_the_search) {
  const json point = json_of("info " + indices().idx + " --json").at("calibration").at(9);
  BOOST_TEST(point.at("k") == 10);
  BOOST_TEST(point.at("recall_target") == 0.9);
  const std::string arguments = "search " + indices().idx + " --queries " + kQueries + " --quiet --json";
  json found = json_of(arguments + " --recall-target 0.9");
  BOOST_TEST(found.at("L") == point.at("L"));
  BOOST_TEST(found.at("blocks") == point.at("blocks"));
  found = json_of(arguments + " --L 33 --blocks 5 --bound 1.5");
  BOOST_TEST(found.at("L") == 33);
  BOOST_TEST(found.at("blocks") == 5);
  BOOST_TEST(found.at("bound") == 1.5);
  // Half as many again as was calibrated for 100, in proportion.
  found = json_of(arguments + " --k 150 --recall-target 0.9");
  const json hundred = json_of("info " + indices().idx + " --json").at("calibration").at(16);
  BOOST_TEST(found.at("L").get<int>() == hundred.at("L").get<int>() * 3 / 2);
}

BOOST_AUTO_TEST_CASE(a_file_of_answers_gives_the_recall_that_was_printed) {
  const test::TemporaryDirectory directory;
  const std::string output = directory.path("found.ibin");
  const json printed = json_of("search " + indices().idx + " --queries " + kQueries + " --groundtruth " +
                               indices().truth + " --k 5 --quiet --json --output " + output);
  const auto found = read_neighbours(output);
  REQUIRE_OK(found);
  BOOST_TEST(found->queries == 1000u);
  BOOST_TEST(found->k == 5u);
  const auto truth = read_neighbours(indices().truth);
  REQUIRE_OK(truth);
  const auto recall = recall_at(*found, *truth, 5);
  REQUIRE_OK(recall);
  BOOST_TEST(std::abs(*recall - printed.at("recall").get<double>()) < 1e-9);
}

BOOST_AUTO_TEST_CASE(threads_clients_and_backends_find_the_same) {
  const test::TemporaryDirectory directory;
  const std::string arguments = "search " + indices().idx + " --queries " + kQueries + " --quiet --json --output ";
  const std::string expected = directory.path("expected");
  const json one = json_of(arguments + expected);
  for (const std::string option : {"--threads 3", "--clients 3", "--backend pread"}) {
    const std::string output = directory.path("found");
    const json found = json_of(arguments + output + " " + option);
    BOOST_TEST((test::read_file(output) == test::read_file(expected)), option);
    BOOST_TEST(found.at("reads_per_query") == one.at("reads_per_query"));
  }
}

BOOST_AUTO_TEST_CASE(more_answers_than_rows_are_all_rows) {
  const test::TemporaryDirectory directory;
  Indices::must("convert " + indices().base + " " + directory.path("four.u8bin") + " --count 4");
  Indices::must("build --input " + directory.path("four.u8bin") + " --output " + directory.path("idx") + " --quiet");
  const Ran ran =
      run("search " + directory.path("idx") + " --queries " + kQueries + " --json --output " + directory.path("found"));
  BOOST_TEST(ran.exit_code == 0);
  BOOST_TEST(mentions(ran.err, "fewer than k"));
  const auto found = read_neighbours(directory.path("found"));
  REQUIRE_OK(found);
  BOOST_TEST(found->k == 10u);
  BOOST_TEST(found->rows[3] != 0xFFFFFFFFu);
  BOOST_TEST(found->rows[4] == 0xFFFFFFFFu);
  BOOST_TEST(std::isinf(found->distances[4]));
}

BOOST_AUTO_TEST_CASE(query_shows_scores_keys_and_texts) {
  const std::string arguments = "query " + indices().docs + " --queries " + indices().texts + " --row 17 --k 3";
  const json found = json_of(arguments + " --json --L 100");
  BOOST_REQUIRE_EQUAL(found.at("answers").size(), 3u);
  const json& first = found.at("answers").at(0);
  BOOST_TEST(first.at("row") == 17);
  BOOST_TEST(first.at("key") == "doc/17");
  BOOST_TEST(first.at("score").get<double>() > 0.999);
  BOOST_TEST(first.at("document").at("title") == "Title 17");
  BOOST_TEST(found.at("reads").get<int>() > 0);
  const Ran told = Indices::must(arguments + " --L 100");
  BOOST_TEST(mentions(told.out, "doc/17"));
  BOOST_TEST(mentions(told.out, "Title 17"));
}

BOOST_AUTO_TEST_CASE(a_query_like_a_row_leaves_out_what_is_not_wanted) {
  const std::string arguments = "query " + indices().docs + " --like doc/17 --k 5 --json";
  const json all = json_of(arguments)["answers"];
  BOOST_REQUIRE(all.size() == 5u);
  for (const json& answer : all) BOOST_TEST(answer["key"] != "doc/17");
  const std::string first = all[0]["key"], third = all[2]["key"];
  const json others = json_of(arguments + " --exclude " + first + " " + third + " doc/never")["answers"];
  BOOST_TEST(others[0]["key"] == all[1]["key"]);
  BOOST_TEST(others[1]["key"] == all[3]["key"]);
  const double radius = all[1]["distance"];
  const json near = json_of(arguments + " --radius " + std::to_string(radius + 1e-4))["answers"];
  BOOST_TEST(near.size() >= 2u);
  for (const json& answer : near) BOOST_TEST(answer["distance"].get<double>() <= radius + 1e-4);
  BOOST_TEST(json_of(arguments + " --radius -5")["answers"].empty());
  BOOST_TEST(mentions(refused("query " + indices().docs + " --like doc/600", 1), "doc/600"));
  refused("query " + indices().docs + " --like doc/17 --queries " + indices().texts, 2);
  refused("query " + indices().idx + " --like not-a-number", 2);
  refused("query " + indices().docs + " --like doc/17 --radius near", 2);
}

BOOST_AUTO_TEST_CASE(query_reads_numbers_from_standard_input) {
  const test::TemporaryDirectory directory;
  const std::string arguments = "query " + indices().idx + " --k 1 --L 200";
  const json found = json_of(arguments + " --json", input_file(directory, numbers_of_row(indices().base, 42)));
  BOOST_TEST(found.at("answers").at(0).at("distance") == 0.0);
  BOOST_TEST(mentions(refused(arguments, 1, input_file(directory, "1 2 3")), "3 numbers"));
  BOOST_TEST(mentions(refused(arguments, 1, input_file(directory, "1 2 cat")), "offset 4"));
  BOOST_TEST(mentions(refused(arguments, 1, input_file(directory, "")), "0 numbers"));
  std::string numbers;
  for (int i = 0; i < 128; ++i) numbers += i == 9 ? "256 " : "1 ";
  BOOST_TEST(mentions(refused(arguments, 1, input_file(directory, numbers)), "number 9"));
  BOOST_TEST(mentions(refused(arguments + " --queries " + kQueries + " --row 1000", 2), "row 1000"));
}

BOOST_AUTO_TEST_CASE(verify_tells_sound_from_damaged) {
  const json report = json_of("verify " + indices().docs + " --deep --json");
  BOOST_TEST(report.at("sound") == true);
  BOOST_TEST(report.at("rows_checked") == 600);
  BOOST_TEST(report.at("unreachable_rows") == 0);
  const test::TemporaryDirectory directory;
  const std::string copy = directory.path("idx");
  std::filesystem::copy(indices().idx, copy, std::filesystem::copy_options::recursive);
  auto bytes = test::read_file(copy + "/graph-1");
  bytes[5 * 4096 + 777] = static_cast<char>(bytes[5 * 4096 + 777] ^ 4);
  test::write_file(copy + "/graph-1", bytes);
  const Ran damaged = run("verify " + copy);
  BOOST_TEST(damaged.exit_code == 3);
  BOOST_TEST(mentions(damaged.out, "graph-1: page 5"));
  BOOST_TEST(
      mentions(refused("search " + copy + " --L 4000 --queries " + kQueries + " --quiet", 3), "graph-1: page 5"));
}

BOOST_AUTO_TEST_CASE(exit_codes_tell_what_is_wrong) {
  const test::TemporaryDirectory directory;
  const std::string& idx = indices().idx;
  const std::string search = "search " + idx + " --quiet --queries ";
  BOOST_TEST(mentions(refused("info " + directory.path("none"), 1), "none"));
  BOOST_TEST(mentions(refused("info " + directory.path(), 1), directory.path()));
  BOOST_TEST(mentions(refused("info " + indices().base, 1), "base.u8bin"));
  BOOST_TEST(mentions(refused(search + directory.path("none.u8bin"), 1), "none.u8bin"));
  BOOST_TEST(mentions(refused(search + indices().texts, 2), "element type"));
  Indices::must("convert " + indices().base + " " + directory.path("base.fbin") + " --count 5");
  BOOST_TEST(mentions(refused("search " + indices().docs + " --queries " + directory.path("base.fbin"), 1),
                      "another dimension"));
  BOOST_TEST(mentions(refused(search + kQueries + " --L 5000", 2), "4096"));
  BOOST_TEST(mentions(refused(search + kQueries + " --ram 1KiB", 1), "--ram needs at least"));
  BOOST_TEST(mentions(refused(search + kQueries + " --groundtruth " + directory.path("none.ibin"), 1), "none.ibin"));
  BOOST_TEST(mentions(refused("build --input " + indices().base + " --json --output " + idx, 1), "already"));
  BOOST_TEST(
      mentions(refused("build --input " + indices().base + " --output " + directory.path("x") + " --ram 1MiB", 1),
               "--ram needs at least"));
  BOOST_TEST(!std::filesystem::exists(directory.path("x")));
}

BOOST_AUTO_TEST_CASE(a_second_writer_is_told_who_is_the_first) {
  const test::TemporaryDirectory directory;
  const std::string copy = directory.path("idx");
  std::filesystem::copy(indices().idx, copy, std::filesystem::copy_options::recursive);
  const auto superblock = test::read_file(copy + "/superblock");
  {
    const auto lock = lock_store(FileSystem::posix(), copy);
    REQUIRE_OK(lock);
    const std::string told = refused("build --overwrite --json --input " + indices().base + " --output " + copy, 4);
    BOOST_TEST(mentions(told, "held by process " + std::to_string(::getpid())), told);
    BOOST_TEST((test::read_file(copy + "/superblock") == superblock));
    Indices::must("search " + copy + " --quiet --queries " + kQueries);  // readers do not mind
  }
  Indices::must("build --overwrite --json --quiet --input " + indices().base + " --output " + copy);
}

BOOST_AUTO_TEST_CASE(a_newer_format_has_a_code_of_its_own) {
  const test::TemporaryDirectory directory;
  const std::string copy = directory.path("idx");
  std::filesystem::copy(indices().idx, copy, std::filesystem::copy_options::recursive);
  // Its superblock with a feature that this version does not know.
  auto bytes = test::read_file(copy + "/superblock");
  for (std::uint32_t index = 0; index < kSlots; ++index) {
    DecodedSlot decoded = decode_slot(std::as_bytes(std::span(bytes)).subspan(index * kSlotBytes, kSlotBytes), index);
    if (decoded.state != SlotState::kIntact) continue;
    decoded.slot.incompatible_features = 1;
    SlotBytes changed;
    encode_slot(decoded.slot, index, changed);
    std::memcpy(bytes.data() + index * kSlotBytes, changed.bytes.data(), kSlotBytes);
  }
  test::write_file(copy + "/superblock", bytes);
  BOOST_TEST(mentions(refused("info " + copy, 5), "newer"));
}

BOOST_AUTO_TEST_CASE(progress_goes_to_stderr_unless_quiet) {
  const test::TemporaryDirectory directory;
  const std::string arguments =
      "build --input " + indices().base + " --overwrite --output " + directory.path("idx") + " --threads 1 --json";
  const Ran loud = Indices::must(arguments);
  BOOST_TEST(json::parse(loud.out).at("n") == 3000);
  // Nothing is drawn over itself where there is no terminal; a line comes at most every two seconds.
  BOOST_TEST(!mentions(loud.err, "\r"));
  std::istringstream lines(loud.err);
  for (std::string line; std::getline(lines, line);) BOOST_TEST(mentions(line, "%"), line);
  const Ran quiet = Indices::must(arguments + " --quiet");
  BOOST_TEST(quiet.err.empty(), quiet.err);
}

BOOST_AUTO_TEST_SUITE_END()
