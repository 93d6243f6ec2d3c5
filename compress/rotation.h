// SPDX-License-Identifier: Apache-2.0
//
// The rotation of OPQ without iteration: the principal directions of the points, dealt to subspaces so that each gets
// the same product of variances (eigenvalue allocation: Ge, He, Ke, Sun, CVPR 2013).
#pragma once

#include <cstdint>
#include <vector>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/kernels/dense.h"

namespace vecstore {

// [subspaces + 1] begins of subspaces of `dim` dimensions in their order; widths differ by at most one.
std::vector<std::uint32_t> even_subspaces(std::uint32_t dim, std::uint32_t subspaces);

// points.stride must be padded, points.depth = dim. rotation: [dim × dim] row-major, orthonormal, rows in the order of
// the subspaces. Same result for any thread count. Errors: kMemoryBudget, kInvalidInput (squares overflow).
Status principal_rotation(const Points& points, std::uint32_t subspaces, Executor& executor, MemoryBudget& budget,
                          float* rotation, std::vector<std::uint32_t>& subspace_begin);

// What principal_rotation charges at its peak.
std::uint64_t principal_rotation_bytes(std::uint64_t dim, std::uint64_t threads);

// The principal directions (by falling variance) of each subspace.
std::vector<std::vector<std::uint32_t>> allocate_eigenvalues(const std::vector<double>& falling,
                                                             std::uint32_t subspaces);

}  // namespace vecstore
