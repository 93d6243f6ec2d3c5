// SPDX-License-Identifier: Apache-2.0
//
// A store whose graph is large enough to be gone through in passes, on a disk that loses power at every call of such a
// merge, and while the store recovers. What was acknowledged is there, what was erased stays away, no file is damaged,
// every row is reached, and the next merge goes through.
//
// VECSTORE_SIM_SEED=<n> runs that seed alone, VECSTORE_SIM_PASSES_STEP=<n> every n-th call.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "tests/sim/graph_in_passes.h"
#include "tests/sim/merges.h"

namespace vecstore {
namespace {

using namespace test;

// The store is opened, written to and merged; the power goes at the call `cut` of the merge, or of all of it.
enum class Cut : std::uint8_t { kInMerge, kAnywhere };
void live(SimDisk& disk, History& history, Random& random, const WriteShape& shape, Cut where, std::uint64_t cut,
          Done& done) {
  if (where == Cut::kAnywhere) disk.set_fault(Fault::kPowerCut, cut);
  auto store = open_sim(disk, random.next(), Access::kReadWrite);
  if (!store) {
    BOOST_REQUIRE_MESSAGE(disk.has_struck(), message_of(store));
    return;
  }
  history.least = history.writes.size();  // what a writer has found is there for good
  if (!write(*store, history, random, 6, shape)) return;
  if (where == Cut::kInMerge) disk.set_fault(Fault::kPowerCut, cut);
  const Cancels cancels = where == Cut::kInMerge ? Cancels::kNone : Cancels::kSome;
  static_cast<void>(merge(*store, history, random, done, shape, cancels));
}

// Of a store that nobody writes to: it holds what it may, whole.
void check_recovered(SimDisk& disk, History& history, const std::string& where) {
  const auto reader = open_sim(disk, 1, Access::kRead);
  BOOST_REQUIRE_MESSAGE(reader.has_value(), where << message_of(reader));
  const Model content = content_of(*reader);
  BOOST_REQUIRE_MESSAGE(history.settle(content), where << "the store holds what was never the case");
  BOOST_REQUIRE(reader->size() == content.size());
  check_whole(*reader, where, CatalogMay::kBeHalfSwapped);
}

// A writer opens it, merges once more, and finds all of it.
void check_next_merge(SimDisk& disk, History& history, Random& random, const GraphInPasses& graph,
                      const std::string& where) {
  const WriteShape& shape = graph.shape();
  auto store = open_sim(disk, 3, Access::kReadWrite);
  BOOST_REQUIRE_MESSAGE(store.has_value(), where << message_of(store));
  BOOST_REQUIRE_MESSAGE(store->size() == history.states.back().size(), where << "a writer finds something else");
  history.least = history.writes.size();
  BOOST_REQUIRE(write(*store, history, random, 2, shape));
  const auto merged = store->compact(one_thread());
  BOOST_REQUIRE_MESSAGE(merged.has_value(), where << message_of(merged));
  BOOST_REQUIRE_MESSAGE(content_of(*store) == history.states.back(), where << "a merge changed what is there");
  check_no_file_is_left(disk, *store, files_of_content(graph.disk()), where);
  check_whole(*store, where);
  check_found(*store, history.states.back(), where);
}

// False: the cut lies beyond the last call of the merge.
bool survive(const GraphInPasses& graph, std::uint64_t seed, std::uint64_t cut, Done& done) {
  Random random(seed * 7919 + cut);
  const auto disk = graph.disk().clone();
  History history = graph.history();
  bool has_struck = false;
  for (int round = 0; round < 2; ++round) {
    const std::string where = graph.name() + (" " + label(seed, cut, round));
    if (round == 0) {
      live(*disk, history, random, graph.shape(), Cut::kInMerge, cut, done);
      has_struck = disk->has_struck();
    } else {
      live(*disk, history, random, graph.shape(), Cut::kAnywhere, random.below(4 * graph.calls_of_opening()), done);
    }
    disk->cut_power();
    if (random.below(4) == 0) {
      disk->restart();
    } else {
      disk->reboot(random);
    }
    check_recovered(*disk, history, where);
  }
  check_next_merge(*disk, history, random, graph, graph.name() + (" " + label(seed, cut, 2)));
  return has_struck;
}

// Merges beside which much is written to few keys: what is merged ends meanwhile. Each is compared here, by a reader,
// and by a writer that opens the store.
void write_beside_merges(const WriteShape& shape, std::uint64_t seed) {
  const GraphInPasses graph("beside", shape, seed);
  const auto disk = graph.disk().clone();
  History history = graph.history();
  Random random(seed);
  WriteShape hot = shape;
  hot.key_count = 30;
  for (std::uint32_t session = 0; session < 2; ++session) {
    const std::string where = "session " + std::to_string(session) + " " + label(seed, 0, 0);
    auto store = open_sim(*disk, random.next(), Access::kReadWrite);
    REQUIRE_OK(store);
    BOOST_REQUIRE_MESSAGE(content_of(*store) == history.states.back(), where << "it opens with something else");
    for (std::uint32_t merges = 0; merges < 2; ++merges) {
      BOOST_REQUIRE(write(*store, history, random, 12, hot));
      CompactOptions options = one_thread();
      options.progress = [&](const Progress&) { BOOST_REQUIRE(write(*store, history, random, 4, hot)); };
      REQUIRE_OK(store->compact(options));
      BOOST_REQUIRE_MESSAGE(content_of(*store) == history.states.back(), where << "a merge changed what is there");
      const auto reader = open_sim(*disk, 1, Access::kRead);
      REQUIRE_OK(reader);
      BOOST_REQUIRE_MESSAGE(content_of(*reader) == history.states.back(), where << "a reader finds something else");
      check_whole(*reader, where);
      check_found(*reader, history.states.back(), where);
    }
    BOOST_TEST(store->info().generation == 3 + 2 * session);
    BOOST_TEST(store->stats().delta_rows > 0u);
    REQUIRE_OK(store->close());
  }
}

std::uint64_t step() { return number_of("VECSTORE_SIM_PASSES_STEP", kInstrumented ? 29 : 1); }

void survive_everywhere(const char* name, const WriteShape& shape) {
  const std::uint64_t first = number_of("VECSTORE_SIM_SEED", 0);
  const GraphInPasses graph(name, shape, first);
  Done done;
  std::uint64_t cuts = 0;
  for (std::uint64_t cut = 0; survive(graph, first, cut, done); cut += step()) ++cuts;
  BOOST_TEST_MESSAGE(name << ": " << cuts << " cuts, " << done.merges << " merges, " << done.in_passes << " in passes, "
                          << done.writes_beside << " writes beside one, " << done.cancelled << " cancelled, "
                          << done.with_extents << " with extents that stay");
  BOOST_TEST(cuts > 0u);
  BOOST_TEST(done.in_passes > 0u);
  BOOST_TEST(done.writes_beside > 0u);
}

BOOST_AUTO_TEST_SUITE(merge_in_passes)

BOOST_AUTO_TEST_CASE(a_power_cut_at_every_call_loses_no_number_key) { survive_everywhere("numbers", kNumbersInPasses); }

BOOST_AUTO_TEST_CASE(a_power_cut_at_every_call_loses_no_text) { survive_everywhere("texts", kTextsInPasses); }

BOOST_AUTO_TEST_CASE(what_is_written_beside_one_is_there_and_what_ended_is_not) {
  for (std::uint64_t seed = 0; seed < (kInstrumented ? 1 : 4); ++seed)
    for (const WriteShape& shape : {kNumbersInPasses, kTextsInPasses}) write_beside_merges(shape, seed);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
