// SPDX-License-Identifier: Apache-2.0
//
// The AVX-512 unit (F, BW, VL, DQ, VNNI): distances. Four rows share each load of the query and one reduction at the
// end. A row alone goes through the same operations in the same order, so its result does not depend on its batch.
// Tails are masked loads, which touch no byte that the mask leaves out.
#include <immintrin.h>

#include "compress/kernels/units.h"

namespace vecstore::kernel_units {
namespace {

constexpr std::size_t kRowsTogether = 4;
constexpr std::size_t kRowsAhead = 8;

template <bool kTail>
__m512 load_f32(const float* from, __mmask16 mask) {
  return kTail ? _mm512_maskz_loadu_ps(mask, from) : _mm512_loadu_ps(from);
}

template <bool kTail>
__m512i load_bytes(const void* from, __mmask64 mask) {
  return kTail ? _mm512_maskz_loadu_epi8(mask, from) : _mm512_loadu_si512(from);
}

template <typename Element>
int sum_of_bytes(const Element* bytes, std::size_t count) {
  int sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += bytes[i];
  return sum;
}

__m512i flip_signs(__m512i bytes) { return _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)); }

// Lane r of the result is the sum of the 16 lanes of the r-th argument.
__m128 sums_of(const __m512 (&v)[kRowsTogether]) {
  __m256 half[kRowsTogether];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRowsTogether; ++r) {
    half[r] = _mm256_add_ps(_mm512_castps512_ps256(v[r]), _mm512_extractf32x8_ps(v[r], 1));
  }
  const __m256 quads = _mm256_hadd_ps(_mm256_hadd_ps(half[0], half[1]), _mm256_hadd_ps(half[2], half[3]));
  return _mm_add_ps(_mm256_castps256_ps128(quads), _mm256_extractf128_ps(quads, 1));
}

__m128i sums_of(const __m512i (&v)[kRowsTogether]) {
  __m256i half[kRowsTogether];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRowsTogether; ++r) {
    half[r] = _mm256_add_epi32(_mm512_castsi512_si256(v[r]), _mm512_extracti32x8_epi32(v[r], 1));
  }
  const __m256i quads = _mm256_hadd_epi32(_mm256_hadd_epi32(half[0], half[1]), _mm256_hadd_epi32(half[2], half[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
}

// An operation says how a step of kStep elements adds to the accumulator of a row, and what the sums of four
// accumulators mean. `prepared` is what it needs to know of the query, once per batch.

struct FloatOperation {
  using Query = float;
  using Out = float;
  using Sum = __m512;
  using Prepared = int;
  static constexpr std::size_t kStep = 16;

  static Sum zero() { return _mm512_setzero_ps(); }
  static Prepared prepare(const float*, std::size_t) { return 0; }
  template <bool kTail>
  static __m512 load_query(const float* query, std::uint64_t mask) {
    return load_f32<kTail>(query, static_cast<__mmask16>(mask));
  }
  static __m128 finish(const Sum (&sums)[kRowsTogether], Prepared) { return sums_of(sums); }
  static void store_all(float* out, __m128 value) { _mm_storeu_ps(out, value); }
  static void store_first(float* out, __m128 value) { _mm_store_ss(out, value); }
};

struct DotF32 : FloatOperation {
  using Row = float;
  template <bool kTail>
  static void add(Sum& sum, __m512 query, const Byte* row, std::uint64_t mask) {
    const __m512 values = load_f32<kTail>(reinterpret_cast<const float*>(row), static_cast<__mmask16>(mask));
    sum = _mm512_fmadd_ps(query, values, sum);
  }
};

struct L2F32 : FloatOperation {
  using Row = float;
  template <bool kTail>
  static void add(Sum& sum, __m512 query, const Byte* row, std::uint64_t mask) {
    const __m512 values = load_f32<kTail>(reinterpret_cast<const float*>(row), static_cast<__mmask16>(mask));
    const __m512 difference = _mm512_sub_ps(query, values);
    sum = _mm512_fmadd_ps(difference, difference, sum);
  }
};

struct DotF32U8 : FloatOperation {
  using Row = Byte;
  template <bool kTail>
  static void add(Sum& sum, __m512 query, const Byte* row, std::uint64_t mask) {
    const __m128i bytes = kTail ? _mm_maskz_loadu_epi8(static_cast<__mmask16>(mask), row)
                                : _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
    sum = _mm512_fmadd_ps(query, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)), sum);
  }
};

// vpdpbusd multiplies unsigned by signed bytes, so one side is shifted by 128 and `Prepared` undoes it with sums over
// the query: exact, in arithmetic modulo 2^32 whose end result fits.
template <typename Element, typename Result>
struct ByteOperation {
  using Query = Element;
  using Row = Element;
  using Out = Result;
  static constexpr std::size_t kStep = 64;

