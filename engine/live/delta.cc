// SPDX-License-Identifier: Apache-2.0
#include "engine/live/delta.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "graph/exact_distance.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kNeverDied = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kRowsMaxHere = std::uint64_t{1} << 24;
constexpr std::uint64_t kTextBytes = 64u << 10;
constexpr std::uint64_t kKeySlotsMin = 256;

static_assert(Delta::kStripeRows % Tiles::kRows == 0);

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

GraphLayout layout_of(const DeltaShape& shape) {
  GraphLayout layout;
  layout.dim = shape.dim;
  layout.dtype = shape.dtype;
  layout.metric = shape.metric;
  layout.row_params = needs_row_params(shape.dtype, shape.metric, layout.value_bits);
  return layout;
}

// Of several rows the greatest of each: bounds of any of them.
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

Result<std::unique_ptr<Delta>> Delta::create(const DeltaShape& shape, RowId first, MemoryBudget& budget) {
  std::unique_ptr<Delta> delta(new Delta(shape, first, budget));
  VECSTORE_ASSIGN(delta->stripes_, Buffer<StripePlace>::allocate(budget, kRowsMaxHere / kStripeRows));
  VECSTORE_ASSIGN(delta->widened_, Buffer<float>::allocate(budget, shape.dim));
  delta->row_shape_ = {shape.dim, shape.dtype, shape.metric, kValueBitsMin, shape.centre};
  // Products are the same sums wherever the centre is; beside a graph they have to be of its centre.
  if (shape.centre.empty() && !is_integer(shape.dtype) && shape.metric != Metric::kInnerProduct) {
    VECSTORE_ASSIGN(delta->own_centre_, Buffer<float>::allocate(budget, shape.dim));
    delta->row_shape_.centre = delta->own_centre_.span();
  }
  return delta;
}

// ------------------------------------------------------------------------------------------------------------- writing

Status Delta::add_stripe() {
  if (stripe_count_ == stripes_.size())
    return Status(Code::kMemoryBudget, "too many rows wait to be merged into the graph");
  auto stripe = std::make_unique<Stripe>();
  if (!layout_of(shape_).row_params) {
    const std::size_t tile_bytes = kStripeRows / Tiles::kRows * groups() * Tiles::kGroupBytes;
    VECSTORE_ASSIGN(stripe->tiles, Buffer<std::uint8_t>::allocate(*budget_, tile_bytes));
    VECSTORE_ASSIGN(stripe->norms2, Buffer<std::uint32_t>::allocate(*budget_, kStripeRows));
  } else {
    VECSTORE_ASSIGN(auto vectors, QuantizedRows::create(kStripeRows, row_shape_, *budget_));
    stripe->vectors.emplace(std::move(vectors));
  }
  if (!is_integer(shape_.dtype)) {
    VECSTORE_ASSIGN(stripe->originals, Buffer<std::byte>::allocate(*budget_, kStripeRows * std::size_t{row_bytes()}));
  }
  VECSTORE_ASSIGN(stripe->rows, Buffer<Row>::allocate(*budget_, kStripeRows));
  owned_.push_back(std::move(stripe));
  stripes_[stripe_count_++].stripe = owned_.back().get();
  return Status::ok();
}

// A key and its document lie in one piece, so the end of a buffer may stay empty.
Status Delta::reserve_text(std::uint64_t bytes) {
  if (bytes == 0) return Status::ok();
  const std::uint64_t left = texts_.empty() ? 0 : texts_.back().size() - text_used_;
  if (left >= bytes) return Status::ok();
  VECSTORE_ASSIGN(auto text, Buffer<char>::allocate(*budget_, std::max(kTextBytes, bytes)));
  texts_.push_back(std::move(text));
  text_used_ = 0;
  return Status::ok();
}

Status Delta::reserve_keys(std::uint64_t more) {
  const std::uint64_t wanted = std::bit_ceil(std::max(kKeySlotsMin, 2 * (keys_count_ + more)));
  if (!key_tables_.empty() && key_tables_.back()->mask + 1 >= wanted) return Status::ok();
  auto table = std::make_unique<KeyTable>();
  VECSTORE_ASSIGN(table->charge, Charge::take(*budget_, wanted * sizeof(std::uint32_t)));
  table->slots = std::make_unique<std::atomic<std::uint32_t>[]>(wanted);
  table->mask = wanted - 1;
  if (!key_tables_.empty()) {
    const KeyTable& old = *key_tables_.back();
    for (std::size_t slot = 0; slot <= old.mask; ++slot) {
      const std::uint32_t index = old.slots[slot].load(std::memory_order_relaxed);
      if (index != 0) index_key(*table, index);
    }
  }
  key_tables_.push_back(std::move(table));
  keys_.store(key_tables_.back().get(), std::memory_order_release);
  return Status::ok();
}

