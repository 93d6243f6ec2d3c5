// SPDX-License-Identifier: Apache-2.0
//
// Affinity order: which rows share a page, and which pages stand side by side.
//
// The graph of nearest neighbours is bisected recursively, down to one page. A set of rows is split in two by 2-means.
// Then pairs of rows are swapped while that cuts fewer edges (Kernighan, Lin, 1970). The half with more edges to what
// lies left goes left. So pages that are wanted together often stand side by side. Pruned search edges would not do:
// pruning throws away exactly the close neighbours that should share a page.
#pragma once

#include <cstdint>
#include <span>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "graph/build.h"
#include "graph/quantized_rows.h"

namespace vecstore {

// The nearest neighbours of every row, made symmetric: [offset[row], offset[row + 1]) of `targets`.
struct AffinityGraph {
  Buffer<std::uint64_t> offsets;
  Buffer<std::uint32_t> targets;
};
// nearest: [rows × kNearestKept], kNoPos behind the last of a row. Errors: kMemoryBudget.
Result<AffinityGraph> affinity_graph(std::span<const std::uint32_t> nearest, MemoryBudget& budget);
std::uint64_t predict_affinity_bytes(std::uint64_t rows);

struct OrderOptions {
  std::uint32_t rows_per_page = 1;
  std::uint64_t seed = 1;
  // Rows are numbered in an order that was there, whose direction is kept: what they are near to beyond these rows is
  // not known.
  bool keeps_direction = false;
};

// Writes a permutation of [0, order.size()), of which there are rows, to `order`: order[position] = row. Rows of a page
// are ascending. Same result for any thread count. Errors: kMemoryBudget.
Status order_rows(const QuantizedRows& rows, const AffinityGraph& graph, const OrderOptions& options,
                  Executor& executor, MemoryBudget& budget, std::span<std::uint32_t> order,
                  const RowProgress& progress);
std::uint64_t predict_order_bytes(std::uint64_t rows);

}  // namespace vecstore
