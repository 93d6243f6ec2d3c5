// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merge_window.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "compress/neighbour_list.h"
#include "graph/page_lists.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kPagesTogether = 16;           // that are read with one request
constexpr std::uint64_t kDeadEntryBytes = 96;          // of a list that is kept, beside its rows
constexpr std::uint64_t kPlaceBytes = 48;              // of a row in tables of places, at the most
constexpr std::size_t kSuccessors = 2;                 // rows that take the place of one that is gone, in a list
constexpr std::size_t kPrunedTogether = 400;           // of a list that new rows have made long
constexpr std::uint64_t kSurroundingsMost = 1u << 15;  // pages around a window that are kept
constexpr std::size_t kAbsentShare = 2;  // the part of a pruned list that may be rows which are not at hand
static_assert(kPrunedTogether < RowPool::kRowsAtOnce && kPrunedTogether > kDegreeMax);

Status damaged_list(const Generation& graph, std::uint64_t page) {
  return Status(Code::kCorrupt, "a neighbour list is damaged; restore or rebuild")
      .about(graph.graph().path())
      .at(Detail::kPage, page);
}

std::uint64_t bytes_of_a_row(std::uint32_t degree) {
  return sizeof(MergeWindow::Row) + (degree + 1) * sizeof(std::uint32_t) + kPlaceBytes;
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------- window

std::uint64_t MergeWindow::predict_bytes(std::uint64_t rows, const GraphLayout& layout) {
  return rows * (layout.value_bytes() + bytes_of_a_row(kDegreeMax)) +
         QuantizedRows::predict_bytes(rows, row_shape(layout, {}));
}

Result<MergeWindow> MergeWindow::create(std::uint64_t rows, const GraphLayout& layout, std::span<const float> centre,
                                        float largest_norm2, MemoryBudget& budget) {
  MergeWindow window;
  window.value_bytes_ = layout.value_bytes();
  window.before_ = static_cast<std::uint32_t>(layout.rows);
  VECSTORE_ASSIGN(window.values_, Buffer<std::byte>::allocate(budget, rows * layout.value_bytes()));
  VECSTORE_ASSIGN(window.vectors_, QuantizedRows::create(rows, row_shape(layout, centre), budget));
  window.vectors_->expect_norm2(largest_norm2);
  VECSTORE_ASSIGN(window.charge_, Charge::take(budget, rows * bytes_of_a_row(kDegreeMax)));
  window.rows_.reserve(rows);
  return window;
}

void MergeWindow::clear(Pos first) {
  first_ = first;
  rows_.clear();
  edges_.clear();
  ends_.assign(1, 0);
  near_.clear();
  near_ends_.assign(1, 0);
  place_of_old_.clear();
  place_of_new_.clear();
}

void MergeWindow::add(const Row& row, const std::byte* values) {
  const auto place = size();
  rows_.push_back(row);
  std::copy_n(values, value_bytes_, values_.data() + std::size_t{place} * value_bytes_);
  vectors_->put_stored(place, {row.params, values});
  if (row.number >= before_) {
    place_of_new_.emplace(row.number, place);
  } else {
    place_of_old_.resize(row.number - first_, kNoPos);
    place_of_old_.push_back(place);
  }
}

std::uint32_t MergeWindow::place_of(std::uint32_t number) const {
  if (number < before_)
    return number >= first_ && number - first_ < place_of_old_.size() ? place_of_old_[number - first_] : kNoPos;
  const auto found = place_of_new_.find(number);
  return found == place_of_new_.end() ? kNoPos : found->second;
}

// ------------------------------------------------------------------------------------------------------------- reader

std::uint64_t WindowReader::predict_bytes(const GraphLayout& layout, std::uint64_t gone, std::uint32_t max_degree) {
  return gone * (kDeadEntryBytes + max_degree * sizeof(Pos)) + kPagesTogether * layout.page_bytes;
}

Result<WindowReader> WindowReader::create(const MergedRows& rows, const NewLinks& links, RowPool& pool,
                                          const GraphBuildOptions& options, std::uint32_t rows_each,
                                          std::uint64_t lists_bytes, MemoryBudget& budget, Watch& watch) {
  WindowReader reader(rows, links, pool, options, rows_each);
  const GraphLayout& layout = rows.graph().layout();
  VECSTORE_ASSIGN(reader.bytes_, Buffer<std::byte>::allocate(budget, kPagesTogether * layout.page_bytes));
  VECSTORE_ASSIGN(reader.values_, Buffer<std::byte>::allocate(budget, layout.dim * sizeof(float)));
  VECSTORE_ASSIGN(reader.kept_lists_, Buffer<std::uint32_t>::allocate(budget, lists_bytes / sizeof(std::uint32_t)));
  VECSTORE_TRY(reader.read_lists_of_the_dead(budget, watch));
  reader.find_starts();
  return reader;
}

// A new row comes when all that stand up to its anchor have come.
std::uint32_t WindowReader::next(Cursor& at) const {
  const auto by_anchor = links_.by_anchor();
  while (true) {
    if (at.nth_new < by_anchor.size() && links_.anchor(by_anchor[at.nth_new]) < at.position)
      return rows_.before() + by_anchor[at.nth_new++];
    if (at.position == rows_.before()) return kNoPos;
    const Pos position = at.position++;
    if (!rows_.is_gone(position)) return position;
  }
}

void WindowReader::find_starts() {
  Cursor at;
  for (std::uint64_t done = 0; done < rows_.rows(); ++done) {
    if (done % rows_each_ == 0) starts_.push_back(at);
    const std::uint32_t number = next(at);
    VECSTORE_CHECK(number != kNoPos);
  }
}

void WindowReader::list_rows(std::uint32_t window, std::vector<std::uint32_t>& numbers) const {
  numbers.clear();
  Cursor at = starts_[window];
  const std::uint64_t rows = std::min<std::uint64_t>(rows_each_, rows_.rows() - first(window));
  while (numbers.size() < rows) numbers.push_back(next(at));
}

Status WindowReader::load(std::uint32_t window, MergeWindow& into) {
  Cursor at = starts_[window];
  into.clear(at.position);
  if (!pool_.holds_all()) VECSTORE_TRY(bring_surroundings(window));
  const std::uint64_t rows = std::min<std::uint64_t>(rows_each_, rows_.rows() - first(window));
  for (std::uint64_t i = 0; i < rows; ++i) {
    const std::uint32_t number = next(at);
    VECSTORE_TRY(rows_.is_new(number) ? add_new(number, into) : add_old(number, into));
  }
  return Status::ok();
}

Status WindowReader::load_to_order(std::uint32_t window, MergeWindow& into) {
  keeps_lists_ = true;
  const Status loaded = load(window, into);
  keeps_lists_ = false;
  return loaded;
}

// Most rows lead to rows that stand near. Pages on either side come into the pool front to back, so that lists can be
// pruned without a read for each.
Status WindowReader::bring_surroundings(std::uint32_t window) {
  const GraphLayout& layout = rows_.graph().layout();
  const Pos begin = starts_[window].position;
  const Pos end = window + 1 < starts_.size() ? starts_[window + 1].position : rows_.before();
  const std::uint64_t first = begin == rows_.before() ? layout.pages() : layout.page_of(begin);
  const std::uint64_t last = end == 0 ? 1 : layout.page_of(end - 1);
  if (pool_.frames() <= 2 * RowPool::kRowsAtOnce) return Status::ok();
  const std::uint64_t most = std::min(pool_.frames() - 2 * RowPool::kRowsAtOnce, kSurroundingsMost);
  const std::uint64_t own = last + 1 - std::min(first, last);
  const std::uint64_t beside = own < most ? (most - own) / 2 : 0;
  surroundings_.clear();
  for (std::uint64_t page = first > beside ? first - beside : 1; page <= std::min(last + beside, layout.pages());
       ++page)
    if (surroundings_.size() < most) surroundings_.push_back(page);
  return pool_.keep_pages(surroundings_);
}

Status WindowReader::read_lists_of_the_dead(MemoryBudget& budget, Watch& watch) {
  const std::uint64_t gone = rows_.before() - rows_.stay();
  if (gone == 0) return Status::ok();
  const Generation& graph = rows_.graph();
  const GraphLayout& layout = graph.layout();
  VECSTORE_ASSIGN(dead_charge_,
                  Charge::take(budget, gone * (kDeadEntryBytes + graph.summary().max_degree * sizeof(Pos))));
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    VECSTORE_TRY(watch.step({Phase::kRead, layout.first_on(page), layout.rows}));
    const auto of_page = rows_.places().subspan(layout.first_on(page), layout.rows_on(page));
    if (std::ranges::find(of_page, kNoPos) == of_page.end()) continue;
    VECSTORE_ASSIGN(const std::byte* bytes, this->page(page));
    const bool is_whole = for_each_list(layout, page, bytes, [&](Pos self, RowId, std::span<const Pos> neighbours) {
      if (!rows_.is_gone(self)) return;
      std::vector<Pos>& list = dead_lists_[self];
      list.reserve(neighbours.size());
      std::ranges::copy_if(neighbours, std::back_inserter(list), [this](Pos pos) { return !rows_.is_gone(pos); });
    });
    if (!is_whole) return damaged_list(graph, page);
  }
  return Status::ok();
}

