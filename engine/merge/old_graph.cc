// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/old_graph.h"

#include <algorithm>
#include <array>

#include "compress/neighbour_list.h"

namespace vecstore {
namespace {

constexpr std::size_t kSuccessors = 2;        // rows that take the place of one that is gone, in a list
constexpr std::uint64_t kEntryBytes = 96;     // of a list that is kept, beside its rows
constexpr std::uint64_t kPagesTogether = 64;  // read before their rows are shared out among threads

// Calls visit(position, neighbours) for each row of a page.
template <typename Visit>
Status for_each_list(const Generation& generation, std::uint64_t page, const std::byte* bytes, const Visit& visit) {
  const GraphLayout& layout = generation.layout();
  const PageView records(layout, bytes);
  std::array<Pos, kDegreeMax> neighbours;
  for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot) {
    const Pos self = layout.first_on(page) + slot;
    const auto list = records.list(slot);
    const std::size_t degree = is_damaged(list) ? kDamagedList
                                                : decode_neighbours(self, list, static_cast<Pos>(layout.rows),
                                                                    neighbours.data(), neighbours.size());
    if (degree == kDamagedList)
      return Status(Code::kCorrupt, "a neighbour list is damaged; restore or rebuild")
          .about(generation.graph().path())
          .at(Detail::kPage, page);
    visit(self, std::span<const Pos>(neighbours.data(), degree));
  }
  return Status::ok();
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
    VECSTORE_TRY(for_each_list(generation(), page, bytes.data(), [&](Pos self, std::span<const Pos> neighbours) {
      if (row_at_[self] != kNoPos) return;
      std::vector<std::uint32_t>& list = dead_lists_[self];
      list.reserve(neighbours.size());
      for (const Pos neighbour : neighbours)
        if (row_at_[neighbour] != kNoPos) list.push_back(row_at_[neighbour]);
    }));
  }
  return Status::ok();
}

// In the place of each row that is gone come those two of its own neighbours that are nearest to the row: so degrees do
// not fall as rows are replaced (NOTES).
Status OldGraph::adopt_into(GraphBuilder& graph, const QuantizedRows& rows, Executor& executor) const {
  const GraphLayout& layout = generation().layout();
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, kPagesTogether * layout.page_bytes));
  std::vector<Status> outcomes(executor.thread_count());
  for (std::uint64_t first = 1; first <= layout.pages(); first += kPagesTogether) {
    VECSTORE_TRY(watch_.step({Phase::kGraph, layout.first_on(first), layout.rows}));
    const std::uint64_t count = std::min(kPagesTogether, layout.pages() + 1 - first);
    for (std::uint64_t i = 0; i < count; ++i)
      VECSTORE_TRY(
          generation().graph().read_page(first + i, bytes.span().subspan(i * layout.page_bytes, layout.page_bytes)));
    executor.parallel_for(count, 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
      std::vector<std::uint32_t> list, near, others, scratch;
      std::vector<float> distances;
      for (std::size_t i = begin; i < end; ++i) {
        const std::uint64_t page = first + i;
        const Pos from = layout.first_on(page > 1 ? page - 1 : page);
        const std::uint64_t last = std::min(page + 1, layout.pages());
        const Pos to = layout.first_on(last) + layout.rows_on(last);
        const auto adopt = [&](Pos self, std::span<const Pos> neighbours) {
          const std::uint32_t row = row_at_[self];
          if (row == kNoPos) return;
          list.clear();
          const auto add = [&](std::uint32_t other) {
            if (other != row && list.size() < graph.capacity() && std::ranges::find(list, other) == list.end())
              list.push_back(other);
          };
          for (const Pos neighbour : neighbours)
            if (row_at_[neighbour] != kNoPos) add(row_at_[neighbour]);
          for (const Pos neighbour : neighbours) {
            const auto dead = row_at_[neighbour] == kNoPos ? dead_lists_.find(neighbour) : dead_lists_.end();
            if (dead == dead_lists_.end()) continue;
            others = dead->second;
            scratch.resize(others.size());
            distances.resize(others.size());
            rows.distances(row, others.data(), others.size(), scratch.data(), distances.data());
            for (std::size_t successor = 0; successor < std::min(kSuccessors, others.size()); ++successor) {
              const auto nearest = std::min_element(distances.begin(), distances.end()) - distances.begin();
              add(others[static_cast<std::size_t>(nearest)]);
              distances[static_cast<std::size_t>(nearest)] = std::numeric_limits<float>::infinity();
            }
          }
          near.clear();
          for (Pos position = from; position < to; ++position)
            if (row_at_[position] != kNoPos && position != self) near.push_back(row_at_[position]);
          graph.adopt(row, list, near, worker);
        };
        const Status adopted = for_each_list(generation(), page, bytes.data() + i * layout.page_bytes, adopt);
        if (!adopted.is_ok()) outcomes[worker] = adopted;
      }
    });
    for (const Status& outcome : outcomes) VECSTORE_TRY(outcome);
  }
  const std::uint32_t entry = row_at_[generation().summary().entry];
  graph.finish_adopting(order_.size(), entry != kNoPos ? entry : order_[order_.size() / 2]);
  return Status::ok();
}

}  // namespace vecstore
