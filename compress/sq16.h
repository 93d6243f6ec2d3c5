// SPDX-License-Identifier: Apache-2.0
//
// SQ16: two bytes a dimension with a scale and an offset per row, x̂[i] = offset + scale · code[i]. What a page holds
// where eight bits cannot tell near rows apart (engine/builder/README.md). Distances to such rows are computed from the
// floats that they stand for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecstore {

struct Sq16Row {
  float scale = 0.0f;  // ≥ 0; 0 when all elements are equal
  float offset = 0.0f;
};

// row: [dim] finite floats → codes: [dim]. Deterministic; the extremes of the row are exact.
Sq16Row encode_sq16(const float* row, std::size_t dim, std::uint16_t* codes);

// codes: [dim] little-endian, at any even address → out: [dim].
void decode_sq16(const std::uint16_t* codes, float scale, float offset, std::size_t dim, float* out);

}  // namespace vecstore