  template <bool kTail>
  static __m512i load_query(const Element* query, std::uint64_t mask) {
    return load_bytes<kTail>(query, mask);
  }
  static void store_all(Out* out, __m128i value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(out), value); }
  static void store_first(Out* out, __m128i value) { *out = static_cast<Out>(_mm_cvtsi128_si32(value)); }
};

template <typename Element, typename Result>
struct DotBytes : ByteOperation<Element, Result> {
  using Sum = __m512i;
  using Prepared = int;
  static constexpr bool kSigned = static_cast<Element>(-1) < 0;

  static Sum zero() { return _mm512_setzero_si512(); }
  // u8: Σ q(r − 128) = Σ qr − 128 Σq. i8: Σ (r + 128)q = Σ qr + 128 Σq. Masked lanes of the query are zero.
  static Prepared prepare(const Element* query, std::size_t dim) {
    const int sum = sum_of_bytes(query, dim);
    return kSigned ? -128 * sum : 128 * sum;
  }
  template <bool kTail>
  static void add(Sum& sum, __m512i query, const Byte* row, std::uint64_t mask) {
    const __m512i flipped = flip_signs(load_bytes<kTail>(row, mask));
    sum = kSigned ? _mm512_dpbusd_epi32(sum, flipped, query) : _mm512_dpbusd_epi32(sum, query, flipped);
  }
  static __m128i finish(const Sum (&sums)[kRowsTogether], Prepared prepared) {
    return _mm_add_epi32(sums_of(sums), _mm_set1_epi32(prepared));
  }
};

// Bytes widened to 16 bits as even and odd ones, by mask and shift rather than by shuffles.
struct Halves {
  __m512i even;
  __m512i odd;
};

// Differences of widened bytes, squared and summed by vpdpwssd. Three vpdpbusd with corrections over the query are
// fewer instructions, but 1.3 times as slow at 128 dimensions. They take two sums to a row, and all is on the
// multiplier's ports. Signed bytes differ by what the same bytes shifted by 128 differ by, so both kinds are widened as
// unsigned.
template <typename Element>
struct L2Bytes : ByteOperation<Element, std::uint32_t> {
  using Sum = __m512i;
  using Prepared = int;
  static constexpr bool kSigned = static_cast<Element>(-1) < 0;

  static Sum zero() { return _mm512_setzero_si512(); }
  static Prepared prepare(const Element*, std::size_t) { return 0; }
  static Halves widen(__m512i bytes) {
    const __m512i as_unsigned = kSigned ? flip_signs(bytes) : bytes;
    return {_mm512_and_si512(as_unsigned, _mm512_set1_epi16(0x00FF)), _mm512_srli_epi16(as_unsigned, 8)};
  }
  template <bool kTail>
  static Halves load_query(const Element* query, std::uint64_t mask) {
    return widen(load_bytes<kTail>(query, mask));
  }
  template <bool kTail>
  static void add(Sum& sum, const Halves& query, const Byte* row, std::uint64_t mask) {
    const Halves part = widen(load_bytes<kTail>(row, mask));
    const __m512i even = _mm512_sub_epi16(query.even, part.even);
    const __m512i odd = _mm512_sub_epi16(query.odd, part.odd);
    sum = _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(sum, even, even), odd, odd);
  }
  static __m128i finish(const Sum (&sums)[kRowsTogether], Prepared) { return sums_of(sums); }
};

// Scores kCount rows: kRowsTogether, or one. GCC keeps the sums in registers only where every loop over them is
// unrolled.
template <typename Operation, std::size_t kCount>
void score(const typename Operation::Query* query, typename Operation::Prepared prepared, const Byte* const* row,
           std::size_t dim, typename Operation::Out* out) {
  constexpr std::size_t kStep = Operation::kStep;
  constexpr std::size_t kElementBytes = sizeof(typename Operation::Row);
  typename Operation::Sum sums[kRowsTogether];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRowsTogether; ++r) sums[r] = Operation::zero();
  std::size_t d = 0;
  for (; d + kStep <= dim; d += kStep) {
    const auto part = Operation::template load_query<false>(query + d, 0);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kCount; ++r) {
      Operation::template add<false>(sums[r], part, row[r] + d * kElementBytes, 0);
    }
  }
  if (d < dim) {
    const std::uint64_t mask = (std::uint64_t{1} << (dim - d)) - 1;
    const auto part = Operation::template load_query<true>(query + d, mask);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kCount; ++r) {
      Operation::template add<true>(sums[r], part, row[r] + d * kElementBytes, mask);
    }
  }
  const auto result = Operation::finish(sums, prepared);
  if constexpr (kCount == kRowsTogether) {
    Operation::store_all(out, result);
  } else {
    Operation::store_first(out, result);
  }
}

