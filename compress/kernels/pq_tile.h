// SPDX-License-Identifier: Apache-2.0
//
// What the AVX2 and AVX-512 PQ scorers share: a tile of the codes of up to 256 rows (a block of the store). It has 16
// subspaces at a time, transposed so that one vector holds one subspace of many rows.
//
// The tile lies in the first-level cache, which lets one load of a subspace's table serve all its rows. Transposing is
// done at 256 bits in both units: a 16-byte load into half a vector costs half as much there as into a quarter of 512.
// Everything is in an anonymous namespace: each unit has a copy compiled for itself (see units.h).
#pragma once

#include <immintrin.h>

#include "compress/kernels/units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kChunk = 16;  // subspaces transposed together: a lane of 128 bits
constexpr std::size_t kTileRows = 256;
constexpr std::size_t kStripRows = 32;  // rows transposed together: a byte of 256 bits each

struct Tile {
  alignas(64) Byte codes[kChunk][kTileRows];
};

template <typename Word>
std::uint64_t load_word(const Byte* from) {
  Word word;
  __builtin_memcpy(&word, from, sizeof(word));
  return word;
}

// The first `width` < 16 bytes of a row, by loads that overlap inside it; the rest of the vector is zero or repeats.
inline __m128i load_short(const Byte* row, std::size_t width) {
  const std::size_t last_shift = 8 * (width - 1);
  if (width > 8) {
    const std::uint64_t high = load_word<std::uint64_t>(row + width - 8) >> (8 * (16 - width));
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(load_word<std::uint64_t>(row)));
  }
  std::uint64_t low = 0;
  if (width == 8) {
    low = load_word<std::uint64_t>(row);
  } else if (width >= 4) {
    low = load_word<std::uint32_t>(row) | load_word<std::uint32_t>(row + width - 4) << (8 * (width - 4));
  } else {
    const std::size_t middle = width / 2;
    low = std::uint64_t{row[0]} | std::uint64_t{row[middle]} << (8 * middle) |
          std::uint64_t{row[width - 1]} << last_shift;
  }
  return _mm_cvtsi64_si128(static_cast<long long>(low));
}

// Four perfect shuffles of 256 bytes transpose the 16 × 16 matrix that each 128-bit lane of v[0..15] holds.
inline void transpose_lanes(__m256i (&v)[kChunk]) {
#pragma GCC unroll 4
  for (int pass = 0; pass < 4; ++pass) {
    __m256i next[kChunk];
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kChunk / 2; ++j) {
      next[2 * j] = _mm256_unpacklo_epi8(v[j], v[j + 8]);
      next[2 * j + 1] = _mm256_unpackhi_epi8(v[j], v[j + 8]);
    }
#pragma GCC unroll 16
    for (std::size_t j = 0; j < kChunk; ++j) v[j] = next[j];
  }
}

// Where the rows of a tile are: evenly spaced, which needs no pointers in memory, or anywhere.
struct SpacedRows {
  const Byte* first;
  std::size_t stride;
  const Byte* operator[](std::size_t r) const { return first + r * stride; }
};

struct NamedRows {
  const Byte* const* row;
  const Byte* operator[](std::size_t r) const { return row[r]; }
};

// Lane l of v[j] is 16 codes of row 16l + j of the strip. So the transposed bytes are in the order of the rows.
template <typename Source, typename Load>
inline void fill_strip(Tile& tile, std::size_t strip, const Source& rows, Load load) {
  const std::size_t first = strip * kStripRows;
  __m256i v[kChunk];
#pragma GCC unroll 16
  for (std::size_t j = 0; j < kChunk; ++j) {
    v[j] = _mm256_inserti128_si256(_mm256_castsi128_si256(load(rows[first + j])), load(rows[first + 16 + j]), 1);
  }
  transpose_lanes(v);
#pragma GCC unroll 16
  for (std::size_t j = 0; j < kChunk; ++j) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(tile.codes[j] + strip * kStripRows), v[j]);
  }
}

// The columns of a tile that are to be scored: tile.codes[first + s] is subspace `subspace` + s, for s < width.
struct Columns {
  std::size_t subspace;
  std::size_t first;
  std::size_t width;
};

// Fills strips of the tile with the codes from subspace `m` on. The last chunk of a row is read so that it ends with
// the row, and its first columns, already scored, are passed over: no byte outside the row is read.
template <typename Source>
inline Columns fill_tile(Tile& tile, const Source& rows, std::size_t strips, std::size_t m, std::size_t subspaces) {
  const std::size_t left = subspaces - m;
  if (subspaces < kChunk) {
    for (std::size_t strip = 0; strip < strips; ++strip) {
      fill_strip(tile, strip, rows, [=](const Byte* r) { return load_short(r, subspaces); });
    }
    return {0, 0, subspaces};
  }
  const std::size_t width = left < kChunk ? left : kChunk;
  const std::size_t offset = m + width - kChunk;
  for (std::size_t strip = 0; strip < strips; ++strip) {
    fill_strip(tile, strip, rows,
               [=](const Byte* r) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(r + offset)); });
  }
  return {m, kChunk - width, width};
}

// Scores all rows tile by tile. score_tile(table, subspaces, source, groups, out) scores `groups` groups of kGroupRows
// rows; places of the last group that have no row repeat the last one. Fewer than kRowsMin rows are scored one by one.
template <std::size_t kGroupRows, std::size_t kRowsMin, typename ScoreTile>
inline void score_tiles(const Byte* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out,
                        ScoreTile score_tile) {
  if (rows.ids != nullptr) {
    for (std::size_t i = 0; i < kTileRows; ++i) prefetch_row(rows, i, subspaces);
  }
  std::size_t i = 0;
  while (rows.count - i >= kRowsMin) {
    std::size_t count = rows.count - i < kTileRows ? rows.count - i : kTileRows;
    if (count % kGroupRows < kRowsMin) count -= count % kGroupRows;
    const std::size_t groups = (count + kGroupRows - 1) / kGroupRows;
    const bool full = count == groups * kGroupRows;
    alignas(64) std::uint16_t spare[kTileRows];
    std::uint16_t* scores = full ? out + i : spare;
    if (full && rows.ids == nullptr) {
      score_tile(table, subspaces, SpacedRows{row_at(rows, i), rows.stride_bytes}, groups, scores);
    } else {
      const Byte* row[kTileRows];
      for (std::size_t r = 0; r < groups * kGroupRows; ++r) {
        row[r] = row_at(rows, i + (r < count ? r : count - 1));
        prefetch_row(rows, i + kTileRows + r, subspaces);
      }
      score_tile(table, subspaces, NamedRows{row}, groups, scores);
    }
    if (!full) __builtin_memcpy(out + i, spare, count * sizeof(std::uint16_t));
    i += count;
  }
  for (; i < rows.count; ++i) out[i] = pq_row(table, subspaces, row_at(rows, i));
}

}  // namespace
}  // namespace vecstore::kernel_units
