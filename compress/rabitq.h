// SPDX-License-Identifier: Apache-2.0
//
// RaBitQ with 1, 2 or 4 bits a dimension (Gao, Long, SIGMOD 2024; Gao, Gou, Xu, Yang, Long, Wong, SIGMOD 2025): a code
// that needs no training. The rotated residual r of a row is coded as the grid point g that makes the smallest angle
// with it. There g = u − (2^b − 1) / 2, and u holds b bits a dimension. The row also has the factor f = |r|² / ⟨g, r⟩.
// With it ⟨f · g, v⟩ is an estimate of ⟨r, v⟩ without bias over random rotations. Its error is
//
//   ⟨f · g − r, v⟩,   f · g − r ⟂ r,   |f · g − r|² = |r|² (1 / cos²(g, r) − 1).
//
// Bit k of dimension i lies in byte i · b / 8, low dimensions in the low bits. A byte is thus a subspace of 8 / b
// dimensions with 256 codewords known in advance, and the scorers of PQ serve. Thread safety: pure functions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace vecstore {

// ⌈dim · bits / 8⌉.
std::uint32_t rabitq_code_bytes(std::uint32_t dim, std::uint32_t bits);

// The most bits a dimension, of 1, 2 and 4, whose code fits into `code_bytes`; 1 if none does.
std::uint32_t rabitq_bits(std::uint32_t dim, std::uint32_t code_bytes);

// Factors are floats without sign and without their last 15 bits: 8 bits of exponent, 8 of mantissa. Below
// kFactorsEnd they are finite.
inline constexpr std::uint16_t kFactorsEnd = 0xFF00;
inline float factor_of(std::uint16_t stored) { return std::bit_cast<float>(std::uint32_t{stored} << 15); }
// factor ≥ 0. The nearest; infinity and what rounds to it become the greatest that is finite.
std::uint16_t store_factor(float factor);

struct RabitqRow {
  std::uint16_t factor = 0;
  double norm2 = 0;   // |r|²
  double shift = 0;   // ⟨shifted, f · g⟩
  double error2 = 0;  // |r − f · g|²
};

// residual, shifted: [dim]; code: [rabitq_code_bytes(dim, bits)]. The factor of a residual of zero, or too small for
// normal floats, is 0. The same on every machine.
RabitqRow encode_rabitq(const float* residual, const float* shifted, std::size_t dim, std::uint32_t bits,
                        std::uint8_t* code);

// table[j] = ⟨query, g⟩ over the dimensions of one byte, for each of its 256 values; query: [count], count ≤ 8 / bits;
// dimensions that are missing count as zero.
void fill_rabitq_table(const float* query, std::size_t count, std::uint32_t bits, float* table);

// g in dimension i.
inline float rabitq_coordinate(const std::uint8_t* code, std::size_t i, std::uint32_t bits) {
  const std::size_t at = i * bits;
  const unsigned levels = 1u << bits;
  return static_cast<float>((code[at / 8] >> (at % 8)) & (levels - 1)) - 0.5f * static_cast<float>(levels - 1);
}

}  // namespace vecstore
