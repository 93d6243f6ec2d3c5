// SPDX-License-Identifier: Apache-2.0
#include "wal/log.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "tests/wal/journal.h"

namespace vecstore {
namespace {

using namespace test;

// From now on there is no room for anything new.
void fill(SimDisk& disk) {
  constexpr std::uint64_t kAmple = std::uint64_t{1} << 40;
  disk.set_capacity(kAmple);
  const auto free = disk.free_bytes(kDirectory);
  REQUIRE_OK(free);
  disk.set_capacity(kAmple - *free);
}

BOOST_AUTO_TEST_SUITE(log_writing)

BOOST_AUTO_TEST_CASE(what_was_written_comes_back_in_order) {
  const test::TemporaryDirectory directory;
  Journal journal(FileSystem::posix(), directory.path());
  journal.options.background = true;
  journal.options.segment_bytes_first = kSegmentBytesMin;
  std::vector<std::string> written;
  for (int session = 0; session < 3; ++session) {
    REQUIRE_OK(journal.open());
    for (std::uint64_t i = 0; i < 40; ++i) {
      std::vector<std::string> batch;
      for (std::uint64_t part = 0; part <= i % 3; ++part) batch.push_back(text_of(written.size() + part, i * 700));
      REQUIRE_OK(journal.write(batch));
      written.insert(written.end(), batch.begin(), batch.end());
    }
    BOOST_TEST(journal.log->last_lsn().value == written.size());
    BOOST_TEST(journal.log->synced_lsn().value == written.size());
    REQUIRE_OK(journal.log->close());
    journal.log.reset();
    const auto records = journal.replay();
    REQUIRE_OK(records);
    BOOST_TEST(*records == written);
    BOOST_TEST(journal.tail.torn_bytes == 0u);
  }
  journal.after = {100};
  const auto rest = journal.replay();
  REQUIRE_OK(rest);
  BOOST_TEST(*rest == std::vector<std::string>(written.begin() + 100, written.end()));
}

BOOST_AUTO_TEST_CASE(callers_share_writes_and_syncs) {
  const test::TemporaryDirectory directory;
  Journal journal(FileSystem::posix(), directory.path());
  journal.options.background = true;
  journal.options.segment_bytes_first = kSegmentBytesMin;
  REQUIRE_OK(journal.open());
  constexpr int kWriters = 8;
  constexpr int kEach = 60;
  std::vector<Status> outcomes(kWriters);
  {
    std::vector<std::jthread> writers;
    writers.reserve(kWriters);
    for (int writer = 0; writer < kWriters; ++writer)
      writers.emplace_back([&, writer] {
        for (int i = 0; i < kEach && outcomes[writer].is_ok(); ++i)
          outcomes[writer] = journal.write({std::to_string(writer) + " " + std::to_string(i), "second"});
      });
  }
  for (const Status& outcome : outcomes) REQUIRE_OK(outcome);
  BOOST_TEST(journal.log->syncs() <= std::uint64_t{kWriters} * kEach);
  BOOST_TEST(journal.log->syncs() > 0u);
  BOOST_TEST(journal.log->sync_latencies().count() == journal.log->syncs());
  BOOST_TEST(journal.log->sync_latencies().sum_ns > 0u);
  REQUIRE_OK(journal.log->close());
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_REQUIRE(records->size() == std::size_t{2} * kWriters * kEach);
  std::map<std::string, int> next;
  for (std::size_t i = 0; i < records->size(); i += 2) {
    const std::string& text = (*records)[i];
    const std::size_t space = text.find(' ');
    BOOST_TEST(std::stoi(text.substr(space + 1)) == next[text.substr(0, space)]++);
    BOOST_TEST((*records)[i + 1] == "second");
  }
}

BOOST_AUTO_TEST_CASE(intervals_sync_by_themselves_and_none_at_the_end) {
  const test::TemporaryDirectory directory;
  Journal journal(FileSystem::posix(), directory.path());
  journal.options.background = true;
  journal.options.segment_bytes_first = kSegmentBytesMin;
  journal.options.sync = SyncMode::kInterval;
  journal.options.interval_ms = 5;
  REQUIRE_OK(journal.open());
  REQUIRE_OK(journal.write({"one"}));
  while (journal.log->synced_lsn() < Lsn{1}) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  REQUIRE_OK(journal.log->close());

  journal.options.sync = SyncMode::kNone;
  REQUIRE_OK(journal.open());
  REQUIRE_OK(journal.write({"two"}));
  BOOST_TEST(journal.log->synced_lsn().value == 1u);
  REQUIRE_OK(journal.log->sync());
  BOOST_TEST(journal.log->synced_lsn().value == 2u);
}

BOOST_AUTO_TEST_CASE(a_full_log_refuses_and_goes_on) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  journal.options.bytes_max = 256u << 10;
  REQUIRE_OK(journal.open());
  std::uint64_t taken = 0;
  Status outcome;
  while ((outcome = journal.write({text_of(taken, 3000)})).is_ok()) ++taken;
  BOOST_CHECK(outcome.code() == Code::kNoSpace);
  BOOST_TEST(taken > 20u);
  BOOST_TEST(journal.log->bytes() <= journal.options.bytes_max);
  BOOST_CHECK(journal.write({text_of(taken, 3000)}).code() == Code::kNoSpace);
  // What has been merged makes room.
  REQUIRE_OK(journal.log->release(journal.log->synced_lsn()));
  REQUIRE_OK(journal.write({text_of(taken, 3000)}));
  journal.log.reset();
  journal.after = {taken};
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(records->size() == 1u);
  journal.after = {};
  BOOST_CHECK(code_of(journal.replay()) == Code::kCorrupt);  // what came before is gone
}

// What is kept for urgent batches others do not get, and the last segment takes whatever is left.
BOOST_AUTO_TEST_CASE(urgent_batches_go_on_in_a_full_log) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  journal.options.bytes_max = 300u << 10;
  journal.options.spare_bytes = 40u << 10;
  REQUIRE_OK(journal.open());
  std::uint64_t taken = 0;
  while (journal.write({text_of(taken, 3000)}).is_ok()) ++taken;
  std::uint64_t urgent = 0;
  const std::string text = "urgent";
  const LogRecord record{1, 0, bytes_of(text)};
  while (true) {
    const auto lsn = journal.log->enqueue({&record, 1}, Urgency::kUrgent);
    if (!lsn) {
      BOOST_CHECK(code_of(lsn) == Code::kNoSpace);
      break;
    }
    REQUIRE_OK(journal.log->commit(*lsn));
    ++urgent;
  }
  BOOST_TEST(urgent >= 40u / 4);
  BOOST_TEST(journal.log->bytes() <= journal.options.bytes_max);
  BOOST_TEST(journal.log->bytes() + journal.options.segment_bytes_first > journal.options.bytes_max);
  journal.log.reset();
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(records->size() == taken + urgent);
}

