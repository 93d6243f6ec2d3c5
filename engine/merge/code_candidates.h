// SPDX-License-Identifier: Apache-2.0
//
// Rows near a vector as their codes have it: what a new row is linked to is chosen among these.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "compress/code_scorer.h"
#include "compress/extremes.h"

namespace vecstore {

// For one thread.
class CodeCandidates {
 public:
  // `codes` outlive it. Errors: kMemoryBudget.
  static Result<CodeCandidates> create(const BlockCodes& codes, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t dim, const CodeForm& form);

  // Before find().
  void prepare(const float* query) { scorer_.prepare(query, scratch_); }
  // For the query that `other` is prepared for, whose codes have the same tables.
  void prepare_like(const CodeCandidates& other) { scorer_.prepare_like(other.scorer_); }
  // Of the nearest `blocks` blocks the `count` rows with the least estimates, and the first of every block. Only rows
  // that `is_wanted(position)`. In no order; none comes twice.
  template <typename IsWanted>
  void find(std::size_t blocks, std::size_t count, const IsWanted& is_wanted, std::vector<Pos>& found);

 private:
  using Estimate = std::pair<float, Pos>;
  CodeCandidates(const BlockCodes& codes, CodeScorer scorer, ScorerScratch scratch)
      : codes_(&codes), scorer_(std::move(scorer)), scratch_(std::move(scratch)) {}
  void keep_best(std::size_t count);
  // The wanted row with the least estimate of a block; kNoPos: none is wanted. `least` is that of all its rows.
  template <typename IsWanted>
  Pos first_of(Pos begin, std::size_t rows, float least, const IsWanted& is_wanted) const;

  const BlockCodes* codes_;
  CodeScorer scorer_;
  ScorerScratch scratch_;
  Buffer<CodeScorer::RankedBlock> ranked_;
  Buffer<float> estimates_;      // [kBlockRows]
  Buffer<std::uint32_t> below_;  // [kBlockRows] rows of a block that are among the best so far
  std::vector<Estimate> best_;
  std::vector<Pos> firsts_;
};

template <typename IsWanted>
Pos CodeCandidates::first_of(Pos begin, std::size_t rows, float least, const IsWanted& is_wanted) const {
  const auto all = estimates_.span().first(rows);
  const auto place = static_cast<Pos>(std::ranges::find(all, least) - all.begin());
  if (place < rows && is_wanted(begin + place)) return begin + place;
  Estimate first{std::numeric_limits<float>::infinity(), kNoPos};
  for (std::size_t i = 0; i < rows; ++i)
    if (const Estimate estimate{all[i], begin + static_cast<Pos>(i)}; estimate < first && is_wanted(estimate.second))
      first = estimate;
  return first.second;
}

template <typename IsWanted>
void CodeCandidates::find(std::size_t blocks, std::size_t count, const IsWanted& is_wanted, std::vector<Pos>& found) {
  constexpr float kAll = std::numeric_limits<float>::infinity();
  const std::size_t near = scorer_.nearest_blocks(blocks, ranked_.span());
  best_.clear();
  firsts_.clear();
  float limit = kAll;
  for (std::size_t b = 0; b < near; ++b) {
    const Pos begin = codes_->blocks.begin(ranked_[b].block);
    const std::size_t rows = codes_->blocks.rows(ranked_[b].block);
    scorer_.score_run(begin, rows, estimates_.data());
    // Few rows are below the limit, and in most blocks the least of all is wanted.
    std::size_t below = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      below_[below] = static_cast<std::uint32_t>(i);
      below += estimates_[i] < limit ? 1 : 0;
    }
    const float least = extremes_of(estimates_.data(), rows).least;
    for (std::size_t i = 0; i < below; ++i)
      if (const Pos position = begin + below_[i]; is_wanted(position))
        best_.emplace_back(estimates_[below_[i]], position);
    if (const Pos first = first_of(begin, rows, least, is_wanted); first != kNoPos) firsts_.push_back(first);
    if (best_.size() < 2 * count) continue;
    keep_best(count);
    limit = best_[count - 1].first;
  }
  keep_best(count);
  found.clear();
  for (const Estimate& estimate : best_) found.push_back(estimate.second);
  found.insert(found.end(), firsts_.begin(), firsts_.end());
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
}

}  // namespace vecstore
