// SPDX-License-Identifier: Apache-2.0
//
// The file "snapshot" of a directory: it says that what lies there is the content of a store at one moment, and is only
// read. Byte-exact: engine/snapshot/README.md.
#pragma once

#include <cstdint>
#include <string>

#include "base/io.h"
#include "base/status.h"
#include "wal/format.h"

namespace vecstore {

struct SnapshotNote {
  std::int64_t made_at = 0;  // seconds since 1970, by the clock of the machine that made it
  std::uint64_t rows = 0;    // live
  Lsn lsn;                   // the last write that it holds
};

// Into the directory of the snapshot; on the disk afterwards, but for its name. Errors: kExists, kIo, kNoSpace.
Status write_snapshot_note(FileSystem& file_system, const std::string& directory, const SnapshotNote& note);
// Errors: kNotFound (it is no snapshot), kCorrupt, kNewerFormat, kIo.
Result<SnapshotNote> read_snapshot_note(FileSystem& file_system, const std::string& directory);

}  // namespace vecstore
