// SPDX-License-Identifier: Apache-2.0
//
// What the tests of block codes share: rows in memory, an executor of several threads, and the slow truth.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/random.h"
#include "compress/block_codes.h"
#include "compress/code_scorer.h"
#include "compress/float_rows.h"
#include "compress/mixing.h"
#include "compress/rabitq.h"
#include "compress/sq8.h"
#include "tests/test_util.h"

namespace vecstore::test {

class MemoryRows final : public FloatRows {
 public:
  MemoryRows(std::uint32_t dim, std::vector<float> values) : dim_(dim), values_(std::move(values)) {}
  std::uint64_t rows() const override { return values_.size() / dim_; }
  std::uint32_t dim() const override { return dim_; }
  void read(Pos position, float* out) const override { std::copy_n(row(position), dim_, out); }
  const float* row(std::size_t i) const { return values_.data() + i * dim_; }

 private:
  std::uint32_t dim_;
  std::vector<float> values_;
};

// Clustered, correlated rows: a walk through space, so that blocks mean something and a rotation pays.
inline MemoryRows walking_rows(std::uint64_t rows, std::uint32_t dim, std::uint64_t seed, bool unit_norm = false) {
  Random random(seed);
  std::vector<float> values(rows * dim);
  std::vector<double> centre(dim);
  for (double& value : centre) value = 4 * random.unit();
  for (std::size_t i = 0; i < rows; ++i) {
    const double common = random.unit() - 0.5;
    double norm2 = 0;
    for (std::size_t k = 0; k < dim; ++k) {
      centre[k] += 0.02 * (random.unit() - 0.5);
      const double value =
          centre[k] + (random.unit() - 0.5) / static_cast<double>(k + 1) + common * (static_cast<double>(k % 3) - 1.0);
      values[i * dim + k] = static_cast<float>(value);
      norm2 += value * value;
    }
    if (!unit_norm) continue;
    for (std::size_t k = 0; k < dim; ++k) values[i * dim + k] /= static_cast<float>(std::sqrt(norm2));
  }
  return {dim, std::move(values)};
}

// Rows that differ in `wide` directions of no axis, and by a thousandth of that in all.
inline MemoryRows flat_rows(std::uint64_t rows, std::uint32_t dim, std::uint32_t wide) {
  Random random(dim);
  std::vector<double> directions(std::size_t{wide} * dim);
  for (double& value : directions) value = random.unit() - 0.5;
  std::vector<float> values(rows * dim);
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<double> row(dim);
    for (std::size_t d = 0; d < wide; ++d) {
      const double along = random.unit() - 0.5;
      for (std::size_t k = 0; k < dim; ++k) row[k] += along * directions[d * dim + k];
    }
    for (std::size_t k = 0; k < dim; ++k)
      values[i * dim + k] = static_cast<float>(row[k] + 1e-3 * (random.unit() - 0.5));
  }
  return {dim, std::move(values)};
}

// Real threads, ranges handed out in whatever order they ask.
class ThreadsExecutor final : public Executor {
 public:
  explicit ThreadsExecutor(unsigned threads) : threads_(threads) {}
  unsigned thread_count() const override { return threads_; }
  void parallel_for(std::size_t count, std::size_t grain, const Body& body) override {
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> pool;
    for (unsigned worker = 0; worker < threads_; ++worker) {
      pool.emplace_back([&, worker] {
        for (std::size_t begin = next.fetch_add(grain); begin < count; begin = next.fetch_add(grain))
          body(begin, std::min(begin + grain, count), worker);
      });
    }
  }

 private:
  unsigned threads_;
};

// Σ (a − b)²
inline double square_distance(const float* a, const float* b, std::size_t dim) {
  double sum = 0;
  for (std::size_t k = 0; k < dim; ++k) {
    const double difference = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    sum += difference * difference;
  }
  return sum;
}

inline std::vector<float> centroid_of(const BlockCodes& codes, std::size_t position) {
  const std::size_t dim = codes.model.dim;
  const std::size_t block = position / kBlockRows;
  std::vector<float> centroid(dim);
  codes.centroids.decode(block, dim, centroid.data());
  return centroid;
}

// r̂ of a row of RaBitQ.
inline std::vector<double> decode_rabitq(const BlockCodes& codes, std::size_t position) {
  const CodecModel& model = codes.model;
  std::vector<double> coded(model.dim);
  for (std::size_t i = 0; i < model.dim; ++i) {
    coded[i] = static_cast<double>(factor_of(codes.factors[position])) *
               static_cast<double>(rabitq_coordinate(&codes.codes[position * model.code_bytes], i, model.bits));
  }
  return coded;
}