BOOST_AUTO_TEST_CASE(a_segment_that_cannot_be_made_ends_the_log) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  REQUIRE_OK(journal.open());
  REQUIRE_OK(journal.write({"one"}));
  disk->set_fault(test::Fault::kIo, 1);  // the first call asks for the room on the disk
  BOOST_CHECK(journal.write({text_of(2, 100u << 10)}).code() == Code::kIo);  // needs a larger segment
  disk->clear_fault();
  BOOST_CHECK(journal.write({"three"}).code() == Code::kIo);
  BOOST_CHECK(journal.log->failure().code() == Code::kIo);
}

BOOST_AUTO_TEST_CASE(a_full_disk_refuses_and_goes_on) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  REQUIRE_OK(journal.open());
  disk->set_capacity(100u << 10);
  std::uint64_t taken = 0;
  Status outcome;
  while ((outcome = journal.write({text_of(taken, 3000)})).is_ok()) ++taken;
  BOOST_CHECK(outcome.code() == Code::kNoSpace);
  // The segment that could not be made, and the room that it needs at least: that of the first one.
  BOOST_TEST(outcome.subject() == "wal/log-3");
  BOOST_TEST(outcome.number() == 32u << 10);
  BOOST_TEST(outcome.error_number() == ENOSPC);
  disk->set_capacity(disk->bytes_of("wal/log-1") + disk->bytes_of("wal/log-2") + disk->bytes_of("wal/end") +
                     outcome.number());
  REQUIRE_OK(journal.write({text_of(taken++, 3000)}));
  disk->set_capacity(1u << 30);
  journal.log.reset();
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(records->size() == taken);
}

