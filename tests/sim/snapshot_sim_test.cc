// SPDX-License-Identifier: Apache-2.0
//
// Snapshots and copies on a disk that fails, or whose power goes, at every call: the store holds what it held, and what
// is found of a snapshot or a copy is whole.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/merges.h"

namespace vecstore {
namespace {

using namespace test;

constexpr const char* kCopyPath = "copy";
constexpr std::uint64_t kStep = kInstrumented ? 11 : 1;

// A store with a graph, rows behind it in the log, and rows of the graph that are gone.
struct Written {
  explicit Written(KeyKind keys) : shape{.keys = keys} {
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(shape.dtype, keys), environment_on(disk, 1)));
    auto store = open_sim(disk, 2, Access::kReadWrite);
    REQUIRE_OK(store);
    History history;
    Random random(3);
    BOOST_REQUIRE(write(*store, history, random, 20, shape));
    REQUIRE_OK(store->compact(one_thread()));
    BOOST_REQUIRE(write(*store, history, random, 8, shape));
    REQUIRE_OK(store->close());
    content = history.states.back();
  }
  WriteShape shape;
  SimDisk disk;
  Model content;
};

Result<Store> open_for_reading(SimDisk& disk, const std::string& path) {
  OpenOptions options;
  options.access = Access::kRead;
  return StoreFactory::open(path, options, environment_on(disk, 5));
}

void check_holds(SimDisk& disk, const std::string& path, const Model& content, const std::string& where) {
  const auto store = open_for_reading(disk, path);
  BOOST_REQUIRE_MESSAGE(store.has_value(), where << message_of(store));
  BOOST_REQUIRE_MESSAGE(content_of(*store) == content, where << path << " holds something else");
  const auto report = store->verify({.deep = true});
  BOOST_REQUIRE_MESSAGE(report.has_value(), where << message_of(report));
  for (const Status& damage : report->damage) BOOST_REQUIRE_MESSAGE(damage.is_ok(), where << damage.message());
}

std::vector<SnapshotInfo> snapshots_on(SimDisk& disk, const std::string& where) {
  auto found = StoreFactory::snapshots(kSimPath, environment_on(disk, 6));
  BOOST_REQUIRE_MESSAGE(found.has_value(), where << message_of(found));
  return std::move(*found);
}

// Each that is listed is whole, nothing else is left once a writer came, and the store goes on.
void check_after(SimDisk& disk, const Written& before, bool must_be_there, const std::string& where) {
  auto store = open_sim(disk, 7, Access::kReadWrite);
  BOOST_REQUIRE_MESSAGE(store.has_value(), where << message_of(store));
  BOOST_REQUIRE_MESSAGE(content_of(*store) == before.content, where << "the store holds something else");
  const auto found = snapshots_on(disk, where);
  BOOST_REQUIRE_MESSAGE(!must_be_there || found.size() == 1, where << found.size() << " snapshots");
  for (const SnapshotInfo& info : found) {
    BOOST_REQUIRE_MESSAGE(info.problem.is_ok(), where << info.problem.message());
    BOOST_REQUIRE(info.rows == before.content.size());
    check_holds(disk, info.path, before.content, where);
  }
  const auto left = disk.list(std::string(kSimPath) + "/snapshots");
  BOOST_REQUIRE_MESSAGE(!left || left->size() == found.size(), where << "half of a snapshot is left");
  const auto another = store->snapshot("another");
  BOOST_REQUIRE_MESSAGE(another.has_value(), where << message_of(another));
  const Model at_another = before.content;
  History history;
  history.states.back() = before.content;
  Random random(11);
  BOOST_REQUIRE(write(*store, history, random, 3, before.shape));
  REQUIRE_OK(store->compact(one_thread()));
  BOOST_REQUIRE_MESSAGE(content_of(*store) == history.states.back(), where << "the store does not go on");
  for (const SnapshotInfo& info : snapshots_on(disk, where)) check_holds(disk, info.path, at_another, where);
}

void restart(SimDisk& disk, std::uint64_t seed) {
  disk.cut_power();
  Random random(seed);
  disk.reboot(random);
}

// Cuts the power at this call of `act`; false: there were fewer.
template <typename Act>
bool cut_at(const Written& before, std::uint64_t cut, const std::string& where, const Act& act) {
  const auto disk = before.disk.clone();
  bool is_done = false;
  bool has_struck = false;
  {
    auto store = open_sim(*disk, cut, Access::kReadWrite);
    REQUIRE_OK(store);
    disk->set_fault(Fault::kPowerCut, cut);
    is_done = act(*disk, *store);
    has_struck = disk->has_struck();
  }
  restart(*disk, cut);
  check_after(*disk, before, is_done && !has_struck, where);
  return has_struck;
}

