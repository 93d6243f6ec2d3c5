// SPDX-License-Identifier: Apache-2.0
//
// How far a reader looks behind the place where a log ends: as far as the segment goes, whatever its groups took.
#include "tests/sim/sim_disk.h"
#include "tests/test_util.h"
#include "wal/end_file.h"
#include "wal/log.h"

namespace vecstore {
namespace {

using test::code_of;
using test::SimDisk;

constexpr Uuid kStore{7, 7, 7};
constexpr std::uint64_t kRecords = 700;  // each in a group of a block, 2.7 MiB in all
constexpr const char* kSegment = "wal/log-1";

// A log of the version before, which does not record its end, in one segment. Its first group is damaged. None of the
// groups was synced before the last was written; then, if `synced`, all were, and one more tells so.
std::unique_ptr<SimDisk> disk_with_damaged_log(bool synced) {
  auto disk = std::make_unique<SimDisk>();
  REQUIRE_OK(disk->make_directory("wal"));
  MemoryBudget budget;
  LogOptions options;
  options.store = kStore;
  options.sync = SyncMode::kInterval;
  options.background = false;
  options.segment_bytes_first = 8u << 20;
  options.segment_bytes_max = 8u << 20;
  options.salt_seed = 1;
  auto log = Log::open(*disk, "wal", {}, options, budget);
  REQUIRE_OK(log);
  const std::string text(3000, 'x');
  const auto write = [&] {
    const LogRecord record{1, 0, std::as_bytes(std::span(text))};
    const auto lsn = (*log)->enqueue({&record, 1});
    REQUIRE_OK(lsn);
    REQUIRE_OK((*log)->commit(*lsn));
  };
  for (std::uint64_t i = 0; i < kRecords; ++i) write();
  if (synced) {
    REQUIRE_OK((*log)->sync());
    write();
  }
  disk->cut_power();
  log->reset();
  disk->restart();
  const auto file = disk->open(kSegment, {OpenMode::kReadWrite, false});
  REQUIRE_OK(file);
  std::vector<std::byte> block(kLogBlockBytes);
  REQUIRE_OK((*file)->read_at(block, 0));
  auto header = decode_segment_header(block);
  BOOST_REQUIRE(header.has_value());
  header->header.recorded = false;
  encode_segment_header(header->header, block);
  REQUIRE_OK((*file)->write_at(block, 0));
  REQUIRE_OK((*file)->write_at(std::vector<std::byte>(kLogBlockBytes), kLogBlockBytes));
  REQUIRE_OK(disk->unlink(std::string("wal/") + kEndName));
  return disk;
}

Result<LogTail> tail_of(SimDisk& disk) {
  MemoryBudget budget;
  return replay_log(disk, "wal", {kStore, {}, {}}, budget, [](Lsn, const LogRecord&) { return Status::ok(); });
}

BOOST_AUTO_TEST_SUITE(torn_tail)

BOOST_AUTO_TEST_CASE(damage_is_told_by_a_group_mebibytes_behind_it) {
  const auto disk = disk_with_damaged_log(true);
  const auto tail = tail_of(*disk);
  BOOST_TEST((code_of(tail) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(a_torn_tail_reaches_to_the_last_group_behind_it) {
  const auto disk = disk_with_damaged_log(false);
  const auto tail = tail_of(*disk);
  REQUIRE_OK(tail);
  BOOST_TEST(tail->last_lsn.value == 0u);
  BOOST_TEST(tail->torn_at == kLogBlockBytes);
  BOOST_TEST(tail->torn_bytes == kRecords * kLogBlockBytes);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
