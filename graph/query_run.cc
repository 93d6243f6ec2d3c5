// SPDX-License-Identifier: Apache-2.0
#include "graph/query_run.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "compress/neighbour_list.h"

namespace vecstore {
namespace {

// How far beyond L a round reaches: a fifth of L, or two.
constexpr std::size_t kReachDivisor = 5;
constexpr std::size_t kReachMin = 2;
constexpr std::size_t kLeftDivisor = 3;    // L grows by one for so many rows that left its first places
constexpr std::size_t kRefillDivisor = 4;  // the pool is filled anew when so great a part of it has left
constexpr std::size_t kPoolMin = 100;      // the wide pool: candidates beyond L cost nothing until their page is here
constexpr std::size_t kCachedReach = 3;    // times L: cached pages cost no read, but time (NOTES)
// The first reads are chosen early (NOTES: a fifth off the latency of a lone query): after the nearest blocks / 4,
// those of at most so many pages on which one of the best L / 2 lies. Later candidates hardly push these out of the
// first L.
constexpr std::size_t kEarlyBlocksDivisor = 4;
constexpr std::size_t kEarlyRankDivisor = 2;
constexpr std::size_t kEarlyReads = 4;
constexpr std::size_t kBesideNumerator = 3;  // 3/2 L: candidates whose page comes along beside one that is wanted
constexpr std::size_t kBesideDenominator = 2;
constexpr std::size_t kScannedMax = kSearchListMax + 2 * kBlockRows + 1;

// The requests that bring `pages`.
std::uint32_t requests_for(std::span<const std::uint64_t> pages) {
  static_assert(kPagesPerRound <= kPagesPerRequest, "or neighbours may need two requests");
  std::array<std::uint64_t, kPagesPerRound> sorted;
  VECSTORE_CHECK(pages.size() <= sorted.size());
  std::copy(pages.begin(), pages.end(), sorted.begin());
  std::sort(sorted.begin(), sorted.begin() + pages.size());
  std::uint32_t requests = 0;
  for (std::size_t i = 0; i < pages.size(); ++i) requests += i == 0 || sorted[i] != sorted[i - 1] + 1 ? 1 : 0;
  return requests;
}

std::size_t pool_size(const SearchParams& params) {
  const std::size_t list = params.has_radius() ? params.list_within(params.k) : 0;
  return std::max<std::size_t>({kPoolMin, params.search_list, list});
}

}  // namespace

Status damaged_list(const PageFile& graph, std::uint64_t page) {
  return Status(Code::kCorrupt, "a neighbour list is damaged; run 'vecstore verify' and restore or rebuild")
      .about(graph.path())
      .at(Detail::kPage, page);
}

std::uint64_t QueryScratch::predict_bytes(const GraphLayout& layout, const CodeForm& form) {
  return ScorerScratch::predict_bytes(layout.dim, form.code_bytes) +
         (form.blocks + groups_of(form.blocks)) * sizeof(CodeScorer::RankedBlock) + kBlockRows * sizeof(float) +
         kScannedMax * sizeof(PoolEntry) + layout.rows_per_page * 8ull + kDegreeMax * sizeof(Pos);
}

Result<QueryScratch> QueryScratch::create(const SearchIndex& index, MemoryBudget& budget) {
  const GraphLayout& layout = index.summary->layout;
  VECSTORE_ASSIGN(ScorerScratch scorer, ScorerScratch::create(*index.codes, budget));
  QueryScratch scratch(std::move(scorer));
  VECSTORE_ASSIGN(scratch.ranked_blocks_, Buffer<CodeScorer::RankedBlock>::allocate(
                                              budget, index.codes->blocks.count() + index.codes->groups.count()));
  VECSTORE_ASSIGN(scratch.estimates_, Buffer<float>::allocate(budget, kBlockRows));
  VECSTORE_ASSIGN(scratch.scanned_, Buffer<PoolEntry>::allocate(budget, kScannedMax));
  VECSTORE_ASSIGN(scratch.exact_, Buffer<float>::allocate(budget, layout.rows_per_page));
  VECSTORE_ASSIGN(scratch.integers_, Buffer<std::uint32_t>::allocate(budget, layout.rows_per_page));
  VECSTORE_ASSIGN(scratch.neighbours_, Buffer<Pos>::allocate(budget, kDegreeMax));
  return scratch;
}

std::uint64_t QueryRun::predict_bytes(const GraphLayout& layout, const CodeForm& form) {
  return CodeScorer::predict_bytes(layout.dim, form) + (kSearchListMax + 1) * sizeof(PoolEntry) +
         PageSet::predict_bytes(layout.pages()) + PreparedQuery::predict_bytes(layout) +
         kResultsMax * sizeof(FoundRow) + (rounds_rows(layout) ? Contenders::predict_bytes() : 0);
}

Result<QueryRun> QueryRun::create(const SearchIndex& index, MemoryBudget& budget) {
  VECSTORE_CHECK(index.codes->rows == index.summary->layout.rows);
  VECSTORE_ASSIGN(PreparedQuery query, PreparedQuery::create(index.summary->layout, index.centre, budget));
  VECSTORE_ASSIGN(CodeScorer scorer, CodeScorer::create(*index.codes, budget));
  QueryRun run(index, std::move(query), std::move(scorer));
  VECSTORE_ASSIGN(run.pool_, CandidatePool::create(kSearchListMax, budget));
  VECSTORE_ASSIGN(run.seen_pages_, PageSet::create(run.layout_.pages(), budget));
  VECSTORE_ASSIGN(run.results_, Buffer<FoundRow>::allocate(budget, kResultsMax));
  if (rounds_rows(run.layout_)) {
    VECSTORE_ASSIGN(run.contenders_, Contenders::create(budget));
  }
  run.wanted_.reserve(kPagesPerRound);
  return run;
}

void QueryRun::start(const VectorView& queries, std::uint64_t query, const SearchParams& params,
                     QueryScratch& scratch) {
  VECSTORE_CHECK(params.k >= 1 && params.k <= kResultsMax && params.search_list <= kSearchListMax);
  VECSTORE_CHECK(!params.has_radius() || params.near_list <= params.search_list);
  params_ = params;
  stats_ = {};
  results_size_ = 0;
  params_.contenders = params_.contenders && contenders_.has_value();
  if (params_.contenders) contenders_->begin(params_.k);
  left_within_ = 0;
  left_since_scan_ = 0;
  wanted_.clear();
  wanted_early_ = 0;
  seen_pages_.clear();
  pool_.clear(pool_size(params_));
  if (layout_.rows == 0) return;
  query_.prepare(queries, query);
  radius_ = static_cast<float>(params_.radius - query_.constant());
  scorer_.prepare(query_.values(), scratch.scorer_);
  begin_scan(scratch);
  // Where pages are cached, what lies on them comes first and costs no read, so no read is chosen before.
  if (index_.cache->pages() != 0) return;
  scan_blocks(scratch.scan_.blocks / kEarlyBlocksDivisor, scratch);
  want_pages(0, within() / kEarlyRankDivisor, kEarlyReads);
  want_beside(0);
  wanted_early_ = wanted_.size();
}

Status QueryRun::look_on(QueryScratch& scratch) {
  if (layout_.rows == 0) return Status::ok();
  scan_blocks(scratch.scan_.blocks, scratch);
  return advance(scratch);
}

Status QueryRun::resume(std::span<const PresentPage> pages, QueryScratch& scratch) {
  VECSTORE_CHECK(pages.size() == wanted_.size());
  const std::span<const std::uint64_t> wanted(wanted_);
  stats_.requests += requests_for(wanted.first(wanted_early_)) + requests_for(wanted.subspan(wanted_early_));
  stats_.bytes += static_cast<std::uint32_t>(pages.size() * layout_.page_bytes);
  ++stats_.rounds;
  wanted_.clear();
  wanted_early_ = 0;
  VECSTORE_TRY(take_pages(pages, scratch));
  for (const PresentPage& page : pages) index_.cache->offer(page.page, page.bytes);
  return advance(scratch);
}

std::span<const FoundRow> QueryRun::answer() {
  std::sort(results_.begin(), results_.begin() + results_size_);
  return {results_.data(), results_size_};
}

// Goes on until a page must be read or nothing is left to do.
Status QueryRun::advance(QueryScratch& scratch) {
  const std::uint64_t rows = params_.filter == nullptr ? layout_.rows : params_.filter->rows();
  const std::uint64_t due = std::min<std::uint64_t>(params_.has_radius() ? params_.near_k : params_.k, rows);
  std::size_t seen_at_widest = ~std::size_t{0};  // what brings no further page when nothing is wider will bring none
  while (true) {
    while (find_cached(scratch)) {
      const auto cached = std::span<const PresentPage>(scratch.cached_).first(scratch.cached_count_);
      const Status taken = take_pages(cached, scratch);
      for (const PresentPage& page : cached) index_.cache->unpin(page.bytes);
      VECSTORE_TRY(taken);
      if (left_since_scan_ > pool_.capacity() / kRefillDivisor) refill(scratch);
    }
    if (left_since_scan_ > pool_.capacity() / kRefillDivisor) {
      refill(scratch);
      continue;
    }
    choose_reads();
    // k rows must come back while there are as many. What was found stays; the search goes on wider, and at last
    // through all that it has not seen, the best first.
    if (!wanted_.empty() || results_size_ >= due) return Status::ok();
    const bool wider = widen();
    begin_scan(scratch);
    scan_blocks(scratch.scan_.blocks, scratch);
    if (wider) continue;
    if (pool_.size() == 0 || seen_pages_.full() || seen_pages_.size() == seen_at_widest) return Status::ok();
    seen_at_widest = seen_pages_.size();
  }
}

// False: there is nothing wider.
bool QueryRun::widen() {
  const std::uint64_t blocks = index_.codes->blocks.count();
  if (params_.blocks >= blocks && params_.search_list >= kSearchListMax) return false;
  params_.blocks = static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, std::max(1u, params_.blocks) * 2ull));
  params_.search_list = std::min(kSearchListMax, std::max(params_.k, params_.search_list) * 2);
  params_.near_list = std::min(params_.search_list, std::max(params_.near_k, params_.near_list) * 2);
  return true;
}

