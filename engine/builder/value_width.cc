// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/value_width.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/limits.h"
#include "engine/files/validate.h"
#include "graph/prepared_query.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kSampleRows = 4096;
constexpr std::uint64_t kSampleBytes = 4u << 20;
constexpr std::uint64_t kQueriesTried = 256;
constexpr std::uint32_t kNearestWanted = 10;
constexpr std::uint32_t kCandidatesEach = 3;  // times as many candidates as neighbours that are looked for, at least

// The nearest rows of one query, as they were put and as a page would keep them.
class Trial {
 public:
  static Result<Trial> create(const RowShape& shape, std::uint32_t candidates, MemoryBudget& budget) {
    GraphLayout layout;
    layout.dim = shape.dim;
    layout.metric = shape.metric;
    layout.dtype = shape.dtype;
    layout.value_bits = shape.value_bits;
    layout.row_params = shape.has_params();
    VECSTORE_ASSIGN(auto query, PreparedQuery::create(layout, shape.is_centred() ? shape.centre : Centre{}, budget));
    VECSTORE_ASSIGN(auto rows, QuantizedRows::create(candidates, shape, budget));
    Trial trial(shape, std::move(query), std::move(rows));
    const std::size_t value_bytes = layout.value_bytes();
    VECSTORE_ASSIGN(trial.raw_, Buffer<std::byte>::allocate(budget, shape.dim * element_bytes(shape.dtype)));
    VECSTORE_ASSIGN(trial.values_, Buffer<std::byte>::allocate(budget, candidates * value_bytes));
    VECSTORE_ASSIGN(trial.scratch_, Buffer<float>::allocate(budget, shape.dim));
    trial.params_.resize(candidates);
    trial.distances_.resize(candidates);
    trial.integers_.resize(candidates);
    trial.order_.resize(candidates);
    return trial;
  }

  // rows: the nearest of the query, nearest first, with their distances. Errors: those of `vectors`.
  Result<double> recall(const VectorSource& vectors, const VectorView& queries, std::uint64_t query,
                        std::span<const std::uint32_t> rows, std::span<const float> true_distances) {
    const std::size_t value_bytes = std::size_t{shape_.dim} * shape_.value_bits / 8;
    for (std::uint32_t i = 0; i < rows.size(); ++i) {
      VECSTORE_TRY(vectors.read(rows[i], 1, raw_.data()));
      rows_.fill(i, {raw_.data(), shape_.dtype, 1, shape_.dim, 0}, scratch_.span());
      const StoredValues stored = rows_.stored(i, std::as_writable_bytes(scratch_.span()));
      params_[i] = stored.params;
      std::copy_n(stored.values, value_bytes, values_.data() + i * value_bytes);
    }
    query_.prepare(queries, query);
    query_.distances(
        {values_.data(), value_bytes, nullptr, rows.size()}, [this](std::size_t i) { return params_[i]; },
        integers_.data(), distances_.data());
    const std::size_t wanted = std::clamp<std::size_t>(rows.size() / kCandidatesEach, 1, kNearestWanted);
    const auto order = std::span(order_).first(rows.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [this](std::uint32_t a, std::uint32_t b) {
      return distances_[a] != distances_[b] ? distances_[a] < distances_[b] : a > b;
    });
    const auto is_near = [&](std::uint32_t i) { return true_distances[i] <= true_distances[wanted - 1]; };
    const auto right = std::count_if(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), is_near);
    return static_cast<double>(right) / static_cast<double>(wanted);
  }

 private:
  Trial(const RowShape& shape, PreparedQuery query, QuantizedRows rows)
      : shape_(shape), query_(std::move(query)), rows_(std::move(rows)) {}

  RowShape shape_;
  PreparedQuery query_;
  QuantizedRows rows_;
  Buffer<std::byte> raw_;
  Buffer<std::byte> values_;
  Buffer<float> scratch_;
  std::vector<RowParams> params_;
  std::vector<float> distances_;
  std::vector<std::uint32_t> integers_;
  std::vector<std::uint32_t> order_;
};

}  // namespace

Result<Buffer<float>> find_centre(const VectorSource& vectors, Metric metric, MemoryBudget& budget) {
  const std::uint32_t dim = vectors.dim();
  if (is_integer(vectors.dtype()) || vectors.rows() == 0) return Buffer<float>();
  const std::uint64_t most = std::max<std::uint64_t>(1, kSampleBytes / (dim * sizeof(float)));
  const std::uint64_t count = std::min({vectors.rows(), kSampleRows, most});
  const RowShape shape{dim, vectors.dtype(), metric};
  VECSTORE_ASSIGN(auto raw, Buffer<std::byte>::allocate(budget, dim * element_bytes(vectors.dtype())));
  VECSTORE_ASSIGN(auto row, Buffer<float>::allocate(budget, dim));
  VECSTORE_ASSIGN(auto sample, Buffer<float>::allocate(budget, dim * count));  // one dimension after the other
  VECSTORE_ASSIGN(auto centre, Buffer<float>::allocate(budget, dim));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t from = i * vectors.rows() / count;
    VECSTORE_TRY(vectors.read(from, 1, raw.data()));
    const VectorView view{raw.data(), vectors.dtype(), 1, dim, 0};
    VECSTORE_TRY(check_vectors(view, metric, vectors.name(), from));
    read_row(view, 0, shape, false, row.data());
    for (std::uint32_t d = 0; d < dim; ++d) sample[d * count + i] = row[d];
  }
  for (std::uint32_t d = 0; d < dim; ++d) {
    float* values = sample.data() + d * count;
    std::nth_element(values, values + count / 2, values + count);
    centre[d] = values[count / 2];
  }
  return centre;
}

Result<double> measure_width(const VectorSource& vectors, const CalibrationSet& set, const RowShape& shape,
                             MemoryBudget& budget) {
  const std::size_t columns = set.truth.k;
  const std::uint64_t queries = std::min<std::uint64_t>(set.queries.rows, kQueriesTried);
  VECSTORE_ASSIGN(Trial trial, Trial::create(shape, set.truth.k, budget));
  double right = 0;
  double weights = 0;
  for (std::uint64_t i = 0; i < queries; ++i) {
    const std::uint64_t query = i * set.queries.rows / queries;
    const auto rows = std::span(set.truth.rows).subspan(query * columns, columns);
    const auto known = static_cast<std::size_t>(std::find(rows.begin(), rows.end(), kNoPos) - rows.begin());
    if (known == 0) continue;
    VECSTORE_ASSIGN(const double recall, trial.recall(vectors, set.queries, query, rows.first(known),
                                                      std::span(set.truth.distances).subspan(query * columns, known)));
    right += set.weight(query) * recall;
    weights += set.weight(query);
  }
  return weights > 0 ? right / weights : 1.0;
}

Result<ValueWidth> choose_width(const VectorSource& vectors, const CalibrationSet& set, RowShape shape,
                                MemoryBudget& budget) {
  ValueWidth chosen;
  shape.value_bits = 8;
  VECSTORE_ASSIGN(chosen.recall.bits8, measure_width(vectors, set, shape, budget));
  if (chosen.recall.bits8 >= kWidthRecall) return chosen;
  shape.value_bits = 16;
  VECSTORE_ASSIGN(chosen.recall.bits16, measure_width(vectors, set, shape, budget));
  chosen.bits = chosen.recall.bits16 >= kWidthRecall ? 16 : 32;
  return chosen;
}

}  // namespace vecstore
