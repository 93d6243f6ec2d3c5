// SPDX-License-Identifier: Apache-2.0
//
// Makes a store of the files of another: of those that never change a second name or a copy, of the rest a copy.
#pragma once

#include <cstdint>
#include <string>

#include "base/cancel_token.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "pagestore/publish.h"
#include "wal/format.h"

namespace vecstore {

enum class CopyManner : std::uint8_t {
  kLink,  // second names
  kCopy,
};

struct CopySource {
  std::string path;  // directory of a store. Nobody may merge into it meanwhile; writes may go on
  Manifest content;
  // Of a store whose files that are the same are linked and not copied; empty: there is none.
  std::string since_path = {};
  Manifest since = {};
};

struct CopiedStore {
  std::uint64_t rows = 0;          // live
  Lsn lsn;                         // the last write that it holds
  std::uint64_t bytes_copied = 0;  // of files that were written
  std::uint64_t bytes_linked = 0;  // of files that have a second name now
};

// Files that the manifest names → `into`; nothing is published. Their directories are not synced. Errors: kIo,
// kNoSpace, kNotFound, kCancelled; kUnsupported (kLink: the file system has no second names, or it is another).
Status copy_files(FileSystem& file_system, const CopySource& source, const StoreDirectory& into, CopyManner manner,
                  const CancelToken* cancel, CopiedStore& copied);

// All of the content and of the log → `into`, which create() has returned and where nothing was published. The caller
// publishes source.content. Errors: as above; kCorrupt, kNewerFormat of the log, kMemoryBudget.
Result<CopiedStore> copy_store(FileSystem& file_system, const CopySource& source, const StoreDirectory& into,
                               CopyManner manner, MemoryBudget& budget, const CancelToken* cancel);

}  // namespace vecstore
