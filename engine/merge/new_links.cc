// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/new_links.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "base/check.h"
#include "compress/block_codes.h"
#include "graph/order.h"
#include "graph/ordered_rows.h"

namespace vecstore {
namespace {

// What a search of a build looks at, in about: pruning chooses among these.
constexpr std::size_t kBlocks = 40;  // of the graph whose codes are scored
constexpr std::size_t kCandidates = 64;
constexpr std::uint32_t kFoundTogether = 64;  // rows whose candidates are read together
static_assert(RowPool::kRowsAtOnce / 2 + kCandidates + kBlocks < RowPool::kRowsAtOnce, "half a pool and one row more");
constexpr std::size_t kNewBlocks = 20;  // of the new rows
constexpr std::size_t kNewCandidates = 32;
constexpr std::size_t kNearestLinkedBack = 20;  // rows that come to know a new one, whether it leads to them or not

std::size_t back_edges_most(const GraphBuildOptions& options) {
  return NewLinks::pruned_degree(options) + kNearestLinkedBack;
}

}  // namespace

// Codes of the rows of the graph, and of the new rows in their order.
struct NewLinks::Finders {
  CodeCandidates& of_graph;
  CodeCandidates& of_new;
  bool have_same_tables = false;
};

NewLinks::NewLinks(const MergedRows& rows, RowPool& pool, const GraphBuildOptions& options, MemoryBudget& budget)
    : rows_(rows),
      pool_(pool),
      options_(options),
      budget_(budget),
      capacity_(capacity_of(options)),
      pruner_(pool.rows(), options.alpha) {}

std::uint64_t NewLinks::predict_bytes(std::uint32_t added, const GraphBuildOptions& options) {
  return std::uint64_t{added} *
         (4 * (3 + kNearestKept) + capacity_of(options) * 4 + 2 + back_edges_most(options) * sizeof(BackEdge));
}

Result<NewLinks> NewLinks::create(const MergedRows& rows, RowPool& pool, const GraphBuildOptions& options,
                                  MemoryBudget& budget) {
  NewLinks links(rows, pool, options, budget);
  const std::size_t added = rows.added();
  VECSTORE_ASSIGN(links.order_, Buffer<std::uint32_t>::allocate(budget, added));
  VECSTORE_ASSIGN(links.rank_, Buffer<std::uint32_t>::allocate(budget, added));
  VECSTORE_ASSIGN(links.edges_, Buffer<std::uint32_t>::allocate(budget, added * links.capacity_));
  VECSTORE_ASSIGN(links.degree_, Buffer<std::uint16_t>::allocate(budget, added));
  VECSTORE_ASSIGN(links.anchor_, Buffer<Pos>::allocate(budget, added));
  VECSTORE_ASSIGN(links.back_edges_, Buffer<BackEdge>::allocate(budget, added * back_edges_most(options)));
  VECSTORE_ASSIGN(links.query_, Buffer<float>::allocate(budget, rows.graph().layout().dim));
  VECSTORE_ASSIGN(links.nearest_, Buffer<std::uint32_t>::allocate(budget, added * kNearestKept));
  std::ranges::fill(links.anchor_, kNoPos);
  std::ranges::fill(links.nearest_, kNoPos);
  return links;
}

Status NewLinks::link(Executor& executor, Watch& watch) {
  if (rows_.added() == 0) return Status::ok();
  VECSTORE_TRY(fill_pool());
  VECSTORE_TRY(put_in_order(executor));
  const CodecModel& model = rows_.graph().codes().model;
  CodecOptions codec;
  codec.kind = model.kind;
  codec.code_bytes = model.code_bytes;
  codec.metric = model.metric;
  VECSTORE_ASSIGN(const BlockCodes new_codes,
                  encode_blocks(OrderedRows(pool_.rows(), order_.span()), codec, &model, executor, budget_));
  VECSTORE_ASSIGN(CodeCandidates of_graph, CodeCandidates::create(rows_.graph().codes(), budget_));
  VECSTORE_ASSIGN(CodeCandidates of_new, CodeCandidates::create(new_codes, budget_));
  Finders finders{of_graph, of_new, have_same_tables(model, new_codes.model)};
  has_all_pages_ = pool_.holds_all() && std::uint64_t{rows_.added()} * kCandidates > rows_.graph().layout().pages();
  if (has_all_pages_) VECSTORE_TRY(pool_.bring_all());
  for (std::uint32_t rank = 0; rank < rows_.added();) {
    const std::uint32_t count = find_candidates(rank, finders);
    VECSTORE_TRY(pool_.bring_pages(pages_));
    for (std::uint32_t i = 0; i < count; ++i, ++rank) {
      VECSTORE_TRY(watch.step({Phase::kGraph, rank, rows_.added()}));
      VECSTORE_TRY(link_row(order_[rank], found_[i]));
    }
  }
  sort_back_edges();
  return Status::ok();
}

// -------------------------------------------------------------------------------------------------- rows in an order

Status NewLinks::fill_pool() {
  if (rows_.graph().layout().metric != Metric::kInnerProduct) return fill_pool(0);
  VECSTORE_ASSIGN(float largest, largest_norm2_of_graph());
  VECSTORE_TRY(fill_pool(largest));
  for (std::uint32_t nth = 0; nth < rows_.added(); ++nth) largest = std::max(largest, pool_.rows().norm2(nth));
  return fill_pool(largest);
}

Status NewLinks::fill_pool(float largest_norm2) {
  const GraphLayout& layout = rows_.graph().layout();
  pool_.rows().expect_norm2(largest_norm2);
  VECSTORE_ASSIGN(auto vector, Buffer<std::byte>::allocate(budget_, layout.dim * element_bytes(layout.dtype)));
  for (std::uint32_t nth = 0; nth < rows_.added(); ++nth) {
    rows_.view().delta()->copy_vector(rows_.new_id(nth), vector.data());
    pool_.rows().fill(nth, VectorView{vector.data(), layout.dtype, 1, layout.dim, 0}, query_.span());
  }
  return Status::ok();
}

// What pages say, which may be a little more: it includes what they lose of a row.
Result<float> NewLinks::largest_norm2_of_graph() const {
  const Generation& graph = rows_.graph();
  const GraphLayout& layout = graph.layout();
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, layout.page_bytes));
  float largest = 0;
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    VECSTORE_TRY(graph.graph().read_page(page, bytes.span()));
    const PageView view(layout, bytes.data());
    for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot)
      largest = std::max(largest, view.params(slot).norm2);
  }
  return largest;
}

