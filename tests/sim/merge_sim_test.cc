// SPDX-License-Identifier: Apache-2.0
//
// A store that is merged, on a disk that loses power or fails at every call: while it merges, between two merges, and
// while writes go on beside one. What was acknowledged is there, of anything else all or nothing, and nothing comes
// back that was erased.
//
// VECSTORE_SIM_SEED=<n> runs that seed alone, VECSTORE_SIM_MERGE_SEEDS=<n> so many.
#include "tests/sim/merges.h"

namespace vecstore {
namespace {

using namespace test;

// Opens, writes and merges until something fails or enough is done.
void live(SimDisk& disk, History& history, Random& random, const WriteShape& shape, Done& done) {
  auto store = open_sim(disk, random.next(), Access::kReadWrite);
  if (!store) {
    BOOST_REQUIRE_MESSAGE(disk.has_struck(), message_of(store));
    return;
  }
  history.least = history.writes.size();  // what a writer has found is there for good
  for (int i = 0; i < 2; ++i) {
    if (!write(*store, history, random, 4, shape)) return;
    if (!merge(*store, history, random, done, shape).is_ok()) return;
    if (disk.is_off()) return;  // while the log was released
    const auto now = disk.clone();
    now->clear_fault();
    const auto reader = open_sim(*now, 1, Access::kRead);
    BOOST_REQUIRE_MESSAGE(reader.has_value(), message_of(reader));
    BOOST_REQUIRE(content_of(*reader) == history.states.back());
  }
  if (!write(*store, history, random, 2, shape)) return;
  if (random.below(2) == 0) static_cast<void>(store->close());
}

// False: the cut lies beyond the last call.
bool survive(std::uint64_t seed, std::uint64_t cut, Done& done) {
  Random random(seed * 7919 + cut);
  SimDisk disk;
  const WriteShape shape{seed % 2 == 0 ? DType::kU8 : DType::kF32};
  REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(shape.dtype), environment_on(disk, seed)));
  History history;
  bool has_struck = false;
  for (int round = 0; round < 3; ++round) {
    disk.set_fault(Fault::kPowerCut, round == 0 ? cut : random.below(500));
    live(disk, history, random, shape, done);
    if (round == 0) has_struck = disk.has_struck();
    disk.cut_power();
    if (random.below(4) == 0) {
      disk.restart();
    } else {
      disk.reboot(random);
    }
    const auto reader = open_sim(disk, 1, Access::kRead);
    BOOST_REQUIRE_MESSAGE(reader.has_value(), label(seed, cut, round) << message_of(reader));
    const Model content = content_of(*reader);
    BOOST_REQUIRE_MESSAGE(history.settle(content), label(seed, cut, round)
                                                       << "the store holds what was never the case");
    BOOST_REQUIRE(reader->size() == content.size());
    if (shape.dtype == DType::kU8) check_search(*reader, content);
  }
  return has_struck;
}

std::uint64_t seeds() { return number_of("VECSTORE_SIM_MERGE_SEEDS", kInstrumented ? 1 : 8); }
std::uint64_t first_seed() { return number_of("VECSTORE_SIM_SEED", 0); }
std::uint64_t end_seed() { return std::getenv("VECSTORE_SIM_SEED") != nullptr ? first_seed() + 1 : seeds(); }
constexpr std::uint64_t kStep = kInstrumented ? 17 : 1;

BOOST_AUTO_TEST_SUITE(merge_simulation)

BOOST_AUTO_TEST_CASE(a_power_cut_at_every_call_of_a_merge_loses_nothing_that_was_promised) {
  Done done;
  for (std::uint64_t seed = first_seed(); seed < end_seed(); ++seed)
    for (std::uint64_t cut = 0; survive(seed, cut, done); cut += kStep) {
    }
  BOOST_TEST_MESSAGE(done.merges << " merges, " << done.writes_beside << " writes beside one, " << done.cancelled
                                 << " cancelled");
  BOOST_TEST(done.merges > 0u);
  BOOST_TEST(done.writes_beside > 0u);
  BOOST_TEST(done.cancelled > 0u);
}

