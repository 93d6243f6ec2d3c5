// SPDX-License-Identifier: Apache-2.0
#include "compress/kernels/dense.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "compress/kernels/kernels.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

std::vector<const DenseUnit*> units() {
  std::vector<const DenseUnit*> present = {&detail::kDenseBaseline};
#if defined(__x86_64__)
  if (kernels_of(KernelLevel::kAvx2).has_value()) present.push_back(&detail::kDenseAvx2);
  if (kernels_of(KernelLevel::kAvx512).has_value()) present.push_back(&detail::kDenseAvx512);
#endif
  return present;
}

struct Input {
  Points points;
  Table table;
  std::vector<float> point_values;
  std::vector<float> table_values;

  Input(std::size_t count, std::size_t depth, std::size_t columns, std::uint64_t seed)
      : point_values(count * (depth + 3)), table_values(depth * columns) {
    Random random(seed);
    for (float& value : point_values) value = static_cast<float>(random.unit() - 0.5);
    for (float& value : table_values) value = static_cast<float>(random.unit() - 0.5);
    points = {point_values.data(), count, depth + 3, depth};
    table = {table_values.data(), columns, columns};
  }

  double product(std::size_t p, std::size_t j) const {
    double sum = 0;
    for (std::size_t k = 0; k < points.depth; ++k)
      sum += static_cast<double>(points.data[p * points.stride + k]) *
             static_cast<double>(table.data[k * table.stride + j]);
    return sum;
  }
};

BOOST_AUTO_TEST_CASE(every_unit_multiplies_like_the_slow_loop) {
  for (const DenseUnit* unit : units()) {
    for (const std::size_t count : {1u, 3u, 4u, 5u, 9u}) {
      for (const std::size_t columns : {16u, 32u, 48u, 80u}) {
        for (const std::size_t depth : {1u, 4u, 31u}) {
          const Input input(count, depth, columns, count * 1000 + columns + depth);
          std::vector<float> out(count * (columns + 1), 77.0f);
          unit->multiply(input.points, input.table, out.data(), columns + 1);
          for (std::size_t p = 0; p < count; ++p) {
            for (std::size_t j = 0; j < columns; ++j)
              BOOST_REQUIRE_SMALL(static_cast<double>(out[p * (columns + 1) + j]) - input.product(p, j), 1e-5);
            BOOST_REQUIRE(out[p * (columns + 1) + columns] == 77.0f);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_unit_finds_the_nearest_column_and_never_one_taken_out) {
  for (const DenseUnit* unit : units()) {
    for (const std::size_t count : {1u, 4u, 7u}) {
      for (const std::size_t columns : {16u, 48u, 256u}) {
        const Input input(count, 5, columns, count + columns);
        std::vector<float> norms(columns);
        for (std::size_t j = 0; j < columns; ++j)
          norms[j] = j % 3 == 1 ? std::numeric_limits<float>::infinity() : 0.01f * static_cast<float>(j % 7);
        std::vector<std::uint32_t> index(count);
        std::vector<float> score(count);
        unit->nearest(input.points, input.table, norms.data(), index.data(), score.data());
        for (std::size_t p = 0; p < count; ++p) {
          double least = std::numeric_limits<double>::infinity();
          for (std::size_t j = 0; j < columns; ++j)
            least = std::min(least, static_cast<double>(norms[j]) - 2 * input.product(p, j));
          BOOST_REQUIRE(index[p] % 3 != 1);
          const double found = static_cast<double>(norms[index[p]]) - 2 * input.product(p, index[p]);
          BOOST_REQUIRE_SMALL(found - least, 1e-5);
          BOOST_REQUIRE_SMALL(static_cast<double>(score[p]) - least, 1e-5);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_first_of_equal_columns_wins) {
  for (const DenseUnit* unit : units()) {
    const std::vector<float> zeros(2 * 64);
    std::vector<float> norms(64, 1.0f);
    for (const std::size_t j : {61u, 37u, 22u}) norms[j] = 0.5f;
    std::vector<std::uint32_t> index(5);
    unit->nearest({zeros.data(), 5, 2, 2}, {zeros.data(), 64, 64}, norms.data(), index.data(), nullptr);
    for (const std::uint32_t found : index) BOOST_TEST(found == 22u);
  }
}

}  // namespace
}  // namespace vecstore
