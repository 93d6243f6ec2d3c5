// SPDX-License-Identifier: Apache-2.0
#include "compress/block_encoder.h"

#include <algorithm>
#include <cmath>

#include "base/limits.h"
#include "compress/far_rows.h"
#include "compress/kernels/dense.h"
#include "compress/mixing.h"
#include "compress/model_tables.h"
#include "compress/rabitq.h"
#include "compress/sq8.h"

namespace vecstore {
namespace {

constexpr double kCorrectionLevels = 65535;

// Scratch of one worker, in floats: a batch of residuals, as they are and rotated, and three rows.
std::uint64_t encode_floats(std::uint64_t dim) { return padded(dim) * (2 * ModelTables::kBatch + 3); }

// What is left of a row once its code is written.
struct Settled {
  double correction = 0;  // under L2
  double error2 = 0;
};

// A family of codes says how residuals are rotated, how a batch of them is coded, and what then becomes of each row.

class ProductCoder {
 public:
  ProductCoder(const ModelTables& tables, BlockCodes& codes) : tables_(tables), codes_(codes) {}

  // Residuals of length 1 where the model is scaled; what they were divided by is kept as the rows' factors.
  void scale(std::size_t position, double norm2, float* residual) const {
    if (!codes_.model.scaled) return;
    const std::uint16_t factor = store_factor(static_cast<float>(std::sqrt(norm2)));
    codes_.factors[position] = factor;
    const double length = factor_of(factor);
    if (length > 0) scale_row(residual, codes_.model.dim, 1 / length);
  }

  void rotate(const float* residuals, std::size_t count, float* rotated) const {
    tables_.rotate(residuals, count, rotated);
  }

  void encode(std::size_t first, const float* rotated, std::size_t count) const {
    tables_.encode(rotated, count, codes_.codes.data() + first * codes_.model.code_bytes);
  }

  Settled settle(std::size_t position, double residual_norm2, const float* rotated, const float* shifted) const {
    const CodecModel& model = codes_.model;
    const std::uint8_t* code = codes_.codes.data() + position * model.code_bytes;
    const double factor = model.scaled ? double{factor_of(codes_.factors[position])} : 1.0;
    double shift = 0;
    double norm2 = 0;
    double error2 = 0;
    double kept2 = 0;
    for (std::size_t m = 0; m < model.code_bytes; ++m) {
      for (std::size_t i = model.subspace_begin[m]; i < model.subspace_begin[m + 1]; ++i) {
        const auto coded = static_cast<double>(tables_.coordinate(i, code[m]));
        const double error = static_cast<double>(rotated[i]) - coded;
        shift += static_cast<double>(shifted[i]) * coded;
        norm2 += coded * coded;
        error2 += error * error;
        kept2 += static_cast<double>(rotated[i]) * static_cast<double>(rotated[i]);
      }
    }
    // What lies in the dimensions that were not kept is an error as a whole.
    if (factor == 0) return {residual_norm2, residual_norm2};
    error2 *= factor * factor;
    if (model.rotated_dims() != model.dim) error2 += std::max(0.0, residual_norm2 - factor * factor * kept2);
    return {2 * factor * shift + factor * factor * norm2 + error2, error2};
  }

 private:
  const ModelTables& tables_;
  BlockCodes& codes_;
};

class RabitqCoder {
 public:
  explicit RabitqCoder(BlockCodes& codes) : codes_(codes) {}

  void scale(std::size_t, double, float*) const {}

  void rotate(float* residuals, std::size_t count, float* rotated) const {
    const std::size_t dim = codes_.model.dim;
    for (std::size_t p = 0; p < count; ++p)
      mix(codes_.model.mixing.data(), dim, residuals + p * padded(dim), rotated + p * padded(dim));
  }

  void encode(std::size_t, const float*, std::size_t) const {}

  Settled settle(std::size_t position, double, const float* rotated, const float* shifted) const {
    const CodecModel& model = codes_.model;
    const RabitqRow row =
        encode_rabitq(rotated, shifted, model.dim, model.bits, codes_.codes.data() + position * model.code_bytes);
    codes_.factors[position] = row.factor;
    return {2 * row.shift + row.norm2, row.error2};
  }

 private:
  BlockCodes& codes_;
};

// Encodes one block.
template <typename Coder>
class BlockEncoder {
 public:
  BlockEncoder(const FloatRows& rows, const Coder& coder, const BlockCodes& codes, EncodedRows& encoded)
      : rows_(rows), coder_(coder), codes_(codes), encoded_(encoded), stride_(padded(rows.dim())) {}

