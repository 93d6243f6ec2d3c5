// SPDX-License-Identifier: Apache-2.0
//
// What kmeans() charges to its budget at its peak, for those who predict memory before they start.
#pragma once

#include <cstdint>

namespace vecstore {

std::uint64_t kmeans_bytes(std::uint64_t count, std::uint64_t dim, std::uint64_t stride, std::uint64_t clusters);

}  // namespace vecstore
