// SPDX-License-Identifier: Apache-2.0
#include "graph/pack.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "compress/neighbour_list.h"

namespace vecstore {
namespace {

constexpr double kBytesPerEdgeGuess = 1.6;
constexpr std::uint64_t kProgressPages = 1024;

// The neighbours of a row as positions, ascending.
void positions_of(const PackInput& input, std::span<const Pos> place, std::uint32_t row, std::vector<Pos>& out) {
  out.clear();
  for (const std::uint32_t neighbour : input.graph->neighbours(row)) {
    VECSTORE_CHECK(place[neighbour] != kNoPos);
    out.push_back(place[neighbour]);
  }
  std::sort(out.begin(), out.end());
}

// parent[row] of a breadth-first walk from the entry; the entry is its own.
Status walk_from_entry(const PackInput& input, MemoryBudget& budget, Buffer<std::uint32_t>& parent) {
  const std::uint64_t rows = input.rows->rows();
  VECSTORE_ASSIGN(parent, Buffer<std::uint32_t>::allocate(budget, rows));
  VECSTORE_ASSIGN(auto queue, Buffer<std::uint32_t>::allocate(budget, input.order.size()));
  std::fill(parent.begin(), parent.end(), kNoPos);
  if (input.order.empty()) return Status::ok();
  const std::uint32_t entry = input.graph->entry();
  std::size_t head = 0;
  std::size_t tail = 0;
  parent[entry] = entry;
  queue[tail++] = entry;
  while (head < tail) {
    const std::uint32_t row = queue[head++];
    for (const std::uint32_t neighbour : input.graph->neighbours(row)) {
      if (parent[neighbour] != kNoPos) continue;
      parent[neighbour] = row;
      queue[tail++] = neighbour;
    }
  }
  VECSTORE_CHECK(tail == input.order.size());  // connect() has run
  return Status::ok();
}

// The lists of one page, cut to what fits.
class PageLists {
 public:
  PageLists(const PackInput& input, std::span<const Pos> place, std::span<const std::uint32_t> parent)
      : input_(&input), place_(place), parent_(parent) {}

  void load(Pos first, std::uint32_t count) {
    first_ = first;
    if (lists_.size() < count) lists_.resize(count);
    bytes_.assign(count, 0);
    total_ = 0;
    for (std::uint32_t slot = 0; slot < count; ++slot) {
      positions_of(*input_, place_, input_->order[first + slot], lists_[slot]);
      measure(slot);
    }
  }

  // Drops the longest edges until `room` bytes suffice. False when the edges that must stay do not fit.
  bool shrink(std::uint32_t room) {
    if (total_ <= room) return true;
    find_droppable();
    for (const Droppable& edge : droppable_) {
      if (total_ <= room) break;
      auto& list = lists_[edge.slot];
      list.erase(std::find(list.begin(), list.end(), edge.target));
      ++dropped_;
      measure(edge.slot);
    }
    return total_ <= room;
  }

