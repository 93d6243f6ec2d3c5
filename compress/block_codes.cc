// SPDX-License-Identifier: Apache-2.0
#include "compress/block_codes.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/sums.h"
#include "compress/block_encoder.h"
#include "compress/code_error.h"
#include "compress/codec_shape.h"
#include "compress/codec_training.h"
#include "compress/far_rows.h"
#include "compress/kernels/dense.h"
#include "compress/rabitq.h"
#include "compress/sq8.h"

namespace vecstore {
namespace {

// The mean of the rows of a block, twice: the second time without those that the first mean leaves far away.
class BlockMean {
 public:
  BlockMean(const FloatRows& rows, std::size_t first, std::size_t count, float* row, double* sums)
      : rows_(rows), first_(first), squares_(count), row_(row), sums_(sums) {}

  // sums: [dim] becomes the mean.
  void compute() {
    average(std::numeric_limits<double>::infinity());
    double limit = measure();
    has_far_rows_ = *std::max_element(squares_.begin(), squares_.end()) > limit;
    if (has_far_rows_) {
      average(limit);
      limit = measure();
    }
    if (std::isfinite(limit)) usual_ = limit / kFarRows;
  }
  bool has_far_rows() const { return has_far_rows_; }
  double usual() const { return usual_; }  // the median of |row − mean|²

 private:
  // |row − mean|² → squares_. Returns the limit beyond which they are far.
  double measure() {
    std::vector<double> scratch(squares_.size());
    for (std::size_t i = 0; i < squares_.size(); ++i) squares_[i] = square_of(i);
    return far_limit<double>(squares_, scratch);
  }

  void average(double limit) {
    std::fill_n(sums_, rows_.dim(), 0.0);
    std::size_t counted = 0;
    for (std::size_t i = 0; i < squares_.size(); ++i) {
      if (squares_[i] > limit) continue;
      ++counted;
      rows_.read(static_cast<Pos>(first_ + i), row_);
      for (std::size_t k = 0; k < rows_.dim(); ++k) sums_[k] += static_cast<double>(row_[k]);
    }
    for (std::size_t k = 0; k < rows_.dim(); ++k) sums_[k] /= static_cast<double>(counted);
  }

  double square_of(std::size_t i) const {
    rows_.read(static_cast<Pos>(first_ + i), row_);
    return squared_distance(row_, sums_, rows_.dim());
  }

  const FloatRows& rows_;
  std::size_t first_;
  std::vector<double> squares_;
  float* row_;
  double* sums_;
  bool has_far_rows_ = false;
  double usual_ = 0;
};

// What blocks say of the data.
struct BlockFacts {
  std::atomic<bool> has_far_rows = false;  // that lie far from the others of their block
  std::atomic<std::uint64_t> spread = 0;   // blocks whose rows differ
  std::atomic<std::uint64_t> coarse = 0;   // those whose centroid bytes move by a good part of what rows differ by

