// SPDX-License-Identifier: Apache-2.0
#include "compress/rotation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/compress/code_cases.h"

namespace vecstore {
namespace {

BOOST_AUTO_TEST_CASE(subspaces_cover_all_dimensions_and_differ_by_at_most_one) {
  for (const std::uint32_t dim : {1u, 7u, 128u, 784u, 4096u}) {
    for (std::uint32_t subspaces = 1; subspaces <= dim; subspaces += 1 + dim / 9) {
      const std::vector<std::uint32_t> begin = even_subspaces(dim, subspaces);
      BOOST_TEST(begin.front() == 0u);
      BOOST_TEST(begin.back() == dim);
      for (std::size_t m = 0; m < subspaces; ++m) {
        const std::uint32_t width = begin[m + 1] - begin[m];
        BOOST_REQUIRE((width == dim / subspaces || width == (dim + subspaces - 1) / subspaces));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(eigenvalues_are_dealt_once_each_and_balance_the_products) {
  std::vector<double> falling;
  for (int i = 0; i < 62; ++i) falling.push_back(std::pow(0.8, i));
  const auto members = allocate_eigenvalues(falling, 8);
  std::vector<int> seen(62);
  double least = 1e300;
  double greatest = -1e300;
  for (const auto& subspace : members) {
    BOOST_TEST((subspace.size() == 7 || subspace.size() == 8));
    double product = 0;
    for (const std::uint32_t direction : subspace) {
      ++seen[direction];
      product += std::log(falling[direction]) / static_cast<double>(subspace.size());
    }
    least = std::min(least, product);
    greatest = std::max(greatest, product);
  }
  BOOST_TEST((std::count(seen.begin(), seen.end(), 1) == 62));
  // Dealt in order, the first eight would differ from the last by 54 · log .8 = −12.
  BOOST_TEST(greatest - least < 3.0);
}

BOOST_AUTO_TEST_CASE(the_rotation_is_orthonormal_and_makes_the_dimensions_uncorrelated) {
  for (const std::uint32_t dim : {3u, 20u, 100u}) {
    const test::MemoryRows rows = test::walking_rows(3000, dim, dim);
    std::vector<float> points(3000 * padded(dim));
    for (std::size_t i = 0; i < 3000; ++i) rows.read(static_cast<Pos>(i), &points[i * padded(dim)]);
    std::vector<float> rotation(dim * dim);
    std::vector<std::uint32_t> begin;
    MemoryBudget budget;
    test::ThreadsExecutor executor(2);
    const std::uint32_t subspaces = (dim + 3) / 4;
    REQUIRE_OK(principal_rotation({points.data(), 3000, padded(dim), dim}, subspaces, executor, budget, rotation.data(),
                                  begin));
    BOOST_TEST(budget.peak_bytes() <= principal_rotation_bytes(dim, 2));
    BOOST_TEST(begin.size() == subspaces + 1);
    BOOST_TEST(begin.back() == dim);

    std::vector<double> covariance(dim * dim);
    std::vector<double> mean(dim);
    std::vector<double> rotated(dim);
    for (std::size_t i = 0; i < 3000; ++i) {
      for (std::size_t a = 0; a < dim; ++a) {
        rotated[a] = 0;
        for (std::size_t k = 0; k < dim; ++k)
          rotated[a] += static_cast<double>(rotation[a * dim + k]) * static_cast<double>(rows.row(i)[k]);
        mean[a] += rotated[a] / 3000;
      }
      for (std::size_t a = 0; a < dim; ++a) {
        for (std::size_t b = 0; b < dim; ++b) covariance[a * dim + b] += rotated[a] * rotated[b] / 3000;
      }
    }
    double greatest = 0;
    for (std::size_t a = 0; a < dim; ++a) greatest = std::max(greatest, covariance[a * dim + a] - mean[a] * mean[a]);
    for (std::size_t a = 0; a < dim; ++a) {
      for (std::size_t b = 0; b < dim; ++b) {
        double dot = 0;
        for (std::size_t k = 0; k < dim; ++k)
          dot += static_cast<double>(rotation[a * dim + k]) * static_cast<double>(rotation[b * dim + k]);
        BOOST_REQUIRE_SMALL(dot - (a == b ? 1.0 : 0.0), 1e-5);
        if (a != b) BOOST_REQUIRE_SMALL(covariance[a * dim + b] - mean[a] * mean[b], 1e-4 * greatest);
      }
    }
  }
}

}  // namespace
}  // namespace vecstore