Status Delta::reserve(std::uint64_t rows, std::uint64_t text_bytes) {
  VECSTORE_TRY(reserve_keys(rows));
  while (stripe_count_ * kStripeRows < this->rows() + rows) VECSTORE_TRY(add_stripe());
  return reserve_text(text_bytes);  // last: what is left of a buffer is given up for a new one
}

std::size_t Delta::tile_place(std::uint64_t within, std::size_t groups) {
  return within / Tiles::kRows * groups * Tiles::kGroupBytes + within % Tiles::kRows * 4;
}

// i8 shifted by 128, as on pages.
void Delta::put_integers(Stripe& stripe, std::uint64_t within, std::span<const std::byte> vector) {
  const std::uint8_t shift = shape_.dtype == DType::kI8 ? 0x80u : 0u;
  std::uint8_t* tile = stripe.tiles.data() + tile_place(within, groups());
  std::uint32_t norm2 = 0;
  for (std::size_t d = 0; d < vector.size(); ++d) {
    const auto code = static_cast<std::uint8_t>(static_cast<std::uint8_t>(vector[d]) ^ shift);
    tile[d / 4 * Tiles::kGroupBytes + d % 4] = code;
    norm2 += std::uint32_t{code} * code;
  }
  stripe.norms2[within] = norm2;
}

void Delta::append(const PutRecord& record, Lsn born) {
  const std::uint64_t index = rows();
  VECSTORE_CHECK(record.row == next() && record.vector.size() == row_bytes() && record.key.kind() == shape_.keys);
  Stripe& stripe = stripe_of(index);
  const std::uint64_t within = index % kStripeRows;
  if (stripe.vectors) {
    const VectorView vector{record.vector.data(), shape_.dtype, 1, shape_.dim, 0};
    if (index == 0 && !own_centre_.empty()) read_row(vector, 0, row_shape_, false, own_centre_.data());
    stripe.vectors->fill(within, vector, widened_.span());
  } else {
    put_integers(stripe, within, record.vector);
  }
  if (!stripe.originals.empty())
    std::copy(record.vector.begin(), record.vector.end(), stripe.originals.begin() + within * row_bytes());
  Row& row = stripe.rows[within];
  row.born = born.value;
  row.died = kNeverDied;
  row.number = record.key.number();
  row.key_bytes = static_cast<std::uint16_t>(record.key.bytes().size());
  row.document_bytes = record.document_bytes;
  row.kept_bytes = static_cast<std::uint32_t>(record.document.size());
  document_bytes_.fetch_add(row.document_bytes, std::memory_order_relaxed);
  kept_document_bytes_.fetch_add(row.kept_bytes, std::memory_order_relaxed);
  if (const std::size_t bytes = row.key_bytes + std::size_t{row.kept_bytes}; bytes != 0) {
    VECSTORE_CHECK(!texts_.empty() && texts_.back().size() - text_used_ >= bytes);
    char* text = texts_.back().data() + text_used_;
    text_used_ += bytes;
    row.text = text;
    text = std::copy(record.key.bytes().begin(), record.key.bytes().end(), text);
    std::copy(record.document.begin(), record.document.end(), text);
  }
  rows_.store(index + 1, std::memory_order_release);
  index_key(*key_tables_.back(), static_cast<std::uint32_t>(index + 1));
}

void Delta::end(RowId row, Lsn died) {
  VECSTORE_CHECK(has(row));
  std::atomic_ref(row_at(row.value - first_.value).died).store(died.value, std::memory_order_release);
}

std::size_t KeyHash::operator()(const Key& key) const {
  if (key.kind() == KeyKind::kNumber) return static_cast<std::size_t>((key.number() * 0x9E3779B97F4A7C15ull) >> 20);
  return static_cast<std::size_t>(XXH3_64bits(key.bytes().data(), key.bytes().size()));
}

bool Delta::has_key(const Row& row, const Key& key) const {
  if (shape_.keys == KeyKind::kNumber) return row.number == key.number();
  return std::string_view(row.text, row.key_bytes) == key.bytes();
}