// By means alone, since nothing is known of their neighbours yet.
Status NewLinks::put_in_order(Executor& executor) {
  AffinityGraph none;
  VECSTORE_ASSIGN(none.offsets, Buffer<std::uint64_t>::allocate(budget_, rows_.added() + 1));
  const OrderOptions options{rows_.graph().layout().rows_per_page, options_.seed};
  VECSTORE_TRY(order_rows(pool_.rows(), none, options, executor, budget_, order_.span(), {}));
  for (std::uint32_t rank = 0; rank < order_.size(); ++rank) rank_[order_[rank]] = rank;
  return Status::ok();
}

// ------------------------------------------------------------------------------------------------------------ linking

// Near rows come one after the other, so that their candidates share pages.
std::uint32_t NewLinks::find_candidates(std::uint32_t rank, Finders& finders) {
  const GraphLayout& layout = rows_.graph().layout();
  const std::uint32_t most = std::min(kFoundTogether, rows_.added() - rank);
  pages_.clear();
  std::uint32_t count = 0;
  while (count < most && pages_.size() <= pool_.frames() / 2) {
    if (found_.size() == count) found_.emplace_back();
    const std::uint32_t nth = order_[rank + count];
    pool_.rows().decode(nth, query_.data());
    finders.of_graph.prepare(query_.data());
    finders.of_graph.find(kBlocks, kCandidates, [this](Pos position) { return !rows_.is_gone(position); }, positions_);
    std::vector<std::uint32_t>& found = found_[count++];
    found.assign(positions_.begin(), positions_.end());
    if (!has_all_pages_) {
      pages_of_row_.clear();
      for (const Pos position : positions_) pages_of_row_.push_back(layout.page_of(position));
      std::ranges::sort(pages_of_row_);
      pages_of_row_.erase(std::unique(pages_of_row_.begin(), pages_of_row_.end()), pages_of_row_.end());
      pages_before_.swap(pages_);
      pages_.clear();
      std::ranges::set_union(pages_before_, pages_of_row_, std::back_inserter(pages_));
    }
    finders.have_same_tables ? finders.of_new.prepare_like(finders.of_graph) : finders.of_new.prepare(query_.data());
    finders.of_new.find(kNewBlocks, kNewCandidates, [&](Pos position) { return order_[position] != nth; }, positions_);
    for (const Pos position : positions_) found.push_back(rows_.before() + order_[position]);
  }
  return count;
}

