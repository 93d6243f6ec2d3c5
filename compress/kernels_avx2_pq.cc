// SPDX-License-Identifier: Apache-2.0
//
// The PQ scorer of the AVX2 unit: 32 rows at a time.
#include <immintrin.h>

#include "compress/kernel_units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kGroupRows = 32;  // a byte of a register each
constexpr std::size_t kChunk = 16;      // subspaces transposed together: a lane of 128 bits
constexpr std::size_t kRowsMin = 12;    // below this the 32-row pass costs more than one row after another
constexpr std::size_t kRowsAhead = 32;

// Four perfect shuffles of 256 bytes transpose the 16 × 16 matrix that each 128-bit lane of v[0..15] holds.
inline void transpose_lanes(__m256i (&v)[kChunk]) {
  for (int pass = 0; pass < 4; ++pass) {
    __m256i next[kChunk];
    for (std::size_t j = 0; j < kChunk / 2; ++j) {
      next[2 * j] = _mm256_unpacklo_epi8(v[j], v[j + 8]);
      next[2 * j + 1] = _mm256_unpackhi_epi8(v[j], v[j + 8]);
    }
    for (std::size_t j = 0; j < kChunk; ++j) v[j] = next[j];
  }
}

// `width` bytes of a row at `offset`, from the first byte of the result; never a byte outside the row.
inline __m128i load_codes(const Byte* row, std::size_t offset, std::size_t width) {
  if (width == kChunk) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + offset));
  alignas(16) Byte copy[kChunk] = {};
  __builtin_memcpy(copy, row + offset, width);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(copy));
}

// Sixteen pshufb by the low nibble, then a tree of blends by the four bits of the high one.
inline __m256i look_up(const Byte* table, __m256i codes) {
  const __m256i nibble = _mm256_and_si256(codes, _mm256_set1_epi8(0x0F));
  const auto part = [&](std::size_t h) {
    const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table + 16 * h));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), nibble);
  };
  const __m256i bit6 = _mm256_add_epi8(codes, codes);
  const __m256i bit5 = _mm256_add_epi8(bit6, bit6);
  const __m256i bit4 = _mm256_add_epi8(bit5, bit5);
  const auto pair = [&](std::size_t h) { return _mm256_blendv_epi8(part(h), part(h + 1), bit4); };
  const auto four = [&](std::size_t h) { return _mm256_blendv_epi8(pair(h), pair(h + 2), bit5); };
  const auto eight = [&](std::size_t h) { return _mm256_blendv_epi8(four(h), four(h + 4), bit6); };
  return _mm256_blendv_epi8(eight(0), eight(8), codes);
}

void score_group(const Byte* table, std::size_t subspaces, const Byte* const* row, std::size_t count,
                 std::uint16_t* out) {
  __m256i all = _mm256_setzero_si256();
  __m256i odd = _mm256_setzero_si256();
  for (std::size_t m = 0; m < subspaces; m += kChunk) {
    const std::size_t width = subspaces - m < kChunk ? subspaces - m : kChunk;
    __m256i codes[kChunk];
    for (std::size_t j = 0; j < kChunk; ++j) {
      codes[j] = _mm256_set_m128i(load_codes(row[16 + j], m, width), load_codes(row[j], m, width));
    }
    transpose_lanes(codes);
    for (std::size_t s = 0; s < width; ++s) {
      const __m256i value = look_up(table + (m + s) * 256, codes[s]);
      all = _mm256_add_epi16(all, value);
      odd = _mm256_add_epi16(odd, _mm256_srli_epi16(value, 8));
    }
  }
  // Modulo 2^16 the even bytes are what is left of `all`; unpacking puts rows back in order within each lane.
  const __m256i even = _mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8));
  const __m256i low = _mm256_unpacklo_epi16(even, odd);
  const __m256i high = _mm256_unpackhi_epi16(even, odd);
  alignas(32) std::uint16_t scores[kGroupRows];
  _mm256_store_si256(reinterpret_cast<__m256i*>(scores), _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_store_si256(reinterpret_cast<__m256i*>(scores + 16), _mm256_permute2x128_si256(low, high, 0x31));
  __builtin_memcpy(out, scores, count * sizeof(std::uint16_t));
}

}  // namespace

void pq_score_avx2(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out) {
  std::size_t i = 0;
  for (std::size_t ahead = 0; ahead < kRowsAhead; ++ahead) prefetch_row(rows, ahead, subspaces);
  while (rows.count - i >= kRowsMin) {
    const std::size_t count = rows.count - i < kGroupRows ? rows.count - i : kGroupRows;
    const Byte* row[kGroupRows];
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      row[r] = row_at(rows, i + (r < count ? r : count - 1));
      prefetch_row(rows, i + kRowsAhead + r, subspaces);
    }
    score_group(table, subspaces, row, count, out + i);
    i += count;
  }
  for (; i < rows.count; ++i) out[i] = pq_row(table, subspaces, row_at(rows, i));
}

}  // namespace vecstore::kernel_units
