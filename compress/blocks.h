// SPDX-License-Identifier: Apache-2.0
//
// Which rows share a centroid. A block is kBlockRows consecutive positions. Where rows that lie far apart follow one
// another, a block is cut between them, and its parts are blocks of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

class Blocks {
 public:
  // Blocks of kBlockRows; the last may have fewer.
  static Blocks even(std::uint64_t rows);
  // begins: [blocks], the first position of each. Errors: kMemoryBudget, kCorrupt (they do not rise from 0, end beyond
  // the rows, or a multiple of kBlockRows is not among them).
  static Result<Blocks> cut(std::uint64_t rows, Buffer<std::uint32_t> begins, MemoryBudget& budget);
  static std::uint64_t even_count(std::uint64_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }
  // What cut() charges.
  static std::uint64_t bytes_for(std::uint64_t rows, std::uint64_t blocks) {
    return (blocks + even_count(rows)) * sizeof(std::uint32_t);
  }

  std::uint64_t count() const { return count_; }
  bool is_cut() const { return !begins_.empty(); }
  std::span<const std::uint32_t> begins() const { return begins_.span(); }  // empty unless is_cut()
  std::uint64_t bytes() const { return begins_.size_bytes() + first_of_.size_bytes(); }

  Pos begin(std::size_t block) const {
    return begins_.empty() ? static_cast<Pos>(block * kBlockRows) : Pos{begins_[block]};
  }
  std::size_t rows(std::size_t block) const {
    const std::uint64_t end = block + 1 == count_ ? rows_ : begin(block + 1);
    return static_cast<std::size_t>(end - begin(block));
  }
  // Whether `count` blocks from `first` on are all of kBlockRows rows, the last of all perhaps of fewer.
  bool are_whole(std::size_t first, std::size_t count) const {
    if (begins_.empty()) return true;
    if (first + count == count_) return even_count(rows_ - begins_[first]) == count;
    return begins_[first + count] - begins_[first] == count * kBlockRows;
  }
  std::size_t block_of(Pos position) const {
    if (begins_.empty()) return position / kBlockRows;
    std::size_t block = first_of_[position / kBlockRows];
    while (block + 1 < count_ && begins_[block + 1] <= position) ++block;
    return block;
  }

 private:
  std::uint64_t rows_ = 0;
  std::uint64_t count_ = 0;
  Buffer<std::uint32_t> begins_;
  Buffer<std::uint32_t> first_of_;  // [even_count(rows)] the block that begins at each multiple of kBlockRows
};

class Executor;
class FloatRows;

// Cuts blocks where the step from a row to the next is far beyond the median step of the block (far_rows.h). Copies
// take no step. The step from the rows around must be as far: one far row among others cuts nothing, unless it is to
// stand `alone`. A block that would have fewer than kCutRows (kCutRowsAlone) rows a cut has too small groups to gain,
// and stays whole. What parts add to memory is at most kCutRowBytes for each row, and `room` bytes; the greatest steps
// come first. Same blocks for any thread count. Errors: kMemoryBudget.
inline constexpr std::size_t kCutRows = 8;
inline constexpr std::size_t kCutRowsAlone = 32;
inline constexpr std::uint64_t kCutRowBytes = 16;
Result<Blocks> find_blocks(const FloatRows& rows, bool alone, std::uint64_t room, Executor& executor,
                           MemoryBudget& budget);
std::uint64_t find_blocks_bytes(std::uint64_t rows, std::uint32_t dim, unsigned threads);
std::uint64_t blocks_max(std::uint64_t rows, std::uint32_t dim);  // that find_blocks() makes

}  // namespace vecstore
