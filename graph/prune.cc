// SPDX-License-Identifier: Apache-2.0
#include "graph/prune.h"

#include <algorithm>
#include <limits>

namespace vecstore {
namespace {

constexpr float kOccluded = std::numeric_limits<float>::infinity();

}  // namespace

std::span<const std::uint32_t> Pruner::prune(std::span<const Candidate> candidates, std::uint32_t degree) {
  kept_.clear();
  std::size_t count = candidates.size();
  open_.resize(count);
  to_node_.resize(count);
  scratch_.resize(count);
  distances_.resize(count);
  occlusion_.assign(count, 0.0f);
  for (std::size_t i = 0; i < count; ++i) {
    open_[i] = candidates[i].row;
    to_node_[i] = candidates[i].distance;
  }
  // A candidate with occlusion ≤ 1 is diverse; those up to alpha fill what is left of the degree.
  for (const float slack : {1.0f, alpha_}) {
    for (std::size_t i = 0; i < count && kept_.size() < degree;) {
      if (occlusion_[i] > slack) {
        ++i;
        continue;
      }
      // Those behind it close the gap that it leaves, and that those leave which it occludes.
      const std::uint32_t row = open_[i];
      kept_.push_back(row);
      const std::size_t left = count - i - 1;
      rows_->distances(row, open_.data() + i + 1, left, scratch_.data(), distances_.data());
      const float* to_node = to_node_.data() + i + 1;
      const float* before = occlusion_.data() + i + 1;
      for (std::size_t m = 0; m < left; ++m) {
        const float ratio = to_node[m] / distances_[m];
        distances_[m] = std::max(before[m], distances_[m] == 0.0f ? kOccluded : ratio);
      }
      std::size_t to = i;
      for (std::size_t m = 0; m < left; ++m) {
        open_[to] = open_[i + 1 + m];
        to_node_[to] = to_node[m];
        occlusion_[to] = distances_[m];
        to += distances_[m] <= alpha_ ? 1 : 0;
      }
      count = to;
    }
    if (alpha_ <= 1.0f) break;
  }
  return kept_;
}

}  // namespace vecstore
