// SPDX-License-Identifier: Apache-2.0
//
// The order of rows within a page whose rows come from groups that lie far apart.
#pragma once

#include <cstdint>
#include <span>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "graph/quantized_rows.h"

namespace vecstore {

// An order leaves a page to two groups where one of them ends. Their rows would alternate there, so that blocks could
// not be cut between the groups (compress/blocks.h). In such pages alone, each row is followed by the nearest that is
// left; the first is the nearest to the row before the page. A page is one where a row lies from the next far beyond
// what is usual (compress/far_rows.h). Same result for any thread count. Errors: kMemoryBudget.
Status gather_groups(const QuantizedRows& rows, std::uint32_t rows_per_page, Executor& executor, MemoryBudget& budget,
                     std::span<std::uint32_t> order);

}  // namespace vecstore