  bool are_coarse() const {
    constexpr std::uint64_t kShare = 10;
    return coarse * kShare > spread;
  }
};

Status compute_centroids(const FloatRows& rows, BlockCodes& codes, Executor& executor, MemoryBudget& budget,
                         BlockFacts& facts) {
  constexpr double kCoarse = .1;
  const std::size_t dim = rows.dim();
  VECSTORE_ASSIGN(auto row_scratch, Buffer<float>::allocate(budget, dim * executor.thread_count()));
  VECSTORE_ASSIGN(auto sum_scratch, Buffer<double>::allocate(budget, dim * executor.thread_count()));
  executor.parallel_for(codes.blocks.count(), 1, [&](std::size_t block, std::size_t, unsigned worker) {
    float* row = row_scratch.data() + worker * dim;
    double* sums = sum_scratch.data() + worker * dim;
    BlockMean mean(rows, codes.blocks.begin(block), codes.blocks.rows(block), row, sums);
    mean.compute();
    for (std::size_t k = 0; k < dim; ++k) row[k] = static_cast<float>(sums[k]);
    codes.centroids.encode(block, row, dim);
    codes.centroids.subtract_from(row, block, dim);
    if (mean.has_far_rows()) facts.has_far_rows = true;
    if (mean.usual() > 0) ++facts.spread;
    if (mean.usual() > 0 && sum_of_squares({row, dim}) > kCoarse * mean.usual()) ++facts.coarse;
  });
  return Status::ok();
}

// μ, the mean of all rows up to the rounding of the centroids. Any μ is right; this one keeps the tables' range small.
Status compute_mean(const BlockCodes& codes, MemoryBudget& budget, CodecModel& model) {
  if (model.metric == Metric::kInnerProduct || codes.rows == 0) return Status::ok();
  const std::size_t dim = model.dim;
  VECSTORE_ASSIGN(auto centroid, Buffer<float>::allocate(budget, dim));
  VECSTORE_ASSIGN(auto sums, Buffer<double>::allocate(budget, dim));
  VECSTORE_ASSIGN(auto squares, Buffer<double>::allocate(budget, codes.blocks.count()));
  const auto average = [&](double limit) {
    std::fill(sums.begin(), sums.end(), 0.0);
    double weights = 0;
    for (std::size_t block = 0; block < codes.blocks.count(); ++block) {
      if (squares[block] > limit) continue;
      codes.centroids.decode(block, dim, centroid.data());
      const auto weight = static_cast<double>(codes.blocks.rows(block));
      for (std::size_t k = 0; k < dim; ++k) sums[k] += weight * static_cast<double>(centroid[k]);
      weights += weight;
    }
    for (std::size_t k = 0; k < dim; ++k) model.mean[k] = static_cast<float>(sums[k] / weights);
  };
  average(std::numeric_limits<double>::infinity());
  for (std::size_t block = 0; block < codes.blocks.count(); ++block) {
    codes.centroids.decode(block, dim, centroid.data());
    squares[block] = squared_distance(centroid.data(), model.mean.data(), dim);
  }
  VECSTORE_ASSIGN(auto scratch, Buffer<double>::allocate(budget, codes.blocks.count()));
  const double limit = rare_limit<double>(squares.span(), scratch.span(), kFarBlocks);
  if (*std::max_element(squares.begin(), squares.end()) > limit) average(limit);
  return Status::ok();
}

// Residuals of rows drawn evenly over all positions → sample: [shape.sample_rows × padded(dim)].
void draw_sample(const FloatRows& rows, const BlockCodes& codes, const CodecShape& shape, std::uint64_t seed,
                 Executor& executor, float* sample) {
  const std::size_t stride = padded(shape.dim);
  executor.parallel_for(shape.sample_rows, 256, [&](std::size_t begin, std::size_t end, unsigned) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint64_t first = i * codes.rows / shape.sample_rows;
      const std::uint64_t last = (i + 1) * codes.rows / shape.sample_rows;
      const std::uint64_t position = first + Random(seed, i).below(last - first);
      float* residual = sample + i * stride;
      rows.read(static_cast<Pos>(position), residual);
      codes.centroids.subtract_from(residual, codes.blocks.block_of(static_cast<Pos>(position)), shape.dim);
    }
  });
}

// What lies far away would shape rotation and codebooks; nothing is learned from it.
void forget_far_rows(const CodecShape& shape, float* sample) {
  const std::size_t stride = padded(shape.dim);
  std::vector<double> squares(shape.sample_rows);
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] = sum_of_squares({sample + i * stride, shape.dim});
  std::vector<double> scratch(squares.size());
  const double limit = rare_limit<double>(squares, scratch);
  for (std::size_t i = 0; i < squares.size(); ++i)
    if (squares[i] > limit) std::fill_n(sample + i * stride, shape.dim, 0.0f);
}

// Where residuals differ in length by far, codewords would be the long ones' and tell nothing of the short: then each
// is brought to length 1. Returns whether they were. `wanted`: lengths differ, even if the sample does not show it.
bool scale_sample(const CodecShape& shape, bool wanted, float* sample) {
  constexpr double kMixed = 300;  // times the square of one in ten: that of nine in ten
  const std::size_t stride = padded(shape.dim);
  std::vector<double> squares;
  for (std::size_t i = 0; i < shape.sample_rows; ++i) {
    const double square = sum_of_squares({sample + i * stride, shape.dim});
    if (square > 0) squares.push_back(square);
  }
  if (squares.empty()) return false;
  std::sort(squares.begin(), squares.end());
  if (!wanted && squares[squares.size() * 9 / 10] <= kMixed * squares[squares.size() / 10]) return false;
  for (std::size_t i = 0; i < shape.sample_rows; ++i) {
    const double square = sum_of_squares({sample + i * stride, shape.dim});
    if (square > 0) scale_row(sample + i * stride, shape.dim, 1 / std::sqrt(square));
  }
  return true;
}

