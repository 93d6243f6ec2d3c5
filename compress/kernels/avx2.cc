// SPDX-License-Identifier: Apache-2.0
//
// The AVX2 unit (with FMA and F16C): distances. Four rows share each load of the query and one reduction at the end. A
// row alone goes through the same operations in the same order, so its result does not depend on its batch.
#include <immintrin.h>

#include "compress/kernels/units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kRowsTogether = 4;
constexpr std::size_t kRowsAhead = 8;

// A window into this selects the last n of 8 floats (all ones) or of 32 bytes: start kTailWindow − … bytes in.
alignas(32) constexpr Byte kOnesAfterZeros[64] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

__m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

// Ones over the last `bytes` of 32, zeros before.
__m256i last_bytes(std::size_t bytes) { return load(kOnesAfterZeros + bytes); }

// The last `left` elements of `dim` (1 ≤ left < step), zeros elsewhere. Rows of at least a step are read again from
// inside, shorter ones are copied out: no byte outside the row is touched.
__m256i load_tail_bytes(const void* from, std::size_t dim, std::size_t left) {
  const auto* bytes = static_cast<const Byte*>(from);
  if (dim >= 32) return _mm256_and_si256(load(bytes + dim - 32), last_bytes(left));
  alignas(32) Byte copy[32] = {};
  __builtin_memcpy(copy + 32 - left, bytes + dim - left, left);
  return load(copy);
}

__m256 load_tail_f32(const void* from, std::size_t dim, std::size_t left) {
  const auto* last = static_cast<const Byte*>(from) + (dim - left) * sizeof(float);
  const __m256i first_lanes = _mm256_xor_si256(last_bytes(32 - left * sizeof(float)), _mm256_set1_epi8(-1));
  return _mm256_maskload_ps(reinterpret_cast<const float*>(last), first_lanes);
}

// The same lanes as load_tail_f32 fills.
__m256 load_tail_u8_as_f32(const Byte* row, std::size_t dim, std::size_t left) {
  alignas(16) Byte copy[16] = {};
  __builtin_memcpy(copy, row + dim - left, left);
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(copy))));
}

// Lane r of the result is the sum of the 8 lanes of the r-th argument.
__m128 sums_of(const __m256 (&v)[kRowsTogether]) {
  const __m256 quads = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  return _mm_add_ps(_mm256_castps256_ps128(quads), _mm256_extractf128_ps(quads, 1));
}

__m128i sums_of(const __m256i (&v)[kRowsTogether]) {
  const __m256i quads = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
}

// An operation says how a step of kStep elements of the query and of a row add to the accumulator of the row.

struct FloatOperation {
  using Query = float;
  using Row = float;
  using Out = float;
  using Vector = __m256;
  using QueryPart = __m256;
  static constexpr std::size_t kStep = 8;

  static Vector zero() { return _mm256_setzero_ps(); }
  static QueryPart split(__m256 query) { return query; }
  static __m256 load_query(const float* query) { return _mm256_loadu_ps(query); }
  static __m256 load_query_tail(const float* query, std::size_t dim, std::size_t left) {
    return load_tail_f32(query, dim, left);
  }
  static __m256 load_row(const Byte* row) { return _mm256_loadu_ps(reinterpret_cast<const float*>(row)); }
  static __m256 load_row_tail(const Byte* row, std::size_t dim, std::size_t left) {
    return load_tail_f32(row, dim, left);
  }
  static void store_all(float* out, __m128 value) { _mm_storeu_ps(out, value); }
  static void store_first(float* out, __m128 value) { _mm_store_ss(out, value); }
};

struct DotF32 : FloatOperation {
  static __m256 add(__m256 sum, __m256 query, __m256 row) { return _mm256_fmadd_ps(query, row, sum); }
};

struct L2F32 : FloatOperation {
  static __m256 add(__m256 sum, __m256 query, __m256 row) {
    const __m256 difference = _mm256_sub_ps(query, row);
    return _mm256_fmadd_ps(difference, difference, sum);
  }
};

struct DotF32U8 : DotF32 {
  using Row = Byte;
  static __m256 load_row(const Byte* row) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row));
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
  }
  static __m256 load_row_tail(const Byte* row, std::size_t dim, std::size_t left) {
    return load_tail_u8_as_f32(row, dim, left);
  }
};

// Bytes are widened to 16 bits as even and odd ones, by mask and shift rather than by shuffles, and multiplied by
// vpmaddwd: exact, where vpmaddubsw saturates. The sums of 4096 products fit 32 bits.
struct Halves {
  __m256i even;
  __m256i odd;
};

template <typename Element, typename Result>
struct ByteOperation {
  using Query = Element;
  using Row = Element;
  using Out = Result;
  using Vector = __m256i;
  using QueryPart = Halves;
  static constexpr std::size_t kStep = 32;
  static constexpr bool kSigned = static_cast<Element>(-1) < 0;

  static Vector zero() { return _mm256_setzero_si256(); }
  static __m256i load_query(const Element* query) { return load(query); }
  static __m256i load_query_tail(const Element* query, std::size_t dim, std::size_t left) {
    return load_tail_bytes(query, dim, left);
  }
  static __m256i load_row(const Byte* row) { return load(row); }
  static __m256i load_row_tail(const Byte* row, std::size_t dim, std::size_t left) {
    return load_tail_bytes(row, dim, left);
  }
  static Halves split(__m256i bytes) {
    if constexpr (kSigned) {
      return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
    } else {
      return {_mm256_and_si256(bytes, _mm256_set1_epi16(0x00FF)), _mm256_srli_epi16(bytes, 8)};
    }
  }
  static void store_all(Out* out, __m128i value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(out), value); }
  static void store_first(Out* out, __m128i value) { *out = static_cast<Out>(_mm_cvtsi128_si32(value)); }
};

