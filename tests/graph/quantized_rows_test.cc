// SPDX-License-Identifier: Apache-2.0
#include "graph/quantized_rows.h"

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

struct Case {
  const char* name;
  Matrix matrix;
  Metric metric;
};

// Values far from equal norms, so that the virtual dimension of inner product counts.
Matrix of_many_norms(Matrix matrix) {
  for (std::size_t i = 0; i < matrix.bytes.size(); ++i) {
    const std::size_t row = i / matrix.dim;
    matrix.bytes[i] = static_cast<std::uint8_t>(matrix.bytes[i] * (row % 5 + 1) / 5);
  }
  return matrix;
}

std::vector<Case> cases() {
  const Matrix sift = of_many_norms(test::csift_rows(60));
  const Matrix text = test::win384_rows(60);
  std::vector<Case> all;
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    all.push_back({"u8", sift, metric});
    all.push_back({"i8", test::as_i8(sift), metric});
    all.push_back({"f16", text, metric});
    const std::vector<float> floats = test::as_floats(sift, Metric::kL2);
    Matrix wide{DType::kF32, sift.dim, std::vector<std::uint8_t>(floats.size() * sizeof(float))};
    std::memcpy(wide.bytes.data(), floats.data(), wide.bytes.size());
    all.push_back({"f32", wide, metric});
  }
  return all;
}