// The nearest block comes first, so that the threshold is tight from the start.
void QueryRun::begin_scan(QueryScratch& scratch) {
  const std::size_t blocks = scorer_.nearest_blocks(std::max(1u, params_.blocks), scratch.ranked_blocks_.span());
  scratch.scan_ = {blocks, 0, 0, std::numeric_limits<float>::infinity()};
}

// Goes on with the scan up to the `end`-th nearest block, and fills the pool anew with the best.
void QueryRun::scan_blocks(std::size_t end, QueryScratch& scratch) {
  collect_blocks(end, scratch);
  auto& scan = scratch.scan_;
  pool_.clear(pool_size(params_));
  scan.collected = pool_.keep_best(scratch.scanned_.span().first(scan.collected));
  pool_.fill(scratch.scanned_.span().first(scan.collected));
}

// Scans anew, and offers the pool what lies on pages that have not been taken: rows that left it had pushed others out.
void QueryRun::refill(QueryScratch& scratch) {
  begin_scan(scratch);
  collect_blocks(scratch.scan_.blocks, scratch);
  const std::size_t kept = pool_.keep_best(scratch.scanned_.span().first(scratch.scan_.collected));
  for (std::size_t i = 0; i < kept; ++i) pool_.insert(scratch.scanned_[i]);
  left_since_scan_ = 0;
}

