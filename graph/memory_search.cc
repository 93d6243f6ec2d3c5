// SPDX-License-Identifier: Apache-2.0
#include "graph/memory_search.h"

#include <algorithm>

#include "base/check.h"
#include "compress/neighbour_list.h"

namespace vecstore {
namespace {

constexpr Pos kSeedStride = 4;
constexpr std::size_t kLeftDivisor = 3;  // the list grows by one for so many rows that left it
constexpr std::size_t kTouchedMax = 16384;
constexpr std::size_t kWaitingMax = std::max<std::size_t>(kBlockRows, kDegreeMax);

// Into the second-level cache: the first has room for too few lines under way (graph/NOTES.md). Always inlined: GCC
// may take a function of nothing but a prefetch for one without effect.
[[gnu::always_inline]] inline void ask_for(const std::byte* line) { __builtin_prefetch(line, 0, 2); }

}  // namespace

MemorySearch::MemorySearch(const SearchIndex& index, PreparedQuery query, CodeScorer scorer)
    : index_(index),
      layout_(index.summary->layout),
      pages_(index.cache->all_pages()),
      values_at_(layout_.values_at()),
      page_divisor_(~std::uint64_t{0} / layout_.rows_per_page + 1),
      query_(std::move(query)),
      scorer_(std::move(scorer)) {}

std::uint64_t MemorySearch::predict_bytes(const GraphLayout& layout, const CodeForm& form) {
  return PreparedQuery::predict_bytes(layout) + CodeScorer::predict_bytes(layout.dim, form) +
         (kSearchListMax + 1) * sizeof(PoolEntry) + (layout.rows / 64 + 1) * 8 + kTouchedMax * sizeof(Pos) +
         kWaitingMax * (sizeof(Pos) + sizeof(Place) + 12ull) + kResultsMax * sizeof(FoundRow) +
         (rounds_rows(layout) ? Contenders::predict_bytes() : 0);
}

Result<MemorySearch> MemorySearch::create(const SearchIndex& index, MemoryBudget& budget) {
  const GraphLayout& layout = index.summary->layout;
  VECSTORE_CHECK(index.cache->all_pages() != nullptr || layout.rows == 0);
  VECSTORE_ASSIGN(PreparedQuery query, PreparedQuery::create(layout, index.centre, budget));
  VECSTORE_ASSIGN(CodeScorer scorer, CodeScorer::create(*index.codes, budget));
  MemorySearch search(index, std::move(query), std::move(scorer));
  VECSTORE_ASSIGN(search.pool_, CandidatePool::create(kSearchListMax, budget));
  VECSTORE_ASSIGN(search.visited_, Buffer<std::uint64_t>::allocate(budget, layout.rows / 64 + 1));
  VECSTORE_ASSIGN(search.touched_, Buffer<Pos>::allocate(budget, kTouchedMax));
  VECSTORE_ASSIGN(search.waiting_, Buffer<Pos>::allocate(budget, kWaitingMax));
  VECSTORE_ASSIGN(search.places_, Buffer<Place>::allocate(budget, kWaitingMax));
  VECSTORE_ASSIGN(search.offsets_, Buffer<std::uint32_t>::allocate(budget, kWaitingMax));
  VECSTORE_ASSIGN(search.distances_, Buffer<float>::allocate(budget, kWaitingMax));
  VECSTORE_ASSIGN(search.integers_, Buffer<std::uint32_t>::allocate(budget, kWaitingMax));
  VECSTORE_ASSIGN(search.results_, Buffer<FoundRow>::allocate(budget, kResultsMax));
  if (rounds_rows(layout)) {
    VECSTORE_ASSIGN(search.contenders_, Contenders::create(budget));
  }
  return search;
}

Result<std::span<const FoundRow>> MemorySearch::search(const VectorView& queries, std::uint64_t query,
                                                       const SearchParams& params, QueryStats& stats) {
  VECSTORE_CHECK(params.k >= 1 && params.k <= kResultsMax && params.search_list <= kSearchListMax);
  stats_ = {};
  pool_.clear(1);
  params_ = params;
  params_.contenders = params.contenders && contenders_.has_value();
  begin_contenders();
  if (layout_.rows != 0) {
    query_.prepare(queries, query);
    radius_ = static_cast<float>(params_.radius - query_.constant());
    const std::uint64_t rows = params.filter == nullptr ? layout_.rows : params.filter->rows();
    const std::uint32_t wanted = params.has_radius() ? params.near_k : params.k;
    const std::uint64_t due = std::min<std::uint64_t>(wanted, rows);
    // Under a filter only what was expanded is known to be admitted.
    std::size_t list =
        std::max(params.has_radius() ? params.near_list : params.search_list, params.filter == nullptr ? 1 : wanted);
    VECSTORE_TRY(walk(list, due, params.filter));
    // Where many are not admitted, the admitted ones may lie beyond; at last whatever there is gets its distance.
    while (params.filter != nullptr && pool_.size() < due && list < kSearchListMax) {
      list = std::min<std::size_t>(kSearchListMax, 2 * list);
      VECSTORE_TRY(walk(list, due, params.filter));
    }
    if (params.filter != nullptr && pool_.size() < due) scan_all(*params.filter);
  }
  stats = stats_;
  return answer(params.k);
}

// From the nearest block on; what is left in the pool is admitted, and `due` rows where so many can be reached.
Status MemorySearch::walk(std::size_t list, std::size_t due, const RowFilter* filter) {
  const std::size_t room =
      std::max<std::size_t>({list, due, params_.has_radius() ? params_.list_within(params_.k) : 0});
  // Rows that are not admitted leave the pool when they are expanded, and push nothing out until then.
  pool_.clear(filter == nullptr ? room : room + room / 2 + (layout_.rows - filter->rows()));
  forget_visits();
  begin_contenders();
  seed_from_nearest_block();
  VECSTORE_TRY(expand_all(list, due, filter));
  // Every row can be reached from the entry, though perhaps not from that block.
  if (pool_.size() < std::min<std::uint64_t>(room, layout_.rows) && first_visit(index_.summary->entry)) {
    add_waiting(index_.summary->entry);
    score_waiting();
    VECSTORE_TRY(expand_all(list, due, filter));
  }
  if (filter != nullptr)
    pool_.remove_if([](const PoolEntry& entry) { return entry.state != CandidateState::kExpanded; });
  return Status::ok();
}

// Exact distances of all rows.
void MemorySearch::scan_all(const RowFilter& filter) {
  pool_.clear(pool_.capacity());
  begin_contenders();
  for (std::uint64_t position = 0; position < layout_.rows; ++position) {
    if (!admits(&filter, static_cast<Pos>(position))) continue;
    add_waiting(static_cast<Pos>(position));
    if (waiting_count_ == waiting_.size()) score_waiting();
  }
  score_waiting();
}

// The quotient is exact for positions of 32 bits and takes a multiplication instead of a division.
MemorySearch::Place MemorySearch::place_of(Pos position) const {
  const std::uint32_t rows = layout_.rows_per_page;
  if (rows == 1) return {position, 0};
  const auto page = static_cast<std::uint64_t>((static_cast<unsigned __int128>(page_divisor_) * position) >> 64);
  return {page, static_cast<std::uint32_t>(position - page * rows)};
}

bool MemorySearch::first_visit(Pos position) {
  std::uint64_t& word = visited_[position / 64];
  const std::uint64_t bit = std::uint64_t{1} << (position % 64);
  if ((word & bit) != 0) return false;
  word |= bit;
  if (touched_count_ < kTouchedMax) touched_[touched_count_] = position;
  ++touched_count_;
  return true;
}

void MemorySearch::forget_visits() {
  if (touched_count_ > kTouchedMax) {
    std::fill(visited_.begin(), visited_.end(), 0u);
  } else {
    for (std::size_t i = 0; i < touched_count_; ++i) visited_[touched_[i] / 64] = 0;
  }
  touched_count_ = 0;
}

void MemorySearch::seed_from_nearest_block() {
  const std::uint64_t block = scorer_.nearest_block(query_.values());
  const Pos begin = scorer_.blocks().begin(block);
  for (std::size_t i = 0; i < scorer_.blocks().rows(block); i += kSeedStride) {
    const Pos position = begin + static_cast<Pos>(i);
    if (first_visit(position)) add_waiting(position);
  }
  score_waiting();
}

// The vector will be wanted soon, and lies where nobody but us can foresee.
void MemorySearch::add_waiting(Pos position) {
  const Place place = place_of(position);
  waiting_[waiting_count_] = position;
  places_[waiting_count_++] = place;
  const std::byte* values = values_of(place);
  const std::size_t bytes = layout_.value_bytes();
  for (std::size_t offset = 0; offset < bytes; offset += kCacheLineBytes) ask_for(values + offset);
  ask_for(values + bytes - 1);
  if (layout_.row_params) ask_for(PageView(layout_, page_at(place.page)).params_at(place.slot));
}

void MemorySearch::ask_for_list(Pos position) const {
  const Place place = place_of(position);
  const std::span<const std::byte> list = PageView(layout_, page_at(place.page)).list(place.slot);
  if (is_damaged(list)) return;  // its expansion will say so
  for (std::size_t offset = 0; offset < list.size(); offset += kCacheLineBytes)
    __builtin_prefetch(list.data() + offset);
}

std::size_t MemorySearch::list_of_pool(std::size_t least) const {
  return params_.has_radius() ? std::max(least, params_.list_within(pool_.count_within(radius_))) : least;
}

// Expands the best that is not expanded yet until the first `list` of the pool are, and admitted, and it holds `due`.
Status MemorySearch::expand_all(std::size_t list, std::size_t due, const RowFilter* filter) {
  std::size_t left = 0;
  for (std::size_t next = 0;
       next < pool_.size() && (next < list_of_pool(list) + left / kLeftDivisor || pool_.size() < due);) {
    if (pool_[next].state == CandidateState::kExpanded) {
      ++next;
      continue;
    }
    const Pos position = pool_[next].position;
    const bool stays = admits(filter, position);
    if (next + 1 < pool_.size()) ask_for_list(pool_[next + 1].position);  // most likely the one after this
    if (stays) {
      pool_.set_state(next, CandidateState::kExpanded);
    } else {
      ++left;
      pool_.remove(next);
    }
    VECSTORE_TRY(gather_neighbours(position));
    next = std::min(next + (stays ? 1 : 0), score_waiting());
  }
  return Status::ok();
}

Status MemorySearch::gather_neighbours(Pos position) {
  const Place place = place_of(position);
  const PageView view(layout_, page_at(place.page));
  const std::span<const std::byte> list = view.list(place.slot);
  const std::size_t degree = is_damaged(list) ? kDamagedList
                                              : decode_neighbours(position, list, static_cast<Pos>(layout_.rows),
                                                                  waiting_.data(), waiting_.size());
  if (degree == kDamagedList) return damaged_list(*index_.graph, place.page + 1);
  ++stats_.pages_from_cache;
  for (std::size_t i = 0; i < degree; ++i)
    if (first_visit(waiting_[i])) add_waiting(waiting_[i]);
  return Status::ok();
}

// Offers what waits to the pool; returns the best place that one of them took, or the pool's capacity.
std::size_t MemorySearch::score_waiting() {
  stats_.exact_distances += static_cast<std::uint32_t>(waiting_count_);
  // A kernel call reaches 4 GiB from its base. Positions ascend, so one call nearly always does.
  for (std::size_t first = 0; first < waiting_count_;) first += score_within_reach(first);
  if (params_.contenders) offer_contenders();
  std::size_t best = pool_.capacity();
  for (std::size_t i = 0; i < waiting_count_; ++i) {
    if (distances_[i] > pool_.worst()) continue;
    best = std::min(best, pool_.insert({distances_[i], waiting_[i], CandidateState::kExact}));
  }
  waiting_count_ = 0;
  return best;
}

void MemorySearch::begin_contenders() {
  if (params_.contenders) contenders_->begin(params_.k);
}

// Offers the rows that wait, with their distances.
void MemorySearch::offer_contenders() {
  for (std::size_t i = 0; i < waiting_count_; ++i) {
    const PageView view(layout_, page_at(places_[i].page));
    const auto params = layout_.row_params ? view.params(places_[i].slot) : RowParams{};
    const auto interval = query_.interval(distances_[i], params);
    if (interval.nearest <= contenders_->limit() && admits(params_.filter, waiting_[i]))
      contenders_->offer(view.row_id(places_[i].slot), view.key(places_[i].slot), interval);
  }
}

std::size_t MemorySearch::score_within_reach(std::size_t first) {
  const std::byte* base = page_at(places_[first].page);
  std::size_t count = 0;
  for (; first + count < waiting_count_; ++count) {
    const auto offset = static_cast<std::uint64_t>(values_of(places_[first + count]) - base);
    if (offset > ~std::uint32_t{0}) break;
    offsets_[first + count] = static_cast<std::uint32_t>(offset);
  }
  const auto params_of = [this, first](std::size_t i) {
    const Place place = places_[first + i];
    return PageView(layout_, page_at(place.page)).params(place.slot);
  };
  query_.distances({base, 1, offsets_.data() + first, count}, params_of, integers_.data(), distances_.data() + first);
  return count;
}

std::span<const FoundRow> MemorySearch::answer(std::uint32_t k) {
  const std::size_t count = std::min<std::size_t>(k, pool_.size());
  for (std::size_t i = 0; i < count; ++i) {
    const Place place = place_of(pool_[i].position);
    const PageView view(layout_, page_at(place.page));
    results_[i] = {pool_[i].distance, pool_[i].position, view.row_id(place.slot), view.key(place.slot)};
  }
  std::sort(results_.begin(), results_.begin() + count);
  return {results_.data(), count};
}

}  // namespace vecstore
