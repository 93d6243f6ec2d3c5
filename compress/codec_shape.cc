// SPDX-License-Identifier: Apache-2.0
#include "compress/codec_shape.h"

#include <algorithm>

#include "base/check.h"
#include "base/limits.h"
#include "compress/kernels/dense.h"
#include "compress/mixing.h"
#include "compress/rabitq.h"
#include "compress/rotation.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kRotatedDimMax = 2048;    // the eigenvectors of more would take minutes and the rotation 16 MiB
constexpr std::uint64_t kRotationRowsPerDim = 4;  // fewer rows do not determine a covariance
constexpr std::uint64_t kSampleBytesMax = 192u << 20;      // bytes of residuals; at 784 dimensions 64,200 rows
constexpr std::uint64_t kSampleRowsMin = 40 * kCodewords;  // below that codewords fit the sample, not the data

}  // namespace

CodecShape shape_of(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options) {
  VECSTORE_CHECK(dim != 0 && dim <= kDimMax && rows <= kRowsMax && options.kind != Codec::kAutomatic);
  CodecShape shape;
  shape.dim = dim;
  if (options.kind == Codec::kRabitq) {
    shape.kind = Codec::kRabitq;
    shape.bits = rabitq_bits(dim, options.code_bytes);
    shape.code_bytes = rabitq_code_bytes(dim, shape.bits);
    return shape;
  }
  shape.code_bytes = std::clamp(options.code_bytes, 1u, dim);
  const bool determined = rows >= kRotationRowsPerDim * dim && dim <= kRotatedDimMax;
  shape.kind = options.kind == Codec::kOpq && determined ? Codec::kOpq : Codec::kPq;
  const std::uint64_t row_bytes = padded(dim) * sizeof(float);
  const std::uint64_t most = std::max(kSampleRowsMin, kSampleBytesMax / row_bytes);
  shape.sample_rows = std::min({rows, most, std::uint64_t{std::max(options.sample_rows, 1u)}});
  shape.codewords = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(shape.sample_rows, 1, kCodewords));
  return shape;
}

std::uint64_t model_bytes(const CodecShape& shape) {
  const std::uint64_t dim = shape.dim;
  const std::uint64_t rotation = shape.kind == Codec::kOpq ? dim * dim : 0;
  const std::uint64_t mixing = shape.kind == Codec::kRabitq ? kMixingRounds * dim : 0;
  const std::uint64_t weights = shape.kind == Codec::kRabitq ? 0 : dim;
  return sizeof(float) * (dim + weights + rotation + dim * shape.codewords) + sizeof(std::uint16_t) * mixing;
}

std::uint64_t row_bytes(const CodecShape& shape) {
  return shape.code_bytes + sizeof(std::uint16_t) * (shape.kind == Codec::kRabitq ? 2 : 1);
}

Result<CodecModel> empty_model(const CodecShape& shape, Metric metric, std::uint64_t seed, MemoryBudget& budget) {
  CodecModel model;
  const std::size_t dim = shape.dim;
  model.kind = shape.kind;
  model.metric = metric;
  model.dim = shape.dim;
  model.code_bytes = shape.code_bytes;
  model.codewords = shape.codewords;
  model.bits = shape.bits;
  VECSTORE_ASSIGN(model.mean, Buffer<float>::allocate(budget, dim));
  if (shape.kind == Codec::kRabitq) {
    VECSTORE_ASSIGN(model.mixing, Buffer<std::uint16_t>::allocate(budget, kMixingRounds * dim));
    draw_mixing(shape.dim, seed, model.mixing.data());
    return model;
  }
  model.subspace_begin = even_subspaces(shape.dim, shape.code_bytes);
  if (shape.kind == Codec::kOpq) {
    VECSTORE_ASSIGN(model.rotation, Buffer<float>::allocate(budget, dim * dim));
  }
  VECSTORE_ASSIGN(model.weights, Buffer<float>::allocate(budget, dim));
  VECSTORE_ASSIGN(model.codebook, Buffer<float>::allocate(budget, dim * shape.codewords));
  return model;
}

}  // namespace vecstore