std::vector<std::vector<double>> decoded(const QuantizedRows& rows) {
  std::vector<std::vector<double>> all;
  std::vector<float> row(rows.dim());
  for (std::uint32_t i = 0; i < rows.rows(); ++i) {
    rows.decode(i, row.data());
    all.emplace_back(row.begin(), row.end());
  }
  return all;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

BOOST_AUTO_TEST_SUITE(quantized_rows)

BOOST_AUTO_TEST_CASE(decoded_rows_are_the_input_to_within_a_step) {
  for (const Case& c : cases()) {
    MemoryBudget budget;
    const QuantizedRows rows = test::quantized(c.matrix, c.metric, budget);
    const std::vector<float> expected = test::as_floats(c.matrix, c.metric);
    const auto all = decoded(rows);
    const bool exact = element_bytes(c.matrix.dtype) == 1;
    for (std::uint32_t row = 0; row < rows.rows(); ++row) {
      const double step = exact ? 1e-5 : 0.5001 * double{rows.params(row).scale};
      for (std::uint32_t i = 0; i < rows.dim(); ++i)
        BOOST_REQUIRE(std::abs(all[row][i] - double{expected[row * rows.dim() + i]}) <= step);
    }
  }
}

BOOST_AUTO_TEST_CASE(distances_between_rows_are_those_of_the_decoded_and_augmented_rows) {
  for (const Case& c : cases()) {
    MemoryBudget budget;
    const QuantizedRows rows = test::quantized(c.matrix, c.metric, budget);
    auto all = decoded(rows);
    double largest = 0;
    for (const auto& row : all) largest = std::max(largest, dot(row, row));
    if (c.metric == Metric::kInnerProduct)
      for (auto& row : all) row.push_back(std::sqrt(std::max(0.0, largest - dot(row, row))));
    std::vector<std::uint32_t> to(rows.rows());
    std::iota(to.rbegin(), to.rend(), 0u);
    std::vector<std::uint32_t> scratch(to.size());
    std::vector<float> out(to.size());
    for (std::uint32_t from = 0; from < rows.rows(); ++from) {
      rows.distances(from, to.data(), to.size(), scratch.data(), out.data());
      for (std::size_t i = 0; i < to.size(); ++i) {
        double expected = 0;
        for (std::size_t d = 0; d < all[from].size(); ++d) expected += std::pow(all[from][d] - all[to[i]][d], 2);
        BOOST_REQUIRE_MESSAGE(std::abs(double{out[i]} - expected) <= 1e-5 * (largest + expected),
                              c.name << " " << name_of(c.metric) << ": " << out[i] << " for " << expected);
        if (!rows.shape().has_params()) BOOST_REQUIRE(double{out[i]} == expected);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(projections_are_products_with_the_decoded_rows) {
  for (const Case& c : cases()) {
    MemoryBudget budget;
    const QuantizedRows rows = test::quantized(c.matrix, c.metric, budget);
    const auto all = decoded(rows);
    std::vector<float> direction(rows.dim());
    Random random(5);
    for (float& x : direction) x = static_cast<float>(random.unit() - 0.5);
    const std::vector<double> wide(direction.begin(), direction.end());
    const std::vector<std::uint32_t> some = {7, 0, 59, 7};
    std::vector<float> out(some.size());
    rows.project(direction.data(), some.data(), some.size(), out.data());
    // Integers under l2 are projected without their offset, which is the same for all rows.
    const double offset = !rows.shape().has_params() && c.matrix.dtype == DType::kI8
                              ? 128.0 * std::accumulate(wide.begin(), wide.end(), 0.0)
                              : 0.0;
    for (std::size_t i = 0; i < some.size(); ++i) {
      const double scale = std::sqrt(dot(all[some[i]], all[some[i]]) * dot(wide, wide)) + std::abs(offset);
      BOOST_TEST(std::abs(double{out[i]} - offset - dot(wide, all[some[i]])) <= 1e-5 * scale);
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_filled_in_parts_and_with_a_stride_are_the_same) {
  const Matrix matrix = test::csift_rows(50);
  MemoryBudget budget;
  const QuantizedRows whole = test::quantized(matrix, Metric::kCosine, budget);
  auto parts = QuantizedRows::create(50, {matrix.dim, matrix.dtype, Metric::kCosine}, budget);
  REQUIRE_OK(parts);
  VectorView every_second = matrix.view();
  every_second.rows = 25;
  every_second.stride = std::size_t{2} * matrix.dim;
  parts->fill(25, every_second);
  VectorView odd = every_second;
  odd.data = matrix.bytes.data() + matrix.dim;
  parts->fill(0, odd);
  parts->finish();
  for (std::uint32_t i = 0; i < 25; ++i) {
    BOOST_REQUIRE(std::memcmp(parts->codes(25 + i), whole.codes(2 * i), matrix.dim) == 0);
    BOOST_REQUIRE(parts->params(i).scale == whole.params(2 * i + 1).scale);
  }
}

BOOST_AUTO_TEST_CASE(memory_is_what_was_predicted) {
  for (const Case& c : cases()) {
    MemoryBudget budget;
    const QuantizedRows rows = test::quantized(c.matrix, c.metric, budget);
    BOOST_TEST(budget.used_bytes() == QuantizedRows::predict_bytes(rows.rows(), rows.shape()));
    BOOST_TEST(rows.shape().has_params() == (c.metric != Metric::kL2 || element_bytes(c.matrix.dtype) > 1));
  }
}

// What a page holds of rows makes the same rows again, in any order, beside others that were replaced.
BOOST_AUTO_TEST_CASE(stored_rows_come_back_with_the_same_distances) {
  for (const Case& c : cases()) {
    for (const std::uint32_t bits : {8u, 16u, 32u}) {
      if (is_integer(c.matrix.dtype) && bits != 8) continue;
      MemoryBudget budget;
      const RowShape shape{c.matrix.dim, c.matrix.dtype, c.metric, bits};
      auto rows = QuantizedRows::create(c.matrix.rows(), shape, budget);
      auto again = QuantizedRows::create(c.matrix.rows(), shape, budget);
      REQUIRE_OK(rows);
      REQUIRE_OK(again);
      rows->fill(0, c.matrix.view());
      rows->finish();
      again->expect_norm2(rows->largest_norm2());
      std::vector<float> scratch(c.matrix.dim);
      const auto count = static_cast<std::uint32_t>(rows->rows());
      for (const std::uint32_t other : {1u, 0u})  // first another row, then its own
        for (std::uint32_t row = 0; row < count; ++row)
          again->put_stored(row, rows->stored((row + other) % count, std::as_writable_bytes(std::span(scratch))));
      for (std::uint32_t row = 0; row < count; row += 7) {
        for (std::uint32_t to = 0; to < count; to += 5) {
          std::uint32_t ignored = 0;
          float distance = 0;
          float distance_again = 0;
          rows->distances(row, &to, 1, &ignored, &distance);
          again->distances(row, &to, 1, &ignored, &distance_again);
          const float tolerance = bits == 16 ? 1e-3f : 1e-5f;
          BOOST_TEST_CONTEXT(c.name << ' ' << bits << " bits")
          BOOST_TEST(std::abs(distance - distance_again) <= tolerance * (1 + std::abs(distance)));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
