// SPDX-License-Identifier: Apache-2.0
//
// The NEON unit: what every 64-bit ARM processor has (no dot-product extension is assumed).
#include <arm_neon.h>

#include "compress/kernels/units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kRowsAhead = 8;
constexpr std::size_t kBytes = 16;
constexpr std::size_t kFloats = 4;

// A window into this selects the last n of 16 bytes.
constexpr Byte kOnesAfterZeros[2 * kBytes] = {0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                                              0,    0,    0,    0,    0,    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                              0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

// The last `left` bytes of `dim`, zeros before them. Rows of at least a step are read again from inside, shorter ones
// are copied out: no byte outside the row is touched.
uint8x16_t load_tail(const Byte* row, std::size_t dim, std::size_t left) {
  if (dim >= kBytes) return vandq_u8(vld1q_u8(row + dim - kBytes), vld1q_u8(kOnesAfterZeros + left));
  Byte copy[kBytes] = {};
  __builtin_memcpy(copy + kBytes - left, row + dim - left, left);
  return vld1q_u8(copy);
}

// An operation on bytes says how 16 of the query and of a row add to the sums of a row.

struct DotU8 {
  using Element = std::uint8_t;
  using Out = std::uint32_t;
  static uint32x4_t add(uint32x4_t sum, uint8x16_t query, uint8x16_t row) {
    sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(query), vget_low_u8(row)));
    return vpadalq_u16(sum, vmull_high_u8(query, row));
  }
};

struct L2U8 {
  using Element = std::uint8_t;
  using Out = std::uint32_t;
  static uint32x4_t add(uint32x4_t sum, uint8x16_t query, uint8x16_t row) {
    const uint8x16_t difference = vabdq_u8(query, row);
    return DotU8::add(sum, difference, difference);
  }
};

