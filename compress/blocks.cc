// SPDX-License-Identifier: Apache-2.0
#include "compress/blocks.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <vector>

#include "base/executor.h"
#include "base/sums.h"
#include "compress/centroids.h"
#include "compress/far_rows.h"
#include "compress/float_rows.h"

namespace vecstore {
namespace {

// Scratch of one worker, in floats: a row and the two before it.
constexpr std::size_t kRowsAtOnce = 3;

// The steps between the rows of one block.
class Steps {
 public:
  // scratch: [kRowsAtOnce × dim].
  Steps(const FloatRows& rows, std::size_t first, std::size_t count, float* scratch) {
    const std::size_t dim = rows.dim();
    const auto row = [&](std::size_t i) { return scratch + i % kRowsAtOnce * dim; };
    for (std::size_t i = 0; i < count; ++i) {
      rows.read(static_cast<Pos>(first + i), row(i));
      if (i >= 1) single_.push_back(squared_distance(row(i), row(i - 1), dim));
      if (i >= 2) double_.push_back(squared_distance(row(i), row(i - 2), dim));
    }
  }

  // Writes to gaps[i] how far row i lies from the row before, where a cut before it is wanted.
  void find(std::size_t count, bool alone, float* gaps) const {
    std::vector<double> moves;
    std::copy_if(single_.begin(), single_.end(), std::back_inserter(moves), [](double step) { return step > 0; });
    const double limit = far_limit_of(std::span(moves));
    const std::size_t least = alone ? 1 : 2;  // rows of a part
    std::size_t last = 0;
    std::size_t cuts = 0;
    for (std::size_t i = least; i + least <= count; ++i) {
      if (i - last < least || single_[i - 1] <= limit) continue;
      // Also from row i − 2 to i, and from i − 1 to i + 1.
      if (!alone && (double_[i - 2] <= limit || double_[i - 1] <= limit)) continue;
      gaps[i] = static_cast<float>(single_[i - 1]);
      last = i;
      ++cuts;
    }
    if (cuts * (alone ? kCutRowsAlone : kCutRows) > count) std::fill_n(gaps, count, 0.0f);
  }

 private:
  std::vector<double> single_;  // [i] |row i+1 − row i|²
  std::vector<double> double_;  // [i] |row i+2 − row i|²
};

// Bytes of one more block: its centroid, what goes with it, and its begin.
std::uint64_t part_bytes(std::uint32_t dim) {
  return std::max(Centroids::bytes_for(1, dim, true), Centroids::bytes_for(1, dim, false)) + sizeof(std::uint32_t);
}

// Leaves the greatest `cuts_max` gaps, the first of equal ones, and makes the others zero. Returns how many there are.
Result<std::uint64_t> keep_greatest(std::span<float> gaps, std::uint64_t cuts_max, MemoryBudget& budget) {
  const auto is_wanted = [](float gap) { return gap > 0; };
  const auto wanted = static_cast<std::uint64_t>(std::count_if(gaps.begin(), gaps.end(), is_wanted));
  if (wanted <= cuts_max) return wanted;
  VECSTORE_ASSIGN(auto ranked, Buffer<float>::allocate(budget, wanted));
  std::copy_if(gaps.begin(), gaps.end(), ranked.begin(), is_wanted);
  float* const last = ranked.begin() + cuts_max;
  std::nth_element(ranked.begin(), last, ranked.end(), std::greater<>());
  const float limit = *last;  // the greatest that is left out
  auto equal = cuts_max - static_cast<std::uint64_t>(
                              std::count_if(ranked.begin(), last, [limit](float gap) { return gap > limit; }));
  for (float& gap : gaps) {
    if (gap > limit) continue;
    const bool kept = gap == limit && equal > 0;
    if (kept) --equal;
    if (!kept) gap = 0;
  }
  return cuts_max;
}

}  // namespace

Blocks Blocks::even(std::uint64_t rows) {
  Blocks blocks;
  blocks.rows_ = rows;
  blocks.count_ = even_count(rows);
  return blocks;
}

Result<Blocks> Blocks::cut(std::uint64_t rows, Buffer<std::uint32_t> begins, MemoryBudget& budget) {
  const auto damaged = [] {
    return Status(Code::kCorrupt, "the blocks of the codes are damaged; rebuild the index or restore it from a backup");
  };
  const bool rising = std::adjacent_find(begins.begin(), begins.end(), std::greater_equal<>()) == begins.end();
  if (begins.empty() || begins[0] != 0 || !rising || begins[begins.size() - 1] >= rows) return damaged();
  Blocks blocks;
  blocks.rows_ = rows;
  blocks.count_ = begins.size();
  VECSTORE_ASSIGN(blocks.first_of_, Buffer<std::uint32_t>::allocate(budget, even_count(rows)));
  std::size_t found = 0;
  for (std::size_t block = 0; block < begins.size(); ++block) {
    if (begins[block] % kBlockRows != 0) continue;
    if (begins[block] / kBlockRows != found) return damaged();
    blocks.first_of_[found++] = static_cast<std::uint32_t>(block);
  }
  if (found != blocks.first_of_.size()) return damaged();
  blocks.begins_ = std::move(begins);
  return blocks;
}

Result<Blocks> find_blocks(const FloatRows& rows, bool alone, std::uint64_t room, Executor& executor,
                           MemoryBudget& budget) {
  const std::uint64_t count = rows.rows();
  const std::uint64_t even = Blocks::even_count(count);
  VECSTORE_ASSIGN(auto gaps, Buffer<float>::allocate(budget, count));
  VECSTORE_ASSIGN(auto scratch,
                  Buffer<float>::allocate(budget, kRowsAtOnce * rows.dim() * std::uint64_t{executor.thread_count()}));
  executor.parallel_for(even, 1, [&](std::size_t block, std::size_t, unsigned worker) {
    const std::size_t first = block * kBlockRows;
    const auto in_block = static_cast<std::size_t>(std::min<std::uint64_t>(kBlockRows, count - first));
    Steps(rows, first, in_block, scratch.data() + worker * kRowsAtOnce * rows.dim())
        .find(in_block, alone, gaps.data() + first);
  });
  const std::uint64_t most = std::min(blocks_max(count, rows.dim()) - even, room / part_bytes(rows.dim()));
  VECSTORE_ASSIGN(const std::uint64_t cuts, keep_greatest(gaps.span(), most, budget));
  if (cuts == 0) return Blocks::even(count);
  VECSTORE_ASSIGN(auto begins, Buffer<std::uint32_t>::allocate(budget, even + cuts));
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; ++i)
    if (i % kBlockRows == 0 || gaps[i] > 0) begins[found++] = static_cast<std::uint32_t>(i);
  return Blocks::cut(count, std::move(begins), budget);
}

std::uint64_t blocks_max(std::uint64_t rows, std::uint32_t dim) {
  return Blocks::even_count(rows) + std::min(kCutRowBytes * rows / part_bytes(dim), rows / kCutRows);
}

std::uint64_t find_blocks_bytes(std::uint64_t rows, std::uint32_t dim, unsigned threads) {
  return sizeof(float) * (rows + rows / kCutRows + kRowsAtOnce * std::uint64_t{dim} * threads);
}

}  // namespace vecstore