inline std::vector<float> mixed(const CodecModel& model, std::vector<float> values) {
  std::vector<float> out(values.size());
  mix(model.mixing.data(), values.size(), values.data(), out.data());
  return out;
}

// key(ĉ) + |e|² − 2⟨R(q − ĉ), r̂⟩ with e = x − ĉ (inner product: key(ĉ) − 2⟨Rq, r̂⟩): what RaBitQ's estimate should be.
inline double exact_rabitq_estimate(const BlockCodes& codes, std::size_t position, const float* query,
                                    const float* row) {
  const CodecModel& model = codes.model;
  const bool inner_product = model.metric == Metric::kInnerProduct;
  const std::vector<float> centroid = centroid_of(codes, position);
  std::vector<float> from_centroid(query, query + model.dim);
  double key = inner_product ? 0 : square_distance(row, centroid.data(), model.dim);
  for (std::size_t k = 0; k < model.dim; ++k) {
    const auto c = static_cast<double>(centroid[k]);
    key += (inner_product ? 0 : c * c) - 2 * static_cast<double>(query[k]) * c;
    if (!inner_product) from_centroid[k] -= centroid[k];
  }
  const std::vector<float> rotated = mixed(model, from_centroid);
  const std::vector<double> coded = decode_rabitq(codes, position);
  for (std::size_t k = 0; k < model.dim; ++k) key -= 2 * static_cast<double>(rotated[k]) * coded[k];
  return key;
}

// x̂ = ĉ + Rᵀ r̂ of a row of PQ or OPQ, from the arrays alone.
inline std::vector<double> decode(const BlockCodes& codes, std::size_t position) {
  const CodecModel& model = codes.model;
  const std::size_t dim = model.dim;
  const std::vector<float> centroid = centroid_of(codes, position);
  std::vector<double> decoded(centroid.begin(), centroid.end());
  for (std::size_t m = 0; m < model.code_bytes; ++m) {
    const std::size_t code = codes.codes[position * model.code_bytes + m];
    for (std::size_t i = model.subspace_begin[m]; i < model.subspace_begin[m + 1]; ++i) {
      const auto value = static_cast<double>(model.codebook[i * model.codewords + code]);
      if (model.kind == Codec::kPq) {
        decoded[i] += value;
      } else {
        for (std::size_t k = 0; k < dim; ++k) decoded[k] += value * static_cast<double>(model.rotation[i * dim + k]);
      }
    }
  }
  return decoded;
}

// What an estimate should be but for the rounding of tables and corrections.
// What estimates have beyond keys: with fine tables they are squared distances.
inline double beyond_key(const BlockCodes& codes, const float* query) {
  if (!codes.model.fine_tables || codes.model.metric == Metric::kInnerProduct) return 0;
  double norm2 = 0;
  for (std::size_t k = 0; k < codes.model.dim; ++k) norm2 += double{query[k]} * double{query[k]};
  return norm2;
}

inline double exact_estimate(const BlockCodes& codes, std::size_t position, const float* query, const float* row) {
  if (codes.model.kind == Codec::kRabitq) return exact_rabitq_estimate(codes, position, query, row);
  const std::vector<double> decoded = decode(codes, position);
  double key = 0;
  double error2 = 0;
  for (std::size_t k = 0; k < decoded.size(); ++k) {
    const auto q = static_cast<double>(query[k]);
    if (codes.model.metric == Metric::kInnerProduct) {
      key -= 2 * q * decoded[k];
    } else {
      const double error = static_cast<double>(row[k]) - decoded[k];
      key += decoded[k] * decoded[k] - 2 * q * decoded[k] + error * error;
      error2 += error * error;
    }
  }
  return key - static_cast<double>(codes.model.bias_offset) - static_cast<double>(codes.model.bias_per_error2) * error2;
}