struct DotI8 {
  using Element = std::int8_t;
  using Out = std::int32_t;
  static uint32x4_t add(uint32x4_t sum, uint8x16_t query, uint8x16_t row) {
    const int8x16_t a = vreinterpretq_s8_u8(query);
    const int8x16_t b = vreinterpretq_s8_u8(row);
    int32x4_t total = vreinterpretq_s32_u32(sum);
    total = vpadalq_s16(total, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vreinterpretq_u32_s32(vpadalq_s16(total, vmull_high_s8(a, b)));
  }
};

struct L2I8 {
  using Element = std::int8_t;
  using Out = std::uint32_t;
  static uint32x4_t add(uint32x4_t sum, uint8x16_t query, uint8x16_t row) {
    // The absolute difference of two signed bytes is at most 255: right as an unsigned byte.
    const uint8x16_t difference = vreinterpretq_u8_s8(vabdq_s8(vreinterpretq_s8_u8(query), vreinterpretq_s8_u8(row)));
    return DotU8::add(sum, difference, difference);
  }
};

template <typename Operation>
void batch_bytes(const typename Operation::Element* query, const Rows& rows, std::size_t dim,
                 typename Operation::Out* out) {
  const auto* query_bytes = reinterpret_cast<const Byte*>(query);
  for (std::size_t i = 0; i < kRowsAhead; ++i) prefetch_row(rows, i, dim);
  for (std::size_t i = 0; i < rows.count; ++i) {
    prefetch_row(rows, i + kRowsAhead, dim);
    const Byte* row = row_at(rows, i);
    // Two sums, so that one step need not wait for the one before it.
    uint32x4_t sums[2] = {vdupq_n_u32(0), vdupq_n_u32(0)};
    std::size_t d = 0;
    for (; d + 2 * kBytes <= dim; d += 2 * kBytes) {
      sums[0] = Operation::add(sums[0], vld1q_u8(query_bytes + d), vld1q_u8(row + d));
      sums[1] = Operation::add(sums[1], vld1q_u8(query_bytes + d + kBytes), vld1q_u8(row + d + kBytes));
    }
    if (d + kBytes <= dim) {
      sums[0] = Operation::add(sums[0], vld1q_u8(query_bytes + d), vld1q_u8(row + d));
      d += kBytes;
    }
    if (d < dim) {
      sums[1] = Operation::add(sums[1], load_tail(query_bytes, dim, dim - d), load_tail(row, dim, dim - d));
    }
    out[i] = static_cast<typename Operation::Out>(vaddvq_u32(vaddq_u32(sums[0], sums[1])));
  }
}

// An operation on floats says what four of a row are, and how one or four add to the sum.

float32x4_t load_floats(const Byte* row) { return vreinterpretq_f32_u8(vld1q_u8(row)); }

float load_float(const Byte* row) {
  float value;
  __builtin_memcpy(&value, row, sizeof(value));
  return value;
}

struct DotF32 {
  static constexpr std::size_t kElementBytes = sizeof(float);
  static float32x4_t load(const Byte* row) { return load_floats(row); }
  static float load_one(const Byte* row) { return load_float(row); }
  static float32x4_t add(float32x4_t sum, float32x4_t query, float32x4_t row) { return vfmaq_f32(sum, query, row); }
  static float term(float query, float row) { return query * row; }
};

struct L2F32 : DotF32 {
  static float32x4_t add(float32x4_t sum, float32x4_t query, float32x4_t row) {
    const float32x4_t difference = vsubq_f32(query, row);
    return vfmaq_f32(sum, difference, difference);
  }
  static float term(float query, float row) { return (query - row) * (query - row); }
};

struct DotF32U8 : DotF32 {
  static constexpr std::size_t kElementBytes = 1;
  static float32x4_t load(const Byte* row) {
    std::uint32_t four;
    __builtin_memcpy(&four, row, sizeof(four));
    const uint16x8_t wide = vmovl_u8(vcreate_u8(four));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
  }
  static float load_one(const Byte* row) { return *row; }
};

template <typename Operation>
void batch_floats(const float* query, const Rows& rows, std::size_t dim, float* out) {
  constexpr std::size_t kElementBytes = Operation::kElementBytes;
  for (std::size_t i = 0; i < kRowsAhead; ++i) prefetch_row(rows, i, dim * kElementBytes);
  for (std::size_t i = 0; i < rows.count; ++i) {
    prefetch_row(rows, i + kRowsAhead, dim * kElementBytes);
    const Byte* row = row_at(rows, i);
    float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    std::size_t d = 0;
    for (; d + 4 * kFloats <= dim; d += 4 * kFloats) {
      for (std::size_t s = 0; s < 4; ++s) {
        const std::size_t at = d + s * kFloats;
        sums[s] = Operation::add(sums[s], vld1q_f32(query + at), Operation::load(row + at * kElementBytes));
      }
    }
    for (; d + kFloats <= dim; d += kFloats) {
      sums[0] = Operation::add(sums[0], vld1q_f32(query + d), Operation::load(row + d * kElementBytes));
    }
    float sum = vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
    for (; d < dim; ++d) sum += Operation::term(query[d], Operation::load_one(row + d * kElementBytes));
    out[i] = sum;
  }
}

void widen_f16(const std::uint16_t* from, float* to, std::size_t count) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    vst1q_f32(to + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + i))));
  }
  for (; i < count; ++i) {
    __fp16 half;
    __builtin_memcpy(&half, from + i, sizeof(half));
    to[i] = static_cast<float>(half);
  }
}

constexpr std::size_t kGroupRows = 16;  // a byte of a register each
constexpr std::size_t kChunk = 16;      // subspaces transposed together
constexpr std::size_t kRowsMin = 4;     // below this the pass over a group costs more than one row after another

// Four perfect shuffles of 256 bytes transpose a 16 × 16 matrix of them.
void transpose(uint8x16_t (&v)[kChunk]) {
  for (int pass = 0; pass < 4; ++pass) {
    uint8x16_t next[kChunk];
    for (std::size_t j = 0; j < kChunk / 2; ++j) {
      next[2 * j] = vzip1q_u8(v[j], v[j + 8]);
      next[2 * j + 1] = vzip2q_u8(v[j], v[j + 8]);
    }
    for (std::size_t j = 0; j < kChunk; ++j) v[j] = next[j];
  }
}

