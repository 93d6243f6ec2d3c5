// SPDX-License-Identifier: Apache-2.0
//
// What the model of a code cache will look like, and what it will take, before there is one.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/codec_model.h"

namespace vecstore {

inline constexpr std::uint32_t kCodewords = 256;

// What a model for these rows will look like; every decision that depends on sizes is taken here.
struct CodecShape {
  Codec kind = Codec::kPq;
  std::uint32_t dim = 0;
  std::uint32_t code_bytes = 0;
  std::uint32_t codewords = 0;
  std::uint32_t bits = 0;         // a dimension, of kRabitq
  std::uint64_t sample_rows = 0;  // kRabitq: 0
};

CodecShape shape_of(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options);

// At most: training may find that fewer dimensions do.
std::uint64_t model_bytes(const CodecShape& shape);

// Bytes of a row: code, correction and factor.
std::uint64_t row_bytes(const CodecShape& shape);

// A model of that shape with its arrays allocated and zero; the mixing of kRabitq is drawn. Errors: kMemoryBudget.
Result<CodecModel> empty_model(const CodecShape& shape, Metric metric, std::uint64_t seed, MemoryBudget& budget);

}  // namespace vecstore
