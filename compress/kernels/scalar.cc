// SPDX-License-Identifier: Apache-2.0
//
// The scalar unit: the meaning of every kernel, the oracle of every other unit, and the table of processors that have
// none. Plain loops at the same optimisation level as the rest of VecStore.
#include "base/half.h"
#include "compress/kernels/units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kRowsAhead = 8;

float element(const float* row, std::size_t d) {
  float value;
  const auto* bytes = reinterpret_cast<const unsigned char*>(row);  // rows need no alignment
  __builtin_memcpy(&value, bytes + d * sizeof(value), sizeof(value));
  return value;
}
int element(const std::uint8_t* row, std::size_t d) { return row[d]; }
int element(const std::int8_t* row, std::size_t d) { return row[d]; }

// Sum is the type of the running sum: float, or int, which holds 4096 squares of 255.
template <typename Row, typename Sum, typename Query, typename Out>
void dot(const Query* query, const Rows& given, std::size_t dim, Out* out) {
  const Rows rows = given;  // a copy, because `out` might alias the original for all the compiler knows
  for (std::size_t i = 0; i < rows.count; ++i) {
    prefetch_row(rows, i + kRowsAhead, dim * sizeof(Row));
    const auto* row = reinterpret_cast<const Row*>(row_at(rows, i));
    Sum sum = 0;
    for (std::size_t d = 0; d < dim; ++d) sum += static_cast<Sum>(query[d]) * static_cast<Sum>(element(row, d));
    out[i] = static_cast<Out>(sum);
  }
}

template <typename Row, typename Sum, typename Query, typename Out>
void l2(const Query* query, const Rows& given, std::size_t dim, Out* out) {
  const Rows rows = given;  // a copy, because `out` might alias the original for all the compiler knows
  for (std::size_t i = 0; i < rows.count; ++i) {
    prefetch_row(rows, i + kRowsAhead, dim * sizeof(Row));
    const auto* row = reinterpret_cast<const Row*>(row_at(rows, i));
    Sum sum = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      const Sum difference = static_cast<Sum>(query[d]) - static_cast<Sum>(element(row, d));
      sum += difference * difference;
    }
    out[i] = static_cast<Out>(sum);
  }
}

// The sums of 4096 products fit an int.
void dot_tile(const Byte* query, const Byte* tile, std::size_t groups, std::uint32_t* out) {
  int sums[Tiles::kRows] = {};
  for (std::size_t group = 0; group < groups; ++group) {
    const Byte* q = query + 4 * group;
    const Byte* rows = tile + group * Tiles::kGroupBytes;
    for (std::size_t r = 0; r < Tiles::kRows; ++r) {
      const Byte* x = rows + 4 * r;
      sums[r] += q[0] * x[0] + q[1] * x[1] + q[2] * x[2] + q[3] * x[3];
    }
  }
  __builtin_memcpy(out, sums, sizeof(sums));
}

void widen_f16(const std::uint16_t* from, float* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = half_to_float(from[i]);
}

void pq_score(const std::uint8_t* table, std::size_t subspaces, const Rows& given, std::uint16_t* out) {
  const Rows rows = given;
  for (std::size_t i = 0; i < rows.count; ++i) {
    prefetch_row(rows, i + kRowsAhead, subspaces);
    out[i] = pq_row(table, subspaces, row_at(rows, i));
  }
}

}  // namespace

const Kernels kScalar = {.level = KernelLevel::kScalar,
                         .name = "scalar",
                         .dot_f32 = dot<float, float>,
                         .l2_f32 = l2<float, float>,
                         .dot_u8 = dot<std::uint8_t, int>,
                         .l2_u8 = l2<std::uint8_t, int>,
                         .dot_i8 = dot<std::int8_t, int>,
                         .l2_i8 = l2<std::int8_t, int>,
                         .dot_f32_u8 = dot<std::uint8_t, float>,
                         .dot_u8_tiles = each_tile<dot_tile>,
                         .widen_f16 = widen_f16,
                         .pq_score = pq_score};

}  // namespace vecstore::kernel_units
