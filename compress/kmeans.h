// SPDX-License-Identifier: Apache-2.0
//
// k-means (Lloyd) with k-means++-like seeding, deterministic for a seed whatever the thread count.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

struct KMeansOptions {
  std::uint32_t clusters = 256;
  std::uint32_t iterations = 12;
  std::uint64_t seed = 1;
};

// points: [count × dim] row-major, `stride` floats between rows → centroids: [clusters × dim]. When there are no more
// distinct points than clusters, each gets its own centroid and the rest repeat. An emptied cluster takes the point
// farthest from its centroid. Errors: kMemoryBudget.
Status kmeans(const float* points, std::size_t count, std::size_t dim, std::size_t stride, const KMeansOptions& options,
              Executor& executor, MemoryBudget& budget, float* centroids);

}  // namespace vecstore