// Half a segment is kept: eight log blocks, of which each clean close takes one.
BOOST_AUTO_TEST_CASE(on_a_full_disk_urgent_batches_go_on_and_writers_open) {
  const auto disk = disk_with_log();
  std::vector<std::string> written;
  const auto write = [&written](Journal& journal, std::size_t bytes, Urgency urgency) {
    const std::string text = text_of(written.size(), bytes);
    const Status outcome = journal.write({text}, urgency);
    if (outcome.is_ok()) written.push_back(text);
    return outcome;
  };
  Journal journal(*disk);
  journal.options.segment_bytes_first = 64u << 10;
  journal.options.spare_bytes = 1u << 20;
  journal.options.bytes_max = 64u << 20;
  REQUIRE_OK(journal.open());
  fill(*disk);
  Status outcome;
  while ((outcome = write(journal, 3000, Urgency::kNormal)).is_ok()) {
  }
  BOOST_TEST((outcome.code() == Code::kNoSpace));
  BOOST_TEST((write(journal, 60'000, Urgency::kNormal).code() == Code::kNoSpace));  // takes nothing from what is kept
  // Writers come and go, one of them killed, while there is room in the segment and when there is none.
  int urgent = 0;
  for (int session = 0; session < 8; ++session) {
    for (int i = 0; i < 2; ++i) {
      outcome = write(journal, 10, Urgency::kUrgent);
      BOOST_TEST((outcome.is_ok() || outcome.code() == Code::kNoSpace));
      urgent += outcome.is_ok() ? 1 : 0;
    }
    if (session == 1) {
      disk->cut_power();
      journal.log.reset();
      disk->restart();
    } else {
      REQUIRE_OK(journal.log->close());
      journal.log.reset();
    }
    const auto records = journal.replay();
    REQUIRE_OK(records);
    BOOST_TEST(*records == written);
    REQUIRE_OK(journal.open());
  }
  // Of eight blocks the first two closes took one each, since something had been written.
  BOOST_TEST(urgent >= 6);
  BOOST_TEST((write(journal, 10, Urgency::kUrgent).code() == Code::kNoSpace));
  disk->set_capacity(1u << 30);
  REQUIRE_OK(write(journal, 3000, Urgency::kNormal));
  journal.log.reset();
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(*records == written);
}

BOOST_AUTO_TEST_CASE(on_a_full_disk_coming_and_going_takes_nothing_from_what_is_kept) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  journal.options.spare_bytes = 1u << 20;
  REQUIRE_OK(journal.open());
  REQUIRE_OK(journal.write({"one"}));
  REQUIRE_OK(journal.log->close());
  fill(*disk);
  for (int i = 0; i < 20; ++i) {  // more often than the segment has blocks
    REQUIRE_OK(journal.open());
    REQUIRE_OK(journal.log->close());
  }
  REQUIRE_OK(journal.open());
  REQUIRE_OK(journal.write({"two"}, Urgency::kUrgent));
  REQUIRE_OK(journal.log->close());
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(*records == std::vector<std::string>({"one", "two"}));
}

BOOST_AUTO_TEST_CASE(a_log_that_begins_on_a_disk_with_little_room_takes_what_there_is) {
  for (const std::uint64_t free : {20u << 10, 100u << 10, 300u << 10, 900u << 10}) {
    const auto disk = disk_with_log();
    disk->set_capacity(free);
    Journal journal(*disk);
    journal.options.segment_bytes_first = 512u << 10;
    const Status opened = journal.open();
    if (free < (72u << 10)) {
      BOOST_TEST((opened.code() == Code::kNoSpace));
      continue;
    }
    REQUIRE_OK(opened);
    REQUIRE_OK(journal.write({"one"}));
    BOOST_TEST(journal.log->bytes() <= free);
    BOOST_TEST(journal.log->bytes() >= std::min<std::uint64_t>(free / 3, 512u << 10));
  }
}

// What lies behind a torn tail must not come back as the log's, when a later writer has written up to there.
BOOST_AUTO_TEST_CASE(a_torn_tail_is_wiped_where_the_disk_has_no_room_to_keep_it) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  journal.options.sync = SyncMode::kNone;
  REQUIRE_OK(journal.open());
  for (const char* text : {"one", "two", "three", "four"}) REQUIRE_OK(journal.write({text}));
  disk->cut_power();
  journal.log.reset();
  disk->restart();
  BOOST_REQUIRE(disk->flip_bit(std::string(kDirectory) + "/log-1", 2 * kLogBlockBytes + 70, 3));  // of "two"
  fill(*disk);
  REQUIRE_OK(journal.open());
  BOOST_TEST(journal.tail.torn_bytes == 3 * kLogBlockBytes);
  REQUIRE_OK(journal.write({"another"}));  // one block, as "two" was
  journal.log.reset();
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(*records == std::vector<std::string>({"one", "another"}));
  BOOST_TEST(journal.tail.torn_bytes == 0u);
  for (const std::string& name : disk->files()) BOOST_TEST(name.find("torn-") == std::string::npos, name);
}

BOOST_AUTO_TEST_CASE(what_a_log_cannot_hold_is_refused) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  REQUIRE_OK(journal.open());
  BOOST_CHECK(code_of(journal.log->enqueue({})) == Code::kInvalidArgument);
  BOOST_CHECK(journal.write({std::string(kRecordBytesMax + 1, 'x')}).code() == Code::kInvalidArgument);
  BOOST_CHECK(journal.write(std::vector<std::string>(33, std::string(kRecordBytesMax, 'x'))).code() ==
              Code::kInvalidArgument);
  REQUIRE_OK(journal.write({std::string(kRecordBytesMax, 'x')}));  // larger than a segment would have been
  REQUIRE_OK(journal.log->close());
  BOOST_CHECK(journal.write({"late"}).code() == Code::kInvalidArgument);
}

