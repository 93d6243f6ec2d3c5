// SPDX-License-Identifier: Apache-2.0
//
// A merge in passes that meets a disk without room, calls that fail, or a page that is damaged. It ends with an error
// that says where, nothing is replaced, nothing is left of what it wrote, and the store goes on.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pagestore/page_header.h"
#include "tests/sim/graph_in_passes.h"
#include "tests/sim/merges.h"

namespace vecstore {
namespace {

using namespace test;

// A publish that has failed half-way leaves open what the disk holds.
bool must_reopen(const Status& status) { return status.message().find("open the store again") != std::string::npos; }

// The store is written to and merged, and holds what it must.
void check_goes_on(Store& store, History& history, Random& random, const WriteShape& shape, const std::string& where) {
  BOOST_REQUIRE_MESSAGE(store.size() == history.states.back().size(), where << "the store holds something else");
  BOOST_REQUIRE(write(store, history, random, 2, shape));
  const auto merged = store.compact(one_thread());
  BOOST_REQUIRE_MESSAGE(merged.has_value(), where << message_of(merged));
  BOOST_REQUIRE_MESSAGE(content_of(store) == history.states.back(), where << "the store holds something else");
  check_whole(store, where);
}

// ------------------------------------------------------------------------------------------------- calls that fail

struct Outcomes {
  std::uint64_t failed = 0;
  std::uint64_t in_publish = 0;  // of these
};

// One merge whose call of this number fails, once or from then on; then another. False: it made fewer calls.
bool fail_at(const GraphInPasses& graph, Fault fault, bool sticky, std::uint64_t call, Outcomes& outcomes) {
  const std::string where =
      std::string(graph.name()) + " fault " + std::to_string(static_cast<int>(fault)) + " " + label(0, call, sticky);
  WrittenTo now(graph, call);
  const std::vector<std::string> before = files_of_content(*now.disk);
  now.disk->set_fault(fault, call, sticky);
  const auto merged = now.store->compact(one_thread());
  const bool has_struck = now.disk->has_struck();
  if (!merged) {
    ++outcomes.failed;
    check_names(merged.error());
  }
  now.disk->clear_fault();
  if (!sticky && write(*now.store, now.history, now.random, 1, graph.shape())) {  // the log goes on
    const std::vector<std::string> after = files_of_content(*now.disk);
    const auto again = now.store->compact(one_thread());
    if (again) {
      BOOST_REQUIRE_MESSAGE(merged || after == before, where << "what a merge that failed wrote is still there");
      check_no_file_is_left(*now.disk, *now.store, before, where);
    } else {
      ++outcomes.in_publish;
      BOOST_REQUIRE_MESSAGE(must_reopen(again.error()), where << message_of(again));
    }
  }
  now.store.reset();
  now.disk->restart();
  auto store = open_sim(*now.disk, 7, Access::kReadWrite);
  BOOST_REQUIRE_MESSAGE(store.has_value(), where << message_of(store));
  BOOST_REQUIRE_MESSAGE(now.history.settle(content_of(*store)), where << "the store holds what was never the case");
  check_goes_on(*store, now.history, now.random, graph.shape(), where);
  return has_struck;
}

std::uint64_t step() { return number_of("VECSTORE_SIM_PASSES_STEP", kInstrumented ? 29 : 1); }

// Each call is met by one of the faults that pass, and some by those that stay.
void fail_everywhere(const GraphInPasses& graph) {
  constexpr std::array kPass = {Fault::kIo, Fault::kNoSpace, Fault::kShort, Fault::kLate};
  Outcomes outcomes;
  for (std::size_t i = 0; i < kPass.size(); ++i)
    for (std::uint64_t call = i * step(); fail_at(graph, kPass[i], false, call, outcomes);
         call += kPass.size() * step()) {
    }
  for (const Fault fault : {Fault::kIo, Fault::kNoSpace})
    for (std::uint64_t call = 0; fail_at(graph, fault, true, call, outcomes); call += 16 * step()) {
    }
  BOOST_TEST_MESSAGE(graph.name() << ": " << outcomes.failed << " failed, " << outcomes.in_publish
                                  << " in the publish");
  BOOST_TEST(outcomes.failed > 0u);
}

// The files of the generation that a merge makes, byte for byte.
using Bytes = std::map<std::string, std::vector<std::byte>>;
Bytes bytes_of_generation(SimDisk& disk) {
  Bytes bytes;
  for (const char* name : {"/graph-2", "/codes-2", "/rowmap-2", "/rows/2-0"}) {
    const std::string path = std::string(kSimPath) + name;
    const auto file = disk.open(path, {.mode = OpenMode::kRead});
    REQUIRE_OK(file);
    bytes[path].resize(disk.bytes_of(path));
    REQUIRE_OK((*file)->read_at(bytes[path], 0));
  }
  return bytes;
}

// Merges go on where leftovers cannot be removed, and read page by page where pages could not be read together.
void check_errors_passed_over(const GraphInPasses& graph) {
  Bytes expected;
  std::uint64_t passed_over = 0;
  bool has_struck = true;
  for (std::uint64_t call = ~std::uint64_t{0}; has_struck; call += step()) {  // the first of them meets none
    WrittenTo now(graph, 5);
    now.disk->set_fault(Fault::kIo, call);
    const auto merged = now.store->compact(one_thread());
    has_struck = now.disk->has_struck() || expected.empty();
    now.disk->clear_fault();
    BOOST_REQUIRE_MESSAGE(merged || !expected.empty(), message_of(merged));
    if (!merged) continue;
    if (expected.empty()) expected = bytes_of_generation(*now.disk);
    BOOST_REQUIRE_MESSAGE(bytes_of_generation(*now.disk) == expected, graph.name() << " call " << call);
    ++passed_over;
  }
  BOOST_TEST(passed_over > 1u);
}

// ----------------------------------------------------------------------------------------------------- a full disk

// But for the log, which may have begun a small segment.
std::uint64_t bytes_of_content(const SimDisk& disk) {
  std::uint64_t bytes = 0;
  for (const std::string& file : files_of_content(disk)) bytes += disk.bytes_of(file);
  return bytes;
}

std::uint64_t used_bytes(const SimDisk& disk) {
  std::uint64_t bytes = 0;
  for (const std::string& file : disk.files()) bytes += disk.bytes_of(file);
  return bytes;
}

// A merge with so much room. False: that was enough.
bool fill_up(const GraphInPasses& graph, std::uint64_t room) {
  constexpr std::uint64_t kAmple = std::uint64_t{1} << 40;
  const std::string where = graph.name() + (" with " + std::to_string(room)) + " bytes: ";
  WrittenTo now(graph, 3);
  const std::vector<std::string> before = files_of_content(*now.disk);
  const std::uint64_t used = bytes_of_content(*now.disk);
  now.disk->set_capacity(used_bytes(*now.disk) + room);
  const auto merged = now.store->compact(one_thread());
  if (merged) return false;
  BOOST_REQUIRE_MESSAGE((code_of(merged) == Code::kNoSpace), where << message_of(merged));
  BOOST_REQUIRE_MESSAGE(merged.error().subject().starts_with(kSimPath), where << message_of(merged));
  check_names(merged.error());
  BOOST_REQUIRE_MESSAGE(files_of_content(*now.disk) == before, where << "files are left");
  BOOST_REQUIRE_MESSAGE(bytes_of_content(*now.disk) == used, where << "what it wrote is still there");
  BOOST_REQUIRE(now.store->info().generation == 1u);
  // Erasing goes on without room.
  const ModelWrite erasing{{now.history.states.back().begin()->first}, {}};
  REQUIRE_OK(write_to(*now.store, erasing, graph.shape()));
  now.history.add(erasing);
  now.disk->set_capacity(kAmple);
  check_goes_on(*now.store, now.history, now.random, graph.shape(), where);
  return true;
}

// ---------------------------------------------------------------------------------------------------- damaged pages

std::uint32_t page_bytes_of(SimDisk& disk, const std::string& path) {
  const auto file = disk.open(path, {.mode = OpenMode::kRead});
  REQUIRE_OK(file);
  std::vector<std::byte> start(kPageBytesMin);
  const auto read = (*file)->read_at(start, 0);
  REQUIRE_OK(read);
  const auto bytes = header_page_bytes(start, path);
  REQUIRE_OK(bytes);
  return *bytes;
}

// Whether the merge met the page, which is damaged while the store is open.
bool meets_damage(const GraphInPasses& graph, const std::string& path, std::uint64_t page, std::uint32_t page_bytes) {
  const std::string where = graph.name() + (" " + path) + " page " + std::to_string(page) + ": ";
  WrittenTo now(graph, page);
  const std::vector<std::string> before = files_of_content(*now.disk);
  const std::uint64_t byte = page * page_bytes + now.random.below(page_bytes);
  const auto bit = static_cast<unsigned>(now.random.below(8));
  BOOST_REQUIRE(now.disk->flip_bit(path, byte, bit));
  const auto merged = now.store->compact(one_thread());
  if (!merged) {
    const Status& error = merged.error();
    BOOST_REQUIRE_MESSAGE((error.code() == Code::kCorrupt), where << error.message());
    BOOST_REQUIRE_MESSAGE(error.subject() == path, where << error.message());
    BOOST_REQUIRE_MESSAGE((error.detail() == Detail::kPage && error.number() == page), where << error.message());
    BOOST_REQUIRE_MESSAGE(files_of_content(*now.disk) == before, where << "files are left, or gone");
    BOOST_REQUIRE(now.store->info().generation == 1u);
    BOOST_REQUIRE(write(*now.store, now.history, now.random, 2, graph.shape()));
    BOOST_REQUIRE(now.disk->flip_bit(path, byte, bit));
  } else if (const auto files = files_of_content(*now.disk); std::ranges::binary_search(files, path)) {
    // An extent that stays, and its damage with it.
    const auto report = now.store->verify({.deep = true});
    REQUIRE_OK(report);
    BOOST_REQUIRE_MESSAGE(!report->damage.empty(), where << "no damage is found");
    for (const Status& damage : report->damage) {  // by the page's sum, and by that of the file
      BOOST_REQUIRE_MESSAGE(damage.subject() == path, where << damage.message());
      BOOST_REQUIRE_MESSAGE(damage.detail() != Detail::kPage || damage.number() == page, where << damage.message());
    }
    BOOST_REQUIRE(now.disk->flip_bit(path, byte, bit));
  }
  check_goes_on(*now.store, now.history, now.random, graph.shape(), where);
  return !merged;
}

// One merge of which a write lands with a wrong bit. Where what replaces the old would not be whole, nothing is
// replaced. False: it made fewer calls.
bool rots_at(const GraphInPasses& graph, std::uint64_t call, std::uint64_t& found) {
  const std::string where = graph.name() + (" call " + std::to_string(call)) + ": ";
  WrittenTo now(graph, call);
  const std::vector<std::string> before = files_of_content(*now.disk);
  now.disk->set_fault(Fault::kRot, call);
  const auto merged = now.store->compact(one_thread());
  const bool has_struck = now.disk->has_struck();
  now.disk->clear_fault();
  if (merged) {
    for (const auto& [path, bytes] : bytes_of_generation(*now.disk)) {
      const auto report = now.store->verify({.deep = true});
      REQUIRE_OK(report);
      for (const Status& damage : report->damage)
        BOOST_REQUIRE_MESSAGE(damage.subject() != path, where << damage.message());
    }
    return has_struck;
  }
  ++found;
  BOOST_REQUIRE_MESSAGE((code_of(merged) == Code::kIo), where << message_of(merged));
  check_names(merged.error());
  if (merged.error().subject().ends_with("superblock")) {
    now.store.reset();
    auto store = open_sim(*now.disk, 7, Access::kReadWrite);
    BOOST_REQUIRE_MESSAGE(store.has_value(), where << message_of(store));
    check_goes_on(*store, now.history, now.random, graph.shape(), where);
    return has_struck;
  }
  BOOST_REQUIRE_MESSAGE(files_of_content(*now.disk) == before, where << "files are left, or gone");
  BOOST_REQUIRE(now.store->info().generation == 1u);
  check_goes_on(*now.store, now.history, now.random, graph.shape(), where);
  return has_struck;
}

BOOST_AUTO_TEST_SUITE(merge_faults)

BOOST_AUTO_TEST_CASE(an_error_at_every_call_of_a_merge_in_passes_leaves_the_store_as_it_was) {
  fail_everywhere(GraphInPasses("numbers", kNumbersInPasses, 1));
  fail_everywhere(GraphInPasses("texts", kTextsInPasses, 1));
}

BOOST_AUTO_TEST_CASE(an_error_that_a_merge_in_passes_goes_on_after_changes_no_byte) {
  check_errors_passed_over(GraphInPasses("numbers", kNumbersInPasses, 1));
  check_errors_passed_over(GraphInPasses("texts", kTextsInPasses, 1));
}

BOOST_AUTO_TEST_CASE(what_a_merge_in_passes_wrote_is_read_back_before_anything_is_replaced) {
  for (const bool has_texts : {false, true}) {
    const GraphInPasses graph("rot", has_texts ? kTextsInPasses : kNumbersInPasses, 1);
    std::uint64_t found = 0;
    for (std::uint64_t call = 0; rots_at(graph, call, found); ++call) {
    }
    BOOST_TEST(found >= (has_texts ? 8u : 6u));  // of each file a header and a page at the least
  }
}

BOOST_AUTO_TEST_CASE(a_disk_that_fills_up_during_a_merge_in_passes_leaves_the_store_as_it_was) {
  for (const bool has_texts : {false, true}) {
    const GraphInPasses graph("full disk", has_texts ? kTextsInPasses : kNumbersInPasses, 1);
    std::uint64_t room = 0;
    while (fill_up(graph, room)) {
      room += kPageBytesMin;
      BOOST_REQUIRE(room < 1u << 20);
    }
    BOOST_TEST_MESSAGE("a merge needs " << room << " bytes");
    BOOST_TEST(room > 8 * kPageBytesMin);
  }
}

// Codes are in memory. Of the other files every page is met; of an extent that stays, those with keys.
BOOST_AUTO_TEST_CASE(a_damaged_page_of_the_generation_before_is_named_and_nothing_is_replaced) {
  for (const bool has_texts : {false, true}) {
    const GraphInPasses graph("damage", has_texts ? kTextsInPasses : kNumbersInPasses, 1);
    for (const std::string file : {"graph-1", "rowmap-1", "rows/1-0"}) {
      const auto disk = graph.disk().clone();
      const std::string path = std::string(kSimPath) + "/" + file;
      const std::uint32_t page_bytes = page_bytes_of(*disk, path);
      const std::uint64_t pages = disk->bytes_of(path) / page_bytes;
      std::uint64_t met = 0;
      for (std::uint64_t page = 1; page < pages; ++page) met += meets_damage(graph, path, page, page_bytes) ? 1 : 0;
      BOOST_TEST_MESSAGE(file << ": " << met << " of " << pages - 1 << " pages are met");
      BOOST_TEST(met > 0u);
      if (file != "rows/1-0") BOOST_TEST(met == pages - 1);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
