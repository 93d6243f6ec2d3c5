// SPDX-License-Identifier: Apache-2.0
#include "bench/streaming/moving_truth.h"

#include <algorithm>

#include "bench/report.h"

namespace vecstore::bench {
namespace {

constexpr std::uint32_t kNoRow = 0xFFFFFFFF;
constexpr std::uint32_t kKept = 100, kAsked = 30;

}  // namespace

MovingTruth::MovingTruth(const VectorView& base, const VectorView& queries, Metric metric, std::uint32_t keys)
    : base_(base), queries_(queries), metric_(metric), row_of_key_(keys, kNoRow), known_(queries.rows) {}

void MovingTruth::put(std::span<const std::uint32_t> keys, std::span<const std::uint32_t> rows) {
  erase(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) row_of_key_[keys[i]] = rows[i];
  const LoadedVectors vectors = gather(base_, rows);
  const ExactNeighbours found = need(exact_search(*view_source(vectors.view), *view_source(queries_), kKept, metric_));
  for (std::size_t query = 0; query < known_.size(); ++query) take(query, found, query, keys);
}

void MovingTruth::erase(std::span<const std::uint32_t> keys) {
  for (const std::uint32_t key : keys) row_of_key_[key] = kNoRow;
  forget_dead();
}

void MovingTruth::forget_dead() {
  for (Known& known : known_)
    std::erase_if(known.near, [this](const Near& one) { return row_of_key_[one.key] == kNoRow; });
}

// `found` are the nearest kKept of rows under `keys`, whose numbers it has.
void MovingTruth::take(std::size_t query, const ExactNeighbours& found, std::size_t at,
                       std::span<const std::uint32_t> keys) {
  Known& known = known_[query];
  for (std::size_t i = at * found.k; i < (at + 1) * found.k && found.rows[i] != kNoRow; ++i)
    if (found.distances[i] < known.reach) known.near.push_back({found.distances[i], keys[found.rows[i]]});
  // Beyond the last that was found there may be others.
  if (keys.size() > found.k) known.reach = std::min(known.reach, found.distances[(at + 1) * found.k - 1]);
  std::ranges::sort(known.near);
  if (known.near.size() > kKept) known.reach = std::min(known.reach, known.near[kKept].distance);
  while (!known.near.empty() && known.near.back().distance >= known.reach) known.near.pop_back();
}

void MovingTruth::refill() {
  std::vector<std::uint32_t> short_ones;
  for (std::uint32_t query = 0; query < known_.size(); ++query) {
    if (known_[query].near.size() >= kAsked || known_[query].reach == std::numeric_limits<float>::infinity()) continue;
    known_[query] = {};
    short_ones.push_back(query);
  }
  if (short_ones.empty()) return;
  const std::vector<std::uint32_t> keys = live_keys();
  const LoadedVectors vectors = gather(base_, live_rows()), asked = gather(queries_, short_ones);
  const ExactNeighbours found =
      need(exact_search(*view_source(vectors.view), *view_source(asked.view), kKept, metric_));
  for (std::size_t i = 0; i < short_ones.size(); ++i) {
    take(short_ones[i], found, i, keys);
    const Known& known = known_[short_ones[i]];
    if (known.near.size() < kAsked && known.reach != std::numeric_limits<float>::infinity())
      fail(Status(Code::kUnsupported, "a query has a hundred neighbours at one distance: its truth is not kept"));
  }
}

ExactNeighbours MovingTruth::now() {
  refill();
  ExactNeighbours truth;
  truth.queries = static_cast<std::uint32_t>(known_.size());
  truth.k = kAsked;
  truth.rows.assign(known_.size() * kAsked, kNoRow);
  truth.distances.assign(known_.size() * kAsked, std::numeric_limits<float>::infinity());
  for (std::size_t query = 0; query < known_.size(); ++query) {
    const auto& near = known_[query].near;
    for (std::size_t i = 0; i < std::min<std::size_t>(near.size(), kAsked); ++i) {
      truth.rows[query * kAsked + i] = near[i].key;
      truth.distances[query * kAsked + i] = near[i].distance;
    }
  }
  return truth;
}

std::vector<std::uint32_t> MovingTruth::live_keys() const {
  std::vector<std::uint32_t> keys;
  for (std::uint32_t key = 0; key < row_of_key_.size(); ++key)
    if (row_of_key_[key] != kNoRow) keys.push_back(key);
  return keys;
}

std::vector<std::uint32_t> MovingTruth::live_rows() const {
  std::vector<std::uint32_t> rows;
  for (const std::uint32_t row : row_of_key_)
    if (row != kNoRow) rows.push_back(row);
  return rows;
}

}  // namespace vecstore::bench