template <typename Element, typename Result>
struct DotBytes : ByteOperation<Element, Result> {
  static __m256i add(__m256i sum, Halves query, __m256i row) {
    const Halves part = ByteOperation<Element, Result>::split(row);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(query.even, part.even));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(query.odd, part.odd));
  }
};

template <typename Element>
struct L2Bytes : ByteOperation<Element, std::uint32_t> {
  static __m256i add(__m256i sum, Halves query, __m256i row) {
    const Halves part = ByteOperation<Element, std::uint32_t>::split(row);
    const __m256i even = _mm256_sub_epi16(query.even, part.even);
    const __m256i odd = _mm256_sub_epi16(query.odd, part.odd);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(even, even));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(odd, odd));
  }
};

// Scores kCount rows: kRowsTogether, or one. GCC keeps the sums in registers only where every loop over them is
// unrolled.
template <typename Operation, std::size_t kCount>
void score(const typename Operation::Query* query, const Byte* const* row, std::size_t dim,
           typename Operation::Out* out) {
  constexpr std::size_t kStep = Operation::kStep;
  constexpr std::size_t kElementBytes = sizeof(typename Operation::Row);
  typename Operation::Vector sums[kRowsTogether];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRowsTogether; ++r) sums[r] = Operation::zero();
  std::size_t d = 0;
  for (; d + kStep <= dim; d += kStep) {
    const auto part = Operation::split(Operation::load_query(query + d));
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kCount; ++r) {
      sums[r] = Operation::add(sums[r], part, Operation::load_row(row[r] + d * kElementBytes));
    }
  }
  if (d < dim) {
    const auto part = Operation::split(Operation::load_query_tail(query, dim, dim - d));
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kCount; ++r) {
      sums[r] = Operation::add(sums[r], part, Operation::load_row_tail(row[r], dim, dim - d));
    }
  }
  const auto result = sums_of(sums);
  if constexpr (kCount == kRowsTogether) {
    Operation::store_all(out, result);
  } else {
    Operation::store_first(out, result);
  }
}

template <typename Operation>
void batch(const typename Operation::Query* query, const Rows& given, std::size_t dim, typename Operation::Out* out) {
  const Rows rows = given;  // a copy, because `out` might alias the original for all the compiler knows
  const std::size_t row_bytes = dim * sizeof(typename Operation::Row);
  for (std::size_t i = 0; i < kRowsAhead; ++i) prefetch_row(rows, i, row_bytes);
  std::size_t i = 0;
  for (; i + kRowsTogether <= rows.count; i += kRowsTogether) {
    const Byte* row[kRowsTogether];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRowsTogether; ++r) {
      row[r] = row_at(rows, i + r);
    }
    if (rows.ids != nullptr) {
      for (std::size_t r = 0; r < kRowsTogether; ++r) prefetch_row(rows, i + kRowsAhead + r, row_bytes);
    }
    score<Operation, kRowsTogether>(query, row, dim, out + i);
  }
  for (; i < rows.count; ++i) {
    const Byte* row = row_at(rows, i);
    score<Operation, 1>(query, &row, dim, out + i);
  }
}

// One query against the 16 rows of a tile, which are two vectors.
void dot_tile(const Byte* query, const Byte* tile, std::size_t groups, std::uint32_t* out) {
  const __m256i even_bytes = _mm256_set1_epi16(0xFF);
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (std::size_t group = 0; group < groups; ++group) {
    const __m256i bytes = _mm256_set1_epi32(static_cast<int>(group_of(query, group)));
    const __m256i even = _mm256_and_si256(bytes, even_bytes);
    const __m256i odd = _mm256_srli_epi16(bytes, 8);
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i rows = load(tile + group * Tiles::kGroupBytes + 32 * half);
      const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even, _mm256_and_si256(rows, even_bytes)),
                                                _mm256_madd_epi16(odd, _mm256_srli_epi16(rows, 8)));
      sums[half] = _mm256_add_epi32(sums[half], products);
    }
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), sums[0]);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8), sums[1]);
}

void widen_f16(const std::uint16_t* from, float* to, std::size_t count) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
  for (; i < count; ++i) to[i] = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(from[i])));
}

}  // namespace

const Kernels kAvx2 = {.level = KernelLevel::kAvx2,
                       .name = "avx2",
                       .dot_f32 = batch<DotF32>,
                       .l2_f32 = batch<L2F32>,
                       .dot_u8 = batch<DotBytes<std::uint8_t, std::uint32_t>>,
                       .l2_u8 = batch<L2Bytes<std::uint8_t>>,
                       .dot_i8 = batch<DotBytes<std::int8_t, std::int32_t>>,
                       .l2_i8 = batch<L2Bytes<std::int8_t>>,
                       .dot_f32_u8 = batch<DotF32U8>,
                       .dot_u8_tiles = each_tile<dot_tile>,
                       .widen_f16 = widen_f16,
                       .pq_score = pq_score_avx2};

}  // namespace vecstore::kernel_units