void Delta::index_key(KeyTable& table, std::uint32_t index) {
  Row& row = row_at(index - 1);
  const Key own = key({first_.value + index - 1});
  for (std::size_t slot = KeyHash()(own) & table.mask;; slot = (slot + 1) & table.mask) {
    const std::uint32_t there = table.slots[slot].load(std::memory_order_relaxed);
    if (there == 0) {
      if (&table == keys_.load(std::memory_order_relaxed)) ++keys_count_;
      table.slots[slot].store(index, std::memory_order_release);
      return;
    }
    if (!has_key(row_at(there - 1), own)) continue;
    row.older = there;
    table.slots[slot].store(index, std::memory_order_release);
    return;
  }
}

// ------------------------------------------------------------------------------------------------------------- reading

bool Delta::is_visible(const Row& row, Lsn snapshot) const {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): C++20 has no atomic_ref of a const object
  const std::uint64_t died = std::atomic_ref(const_cast<std::uint64_t&>(row.died)).load(std::memory_order_acquire);
  return row.born <= snapshot.value && snapshot.value < died;
}

std::optional<RowId> Delta::find(const Key& key, Lsn snapshot) const {
  const KeyTable* table = keys_.load(std::memory_order_acquire);
  if (table == nullptr || key.kind() != shape_.keys) return std::nullopt;
  for (std::size_t slot = KeyHash()(key) & table->mask;; slot = (slot + 1) & table->mask) {
    std::uint32_t index = table->slots[slot].load(std::memory_order_acquire);
    if (index == 0) return std::nullopt;
    if (!has_key(row_at(index - 1), key)) continue;
    for (; index != 0; index = row_at(index - 1).older)
      if (is_visible(row_at(index - 1), snapshot)) return RowId{first_.value + index - 1};
    return std::nullopt;
  }
}

bool Delta::is_live(RowId row, Lsn snapshot) const {
  return has(row) && is_visible(row_at(row.value - first_.value), snapshot);
}

Key Delta::key(RowId row) const {
  const Row& stored = row_at(row.value - first_.value);
  if (shape_.keys == KeyKind::kNumber) return {stored.number};
  return {std::string_view(stored.text, stored.key_bytes)};
}

Delta::KeptDocument Delta::document(RowId row) const {
  const Row& stored = row_at(row.value - first_.value);
  return {{stored.text + stored.key_bytes, stored.kept_bytes}, stored.document_bytes};
}

void Delta::copy_vector(RowId row, std::byte* out) const {
  const std::uint64_t index = row.value - first_.value;
  const Stripe& stripe = stripe_of(index);
  const std::uint64_t within = index % kStripeRows;
  if (!stripe.originals.empty()) {
    std::memcpy(out, stripe.originals.data() + within * row_bytes(), row_bytes());
    return;
  }
  // Integers are kept as they were put, i8 shifted by 128.
  const std::uint8_t shift = shape_.dtype == DType::kI8 ? 0x80u : 0u;
  const std::uint8_t* tile = stripe.vectors ? nullptr : stripe.tiles.data() + tile_place(within, groups());
  const std::uint8_t* codes = stripe.vectors ? stripe.vectors->codes(static_cast<std::uint32_t>(within)) : nullptr;
  for (std::uint32_t d = 0; d < shape_.dim; ++d)
    out[d] = static_cast<std::byte>((codes != nullptr ? codes[d] : tile[d / 4 * Tiles::kGroupBytes + d % 4]) ^ shift);
}

// ----------------------------------------------------------------------------------------------------------- searching

std::uint64_t DeltaSearcher::predict_bytes(std::uint32_t dim) {
  const std::uint64_t each = 2 * sizeof(float) * dim + Tiles::groups_of(dim) * 4 + dim;
  return kQueriesMax * each + Tiles::groups_of(dim) * Tiles::kGroupBytes + dim * sizeof(float) +
         Delta::kStripeRows * (sizeof(float) + kQueriesMax * sizeof(std::uint32_t));
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
  VECSTORE_ASSIGN(searcher->distances_, Buffer<float>::allocate(budget, Delta::kStripeRows));
  VECSTORE_ASSIGN(searcher->integers_, Buffer<std::uint32_t>::allocate(budget, kQueriesMax * Delta::kStripeRows));
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
void DeltaSearcher::score_tiles(const Delta::Stripe& stripe, std::size_t queries, std::size_t rows) {
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
      out[i] = &integers_[(first + i) * Delta::kStripeRows];
    }
    kernels_->dot_u8_tiles(codes.data(), count, {stripe.tiles.data(), groups_, full}, out.data());
    for (std::size_t i = 0; i < count; ++i) out[i] += full * Tiles::kRows;
    if (rest != 0) kernels_->dot_u8_tiles(codes.data(), count, {last_tile_.data(), groups_, 1}, out.data());
  }
}

