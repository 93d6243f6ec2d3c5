// SPDX-License-Identifier: Apache-2.0
//
// From a graph in memory and an order to the pages of a graph file: how many rows a page holds, which edges it has no
// room for, and the writing.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "graph/build.h"
#include "graph/format.h"
#include "graph/quantized_rows.h"
#include "pagestore/page_file.h"

namespace vecstore {

// Edges that packing may drop to put one more row on a page: the share is this divided by the rows of the page, because
// that is what the row is worth. Measured (NOTES): csift 19 → 20 rows for 2.2 %, win384 8 → 9 for 3.9 % and
// fashion-mnist 4 → 5 for 2.0 % all lower the reads.
inline constexpr double kEdgesDroppedPerRow = 0.6;

// Borrowed. `order[position] = row`; rows of the build that it leaves out are not packed, and no list may name them.
struct PackInput {
  const QuantizedRows* rows = nullptr;
  const GraphBuilder* graph = nullptr;
  std::span<const std::uint32_t> order;
  std::span<const std::uint64_t> row_ids = {};  // [rows of the build] empty: a row's number is its RowId
  std::span<const std::uint64_t> keys = {};     // [rows of the build] where the layout has key_bytes

  RowId row_id(std::uint32_t row) const { return RowId{row_ids.empty() ? row : row_ids[row]}; }
};

// Position of every row of the build; kNoPos for those left out. place: [rows of the build].
void invert_order(std::span<const std::uint32_t> order, std::span<Pos> place);

// A first guess from the mean degree, before there is an order; at least 1 when a record fits the page at all, else 0.
std::uint32_t guess_rows_per_page(const GraphLayout& layout, double mean_degree);

// Bytes that the page's lists would take, for choosing rows_per_page: [positions].
void measure_lists(const PackInput& input, std::span<const Pos> place, Executor& executor,
                   std::span<std::uint16_t> bytes);
// The most rows a page may hold while no more of the lists' bytes are dropped than kEdgesDroppedPerRow allows.
std::uint32_t choose_rows_per_page(GraphLayout layout, std::span<const std::uint16_t> list_bytes, std::uint64_t edges);

// Writes all pages to `writer` (of layout.page_bytes; finish() is left to the caller). Edges that reach a row for the
// first time in a breadth-first walk from the entry are never dropped, so every row stays reachable. When even those do
// not fit a page: kUnsupported, and fewer rows per page will do.
Result<GraphSummary> pack_graph(const PackInput& input, std::span<const Pos> place, const GraphLayout& layout,
                                MemoryBudget& budget, PageFileWriter& writer, const RowProgress& progress);

// Data pages, those first on which the most rows have themselves or one of their nearest neighbours, ties by number: a
// query lies somewhere among the rows, and that is where its answers will be. Errors: kMemoryBudget.
Result<Buffer<std::uint32_t>> rank_pages(const PackInput& input, std::span<const Pos> place, const GraphLayout& layout,
                                         MemoryBudget& budget);

std::uint64_t predict_pack_bytes(std::uint64_t rows);

}  // namespace vecstore
