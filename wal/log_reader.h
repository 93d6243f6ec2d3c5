// SPDX-License-Identifier: Apache-2.0
//
// Reads the log back: every complete group after a given LSN, in order, in bounded memory.
//
// Where the chain of groups ends in a group that is not whole, there are two cases. A later group of the segment says
// how far the log had been synced when it was written: if that covers the damaged group, a record that was acknowledged
// has been damaged, and replay() refuses. Otherwise nobody was ever promised what is missing: a torn tail, which ends
// the log.
//
// A second place, the file "end", says which segment is the newest and how far it reaches at least: what is short of
// that is damage. Where a writer is at work, what looks like damage is looked at again before it is reported.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "wal/format.h"

namespace vecstore {

struct SegmentInfo {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  Lsn first_lsn;
};

// Where a replay ended.
struct LogPlace {
  std::uint64_t segment = 0;  // its number; 0: nowhere yet
  std::uint64_t offset = 0;   // behind the last whole group
  Lsn last_lsn;               // last record of that group
  std::uint64_t chain = 0;    // its hash
};

// Where the log ends, and what a writer needs to go on from there.
struct LogTail {
  Lsn last_lsn;                  // last record of the last complete group; else what replay() was told to begin after
  std::uint64_t chain = 0;       // what the next segment continues: hash of the last group
  std::uint64_t bytes = 0;       // size of all segment files
  std::uint64_t number_max = 0;  // greatest number of a segment file, begun or prepared
  std::vector<SegmentInfo> segments;     // that hold records, oldest first
  std::vector<std::uint64_t> unbegun;    // segment files without a header: prepared ahead, or torn in their first block
  std::vector<std::uint64_t> abandoned;  // with a header and no record
  std::uint64_t torn_segment = 0;        // whose end holds writes that never became whole groups; 0: none
  std::uint64_t torn_at = 0;             // where in it they begin
  std::uint64_t torn_bytes = 0;
  std::optional<EndRecord> end;         // what the second place says; none in a log of before it
  std::optional<SegmentHeader> newest;  // of the last segment that was begun, whether it holds records or not
  std::uint64_t newest_hash = 0;        // sum of that header
  LogPlace place;                       // where a reader that follows the log goes on
};

struct ReplayOptions {
  Uuid store{};
  Lsn after;  // records up to this one are not wanted, and their segments may be gone
  // Where an earlier replay of the same log ended. What lies before is not read again. Behind the last whole group only
  // so much is looked at as tells whether the log goes on (kFollowBytes).
  LogPlace from = {};
  // Called after the last record of a group: batches are never divided between groups.
  std::function<void(Lsn)> group_ended = {};
};
// A lost group that reaches farther than this is noticed when the next segment has been begun, or by a replay from the
// start.
inline constexpr std::uint64_t kFollowBytes = 1u << 20;

// Called for each record, in order. An error ends the replay with that error.
using TakeRecord = std::function<Status(Lsn, const LogRecord&)>;

// directory: that of the segments; an empty one is an empty log. A writer may append meanwhile: what is whole is taken.
// Errors: kCorrupt naming file and offset, kIo, kNewerFormat, kBusy (a writer began just then: try again), kUnsupported
// (a crash took back what `from` says was read), kMemoryBudget (a group is larger than the budget has room for).
Result<LogTail> replay_log(FileSystem& file_system, const std::string& directory, const ReplayOptions& options,
                           MemoryBudget& budget, const TakeRecord& take);

struct SalvagedLog {
  std::uint64_t records = 0;     // taken
  std::uint64_t lost_bytes = 0;  // bytes of blocks that hold something, but no whole group
};

// Takes every record after options.after that is still whole, in the order of their numbers, whatever is missing
// between them. Segments of another store are passed over. Errors: kIo, kNewerFormat, kMemoryBudget, those of `take`.
Result<SalvagedLog> salvage_log(FileSystem& file_system, const std::string& directory, const ReplayOptions& options,
                                MemoryBudget& budget, const TakeRecord& take);

}  // namespace vecstore
