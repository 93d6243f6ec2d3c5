// SPDX-License-Identifier: Apache-2.0
//
// What the tests of whole stores share: real vectors in memory, in any shape and element type, and stores built of
// them.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/half.h"
#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "tests/instrumented.h"
#include "tests/test_util.h"

namespace vecstore::test {

// Vectors that own their memory.
struct Matrix {
  std::vector<std::byte> bytes;
  DType dtype = DType::kU8;
  std::uint32_t dim = 0;

  std::size_t row_bytes() const { return dim * element_bytes(dtype); }
  std::uint64_t rows() const { return dim == 0 ? 0 : bytes.size() / row_bytes(); }
  VectorView view() const { return {bytes.data(), dtype, rows(), dim, 0}; }
  VectorView row(std::uint64_t i) const { return {bytes.data() + i * row_bytes(), dtype, 1, dim, 0}; }
};

inline Matrix load_rows(const std::string& path, std::uint64_t first, std::uint64_t count) {
  const auto source = open_vector_file(path);
  REQUIRE_OK(source);
  Matrix matrix{{}, (*source)->dtype(), (*source)->dim()};
  BOOST_REQUIRE(first <= (*source)->rows());
  count = std::min(count, (*source)->rows() - first);
  matrix.bytes.resize(count * matrix.row_bytes());
  REQUIRE_OK((*source)->read(first, count, matrix.bytes.data()));
  return matrix;
}

inline Matrix csift(std::uint64_t count, std::uint64_t first = 0) {
  return load_rows(shipped_data("csift55k.base.u8bin"), first, count);
}
inline Matrix csift_queries(std::uint64_t count) { return load_rows(shipped_data("csift55k.query.u8bin"), 0, count); }
inline Matrix win384(std::uint64_t count, std::uint64_t first = 0) {
  return load_rows(shipped_data("win384-8k.base.f16bin"), first, count);
}
inline Matrix win384_queries(std::uint64_t count) {
  return load_rows(shipped_data("win384-8k.query.f16bin"), 0, count);
}

template <typename T>
Matrix matrix_of(std::uint32_t dim, DType dtype, const std::vector<T>& values) {
  BOOST_REQUIRE(sizeof(T) == element_bytes(dtype));
  Matrix matrix{std::vector<std::byte>(values.size() * sizeof(T)), dtype, dim};
  if (!values.empty()) std::memcpy(matrix.bytes.data(), values.data(), matrix.bytes.size());
  return matrix;
}

// The same values with less range: f16 → f32 widened (each row times `factor(row)`), u8 → i8 less 128.
template <typename Factor>
Matrix widened(const Matrix& from, const Factor& factor) {
  std::vector<float> values(from.rows() * from.dim);
  for (std::uint64_t row = 0; row < from.rows(); ++row) {
    float* to = values.data() + row * from.dim;
    widen_row(from.view(), row, to);
    for (std::uint32_t i = 0; i < from.dim; ++i) to[i] *= factor(row);
  }
  return matrix_of(from.dim, DType::kF32, values);
}
inline Matrix widened(const Matrix& from) {
  return widened(from, [](std::uint64_t) { return 1.0f; });
}
inline Matrix shifted(Matrix from) {
  BOOST_REQUIRE(from.dtype == DType::kU8);
  for (std::byte& value : from.bytes) value ^= std::byte{0x80};
  from.dtype = DType::kI8;
  return from;
}

// `rows` vectors of `dim` real values of that element type, none of them zero: descriptors or embeddings, cut anew.
inline Matrix recut(DType dtype, std::uint32_t dim, std::uint64_t rows) {
  const bool integers = is_integer(dtype);
  const std::uint32_t source_dim = integers ? 128 : 384;
  const std::uint64_t needed = (rows * dim + source_dim - 1) / source_dim;
  Matrix matrix = integers ? csift(needed) : win384(needed);
  if (dtype == DType::kI8) matrix = shifted(std::move(matrix));
  if (dtype == DType::kF32) matrix = widened(matrix);
  matrix.dim = dim;
  matrix.bytes.resize(rows * matrix.row_bytes());
  const std::size_t element = element_bytes(dtype);
  for (std::size_t row = 0; row < rows; ++row) {
    std::byte* first = matrix.bytes.data() + row * matrix.row_bytes();
    if (std::all_of(first, first + element, [](std::byte byte) { return byte == std::byte{0}; }))
      first[element - 1] = std::byte{0x3C};  // 60 as an integer, near 1 as a half, small as a float
  }
  return matrix;
}

inline ExactNeighbours exact(const Matrix& base, const Matrix& queries, std::uint32_t k, Metric metric) {
  auto found = exact_search(*view_source(base.view()), *view_source(queries.view()), k, metric, 2);
  REQUIRE_OK(found);
  return std::move(*found);
}

inline BuildOptions build_options(Metric metric, bool calibrate = false) {
  BuildOptions options;
  options.metric = metric;
  options.calibrate = calibrate;
  options.threads = 2;
  return options;
}

inline Store build_and_open(const std::string& path, const Matrix& base, const BuildOptions& build,
                            const OpenOptions& open = {}) {
  REQUIRE_OK(Store::build(path, *view_source(base.view()), build));
  auto store = Store::open(path, open);
  REQUIRE_OK(store);
  return std::move(*store);
}

// Settings at which a search looks at everything it can reach.
inline SearchOptions exhaustive(std::uint32_t k) {
  SearchOptions options;
  options.k = k;
  options.search_list = 4096;
  options.blocks = 1u << 20;
  options.bound = 100.0f;
  return options;
}

inline SearchResults search(const Store& store, const VectorView& queries, const SearchOptions& options,
                            std::uint32_t threads = 1) {
  auto results = store.search(queries, options, threads);
  REQUIRE_OK(results);
  return std::move(*results);
}

inline double recall(const SearchResults& results, const ExactNeighbours& truth, std::uint32_t k) {
  const auto value = recall_at(results, truth, k);
  REQUIRE_OK(value);
  return *value;
}

inline double mean(const SearchResults& results, std::uint32_t QueryStats::* field) {
  double sum = 0;
  for (std::size_t query = 0; query < results.size(); ++query) sum += results.stats(query).*field;
  return results.size() == 0 ? 0 : sum / static_cast<double>(results.size());
}

// Hits come best first, with falling scores, and no row twice.
inline void check_sorted(std::span<const Hit> hits) {
  std::vector<std::uint64_t> rows;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    rows.push_back(hits[i].row.value);
    if (i == 0) continue;
    BOOST_REQUIRE(hits[i - 1].distance <= hits[i].distance);
    BOOST_REQUIRE(hits[i - 1].score >= hits[i].score);
  }
  std::sort(rows.begin(), rows.end());
  BOOST_REQUIRE(std::adjacent_find(rows.begin(), rows.end()) == rows.end());
}

inline bool same_hits(const SearchResults& a, const SearchResults& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t query = 0; query < a.size(); ++query) {
    const bool same = std::equal(
        a[query].begin(), a[query].end(), b[query].begin(), b[query].end(),
        [](const Hit& x, const Hit& y) { return x.row == y.row && x.distance == y.distance && x.score == y.score; });
    if (!same || a.stats(query).requests != b.stats(query).requests || a.stats(query).rounds != b.stats(query).rounds)
      return false;
  }
  return true;
}

}  // namespace vecstore::test
