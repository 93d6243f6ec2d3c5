// SPDX-License-Identifier: Apache-2.0
//
// What the per-ISA units share with the dispatcher (their tables) and with each other (addressing of rows).
//
// The functions live in an anonymous namespace on purpose: every unit would emit an inline function of external linkage
// as a comdat. The linker could then keep the AVX-512 copy for all of them. Nothing here or in the units may use the
// standard library beyond its integer types, for the same reason. Thread safety: immutable tables and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "compress/kernels/table.h"

namespace vecstore::kernel_units {

// Each is defined in builds for its architecture only; using one needs a processor that has the level.
extern const Kernels kScalar;
extern const Kernels kAvx2;
extern const Kernels kAvx512;
extern const Kernels kNeon;

// The PQ scorers have units of their own; the signature is that of Kernels::pq_score.
void pq_score_avx2(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out);
void pq_score_avx512(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out);

namespace {

using Byte = std::uint8_t;

// Lines of a row asked for ahead of time; the processor's own prefetcher follows longer rows by itself.
constexpr std::size_t kPrefetchBytesMax = 512;
constexpr std::size_t kLineBytes = 64;

[[maybe_unused]] const Byte* row_at(const Rows& rows, std::size_t i) {
  const std::size_t place = rows.ids != nullptr ? rows.ids[i] : i;
  return static_cast<const Byte*>(rows.base) + place * rows.stride_bytes;
}

// Rows behind ids lie anywhere in an array larger than the caches, so each is a miss that nobody but us can foresee.
// Always inlined: GCC takes a function of nothing but prefetches for one without effect, and drops the calls.
[[maybe_unused, gnu::always_inline]] inline void prefetch_row(const Rows& rows, std::size_t i, std::size_t row_bytes) {
  if (rows.ids == nullptr || i >= rows.count) return;
  const Byte* row = row_at(rows, i);
  const std::size_t bytes = row_bytes < kPrefetchBytesMax ? row_bytes : kPrefetchBytesMax;
  for (std::size_t offset = 0; offset < bytes; offset += kLineBytes) __builtin_prefetch(row + offset);
  __builtin_prefetch(row + bytes - 1);
}

// The exact score of one code: what a unit falls back to where a vector of rows is not worth filling.
[[maybe_unused]] std::uint16_t pq_row(const Byte* table, std::size_t subspaces, const Byte* code) {
  unsigned sum = 0;
  for (std::size_t m = 0; m < subspaces; ++m) sum += table[m * 256 + code[m]];
  return static_cast<std::uint16_t>(sum);
}

// Kernels::dot_u8_tiles out of one query against one tile.
template <void (*dot_tile)(const Byte* query, const Byte* tile, std::size_t groups, std::uint32_t* out)>
void each_tile(const Byte* const* queries, std::size_t query_count, const Tiles& given, std::uint32_t* const* out) {
  const Tiles tiles = given;  // a copy, because `out` might alias the original for all the compiler knows
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const Byte* tile = tiles.data + t * tiles.groups * Tiles::kGroupBytes;
    for (std::size_t q = 0; q < query_count; ++q) dot_tile(queries[q], tile, tiles.groups, out[q] + t * Tiles::kRows);
  }
}

// The four bytes of a query that meet a group of dimensions.
[[maybe_unused]] std::uint32_t group_of(const Byte* query, std::size_t group) {
  std::uint32_t bytes;
  __builtin_memcpy(&bytes, query + 4 * group, sizeof(bytes));
  return bytes;
}

}  // namespace
}  // namespace vecstore::kernel_units
