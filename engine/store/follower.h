// SPDX-License-Identifier: Apache-2.0
//
// Brings what the log holds beyond the graph into memory: all of it when a store is opened, and for a reader, refresh
// after refresh, what came since.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/live/live_state.h"
#include "engine/watch.h"
#include "wal/log_reader.h"

namespace vecstore {

// replay() is for one thread at a time; the counts are for any.
class Follower {
 public:
  // `directory`: of the log. The records up to `applied` are in the graph. `budget` is that of reading the log. All
  // must outlive it.
  Follower(FileSystem& file_system, std::string directory, const Uuid& store, Lsn applied, LiveState& live,
           MemoryBudget& budget)
      : file_system_(file_system),
        directory_(std::move(directory)),
        store_(store),
        live_(live),
        budget_(budget),
        through_(applied) {}

  // Applies the records that were not applied yet. Where it fails the next call goes on from there. Errors: as of
  // replay_log(), kCorrupt (the log is missing, or contradicts the store), kCancelled. watch: or nullptr.
  Result<LogTail> replay(Watch* watch);

  Lsn through() const { return through_; }                // what readers see may end before
  std::uint64_t log_bytes() const { return log_bytes_; }  // size of all segments at the last replay

 private:
  FileSystem& file_system_;
  const std::string directory_;
  const Uuid store_;
  LiveState& live_;
  MemoryBudget& budget_;
  Lsn through_;
  LogPlace place_;
  std::atomic<std::uint64_t> log_bytes_ = 0;
  bool has_replayed_ = false;  // somebody may be looking
};

}  // namespace vecstore
