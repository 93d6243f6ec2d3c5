// SPDX-License-Identifier: Apache-2.0
#include "compress/kmeans.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "compress/kernels/dense.h"
#include "compress/kmeans_memory.h"

namespace vecstore {
namespace {

constexpr std::size_t kAssignGrain = 1024;  // points of one parallel range
constexpr std::size_t kSeedPointsPerCluster =
    16;  // k-means++ looks at this many; on all points it costs an iteration each

std::size_t seed_points(std::size_t count, std::size_t clusters) {
  return std::min(count, clusters * kSeedPointsPerCluster);
}

std::size_t sum_strips(std::size_t count) { return std::clamp<std::size_t>(count / 4096, 1, 16); }

// Packing pays when a point is a short piece of a long row; for whole rows it would only double the memory.
bool packs(std::size_t dim, std::size_t stride) { return stride >= 2 * dim; }

float squared_distance(const float* a, const float* b, std::size_t dim) {
  float sum = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    const float difference = a[i] - b[i];
    sum += difference * difference;
  }
  return sum;
}

class Lloyd {
 public:
  Lloyd(const Points& points, const KMeansOptions& options, Executor& executor, float* centroids)
      : points_(points), options_(options), executor_(executor), centroids_(centroids) {}

  Status allocate(MemoryBudget& budget);
  Status run(MemoryBudget& budget);

 private:
  const float* point(std::size_t i) const { return points_.data + i * points_.stride; }
  float* centroid(std::size_t c) { return centroids_ + c * points_.depth; }

  Status seed_distinct(MemoryBudget& budget, bool& done);
  Status seed_spread(MemoryBudget& budget);
  bool assign();
  void update();
  void refill_emptied();

  Points points_;
  const KMeansOptions& options_;
  Executor& executor_;
  float* centroids_;
  Buffer<float> table_;                 // [dim × padded(clusters)] the centroids transposed
  Buffer<float> norms_;                 // [padded(clusters)] +infinity beyond the last
  Buffer<std::uint32_t> assignment_;    // [count]
  Buffer<std::uint32_t> reassignment_;  // [count]
  Buffer<double> sums_;                 // [strips × clusters × dim]
  Buffer<std::uint32_t> sizes_;         // [strips × clusters]
  Buffer<float> distances_;             // [count] filled only when a cluster has emptied
};

Status Lloyd::allocate(MemoryBudget& budget) {
  const std::size_t columns = padded(options_.clusters);
  const std::size_t strips = sum_strips(points_.count);
  VECSTORE_ASSIGN(table_, Buffer<float>::allocate(budget, points_.depth * columns));
  VECSTORE_ASSIGN(norms_, Buffer<float>::allocate(budget, columns));
  VECSTORE_ASSIGN(assignment_, Buffer<std::uint32_t>::allocate(budget, points_.count));
  VECSTORE_ASSIGN(reassignment_, Buffer<std::uint32_t>::allocate(budget, points_.count));
  VECSTORE_ASSIGN(sums_, Buffer<double>::allocate(budget, strips * options_.clusters * points_.depth));
  VECSTORE_ASSIGN(sizes_, Buffer<std::uint32_t>::allocate(budget, strips * options_.clusters));
  VECSTORE_ASSIGN(distances_, Buffer<float>::allocate(budget, points_.count));
  return Status::ok();
}

// Takes the first `clusters` + 1 distinct points; when there are fewer, they are the answer and `done` says so.
Status Lloyd::seed_distinct(MemoryBudget& budget, bool& done) {
  const std::size_t clusters = options_.clusters;
  std::size_t slots = 16;
  while (slots < 4 * (clusters + 1)) slots *= 2;
  VECSTORE_ASSIGN(auto table, Buffer<std::uint32_t>::allocate(budget, slots));  // index of a point + 1; 0: free
  const std::size_t bytes = points_.depth * sizeof(float);
  std::size_t distinct = 0;
  done = true;
  for (std::size_t i = 0; i < points_.count && done; ++i) {
    std::uint64_t hash = 0xCBF29CE484222325ull;
    for (std::size_t k = 0; k < points_.depth; ++k) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, point(i) + k, sizeof bits);
      hash = (hash ^ bits) * 0x100000001B3ull;
    }
    std::size_t slot = Random(hash).next() & (slots - 1);
    while (table[slot] != 0 && std::memcmp(point(table[slot] - 1), point(i), bytes) != 0)
      slot = (slot + 1) & (slots - 1);
    if (table[slot] != 0) continue;
    table[slot] = static_cast<std::uint32_t>(i + 1);
    if (distinct < clusters) std::memcpy(centroid(distinct), point(i), bytes);
    done = ++distinct <= clusters;
  }
  for (std::size_t c = distinct; done && c < clusters; ++c) std::memcpy(centroid(c), centroid(0), bytes);
  return Status::ok();
}

