// SPDX-License-Identifier: Apache-2.0
//
// Exact search on threads that the caller has already.
#pragma once

#include <cstdint>

#include "base/executor.h"
#include "base/status.h"
#include "engine/truth.h"

namespace vecstore {

// As the exact_search() of truth.h, which makes threads of its own.
Result<ExactNeighbours> exact_search(const VectorSource& base, const VectorSource& queries, std::uint32_t k,
                                     Metric metric, Executor& executor);

}  // namespace vecstore
