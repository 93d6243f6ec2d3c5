// SPDX-License-Identifier: Apache-2.0
//
// Training of the model that all rows of a code cache share, and the form in which encoding uses it.
#pragma once

#include <cstdint>

#include "compress/block_codes.h"
#include "compress/kernels/dense.h"

namespace vecstore {

inline constexpr std::uint32_t kCodewords = 256;

// What a model for these rows will look like; every decision that depends on sizes is taken here.
struct CodecShape {
  CodecKind kind = CodecKind::kPq;
  std::uint32_t dim = 0;
  std::uint32_t code_bytes = 0;
  std::uint32_t codewords = 0;
  std::uint32_t bits = 0;         // a dimension, of kRabitq
  std::uint64_t sample_rows = 0;  // kRabitq: 0
};

CodecShape shape_of(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options);

// At most: training may find that fewer dimensions do.
std::uint64_t model_bytes(const CodecShape& shape);

// Of a row: code, correction and factor.
std::uint64_t row_bytes(const CodecShape& shape);

// A model of that shape with its arrays allocated and zero; the mixing of kRabitq is drawn. Errors: kMemoryBudget.
Result<CodecModel> empty_model(const CodecShape& shape, Metric metric, std::uint64_t seed, MemoryBudget& budget);

// Trains rotation and codebooks. sample: [shape.sample_rows × padded(dim)] residuals, which are overwritten.
// Same result for any thread count. Errors: kMemoryBudget, kInvalidInput.
Status train_model(const CodecShape& shape, std::uint64_t seed, float* sample, Executor& executor, MemoryBudget& budget,
                   CodecModel& model);

// What train_model charges at its peak.
std::uint64_t train_bytes(const CodecShape& shape, std::uint64_t threads);

// A model of kPq or kOpq laid out for encoding: the rotation transposed, the codewords padded to 256 with a norm of
// +infinity.
class ModelTables {
 public:
  static Result<ModelTables> create(const CodecModel& model, MemoryBudget& budget);
  static std::uint64_t bytes(const CodecShape& shape);

  // residuals → rotated: both [count × padded(dim)], of which rotated_dims() count, count ≤ kBatch; not the same
  // memory. Copies under kPq.
  void rotate(const float* residuals, std::size_t count, float* rotated) const;

  // rotated: [count × padded(dim)] → codes: [count × code_bytes], count ≤ kBatch.
  void encode(const float* rotated, std::size_t count, std::uint8_t* codes) const;

  // The coordinate of a codeword in rotated dimension i.
  float coordinate(std::size_t i, std::uint8_t code) const { return model_->codebook[i * model_->codewords + code]; }
  const CodecModel& model() const { return *model_; }

  static constexpr std::size_t kBatch = 64;

 private:
  ModelTables() = default;
  const CodecModel* model_ = nullptr;
  Buffer<float> rotation_;   // [dim × padded(rotated_dims())] the transpose
  Buffer<float> codewords_;  // [rotated_dims() × kCodewords]
  Buffer<float> norms_;      // [code_bytes × kCodewords]
};

}  // namespace vecstore