void QueryRun::collect_blocks(std::size_t end, QueryScratch& scratch) {
  auto& scan = scratch.scan_;
  const Blocks& blocks = index_.codes->blocks;
  const auto first_of = [&](std::size_t i) { return blocks.begin(scratch.ranked_blocks_[i].block); };
  const auto count_of = [&](std::size_t i) { return blocks.rows(scratch.ranked_blocks_[i].block); };
  for (; scan.done < end; ++scan.done) {
    const std::size_t i = scan.done;
    if (i + 1 < scan.blocks) scorer_.prefetch_run(first_of(i + 1), count_of(i + 1));
    scorer_.score_run(first_of(i), count_of(i), scratch.estimates_.data());
    stats_.codes_scored += static_cast<std::uint32_t>(count_of(i));
    collect_block(first_of(i), count_of(i), scratch);
  }
}

// Adds those rows of a block to what was collected that are no farther than the worst. Cuts back when there is no room
// for another block, and then knows a lower worst. Rows whose page has been taken are left out. Pages that are only
// wanted keep theirs, which rank among the others until the page is here.
void QueryRun::collect_block(Pos first, std::size_t count, QueryScratch& scratch) {
  auto& scan = scratch.scan_;
  const float shift = scorer_.key_shift();
  const float* estimates = scratch.estimates_.data();
  PoolEntry* scanned = scratch.scanned_.data();
  const std::size_t before = scan.collected;
  // Without a branch on what is near: one row in twenty is, which no processor can foresee.
  for (std::size_t i = 0; i < count; ++i) {
    const float distance = estimates[i] + shift;
    scanned[scan.collected] = {distance, first + static_cast<Pos>(i), CandidateState::kEstimated};
    scan.collected += distance <= scan.worst ? 1 : 0;
  }
  if (seen_pages_.size() > wanted_.size()) {
    const auto taken = [this](const PoolEntry& e) { return seen_pages_.contains(layout_.page_of(e.position)); };
    scan.collected =
        static_cast<std::size_t>(std::remove_if(scanned + before, scanned + scan.collected, taken) - scanned);
  }
  if (scan.collected < pool_.capacity() + kBlockRows) return;
  scan.collected = pool_.keep_best({scanned, scan.collected});
  scan.worst = scanned[scan.collected - 1].distance;
}