inline double rabitq_rounding_bound(const BlockCodes& codes, const float* query) {
  const CodecModel& model = codes.model;
  std::vector<float> centred(query, query + model.dim);
  for (std::size_t k = 0; k < model.dim; ++k) centred[k] -= model.mean[k];
  const std::vector<float> rotated = mixed(model, centred);
  std::vector<double> range(model.code_bytes);
  const double levels = static_cast<double>(1u << model.bits);
  for (std::size_t k = 0; k < model.dim; ++k)
    range[k * model.bits / 8] += 2 * (levels - 1) * std::abs(static_cast<double>(rotated[k]));
  double total = 0;
  for (const double of_byte : range) total += of_byte;
  const double step =
      std::max(*std::max_element(range.begin(), range.end()) / 255, total / (65535.0 - model.code_bytes));
  double factor = 0;
  for (const std::uint16_t stored : codes.factors) factor = std::max(factor, static_cast<double>(factor_of(stored)));
  return 0.5 * (factor * step * model.code_bytes + static_cast<double>(model.correction_scale));
}

// How far rounding may move an estimate: half a step of each table entry and of the correction.
inline double rounding_bound(const BlockCodes& codes, const float* query) {
  const CodecModel& model = codes.model;
  if (model.kind == Codec::kRabitq) return rabitq_rounding_bound(codes, query);
  const std::size_t dim = model.dim;
  std::vector<double> centred(dim);
  std::vector<double> rotated(dim);
  for (std::size_t k = 0; k < dim; ++k) centred[k] = static_cast<double>(query[k]) - static_cast<double>(model.mean[k]);
  rotated = centred;
  for (std::size_t i = 0; i < model.rotated_dims() && model.kind == Codec::kOpq; ++i) {
    rotated[i] = 0;
    for (std::size_t k = 0; k < dim; ++k) rotated[i] += centred[k] * static_cast<double>(model.rotation[i * dim + k]);
  }
  double widest = 0;
  double total = 0;
  for (std::size_t m = 0; m < model.code_bytes; ++m) {
    double least = 1e300;
    double greatest = -1e300;
    for (std::size_t j = 0; j < model.codewords; ++j) {
      double entry = 0;
      for (std::size_t i = model.subspace_begin[m]; i < model.subspace_begin[m + 1]; ++i)
        entry -= 2 * rotated[i] * static_cast<double>(model.codebook[i * model.codewords + j]);
      least = std::min(least, entry);
      greatest = std::max(greatest, entry);
    }
    widest = std::max(widest, greatest - least);
    total += greatest - least;
  }
  const double step = std::max(widest / 255, total / (65535.0 - model.code_bytes));
  return 0.5 * (step * model.code_bytes + static_cast<double>(model.correction_scale));
}

inline std::vector<float> estimates(const BlockCodes& codes, const float* query, MemoryBudget& budget) {
  auto scorer = CodeScorer::create(codes, budget);
  REQUIRE_OK(scorer);
  auto scratch = ScorerScratch::create(codes, budget);
  REQUIRE_OK(scratch);
  scorer->prepare(query, *scratch);
  std::vector<float> out(codes.rows);
  scorer->score_run(0, out.size(), out.data());
  return out;
}

inline bool same_model(const CodecModel& a, const CodecModel& b) {
  const auto same = [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::equal(x.begin(), x.end(), y.begin());
  };
  return a.kind == b.kind && a.metric == b.metric && a.dim == b.dim && a.code_bytes == b.code_bytes &&
         a.codewords == b.codewords && a.bits == b.bits && a.correction_scale == b.correction_scale &&
         a.correction_offset == b.correction_offset && a.error_slope == b.error_slope &&
         a.mean_square_error == b.mean_square_error && a.subspace_begin == b.subspace_begin && same(a.mean, b.mean) &&
         same(a.rotation, b.rotation) && a.bias_offset == b.bias_offset && a.bias_per_error2 == b.bias_per_error2 &&
         same(a.weights, b.weights) && same(a.codebook, b.codebook) && same(a.mixing, b.mixing);
}

inline bool same_centroids(const Centroids& a, const Centroids& b) {
  const auto same = [](const auto& x, const auto& y) { return std::ranges::equal(x.span(), y.span()); };
  return same(a.values, b.values) && same(a.codes, b.codes) && same(a.scale, b.scale) && same(a.offset, b.offset) &&
         same(a.norm2, b.norm2);
}

inline bool same_codes(const BlockCodes& a, const BlockCodes& b) {
  const auto same = [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::equal(x.begin(), x.end(), y.begin());
  };
  return same_model(a.model, b.model) && a.rows == b.rows && std::ranges::equal(a.blocks.begins(), b.blocks.begins()) &&
         a.blocks.count() == b.blocks.count() && same(a.codes, b.codes) && same(a.factors, b.factors) &&
         same(a.corrections, b.corrections) && same_centroids(a.centroids, b.centroids) &&
         same_centroids(a.groups, b.groups);
}

}  // namespace vecstore::test
