// SPDX-License-Identifier: Apache-2.0
#include "engine/live/delta_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "graph/exact_distance.h"

namespace vecstore {
namespace {

std::uint32_t norm2_of(std::span<const std::uint8_t> codes) {
  std::uint32_t sum = 0;
  for (const std::uint8_t code : codes) sum += std::uint32_t{code} * code;
  return sum;
}

// Whether any of the first `count` is below `limit`; without a branch inside, so that it takes several at once.
bool any_below(const float* values, std::size_t count, float limit) {
  int below = 0;
  for (std::size_t i = 0; i < count; ++i) below |= static_cast<int>(values[i] < limit);
  return below != 0;
}

// The greatest of each parameter among several rows: bounds of any of them.
RowParams greatest_of(const QuantizedRows& rows, std::size_t count) {
  RowParams greatest{0, 0, 0};
  for (std::uint32_t i = 0; i < count; ++i) {
    const RowParams params = rows.params(i);
    greatest.scale = std::max(greatest.scale, params.scale);
    greatest.offset = std::max(greatest.offset, std::abs(params.offset));
    greatest.norm2 = std::max(greatest.norm2, params.norm2);
  }
  return greatest;
}

}  // namespace

std::uint64_t DeltaSearcher::predict_bytes(std::uint32_t dim) {
  const std::uint64_t each = 2 * sizeof(float) * dim + Tiles::groups_of(dim) * 4 + dim;
  return kQueriesMax * each + Tiles::groups_of(dim) * Tiles::kGroupBytes + dim * sizeof(float) +
         DeltaStripe::kRowsMax * (sizeof(float) + kQueriesMax * sizeof(std::uint32_t));
}

Result<std::unique_ptr<DeltaSearcher>> DeltaSearcher::create(const DeltaShape& shape, MemoryBudget& budget) {
  std::unique_ptr<DeltaSearcher> searcher(new DeltaSearcher());
  searcher->kernels_ = &kernels();
  const GraphLayout layout = layout_of(shape);
  searcher->integral_ = layout.is_integral();
  for (std::size_t i = 0; i < kQueriesMax; ++i) {
    VECSTORE_ASSIGN(auto query, PreparedQuery::create(layout, {}, budget));
    searcher->queries_.push_back(std::move(query));
  }
  searcher->norms2_.resize(kQueriesMax);
  VECSTORE_ASSIGN(searcher->distances_, Buffer<float>::allocate(budget, DeltaStripe::kRowsMax));
  VECSTORE_ASSIGN(searcher->integers_, Buffer<std::uint32_t>::allocate(budget, kQueriesMax * DeltaStripe::kRowsMax));
  if (!searcher->integral_) {
    VECSTORE_ASSIGN(searcher->as_put_, Buffer<float>::allocate(budget, kQueriesMax * shape.dim));
    VECSTORE_ASSIGN(searcher->original_, Buffer<float>::allocate(budget, shape.dim));
    return searcher;
  }
  searcher->groups_ = Tiles::groups_of(shape.dim);
  VECSTORE_ASSIGN(searcher->last_tile_, Buffer<std::uint8_t>::allocate(budget, searcher->groups_ * Tiles::kGroupBytes));
  VECSTORE_ASSIGN(searcher->codes_, Buffer<std::uint8_t>::allocate(budget, kQueriesMax * searcher->groups_ * 4));
  return searcher;
}

// Products of the first `rows` rows with all queries: they come into the cache once for all of them. The writer may be
// filling the rest of the last tile, so that what counts of it is copied out.
void DeltaSearcher::score_tiles(const DeltaStripe& stripe, std::size_t queries, std::size_t rows) {
  const std::size_t full = rows / Tiles::kRows;
  const std::size_t rest = rows % Tiles::kRows;
  const std::uint8_t* last = stripe.tiles.data() + full * groups_ * Tiles::kGroupBytes;
  for (std::size_t at = 0; rest != 0 && at < last_tile_.size(); at += Tiles::kGroupBytes)
    std::memcpy(&last_tile_[at], last + at, rest * 4);
  for (std::size_t first = 0; first < queries; first += Tiles::kQueriesMax) {
    const std::size_t count = std::min(Tiles::kQueriesMax, queries - first);
    std::array<const std::uint8_t*, Tiles::kQueriesMax> codes{};
    std::array<std::uint32_t*, Tiles::kQueriesMax> out{};
    for (std::size_t i = 0; i < count; ++i) {
      codes[i] = &codes_[(first + i) * groups_ * 4];
      out[i] = &integers_[(first + i) * DeltaStripe::kRowsMax];
    }
    kernels_->dot_u8_tiles(codes.data(), count, {stripe.tiles.data(), groups_, full}, out.data());
    for (std::size_t i = 0; i < count; ++i) out[i] += full * Tiles::kRows;
    if (rest != 0) kernels_->dot_u8_tiles(codes.data(), count, {last_tile_.data(), groups_, 1}, out.data());
  }
}

void DeltaSearcher::prepare(const DeltaRows& delta, const VectorView& queries, std::uint64_t query, std::size_t place) {
  queries_[place].set_centre(delta.centre());
  queries_[place].prepare(queries, query);
  if (!integral_) return widen_row(queries, query, as_put_.data() + place * queries.dim);
  norms2_[place] = norm2_of(queries_[place].codes());
  std::ranges::copy(queries_[place].codes(), codes_.begin() + place * groups_ * 4);
}

bool DeltaSearcher::is_wanted(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t within,
                              const Wanted& wanted) {
  const auto& row = stripe.rows[within];
  if (!DeltaStripe::is_visible(row, wanted.snapshot)) return false;
  return wanted.filter == nullptr || wanted.filter->admits(delta.row_id(row));
}

void DeltaSearcher::offer(const Near& near, std::size_t query, std::uint32_t k) {
  auto& [heap, limit] = best_[query];
  if (heap.size() == k) {
    if (!(near < heap.front())) return;
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
  }
  heap.push_back(near);
  std::push_heap(heap.begin(), heap.end());
  if (heap.size() == k) limit = heap.front().distance;
}

// |q|² + |x|² − 2⟨q,x⟩, exact, from the products (of 128 dimensions, for eight queries: 0.9 ns each, where a product
// row by row takes 1.9 and a squared difference 2.9; compress/NOTES.md).
void DeltaSearcher::take_integers(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t rows,
                                  std::size_t query, const Wanted& wanted) {
  constexpr std::size_t kTogether = 16;
  const std::uint32_t* products = &integers_[query * DeltaStripe::kRowsMax];
  const std::uint32_t norm2 = norms2_[query];
  const std::uint32_t* norms2 = stripe.norms2.data();
  for (std::size_t i = 0; i < rows; ++i)
    distances_[i] = static_cast<float>(static_cast<std::int32_t>(norm2 + norms2[i] - 2 * products[i]));
  const double& limit = best_[query].limit;
  for (std::size_t from = 0; from < rows; from += kTogether) {
    const std::size_t part = std::min(kTogether, rows - from);
    if (!any_below(&distances_[from], part, static_cast<float>(limit))) continue;
    for (std::size_t i = from; i < from + part; ++i)
      if (double{distances_[i]} < limit && is_wanted(delta, stripe, i, wanted))
        offer({distances_[i], delta.row_id(stripe.rows[i])}, query, wanted.k);
  }
}

// By 8 bits a value first. What they were put as is looked at where it may be nearer than the farthest of the best.
void DeltaSearcher::take_floats(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t rows, std::size_t query,
                                const Wanted& wanted) {
  constexpr std::size_t kTogether = 16;
  const QuantizedRows& vectors = *stripe.vectors;
  const PreparedQuery& prepared = queries_[query];
  const double& limit = best_[query].limit;
  const auto params_of = [&](std::size_t i) { return vectors.params(static_cast<std::uint32_t>(i)); };
  prepared.distances({vectors.codes(0), vectors.dim(), nullptr, rows}, params_of, integers_.data(), distances_.data());
  const RowParams greatest = greatest_of(vectors, rows);
  float reach = prepared.reach(limit, greatest);
  for (std::size_t from = 0; from < rows; from += kTogether) {
    const std::size_t part = std::min(kTogether, rows - from);
    if (!any_below(&distances_[from], part, reach)) continue;
    for (std::size_t i = from; i < from + part; ++i) {
      if (!(double{prepared.interval(distances_[i], params_of(i)).nearest} + prepared.constant() <= limit)) continue;
      if (!is_wanted(delta, stripe, i, wanted)) continue;
      const double distance = distance_to(delta, stripe, i, query);
      if (distance <= wanted.radius) offer({distance, delta.row_id(stripe.rows[i])}, query, wanted.k);
    }
    reach = prepared.reach(limit, greatest);
  }
}

double DeltaSearcher::distance_to(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t within,
                                  std::size_t query) {
  const DeltaShape& shape = delta.shape();
  if (is_integer(shape.dtype)) {
    stripe.vectors->decode_integers(static_cast<std::uint32_t>(within), original_.data());
  } else {
    const std::byte* as_put = stripe.originals.data() + within * shape.row_bytes();
    widen_row({as_put, shape.dtype, 1, shape.dim, 0}, 0, original_.data());
  }
  return exact_distance(shape.metric, as_put_.data() + query * shape.dim, original_.data(), shape.dim);
}

bool DeltaSearcher::search(const DeltaRows& delta, const VectorView& queries, std::uint64_t first, std::size_t count,
                           const Wanted& wanted, const CancelToken* cancel, std::vector<FoundRow>* found) {
  VECSTORE_CHECK(count <= kQueriesMax);
  // Above the radius, and a float.
  constexpr float kNoLimit = std::numeric_limits<float>::infinity();
  const double limit = std::nextafter(static_cast<float>(wanted.radius), kNoLimit);
  // Before anything else: the centre is there when the first row is.
  const bool had_rows = delta.had_rows();
  for (std::size_t i = 0; i < count; ++i) {
    if (had_rows) prepare(delta, queries, first + i, i);
    best_[i].heap.clear();
    best_[i].heap.reserve(wanted.k);
    best_[i].limit = limit;
  }
  for (std::size_t i = 0; had_rows && i < delta.stripes_.size(); ++i) {
    if (cancel != nullptr && cancel->is_cancelled()) return false;
    const DeltaStripe& stripe = *delta.stripes_[i];
    const std::size_t here = stripe.filled.load(std::memory_order_acquire);
    if (integral_) score_tiles(stripe, count, here);
    for (std::size_t query = 0; query < count; ++query) {
      if (integral_) {
        take_integers(delta, stripe, here, query, wanted);
      } else {
        take_floats(delta, stripe, here, query, wanted);
      }
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<Near>& heap = best_[i].heap;
    std::sort_heap(heap.begin(), heap.end());
    found[i].clear();
    for (const Near& near : heap)
      found[i].push_back({static_cast<float>(near.distance - queries_[i].constant()), kNoPos, near.row});
  }
  return true;
}

}  // namespace vecstore
