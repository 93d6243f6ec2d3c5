// SPDX-License-Identifier: Apache-2.0
//
// The exact neighbours of queries among rows that come and go. A step costs what its own rows cost: of every query more
// neighbours are kept than asked for, and only once too few are left all rows are compared again.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "bench/measured_index.h"
#include "engine/truth.h"

namespace vecstore::bench {

class MovingTruth {
 public:
  // Borrows both. Keys are below `keys`.
  MovingTruth(const VectorView& base, const VectorView& queries, Metric metric, std::uint32_t keys);

  // Rows of `base` under keys; what these named before is gone.
  void put(std::span<const std::uint32_t> keys, std::span<const std::uint32_t> rows);
  void erase(std::span<const std::uint32_t> keys);

  // By keys, at least the 30 nearest of a query, or all.
  ExactNeighbours now();
  // Keys that live, in rising order, and their rows.
  std::vector<std::uint32_t> live_keys() const;
  std::vector<std::uint32_t> live_rows() const;

 private:
  struct Near {
    float distance;
    std::uint32_t key;
    auto operator<=>(const Near&) const = default;
  };
  // Holds every live row that is nearer than `reach`, and no other.
  struct Known {
    std::vector<Near> near;
    float reach = std::numeric_limits<float>::infinity();
  };

  void forget_dead();
  void take(std::size_t query, const ExactNeighbours& found, std::size_t at, std::span<const std::uint32_t> keys);
  void refill();

  VectorView base_, queries_;
  Metric metric_;
  std::vector<std::uint32_t> row_of_key_;
  std::vector<Known> known_;  // of each query
};

}  // namespace vecstore::bench
