// SPDX-License-Identifier: Apache-2.0
//
// How far estimates are from the truth where it matters: between a row and its near neighbours.
#pragma once

#include <cstdint>

#include "compress/block_codes.h"

namespace vecstore {

// Rows spread over `codes` act as queries. Each ranks the nearest blocks' rows by estimate as a search does; with the
// nearest of those by true distance the slope is fitted by least squares, slope² = Σ (estimate − key)² / Σ (error_scale
// · |q − x|)² (ip: · |q|), so that close duplicates do not dominate. 0 when there are no pairs. Same result for any
// thread count.
// Errors: kMemoryBudget.
Result<float> measure_error_slope(const BlockCodes& codes, const FloatRows& rows, Executor& executor,
                                  MemoryBudget& budget);

// What measure_error_slope charges at its peak.
std::uint64_t measure_error_bytes(std::uint64_t rows, std::uint32_t dim, std::uint32_t code_bytes,
                                  std::uint64_t threads);

}  // namespace vecstore
