// SPDX-License-Identifier: Apache-2.0
//
// Queries whose true neighbours are known: rows of the store that are held out of the graph at first, a sample of the
// rows, or queries that a user gave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "engine/truth.h"
#include "engine/vector_source.h"

namespace vecstore {

// Queries with their true neighbours among the rows that are indexed. Equal ones are one query.
struct CalibrationSet {
  VectorView queries;
  // As many queries; `k` columns, rows as the build numbers them, kNoPos where there are fewer.
  ExactNeighbours truth;
  // [queries] what each counts for; empty: one. A row that stands for its copies too counts for a part of what a row
  // without copies does, or many copies of one vector, which any search finds, would hide what it does not find.
  std::vector<float> weights = {};
  std::vector<std::uint32_t> drawn = {};  // [queries] how many equal ones each stands for; empty: one
  float copies_share = 0;                 // part of those drawn that equal several rows
  Buffer<std::byte> storage = {};         // what `queries` views, where the set owns it
  // [rows of the build] RowIds, ascending; borrowed. Empty: a row's number is its RowId.
  std::span<const std::uint64_t> row_ids = {};

  double weight(std::uint64_t query) const { return weights.empty() ? 1.0 : double{weights[query]}; }
  std::uint32_t times_drawn(std::uint64_t query) const { return drawn.empty() ? 1 : drawn[query]; }
  std::uint64_t drawn_in_all() const {
    return drawn.empty() ? queries.rows : std::accumulate(drawn.begin(), drawn.end(), std::uint64_t{0});
  }
};

// Rows that serve as queries before they are linked.
struct HeldOutRows {
  std::vector<std::uint32_t> rows;   // ascending
  Buffer<std::uint8_t> is_held_out;  // [all rows]; empty where none is

  bool empty() const { return rows.empty(); }
  bool contains(std::uint32_t row) const { return !rows.empty() && is_held_out[row] != 0; }
};

// `count` of the rows, which the seed decides. Errors: kMemoryBudget.
Result<HeldOutRows> draw_held_out(std::uint64_t count, std::uint64_t rows, std::uint64_t seed, MemoryBudget& budget);

// What finds the neighbours of a set.
struct TruthSearch {
  const VectorSource& rows;
  Metric metric;
  Executor& executor;
  MemoryBudget& budget;
};

// The rows held out; none of them is an answer. Errors: those of the rows, kMemoryBudget.
Result<CalibrationSet> set_of_held_out(const TruthSearch& search, const HeldOutRows& held_out);
// At most `count` of `queries`, evenly spread. Where `queries` are the rows themselves, each finds itself too. Errors:
// those of rows and queries, kMemoryBudget.
Result<CalibrationSet> set_of_queries(const TruthSearch& search, const VectorSource& queries, std::uint64_t count);

}  // namespace vecstore