// Turns keys into distances and offers those candidates whose page has not been seen.
void QueryRun::offer_estimates(const float* estimates, const Pos* positions, std::size_t count) {
  const float shift = scorer_.key_shift();
  float worst = pool_.worst();
  for (std::size_t i = 0; i < count; ++i) {
    const float distance = estimates[i] + shift;
    if (distance > worst) continue;
    if (seen_pages_.size() != 0 && seen_pages_.contains(layout_.page_of(positions[i]))) continue;
    pool_.insert({distance, positions[i], CandidateState::kEstimated});
    worst = pool_.worst();
  }
}

// Gathers the cached pages on which candidates that rank within a few L lie, pinned. False: there are none.
bool QueryRun::find_cached(QueryScratch& scratch) {
  scratch.cached_count_ = 0;
  if (index_.cache->pages() == 0) return false;
  const std::size_t reach = std::min(pool_.size(), kCachedReach * within());
  for (std::size_t i = 0; i < reach && scratch.cached_count_ < kCachedAtOnce; ++i) {
    if (pool_[i].state != CandidateState::kEstimated) continue;
    const std::uint64_t page = layout_.page_of(pool_[i].position);
    if (seen_pages_.contains(page)) continue;
    const std::byte* bytes = index_.cache->pin(page);
    if (bytes == nullptr) continue;
    if (!seen_pages_.insert(page)) {
      index_.cache->unpin(bytes);
      continue;
    }
    scratch.cached_[scratch.cached_count_++] = {page, bytes};
  }
  stats_.pages_from_cache += static_cast<std::uint32_t>(scratch.cached_count_);
  return scratch.cached_count_ != 0;
}

// Pages that have arrived: their estimates give way to exact distances, then what is in the pool is expanded.
Status QueryRun::take_pages(std::span<const PresentPage> pages, QueryScratch& scratch) {
  pool_.remove_if([this](const PoolEntry& entry) {
    return entry.state == CandidateState::kEstimated && seen_pages_.contains(layout_.page_of(entry.position));
  });
  for (const PresentPage& page : pages) take_records(page, scratch);
  return expand_present(pages, scratch);
}