// Under inner product far rows are what is looked for. Those that have no block of their own need codes that tell how
// far they are.
Result<CodecModel> make_model(const FloatRows& rows, const CodecOptions& options, bool has_far_rows,
                              const BlockCodes& codes, Executor& executor, MemoryBudget& budget) {
  const CodecShape shape = shape_of(rows.rows(), rows.dim(), options);
  VECSTORE_ASSIGN(auto model, empty_model(shape, options.metric, options.seed, budget));
  VECSTORE_TRY(compute_mean(codes, budget, model));
  VECSTORE_ASSIGN(auto sample, Buffer<float>::allocate(budget, shape.sample_rows * padded(shape.dim)));
  draw_sample(rows, codes, shape, options.seed, executor, sample.data());
  forget_far_rows(shape, sample.data());
  const bool inner_product = options.metric == Metric::kInnerProduct;
  model.scaled = shape.sample_rows != 0 && scale_sample(shape, inner_product && has_far_rows, sample.data());
  VECSTORE_TRY(train_model(shape, options.seed, sample.data(), executor, budget, model));
  return model;
}

}  // namespace

std::uint64_t BlockCodes::bytes_per_row_total() const {
  return codes.size_bytes() + factors.size_bytes() + corrections.size_bytes() + wide_corrections.size_bytes() +
         centroids.bytes() + groups.bytes() + blocks.bytes();
}

std::uint64_t BlockCodes::fixed_bytes() const {
  return model.mean.size_bytes() + model.rotation.size_bytes() + model.codebook.size_bytes() +
         model.weights.size_bytes() + model.mixing.size_bytes();
}

float BlockCodes::error_scale(Pos position) const { return factors.empty() ? 1.0f : factor_of(factors[position]); }

// What a row takes more where factors and corrections need 32 bits, which is not known before.
constexpr std::uint64_t kHardRowBytes = 4;

// What parts and wide centroids may take: half of what the budget will have left, since not all comes after.
std::uint64_t room_for_blocks(const FloatRows& rows, const CodecOptions& options, unsigned threads,
                              const MemoryBudget& budget) {
  const std::uint64_t left = budget.limit_bytes() - budget.used_bytes();
  const std::uint64_t needed = predict_encode_bytes(rows.rows(), rows.dim(), options, threads);
  return left > needed ? (left - needed) / 2 : 0;
}

bool has_factors(const CodecModel& model) { return model.kind == Codec::kRabitq || model.scaled; }

// Whether the steps of u8 tables blur near rows: they are a good part of what estimates err by, and that tells beside
// the distances of near rows.
bool blurs(const CodeError& error) {
  constexpr double kShare = .25;
  constexpr double kOfNear = .4;  // real sets have up to .13, hard ones 1 and more; tables of u8 are many times as fast
  return error.table_share > kShare && error.table_error > kOfNear * error.near2;
}

