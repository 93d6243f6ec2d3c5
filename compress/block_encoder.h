// SPDX-License-Identifier: Apache-2.0
//
// Rows into codes, block by block, once centroids and model are there.
#pragma once

#include <cstdint>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"
#include "compress/codec_shape.h"
#include "compress/float_rows.h"

namespace vecstore {

// What is known of the rows while they are encoded, and rounded or dropped afterwards.
struct EncodedRows {
  Buffer<float> corrections;  // [rows]
  Buffer<float> errors2;      // [rows] |r − r̂|²
};

// Fills codes, factors and the mean square error. `codes` has its model, its centroids and room for the rows. Same
// bytes for any thread count. Errors: kMemoryBudget, kInvalidInput (squares of values overflow).
Result<EncodedRows> encode_rows(const FloatRows& rows, BlockCodes& codes, Executor& executor, MemoryBudget& budget);

// Rounds the corrections, less the bias that the model states, into `codes`: to 16 bits, or to 32 where steps of 16
// would blur rows whose distances are as small as `near2`; 0: that is not known yet. Errors: kMemoryBudget.
Status store_corrections(const EncodedRows& encoded, double near2, BlockCodes& codes, MemoryBudget& budget);

// What encode_rows charges at its peak, and what of that is in EncodedRows.
std::uint64_t encode_rows_bytes(const CodecShape& shape, std::uint64_t rows, std::uint64_t threads);
std::uint64_t encoded_rows_bytes(std::uint64_t rows);

}  // namespace vecstore