void QueryRun::take_records(const PresentPage& page, QueryScratch& scratch) {
  const PageView view(layout_, page.bytes);
  const std::uint32_t rows = layout_.rows_on(page.page);
  const Pos first = layout_.first_on(page.page);
  query_.distances(
      {view.values(), layout_.value_bytes(), nullptr, rows},
      [&view](std::size_t slot) { return view.params(static_cast<std::uint32_t>(slot)); }, scratch.integers_.data(),
      scratch.exact_.data());
  stats_.exact_distances += rows;
  for (std::uint32_t slot = 0; slot < rows; ++slot) {
    pool_.insert({scratch.exact_[slot], first + slot, CandidateState::kExact});
    offer_result(view, slot, {scratch.exact_[slot], first + slot, view.row_id(slot)});
    if (params_.contenders) offer_contender(view, slot, scratch.exact_[slot]);
  }
}

Status QueryRun::expand_present(std::span<const PresentPage> pages, QueryScratch& scratch) {
  std::size_t next = 0;
  while (next < pool_.size()) {
    if (pool_[next].state != CandidateState::kExact) {
      ++next;
      continue;
    }
    const Pos position = pool_[next].position;
    const std::uint64_t page = layout_.page_of(position);
    const auto present =
        std::find_if(pages.begin(), pages.end(), [page](const PresentPage& p) { return p.page == page; });
    VECSTORE_CHECK(present != pages.end());  // a record enters the pool with its page and is expanded before it leaves
    const bool stays = admits(PageView(layout_, present->bytes).row_id(layout_.slot_of(position)));
    if (stays) {
      pool_.set_state(next, CandidateState::kExpanded);
    } else {
      if (next < within()) ++left_within_;
      ++left_since_scan_;
      pool_.remove(next);
    }
    VECSTORE_TRY(expand(position, present->bytes, scratch));
    // New candidates are estimates and wait for their pages. Exact ones only shifted, so the walk goes on from the
    // start of what may have moved.
    if (stays) ++next;
  }
  return Status::ok();
}

Status QueryRun::expand(Pos position, const std::byte* page, QueryScratch& scratch) {
  const PageView view(layout_, page);
  const std::span<const std::byte> list = view.list(layout_.slot_of(position));
  const std::size_t degree = is_damaged(list)
                                 ? kDamagedList
                                 : decode_neighbours(position, list, static_cast<Pos>(layout_.rows),
                                                     scratch.neighbours_.data(), scratch.neighbours_.size());
  if (degree == kDamagedList) return damaged_list(*index_.graph, layout_.page_of(position));
  scorer_.score_positions(scratch.neighbours_.data(), degree, scratch.estimates_.data());
  stats_.codes_scored += static_cast<std::uint32_t>(degree);
  offer_estimates(scratch.estimates_.data(), scratch.neighbours_.data(), degree);
  return Status::ok();
}

// The pages worth a read, best candidate first. Only those within L make a round worth its wait. A round that takes
// place brings along what ranks a little further, which mostly would have been the next round's (NOTES: a fifth fewer
// rounds for the same reads).
void QueryRun::choose_reads() {
  const std::size_t within = this->within();
  want_pages(0, within, kReadsPerRound);
  const std::size_t reach = std::max(within / kReachDivisor, std::min<std::size_t>(within / 3, kReachMin));
  if (wanted_.empty()) return;
  want_pages(within, within + reach, kReadsPerRound);
  want_beside(wanted_early_);
}

// Names pages of the candidates that rank from `begin` to before `end`.
void QueryRun::want_pages(std::size_t begin, std::size_t end, std::size_t pages_max) {
  const float reach_of_reads = this->reach_of_reads();
  end = std::min(end, pool_.size());
  // Copies of what lies within a radius have estimates that say so of none of them. So the next beyond it are looked
  // at, for as long as they bring some.
  const bool probes = begin == 0 && params_.has_radius() && pool_.count_within(radius_) >= params_.near_k;
  std::size_t left_to_probe = probes ? SearchParams::kBeyondRadius : 0;
  for (std::size_t i = begin; i < end && wanted_.size() < pages_max; ++i) {
    const PoolEntry& entry = pool_[i];
    if (!worth_a_read(entry, reach_of_reads)) {
      if (left_to_probe == 0 || entry.state != CandidateState::kEstimated) continue;
      --left_to_probe;
    }
    const std::uint64_t page = layout_.page_of(entry.position);
    if (seen_pages_.insert(page)) wanted_.push_back(page);
  }
}