Result<BlockCodes> encode_blocks(const FloatRows& rows, const CodecOptions& options, const CodecModel* reuse,
                                 Executor& executor, MemoryBudget& budget) {
  VECSTORE_CHECK(reuse == nullptr || (reuse->dim == rows.dim() && reuse->metric == options.metric));
  BlockCodes codes;
  codes.rows = rows.rows();
  // Under inner product a far row is looked for, and only a block of its own ranks where it belongs.
  const bool inner_product = options.metric == Metric::kInnerProduct;
  const std::uint64_t room = room_for_blocks(rows, options, executor.thread_count(), budget);
  VECSTORE_ASSIGN(codes.blocks, find_blocks(rows, inner_product, room, executor, budget));
  BlockFacts facts;
  VECSTORE_ASSIGN(codes.centroids, Centroids::allocate(codes.blocks.count(), rows.dim(), false, budget));
  VECSTORE_TRY(compute_centroids(rows, codes, executor, budget, facts));
  const std::uint64_t wide_bytes = Centroids::bytes_for(codes.blocks.count(), rows.dim(), true);
  if (facts.are_coarse() && wide_bytes <= room) {
    codes.centroids = {};
    VECSTORE_ASSIGN(codes.centroids, Centroids::allocate(codes.blocks.count(), rows.dim(), true, budget));
    VECSTORE_TRY(compute_centroids(rows, codes, executor, budget, facts));
  }
  VECSTORE_ASSIGN(codes.groups, group_centroids(codes.centroids, rows.dim(), budget));
  // The model of rows without a far one cannot code it; under inner product that row is the answer to many queries.
  const bool too_narrow = inner_product && facts.has_far_rows && reuse != nullptr && !has_factors(*reuse);
  VECSTORE_ASSIGN(codes.model, reuse != nullptr && !too_narrow
                                   ? copy_model(*reuse, budget)
                                   : make_model(rows, options, facts.has_far_rows, codes, executor, budget));
  VECSTORE_ASSIGN(codes.codes, Buffer<std::uint8_t>::allocate(budget, codes.rows * codes.model.code_bytes));
  if (has_factors(codes.model)) {
    VECSTORE_ASSIGN(codes.factors, Buffer<std::uint16_t>::allocate(budget, codes.rows));
  }
  VECSTORE_ASSIGN(const EncodedRows encoded, encode_rows(rows, codes, executor, budget));
  codes.model.bias_offset = 0;
  codes.model.bias_per_error2 = 0;
  // Keys of wide centroids are squared distances, by differences. A model that is used again may have had other tables.
  const bool needs_fine = codes.centroids.is_wide() && !inner_product;
  codes.model.fine_tables = needs_fine;
  VECSTORE_TRY(store_corrections(encoded, 0, codes, budget));
  VECSTORE_ASSIGN(CodeError error, measure_error(codes, rows, encoded.errors2.span(), executor, budget));
  const double near2 = error.near2;
  codes.model.fine_tables = needs_fine || blurs(error);
  if (codes.model.fine_tables || near2 > 0) VECSTORE_TRY(store_corrections(encoded, near2, codes, budget));
  if (codes.model.fine_tables || !codes.wide_corrections.empty()) {
    VECSTORE_ASSIGN(error, measure_error(codes, rows, encoded.errors2.span(), executor, budget));
  }
  codes.model.bias_offset = error.bias_offset;
  codes.model.bias_per_error2 = error.bias_per_error2;
  codes.model.error_slope = error.slope;
  VECSTORE_TRY(store_corrections(encoded, near2, codes, budget));
  return codes;
}

std::uint64_t predict_encode_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options,
                                   unsigned threads) {
  const CodecShape shape = shape_of(rows, dim, options);
  const std::uint64_t centring = std::max<std::uint64_t>(12ull * dim * threads, find_blocks_bytes(rows, dim, threads));
  const std::uint64_t training = sizeof(float) * shape.sample_rows * padded(dim) + train_bytes(shape, threads);
  const std::uint64_t encoding = encode_rows_bytes(shape, rows, threads);
  const std::uint64_t measuring = measure_error_bytes(rows, dim, shape.code_bytes, threads);
  const std::uint64_t coded = rows * (row_bytes(shape) + kHardRowBytes);
  const std::uint64_t before_codes = predict_resident_bytes(rows, dim, options) - rows * row_bytes(shape);
  return before_codes + std::max({centring, training,
                                  coded + std::max(encoding, encoded_rows_bytes(rows) +
                                                                 std::max(measuring, 2 * sizeof(float) * rows))});
}

std::uint64_t predict_resident_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options) {
  const CodecShape shape = shape_of(rows, dim, options);
  const std::uint64_t blocks = Blocks::even_count(rows);
  return rows * row_bytes(shape) + Centroids::bytes_for(blocks + groups_of(blocks), dim, false) + model_bytes(shape);
}

std::uint64_t predict_hard_bytes(std::uint64_t rows, std::uint32_t dim) {
  const auto centroid_bytes = [dim](std::uint64_t blocks, bool wide) {
    return Centroids::bytes_for(blocks + groups_of(blocks), dim, wide);
  };
  const std::uint64_t most = blocks_max(rows, dim);
  return rows * kHardRowBytes + Blocks::bytes_for(rows, most) +
         std::max(centroid_bytes(most, true), centroid_bytes(most, false)) -
         centroid_bytes(Blocks::even_count(rows), false);
}

std::uint64_t predict_fixed_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options) {
  return model_bytes(shape_of(rows, dim, options));
}

}  // namespace vecstore
