// SPDX-License-Identifier: Apache-2.0
//
// Sorts (key, RowId) pairs in bounded memory: runs that fill the given bytes are sorted and spilled to an unnamed file,
// then merged. A digest compares what comes out with what went in. So a disk that gives back other bytes is an error
// and not a wrong catalog.
//
// Not thread-safe. The budget must outlive the sorter.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

class KeySorter {
 public:
  static constexpr std::size_t kBytesMin = std::size_t{128} << 10;
  static constexpr std::size_t kBytesMax = std::size_t{16} << 20;  // more would save few merges
  // Half of what `budget` has left, at most kBytesMax.
  static std::size_t bytes_within(const MemoryBudget& budget) {
    const std::uint64_t left = budget.limit_bytes() - budget.used_bytes();
    return static_cast<std::size_t>(std::min<std::uint64_t>(left / 2, kBytesMax));
  }

  // Spills into the file `spill_path` when `bytes` (≥ kBytesMin) do not hold all pairs. Errors: kMemoryBudget.
  static Result<KeySorter> create(FileSystem& file_system, const std::string& spill_path, std::size_t bytes,
                                  MemoryBudget& budget);

  // `key` ≤ kKeyBytesMax. Errors: kIo, kNoSpace, kPermission.
  Status add(std::string_view key, RowId row);
  // Once, after the last add(). Errors: as of add().
  Status finish();
  // The next pair by (key, row), or false at the end; `key` is good until the next call. Errors: kIo.
  Result<bool> next(std::string_view& key, RowId& row);

  std::uint64_t count() const { return count_; }
  std::uint64_t key_bytes() const { return key_bytes_; }

 private:
  struct Record {
    std::uint64_t row = 0;
    std::string_view key;
  };
  // A run in the spill file, and the part of it that is in memory while it is merged.
  struct Run {
    std::uint64_t at = 0;  // next byte to read
    std::uint64_t end = 0;
    std::span<std::byte> window;
    std::size_t begin = 0;
    std::size_t filled = 0;
    std::size_t taken = 0;  // bytes of the record that next() gave out
    std::optional<Record> head;
  };

  explicit KeySorter(FileSystem& file_system) : file_system_(&file_system) {}
  Record record_at(std::size_t offset) const;
  std::uint32_t* index_end() { return reinterpret_cast<std::uint32_t*>(arena_.end()); }
  void sort_arena();
  Status spill_arena();
  Status reduce_runs();
  Status merge_begin(std::size_t runs);
  Status advance(Run& run);
  Result<bool> merge_next(Record& record);
  Status write(std::span<const std::byte> bytes);
  Status flush();

  FileSystem* file_system_;
  std::string spill_path_;
  Buffer<std::byte> arena_;   // records from the front, u32 offsets of them from the back; while merging, windows
  Buffer<std::byte> output_;  // bytes on their way to the spill file
  std::size_t output_filled_ = 0;
  std::unique_ptr<File> spill_;  // null: all pairs are in the arena
  std::uint64_t spill_bytes_ = 0;
  std::size_t arena_filled_ = 0;
  std::size_t in_arena_ = 0;
  std::size_t given_ = 0;  // pairs given from the arena, when nothing was spilled
  std::vector<Run> runs_;
  std::vector<Run*> heap_;
  Run* last_ = nullptr;  // whose head was given out
  std::uint64_t count_ = 0;
  std::uint64_t key_bytes_ = 0;
  std::uint64_t digest_in_ = 0;
  std::uint64_t digest_out_ = 0;
};

}  // namespace vecstore
