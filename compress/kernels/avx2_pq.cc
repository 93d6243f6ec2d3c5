// SPDX-License-Identifier: Apache-2.0
//
// The PQ scorer of the AVX2 unit: 32 rows a vector.
#include <immintrin.h>

#include "compress/kernels/pq_tile.h"
#include "compress/kernels/units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kGroupRows = 32;  // a byte of a register each
constexpr std::size_t kRowsMin = 10;    // a group costs as much as this many rows one after another

// Bytes of `when_set` where the top bit of `by` is set, of `otherwise` elsewhere: vpblendvb.
inline __m256i select(__m256i otherwise, __m256i when_set, __m256i by) {
#if defined(__GNUC__) && !defined(__clang__)
  // GCC 12 expands the intrinsic to a comparison with zero and a blend by that, which costs the scorer 4 %.
  __m256i selected;
  asm("vpblendvb %3, %2, %1, %0" : "=x"(selected) : "x"(otherwise), "x"(when_set), "x"(by));
  return selected;
#else
  return _mm256_blendv_epi8(otherwise, when_set, by);
#endif
}

// The table of a subspace is sixteen pshufb of 16 entries. pshufb takes the entry by the low nibble and gives zero
// where the code's top bit is set. So of each two tables 128 apart, or'ed, one contributes. Seven blends by the three
// bits left choose among the eight. (A tree of fifteen blends is slower by an eighth: they share two ports with pshufb,
// while "or" has four.)
inline __m256i look_up(const Byte* table, __m256i codes) {
  const __m256i flipped = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
  const __m256i bit6 = _mm256_add_epi8(codes, codes);
  const __m256i bit5 = _mm256_add_epi8(bit6, bit6);
  const __m256i bit4 = _mm256_add_epi8(bit5, bit5);
  const auto entries = [&](std::size_t h) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table + 16 * h)));
  };
  const auto by_bit7 = [&](std::size_t h) {
    return _mm256_or_si256(_mm256_shuffle_epi8(entries(h), codes), _mm256_shuffle_epi8(entries(h + 8), flipped));
  };
  const auto by_bit6 = [&](std::size_t h) { return select(by_bit7(h), by_bit7(h + 4), bit6); };
  const auto by_bit5 = [&](std::size_t h) { return select(by_bit6(h), by_bit6(h + 2), bit5); };
  return select(by_bit5(0), by_bit5(1), bit4);
}

// Sums of 32 rows as 16-bit lanes: `all` adds even + 256 · odd bytes, `odd` the odd bytes alone.
struct Sums {
  __m256i all;
  __m256i odd;
};

inline void add_columns(Sums& sums, const Byte* table, const Tile& tile, const Columns& columns, std::size_t group) {
  Sums local = sums;
  for (std::size_t s = 0; s < columns.width; ++s) {
    const Byte* codes = tile.codes[columns.first + s] + group * kGroupRows;
    const __m256i value =
        look_up(table + (columns.subspace + s) * 256, _mm256_load_si256(reinterpret_cast<const __m256i*>(codes)));
    local.all = _mm256_add_epi16(local.all, value);
    local.odd = _mm256_add_epi16(local.odd, _mm256_srli_epi16(value, 8));
  }
  sums = local;
}

// Modulo 2^16 the even bytes are what is left of `all`; the permutations put the rows back in order.
inline void store_sums(const Sums& sums, std::uint16_t* out) {
  const __m256i even = _mm256_sub_epi16(sums.all, _mm256_slli_epi16(sums.odd, 8));
  const __m256i low = _mm256_unpacklo_epi16(even, sums.odd);
  const __m256i high = _mm256_unpackhi_epi16(even, sums.odd);
  auto* to = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(to, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(low, high, 0x31));
}

constexpr auto kScoreTile = [](const Byte* table, std::size_t subspaces, const auto& rows, std::size_t groups,
                               std::uint16_t* out) {
  Tile tile;
  Sums sums[kTileRows / kGroupRows];
  for (std::size_t g = 0; g < groups; ++g) sums[g] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (std::size_t m = 0; m < subspaces; m += kChunk) {
    const Columns columns = fill_tile(tile, rows, groups, m, subspaces);
    for (std::size_t g = 0; g < groups; ++g) add_columns(sums[g], table, tile, columns, g);
  }
  for (std::size_t g = 0; g < groups; ++g) store_sums(sums[g], out + g * kGroupRows);
};

static_assert(kGroupRows == kStripRows);

}  // namespace

void pq_score_avx2(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out) {
  score_tiles<kGroupRows, kRowsMin>(table, subspaces, rows, out, kScoreTile);
}

}  // namespace vecstore::kernel_units