BOOST_AUTO_TEST_SUITE(snapshot_simulation)

BOOST_AUTO_TEST_CASE(a_power_cut_at_every_call_of_a_snapshot_leaves_all_of_it_or_nothing) {
  for (const KeyKind keys : {KeyKind::kNumber, KeyKind::kBytes})
    for (const bool copies : {false, true}) {
      const Written before(keys);
      std::uint64_t cut = 0;
      const auto act = [&](SimDisk&, Store& store) { return store.snapshot("one", {.copy = copies}).has_value(); };
      while (cut_at(before, cut, "cut " + std::to_string(cut) + ": ", act)) cut += kStep;
      BOOST_TEST_MESSAGE("a snapshot has " << cut << " calls");
      BOOST_TEST(cut > 20u);
    }
}

BOOST_AUTO_TEST_CASE(a_power_cut_while_a_snapshot_is_removed_leaves_all_of_it_or_nothing) {
  Written before(KeyKind::kBytes);
  {
    auto store = open_sim(before.disk, 9, Access::kReadWrite);
    REQUIRE_OK(store);
    REQUIRE_OK(store->snapshot("one"));
  }
  std::uint64_t cut = 0;
  const auto act = [&](SimDisk& disk, Store&) {
    static_cast<void>(StoreFactory::remove_snapshot(kSimPath, "one", environment_on(disk, 4)));
    return false;
  };
  while (cut_at(before, cut, "cut " + std::to_string(cut) + ": ", act)) cut += kStep;
  BOOST_TEST(cut > 10u);
}

BOOST_AUTO_TEST_CASE(an_error_at_every_call_of_a_snapshot_harms_nothing) {
  std::uint64_t failed = 0;
  for (const KeyKind keys : {KeyKind::kNumber, KeyKind::kBytes}) {
    const Written before(keys);
    for (const Fault fault : {Fault::kIo, Fault::kNoSpace, Fault::kShort, Fault::kLate})
      for (std::uint64_t call = 0, struck = 1; struck != 0; call += kStep) {
        const std::string where =
            "fault " + std::to_string(static_cast<int>(fault)) + " call " + std::to_string(call) + ": ";
        const auto disk = before.disk.clone();
        {
          auto store = open_sim(*disk, call, Access::kReadWrite);
          REQUIRE_OK(store);
          disk->set_fault(fault, call);
          const auto made = store->snapshot("one");
          struck = disk->has_struck() ? 1 : 0;
          disk->clear_fault();
          if (!made) {
            ++failed;
            check_names(made.error());
          }
          BOOST_REQUIRE_MESSAGE(content_of(*store) == before.content, where << "the store holds something else");
        }
        check_after(*disk, before, false, where);
      }
  }
  BOOST_TEST(failed > 20u);
}

BOOST_AUTO_TEST_CASE(a_copy_is_whole_or_none_whatever_fails) {
  for (const KeyKind keys : {KeyKind::kNumber, KeyKind::kBytes}) {
    const Written before(keys);
    std::uint64_t failed = 0;
    for (const Fault fault : {Fault::kPowerCut, Fault::kIo, Fault::kNoSpace})
      for (std::uint64_t call = 0, struck = 1; struck != 0; call += kStep) {
        const std::string where =
            "fault " + std::to_string(static_cast<int>(fault)) + " call " + std::to_string(call) + ": ";
        const auto disk = before.disk.clone();
        disk->set_fault(fault, call);
        const auto copied = StoreFactory::copy(kSimPath, kCopyPath, {}, environment_on(*disk, 8));
        struck = disk->has_struck() ? 1 : 0;
        disk->clear_fault();
        if (fault == Fault::kPowerCut) restart(*disk, call);
        if (!copied) ++failed;
        const auto store = open_for_reading(*disk, kCopyPath);
        BOOST_REQUIRE_MESSAGE(store || !copied, where << message_of(store));
        if (!copied && fault != Fault::kPowerCut)
          BOOST_REQUIRE_MESSAGE(!store && code_of(store) == Code::kNotFound, where << "something is left of it");
        if (store) check_holds(*disk, kCopyPath, before.content, where);
        check_holds(*disk, kSimPath, before.content, where);
      }
    BOOST_TEST(failed > 20u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
