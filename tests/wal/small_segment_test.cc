// SPDX-License-Identifier: Apache-2.0
//
// A log that has grown goes on in a small segment, so that a merge leaves little of it.
#include <atomic>
#include <thread>

#include "tests/wal/journal.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kFirst = 32u << 10;  // bytes of a Journal's first segment

// A log that has grown to several segments.
struct Grown {
  explicit Grown(SyncMode sync = SyncMode::kAlways, std::uint64_t bytes_max = LogOptions{}.bytes_max) {
    journal.options.sync = sync;
    journal.options.bytes_max = bytes_max;
    REQUIRE_OK(journal.open());
    while (journal.log->bytes() < 7 * kFirst) write(3000);
  }
  void write(std::size_t bytes) {
    REQUIRE_OK(journal.write({text_of(written, bytes)}));
    ++written;
  }
  std::size_t records_replayed() {
    journal.log.reset();
    const auto records = journal.replay();
    REQUIRE_OK(records);
    return records->size();
  }

  const std::unique_ptr<SimDisk> disk = disk_with_log();
  Journal journal{*disk};
  std::uint64_t written = 0;  // records
};

BOOST_AUTO_TEST_SUITE(small_segments)

BOOST_AUTO_TEST_CASE(all_that_came_before_can_go) {
  Grown grown;
  Journal& journal = grown.journal;
  REQUIRE_OK(journal.log->begin_small_segment());
  REQUIRE_OK(journal.log->begin_small_segment());  // is there already
  REQUIRE_OK(journal.log->release(journal.log->synced_lsn()));
  BOOST_TEST(journal.log->bytes() == kFirst);
  journal.after = {grown.written};
  grown.write(3000);
  grown.write(60'000);  // segments grow again
  journal.log.reset();
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(*records ==
             (std::vector<std::string>{text_of(grown.written - 2, 3000), text_of(grown.written - 1, 60'000)}));
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_where_nothing_is_released) {
  Grown grown;
  REQUIRE_OK(grown.journal.log->begin_small_segment());
  BOOST_TEST(grown.records_replayed() == grown.written);
  REQUIRE_OK(grown.journal.open());
  grown.write(100);
  BOOST_TEST(grown.records_replayed() == grown.written);
}

BOOST_AUTO_TEST_CASE(without_room_it_goes_on_where_it_is) {
  for (const bool is_disk_full : {false, true}) {
    Grown grown(SyncMode::kAlways, is_disk_full ? 1u << 20 : 7 * kFirst);
    const std::uint64_t bytes = grown.journal.log->bytes();
    if (is_disk_full) grown.disk->set_capacity(1);
    REQUIRE_OK(grown.journal.log->begin_small_segment());
    BOOST_TEST(grown.journal.log->bytes() == bytes);
    grown.disk->set_capacity(std::uint64_t{1} << 40);
    grown.write(100);
    BOOST_TEST(grown.records_replayed() == grown.written);
  }
}

// The power goes at one call after the other, and takes what was not synced, or does not.
BOOST_AUTO_TEST_CASE(a_power_cut_loses_nothing_that_was_acknowledged) {
  for (const SyncMode sync : {SyncMode::kAlways, SyncMode::kNone}) {
    bool was_cut = true;
    for (std::uint64_t cut = 1; was_cut; ++cut) {
      for (std::uint64_t seed = 0; seed < 4; ++seed) {
        Grown grown(sync);
        Journal& before = grown.journal;
        REQUIRE_OK(before.log->sync());
        std::uint64_t acknowledged = grown.written, released = 0;
        const auto write = [&] {
          if (before.write({text_of(acknowledged, 100)}).is_ok() && before.log->sync().is_ok()) ++acknowledged;
        };
        grown.disk->set_fault(Fault::kPowerCut, cut);
        const bool begun = before.log->begin_small_segment().is_ok();
        if (begun) write();
        const bool is_released = begun && before.log->synced_lsn().value == acknowledged;
        const std::uint64_t through = acknowledged - 1;
        if (is_released && before.log->release({through}).is_ok()) released = through;
        write();
        was_cut = !before.log->failure().is_ok();
        grown.disk->cut_power();
        before.log.reset();
        Random random(seed * 1000 + cut);
        grown.disk->reboot(random);
        Journal journal(*grown.disk);
        // A release that the cut ended may have removed some segments: then what it was for is in the graph.
        journal.after = {released};
        auto records = journal.replay();
        if (!records && is_released && released == 0) {
          journal.after = {through};
          released = through;
          records = journal.replay();
        }
        BOOST_REQUIRE_MESSAGE(records && released + records->size() >= acknowledged,
                              "cut " << cut << " seed " << seed << ": " << message_of(records));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(others_write_meanwhile) {
  constexpr std::uint64_t kSegments = 30;
  const TemporaryDirectory directory;
  Journal journal(FileSystem::posix(), directory.path());
  journal.options.background = true;
  journal.options.segment_bytes_first = kSegmentBytesMin;
  journal.options.segment_bytes_max = 4 * kSegmentBytesMin;
  REQUIRE_OK(journal.open());
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> written{0}, allowed{0};  // a fast disk would fill the log
  std::vector<Status> outcomes(3);
  {
    std::vector<std::jthread> writers;
    writers.reserve(outcomes.size());
    for (Status& outcome : outcomes)
      writers.emplace_back([&journal, &is_over, &written, &allowed, &outcome] {
        while (!is_over) {
          if (written >= allowed) {
            std::this_thread::yield();
            continue;
          }
          outcome = journal.write({text_of(written, 200'000)});
          if (!outcome.is_ok()) is_over = true;
          ++written;
        }
      });
    for (std::uint64_t i = 0; i < kSegments; ++i) {
      allowed = written + 16;
      while (!is_over && written + 8 < allowed) std::this_thread::yield();
      if (is_over) break;
      const Status begun = journal.log->begin_small_segment();
      BOOST_TEST(begun.is_ok(), begun.message());
    }
    is_over = true;
  }
  for (const Status& outcome : outcomes) BOOST_TEST(outcome.is_ok(), outcome.message());
  REQUIRE_OK(journal.log->close());
  journal.log.reset();
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(records->size() == written);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