// The table of a subspace is four look-ups of 64 entries; an index outside its 64 leaves what the others found.
uint8x16_t look_up(const Byte* table, uint8x16_t codes) {
  uint8x16_t value = vqtbl4q_u8(vld1q_u8_x4(table), codes);
  for (int quarter = 1; quarter < 4; ++quarter) {
    codes = vsubq_u8(codes, vdupq_n_u8(64));
    value = vqtbx4q_u8(value, vld1q_u8_x4(table + 64 * quarter), codes);
  }
  return value;
}

void score_group(const Byte* table, std::size_t subspaces, const Byte* const* row, std::uint16_t* out) {
  uint16x8_t low = vdupq_n_u16(0);
  uint16x8_t high = vdupq_n_u16(0);
  for (std::size_t m = 0; m < subspaces; m += kChunk) {
    const std::size_t width = subspaces - m < kChunk ? subspaces - m : kChunk;
    uint8x16_t codes[kChunk];
    // A tail is aligned to the end of its vector, so its subspaces are the last columns of the matrix.
    for (std::size_t j = 0; j < kGroupRows; ++j) {
      codes[j] = width == kChunk ? vld1q_u8(row[j] + m) : load_tail(row[j], subspaces, width);
    }
    transpose(codes);
    for (std::size_t s = 0; s < width; ++s) {
      const uint8x16_t value = look_up(table + (m + s) * 256, codes[kChunk - width + s]);
      low = vaddw_u8(low, vget_low_u8(value));
      high = vaddw_high_u8(high, value);
    }
  }
  vst1q_u16(out, low);
  vst1q_u16(out + 8, high);
}

void pq_score(const std::uint8_t* table, std::size_t subspaces, const Rows& rows, std::uint16_t* out) {
  std::size_t i = 0;
  for (std::size_t ahead = 0; ahead < kGroupRows; ++ahead) prefetch_row(rows, ahead, subspaces);
  while (rows.count - i >= kRowsMin) {
    const std::size_t count = rows.count - i < kGroupRows ? rows.count - i : kGroupRows;
    const Byte* row[kGroupRows];
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      row[r] = row_at(rows, i + (r < count ? r : count - 1));
      prefetch_row(rows, i + kGroupRows + r, subspaces);
    }
    std::uint16_t scores[kGroupRows];
    score_group(table, subspaces, row, scores);
    __builtin_memcpy(out + i, scores, count * sizeof(std::uint16_t));
    i += count;
  }
  for (; i < rows.count; ++i) out[i] = pq_row(table, subspaces, row_at(rows, i));
}

// One query against the 16 rows of a tile: each vector holds four rows, each half of one sums up two of them.
void dot_tile(const Byte* query, const Byte* tile, std::size_t groups, std::uint32_t* out) {
  constexpr std::size_t kVectors = Tiles::kGroupBytes / kBytes;
  uint32x4_t low[kVectors];
  uint32x4_t high[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) low[v] = high[v] = vdupq_n_u32(0);
  for (std::size_t group = 0; group < groups; ++group) {
    const uint8x16_t bytes = vreinterpretq_u8_u32(vdupq_n_u32(group_of(query, group)));
    for (std::size_t v = 0; v < kVectors; ++v) {
      const uint8x16_t rows = vld1q_u8(tile + group * Tiles::kGroupBytes + v * kBytes);
      low[v] = vpadalq_u16(low[v], vmull_u8(vget_low_u8(bytes), vget_low_u8(rows)));
      high[v] = vpadalq_u16(high[v], vmull_high_u8(bytes, rows));
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) vst1q_u32(out + 4 * v, vpaddq_u32(low[v], high[v]));
}

}  // namespace

const Kernels kNeon = {.level = KernelLevel::kNeon,
                       .name = "neon",
                       .dot_f32 = batch_floats<DotF32>,
                       .l2_f32 = batch_floats<L2F32>,
                       .dot_u8 = batch_bytes<DotU8>,
                       .l2_u8 = batch_bytes<L2U8>,
                       .dot_i8 = batch_bytes<DotI8>,
                       .l2_i8 = batch_bytes<L2I8>,
                       .dot_f32_u8 = batch_floats<DotF32U8>,
                       .dot_u8_tiles = each_tile<dot_tile>,
                       .widen_f16 = widen_f16,
                       .pq_score = pq_score};

}  // namespace vecstore::kernel_units
