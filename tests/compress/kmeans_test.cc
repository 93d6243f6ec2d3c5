// SPDX-License-Identifier: Apache-2.0
#include "compress/kmeans.h"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "compress/kmeans_memory.h"
#include "tests/compress/code_cases.h"

namespace vecstore {
namespace {

double distance2(const float* a, const float* b, std::size_t dim) {
  double sum = 0;
  for (std::size_t k = 0; k < dim; ++k) {
    const double difference = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    sum += difference * difference;
  }
  return sum;
}

std::size_t nearest(const float* point, const std::vector<float>& centroids, std::size_t dim) {
  std::size_t best = 0;
  for (std::size_t c = 1; c < centroids.size() / dim; ++c) {
    if (distance2(point, &centroids[c * dim], dim) < distance2(point, &centroids[best * dim], dim)) best = c;
  }
  return best;
}

double objective(const std::vector<float>& points, const std::vector<float>& centroids, std::size_t dim) {
  double sum = 0;
  for (std::size_t i = 0; i < points.size(); i += dim)
    sum += distance2(&points[i], &centroids[dim * nearest(&points[i], centroids, dim)], dim);
  return sum;
}

void brute_force_step(const std::vector<float>& points, std::vector<float>& centroids, std::size_t dim) {
  std::vector<double> sums(centroids.size());
  std::vector<double> sizes(centroids.size() / dim);
  for (std::size_t i = 0; i < points.size(); i += dim) {
    const std::size_t c = nearest(&points[i], centroids, dim);
    sizes[c] += 1;
    for (std::size_t k = 0; k < dim; ++k) sums[c * dim + k] += static_cast<double>(points[i + k]);
  }
  for (std::size_t i = 0; i < centroids.size(); ++i) {
    if (sizes[i / dim] > 0) centroids[i] = static_cast<float>(sums[i] / sizes[i / dim]);
  }
}

std::vector<float> run(const std::vector<float>& points, std::size_t dim, std::uint32_t clusters,
                       std::uint32_t iterations, Executor& executor) {
  MemoryBudget budget;
  std::vector<float> centroids(clusters * dim);
  REQUIRE_OK(kmeans(points.data(), points.size() / dim, dim, dim, {clusters, iterations, 3}, executor, budget,
                    centroids.data()));
  BOOST_TEST(budget.peak_bytes() <= kmeans_bytes(points.size() / dim, dim, dim, clusters));
  return centroids;
}

std::vector<float> random_points(std::size_t count, std::size_t dim, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> points(count * dim);
  for (float& value : points) value = static_cast<float>(random.unit() * random.unit());
  return points;
}

BOOST_AUTO_TEST_CASE(once_converged_a_brute_force_step_changes_nothing) {
  SerialExecutor executor;
  for (const std::size_t dim : {1u, 3u, 16u}) {
    const std::vector<float> points = random_points(700, dim, dim);
    const std::vector<float> centroids = run(points, dim, 9, 200, executor);
    std::vector<float> stepped = centroids;
    brute_force_step(points, stepped, dim);
    for (std::size_t i = 0; i < stepped.size(); ++i) BOOST_TEST(std::abs(stepped[i] - centroids[i]) < 1e-5f);
  }
}

BOOST_AUTO_TEST_CASE(the_result_is_as_good_as_brute_force_from_random_seeds) {
  SerialExecutor executor;
  const std::size_t dim = 4;
  const std::vector<float> points = random_points(3000, dim, 11);
  const double ours = objective(points, run(points, dim, 32, 12, executor), dim);
  double best = std::numeric_limits<double>::infinity();
  Random random(12);
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::vector<float> centroids;
    for (int c = 0; c < 32; ++c) {
      const std::size_t chosen = random.below(3000) * dim;
      centroids.insert(centroids.end(), points.begin() + static_cast<std::ptrdiff_t>(chosen),
                       points.begin() + static_cast<std::ptrdiff_t>(chosen + dim));
    }
    for (int step = 0; step < 12; ++step) brute_force_step(points, centroids, dim);
    best = std::min(best, objective(points, centroids, dim));
  }
  BOOST_TEST(ours <= 1.03 * best);
}

BOOST_AUTO_TEST_CASE(no_more_distinct_points_than_clusters_get_one_centroid_each) {
  SerialExecutor executor;
  std::vector<float> points;
  for (int i = 0; i < 500; ++i) {
    points.push_back(static_cast<float>(i % 6));
    points.push_back(static_cast<float>(i % 2));
  }
  for (const std::uint32_t clusters : {6u, 7u, 40u}) {
    const std::vector<float> centroids = run(points, 2, clusters, 12, executor);
    std::set<std::pair<float, float>> distinct;
    for (std::size_t c = 0; c < clusters; ++c) distinct.insert({centroids[2 * c], centroids[2 * c + 1]});
    BOOST_TEST(distinct.size() == 6u);
    BOOST_TEST(objective(points, centroids, 2) == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(clusters_emptied_by_duplicates_are_given_points) {
  SerialExecutor executor;
  std::vector<float> points(5000, 1.0f);
  for (std::size_t i = 0; i < 40; ++i) points[i * 125] = static_cast<float>(100 + i);
  const std::vector<float> centroids = run(points, 1, 32, 20, executor);
  const std::set<float> distinct(centroids.begin(), centroids.end());
  BOOST_TEST(distinct.size() >= 31u);
  BOOST_TEST(objective(points, centroids, 1) < 10.0);
}

BOOST_AUTO_TEST_CASE(any_thread_count_and_stride_give_the_same_centroids) {
  const std::vector<float> points = random_points(20000, 5, 21);
  SerialExecutor serial;
  test::ThreadsExecutor threads(3);
  const std::vector<float> one = run(points, 5, 50, 6, serial);
  BOOST_TEST(one == run(points, 5, 50, 6, threads));
  std::vector<float> spread(20000 * 16, 99.0f);
  for (std::size_t i = 0; i < 20000; ++i) std::copy_n(&points[i * 5], 5, &spread[i * 16]);
  MemoryBudget budget;
  std::vector<float> strided(50 * 5);
  REQUIRE_OK(kmeans(spread.data(), 20000, 5, 16, {50, 6, 3}, serial, budget, strided.data()));
  BOOST_TEST(one == strided);
}

}  // namespace
}  // namespace vecstore