// k-means++ (Arthur, Vassilvitskii, SODA 2007) on evenly spread points.
Status Lloyd::seed_spread(MemoryBudget& budget) {
  const std::size_t count = seed_points(points_.count, options_.clusters);
  const std::size_t dim = points_.depth;
  const auto at = [&](std::size_t i) { return point(i * points_.count / count); };
  VECSTORE_ASSIGN(auto nearest, Buffer<float>::allocate(budget, count));
  VECSTORE_ASSIGN(auto distance, Buffer<float>::allocate(budget, count));
  // Transposed, so that the distances of neighbouring points are computed side by side.
  VECSTORE_ASSIGN(auto transposed, Buffer<float>::allocate(budget, dim * count));
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < dim; ++k) transposed[k * count + i] = at(i)[k];
  }
  Random random(options_.seed);
  std::fill(nearest.begin(), nearest.end(), std::numeric_limits<float>::max());
  std::size_t chosen = random.below(count);
  for (std::size_t c = 0; c < options_.clusters; ++c) {
    std::memcpy(centroid(c), at(chosen), dim * sizeof(float));
    std::fill(distance.begin(), distance.end(), 0.0f);
    for (std::size_t k = 0; k < dim; ++k) {
      const float* from = transposed.data() + k * count;
      const float value = centroid(c)[k];
      for (std::size_t i = 0; i < count; ++i) distance[i] += (from[i] - value) * (from[i] - value);
    }
    double total = 0;
    for (std::size_t i = 0; i < count; ++i) {
      nearest[i] = std::min(nearest[i], distance[i]);
      total += static_cast<double>(nearest[i]);
    }
    double left = random.unit() * total;
    // Rounding may leave a rest beyond the last point: it then falls to the point drawn here.
    chosen = random.below(count);
    for (std::size_t i = 0; i < count && left >= 0; ++i) {
      left -= static_cast<double>(nearest[i]);
      if (left < 0) chosen = i;
    }
  }
  return Status::ok();
}

// Moves every point to its nearest centroid; false when nothing moved.
bool Lloyd::assign() {
  const std::size_t columns = padded(options_.clusters);
  std::fill(norms_.begin(), norms_.end(), std::numeric_limits<float>::infinity());
  for (std::size_t c = 0; c < options_.clusters; ++c) {
    float norm = 0;
    for (std::size_t k = 0; k < points_.depth; ++k) {
      const float value = centroid(c)[k];
      table_[k * columns + c] = value;
      norm += value * value;
    }
    norms_[c] = norm;
  }
  executor_.parallel_for(points_.count, kAssignGrain, [&](std::size_t begin, std::size_t end, unsigned) {
    const Points part = {point(begin), end - begin, points_.stride, points_.depth};
    dense().nearest(part, {table_.data(), columns, columns}, norms_.data(), reassignment_.data() + begin, nullptr);
  });
  std::swap(assignment_, reassignment_);
  return !std::equal(assignment_.begin(), assignment_.end(), reassignment_.begin());
}

