// SPDX-License-Identifier: Apache-2.0
//
// IEEE half ↔ float in portable C++: aarch64 g++-12 has no _Float16 in C++. Kernels widen in bulk; this is the oracle.
#pragma once

#include <bit>
#include <cstdint>

namespace vecstore {

constexpr float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  std::uint32_t exponent = (half >> 10) & 0x1Fu;
  std::uint32_t mantissa = half & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent == 0) {
    if (mantissa == 0) return std::bit_cast<float>(sign);
    exponent = 1;
    while ((mantissa & 0x400u) == 0) {
      mantissa <<= 1;
      --exponent;
    }
    mantissa &= 0x3FFu;
  }
  // `exponent` may have wrapped below zero for a subnormal; the sum is right modulo 2^32.
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

// Rounds to nearest, ties to even; overflows to infinity, keeps NaN.
constexpr std::uint16_t float_to_half(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint16_t sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7C00u);
  const auto rounded = [](std::uint32_t kept, std::uint32_t cut, std::uint32_t half_way) {
    return kept + static_cast<std::uint32_t>(cut > half_way || (cut == half_way && (kept & 1u) != 0));
  };
  if (magnitude < 0x38800000u) {
    if (magnitude < 0x33000000u) return sign;
    const std::uint32_t shift = 126u - (magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t cut = mantissa & ((1u << shift) - 1u);
    return static_cast<std::uint16_t>(sign | rounded(kept, cut, 1u << (shift - 1)));
  }
  const std::uint32_t shifted = magnitude - 0x38000000u;
  return static_cast<std::uint16_t>(sign | rounded(shifted >> 13, shifted & 0x1FFFu, 0x1000u));
}

}  // namespace vecstore
