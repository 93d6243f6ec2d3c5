// SPDX-License-Identifier: Apache-2.0
//
// The file "end" of a log: two slots, written in turn, each with one sync. It says in a second place which segment is
// the newest and how far it is known to reach. So a segment that is missing, wiped or cut back is damage, and not the
// log of a moment before. Byte-exact description: wal/README.md.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "wal/format.h"

namespace vecstore {

// The newest record. nullopt: there is no such file. Errors: kCorrupt (neither slot is whole, or it is another
// store's), kNewerFormat, kIo.
Result<std::optional<EndRecord>> read_end(FileSystem& file_system, const std::string& directory, const Uuid& store);

// The file `end` in the hands of the one writer; for one thread at a time.
class EndFile {
 public:
  // `found`: what read_end() returned. Makes the file where there is none. What is there is synced, because its writer
  // may have been killed before that. One torn write more would then leave neither slot whole. `preparing`: the path
  // under which a file of the log is made. Errors: kIo, kNoSpace, kMemoryBudget.
  Status open(FileSystem& file_system, const std::string& directory, const std::string& preparing,
              const std::optional<EndRecord>& found, const Uuid& store, MemoryBudget& budget);
  // Whether the newest record tells of this segment.
  bool tells_of(std::uint64_t segment) const { return newest_.segment == segment; }
  // `store` and `count` are filled in. On the disk when it returns.
  Status write(EndRecord record);

 private:
  Status make(FileSystem& file_system, const std::string& directory, const std::string& preparing);

  std::unique_ptr<File> file_;
  Buffer<std::byte> block_;
  EndRecord newest_;
};

}  // namespace vecstore
