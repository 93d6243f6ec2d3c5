// SPDX-License-Identifier: Apache-2.0
//
// A copy of what a log holds, made while its writer may go on: a log that was closed where the copy ends.
#pragma once

#include <cstdint>
#include <string>

#include "base/cancel_token.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "wal/log_reader.h"

namespace vecstore {

struct CopiedLog {
  Lsn last_lsn;                    // of the copy; options.after where there is no record behind that
  std::uint64_t bytes = 0;         // written
  std::uint64_t bytes_linked = 0;  // of segments that have a second name now
};

// What becomes of the segments before the newest, which never change again.
enum class SealedSegments : std::uint8_t {
  kLink,  // a second name
  kCopy,
};

// Copies the segments that hold records after options.after from the directory `from` to `to`, which is empty. All of
// it is on the disk when this returns. `take` is told every record of the copy behind options.after. kLink: nobody
// releases segments meanwhile. Errors: as of replay_log(), kNoSpace, kCancelled, kUnsupported (second names).
Result<CopiedLog> copy_log(FileSystem& file_system, const std::string& from, const std::string& to,
                           const ReplayOptions& options, SealedSegments sealed, MemoryBudget& budget,
                           const CancelToken* cancel, const TakeRecord& take);

}  // namespace vecstore