  // scratch: [encode_floats(dim)].
  void encode(std::size_t block, float* scratch) const {
    const CodecModel& model = codes_.model;
    float* residuals = scratch;
    float* rotated = residuals + ModelTables::kBatch * stride_;
    float* centroid = rotated + ModelTables::kBatch * stride_;
    float* shifted = centroid + stride_;         // ĉ − μ
    float* shifted_rotated = shifted + stride_;  // R(ĉ − μ)
    codes_.centroids.decode(block, model.dim, centroid);
    for (std::size_t k = 0; k < model.dim; ++k) shifted[k] = centroid[k] - model.mean[k];
    coder_.rotate(shifted, 1, shifted_rotated);

    const std::size_t count = codes_.blocks.rows(block);
    for (std::size_t begin = 0; begin < count; begin += ModelTables::kBatch) {
      const std::size_t part = std::min(ModelTables::kBatch, count - begin);
      const std::size_t first = codes_.blocks.begin(block) + begin;
      double norms2[ModelTables::kBatch];
      for (std::size_t p = 0; p < part; ++p) {
        float* residual = residuals + p * stride_;
        rows_.read(static_cast<Pos>(first + p), residual);
        norms2[p] = 0;
        for (std::size_t k = 0; k < model.dim; ++k) {
          residual[k] -= centroid[k];
          norms2[p] += double{residual[k]} * residual[k];
        }
        coder_.scale(first + p, norms2[p], residual);
      }
      coder_.rotate(residuals, part, rotated);
      coder_.encode(first, rotated, part);
      for (std::size_t p = 0; p < part; ++p)
        note(first + p, coder_.settle(first + p, norms2[p], rotated + p * stride_, shifted_rotated));
    }
  }

 private:
  void note(std::size_t position, const Settled& settled) const {
    const bool inner_product = codes_.model.metric == Metric::kInnerProduct;
    encoded_.corrections[position] = inner_product ? 0.0f : static_cast<float>(settled.correction);
    encoded_.errors2[position] = static_cast<float>(settled.error2);
  }

  const FloatRows& rows_;
  const Coder& coder_;
  const BlockCodes& codes_;
  EncodedRows& encoded_;
  std::size_t stride_;
};

template <typename Coder>
Status encode_all(const FloatRows& rows, const Coder& coder, const BlockCodes& codes, EncodedRows& encoded,
                  Executor& executor, MemoryBudget& budget) {
  const std::size_t floats = encode_floats(codes.model.dim);
  VECSTORE_ASSIGN(auto scratch, Buffer<float>::allocate(budget, floats * executor.thread_count()));
  const BlockEncoder<Coder> encoder(rows, coder, codes, encoded);
  executor.parallel_for(codes.blocks.count(), 1, [&](std::size_t block, std::size_t, unsigned worker) {
    encoder.encode(block, scratch.data() + worker * floats);
  });
  return Status::ok();
}

Status encode_all(const FloatRows& rows, BlockCodes& codes, EncodedRows& encoded, Executor& executor,
                  MemoryBudget& budget) {
  if (codes.model.kind == Codec::kRabitq) return encode_all(rows, RabitqCoder(codes), codes, encoded, executor, budget);
  VECSTORE_ASSIGN(const auto tables, ModelTables::create(codes.model, budget));
  return encode_all(rows, ProductCoder(tables, codes), codes, encoded, executor, budget);
}

}  // namespace

Result<EncodedRows> encode_rows(const FloatRows& rows, BlockCodes& codes, Executor& executor, MemoryBudget& budget) {
  EncodedRows encoded;
  VECSTORE_ASSIGN(encoded.corrections, Buffer<float>::allocate(budget, codes.rows));
  VECSTORE_ASSIGN(encoded.errors2, Buffer<float>::allocate(budget, codes.rows));
  if (codes.rows == 0) return encoded;
  VECSTORE_TRY(encode_all(rows, codes, encoded, executor, budget));
  double error2 = 0;
  double largest = 0;
  for (std::size_t i = 0; i < codes.rows; ++i) {
    error2 += static_cast<double>(encoded.errors2[i]);
    largest = std::max(largest, std::abs(static_cast<double>(encoded.corrections[i])));
  }
  codes.model.mean_square_error = static_cast<float>(error2 / static_cast<double>(codes.rows));
  // Where squares overflowed, nothing computed from them would mean anything.
  if (!std::isfinite(codes.model.mean_square_error) || !std::isfinite(largest))
    return Status(Code::kInvalidInput, "the vectors have values so large that their squares overflow; scale them down");
  return encoded;
}

namespace {

// Between which corrections the 16 bits divide: the extremes, but no farther beyond the middle 96 % than fifty times
// their spread. Else a single far row would take the steps from all others. What lies beyond is cut off, and stays far.
struct CorrectionRange {
  double least = 0;
  double greatest = 0;
  bool is_cut = false;
};

CorrectionRange range_of(std::span<float> values) {
  constexpr double kTail = .02;
  constexpr double kSpreads = 50;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const CorrectionRange all{double{*low}, double{*high}, false};
  const auto at = [&values](double share) {
    const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + place, values.end());
    return double{values[static_cast<std::size_t>(place)]};
  };
  const double lower = at(kTail);
  const double upper = at(1 - kTail);
  const double room = kSpreads * (upper - lower);
  if (!(room > 0)) return all;
  return {std::max(all.least, lower - room), std::min(all.greatest, upper + room),
          all.least < lower - room || all.greatest > upper + room};
}

// Whether steps of corrections are more than what codes leave untold of many rows. Then 16 bits say less of a row than
// its code does. The steps must also tell beside the distances of near rows.
bool is_too_coarse(double step, double near2, std::span<const float> errors2) {
  constexpr double kOfError = .1;
  constexpr double kOfNear = .1;
  if (!(near2 > 0) || step <= kOfNear * near2) return false;
  constexpr std::size_t kShare = 10;
  const auto blurred = std::count_if(errors2.begin(), errors2.end(),
                                     [step](float error2) { return step > kOfError * static_cast<double>(error2); });
  return static_cast<std::size_t>(blurred) * kShare > errors2.size();
}

}  // namespace

