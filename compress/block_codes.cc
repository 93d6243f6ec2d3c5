// SPDX-License-Identifier: Apache-2.0
#include "compress/block_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "compress/code_error.h"
#include "compress/codec_model.h"
#include "compress/sq8.h"
#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/random.h"

namespace vecstore {
namespace {

constexpr std::size_t kCorrectionLevels = 65535;

std::uint64_t blocks_of(std::uint64_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

std::size_t rows_of_block(const BlockCodes& codes, std::size_t block) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(kBlockRows, codes.rows - std::uint64_t{block} * kBlockRows));
}

struct BlockTotals {
  double error2 = 0;  // Σ |r − r̂|²
  float least = 0;    // correction
  float greatest = 0;
};

// Scratch of one worker while rows are encoded, in floats.
std::uint64_t encode_floats(std::uint64_t dim) { return padded(dim) * (2 * ModelTables::kBatch + 3); }

Status allocate_centroids(BlockCodes& codes, std::uint32_t dim, MemoryBudget& budget) {
  VECSTORE_ASSIGN(codes.centroids, Buffer<std::uint8_t>::allocate(budget, codes.blocks * dim));
  VECSTORE_ASSIGN(codes.centroid_scale, Buffer<float>::allocate(budget, codes.blocks));
  VECSTORE_ASSIGN(codes.centroid_offset, Buffer<float>::allocate(budget, codes.blocks));
  VECSTORE_ASSIGN(codes.centroid_norm2, Buffer<float>::allocate(budget, codes.blocks));
  return Status::ok();
}

Status compute_centroids(const FloatRows& rows, BlockCodes& codes, Executor& executor, MemoryBudget& budget) {
  const std::size_t dim = rows.dim();
  VECSTORE_ASSIGN(auto row_scratch, Buffer<float>::allocate(budget, dim * executor.thread_count()));
  VECSTORE_ASSIGN(auto sum_scratch, Buffer<double>::allocate(budget, dim * executor.thread_count()));
  executor.parallel_for(codes.blocks, 1, [&](std::size_t block, std::size_t, unsigned worker) {
    float* row = row_scratch.data() + worker * dim;
    double* sums = sum_scratch.data() + worker * dim;
    std::fill_n(sums, dim, 0.0);
    const std::size_t count = rows_of_block(codes, block);
    for (std::size_t i = 0; i < count; ++i) {
      rows.read(static_cast<Pos>(block * kBlockRows + i), row);
      for (std::size_t k = 0; k < dim; ++k) sums[k] += static_cast<double>(row[k]);
    }
    for (std::size_t k = 0; k < dim; ++k) row[k] = static_cast<float>(sums[k] / static_cast<double>(count));
    std::uint8_t* centroid = codes.centroids.data() + block * dim;
    const Sq8Row encoded = encode_sq8(row, dim, centroid);
    codes.centroid_scale[block] = encoded.scale;
    codes.centroid_offset[block] = encoded.offset;
    codes.centroid_norm2[block] = norm2_sq8(centroid, encoded.scale, encoded.offset, dim);
  });
  return Status::ok();
}

void decode_centroid(const BlockCodes& codes, std::size_t block, std::size_t dim, float* out) {
  decode_sq8(codes.centroids.data() + block * dim, codes.centroid_scale[block], codes.centroid_offset[block], dim, out);
}

// μ, the mean of all rows up to the rounding of the centroids. Any μ is right; this one keeps the tables' range small.
Status compute_mean(const BlockCodes& codes, MemoryBudget& budget, CodecModel& model) {
  if (model.metric == Metric::kInnerProduct || codes.rows == 0) return Status::ok();
  const std::size_t dim = model.dim;
  VECSTORE_ASSIGN(auto sums, Buffer<double>::allocate(budget, dim));
  for (std::size_t block = 0; block < codes.blocks; ++block) {
    decode_centroid(codes, block, dim, model.mean.data());
    const auto weight = static_cast<double>(rows_of_block(codes, block));
    for (std::size_t k = 0; k < dim; ++k) sums[k] += weight * static_cast<double>(model.mean[k]);
  }
  for (std::size_t k = 0; k < dim; ++k) model.mean[k] = static_cast<float>(sums[k] / static_cast<double>(codes.rows));
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
      const std::size_t block = position / kBlockRows;
      const std::uint8_t* centroid = codes.centroids.data() + block * shape.dim;
      for (std::size_t k = 0; k < shape.dim; ++k)
        residual[k] -= codes.centroid_offset[block] + codes.centroid_scale[block] * static_cast<float>(centroid[k]);
    }
  });
}

Result<CodecModel> make_model(const FloatRows& rows, const CodecOptions& options, const BlockCodes& codes,
                              Executor& executor, MemoryBudget& budget) {
  const CodecShape shape = shape_of(rows.rows(), rows.dim(), options);
  VECSTORE_ASSIGN(auto model, empty_model(shape, options.metric, budget));
  VECSTORE_TRY(compute_mean(codes, budget, model));
  VECSTORE_ASSIGN(auto sample, Buffer<float>::allocate(budget, shape.sample_rows * padded(shape.dim)));
  draw_sample(rows, codes, shape, options.seed, executor, sample.data());
  VECSTORE_TRY(train_model(shape, options.seed, sample.data(), executor, budget, model));
  return model;
}

