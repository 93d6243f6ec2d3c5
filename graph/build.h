// SPDX-License-Identifier: Apache-2.0
//
// Building the proximity graph: Vamana by batch-synchronous insertion (Subramanya et al., NeurIPS 2019; batches as in
// Dobson et al., ParlayANN, PPoPP 2024). Within a batch every row searches the same frozen graph, then all edges are
// applied in sorted order: the same graph whatever the thread count.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "graph/prune.h"
#include "graph/quantized_rows.h"

namespace vecstore {

inline constexpr std::uint32_t kNearestKept = 12;  // nearest neighbours remembered of each row, for the order

struct GraphBuildOptions {
  std::uint32_t max_degree = 48;  // R; kDegreeMax counts as one less, which connect() may need
  std::uint32_t build_list = 80;  // L of the construction
  float alpha = 1.2f;
  std::uint64_t seed = 1;
};

// Edges that a list may have before it is pruned back to max_degree.
inline std::uint32_t list_capacity(const GraphBuildOptions& options) {
  return options.max_degree + options.max_degree / 3 + 1;
}

// Rows done so far, called between batches.
using RowProgress = std::function<void(std::uint64_t done)>;

// Not thread-safe; uses the executor inside.
class GraphBuilder {
 public:
  // `rows` and `executor` must outlive the builder. Errors: kMemoryBudget.
  static Result<GraphBuilder> create(const QuantizedRows& rows, const GraphBuildOptions& options, Executor& executor,
                                     MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint64_t rows, const GraphBuildOptions& options, unsigned threads);
  GraphBuilder(GraphBuilder&&) noexcept;
  GraphBuilder& operator=(GraphBuilder&&) noexcept;
  ~GraphBuilder();

  // A seeded permutation of all rows, the row nearest to their mean first: the order to insert in. [rows]
  Result<Buffer<std::uint32_t>> insertion_order(MemoryBudget& budget) const;

  // Links `rows` into the graph. The first row ever inserted is the entry. Rows that are linked already are searched
  // for again and their lists renewed.
  void insert(std::span<const std::uint32_t> rows, const RowProgress& progress);
  // Finds the nearest neighbours of `rows` and makes them known for the order, without linking.
  void find_nearest(std::span<const std::uint32_t> rows);
  // Prunes every list that insertion left longer than max_degree.
  void trim();
  // After trim(): gives every inserted row a path from the entry, over lists of at most kDegreeMax. Returns how many
  // had none.
  std::uint64_t connect();

  std::uint32_t entry() const { return entry_; }
  std::span<const std::uint32_t> neighbours(std::uint32_t row) const {
    return {edges_.data() + std::size_t{row} * capacity_, degree_[row]};
  }
  // The nearest neighbours found of `row`, nearest first, at most kNearestKept.
  std::span<const std::uint32_t> nearest(std::uint32_t row) const;
  std::span<const std::uint32_t> nearest() const { return nearest_.span(); }  // [rows × kNearestKept] of all
  std::uint32_t max_degree() const { return options_.max_degree; }

  // For tests: aborts unless lists and nearest neighbours are well-formed.
  void check_invariants() const;

 private:
  struct Worker;
  struct Edge {  // `source` becomes a neighbour of `target`
    std::uint32_t target = 0;
    std::uint32_t source = 0;
    float distance = 0;
  };

  GraphBuilder();
  void run_batch(std::span<const std::uint32_t> batch, bool link);
  void search(std::uint32_t row, Worker& worker) const;
  void place(std::uint32_t row, std::size_t slot, bool link, Worker& worker);
  void adopt_lists(std::span<const std::uint32_t> batch);
  void apply(Buffer<Edge>& edges, std::size_t used, const std::function<void(std::span<const Edge>, Worker&)>& group);
  void add_edges(std::span<const Edge> group, Worker& worker);
  void prune_list(std::uint32_t row, Worker& worker);
  void see_list(std::uint32_t row, Worker& worker) const;
  void offer_nearest(std::uint32_t row, std::span<const Candidate> candidates);
  void mark_reachable_from(std::uint32_t row);

  const QuantizedRows* rows_ = nullptr;
  Executor* executor_ = nullptr;
  GraphBuildOptions options_;
  std::uint32_t capacity_ = 0;  // edges a list may hold before it is pruned back to max_degree
  std::uint32_t batch_max_ = 0;
  std::uint32_t entry_ = kNoPos;
  std::uint64_t inserted_ = 0;
  Buffer<std::uint32_t> edges_;     // [rows × capacity]
  Buffer<std::uint16_t> degree_;    // [rows]
  Buffer<std::uint8_t> linked_;     // [rows]
  Buffer<std::uint8_t> reached_;    // [rows], connect() only
  Buffer<std::uint32_t> frontier_;  // [rows], connect() only
  Buffer<std::uint32_t> nearest_;   // [rows × kNearestKept], kNoPos where fewer
  Buffer<float> nearest_distance_;  // [rows × kNearestKept]
  Buffer<Edge> back_edges_;         // [batch_max × max_degree]
  Buffer<Edge> offers_;             // [batch_max × kNearestKept]
  Buffer<Edge> sorted_;             // the larger of the two
  std::vector<Worker> workers_;
};

}  // namespace vecstore