// Moves every centroid to the mean of its points. Strips are fixed, so the order of the sums is too.
void Lloyd::update() {
  const std::size_t dim = points_.depth;
  const std::size_t clusters = options_.clusters;
  const std::size_t strips = sum_strips(points_.count);
  executor_.parallel_for(strips, 1, [&](std::size_t strip, std::size_t, unsigned) {
    double* sums = sums_.data() + strip * clusters * dim;
    std::uint32_t* sizes = sizes_.data() + strip * clusters;
    std::fill_n(sums, clusters * dim, 0.0);
    std::fill_n(sizes, clusters, 0u);
    for (std::size_t i = strip * points_.count / strips; i < (strip + 1) * points_.count / strips; ++i) {
      const std::uint32_t c = assignment_[i];
      ++sizes[c];
      for (std::size_t k = 0; k < dim; ++k) sums[c * dim + k] += static_cast<double>(point(i)[k]);
    }
  });
  for (std::size_t c = 0; c < clusters; ++c) {
    for (std::size_t strip = 1; strip < strips; ++strip) {
      sizes_[c] += sizes_[strip * clusters + c];
      for (std::size_t k = 0; k < dim; ++k) sums_[c * dim + k] += sums_[(strip * clusters + c) * dim + k];
    }
    if (sizes_[c] == 0) continue;
    for (std::size_t k = 0; k < dim; ++k) centroid(c)[k] = static_cast<float>(sums_[c * dim + k] / sizes_[c]);
  }
  refill_emptied();
}

void Lloyd::refill_emptied() {
  const auto sizes = sizes_.span().first(options_.clusters);
  if (std::find(sizes.begin(), sizes.end(), 0u) == sizes.end()) return;
  for (std::size_t i = 0; i < points_.count; ++i)
    distances_[i] = squared_distance(point(i), centroid(assignment_[i]), points_.depth);
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    if (sizes[c] != 0) continue;
    const auto farthest =
        static_cast<std::size_t>(std::max_element(distances_.begin(), distances_.end()) - distances_.begin());
    std::memcpy(centroid(c), point(farthest), points_.depth * sizeof(float));
    distances_[farthest] = -1;
  }
}

Status Lloyd::run(MemoryBudget& budget) {
  bool done = false;
  VECSTORE_TRY(seed_distinct(budget, done));
  if (done) return Status::ok();
  VECSTORE_TRY(seed_spread(budget));
  for (std::uint32_t iteration = 0; iteration < options_.iterations; ++iteration) {
    if (!assign() && iteration != 0) break;
    update();
  }
  return Status::ok();
}

}  // namespace

Status kmeans(const float* points, std::size_t count, std::size_t dim, std::size_t stride, const KMeansOptions& options,
              Executor& executor, MemoryBudget& budget, float* centroids) {
  VECSTORE_CHECK(count != 0 && dim != 0 && stride >= dim && options.clusters != 0);
  VECSTORE_CHECK(count <= std::numeric_limits<std::uint32_t>::max());
  Buffer<float> packed;
  Points view = {points, count, stride, dim};
  if (packs(dim, stride)) {
    VECSTORE_ASSIGN(packed, Buffer<float>::allocate(budget, count * dim));
    for (std::size_t i = 0; i < count; ++i)
      std::memcpy(packed.data() + i * dim, points + i * stride, dim * sizeof(float));
    view.data = packed.data();
    view.stride = dim;
  }
  Lloyd lloyd(view, options, executor, centroids);
  VECSTORE_TRY(lloyd.allocate(budget));
  return lloyd.run(budget);
}

std::uint64_t kmeans_bytes(std::uint64_t count, std::uint64_t dim, std::uint64_t stride, std::uint64_t clusters) {
  const std::uint64_t columns = padded(clusters);
  const std::uint64_t lloyd = 4 * (dim + 1) * columns + 12 * count + sum_strips(count) * clusters * (8 * dim + 4);
  const std::uint64_t seeding =
      std::max<std::uint64_t>(4 * (dim + 2) * seed_points(count, clusters), 4 * 8 * (clusters + 1));
  return lloyd + seeding + (packs(dim, stride) ? 4 * count * dim : 0);
}

}  // namespace vecstore
