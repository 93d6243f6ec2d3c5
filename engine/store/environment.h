// SPDX-License-Identifier: Apache-2.0
//
// Where a store lives: the operating system's files, or what a test brings. The static calls of Store, which take no
// environment, are those of StoreFactory with the default one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/io.h"
#include "engine/live/document_packer.h"
#include "engine/vecstore.hpp"
#include "wal/log.h"

namespace vecstore {

struct StoreEnvironment {
  FileSystem* file_system = &FileSystem::posix();  // where the store lies, and the texts that a build reads
  bool log_background = true;                      // the log has a thread of its own
  bool merge_background = true;                    // where the options ask for it
  std::uint64_t merge_in_passes_rows = 5000;       // a graph of as many rows is gone through in passes
  std::uint64_t merge_pool_bytes = 256u << 20;     // of pages that such a merge may have in memory
  std::uint64_t segment_bytes_first = kSegmentBytesMin;
  std::uint64_t segment_bytes_max = kSegmentBytesMax;
  std::uint64_t seed = 0;  // makes uuids and salts; 0: drawn from the operating system
  DictionaryTraining training;
};

class StoreDirectory;

struct StoreFactory {
  static Status create(const std::string& path, const CreateOptions& options, const StoreEnvironment& environment);
  static Status build(const std::string& path, const VectorSource& vectors, const BuildOptions& options,
                      const StoreEnvironment& environment);
  static Result<Store> open(const std::string& path, const OpenOptions& options, const StoreEnvironment& environment);
  static Result<SalvageReport> salvage(const std::string& path, const std::string& to,
                                       const StoreEnvironment& environment, const CancelToken* cancel);
  static Result<std::vector<SnapshotInfo>> snapshots(const std::string& path, const StoreEnvironment& environment);
  static Status remove_snapshot(const std::string& path, const std::string& name, const StoreEnvironment& environment);
  static Result<CopyReport> copy(const std::string& from, const std::string& to, const CopyOptions& options,
                                 const StoreEnvironment& environment);
  static Result<SalvageReport> salvage_into(const StoreDirectory& from, const std::string& to,
                                            const StoreEnvironment& environment, const CancelToken* cancel);
};

}  // namespace vecstore
