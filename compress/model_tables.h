// SPDX-License-Identifier: Apache-2.0
//
// The form in which encoding uses a trained model.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/memory.h"
#include "base/status.h"
#include "compress/codec_model.h"
#include "compress/codec_shape.h"

namespace vecstore {

// The rotation of the model transposed → out: [dim × padded(rotated_dims())].
void transpose_rotation(const CodecModel& model, float* out);

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
