// SPDX-License-Identifier: Apache-2.0
//
// Data that a vector store finds hard: common offsets, wide and narrow dimensions, outliers, near copies, values at the
// ends of what a float holds. They are made from a seed, the same numbers whatever the standard library. The truth
// about them is computed here in double precision, by a loop that shares nothing with the library.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/vector_view.h"

namespace vecstore::bench {

struct HardSet {
  std::string name;
  DType dtype = DType::kF32;  // kF16: the values are those that a half holds
  std::uint32_t dim = 0;
  std::vector<Metric> metrics;  // for which nearest rows mean something and their distances fit a float
  std::vector<float> base;      // [rows × dim]
  std::vector<float> queries;   // [queries × dim], of the same distribution, none of them a row

  std::uint64_t rows() const { return base.size() / dim; }
  std::uint64_t query_count() const { return queries.size() / dim; }
  std::span<const float> row(std::uint64_t i) const { return {base.data() + i * dim, dim}; }
  std::span<const float> query(std::uint64_t i) const { return {queries.data() + i * dim, dim}; }
};

struct HardSetOptions {
  std::uint64_t rows = 5000;
  std::uint64_t queries = 200;
  std::uint64_t seed = 1;
};

std::vector<std::string> hard_set_names();
// A name that is not among them gives a set without rows.
HardSet make_hard_set(std::string_view name, const HardSetOptions& options = {});

// The values as the store takes them: [values] of `dtype`, kF32 or kF16.
std::vector<std::byte> encode_values(std::span<const float> values, DType dtype);

// In the semantics of vecstore.hpp, in double. Cosine is half the squared distance of the two unit vectors, which keeps
// its digits where 1 − cos would lose them.
double double_distance(Metric metric, std::span<const float> a, std::span<const float> b);

// The distance of the k-th nearest row, or the farthest where there are fewer: [queries].
std::vector<double> kth_distances(const HardSet& set, Metric metric, std::uint32_t k);

}  // namespace vecstore::bench
