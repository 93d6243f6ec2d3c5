// SPDX-License-Identifier: Apache-2.0
//
// What goes into a search of one generation, and what comes out of it. graph/search.h searches.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "base/ids.h"
#include "graph/query_stats.h"

namespace vecstore {

struct BlockCodes;
struct GraphSummary;
class PageCache;
class PageFile;

// The centre that rows are kept relative to; borrowed, empty: the origin.
using Centre = std::span<const float>;

// What is searched; all must outlive the searchers. The codes' rows and dimension are the graph's.
struct SearchIndex {
  const GraphSummary* summary = nullptr;
  const PageFile* graph = nullptr;
  const BlockCodes* codes = nullptr;
  const PageCache* cache = nullptr;
  Centre centre = {};  // what rows and codes are relative to
  // Whether a walk over the graph alone finds what it should, so that codes are of no use where every page is cached.
  bool walks_in_memory = true;
};

// Which rows an answer may hold; asked once for every row whose vector has been seen.
class RowFilter {
 public:
  virtual ~RowFilter() = default;
  virtual bool admits(RowId row) const = 0;
  virtual std::uint64_t rows() const = 0;  // at least so many are admitted
};

struct SearchParams {
  std::uint32_t k = 10;
  std::uint32_t search_list = 32;  // L: a read is paid only for candidates that rank within it
  std::uint32_t blocks = 40;       // blocks scanned
  float bound = 2.5f;  // no read for a candidate whose estimate less so many standard errors exceeds the k-th
  // Rows that it does not admit lead the way, and take no place in L. nullptr: all are admitted.
  const RowFilter* filter = nullptr;
  // Keeps the rows that may be among the nearest by the vectors as they were put.
  bool contenders = false;
  // What is farther is not wanted: a distance of graph/prepared_query.h, with what these lack. Then L is near_list for
  // near_k rows within it, search_list for k of them, and grows evenly between.
  double radius = std::numeric_limits<double>::infinity();
  std::uint32_t near_k = 0;
  std::uint32_t near_list = 0;

  bool has_radius() const { return radius < std::numeric_limits<double>::infinity(); }
  // L where so many rows are within the radius, as far as one knows. near_list ≤ search_list. Where a page brings many
  // near rows a short list does for many answers; here all within the radius are wanted, and some beyond, which may
  // lead to others.
  std::size_t list_within(std::size_t rows) const {
    const std::size_t all = rows + std::max<std::size_t>(kBeyondRadius, near_list / 4);
    if (rows <= near_k || k <= near_k) return std::max<std::size_t>(near_list, all);
    const std::size_t further = std::min<std::size_t>(rows, k) - near_k;
    return std::max(near_list + std::size_t{search_list - near_list} * further / (k - near_k), all);
  }
  static constexpr std::size_t kBeyondRadius = 2;
};

// `distance`: of graph/prepared_query.h. `key`: the number key that the page keeps, else the RowId's value.
struct FoundRow {
  float distance = 0;
  Pos position = 0;
  RowId row;
  std::uint64_t key = 0;
  friend bool operator<(const FoundRow& a, const FoundRow& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
  }
};

// A row that may be among the k nearest by the vectors as they were put (graph/contenders.h).
struct Contender {
  float nearest = 0;  // it is no nearer than this
  RowId row;
  std::uint64_t key = 0;  // as of FoundRow
  friend bool operator<(const Contender& a, const Contender& b) {
    return a.nearest != b.nearest ? a.nearest < b.nearest : a.row < b.row;
  }
};

}  // namespace vecstore
