// SPDX-License-Identifier: Apache-2.0
//
// The PQ scorer of the AVX-512 unit (VBMI): 64 rows a vector, up to four vectors a pass over the table.
#include <immintrin.h>

#include "compress/kernels/pq_tile.h"
#include "compress/kernels/units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kGroupRows = 64;  // a byte of a register each
constexpr std::size_t kRowsMin = 6;     // a group costs as much as this many rows one after another

// Sums of 64 rows as 16-bit lanes: `all` adds even + 256 · odd bytes, `odd` the odd bytes alone.
struct Sums {
  __m512i all;
  __m512i odd;
};

// Modulo 2^16 the even bytes are what is left of `all`; the permutations put the rows back in order.
inline void store_sums(const Sums& sums, std::uint16_t* out) {
  const __m512i even = _mm512_sub_epi16(sums.all, _mm512_slli_epi16(sums.odd, 8));
  const __m512i low = _mm512_unpacklo_epi16(even, sums.odd);
  const __m512i high = _mm512_unpackhi_epi16(even, sums.odd);
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  _mm512_storeu_si512(out, _mm512_permutex2var_epi64(low, first, high));
  _mm512_storeu_si512(out + 32, _mm512_permutex2var_epi64(low, second, high));
}

// The table of a subspace is two vpermi2b of 128 entries, chosen between by the codes' top bit.
template <std::size_t kGroups, typename Source>
void score_groups(const Byte* table, std::size_t subspaces, const Source& rows, std::uint16_t* out) {
  Tile tile;
  Sums sums[kGroups];
  for (Sums& sum : sums) sum = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (std::size_t m = 0; m < subspaces; m += kChunk) {
    const Columns columns = fill_tile(tile, rows, kGroups * kGroupRows / kStripRows, m, subspaces);
    for (std::size_t s = 0; s < columns.width; ++s) {
      const Byte* entries = table + (columns.subspace + s) * 256;
      const __m512i t0 = _mm512_load_si512(entries);
      const __m512i t1 = _mm512_load_si512(entries + 64);
      const __m512i t2 = _mm512_load_si512(entries + 128);
      const __m512i t3 = _mm512_load_si512(entries + 192);
#pragma GCC unroll 4
      for (std::size_t g = 0; g < kGroups; ++g) {
        const __m512i codes = _mm512_load_si512(tile.codes[columns.first + s] + g * kGroupRows);
        const __m512i low = _mm512_permutex2var_epi8(t0, codes, t1);
        const __m512i high = _mm512_permutex2var_epi8(t2, codes, t3);
        const __m512i value = _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high);
        sums[g].all = _mm512_add_epi16(sums[g].all, value);
        sums[g].odd = _mm512_add_epi16(sums[g].odd, _mm512_srli_epi16(value, 8));
      }
    }
  }
  for (std::size_t g = 0; g < kGroups; ++g) store_sums(sums[g], out + g * kGroupRows);
}

// The sums of a pass stay in registers, so the number of groups is fixed at compile time.
constexpr auto kScoreTile = [](const Byte* table, std::size_t subspaces, const auto& rows, std::size_t groups,
                               std::uint16_t* out) {
  switch (groups) {
    case 1:
      return score_groups<1>(table, subspaces, rows, out);
    case 2:
      return score_groups<2>(table, subspaces, rows, out);
    case 3:
      return score_groups<3>(table, subspaces, rows, out);
    default:
      return score_groups<4>(table, subspaces, rows, out);
  }
};

static_assert(kTileRows == 4 * kGroupRows);

}  // namespace

void pq_score_avx512(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out) {
  score_tiles<kGroupRows, kRowsMin>(table, subspaces, rows, out, kScoreTile);
}

}  // namespace vecstore::kernel_units
