// SPDX-License-Identifier: Apache-2.0
//
// Exact search where floats round badly: far from the origin, at every scale, of mixed lengths, among near copies and
// duplicates. Each is compared with an oracle in long double, row by row.
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "base/half.h"
#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "tests/test_util.h"

using namespace vecstore;

namespace {

using Real = long double;

struct Scene {
  std::string name;
  std::uint32_t dim = 0;
  std::vector<float> base, queries;

  std::uint32_t rows() const { return static_cast<std::uint32_t>(base.size() / dim); }
  void scale(float by) {
    for (std::vector<float>* values : {&base, &queries})
      for (float& value : *values) value *= by;
  }
};

constexpr std::uint32_t kQueries = 6;
constexpr std::array<Metric, 3> kMetrics = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine};

Scene gaussian(const std::string& name, std::uint32_t rows, std::uint32_t dim, float shift = 0.0f) {
  std::mt19937 random(rows + dim);
  std::normal_distribution<float> normal;
  Scene scene{name, dim, std::vector<float>(rows * dim), std::vector<float>(kQueries * dim)};
  for (std::vector<float>* values : {&scene.base, &scene.queries})
    for (float& value : *values) value = normal(random) + shift;
  return scene;
}

Real oracle_distance(const float* q, const float* x, std::uint32_t dim, Metric metric) {
  Real l2 = 0, dot = 0, qq = 0, xx = 0;
  for (std::uint32_t i = 0; i < dim; ++i) {
    const Real a = q[i], b = x[i];
    l2 += (a - b) * (a - b);
    dot += a * b;
    qq += a * a;
    xx += b * b;
  }
  if (metric == Metric::kL2) return l2;
  if (metric == Metric::kInnerProduct) return -dot;
  Real apart = 0;
  for (std::uint32_t i = 0; i < dim; ++i) {
    const Real difference = q[i] / std::sqrt(qq) - x[i] / std::sqrt(xx);
    apart += difference * difference;
  }
  return apart / 2;
}

Real length_of(const float* x, std::uint32_t dim) {
  return std::sqrt(-oracle_distance(x, x, dim, Metric::kInnerProduct));
}

// Every neighbour, in order. Another row is right only where the distances are one but for the rounding of double. It
// is never right before a duplicate of it that comes first.
void check_query(const Scene& scene, const ExactNeighbours& found, std::uint32_t query, Metric metric) {
  const float* q = scene.queries.data() + query * scene.dim;
  std::vector<std::pair<Real, std::uint32_t>> order;
  for (std::uint32_t row = 0; row < scene.rows(); ++row)
    order.emplace_back(oracle_distance(q, scene.base.data() + row * scene.dim, scene.dim, metric), row);
  const std::vector<std::pair<Real, std::uint32_t>> distances = order;
  std::sort(order.begin(), order.end());
  std::vector<bool> taken(scene.rows());
  for (std::uint32_t i = 0; i < std::min(found.k, scene.rows()); ++i) {
    const std::uint32_t row = found.rows[query * found.k + i];
    BOOST_REQUIRE(row < scene.rows());
    const Real right = order[i].first;
    const float* x = scene.base.data() + row * scene.dim;
    const Real product = metric == Metric::kInnerProduct ? length_of(q, scene.dim) * length_of(x, scene.dim) : 0;
    // Under cosine the rows at length one err by 1e-16, each, and their difference by as much.
    const Real angle = metric == Metric::kCosine ? 1e-15L * std::sqrt(right) + 1e-28L : 0;
    const Real rounding = 1e-13L * std::fabs(right) + 1e-14L * product + angle;
    bool in_place = std::fabs(distances[row].first - right) <= rounding && !taken[row];
    for (std::uint32_t before = 0; before < row && in_place; ++before)
      in_place = taken[before] || distances[before].first != distances[row].first ||
                 std::memcmp(scene.base.data() + before * scene.dim, x, scene.dim * sizeof(float)) != 0;
    taken[row] = true;
    BOOST_REQUIRE_MESSAGE(in_place, scene.name << " " << name_of(metric) << " k " << found.k << " query " << query
                                               << ": rank " << i << " is row " << row << " at "
                                               << static_cast<double>(distances[row].first) << ", not "
                                               << order[i].second << " at " << static_cast<double>(right));
    const Real given = found.distances[query * found.k + i];
    BOOST_REQUIRE_MESSAGE(std::fabs(given - right) <= 1e-7L * std::fabs(right) + 2 * rounding + 1e-44L,
                          scene.name << " " << name_of(metric) << ": distance " << static_cast<double>(given));
  }
}

