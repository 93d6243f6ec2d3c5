// SPDX-License-Identifier: Apache-2.0
#include "graph/prune.h"

#include <algorithm>
#include <limits>

namespace vecstore {

std::span<const std::uint32_t> Pruner::prune(std::span<const Candidate> candidates, std::uint32_t degree) {
  kept_.clear();
  const std::size_t count = candidates.size();
  occlusion_.assign(count, 0.0f);
  scratch_.resize(count);
  distances_.resize(count);
  // A candidate with occlusion ≤ 1 is diverse; those up to alpha fill what is left of the degree.
  constexpr float kTaken = std::numeric_limits<float>::infinity();
  for (const float slack : {1.0f, alpha_}) {
    for (std::size_t i = 0; i < count && kept_.size() < degree; ++i) {
      if (occlusion_[i] > slack) continue;
      kept_.push_back(candidates[i].row);
      occlusion_[i] = kTaken;
      open_.clear();
      open_rows_.clear();
      for (std::size_t j = i + 1; j < count; ++j) {
        if (occlusion_[j] > alpha_) continue;
        open_.push_back(static_cast<std::uint32_t>(j));
        open_rows_.push_back(candidates[j].row);
      }
      rows_->distances(candidates[i].row, open_rows_.data(), open_rows_.size(), scratch_.data(), distances_.data());
      for (std::size_t m = 0; m < open_.size(); ++m) {
        const std::uint32_t j = open_[m];
        const float between = distances_[m];
        const float ratio = between == 0.0f ? kTaken : candidates[j].distance / between;
        occlusion_[j] = std::max(occlusion_[j], ratio);
      }
    }
    if (alpha_ <= 1.0f) break;
  }
  return kept_;
}

}  // namespace vecstore
