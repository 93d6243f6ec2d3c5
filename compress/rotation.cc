// SPDX-License-Identifier: Apache-2.0
#include "compress/rotation.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <new>

#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::size_t kPanelRows = 64;     // rows of the covariance that one body computes
constexpr std::size_t kChunkPoints = 256;  // points summed in single precision before they join a double
constexpr double kEigenvalueFloor = 1e-9;  // share of the greatest; logarithms of less would only measure rounding

std::uint64_t panel_floats(std::uint64_t dim) { return kPanelRows * (kChunkPoints + padded(dim)); }

// Eigen keeps the eigenvectors, the tridiagonal form and the blocks of its reflections.
std::uint64_t solver_bytes(std::uint64_t dim) { return 8 * dim * (dim + 128); }

// One panel of the upper triangle: covariance[i][j] for i in [first, first + kPanelRows), j ≥ first.
void add_panel(const Points& points, std::size_t first, float* scratch, double* covariance) {
  const std::size_t dim = points.depth;
  const std::size_t rows = std::min(kPanelRows, dim - first);
  const std::size_t columns = points.stride - first;
  float* transposed = scratch;
  float* products = scratch + kPanelRows * kChunkPoints;
  for (std::size_t chunk = 0; chunk < points.count; chunk += kChunkPoints) {
    const std::size_t count = std::min(kChunkPoints, points.count - chunk);
    const float* from = points.data + chunk * points.stride + first;
    for (std::size_t p = 0; p < count; ++p) {
      for (std::size_t i = 0; i < rows; ++i) transposed[i * kChunkPoints + p] = from[p * points.stride + i];
    }
    dense().multiply({transposed, rows, kChunkPoints, count}, {from, points.stride, columns}, products, columns);
    for (std::size_t i = 0; i < rows; ++i) {
      double* to = covariance + (first + i) * dim + first;
      for (std::size_t j = 0; j < dim - first; ++j) to[j] += static_cast<double>(products[i * columns + j]);
    }
  }
}

// covariance: [dim × dim], zeroed; its upper triangle in row-major order is filled (lower, as Eigen's columns lie).
Status fill_covariance(const Points& points, Executor& executor, MemoryBudget& budget, double* covariance) {
  const std::size_t dim = points.depth;
  const std::size_t floats = panel_floats(dim);
  VECSTORE_ASSIGN(auto scratch, Buffer<float>::allocate(budget, floats * executor.thread_count()));
  VECSTORE_ASSIGN(auto mean, Buffer<double>::allocate(budget, dim));
  executor.parallel_for((dim + kPanelRows - 1) / kPanelRows, 1, [&](std::size_t panel, std::size_t, unsigned worker) {
    add_panel(points, panel * kPanelRows, scratch.data() + worker * floats, covariance);
  });
  for (std::size_t p = 0; p < points.count; ++p) {
    for (std::size_t i = 0; i < dim; ++i) mean[i] += static_cast<double>(points.data[p * points.stride + i]);
  }
  const double count = static_cast<double>(points.count);
  for (std::size_t i = 0; i < dim; ++i) {
    for (std::size_t j = i; j < dim; ++j)
      covariance[i * dim + j] = (covariance[i * dim + j] - mean[i] * mean[j] / count) / count;
  }
  return Status::ok();
}

}  // namespace

std::vector<std::uint32_t> even_subspaces(std::uint32_t dim, std::uint32_t subspaces) {
  VECSTORE_CHECK(subspaces != 0 && subspaces <= dim);
  std::vector<std::uint32_t> begin(subspaces + 1);
  for (std::uint32_t m = 0; m <= subspaces; ++m)
    begin[m] = static_cast<std::uint32_t>(std::uint64_t{m} * dim / subspaces);
  return begin;
}

std::vector<std::vector<std::uint32_t>> allocate_eigenvalues(const std::vector<double>& falling,
                                                             std::uint32_t subspaces) {
  const std::size_t narrow = falling.size() / subspaces;
  std::size_t wide_left = falling.size() % subspaces;
  std::vector<std::vector<std::uint32_t>> members(subspaces);
  std::vector<double> weight(subspaces, 0.0);  // log of the product, each factor made ≥ 1 so that every member weighs
  const double floor = std::max(falling.front() * kEigenvalueFloor, 1e-300);
  const double least = std::log(std::max(falling.back(), floor));
  for (std::uint32_t direction = 0; direction < falling.size(); ++direction) {
    std::size_t chosen = subspaces;
    for (std::size_t m = 0; m < subspaces; ++m) {
      const bool open = members[m].size() < narrow || (members[m].size() == narrow && wide_left != 0);
      if (open && (chosen == subspaces || weight[m] < weight[chosen])) chosen = m;
    }
    VECSTORE_CHECK(chosen != subspaces);
    if (members[chosen].size() == narrow) --wide_left;
    members[chosen].push_back(direction);
    weight[chosen] += std::log(std::max(falling[direction], floor)) - least + 1.0;
  }
  return members;
}

Status principal_rotation(const Points& points, std::uint32_t subspaces, Executor& executor, MemoryBudget& budget,
                          float* rotation, std::vector<std::uint32_t>& subspace_begin) {
  const std::size_t dim = points.depth;
  VECSTORE_CHECK(points.stride == padded(dim) && points.count != 0);
  VECSTORE_ASSIGN(auto covariance, Buffer<double>::allocate(budget, dim * dim));
  VECSTORE_TRY(fill_covariance(points, executor, budget, covariance.data()));
  VECSTORE_ASSIGN([[maybe_unused]] auto charge, Charge::take(budget, solver_bytes(dim)));
  try {
    using Matrix = Eigen::MatrixXd;
    const auto size = static_cast<Eigen::Index>(dim);
    const Eigen::SelfAdjointEigenSolver<Matrix> solver(Eigen::Map<const Matrix>(covariance.data(), size, size));
    if (solver.info() != Eigen::Success)
      return {Code::kInvalidInput, "the vectors have values so large that their squares overflow; scale them down"};
    std::vector<double> falling(dim);
    for (std::size_t i = 0; i < dim; ++i) falling[i] = solver.eigenvalues()[size - 1 - static_cast<Eigen::Index>(i)];
    subspace_begin.assign(1, 0);
    for (const auto& members : allocate_eigenvalues(falling, subspaces)) {
      for (const std::uint32_t direction : members) {
        const auto vector = solver.eigenvectors().col(size - 1 - static_cast<Eigen::Index>(direction));
        for (Eigen::Index k = 0; k < size; ++k) *rotation++ = static_cast<float>(vector[k]);
      }
      subspace_begin.push_back(subspace_begin.back() + static_cast<std::uint32_t>(members.size()));
    }
  } catch (const std::bad_alloc&) {
    return Status(Code::kMemoryBudget, "the system has no memory left to train codes; free some").with_errno(ENOMEM);
  }
  return Status::ok();
}

std::uint64_t principal_rotation_bytes(std::uint64_t dim, std::uint64_t threads) {
  return 8 * dim * dim + std::max<std::uint64_t>(4 * panel_floats(dim) * threads + 8 * dim, solver_bytes(dim));
}

}  // namespace vecstore