BOOST_AUTO_TEST_CASE(opening_and_closing_leaves_nothing_behind) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  REQUIRE_OK(journal.open());
  REQUIRE_OK(journal.write({"one"}));
  REQUIRE_OK(journal.log->close());
  for (int i = 0; i < 5; ++i) {
    REQUIRE_OK(journal.open());
    REQUIRE_OK(journal.log->close());
  }
  // The segment with the record, the last one without, and the record of the end.
  BOOST_TEST(disk->files().size() == 3u);
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(*records == std::vector<std::string>{"one"});
}

BOOST_AUTO_TEST_CASE(after_a_failed_write_or_sync_nothing_is_taken_any_more) {
  for (const test::Fault fault : {test::Fault::kIo, test::Fault::kShort, test::Fault::kNoSpace}) {
    for (std::uint64_t call = 0; call < 2; ++call) {
      const auto disk = disk_with_log();
      Journal journal(*disk);
      REQUIRE_OK(journal.open());
      REQUIRE_OK(journal.write({"one"}));
      disk->set_fault(fault, call);  // the write, then the sync
      const Status failed = journal.write({"two"});
      if (fault != test::Fault::kIo && call == 1) continue;  // a sync has no half, and takes no room
      // kNoSpace would say that nothing was written, which nobody knows here.
      BOOST_CHECK(failed.code() == Code::kIo);
      BOOST_TEST(failed.error_number() == (fault == test::Fault::kNoSpace ? ENOSPC : EIO));
      const bool is_full = failed.message().find("the disk was full in the midst") != std::string::npos;
      BOOST_TEST(is_full == (fault == test::Fault::kNoSpace), failed.message());
      BOOST_TEST(
          failed.message().find("open the store again, which shows whether it came through") != std::string::npos,
          failed.message());
      disk->clear_fault();
      BOOST_CHECK(journal.write({"three"}).code() == Code::kIo);
      BOOST_CHECK(journal.log->sync().code() == Code::kIo);
      BOOST_CHECK(journal.log->close().code() == Code::kIo);
      const auto records = journal.replay();
      REQUIRE_OK(records);
      BOOST_TEST(records->size() >= 1u);
      BOOST_TEST(records->size() <= 2u);
      BOOST_TEST(records->front() == "one");
    }
  }
}