  std::span<const Pos> list(std::uint32_t slot) const { return lists_[slot]; }
  std::uint32_t bytes() const { return total_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Droppable {
    float distance = 0;
    std::uint32_t slot = 0;
    Pos target = 0;
  };

  void measure(std::uint32_t slot) {
    total_ -= bytes_[slot];
    bytes_[slot] = static_cast<std::uint32_t>(neighbour_list_bytes(first_ + slot, lists_[slot]));
    total_ += bytes_[slot];
  }

  void find_droppable() {
    droppable_.clear();
    for (std::uint32_t slot = 0; slot < bytes_.size(); ++slot) {
      const std::uint32_t row = input_->order[first_ + slot];
      targets_.clear();
      for (const Pos position : lists_[slot]) targets_.push_back(input_->order[position]);
      scratch_.resize(targets_.size());
      distances_.resize(targets_.size());
      input_->rows->distances(row, targets_.data(), targets_.size(), scratch_.data(), distances_.data());
      for (std::size_t i = 0; i < targets_.size(); ++i)
        if (parent_[targets_[i]] != row) droppable_.push_back({distances_[i], slot, lists_[slot][i]});
    }
    std::sort(droppable_.begin(), droppable_.end(), [](const Droppable& a, const Droppable& b) {
      if (a.distance != b.distance) return a.distance > b.distance;
      return a.slot != b.slot ? a.slot < b.slot : a.target < b.target;
    });
  }

  const PackInput* input_;
  std::span<const Pos> place_;
  std::span<const std::uint32_t> parent_;
  Pos first_ = 0;
  std::vector<std::vector<Pos>> lists_;
  std::vector<std::uint32_t> bytes_;
  std::uint32_t total_ = 0;
  std::uint64_t dropped_ = 0;
  std::vector<Droppable> droppable_;
  std::vector<std::uint32_t> targets_;
  std::vector<std::uint32_t> scratch_;
  std::vector<float> distances_;
};

}  // namespace

void invert_order(std::span<const std::uint32_t> order, std::span<Pos> place) {
  std::fill(place.begin(), place.end(), kNoPos);
  for (Pos position = 0; position < order.size(); ++position) place[order[position]] = position;
}

std::uint32_t guess_rows_per_page(const GraphLayout& layout, double mean_degree) {
  const auto payload = static_cast<double>(page_payload_bytes(layout.page_bytes));
  const auto fits = static_cast<std::uint32_t>(payload / (layout.fixed_bytes() + kBytesPerEdgeGuess * mean_degree));
  return fits == 0 && payload >= layout.fixed_bytes() + 64.0 ? 1 : fits;
}

void measure_lists(const PackInput& input, std::span<const Pos> place, Executor& executor,
                   std::span<std::uint16_t> bytes) {
  executor.parallel_for(input.order.size(), 1024, [&](std::size_t begin, std::size_t end, unsigned) {
    std::vector<Pos> list;
    for (auto position = static_cast<Pos>(begin); position < end; ++position) {
      positions_of(input, place, input.order[position], list);
      bytes[position] = static_cast<std::uint16_t>(neighbour_list_bytes(position, list));
    }
  });
}

std::uint32_t choose_rows_per_page(GraphLayout layout, std::span<const std::uint16_t> list_bytes, std::uint64_t edges) {
  std::uint64_t total = 0;
  for (const std::uint16_t bytes : list_bytes) total += bytes;
  std::uint32_t& most = layout.rows_per_page;
  most = static_cast<std::uint32_t>(page_payload_bytes(layout.page_bytes) / layout.fixed_bytes());
  for (; most > 1; --most) {
    if (layout.lists_at() > layout.page_bytes) continue;  // values need to be aligned
    const std::uint64_t room = layout.list_bytes_of_page();
    std::uint64_t over = 0;
    for (std::size_t first = 0; first < list_bytes.size(); first += most) {
      std::uint64_t page = 0;
      for (std::size_t i = first; i < std::min(list_bytes.size(), first + most); ++i) page += list_bytes[i];
      over += page > room ? page - room : 0;
    }
    // Dropped edges are the long ones, so they free more bytes than the mean edge: this overstates their number.
    if (edges == 0 || static_cast<double>(over) * most <= kEdgesDroppedPerRow * static_cast<double>(total)) break;
  }
  return most;
}

std::uint64_t predict_pack_bytes(std::uint64_t rows) { return rows * (4 + 4 + 4 + 2) + (std::uint64_t{1} << 20); }

Result<GraphSummary> pack_graph(const PackInput& input, std::span<const Pos> place, const GraphLayout& layout,
                                MemoryBudget& budget, PageFileWriter& writer, const RowProgress& progress) {
  VECSTORE_TRY(layout.check());
  VECSTORE_CHECK(layout.rows == input.order.size());
  VECSTORE_CHECK(input.row_ids.empty() || input.row_ids.size() == input.rows->rows());
  VECSTORE_CHECK(layout.key_bytes == 0 || input.keys.size() == input.rows->rows());
  GraphSummary summary;
  summary.layout = layout;
  summary.max_degree = 0;
  summary.entry = layout.rows == 0 ? kNoPos : place[input.graph->entry()];
  Buffer<std::uint32_t> parent;
  VECSTORE_TRY(walk_from_entry(input, budget, parent));
  PageLists lists(input, place, parent.span());
  VECSTORE_ASSIGN(auto floats, Buffer<float>::allocate(budget, layout.dim));
  const std::span<std::byte> scratch = std::as_writable_bytes(floats.span());
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    const Pos first = layout.first_on(page);
    const std::uint32_t count = layout.rows_on(page);
    lists.load(first, count);
    if (!lists.shrink(layout.list_bytes_of_page()))
      return Status(Code::kUnsupported, "the neighbour lists do not fit; use larger pages").at(Detail::kPage, page);
    PageBuilder builder(layout, writer.page());
    for (std::uint32_t slot = 0; slot < count; ++slot) {
      const std::uint32_t row = input.order[first + slot];
      const StoredValues stored = input.rows->stored(row, scratch);
      const std::uint64_t key = layout.key_bytes == 0 ? 0 : input.keys[row];
      builder.set_record(slot, {input.row_id(row), key, stored.params, stored.values});
      const auto list = lists.list(slot);
      builder.append_list(slot, first + slot, list);
      summary.edges += list.size();
      summary.max_degree = std::max(summary.max_degree, static_cast<std::uint32_t>(list.size()));
    }
    summary.list_bytes += lists.bytes();
    VECSTORE_TRY(writer.append());
    if (progress && page % kProgressPages == 0)
      progress(std::min<std::uint64_t>(layout.rows, page * layout.rows_per_page));
  }
  summary.edges_dropped = lists.dropped();
  return summary;
}

Result<Buffer<std::uint32_t>> rank_pages(const PackInput& input, std::span<const Pos> place, const GraphLayout& layout,
                                         MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto ranking, Buffer<std::uint32_t>::allocate(budget, layout.pages()));
  VECSTORE_ASSIGN(auto rows_near, Buffer<std::uint32_t>::allocate(budget, layout.pages() + 1));
  std::vector<std::uint64_t> pages;
  for (const std::uint32_t row : input.order) {
    pages.assign(1, layout.page_of(place[row]));
    for (const std::uint32_t neighbour : input.graph->nearest(row))
      if (place[neighbour] != kNoPos) pages.push_back(layout.page_of(place[neighbour]));
    std::sort(pages.begin(), pages.end());
    pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
    for (const std::uint64_t page : pages) ++rows_near[page];
  }
  std::iota(ranking.begin(), ranking.end(), 1u);
  std::sort(ranking.begin(), ranking.end(), [&rows_near](std::uint32_t a, std::uint32_t b) {
    return rows_near[a] != rows_near[b] ? rows_near[a] > rows_near[b] : a < b;
  });
  return ranking;
}

}  // namespace vecstore
