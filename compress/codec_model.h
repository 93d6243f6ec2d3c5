// SPDX-License-Identifier: Apache-2.0
//
// What all rows of a code cache share: the kind of its codes, and what was trained or drawn for them
// (compress/block_codes.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/codec.h"

namespace vecstore {

struct CodecOptions {
  Codec kind = Codec::kOpq;       // kPq: R is the identity; not kAutomatic
  std::uint32_t code_bytes = 32;  // subspaces; 1 … dim. kRabitq: room for the widest of 1, 2 and 4 bits a dimension
  Metric metric = Metric::kL2;
  std::uint64_t seed = 1;
  std::uint32_t sample_rows = 65536;  // rows that rotation and codebooks are trained on; kRabitq: none
};

// What all rows share. Fixed size, D the rotated dimensions that codewords differ in: (D·dim if rotated) + codewords·D
// + D + dim floats; kRabitq: dim floats and a mixing.
struct CodecModel {
  Codec kind = Codec::kOpq;
  Metric metric = Metric::kL2;
  std::uint32_t dim = 0;
  std::uint32_t code_bytes = 0;
  std::uint32_t codewords = 0;  // per subspace, ≤ 256; fewer when there are fewer rows; kRabitq: 0
  std::uint32_t bits = 0;       // a dimension, of kRabitq
  bool scaled = false;          // kPq and kOpq: rows have factors
  bool fine_tables = false;     // queries have tables of floats
  float correction_scale = 0;   // correction = correction_offset + correction_scale · u16
  float correction_offset = 0;
  float error_slope = 0;        // standard error of an estimate ≈ error_slope · error_scale · |q − x| (ip: · |q|)
  float mean_square_error = 0;  // mean over rows of |r − r̂|²
  float bias_offset = 0;        // zero where rows have factors and under inner product
  float bias_per_error2 = 0;
  std::vector<std::uint32_t> subspace_begin;  // [code_bytes + 1] into the rotated dimensions; empty for kRabitq
  // Rotated dimensions that are kept, at most dim; in the others every codeword is zero.
  std::size_t rotated_dims() const { return subspace_begin.empty() ? dim : subspace_begin.back(); }
  Buffer<float> mean;            // [dim]; zero under inner product
  Buffer<float> rotation;        // [rotated_dims() × dim] row-major, rotated = rotation · x; kOpq only
  Buffer<float> weights;         // [rotated_dims()] by which encoding multiplies errors in a dimension; not kRabitq
  Buffer<float> codebook;        // [rotated_dims() × codewords]: row i is dimension i of the codewords of its subspace
  Buffer<std::uint16_t> mixing;  // [kMixingRounds × dim] the rotation of kRabitq (compress/mixing.h)
};

// Whether queries have the same tables with both (compress/code_scorer.h).
bool have_same_tables(const CodecModel& a, const CodecModel& b);

// A copy of the model charged to `budget`.
Result<CodecModel> copy_model(const CodecModel& model, MemoryBudget& budget);

}  // namespace vecstore