Result<const std::byte*> WindowReader::page(std::uint64_t page) {
  const GraphLayout& layout = rows_.graph().layout();
  if (page < first_page_ || page >= first_page_ + pages_) {
    pages_ = 0;
    const std::uint64_t count = std::min(kPagesTogether, layout.pages() + 1 - page);
    VECSTORE_TRY(rows_.graph().graph().read_pages(page, bytes_.span().first(count * layout.page_bytes)));
    first_page_ = page;
    pages_ = count;
  }
  return bytes_.data() + (page - first_page_) * layout.page_bytes;
}

Status WindowReader::add_old(Pos position, MergeWindow& into) {
  const GraphLayout& layout = rows_.graph().layout();
  const std::uint64_t number = layout.page_of(position);
  VECSTORE_ASSIGN(const std::byte* bytes, page(number));
  const PageView view(layout, bytes);
  const std::uint32_t slot = layout.slot_of(position);
  std::array<Pos, kDegreeMax> neighbours;
  const auto encoded = view.list(slot);
  const std::size_t degree = is_damaged(encoded) ? kDamagedList
                                                 : decode_neighbours(position, encoded, static_cast<Pos>(layout.rows),
                                                                     neighbours.data(), neighbours.size());
  if (degree == kDamagedList) return damaged_list(rows_.graph(), number);
  const RowParams params = layout.row_params ? view.params(slot) : RowParams{};
  into.add({position, view.row_id(slot), view.key(slot), params},
           view.values() + std::size_t{slot} * layout.value_bytes());
  VECSTORE_TRY(take_list(position, std::span(neighbours).first(degree)));
  into.edges_.insert(into.edges_.end(), list_.begin(), list_.end());
  into.end_list();
  return Status::ok();
}