template <typename Operation>
void batch(const typename Operation::Query* query, const Rows& given, std::size_t dim, typename Operation::Out* out) {
  const Rows rows = given;  // a copy, because `out` might alias the original for all the compiler knows
  const auto prepared = Operation::prepare(query, dim);
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
    score<Operation, kRowsTogether>(query, prepared, row, dim, out + i);
  }
  for (; i < rows.count; ++i) {
    const Byte* row = row_at(rows, i);
    score<Operation, 1>(query, prepared, &row, dim, out + i);
  }
}

// Sums at once, of the 32 registers: they hide the time that one takes, and share loads.
constexpr std::size_t kTileSums = 16;

// kQueries of the queries against kTiles tiles. As in DotBytes the rows are shifted by 128.
template <std::size_t kQueries, std::size_t kTiles>
void score_tiles(const Byte* const* queries, const Tiles& tiles, std::size_t first, std::uint32_t* const* out) {
  const Byte* tile[kTiles];
  __m512i sums[kQueries][kTiles];
  for (std::size_t t = 0; t < kTiles; ++t) tile[t] = tiles.data + (first + t) * tiles.groups * Tiles::kGroupBytes;
#pragma GCC unroll 16
  for (std::size_t q = 0; q < kQueries; ++q) {
    const int shift = 128 * sum_of_bytes(queries[q], 4 * tiles.groups);
#pragma GCC unroll 16
    for (std::size_t t = 0; t < kTiles; ++t) sums[q][t] = _mm512_set1_epi32(shift);
  }
  for (std::size_t group = 0; group < tiles.groups; ++group) {
    __m512i rows[kTiles];
#pragma GCC unroll 16
    for (std::size_t t = 0; t < kTiles; ++t) {
      rows[t] = flip_signs(_mm512_loadu_si512(tile[t] + group * Tiles::kGroupBytes));
    }
#pragma GCC unroll 16
    for (std::size_t q = 0; q < kQueries; ++q) {
      const __m512i query = _mm512_set1_epi32(static_cast<int>(group_of(queries[q], group)));
#pragma GCC unroll 16
      for (std::size_t t = 0; t < kTiles; ++t) sums[q][t] = _mm512_dpbusd_epi32(sums[q][t], query, rows[t]);
    }
  }
  for (std::size_t q = 0; q < kQueries; ++q) {
    for (std::size_t t = 0; t < kTiles; ++t) _mm512_storeu_si512(out[q] + (first + t) * Tiles::kRows, sums[q][t]);
  }
}

template <std::size_t kQueries>
void score_all_tiles(const Byte* const* queries, const Tiles& tiles, std::uint32_t* const* out) {
  constexpr std::size_t kTogether = kTileSums / kQueries;
  std::size_t first = 0;
  for (; first + kTogether <= tiles.count; first += kTogether) {
    score_tiles<kQueries, kTogether>(queries, tiles, first, out);
  }
  for (; first < tiles.count; ++first) score_tiles<kQueries, 1>(queries, tiles, first, out);
}

void dot_tiles(const Byte* const* queries, std::size_t query_count, const Tiles& given, std::uint32_t* const* out) {
  const Tiles tiles = given;  // a copy, because `out` might alias the original for all the compiler knows
  std::size_t q = 0;
  for (; q + 8 <= query_count; q += 8) score_all_tiles<8>(queries + q, tiles, out + q);
  for (; q + 4 <= query_count; q += 4) score_all_tiles<4>(queries + q, tiles, out + q);
  for (; q + 2 <= query_count; q += 2) score_all_tiles<2>(queries + q, tiles, out + q);
  for (; q < query_count; ++q) score_all_tiles<1>(queries + q, tiles, out + q);
}

void widen_f16(const std::uint16_t* from, float* to, std::size_t count) {
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i))));
  }
  if (i < count) {
    const auto mask = static_cast<__mmask16>((1u << (count - i)) - 1);
    _mm512_mask_storeu_ps(to + i, mask, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from + i)));
  }
}

}  // namespace

const Kernels kAvx512 = {.level = KernelLevel::kAvx512,
                         .name = "avx512",
                         .dot_f32 = batch<DotF32>,
                         .l2_f32 = batch<L2F32>,
                         .dot_u8 = batch<DotBytes<std::uint8_t, std::uint32_t>>,
                         .l2_u8 = batch<L2Bytes<std::uint8_t>>,
                         .dot_i8 = batch<DotBytes<std::int8_t, std::int32_t>>,
                         .l2_i8 = batch<L2Bytes<std::int8_t>>,
                         .dot_f32_u8 = batch<DotF32U8>,
                         .dot_u8_tiles = dot_tiles,
                         .widen_f16 = widen_f16,
                         .pq_score = pq_score_avx512};

}  // namespace vecstore::kernel_units
