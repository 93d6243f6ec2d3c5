// SPDX-License-Identifier: Apache-2.0
//
// SQ8: one byte a dimension with a scale and an offset per row, x̂[i] = offset + scale · code[i]. What a page holds when
// the input is f32 or f16, and what the builder computes with. u8 and i8 input is the same form with scale 1 and offset
// 0 or −128, exactly.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecstore {

struct Sq8Row {
  float scale = 1.0f;   // ≥ 0; 0 when all elements are equal
  float offset = 0.0f;
  std::uint32_t code_sum = 0;  // Σ code[i]
  float norm2 = 0.0f;          // |x̂|² + |x − x̂|²: makes |q|² + norm2 − 2⟨q,x̂⟩ an unbiased |q − x|²
};

// row: [dim] finite floats → codes: [dim]. Deterministic; the extremes of the row are exact.
Sq8Row encode_sq8(const float* row, std::size_t dim, std::uint8_t* codes);

// codes: [dim] → out: [dim].
void decode_sq8(const std::uint8_t* codes, float scale, float offset, std::size_t dim, float* out);

// |x̂|² of codes: [dim].
float norm2_sq8(const std::uint8_t* codes, float scale, float offset, std::size_t dim);

// ⟨x̂, ŷ⟩ of two SQ8 rows from the integer dot product of their codes.
inline float dot_sq8(const Sq8Row& x, const Sq8Row& y, std::uint32_t code_dot, std::size_t dim) {
  return x.scale * y.scale * static_cast<float>(code_dot) + x.scale * y.offset * static_cast<float>(x.code_sum) +
         x.offset * y.scale * static_cast<float>(y.code_sum) + x.offset * y.offset * static_cast<float>(dim);
}

}  // namespace vecstore