Status WindowReader::add_new(std::uint32_t number, MergeWindow& into) {
  const std::uint32_t nth = number - rows_.before();
  const RowId row = rows_.new_id(nth);
  const bool has_number = rows_.view().content().properties().keys == KeyKind::kNumber;
  const std::uint64_t key = has_number ? rows_.view().delta()->key(row).number() : row.value;
  const StoredValues stored = pool_.rows().stored(nth, values_.span());
  into.add({number, row, key, stored.params}, stored.values);
  const auto list = links_.list(nth);
  into.edges_.insert(into.edges_.end(), list.begin(), list.end());
  const auto nearest = links_.nearest(nth);
  into.near_.insert(into.near_.end(), nearest.begin(), nearest.end());
  into.end_list();
  return Status::ok();
}

// -------------------------------------------------------------------------------------------------------------- lists

// What is left of a list, what took the place of those that are gone, and the new rows → list_.
Status WindowReader::take_list(Pos position, std::span<const Pos> neighbours) {
  list_.clear();
  for (const Pos neighbour : neighbours)
    if (!rows_.is_gone(neighbour)) list_.push_back(neighbour);
  const bool all_stay = list_.size() == neighbours.size();
  for (const Pos neighbour : neighbours) {
    if (all_stay) break;
    if (const auto dead = dead_lists_.find(neighbour); dead != dead_lists_.end())
      VECSTORE_TRY(add_nearest_of(dead->second, position));
  }
  const auto added = links_.added_to(position);
  for (const NewLinks::BackEdge& edge : added) list_.push_back(edge.source);
  // A build may have made it longer. What has not changed stays, if what must be added to it has room.
  const bool has_changed = !all_stay || !added.empty();
  if (list_.size() <= (has_changed ? links_.capacity() : kDegreeBuilt) || take_kept_list(position)) return Status::ok();
  VECSTORE_TRY(prune(position));
  if (keeps_lists_) keep_list(position);
  return Status::ok();
}