// Every call in turn fails without the machine going down, once or from then on.
BOOST_AUTO_TEST_CASE(an_error_at_every_call_of_a_merge_loses_nothing_that_was_promised) {
  Done done;
  std::uint64_t failed = 0;
  for (const Fault fault : {Fault::kIo, Fault::kNoSpace, Fault::kShort, Fault::kLate})
    for (const bool sticky : {false, true})
      for (std::uint64_t seed = first_seed(); seed < std::min<std::uint64_t>(end_seed(), first_seed() + 2); ++seed) {
        bool has_struck = true;
        for (std::uint64_t call = 0; has_struck; call += kStep) {
          Random random(seed * 7919 + call);
          SimDisk disk;
          REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, seed)));
          History history;
          {
            auto store = open_sim(disk, random.next(), Access::kReadWrite);
            REQUIRE_OK(store);
            BOOST_REQUIRE(write(*store, history, random, 6));
            disk.set_fault(fault, call, sticky);
            const Status merged = merge(*store, history, random, done);
            if (!merged.is_ok()) {
              ++failed;
              check_names(merged);
            }
            has_struck = disk.has_struck();
            if (!sticky && store->flush().is_ok()) {  // the log goes on: so do writes, and the next merge
              disk.clear_fault();
              BOOST_REQUIRE_MESSAGE(content_of(*store) == history.states.back(), label(seed, call, 0));
              BOOST_REQUIRE(write(*store, history, random, 2));
              const Status again = merge(*store, history, random, done);
              // Unless the publish itself failed: then the store has to be opened again.
              BOOST_REQUIRE_MESSAGE(again.is_ok() || again.message().find("open the store again") != std::string::npos,
                                    label(seed, call, 0) << again.message());
              BOOST_REQUIRE(content_of(*store) == history.states.back());
            }
          }
          disk.clear_fault();
          disk.restart();
          auto again = open_sim(disk, 3, Access::kReadWrite);
          BOOST_REQUIRE_MESSAGE(again.has_value(), label(seed, call, 1) << message_of(again));
          BOOST_REQUIRE_MESSAGE(history.settle(content_of(*again)), label(seed, call, 1)
                                                                        << "fault " << static_cast<int>(fault));
          history.least = history.writes.size();
          REQUIRE_OK(merge(*again, history, random, done));
          BOOST_REQUIRE(content_of(*again) == history.states.back());
        }
      }
  BOOST_TEST_MESSAGE(done.merges << " merges, " << failed << " failed");
  BOOST_TEST(failed > 0u);
}

// Whoever follows sees each state, through any number of merges, and one that was left behind catches up at once.
BOOST_AUTO_TEST_CASE(readers_follow_a_store_that_is_merged) {
  for (std::uint64_t seed = 0; seed < (kInstrumented ? 2 : 30); ++seed) {
    Random random(seed);
    SimDisk disk;
    Done done;
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, seed)));
    auto store = open_sim(disk, random.next(), Access::kReadWrite);
    REQUIRE_OK(store);
    auto close_by = open_sim(disk, 1, Access::kRead);
    auto behind = open_sim(disk, 1, Access::kRead);
    REQUIRE_OK(close_by);
    REQUIRE_OK(behind);
    History history;
    for (int round = 0; round < 12; ++round) {
      if (random.below(2) == 0) {
        REQUIRE_OK(merge(*store, history, random, done));
      } else {
        BOOST_REQUIRE(write(*store, history, random, 3));
      }
      REQUIRE_OK(close_by->refresh());
      BOOST_REQUIRE(content_of(*close_by) == history.states.back());
      if (random.below(6) != 0) continue;
      REQUIRE_OK(behind->refresh());
      BOOST_REQUIRE(content_of(*behind) == history.states.back());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
