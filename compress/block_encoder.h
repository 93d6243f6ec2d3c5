// SPDX-License-Identifier: Apache-2.0
//
// Rows into codes, block by block, once centroids and model are there.
#pragma once

#include <cstdint>

#include "compress/block_codes.h"
#include "compress/codec_model.h"

namespace vecstore {

std::size_t rows_of_block(const BlockCodes& codes, std::size_t block);

// ĉ, as a search will see it. out: [dim].
void decode_centroid(const BlockCodes& codes, std::size_t block, std::size_t dim, float* out);

// Fills codes, factors and corrections, and what the model says of these. `codes` has its model, its centroids and room
// for the rows. Same bytes for any thread count. Errors: kMemoryBudget, kInvalidInput (squares of values overflow).
Status encode_rows(const FloatRows& rows, BlockCodes& codes, Executor& executor, MemoryBudget& budget);

// What encode_rows charges at its peak.
std::uint64_t encode_rows_bytes(const CodecShape& shape, std::uint64_t rows, std::uint64_t threads);

}  // namespace vecstore