// What comes along with the pages that are wanted from `first` on.
void QueryRun::want_beside(std::size_t first) {
  const auto wanted = [&](std::uint64_t page) {
    return std::find(wanted_.begin() + first, wanted_.end(), page) != wanted_.end();
  };
  const auto add = [&](std::uint64_t page) {
    if (wanted_.size() < kPagesPerRound && seen_pages_.insert(page)) wanted_.push_back(page);
  };
  const float reach_of_reads = this->reach_of_reads();
  const std::size_t reach = std::min(pool_.size(), within() * kBesideNumerator / kBesideDenominator);
  for (std::size_t i = 0; i < reach && wanted_.size() < kPagesPerRound; ++i) {
    const std::uint64_t page = layout_.page_of(pool_[i].position);
    if (seen_pages_.contains(page) || !worth_a_read(pool_[i], reach_of_reads)) continue;
    if (wanted(page - 1) || wanted(page + 1)) add(page);
  }
  const std::size_t end = wanted_.size();
  for (std::size_t i = first; i < end; ++i)
    if (wanted(wanted_[i] + 2)) add(wanted_[i] + 1);
}

bool QueryRun::worth_a_read(const PoolEntry& entry, float reach) const {
  // Written so that what is no number is read rather than waited for without end.
  const bool beyond = entry.distance - params_.bound * standard_error(entry) > reach;
  return entry.state == CandidateState::kEstimated && !beyond;
}

std::size_t QueryRun::within() const {
  const std::size_t list =
      params_.has_radius() ? params_.list_within(pool_.count_within(radius_)) : params_.search_list;
  return std::min<std::size_t>(kSearchListMax, list + left_within_ / kLeftDivisor);
}

// The k-th. Within a radius no farther than that, once as many as near_k are known that lead there.
float QueryRun::reach_of_reads() const {
  const float kth = results_size_ < params_.k ? std::numeric_limits<float>::infinity() : results_[0].distance;
  if (!params_.has_radius()) return kth;
  std::size_t known = 0;
  for (std::size_t i = 0; i < pool_.size(); ++i)
    if (pool_[i].state != CandidateState::kEstimated && ++known == params_.near_k)
      return std::min(kth, std::max(radius_, pool_[i].distance));
  return kth;
}

float QueryRun::standard_error(const PoolEntry& entry) const {
  const float slope = index_.codes->model.error_slope * index_.codes->error_scale(entry.position);
  if (layout_.metric == Metric::kInnerProduct) return slope * std::sqrt(query_.norm2());
  return slope * std::sqrt(std::max(0.0f, entry.distance));
}

void QueryRun::offer_contender(const PageView& view, std::uint32_t slot, float distance) {
  const auto interval = query_.interval(distance, layout_.row_params ? view.params(slot) : RowParams{});
  const RowId row = view.row_id(slot);
  if (interval.nearest <= contenders_->limit() && admits(row)) contenders_->offer(row, view.key(slot), interval);
}

std::span<const Contender> QueryRun::contenders() {
  return params_.contenders ? contenders_->sorted() : std::span<const Contender>();
}

void QueryRun::offer_result(const PageView& view, std::uint32_t slot, FoundRow found) {
  FoundRow* low = results_.data();
  const bool full = results_size_ == params_.k;
  if ((full && !(found < low[0])) || !admits(found.row)) return;
  found.key = view.key(slot);
  if (full) std::pop_heap(low, low + results_size_--);
  low[results_size_++] = found;
  std::push_heap(low, low + results_size_);
}

}  // namespace vecstore