// Encodes one block: codes, corrections as floats, totals.
class BlockEncoder {
 public:
  BlockEncoder(const FloatRows& rows, const ModelTables& tables, BlockCodes& codes, float* corrections)
      : rows_(rows), tables_(tables), codes_(codes), corrections_(corrections), stride_(padded(rows.dim())) {}

  // scratch: [encode_floats(dim)].
  BlockTotals encode(std::size_t block, float* scratch) const {
    const CodecModel& model = tables_.model();
    float* residuals = scratch;
    float* rotated = residuals + ModelTables::kBatch * stride_;
    float* centroid = rotated + ModelTables::kBatch * stride_;
    float* shifted = centroid + stride_;         // ĉ − μ
    float* shifted_rotated = shifted + stride_;  // R(ĉ − μ)
    decode_centroid(codes_, block, model.dim, centroid);
    for (std::size_t k = 0; k < model.dim; ++k) shifted[k] = centroid[k] - model.mean[k];
    tables_.rotate(shifted, 1, shifted_rotated);

    BlockTotals totals = {0, std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()};
    const std::size_t count = rows_of_block(codes_, block);
    for (std::size_t begin = 0; begin < count; begin += ModelTables::kBatch) {
      const std::size_t part = std::min(ModelTables::kBatch, count - begin);
      const std::size_t first = block * kBlockRows + begin;
      for (std::size_t p = 0; p < part; ++p) {
        float* residual = residuals + p * stride_;
        rows_.read(static_cast<Pos>(first + p), residual);
        for (std::size_t k = 0; k < model.dim; ++k) residual[k] -= centroid[k];
      }
      tables_.rotate(residuals, part, rotated);
      tables_.encode(rotated, part, codes_.codes.data() + first * model.code_bytes);
      for (std::size_t p = 0; p < part; ++p) settle(first + p, rotated + p * stride_, shifted_rotated, totals);
    }
    return totals;
  }

 private:
  void settle(std::size_t position, const float* rotated, const float* shifted_rotated, BlockTotals& totals) const {
    const CodecModel& model = tables_.model();
    const std::uint8_t* code = codes_.codes.data() + position * model.code_bytes;
    double shift = 0;
    double norm2 = 0;
    double error2 = 0;
    for (std::size_t m = 0; m < model.code_bytes; ++m) {
      for (std::size_t i = model.subspace_begin[m]; i < model.subspace_begin[m + 1]; ++i) {
        const auto coded = static_cast<double>(tables_.coordinate(i, code[m]));
        const double error = static_cast<double>(rotated[i]) - coded;
        shift += static_cast<double>(shifted_rotated[i]) * coded;
        norm2 += coded * coded;
        error2 += error * error;
      }
    }
    const bool inner_product = model.metric == Metric::kInnerProduct;
    const float correction = inner_product ? 0.0f : static_cast<float>(2 * shift + norm2 + error2);
    corrections_[position] = correction;
    totals.error2 += error2;
    totals.least = std::min(totals.least, correction);
    totals.greatest = std::max(totals.greatest, correction);
  }

  const FloatRows& rows_;
  const ModelTables& tables_;
  BlockCodes& codes_;
  float* corrections_;
  std::size_t stride_;
};

// corrections: [rows] → 16 bits between the exact extremes.
void quantise_corrections(const Buffer<float>& corrections, const BlockTotals& all, BlockCodes& codes,
                          Executor& executor) {
  const float scale = static_cast<float>((static_cast<double>(all.greatest) - static_cast<double>(all.least)) /
                                         static_cast<double>(kCorrectionLevels));
  codes.model.correction_offset = all.least;
  codes.model.correction_scale = scale;
  const double steps = scale > 0 ? 1.0 / static_cast<double>(scale) : 0.0;
  executor.parallel_for(corrections.size(), 16384, [&](std::size_t begin, std::size_t end, unsigned) {
    for (std::size_t i = begin; i < end; ++i) {
      const double level = (static_cast<double>(corrections[i]) - static_cast<double>(all.least)) * steps + 0.5;
      codes.corrections[i] =
          static_cast<std::uint16_t>(std::min(level, static_cast<double>(kCorrectionLevels)));
    }
  });
}