Status NewLinks::link_row(std::uint32_t nth, std::span<const std::uint32_t> candidates) {
  const std::uint32_t before = rows_.before();
  numbers_.assign(candidates.begin(), candidates.end());
  // Rows before it have made it their neighbour.
  const std::size_t found = numbers_.size();
  for (const std::uint32_t number : list(nth))
    if (std::find(numbers_.begin(), numbers_.begin() + static_cast<std::ptrdiff_t>(found), number) ==
        numbers_.begin() + static_cast<std::ptrdiff_t>(found))
      numbers_.push_back(number);
  VECSTORE_TRY(compare(before + nth));
  anchor_[nth] = anchor_of(nth);
  for (std::size_t i = 0; i < std::min<std::size_t>(kNearestKept, seen_.size()); ++i)
    nearest_[std::size_t{nth} * kNearestKept + i] = pool_.number_at(seen_[i].row);
  nearest_numbers_.clear();
  for (std::size_t i = 0; i < std::min(kNearestLinkedBack, seen_.size()); ++i)
    nearest_numbers_.push_back(pool_.number_at(seen_[i].row));
  take_list(nth, pruner_.prune(seen_, pruned_degree(options_)));
  const auto leads_to = list(nth);
  std::erase_if(nearest_numbers_,
                [&](std::uint32_t number) { return std::ranges::find(leads_to, number) != leads_to.end(); });
  nearest_numbers_.insert(nearest_numbers_.end(), leads_to.begin(), leads_to.end());
  for (const std::uint32_t neighbour : nearest_numbers_) {
    if (rows_.is_new(neighbour)) {
      VECSTORE_TRY(add_back(neighbour - before, before + nth));
    } else {
      back_edges_[back_edge_count_++] = {neighbour, before + nth};
    }
  }
  return Status::ok();
}

Status NewLinks::compare(std::uint32_t number) {
  numbers_.push_back(number);
  VECSTORE_TRY(pool_.bring(numbers_, slots_));
  const std::uint32_t self = slots_.back();
  slots_.pop_back();
  scratch_.resize(slots_.size());
  distances_.resize(slots_.size());
  pool_.rows().distances(self, slots_.data(), slots_.size(), scratch_.data(), distances_.data());
  seen_.clear();
  for (std::size_t i = 0; i < slots_.size(); ++i) seen_.push_back({distances_[i], slots_[i]});
  std::sort(seen_.begin(), seen_.end());
  return Status::ok();
}

// Its nearest row of the graph, or where the nearest new row went.
Pos NewLinks::anchor_of(std::uint32_t nth) const {
  for (const Candidate& candidate : seen_) {
    const std::uint32_t number = pool_.number_at(candidate.row);
    if (!rows_.is_new(number)) return number;
    if (const Pos anchor = anchor_[number - rows_.before()]; anchor != kNoPos) return anchor;
  }
  return rank_[nth] == 0 ? 0 : anchor_[order_[rank_[nth] - 1]];
}

void NewLinks::take_list(std::uint32_t nth, std::span<const std::uint32_t> slots) {
  std::uint32_t* list = edges_.data() + std::size_t{nth} * capacity_;
  for (const std::uint32_t slot : slots) *list++ = pool_.number_at(slot);
  degree_[nth] = static_cast<std::uint16_t>(slots.size());
}

Status NewLinks::add_back(std::uint32_t nth, std::uint32_t number) {
  const auto list = this->list(nth);
  if (std::ranges::find(list, number) != list.end()) return Status::ok();
  if (list.size() < capacity_) {
    edges_[std::size_t{nth} * capacity_ + degree_[nth]++] = number;
    return Status::ok();
  }
  numbers_.assign(list.begin(), list.end());
  numbers_.push_back(number);
  VECSTORE_TRY(compare(rows_.before() + nth));
  take_list(nth, pruner_.prune(seen_, pruned_degree(options_)));
  return Status::ok();
}

// What the lists of rows of the graph gain, by row; and from now on new rows stand by their anchors.
void NewLinks::sort_back_edges() {
  std::ranges::sort(back_edges_.span().first(back_edge_count_));
  std::ranges::sort(order_, {}, [this](std::uint32_t nth) { return std::pair(anchor_[nth], rank_[nth]); });
}

std::span<const NewLinks::BackEdge> NewLinks::added_to(Pos position) const {
  const auto all = back_edges_.span().first(back_edge_count_);
  const auto found = std::ranges::equal_range(all, position, {}, &BackEdge::target);
  return {found.begin(), found.end()};
}

}  // namespace vecstore
