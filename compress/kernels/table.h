// SPDX-License-Identifier: Apache-2.0
//
// The types of the kernel table, alone. The per-ISA units include this and nothing of the standard library. So no
// inline function compiled for AVX-512 can be the copy that the linker keeps for every machine. Thread safety: plain
// values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecstore {

enum class KernelLevel : std::uint8_t { kScalar, kAvx2, kAvx512, kNeon };

// The rows of a batch: row i is at base + (ids ? ids[i] : i) · stride_bytes. With stride_bytes = 1 the ids are byte
// offsets, which is how the records of a page are addressed. Rows need no alignment; no byte outside a row is used.
struct Rows {
  const void* base = nullptr;
  std::size_t stride_bytes = 0;
  const std::uint32_t* ids = nullptr;
  std::size_t count = 0;
};

// Rows that are scanned for several queries at once: 16 of them are a tile, in which their bytes lie four by four, byte
// d of row r at 64·⌊d/4⌋ + 4·r + d mod 4. Dimensions are filled up with zeros to a multiple of four.
struct Tiles {
  static constexpr std::size_t kRows = 16;
  static constexpr std::size_t kGroupBytes = 4 * kRows;
  static constexpr std::size_t kQueriesMax = 8;
  static constexpr std::size_t groups_of(std::size_t dim) { return (dim + 3) / 4; }
  const std::uint8_t* data = nullptr;
  std::size_t groups = 0;  // groups of four dimensions; kGroupBytes · groups are a tile
  std::size_t count = 0;
};

// out: [rows.count]. dim ≤ kDimMax, so that the integer sums fit. PQ: rows hold `subspaces` bytes; `table` is
// [subspaces × 256] u8, 64-byte aligned; out[i] = Σ_m table[m·256 + code[m]], which the caller's table scale keeps ≤
// 65535. A row's float result does not depend on its place in the batch.
struct Kernels {
  KernelLevel level;
  const char* name;
  void (*dot_f32)(const float* query, const Rows& rows, std::size_t dim, float* out);
  void (*l2_f32)(const float* query, const Rows& rows, std::size_t dim, float* out);
  void (*dot_u8)(const std::uint8_t* query, const Rows& rows, std::size_t dim, std::uint32_t* out);
  void (*l2_u8)(const std::uint8_t* query, const Rows& rows, std::size_t dim, std::uint32_t* out);
  void (*dot_i8)(const std::int8_t* query, const Rows& rows, std::size_t dim, std::int32_t* out);
  void (*l2_i8)(const std::int8_t* query, const Rows& rows, std::size_t dim, std::uint32_t* out);
  void (*dot_f32_u8)(const float* query, const Rows& rows, std::size_t dim, float* out);  // rows are u8
  // queries: [query_count ≤ kQueriesMax], each of 4 · tiles.groups bytes; out: for each [tiles.count × 16].
  void (*dot_u8_tiles)(const std::uint8_t* const* queries, std::size_t query_count, const Tiles& tiles,
                       std::uint32_t* const* out);
  void (*widen_f16)(const std::uint16_t* from, float* to, std::size_t count);
  void (*pq_score)(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out);
};

}  // namespace vecstore