Status encode_rows(const FloatRows& rows, BlockCodes& codes, Executor& executor, MemoryBudget& budget) {
  VECSTORE_ASSIGN(const auto tables, ModelTables::create(codes.model, budget));
  const std::size_t floats = encode_floats(codes.model.dim);
  VECSTORE_ASSIGN(auto scratch, Buffer<float>::allocate(budget, floats * executor.thread_count()));
  VECSTORE_ASSIGN(auto corrections, Buffer<float>::allocate(budget, codes.rows));
  VECSTORE_ASSIGN(auto totals, Buffer<BlockTotals>::allocate(budget, codes.blocks));
  const BlockEncoder encoder(rows, tables, codes, corrections.data());
  executor.parallel_for(codes.blocks, 1, [&](std::size_t block, std::size_t, unsigned worker) {
    totals[block] = encoder.encode(block, scratch.data() + worker * floats);
  });
  if (codes.blocks == 0) return Status::ok();
  BlockTotals all = totals[0];
  for (std::size_t block = 1; block < codes.blocks; ++block) {
    all.error2 += totals[block].error2;
    all.least = std::min(all.least, totals[block].least);
    all.greatest = std::max(all.greatest, totals[block].greatest);
  }
  codes.model.mean_square_error = static_cast<float>(all.error2 / static_cast<double>(codes.rows));
  // The slope below rejects what is not finite here: squares of the values that overflowed.
  if (!std::isfinite(codes.model.mean_square_error) || !std::isfinite(all.least) || !std::isfinite(all.greatest))
    return {Code::kInvalidInput, "the vectors have values so large that their squares overflow; scale them down"};
  quantise_corrections(corrections, all, codes, executor);
  return Status::ok();
}

}  // namespace

std::uint64_t BlockCodes::bytes_per_row_total() const {
  return codes.size_bytes() + corrections.size_bytes() + centroids.size_bytes() + centroid_scale.size_bytes() +
         centroid_offset.size_bytes() + centroid_norm2.size_bytes();
}

std::uint64_t BlockCodes::fixed_bytes() const {
  return model.mean.size_bytes() + model.rotation.size_bytes() + model.codebook.size_bytes();
}

Result<CodecModel> copy_model(const CodecModel& model, MemoryBudget& budget) {
  const auto copy = [&budget](const Buffer<float>& from) -> Result<Buffer<float>> {
    VECSTORE_ASSIGN(auto to, Buffer<float>::allocate(budget, from.size()));
    std::copy(from.begin(), from.end(), to.begin());
    return to;
  };
  CodecModel copied;
  copied.kind = model.kind;
  copied.metric = model.metric;
  copied.dim = model.dim;
  copied.code_bytes = model.code_bytes;
  copied.codewords = model.codewords;
  copied.correction_scale = model.correction_scale;
  copied.correction_offset = model.correction_offset;
  copied.error_slope = model.error_slope;
  copied.mean_square_error = model.mean_square_error;
  copied.subspace_begin = model.subspace_begin;
  VECSTORE_ASSIGN(copied.mean, copy(model.mean));
  VECSTORE_ASSIGN(copied.rotation, copy(model.rotation));
  VECSTORE_ASSIGN(copied.codebook, copy(model.codebook));
  return copied;
}

Result<BlockCodes> encode_blocks(const FloatRows& rows, const CodecOptions& options, const CodecModel* reuse,
                                 Executor& executor, MemoryBudget& budget) {
  VECSTORE_CHECK(reuse == nullptr || (reuse->dim == rows.dim() && reuse->metric == options.metric));
  BlockCodes codes;
  codes.rows = rows.rows();
  codes.blocks = blocks_of(codes.rows);
  VECSTORE_TRY(allocate_centroids(codes, rows.dim(), budget));
  VECSTORE_TRY(compute_centroids(rows, codes, executor, budget));
  VECSTORE_ASSIGN(codes.model, reuse != nullptr ? copy_model(*reuse, budget)
                                                : make_model(rows, options, codes, executor, budget));
  VECSTORE_ASSIGN(codes.codes, Buffer<std::uint8_t>::allocate(budget, codes.rows * codes.model.code_bytes));
  VECSTORE_ASSIGN(codes.corrections, Buffer<std::uint16_t>::allocate(budget, codes.rows));
  VECSTORE_TRY(encode_rows(rows, codes, executor, budget));
  VECSTORE_ASSIGN(codes.model.error_slope, measure_error_slope(codes, rows, executor, budget));
  return codes;
}

std::uint64_t predict_encode_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options,
                                   unsigned threads) {
  const CodecShape shape = shape_of(rows, dim, options);
  const std::uint64_t blocks = blocks_of(rows);
  const std::uint64_t centring = 12ull * dim * threads;
  const std::uint64_t training = sizeof(float) * shape.sample_rows * padded(dim) + train_bytes(shape, threads);
  const std::uint64_t encoding = ModelTables::bytes(shape) + sizeof(float) * (encode_floats(dim) * threads + rows) +
                                 sizeof(BlockTotals) * blocks;
  const std::uint64_t measuring = measure_error_bytes(rows, dim, shape.code_bytes, threads);
  const std::uint64_t coded = rows * (shape.code_bytes + sizeof(std::uint16_t));
  const std::uint64_t before_codes = predict_resident_bytes(rows, dim, options) - coded;
  return before_codes + std::max({centring, training, coded + std::max(encoding, measuring)});
}

std::uint64_t predict_resident_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options) {
  const CodecShape shape = shape_of(rows, dim, options);
  const std::uint64_t of_block = dim + 3 * sizeof(float);
  return rows * (shape.code_bytes + sizeof(std::uint16_t)) + blocks_of(rows) * of_block + model_bytes(shape);
}

}  // namespace vecstore
