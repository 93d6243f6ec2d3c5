// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of VecStore: one query against a batch of rows, behind one table chosen once per process.
//
// Every level gives the result of the scalar unit bit for bit where results are integers, and within float rounding
// where they are floats. Dispatch is by batch, never by distance. The level is the best the processor has, or what the
// environment variable VECSTORE_KERNELS (scalar | avx2 | avx512 | neon) names; a level the processor lacks is refused.
// Thread safety: everything here is immutable after the first call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/status.h"

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

// out: [rows.count]. dim ≤ kDimMax, so that the integer sums fit. PQ: rows hold `subspaces` bytes; `table` is
// [subspaces × 256] u8, 64-byte aligned; out[i] = Σ_m table[m·256 + code[m]], which the caller's table scale keeps ≤ 65535.
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
  void (*widen_f16)(const std::uint16_t* from, float* to, std::size_t count);
  void (*pq_score)(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out);
};

// Chosen on first use.
const Kernels& kernels();

// One level's table. Errors: kUnsupported when this build or this processor lacks it.
Result<const Kernels*> kernels_of(KernelLevel level);

std::string_view name_of(KernelLevel level);

}  // namespace vecstore
