// SPDX-License-Identifier: Apache-2.0
//
// RobustPrune: which of many candidate neighbours a node keeps (Subramanya et al., DiskANN, NeurIPS 2019, algorithm 2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/quantized_rows.h"

namespace vecstore {

struct Candidate {
  float distance = 0;
  std::uint32_t row = 0;
  // By distance, ties by row: the order of everything, so that a build does not depend on the thread count.
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
  }
  friend bool operator==(const Candidate& a, const Candidate& b) { return a.row == b.row && a.distance == b.distance; }
};

// Scratch of one worker.
class Pruner {
 public:
  Pruner(const QuantizedRows& rows, float alpha) : rows_(&rows), alpha_(alpha) {}

  // `candidates`: sorted, distinct, without the node itself; distances (squared) to the node. Returns at most `degree`
  // rows, nearest first: a candidate is dropped when a kept one is closer to it, by the factor alpha, than the node is.
  // A first pass with alpha 1 keeps the list short where the slack is not needed.
  std::span<const std::uint32_t> prune(std::span<const Candidate> candidates, std::uint32_t degree);

 private:
  const QuantizedRows* rows_;
  float alpha_;
  std::vector<std::uint32_t> kept_;
  // Of each candidate that may still be kept.
  std::vector<std::uint32_t> open_;
  std::vector<float> to_node_;
  std::vector<float> occlusion_;  // max over kept of distance to node ÷ distance to kept
  std::vector<std::uint32_t> scratch_;
  std::vector<float> distances_;
};

}  // namespace vecstore
