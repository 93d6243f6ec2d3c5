// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/calibration_set.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <unordered_map>

#include "base/check.h"
#include "base/ids.h"
#include "base/random.h"
#include "engine/truth/exact_search.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kTruthColumns = 100;          // neighbours known of each query
constexpr std::uint32_t kTruthSpare = 100;            // more are found, because held-out rows drop out of them
constexpr std::uint64_t kTruthWorkBytes = 24u << 20;  // exact search's own blocks and candidates
constexpr float kCopyDistance = 1e-15f;               // of rows with one direction, which norms may have rounded

// A query that equals rows stands for all of them. Under inner product distances do not tell what is equal.
void weigh(CalibrationSet& set, const ExactNeighbours& all, Metric metric) {
  set.weights.assign(all.queries, 1.0f);
  for (std::size_t q = 0; q < all.queries; ++q) set.weights[q] = static_cast<float>(set.times_drawn(q));
  if (metric == Metric::kInnerProduct) return;
  std::uint64_t copies = 0;
  for (std::size_t q = 0; q < all.queries; ++q) {
    const auto distances = std::span(all.distances).subspan(q * all.k, all.k);
    const float copy = metric == Metric::kCosine ? kCopyDistance : 0.0f;
    const auto equal = std::upper_bound(distances.begin(), distances.end(), copy) - distances.begin();
    if (equal > 1) copies += set.times_drawn(q);
    set.weights[q] = static_cast<float>(set.times_drawn(q)) / static_cast<float>(std::max<std::ptrdiff_t>(equal, 1));
  }
  set.copies_share = static_cast<float>(copies) / static_cast<float>(std::max<std::uint64_t>(set.drawn_in_all(), 1));
}

// Keeps the first of queries that are equal, byte for byte, and counts the others: each would search for the same, and
// where rows have many copies so have those that are drawn.
void unite_equal(CalibrationSet& set) {
  const std::size_t row_bytes = set.queries.dim * element_bytes(set.queries.dtype);
  const auto row = [&](std::size_t query) {
    return std::string_view(reinterpret_cast<const char*>(set.storage.data()) + query * row_bytes, row_bytes);
  };
  std::unordered_map<std::string_view, std::size_t> place_of;  // of rows that are not moved any more
  std::size_t kept = 0;
  set.drawn.clear();
  for (std::size_t query = 0; query < set.queries.rows; ++query) {
    if (const auto found = place_of.find(row(query)); found != place_of.end()) {
      ++set.drawn[found->second];
      continue;
    }
    if (kept != query) std::memcpy(set.storage.data() + kept * row_bytes, row(query).data(), row_bytes);
    place_of.emplace(row(kept), kept);
    set.drawn.push_back(1);
    ++kept;
  }
  set.queries.rows = kept;
}

// Completes `set`, whose queries are there. held_out = nullptr: every row is an answer.
Status find_truth(const TruthSearch& search, const HeldOutRows* held_out, CalibrationSet& set) {
  unite_equal(set);
  const std::uint64_t rows = search.rows.rows();
  VECSTORE_ASSIGN(const Charge charge,
                  Charge::take(search.budget, std::min(kTruthWorkBytes, rows * search.rows.dim() * 4)));
  const auto wanted = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(rows, kTruthColumns + (held_out != nullptr ? kTruthSpare : 0)));
  VECSTORE_ASSIGN(const ExactNeighbours all,
                  exact_search(search.rows, *view_source(set.queries), wanted, search.metric, search.executor));
  ExactNeighbours& truth = set.truth;
  truth.queries = all.queries;
  truth.k = std::min(kTruthColumns, wanted);
  truth.rows.assign(std::size_t{truth.queries} * truth.k, kNoPos);
  truth.distances.assign(truth.rows.size(), std::numeric_limits<float>::infinity());
  for (std::size_t q = 0; q < truth.queries; ++q) {
    std::size_t filled = 0;
    for (std::size_t i = 0; i < all.k && filled < truth.k; ++i) {
      const std::uint32_t row = all.rows[q * all.k + i];
      if (row == kNoPos || (held_out != nullptr && held_out->contains(row))) continue;
      truth.rows[q * truth.k + filled] = row;
      truth.distances[q * truth.k + filled] = all.distances[q * all.k + i];
      ++filled;
    }
  }
  weigh(set, all, search.metric);
  return Status::ok();
}

// A set of so many queries, which are still to be read into it.
Result<CalibrationSet> make_set(const VectorSource& source, std::uint64_t count, MemoryBudget& budget) {
  CalibrationSet set;
  const std::size_t row_bytes = source.dim() * element_bytes(source.dtype());
  VECSTORE_ASSIGN(set.storage, Buffer<std::byte>::allocate(budget, count * row_bytes));
  set.queries = {set.storage.data(), source.dtype(), count, source.dim(), 0};
  return set;
}

Status read_query(const VectorSource& source, std::uint64_t row, std::uint64_t query, CalibrationSet& set) {
  return source.read(row, 1, set.storage.data() + query * source.dim() * element_bytes(source.dtype()));
}

}  // namespace

Result<HeldOutRows> draw_held_out(std::uint64_t count, std::uint64_t rows, std::uint64_t seed, MemoryBudget& budget) {
  VECSTORE_CHECK(count <= rows);
  HeldOutRows held_out;
  if (count == 0) return held_out;
  VECSTORE_ASSIGN(held_out.is_held_out, Buffer<std::uint8_t>::allocate(budget, rows));
  Random random(seed, 7);
  while (held_out.rows.size() < count) {
    const auto row = static_cast<std::uint32_t>(random.below(rows));
    if (held_out.is_held_out[row] != 0) continue;
    held_out.is_held_out[row] = 1;
    held_out.rows.push_back(row);
  }
  std::sort(held_out.rows.begin(), held_out.rows.end());
  return held_out;
}

Result<CalibrationSet> set_of_held_out(const TruthSearch& search, const HeldOutRows& held_out) {
  VECSTORE_ASSIGN(CalibrationSet set, make_set(search.rows, held_out.rows.size(), search.budget));
  for (std::size_t i = 0; i < held_out.rows.size(); ++i)
    VECSTORE_TRY(read_query(search.rows, held_out.rows[i], i, set));
  VECSTORE_TRY(find_truth(search, &held_out, set));
  return set;
}

Result<CalibrationSet> set_of_queries(const TruthSearch& search, const VectorSource& queries, std::uint64_t count) {
  count = std::min(queries.rows(), count);
  VECSTORE_ASSIGN(CalibrationSet set, make_set(queries, count, search.budget));
  if (count == queries.rows()) {
    VECSTORE_TRY(queries.read(0, count, set.storage.data()));
  } else {
    for (std::uint64_t i = 0; i < count; ++i) VECSTORE_TRY(read_query(queries, i * queries.rows() / count, i, set));
  }
  VECSTORE_TRY(find_truth(search, nullptr, set));
  return set;
}

}  // namespace vecstore
