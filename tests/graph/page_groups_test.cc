// SPDX-License-Identifier: Apache-2.0
#include "graph/page_groups.h"

#include <cstring>
#include <numeric>
#include <set>

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

constexpr std::uint32_t kDim = 8;

Matrix matrix_of(const std::vector<float>& values) {
  Matrix rows{DType::kF32, kDim, std::vector<std::uint8_t>(values.size() * sizeof(float))};
  if (!values.empty()) std::memcpy(rows.bytes.data(), values.data(), rows.bytes.size());
  return rows;
}

// Row i belongs to group groups[i]; groups lie 1,000 apart, rows of one group within 1.
Matrix in_groups(const std::vector<int>& groups) {
  Random random(1);
  std::vector<float> values(groups.size() * kDim);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(random.unit() + 1000.0 * groups[i / kDim] * (i % 2 == 0 ? 1 : -1));
  return matrix_of(values);
}

std::vector<std::uint32_t> gathered(const Matrix& rows, std::uint32_t rows_per_page, Metric metric, unsigned threads) {
  MemoryBudget budget;
  const auto executor = make_executor(threads);
  const QuantizedRows quantized = test::quantized(rows, metric, budget, 32);
  std::vector<std::uint32_t> order(quantized.rows());
  std::iota(order.begin(), order.end(), 0u);
  REQUIRE_OK(gather_groups(quantized, rows_per_page, *executor, budget, order));
  return order;
}

std::vector<int> groups_in(const std::vector<std::uint32_t>& order, const std::vector<int>& groups) {
  std::vector<int> found;
  for (const std::uint32_t row : order) found.push_back(groups[row]);
  return found;
}

BOOST_AUTO_TEST_SUITE(page_groups)

BOOST_AUTO_TEST_CASE(rows_of_a_mixed_page_stand_by_group_from_the_page_before_on) {
  std::vector<int> groups = {1, 1, 1, 1, 1, 1,  //
                             2, 1, 2, 1, 2, 1,  // begins with the group of the page before
                             2, 2, 2, 2, 2, 2,  //
                             4, 3, 4, 2, 3, 2};
  groups.insert(groups.end(), 18, 4);
  const auto order = gathered(in_groups(groups), 6, Metric::kL2, 1);
  const std::vector<int> found = groups_in(order, groups);
  BOOST_TEST((std::vector<int>(found.begin(), found.begin() + 18) ==
              std::vector<int>{1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2}));
  BOOST_TEST((std::vector<int>(found.begin() + 18, found.begin() + 24) == std::vector<int>{2, 2, 3, 3, 4, 4}));
  // Each page keeps its rows, and what is not mixed its order.
  for (std::uint32_t page = 0; page < 7; ++page) {
    const std::set<std::uint32_t> rows(order.begin() + 6 * page, order.begin() + 6 * (page + 1));
    BOOST_TEST((rows.size() == 6 && *rows.begin() == 6 * page && *rows.rbegin() == 6 * page + 5));
  }
  for (std::uint32_t row = 0; row < 6; ++row) BOOST_TEST((order[row] == row && order[12 + row] == 12 + row));
  BOOST_TEST((gathered(in_groups(groups), 6, Metric::kL2, 3) == order));
}

BOOST_AUTO_TEST_CASE(nothing_moves_where_no_row_is_far) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kInnerProduct}) {
    for (const std::size_t count : {0u, 1u, 5u, 100u}) {
      const auto order = gathered(in_groups(std::vector<int>(count, 1)), 7, metric, 2);
      for (std::uint32_t row = 0; row < count; ++row) BOOST_REQUIRE_EQUAL(order[row], row);
    }
  }
  // One row a page: there is nothing to gather.
  const auto alone = gathered(in_groups({1, 2, 1, 2}), 1, Metric::kL2, 1);
  BOOST_TEST((alone == std::vector<std::uint32_t>{0, 1, 2, 3}));
  // Equal rows: no step is usual.
  const auto equal = gathered(matrix_of(std::vector<float>(12 * kDim, 1.0f)), 4, Metric::kL2, 1);
  for (std::uint32_t row = 0; row < 12; ++row) BOOST_TEST(equal[row] == row);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