Status store_corrections(const EncodedRows& encoded, double near2, BlockCodes& codes, MemoryBudget& budget) {
  if (codes.rows == 0) return Status::ok();
  const auto of_row = [&](std::size_t i) {
    const double bias = static_cast<double>(codes.model.bias_offset) +
                        static_cast<double>(codes.model.bias_per_error2) * static_cast<double>(encoded.errors2[i]);
    return static_cast<double>(encoded.corrections[i]) - bias;
  };
  VECSTORE_ASSIGN(auto values, Buffer<float>::allocate(budget, codes.rows));
  for (std::size_t i = 0; i < codes.rows; ++i) values[i] = static_cast<float>(of_row(i));
  const auto [least, greatest, is_cut] = range_of(values.span());
  const double step = (greatest - least) / kCorrectionLevels;
  codes.model.correction_offset = static_cast<float>(least);
  codes.model.correction_scale = static_cast<float>(step);
  // A long residual has a great factor, and only its whole correction keeps what that makes of the table's sum at bay.
  const bool needs_all = is_cut && !codes.factors.empty();
  if (needs_all || is_too_coarse(step, near2, encoded.errors2.span())) {
    codes.corrections.reset();
    codes.model.correction_offset = 0;
    codes.model.correction_scale = 0;
    VECSTORE_ASSIGN(codes.wide_corrections, Buffer<float>::allocate(budget, codes.rows));
    for (std::size_t i = 0; i < codes.rows; ++i) codes.wide_corrections[i] = static_cast<float>(of_row(i));
    return Status::ok();
  }
  codes.wide_corrections.reset();
  VECSTORE_ASSIGN(codes.corrections, Buffer<std::uint16_t>::allocate(budget, codes.rows));
  const auto offset = static_cast<double>(codes.model.correction_offset);
  const double steps = codes.model.correction_scale > 0 ? 1.0 / static_cast<double>(codes.model.correction_scale) : 0.0;
  for (std::size_t i = 0; i < codes.rows; ++i) {
    const double level = (of_row(i) - offset) * steps + 0.5;
    codes.corrections[i] = static_cast<std::uint16_t>(std::clamp(level, 0.0, kCorrectionLevels));
  }
  return Status::ok();
}

std::uint64_t encode_rows_bytes(const CodecShape& shape, std::uint64_t rows, std::uint64_t threads) {
  return ModelTables::bytes(shape) + sizeof(float) * encode_floats(shape.dim) * threads + encoded_rows_bytes(rows);
}

std::uint64_t encoded_rows_bytes(std::uint64_t rows) { return 2 * sizeof(float) * rows; }

}  // namespace vecstore