void WindowReader::keep_list(Pos position) {
  if (kept_lists_.size() - kept_end_ < list_.size() + 2) return;
  kept_lists_[kept_end_++] = position;
  kept_lists_[kept_end_++] = static_cast<std::uint32_t>(list_.size());
  for (const std::uint32_t number : list_) kept_lists_[kept_end_++] = number;
}

bool WindowReader::take_kept_list(Pos position) {
  if (keeps_lists_) return false;
  while (kept_at_ < kept_end_ && kept_lists_[kept_at_] < position) kept_at_ += kept_lists_[kept_at_ + 1] + 2;
  if (kept_at_ == kept_end_ || kept_lists_[kept_at_] != position) return false;
  const auto list = kept_lists_.span().subspan(kept_at_ + 2, kept_lists_[kept_at_ + 1]);
  list_.assign(list.begin(), list.end());
  return true;
}

// The nearest two that the list does not have. Where that would take reads, rows that stand near count as near.
Status WindowReader::add_nearest_of(const std::vector<Pos>& dead_list, Pos position) {
  others_.clear();
  for (const Pos other : dead_list)
    if (other != position && std::ranges::find(list_, other) == list_.end()) others_.push_back(other);
  distances_.clear();
  if (pool_.holds_all()) {
    others_.push_back(position);
    VECSTORE_TRY(pool_.bring(others_, slots_));
    others_.pop_back();
    scratch_.resize(others_.size());
    distances_.resize(others_.size());
    pool_.rows().distances(slots_.back(), slots_.data(), others_.size(), scratch_.data(), distances_.data());
  } else {
    for (const Pos other : others_)
      distances_.push_back(static_cast<float>(other < position ? position - other : other - position));
  }
  for (std::size_t i = 0; i < std::min(kSuccessors, others_.size()) && list_.size() < links_.capacity(); ++i) {
    const auto nearest = std::ranges::min_element(distances_);
    list_.push_back(others_[static_cast<std::size_t>(nearest - distances_.begin())]);
    *nearest = std::numeric_limits<float>::infinity();
  }
  return Status::ok();
}

// Where the pool does not hold all pages, edges to rows that are not in it stay, up to a part: they are the long ones,
// and a read for each would cost more than all else.
Status WindowReader::prune(std::uint32_t number) {
  while (list_.size() > links_.capacity()) {
    const std::size_t taken = std::min(list_.size(), kPrunedTogether);
    const std::vector<std::uint32_t> part(list_.end() - static_cast<std::ptrdiff_t>(taken), list_.end());
    list_.resize(list_.size() - taken);
    others_.assign(1, number);
    if (pool_.holds_all()) others_.insert(others_.end(), part.begin(), part.end());
    VECSTORE_TRY(pool_.bring(others_, slots_));
    const std::uint32_t self = slots_.front();
    slots_.clear();
    absent_.clear();
    for (const std::uint32_t other : part) {
      const std::uint32_t slot = pool_.find(other);
      slot == kNoPos ? absent_.push_back(other) : slots_.push_back(slot);
    }
    scratch_.resize(slots_.size());
    distances_.resize(slots_.size());
    pool_.rows().distances(self, slots_.data(), slots_.size(), scratch_.data(), distances_.data());
    seen_.clear();
    for (std::size_t i = 0; i < slots_.size(); ++i) seen_.push_back({distances_[i], slots_[i]});
    std::sort(seen_.begin(), seen_.end());
    const std::size_t degree = NewLinks::pruned_degree(options_);
    absent_.resize(std::min(absent_.size(), degree / kAbsentShare));
    for (const std::uint32_t slot : pruner_.prune(seen_, static_cast<std::uint32_t>(degree - absent_.size())))
      list_.push_back(pool_.number_at(slot));
    list_.insert(list_.end(), absent_.begin(), absent_.end());
  }
  return Status::ok();
}

}  // namespace vecstore
