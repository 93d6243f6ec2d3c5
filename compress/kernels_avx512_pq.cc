// SPDX-License-Identifier: Apache-2.0
//
// The PQ scorer of the AVX-512 unit (VBMI): 64 rows at a time.
#include <immintrin.h>

#include "compress/kernel_units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kGroupRows = 64;  // a byte of a register each
constexpr std::size_t kChunk = 16;      // subspaces transposed together: a lane of 128 bits
constexpr std::size_t kRowsMin = 8;     // below this the 64-row pass costs more than one row after another
constexpr std::size_t kRowsAhead = 64;

// Sums of 64 rows as 16-bit lanes: `all` adds even + 256 · odd bytes, `odd` the odd bytes alone.
struct Sums {
  __m512i all;
  __m512i odd;
};

// One subspace: codes → table values. The table of 256 bytes is two vpermi2b, chosen between by the codes' top bit.
inline void add_subspace(Sums& sums, __m512i codes, const Byte* table) {
  const __m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(table), codes, _mm512_load_si512(table + 64));
  const __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(table + 128), codes, _mm512_load_si512(table + 192));
  const __m512i value = _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high);
  sums.all = _mm512_add_epi16(sums.all, value);
  sums.odd = _mm512_add_epi16(sums.odd, _mm512_srli_epi16(value, 8));
}

// Four perfect shuffles of 256 bytes transpose the 16 × 16 matrix that each 128-bit lane of v[0..15] holds.
inline void transpose_lanes(__m512i (&v)[kChunk]) {
  for (int pass = 0; pass < 4; ++pass) {
    __m512i next[kChunk];
    for (std::size_t j = 0; j < kChunk / 2; ++j) {
      next[2 * j] = _mm512_unpacklo_epi8(v[j], v[j + 8]);
      next[2 * j + 1] = _mm512_unpackhi_epi8(v[j], v[j + 8]);
    }
    for (std::size_t j = 0; j < kChunk; ++j) v[j] = next[j];
  }
}

// Lane l of v[j] is 16 bytes of row 16l + j, so that after the transposition byte 16l + j of v[m] is that row's m-th.
inline __m512i load_lanes(const Byte* const* row, std::size_t j, std::size_t offset, __mmask16 mask) {
  const auto part = [&](std::size_t lane) { return _mm_maskz_loadu_epi8(mask, row[16 * lane + j] + offset); };
  __m512i v = _mm512_castsi128_si512(part(0));
  v = _mm512_inserti32x4(v, part(1), 1);
  v = _mm512_inserti32x4(v, part(2), 2);
  return _mm512_inserti32x4(v, part(3), 3);
}

void score_group(const Byte* table, std::size_t subspaces, const Byte* const* row, std::size_t count,
                 std::uint16_t* out) {
  Sums sums = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (std::size_t m = 0; m < subspaces; m += kChunk) {
    const std::size_t width = subspaces - m < kChunk ? subspaces - m : kChunk;
    const auto mask = static_cast<__mmask16>((1u << width) - 1);
    __m512i codes[kChunk];
    for (std::size_t j = 0; j < kChunk; ++j) codes[j] = load_lanes(row, j, m, mask);
    transpose_lanes(codes);
    for (std::size_t s = 0; s < width; ++s) add_subspace(sums, codes[s], table + (m + s) * 256);
  }
  // Modulo 2^16 the even bytes are what is left of `all`; unpacking puts rows back in order within each lane.
  const __m512i even = _mm512_sub_epi16(sums.all, _mm512_slli_epi16(sums.odd, 8));
  const __m512i low = _mm512_unpacklo_epi16(even, sums.odd);
  const __m512i high = _mm512_unpackhi_epi16(even, sums.odd);
  alignas(64) std::uint16_t scores[kGroupRows];
  for (int lane = 0; lane < 4; ++lane) {
    alignas(64) std::uint16_t parts[2][32];
    _mm512_store_si512(parts[0], low);
    _mm512_store_si512(parts[1], high);
    __builtin_memcpy(scores + 16 * lane, parts[0] + 8 * lane, 16);
    __builtin_memcpy(scores + 16 * lane + 8, parts[1] + 8 * lane, 16);
  }
  __builtin_memcpy(out, scores, count * sizeof(std::uint16_t));
}

}  // namespace

void pq_score_avx512(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out) {
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
