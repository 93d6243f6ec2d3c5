// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/old_graph.h"

#include <algorithm>
#include <limits>

#include "graph/page_lists.h"

namespace vecstore {
namespace {

constexpr std::size_t kSuccessors = 2;        // rows that take the place of one that is gone, in a list
constexpr std::uint64_t kEntryBytes = 96;     // of a list that is kept, beside its rows
constexpr std::uint64_t kPagesTogether = 64;  // read before their rows are shared out among threads

Status damaged_list(const Generation& generation, std::uint64_t page) {
  return Status(Code::kCorrupt, "a neighbour list is damaged; restore or rebuild")
      .about(generation.graph().path())
      .at(Detail::kPage, page);
}

}  // namespace

Result<std::unique_ptr<OldGraph>> OldGraph::read(const Content& content, const MergeInput& input, MemoryBudget& budget,
                                                 Watch& watch) {
  std::unique_ptr<OldGraph> graph(new OldGraph(content, input, budget, watch));
  VECSTORE_TRY(graph->find_rows());
  VECSTORE_TRY(graph->read_lists_of_the_dead());
  return graph;
}

Status OldGraph::find_rows() {
  const GraphLayout& layout = generation().layout();
  VECSTORE_ASSIGN(row_at_, Buffer<std::uint32_t>::allocate(budget_, layout.rows));
  std::ranges::fill(row_at_, kNoPos);
  VECSTORE_TRY(generation().row_map().for_each(budget_, [&](RowId row, Pos position) -> Status {
    if (const auto place = input_.place_in_graph(row)) row_at_[position] = static_cast<std::uint32_t>(*place);
    return Status::ok();
  }));
  VECSTORE_ASSIGN(order_, Buffer<std::uint32_t>::allocate(budget_, input_.graph_rows()));
  std::size_t kept = 0;
  for (const std::uint32_t row : row_at_)
    if (row != kNoPos && kept < order_.size()) order_[kept++] = row;
  if (kept == order_.size()) return Status::ok();
  return Status(Code::kCorrupt, "the row map has two rows at one place; restore or rebuild")
      .about(generation().graph().path());
}

Status OldGraph::read_lists_of_the_dead() {
  if (order_.size() == row_at_.size()) return Status::ok();
  const GraphLayout& layout = generation().layout();
  const std::uint64_t bytes_each = kEntryBytes + generation().summary().max_degree * sizeof(std::uint32_t);
  VECSTORE_ASSIGN(dead_charge_, Charge::take(budget_, (row_at_.size() - order_.size()) * bytes_each));
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, layout.page_bytes));
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    VECSTORE_TRY(watch_.step({Phase::kRead, layout.first_on(page), layout.rows}));
    const std::uint32_t* first = row_at_.data() + layout.first_on(page);
    if (std::find(first, first + layout.rows_on(page), kNoPos) == first + layout.rows_on(page)) continue;
    VECSTORE_TRY(generation().graph().read_page(page, bytes.span()));
    const bool whole = for_each_list(layout, page, bytes.data(), [&](Pos self, RowId, std::span<const Pos> neighbours) {
      if (row_at_[self] != kNoPos) return;
      std::vector<std::uint32_t>& list = dead_lists_[self];
      list.reserve(neighbours.size());
      for (const Pos neighbour : neighbours)
        if (row_at_[neighbour] != kNoPos) list.push_back(row_at_[neighbour]);
    });
    if (!whole) return damaged_list(generation(), page);
  }
  return Status::ok();
}

// In the place of each row that is gone come those two of its own neighbours that are nearest to the row: so degrees do
// not fall as rows are replaced.
class OldGraph::Adopter {
 public:
  Adopter(const OldGraph& old, const QuantizedRows& rows, GraphBuilder& graph, unsigned worker)
      : old_(old), rows_(rows), graph_(graph), worker_(worker) {}

  void adopt(Pos self, std::span<const Pos> neighbours, std::uint64_t page) {
    row_ = old_.row_at_[self];
    if (row_ == kNoPos) return;
    list_.clear();
    for (const Pos neighbour : neighbours)
      if (old_.row_at_[neighbour] != kNoPos) add(old_.row_at_[neighbour]);
    for (const Pos neighbour : neighbours)
      if (const auto dead = old_.dead_lists_.find(neighbour); dead != old_.dead_lists_.end()) add_nearest(dead->second);
    find_near(self, page);
    graph_.adopt(row_, list_, near_, worker_);
  }

 private:
  void add(std::uint32_t other) {
    if (other != row_ && list_.size() < graph_.capacity() && std::ranges::find(list_, other) == list_.end())
      list_.push_back(other);
  }

  void add_nearest(std::span<const std::uint32_t> others) {
    scratch_.resize(others.size());
    distances_.resize(others.size());
    rows_.distances(row_, others.data(), others.size(), scratch_.data(), distances_.data());
    for (std::size_t i = 0; i < std::min(kSuccessors, others.size()); ++i) {
      const auto nearest = std::ranges::min_element(distances_);
      add(others[static_cast<std::size_t>(nearest - distances_.begin())]);
      *nearest = std::numeric_limits<float>::infinity();
    }
  }

  // The rows of its page and of those on either side: an order has put them beside it.
  void find_near(Pos self, std::uint64_t page) {
    const GraphLayout& layout = old_.generation().layout();
    const std::uint64_t last = std::min(page + 1, layout.pages());
    const Pos end = layout.first_on(last) + layout.rows_on(last);
    near_.clear();
    for (Pos position = layout.first_on(page > 1 ? page - 1 : page); position < end; ++position)
      if (position != self && old_.row_at_[position] != kNoPos) near_.push_back(old_.row_at_[position]);
  }

  const OldGraph& old_;
  const QuantizedRows& rows_;
  GraphBuilder& graph_;
  const unsigned worker_;
  std::uint32_t row_ = kNoPos;  // that is taken over
  std::vector<std::uint32_t> list_;
  std::vector<std::uint32_t> near_;
  std::vector<std::uint32_t> scratch_;
  std::vector<float> distances_;
};

Status OldGraph::adopt_into(GraphBuilder& graph, const QuantizedRows& rows, Executor& executor) const {
  const GraphLayout& layout = generation().layout();
  const std::size_t page_bytes = layout.page_bytes;
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, kPagesTogether * page_bytes));
  std::vector<std::uint64_t> damaged(executor.thread_count());  // a page that each thread found; 0: none
  for (std::uint64_t first = 1; first <= layout.pages(); first += kPagesTogether) {
    VECSTORE_TRY(watch_.step({Phase::kGraph, layout.first_on(first), layout.rows}));
    const std::uint64_t count = std::min(kPagesTogether, layout.pages() + 1 - first);
    for (std::uint64_t i = 0; i < count; ++i)
      VECSTORE_TRY(generation().graph().read_page(first + i, bytes.span().subspan(i * page_bytes, page_bytes)));
    executor.parallel_for(count, 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
      Adopter adopter(*this, rows, graph, worker);
      for (std::size_t i = begin; i < end; ++i) {
        const bool whole =
            for_each_list(layout, first + i, bytes.data() + i * page_bytes,
                          [&](Pos self, RowId, std::span<const Pos> list) { adopter.adopt(self, list, first + i); });
        if (!whole) damaged[worker] = first + i;
      }
    });
    for (const std::uint64_t page : damaged)
      if (page != 0) return damaged_list(generation(), page);
  }
  const std::uint32_t entry = row_at_[generation().summary().entry];
  graph.finish_adopting(order_.size(), entry != kNoPos ? entry : order_[order_.size() / 2]);
  return Status::ok();
}

}  // namespace vecstore