// Also while segments come and go, and while their writer is replaced by another.
BOOST_AUTO_TEST_CASE(a_reader_that_follows_gets_what_is_new) {
  const auto disk = disk_with_log();
  Journal writer(*disk);
  Journal reader(*disk);
  std::uint64_t written = 0;
  std::set<std::uint64_t> segments;
  for (int round = 0; round < 60; ++round) {
    if (round % 9 == 0) {
      writer.log.reset();
      writer.after = reader.after;
      REQUIRE_OK(writer.open());
    }
    std::vector<std::string> fresh;
    for (int i = 0; i < round % 4; ++i) {
      fresh.push_back(text_of(written++, static_cast<std::size_t>(round) * 300));
      REQUIRE_OK(writer.write({fresh.back()}));
    }
    if (round == 40) REQUIRE_OK(writer.log->release({written - 2}));
    const auto records = reader.replay();
    REQUIRE_OK(records);
    BOOST_TEST(*records == fresh);
    reader.after = reader.tail.last_lsn;
    reader.from = reader.tail.place;
    BOOST_TEST(reader.after.value == written);
    segments.insert(reader.from.segment);
  }
  BOOST_TEST(segments.size() > 6u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(log_damage)

// A group that a follower read, and that a crash took back, because its sync had failed.
BOOST_AUTO_TEST_CASE(a_reader_that_follows_is_told_when_the_log_was_cut_back) {
  const auto disk = disk_with_log();
  Journal writer(*disk);
  Journal reader(*disk);
  REQUIRE_OK(writer.open());
  REQUIRE_OK(writer.write({"kept"}));
  const auto before = disk->clone();
  REQUIRE_OK(writer.write({"taken back", "taken back"}));
  REQUIRE_OK(reader.replay());
  Journal follower(*before);
  follower.after = reader.tail.last_lsn;
  follower.from = reader.tail.place;
  Journal next(*before);
  before->restart();
  REQUIRE_OK(next.open());
  REQUIRE_OK(next.write({"another"}));
  BOOST_CHECK(code_of(follower.replay()) == Code::kUnsupported);
}

// What it has read it does not read again, so damage there is another's to find; what is new it does look at.
BOOST_AUTO_TEST_CASE(a_reader_that_follows_finds_damage_of_what_is_new) {
  const auto disk = disk_with_log();
  Journal writer(*disk);
  Journal reader(*disk);
  REQUIRE_OK(writer.open());
  for (int i = 0; i < 3; ++i) REQUIRE_OK(writer.write({text_of(i, 100)}));
  REQUIRE_OK(reader.replay());
  reader.after = reader.tail.last_lsn;
  reader.from = reader.tail.place;
  BOOST_TEST(reader.from.offset == 4 * kLogBlockBytes);
  for (int i = 3; i < 6; ++i) REQUIRE_OK(writer.write({text_of(i, 100)}));
  {
    const auto copy = disk->clone();
    BOOST_REQUIRE(copy->flip_bit("wal/log-1", kLogBlockBytes + 70, 3));
    Journal follower(*copy);
    follower.after = reader.after;
    follower.from = reader.from;
    const auto records = follower.replay();
    REQUIRE_OK(records);
    BOOST_TEST(records->size() == 3u);
    follower.from = {};
    BOOST_CHECK(code_of(follower.replay()) == Code::kCorrupt);
  }
  BOOST_REQUIRE(disk->flip_bit("wal/log-1", 4 * kLogBlockBytes + 70, 3));
  BOOST_CHECK(code_of(reader.replay()) == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(a_damaged_record_that_was_acknowledged_is_reported) {
  for (int lost = 0; lost < 2; ++lost) {
    const auto disk = disk_with_log();
    Journal journal(*disk);
    REQUIRE_OK(journal.open());
    for (int i = 0; i < 3; ++i) REQUIRE_OK(journal.write({text_of(i, 100)}));
    journal.log.reset();  // closes: the mark at the end tells that all three were acknowledged
    BOOST_REQUIRE(disk->flip_bit("wal/log-1", kLogBlockBytes * (lost == 0 ? 1 : 3) + 70, 3));
    const auto records = journal.replay();
    BOOST_CHECK(code_of(records) == Code::kCorrupt);
    BOOST_TEST(std::string(records.error().subject()) == "wal/log-1");
    BOOST_TEST(records.error().number() == kLogBlockBytes * (lost == 0 ? 1 : 3));
  }
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_of_headers_is_reported_or_without_effect) {
  const auto whole = disk_with_log();
  std::vector<std::string> written;
  {
    Journal journal(*whole);
    REQUIRE_OK(journal.open());
    for (int i = 0; i < 4; ++i) {
      written.push_back(text_of(i, 60));
      REQUIRE_OK(journal.write({written.back()}));
    }
  }
  for (std::uint64_t block = 0; block < 6; ++block) {
    for (std::uint64_t bit = 0; bit < 140ull * 8; ++bit) {
      const auto disk = whole->clone();
      BOOST_REQUIRE(disk->flip_bit("wal/log-1", block * kLogBlockBytes + bit / 8, bit % 8));
      Journal journal(*disk);
      const auto records = journal.replay();
      // The mark at the end stands for nothing but itself.
      const bool same = records && *records == written;
      BOOST_TEST((same || code_of(records) == Code::kCorrupt || code_of(records) == Code::kNewerFormat));
      if (block >= 1 && block <= 4 && bit < 64 * 8) BOOST_TEST(!same);
    }
  }
}

// A disk on which three batches were written, never synced, and of which the power cut left a torn tail.
std::unique_ptr<SimDisk> disk_with_torn_tail() {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    auto disk = disk_with_log();
    Journal journal(*disk);
    journal.options.sync = SyncMode::kNone;
    REQUIRE_OK(journal.open());
    for (int i = 0; i < 3; ++i) REQUIRE_OK(journal.write({text_of(i, 100)}));
    disk->cut_power();
    journal.log.reset();
    Random random(seed);
    disk->reboot(random);
    REQUIRE_OK(journal.replay());
    if (journal.tail.torn_bytes != 0) return disk;
  }
  BOOST_FAIL("no power cut tore a tail");
  return nullptr;
}

BOOST_AUTO_TEST_CASE(a_torn_tail_is_kept_aside_and_the_log_goes_on) {
  const auto disk = disk_with_torn_tail();
  // What a writer before left when it died: the copy of another torn tail, and a segment in the making.
  for (const char* name : {"wal/torn-0", "wal/preparing"})
    REQUIRE_OK(disk->open(name, {OpenMode::kReadWriteCreate, false}));
  Journal journal(*disk);
  const auto before = journal.replay();
  REQUIRE_OK(before);
  const std::uint64_t torn_bytes = journal.tail.torn_bytes;
  REQUIRE_OK(journal.open());
  BOOST_TEST(disk->bytes_of("wal/torn-1") == torn_bytes);
  const auto files = disk->files();
  for (const char* name : {"wal/torn-0", "wal/preparing"}) BOOST_TEST(std::ranges::count(files, name) == 0);
  REQUIRE_OK(journal.write({"more"}));
  journal.log.reset();
  auto expected = *before;
  expected.emplace_back("more");
  const auto records = journal.replay();
  REQUIRE_OK(records);
  BOOST_TEST(*records == expected);
}

// A whole group that this version cannot read is no torn tail.
BOOST_AUTO_TEST_CASE(a_group_of_a_newer_version_is_told_apart_from_a_torn_tail) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  REQUIRE_OK(journal.open());
  REQUIRE_OK(journal.write({"one"}));
  journal.log.reset();
  const auto file = disk->open("wal/log-1", {OpenMode::kReadWrite, false});
  REQUIRE_OK(file);
  std::array<std::byte, kGroupHeaderBytes> header{};
  REQUIRE_OK((*file)->read_at(header, kLogBlockBytes));
  const std::uint16_t version = kLogVersion + 1;
  std::memcpy(&header[4], &version, sizeof version);
  const std::uint64_t hash = XXH3_64bits(header.data(), header.size() - sizeof hash);
  std::memcpy(&header[header.size() - sizeof hash], &hash, sizeof hash);
  REQUIRE_OK((*file)->write_at(header, kLogBlockBytes));
  BOOST_CHECK(code_of(journal.replay()) == Code::kNewerFormat);
}

BOOST_AUTO_TEST_CASE(missing_foreign_and_newer_segments_are_told_apart) {
  const auto disk = disk_with_log();
  Journal journal(*disk);
  REQUIRE_OK(journal.open());
  for (int i = 0; i < 40; ++i) REQUIRE_OK(journal.write({text_of(i, 3000)}));
  journal.log.reset();
  BOOST_TEST(disk->files().size() >= 3u);
  {
    const auto copy = disk->clone();
    REQUIRE_OK(copy->unlink("wal/log-2"));
    Journal missing(*copy);
    BOOST_CHECK(code_of(missing.replay()) == Code::kCorrupt);
  }
  {
    const auto copy = disk->clone();
    REQUIRE_OK(copy->unlink("wal/log-1"));
    Journal missing(*copy);
    BOOST_CHECK(code_of(missing.replay()) == Code::kCorrupt);
  }
  MemoryBudget budget;
  const auto foreign =
      replay_log(*disk, kDirectory, {Uuid{1}, {}}, budget, [](Lsn, const LogRecord&) { return Status::ok(); });
  BOOST_CHECK(code_of(foreign) == Code::kCorrupt);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(log_crashes)

// What a writer was told before it died, in records.
struct Life {
  std::size_t acknowledged = 0;
  std::size_t durable = 0;
};

// Writes batches of one to three records to the log of `journal`, which `written` holds already, until something fails.
Life live(Journal& journal, std::vector<std::vector<std::string>>& batches, Random& random, int count) {
  Life life;
  std::size_t records = 0;
  for (const auto& batch : batches) records += batch.size();
  if (!journal.open().is_ok()) return life;
  life.acknowledged = records;  // what a writer has found is there for good
  for (int i = 0; i < count; ++i) {
    std::vector<std::string> batch;
    for (std::uint64_t part = 0; part <= random.below(3); ++part)
      batch.push_back(text_of(records + part, random.below(5) == 0 ? 6000 : 50));
    batches.push_back(batch);
    if (!journal.write(batch).is_ok()) break;
    records += batch.size();
    life.acknowledged = records;
  }
  life.durable = journal.log->synced_lsn().value;
  return life;
}

// A log is written, loses power at the call `cut`, comes back, is written on and loses power again, over and over. What
// comes back is always a prefix in whole batches, and holds what was promised.
// full: the disk is, from the second life on.
std::uint64_t survive(std::uint64_t seed, std::uint64_t cut, SyncMode mode, bool full) {
  Random random(seed * 1000003 + cut);
  const auto disk = disk_with_log();
  REQUIRE_OK(disk->sync_directory(kDirectory));
  std::vector<std::vector<std::string>> batches;
  std::uint64_t recoveries = 0;
  std::size_t promised = 0;
  for (int round = 0; round < 4; ++round) {
    Journal journal(*disk);
    journal.options.sync = mode;
    journal.options.salt_seed = random.next() | 1;
    journal.options.segment_bytes_first = 16u << 10;
    if (full && round != 0) fill(*disk);
    disk->set_fault(test::Fault::kPowerCut, round == 0 ? cut : random.below(60));
    const Life life = live(journal, batches, random, 12);
    // Now and then only the process dies, and what it wrote is there, though perhaps not for good.
    const bool killed = random.below(4) == 0;
    disk->cut_power();
    journal.log.reset();
    if (killed) {
      disk->restart();
    } else {
      disk->reboot(random);
    }

    Journal after(*disk);
    const auto records = after.replay();
    BOOST_REQUIRE_MESSAGE(records.has_value(),
                          "seed " << seed << " cut " << cut << " round " << round << ": " << test::message_of(records));
    ++recoveries;
    promised = std::max(promised, mode == SyncMode::kAlways ? life.acknowledged : life.durable);
    BOOST_REQUIRE_MESSAGE(records->size() >= promised, "seed " << seed << " cut " << cut << " round " << round << ": "
                                                               << records->size() << " of " << promised);
    std::size_t at = 0;
    std::size_t whole = 0;
    for (; whole < batches.size() && at < records->size(); ++whole)
      for (const std::string& text : batches[whole]) {
        BOOST_REQUIRE_MESSAGE(at < records->size() && (*records)[at] == text,
                              "seed " << seed << " cut " << cut << " round " << round << ": record " << at);
        ++at;
      }
    BOOST_REQUIRE(at == records->size());
    batches.resize(whole);
  }
  return recoveries;
}

BOOST_AUTO_TEST_CASE(a_power_cut_at_any_call_loses_nothing_that_was_acknowledged) {
  std::uint64_t recoveries = 0;
  for (const SyncMode mode : {SyncMode::kAlways, SyncMode::kNone})
    for (std::uint64_t seed = 0; seed < 40; ++seed)
      for (std::uint64_t cut = 0; cut < 60; ++cut) recoveries += survive(seed, cut, mode, false);
  BOOST_TEST_MESSAGE("recoveries: " << recoveries);
  BOOST_TEST(recoveries == 2u * 40 * 60 * 4);
}

BOOST_AUTO_TEST_CASE(a_power_cut_at_any_call_on_a_full_disk_loses_nothing_that_was_acknowledged) {
  std::uint64_t recoveries = 0;
  for (const SyncMode mode : {SyncMode::kAlways, SyncMode::kNone})
    for (std::uint64_t seed = 100; seed < 130; ++seed)
      for (std::uint64_t cut = 20; cut < 60; ++cut) recoveries += survive(seed, cut, mode, true);
  BOOST_TEST(recoveries == 2u * 30 * 40 * 4);
}

// A closed log whose writer goes on in the newest segment and meets errors, once or from then on: it is never damage.
BOOST_AUTO_TEST_CASE(an_error_at_any_call_on_a_full_disk_damages_nothing) {
  for (const test::Fault fault : {test::Fault::kIo, test::Fault::kShort, test::Fault::kLate})
    for (const bool sticky : {false, true})
      for (const bool cut : {false, true})
        for (std::uint64_t call = 0; call < 40; ++call) {
          const auto disk = disk_with_log();
          std::vector<std::string> written = {"one", "two"};
          {
            Journal journal(*disk);
            REQUIRE_OK(journal.open());
            for (const std::string& text : written) REQUIRE_OK(journal.write({text}));
            REQUIRE_OK(journal.log->close());
          }
          fill(*disk);
          disk->set_fault(fault, call, sticky);
          Journal journal(*disk);
          journal.options.spare_bytes = 1u << 20;
          bool acknowledged = false;
          if (journal.open().is_ok()) acknowledged = journal.write({"three"}, Urgency::kUrgent).is_ok();
          if (cut) disk->cut_power();
          journal.log.reset();
          disk->clear_fault();
          Random random(call);
          if (cut) disk->reboot(random);
          Journal after(*disk);
          const auto records = after.replay();
          BOOST_REQUIRE_MESSAGE(records.has_value(), "call " << call << " sticky " << sticky << " cut " << cut << ": "
                                                             << test::message_of(records));
          BOOST_REQUIRE(records->size() >= (acknowledged ? 3u : 2u));
          written.emplace_back("three");
          written.resize(records->size());
          BOOST_REQUIRE(*records == written);
        }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
