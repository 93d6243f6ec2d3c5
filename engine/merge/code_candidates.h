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

namespace vecstore {

// For one thread.
class CodeCandidates {
 public:
  // `codes` outlive it. Errors: kMemoryBudget.
  static Result<CodeCandidates> create(const BlockCodes& codes, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t dim, const CodeForm& form);

  // Of the nearest `blocks` blocks the `count` rows with the least estimates, and the first of every block. Only rows
  // that `is_wanted(position)`. In no order; none comes twice.
  template <typename IsWanted>
  void find(const float* query, std::size_t blocks, std::size_t count, const IsWanted& is_wanted,
            std::vector<Pos>& found);

 private:
  using Estimate = std::pair<float, Pos>;
  CodeCandidates(const BlockCodes& codes, CodeScorer scorer, ScorerScratch scratch)
      : codes_(&codes), scorer_(std::move(scorer)), scratch_(std::move(scratch)) {}
  void keep_best(std::size_t count);

  const BlockCodes* codes_;
  CodeScorer scorer_;
  ScorerScratch scratch_;
  Buffer<CodeScorer::RankedBlock> ranked_;
  Buffer<float> estimates_;  // [kBlockRows]
  std::vector<Estimate> best_;
  std::vector<Pos> firsts_;
};

template <typename IsWanted>
void CodeCandidates::find(const float* query, std::size_t blocks, std::size_t count, const IsWanted& is_wanted,
                          std::vector<Pos>& found) {
  constexpr float kAll = std::numeric_limits<float>::infinity();
  scorer_.prepare(query, scratch_);
  const std::size_t near = scorer_.nearest_blocks(blocks, ranked_.span());
  best_.clear();
  firsts_.clear();
  float limit = kAll;
  for (std::size_t b = 0; b < near; ++b) {
    const Pos begin = codes_->blocks.begin(ranked_[b].block);
    const std::size_t rows = codes_->blocks.rows(ranked_[b].block);
    scorer_.score_run(begin, rows, estimates_.data());
    Estimate first{kAll, kNoPos};
    for (std::size_t i = 0; i < rows; ++i) {
      const Estimate estimate{estimates_[i], begin + static_cast<Pos>(i)};
      if (estimate.first >= limit && estimate.first >= first.first) continue;
      if (!is_wanted(estimate.second)) continue;
      first = std::min(first, estimate);
      if (estimate.first < limit) best_.push_back(estimate);
    }
    if (first.second != kNoPos) firsts_.push_back(first.second);
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