void check(const Scene& scene, Metric metric) {
  for (const std::uint32_t k : {1u, 10u, 100u}) {
    const auto found = exact_search(*view_source({scene.base.data(), DType::kF32, scene.rows(), scene.dim}),
                                    *view_source({scene.queries.data(), DType::kF32, kQueries, scene.dim}), k, metric);
    BOOST_REQUIRE_MESSAGE(found.has_value(), scene.name << ": " << (found ? "" : found.error().message()));
    for (std::uint32_t query = 0; query < kQueries; ++query) check_query(scene, *found, query, metric);
  }
}

void check_all(const Scene& scene) {
  for (const Metric metric : kMetrics) check(scene, metric);
}

std::vector<std::uint32_t> rows_found(const Scene& scene, Metric metric) {
  const auto found = exact_search(*view_source({scene.base.data(), DType::kF32, scene.rows(), scene.dim}),
                                  *view_source({scene.queries.data(), DType::kF32, kQueries, scene.dim}), 20, metric);
  REQUIRE_OK(found);
  return found->rows;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(exact_scale)

BOOST_AUTO_TEST_CASE(rows_far_from_the_origin_are_ranked_right) {
  for (const float shift : {1e3f, 1e4f, 1e6f})
    for (const std::uint32_t dim : {2u, 16u, 100u})
      check_all(gaussian("shifted by " + std::to_string(shift), 3000, dim, shift));
}

BOOST_AUTO_TEST_CASE(rows_of_any_scale_are_ranked_right) {
  for (int exponent = -15; exponent <= 15; exponent += 3) {
    Scene scene = gaussian("scaled by 1e" + std::to_string(exponent), 1500, 24);
    scene.scale(std::pow(10.0f, static_cast<float>(exponent)));
    check_all(scene);
  }
}

// Keys were products of rows as they were: at 1e-30 all of them were zero, and recall was .065.
BOOST_AUTO_TEST_CASE(cosine_does_not_depend_on_the_scale) {
  const Scene plain = gaussian("plain", 2000, 16);
  for (const int exponent : {-120, -100, -60, 60, 100, 120}) {  // powers of two: the very same directions
    Scene scene = plain;
    for (float& value : scene.base) value = std::ldexp(std::round(value * 4096), -12);  // no digit is lost below 2^-126
    for (float& value : scene.queries) value = std::ldexp(std::round(value * 4096), -12);
    const auto expected = rows_found(scene, Metric::kCosine);
    scene.scale(std::ldexp(1.0f, exponent));
    BOOST_TEST((rows_found(scene, Metric::kCosine) == expected), exponent);
  }
  for (const float scale : {1e-30f, 1e-38f, 1e-40f, 1e-43f, 1e30f, 5e37f}) {
    Scene scene = plain;
    scene.name = "cosine at " + std::to_string(std::log10(scale));
    scene.scale(scale);
    for (std::size_t row = 0; row < 2000; ++row) scene.base[row * 16] += row % 2 == 0 ? scale : -scale;  // none is zero
    check(scene, Metric::kCosine);
    std::copy(plain.queries.begin(), plain.queries.end(), scene.queries.begin());
    check(scene, Metric::kCosine);  // and none on that of the other side
  }
}

BOOST_AUTO_TEST_CASE(one_wide_dimension_hides_no_other) {
  for (const float width : {1e3f, 1e6f, 1e9f}) {
    Scene scene = gaussian("a dimension times " + std::to_string(width), 3000, 24);
    for (std::vector<float>* values : {&scene.base, &scene.queries})
      for (std::size_t i = 5; i < values->size(); i += 24) (*values)[i] *= width;
    check_all(scene);
    for (std::vector<float>* values : {&scene.base, &scene.queries})
      for (std::size_t i = 5; i < values->size(); i += 24) (*values)[i] = width;
    scene.name = "a constant dimension";
    check_all(scene);
  }
}

BOOST_AUTO_TEST_CASE(long_rows_hide_no_short_ones) {
  for (const float length : {1e6f, 1e12f}) {
    Scene scene = gaussian("outliers", 3000, 32);
    for (const std::size_t row : {0u, 700u, 2999u})
      for (std::size_t i = 0; i < 32; ++i) scene.base[row * 32 + i] *= length;
    check_all(scene);
    for (std::size_t i = 0; i < 32; ++i) scene.queries[i] *= length;
    check_all(scene);
  }
}

BOOST_AUTO_TEST_CASE(far_clusters_are_searched_to_the_inside) {
  for (const float distance : {1e3f, 1e5f, 1e7f}) {
    Scene scene = gaussian("far clusters", 3000, 16);
    std::vector<float> centres = gaussian("", 20, 16).base;
    for (std::size_t i = 0; i < scene.base.size(); ++i) scene.base[i] += distance * centres[i / 16 % 20 * 16 + i % 16];
    for (std::size_t i = 0; i < scene.queries.size(); ++i)
      scene.queries[i] += distance * centres[i / 16 % 20 * 16 + i % 16];
    check_all(scene);
  }
}

BOOST_AUTO_TEST_CASE(near_copies_are_told_apart) {
  for (const float apart : {1e-3f, 1e-6f})
    for (const std::uint32_t dim : {8u, 96u}) {
      Scene scene = gaussian("copies " + std::to_string(apart) + " apart", 3000, dim);
      for (std::size_t i = 0; i < scene.base.size(); ++i)  // ten groups of 300
        scene.base[i] = scene.base[i % (10 * dim)] + apart * scene.base[i];
      for (std::size_t i = 0; i < scene.queries.size(); ++i)
        scene.queries[i] = scene.base[i] + apart * scene.queries[i];
      check_all(scene);
      std::copy_n(scene.base.begin(), scene.queries.size(), scene.queries.begin());
      check_all(scene);
    }
}

BOOST_AUTO_TEST_CASE(few_dimensions_of_great_integers_are_ranked_right) {
  for (const float largest : {1e6f, 1e9f})
    for (const std::uint32_t dim : {1u, 2u, 3u, 4u}) {
      Scene scene = gaussian("integers to " + std::to_string(largest), 5000, dim);
      std::mt19937 random(dim);
      std::uniform_real_distribution<float> uniform(1, largest);
      for (std::vector<float>* values : {&scene.base, &scene.queries})
        for (float& value : *values) value = std::floor(uniform(random));
      check_all(scene);
      for (std::uint32_t row = 0; row < 5000; ++row)
        scene.base[row * dim] = largest + static_cast<float>(row) * (largest < 1e7f ? 1.0f : 64.0f);
      check_all(scene);
    }
}

BOOST_AUTO_TEST_CASE(mixed_lengths_are_ranked_right) {
  Scene scene = gaussian("mixed lengths", 4000, 48);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> exponent(-6, 6);
  for (std::uint32_t row = 0; row < 4000; ++row) {
    const float length = std::pow(10.0f, exponent(random));
    for (std::uint32_t i = 0; i < 48; ++i) scene.base[row * 48 + i] *= length;
  }
  check_all(scene);
  Scene below = gaussian("products near zero", 4000, 48);  // every row at a right angle to the query, but for rounding
  for (std::uint32_t row = 0; row < 4000; ++row)
    for (std::uint32_t i = 1; i < 48; i += 2) below.base[row * 48 + i] = -below.base[row * 48 + i - 1] * (1 + 1e-6f);
  std::fill(below.queries.begin(), below.queries.end(), 1.0f);
  check_all(below);
}

BOOST_AUTO_TEST_CASE(duplicates_come_by_row_wherever_they_lie) {
  for (const std::uint32_t distinct : {1u, 3u, 40u})
    for (const float shift : {0.0f, 1e4f}) {
      Scene scene = gaussian("duplicates", 6000, 20, shift);
      for (std::size_t i = distinct * 20; i < scene.base.size(); ++i) scene.base[i] = scene.base[i % (distinct * 20)];
      check_all(scene);
      std::copy_n(scene.base.begin(), 20, scene.queries.begin());
      check_all(scene);
    }
}

BOOST_AUTO_TEST_CASE(halves_of_any_magnitude_are_ranked_right) {
  for (const bool copies : {false, true}) {
    Scene scene = gaussian("halves", 2000, 33);
    std::vector<std::uint16_t> base, queries;
    for (std::size_t i = 0; i < scene.base.size(); ++i) {
      float value = scene.base[i] * std::pow(10.0f, static_cast<float>(i / 33 % 9) - 5.0f);
      if (copies) value = scene.base[i % 330] + 1e-3f * scene.base[i];
      base.push_back(float_to_half(value));
      scene.base[i] = half_to_float(base.back());
    }
    for (float& value : scene.queries) {
      queries.push_back(float_to_half(value));
      value = half_to_float(queries.back());
    }
    for (const Metric metric : kMetrics) {
      const auto found = exact_search(*view_source({base.data(), DType::kF16, 2000, 33}),
                                      *view_source({queries.data(), DType::kF16, kQueries, 33}), 50, metric);
      REQUIRE_OK(found);
      for (std::uint32_t query = 0; query < kQueries; ++query) check_query(scene, *found, query, metric);
    }
  }
}

// Multiples of one row lie in one direction: under cosine they are duplicates.
BOOST_AUTO_TEST_CASE(integers_are_ranked_right_and_multiples_tie_by_row) {
  std::mt19937 random(9);
  for (const std::uint32_t dim : {1u, 3u, 20u, 128u}) {
    std::vector<std::uint8_t> base(3000 * dim), queries(kQueries * dim);
    std::vector<std::int8_t> signed_base(base.size()), signed_queries(queries.size());
    for (std::size_t i = 0; i < base.size(); ++i) {
      const auto times = 1 + i / dim % 3;
      base[i] =
          static_cast<std::uint8_t>(times * (i / dim % 2 == 0 ? 1 + random() % 80 : base[i % (2 * dim)] % 80 + 1));
      signed_base[i] = static_cast<std::int8_t>(i / dim % 5 == 0 ? -(base[i] / 2) - 1 : base[i] / 2 + 1);
    }
    for (std::size_t i = 0; i < queries.size(); ++i) {
      queries[i] = static_cast<std::uint8_t>(1 + random() % 255);
      signed_queries[i] = static_cast<std::int8_t>(random() % 2 == 0 ? -(queries[i] / 2) - 1 : queries[i] / 2 + 1);
    }
    const auto check_integers = [&](const auto& rows, const auto& wanted, DType dtype, Metric metric) {
      const auto found = exact_search(*view_source({rows.data(), dtype, 3000, dim}),
                                      *view_source({wanted.data(), dtype, kQueries, dim}), 60, metric);
      REQUIRE_OK(found);
      for (std::uint32_t query = 0; query < kQueries; ++query) {
        std::vector<std::pair<Real, std::uint32_t>> order;
        for (std::uint32_t row = 0; row < 3000; ++row) {
          std::int64_t l2 = 0, dot = 0, qq = 0, xx = 0;
          for (std::uint32_t i = 0; i < dim; ++i) {
            const std::int64_t a = wanted[query * dim + i], b = rows[row * dim + i];
            l2 += (a - b) * (a - b);
            dot += a * b;
            qq += a * a;
            xx += b * b;
          }
          const Real sine2 = static_cast<Real>(qq * xx - dot * dot) / static_cast<Real>(qq * xx);
          const Real cosine = dot < 0 ? -std::sqrt(1 - sine2) : std::sqrt(1 - sine2);
          const Real near = sine2 / (1 + std::fabs(cosine));
          order.emplace_back(metric == Metric::kL2             ? static_cast<Real>(l2)
                             : metric == Metric::kInnerProduct ? static_cast<Real>(-dot)
                                                               : (dot < 0 ? 1 - cosine : near),
                             row);
        }
        std::sort(order.begin(), order.end());
        for (std::uint32_t i = 0; i < 60; ++i) BOOST_REQUIRE_EQUAL(found->rows[query * 60 + i], order[i].second);
      }
    };
    for (const Metric metric : kMetrics) {
      check_integers(base, queries, DType::kU8, metric);
      check_integers(signed_base, signed_queries, DType::kI8, metric);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
