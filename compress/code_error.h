// SPDX-License-Identifier: Apache-2.0
//
// How far estimates are from the truth where it matters: between a row and its near neighbours.
#pragma once

#include <cstdint>
#include <span>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"
#include "compress/float_rows.h"

namespace vecstore {

struct CodeError {
  float bias_offset = 0;  // the bias as in CodecModel
  float bias_per_error2 = 0;
  float slope = 0;         // standard error of what the bias leaves, by distance
  double table_share = 0;  // share of its variance that the steps of the tables cause
  double table_error = 0;  // standard error that they cause
  double near2 = 0;        // |q − x|² of the nearest row (ip: |⟨q,x⟩|), for every other row; 0: there are no pairs
};

// Rows spread over `codes` act as queries. Each ranks the nearest blocks' rows by estimate as a search does. For the
// nearest of those by true distance the bias is fitted by least squares. Then slope² = Σ (estimate − bias − key)² / Σ
// (error_scale · |q − x|)² (ip: · |q|). So close duplicates do not dominate. 0 when there are no pairs. errors2: [rows]
// |r − r̂|². Same result for any thread count. Errors: kMemoryBudget.
Result<CodeError> measure_error(const BlockCodes& codes, const FloatRows& rows, std::span<const float> errors2,
                                Executor& executor, MemoryBudget& budget);

// What measure_error charges at its peak.
std::uint64_t measure_error_bytes(std::uint64_t rows, std::uint32_t dim, std::uint32_t code_bytes,
                                  std::uint64_t threads);

}  // namespace vecstore