void DeltaSearcher::prepare(const Delta& delta, const VectorView& queries, std::uint64_t query, std::size_t place) {
  queries_[place].set_centre(delta.centre());
  queries_[place].prepare(queries, query);
  if (!integral_) return widen_row(queries, query, as_put_.data() + place * queries.dim);
  norms2_[place] = norm2_of(queries_[place].codes());
  std::ranges::copy(queries_[place].codes(), codes_.begin() + place * groups_ * 4);
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
void DeltaSearcher::take_integers(const Delta& delta, std::uint64_t begin, std::size_t rows, std::size_t query,
                                  std::uint32_t k, Lsn snapshot) {
  constexpr std::size_t kTogether = 16;
  const Delta::Stripe& stripe = delta.stripe_of(begin);
  const std::uint32_t* products = &integers_[query * Delta::kStripeRows];
  const std::uint32_t norm2 = norms2_[query];
  const std::uint32_t* norms2 = stripe.norms2.data();
  for (std::size_t i = 0; i < rows; ++i)
    distances_[i] = static_cast<float>(static_cast<std::int32_t>(norm2 + norms2[i] - 2 * products[i]));
  const double& limit = best_[query].limit;
  for (std::size_t from = 0; from < rows; from += kTogether) {
    const std::size_t part = std::min(kTogether, rows - from);
    if (!any_below(&distances_[from], part, static_cast<float>(limit))) continue;
    for (std::size_t i = from; i < from + part; ++i)
      if (double{distances_[i]} < limit && delta.is_visible(stripe.rows[i], snapshot))
        offer({distances_[i], RowId{delta.first_.value + begin + i}}, query, k);
  }
}

// By 8 bits a value first. What they were put as is looked at where it may be nearer than the farthest of the best.
void DeltaSearcher::take_floats(const Delta& delta, std::uint64_t begin, std::size_t rows, std::size_t query,
                                std::uint32_t k, Lsn snapshot) {
  constexpr std::size_t kTogether = 16;
  const Delta::Stripe& stripe = delta.stripe_of(begin);
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
      if (!delta.is_visible(stripe.rows[i], snapshot)) continue;
      offer({distance_to(delta, stripe, i, query), RowId{delta.first_.value + begin + i}}, query, k);
    }
    reach = prepared.reach(limit, greatest);
  }
}

double DeltaSearcher::distance_to(const Delta& delta, const Delta::Stripe& stripe, std::size_t within,
                                  std::size_t query) {
  const DeltaShape& shape = delta.shape();
  if (is_integer(shape.dtype)) {
    stripe.vectors->decode_integers(static_cast<std::uint32_t>(within), original_.data());
  } else {
    widen_row(delta.as_put(stripe, within), 0, original_.data());
  }
  return exact_distance(shape.metric, as_put_.data() + query * shape.dim, original_.data(), shape.dim);
}

void DeltaSearcher::search(const Delta& delta, const VectorView& queries, std::uint64_t first, std::size_t count,
                           std::uint32_t k, Lsn snapshot, std::vector<FoundRow>* found) {
  VECSTORE_CHECK(count <= kQueriesMax);
  // Before anything else: the centre is there when the first row is.
  const std::uint64_t rows = delta.rows();
  for (std::size_t i = 0; i < count; ++i) {
    if (rows != 0) prepare(delta, queries, first + i, i);
    best_[i].heap.clear();
    best_[i].heap.reserve(k);
    best_[i].limit = std::numeric_limits<double>::infinity();
  }
  for (std::uint64_t begin = 0; begin < rows; begin += Delta::kStripeRows) {
    const std::size_t here = std::min<std::uint64_t>(Delta::kStripeRows, rows - begin);
    if (integral_) score_tiles(delta.stripe_of(begin), count, here);
    for (std::size_t query = 0; query < count; ++query) {
      if (integral_) {
        take_integers(delta, begin, here, query, k, snapshot);
      } else {
        take_floats(delta, begin, here, query, k, snapshot);
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
}

}  // namespace vecstore
