// SPDX-License-Identifier: Apache-2.0
#include "graph/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compress/neighbour_list.h"
#include "engine/base/check.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRingBytes = 32 * 1024;  // of the reader's own, about
constexpr std::size_t kPoolMin = 100;  // the wide pool: candidates beyond L cost nothing until their page is here

std::size_t pool_size(const SearchParams& params) { return std::max<std::size_t>(kPoolMin, params.search_list); }

}  // namespace

std::uint64_t GraphSearcher::predict_bytes(const GraphLayout& layout, std::uint32_t code_bytes) {
  const std::uint64_t blocks = (layout.rows + kBlockRows - 1) / kBlockRows;
  const std::uint64_t frames = std::uint64_t{kReadsPerRound} * layout.page_bytes;
  const std::uint64_t scratch = layout.dim * 5ull + blocks * sizeof(RankedBlock) + kBlockRows * sizeof(float) +
                                layout.rows_per_page * 8ull + kDegreeMax * sizeof(Pos) + kResultsMax * sizeof(FoundRow);
  return frames + kRingBytes + predict_scorer_bytes(layout.rows, layout.dim, code_bytes) +
         (kSearchListMax + 1) * sizeof(PoolEntry) + PageSet::predict_bytes(layout.pages()) + scratch;
}

Result<std::unique_ptr<GraphSearcher>> GraphSearcher::create(const SearchIndex& index, IoBackend backend,
                                                             MemoryBudget& budget) {
  std::unique_ptr<GraphSearcher> searcher(new GraphSearcher);
  GraphSearcher& s = *searcher;
  s.index_ = index;
  s.layout_ = index.summary->layout;
  s.kernels_ = &kernels();
  const GraphLayout& layout = s.layout_;
  VECSTORE_CHECK(index.codes->rows == layout.rows);
  VECSTORE_ASSIGN(s.reader_, PageReader::create(*index.graph, {backend, kReadsPerRound}, budget));
  VECSTORE_ASSIGN(CodeScorer scorer, CodeScorer::create(*index.codes, budget));
  s.scorer_ = std::make_unique<CodeScorer>(std::move(scorer));
  VECSTORE_ASSIGN(s.pool_, CandidatePool::create(kSearchListMax, budget));
  VECSTORE_ASSIGN(s.seen_pages_, PageSet::create(layout.pages(), budget));
  VECSTORE_ASSIGN(s.query_, Buffer<float>::allocate(budget, layout.dim));
  VECSTORE_ASSIGN(s.query_codes_, Buffer<std::uint8_t>::allocate(budget, layout.dim));
  VECSTORE_ASSIGN(s.ranked_blocks_, Buffer<RankedBlock>::allocate(budget, index.codes->blocks));
  VECSTORE_ASSIGN(s.estimates_, Buffer<float>::allocate(budget, kBlockRows));
  VECSTORE_ASSIGN(s.exact_, Buffer<float>::allocate(budget, layout.rows_per_page));
  VECSTORE_ASSIGN(s.integers_, Buffer<std::uint32_t>::allocate(budget, layout.rows_per_page));
  VECSTORE_ASSIGN(s.neighbours_, Buffer<Pos>::allocate(budget, kDegreeMax));
  VECSTORE_ASSIGN(s.results_, Buffer<FoundRow>::allocate(budget, kResultsMax));
  s.batch_.reserve(kSearchListMax);
  s.to_read_.reserve(kReadsPerRound);
  return searcher;
}

Result<std::span<const FoundRow>> GraphSearcher::search(const VectorView& queries, std::uint64_t query,
                                                        const SearchParams& params, SearchStats& stats) {
  VECSTORE_CHECK(params.k >= 1 && params.k <= kResultsMax && params.search_list <= kSearchListMax);
  stats = {};
  results_size_ = 0;
  k_ = params.k;
  seen_pages_.clear();
  pool_.clear(pool_size(params));
  if (layout_.rows != 0) {
    prepare(queries, query);
    scan_blocks(params, stats);
    VECSTORE_TRY(settle(params, stats));
    // k rows must come back while there are as many. What was found stays; the search goes on wider.
    const std::uint64_t due = std::min<std::uint64_t>(params.k, layout_.rows);
    for (SearchParams wider = params; results_size_ < due && widen(wider);) {
      pool_.clear(pool_size(wider));
      scan_blocks(wider, stats);
      VECSTORE_TRY(settle(wider, stats));
    }
  }
  std::sort(results_.begin(), results_.begin() + results_size_);
  return std::span<const FoundRow>(results_.data(), results_size_);
}

// False: there is nothing wider.
bool GraphSearcher::widen(SearchParams& params) const {
  const std::uint64_t blocks = index_.codes->blocks;
  if (params.blocks >= blocks && params.search_list >= kSearchListMax) return false;
  params.blocks = static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, std::max(1u, params.blocks) * 2ull));
  params.search_list = std::min(kSearchListMax, std::max(params.k, params.search_list) * 2);
  return true;
}

void GraphSearcher::prepare(const VectorView& queries, std::uint64_t query) {
  const std::uint32_t dim = layout_.dim;
  widen_row(queries, query, query_.data());
  double norm2 = 0;
  for (const float x : query_) norm2 += double{x} * x;
  if (layout_.metric == Metric::kCosine) {
    const auto inverse = static_cast<float>(1.0 / std::sqrt(norm2));
    for (float& x : query_) x *= inverse;
    norm2 = 1.0;
  }
  query_norm2_ = static_cast<float>(norm2);
  double sum = 0;
  for (const float x : query_) sum += x;
  query_sum_ = static_cast<float>(sum);
  if (!layout_.row_params) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(queries.row(query));
    const std::uint8_t shift = layout_.dtype == DType::kI8 ? 0x80u : 0u;
    for (std::uint32_t i = 0; i < dim; ++i) query_codes_[i] = from[i] ^ shift;
  }
  scorer_->prepare(query_.data());
}

void GraphSearcher::scan_blocks(const SearchParams& params, SearchStats& stats) {
  const std::span<const float> keys = scorer_->block_keys();
  for (std::uint32_t b = 0; b < keys.size(); ++b) ranked_blocks_[b] = {keys[b], b};
  const std::size_t wanted = std::min<std::size_t>(std::max(1u, params.blocks), keys.size());
  const auto nearer = [](const RankedBlock& a, const RankedBlock& b) {
    return a.key != b.key ? a.key < b.key : a.block < b.block;
  };
  if (wanted < keys.size())
    std::nth_element(ranked_blocks_.begin(), ranked_blocks_.begin() + wanted, ranked_blocks_.end(), nearer);
  // Nearest first, so that the pool's threshold is tight from the start.
  std::sort(ranked_blocks_.begin(), ranked_blocks_.begin() + wanted, nearer);
  for (std::size_t i = 0; i < wanted; ++i) {
    const Pos first = ranked_blocks_[i].block * kBlockRows;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kBlockRows, layout_.rows - first));
    scorer_->score_run(first, count, estimates_.data());
    stats.codes_scored += static_cast<std::uint32_t>(count);
    offer_estimates(nullptr, first, count);
  }
}

// Turns the keys in estimates_ into distances and offers those candidates whose page has not been seen.
void GraphSearcher::offer_estimates(const Pos* positions, Pos first, std::size_t count) {
  const float shift = layout_.metric == Metric::kInnerProduct ? 0.0f : query_norm2_;
  float worst = pool_.worst();
  for (std::size_t i = 0; i < count; ++i) {
    const float distance = estimates_[i] + shift;
    if (distance > worst) continue;
    const Pos position = positions != nullptr ? positions[i] : first + static_cast<Pos>(i);
    if (seen_pages_.contains(layout_.page_of(position))) continue;
    pool_.insert({distance, position, CandidateState::kEstimated});
    worst = pool_.worst();
  }
}

Status GraphSearcher::settle(const SearchParams& params, SearchStats& stats) {
  while (true) {
    while (take_cached(stats)) VECSTORE_TRY(take_pages(batch_, stats));
    const std::size_t count = choose_reads(params);
    if (count == 0) return Status::ok();
    VECSTORE_TRY(read_round(count, stats));
  }
}

// Gathers in batch_ the cached pages on which candidates of the pool lie. False: there are none.
bool GraphSearcher::take_cached(SearchStats& stats) {
  batch_.clear();
  if (index_.cache->pages() == 0) return false;
  for (std::size_t i = 0; i < pool_.size(); ++i) {
    if (pool_[i].state != CandidateState::kEstimated) continue;
    const std::uint64_t page = layout_.page_of(pool_[i].position);
    const std::byte* bytes = index_.cache->find(page);
    if (bytes == nullptr || !seen_pages_.insert(page)) continue;
    batch_.push_back({page, bytes});
  }
  stats.pages_from_cache += static_cast<std::uint32_t>(batch_.size());
  return !batch_.empty();
}

// Pages that have arrived: their estimates give way to exact distances, then what is in the pool is expanded.
Status GraphSearcher::take_pages(std::span<const Present> pages, SearchStats& stats) {
  pool_.remove_if([this](const PoolEntry& entry) {
    return entry.state == CandidateState::kEstimated && seen_pages_.contains(layout_.page_of(entry.position));
  });
  for (const Present& page : pages) take_records(page, stats);
  return expand_present(pages, stats);
}

void GraphSearcher::take_records(const Present& page, SearchStats& stats) {
  const PageView view(layout_, page.bytes);
  const std::uint32_t rows = layout_.rows_on(page.page);
  const Pos first = layout_.first_on(page.page);
  exact_distances(view, rows);
  stats.exact_distances += rows;
  for (std::uint32_t slot = 0; slot < rows; ++slot) {
    pool_.insert({exact_[slot], first + slot, CandidateState::kExact});
    offer_result({exact_[slot], first + slot, view.row_id(slot)});
  }
}

void GraphSearcher::exact_distances(const PageView& view, std::uint32_t rows) {
  const Rows records{view.codes(), layout_.dim, nullptr, rows};
  if (!layout_.row_params) {
    kernels_->l2_u8(query_codes_.data(), records, layout_.dim, integers_.data());
    for (std::uint32_t slot = 0; slot < rows; ++slot) exact_[slot] = static_cast<float>(integers_[slot]);
    return;
  }
  kernels_->dot_f32_u8(query_.data(), records, layout_.dim, exact_.data());
  const bool inner_product = layout_.metric == Metric::kInnerProduct;
  for (std::uint32_t slot = 0; slot < rows; ++slot) {
    const RowParams params = view.params(slot);
    const float dot = params.scale * exact_[slot] + params.offset * query_sum_;
    exact_[slot] = inner_product ? -2.0f * dot : query_norm2_ + params.norm2 - 2.0f * dot;
  }
}

Status GraphSearcher::expand_present(std::span<const Present> pages, SearchStats& stats) {
  std::size_t next = 0;
  while (next < pool_.size()) {
    if (pool_[next].state != CandidateState::kExact) {
      ++next;
      continue;
    }
    const Pos position = pool_[next].position;
    pool_.set_state(next, CandidateState::kExpanded);
    const std::uint64_t page = layout_.page_of(position);
    const auto present = std::find_if(pages.begin(), pages.end(), [page](const Present& p) { return p.page == page; });
    VECSTORE_CHECK(present != pages.end());  // a record enters the pool with its page and is expanded before it leaves
    VECSTORE_TRY(expand(position, present->bytes, stats));
    // New candidates are estimates and wait for their pages; exact ones only shifted, so the walk goes on from the
    // start of what may have moved.
    ++next;
  }
  return Status::ok();
}

Status GraphSearcher::expand(Pos position, const std::byte* page, SearchStats& stats) {
  const PageView view(layout_, page);
  const std::span<const std::byte> list = view.list(layout_.slot_of(position));
  const std::size_t degree = is_damaged(list) ? kDamagedList
                                              : decode_neighbours(position, list, static_cast<Pos>(layout_.rows),
                                                                  neighbours_.data(), neighbours_.size());
  if (degree == kDamagedList) {
    return Status(Code::kCorrupt, "a neighbour list is damaged; run 'vecstore verify' and restore or rebuild")
        .about(index_.graph->path())
        .at(Detail::kPage, layout_.page_of(position));
  }
  scorer_->score_positions(neighbours_.data(), degree, estimates_.data());
  stats.codes_scored += static_cast<std::uint32_t>(degree);
  offer_estimates(neighbours_.data(), 0, degree);
  return Status::ok();
}

// Puts the pages worth a read into to_read_, best candidate first.
std::size_t GraphSearcher::choose_reads(const SearchParams& params) {
  to_read_.clear();
  const float kth = kth_distance();
  const std::size_t ranked = std::min<std::size_t>(params.search_list, pool_.size());
  for (std::size_t i = 0; i < ranked && to_read_.size() < kReadsPerRound; ++i) {
    const PoolEntry& entry = pool_[i];
    if (entry.state != CandidateState::kEstimated) continue;
    if (entry.distance - params.bound * standard_error(entry.distance) > kth) continue;
    const std::uint64_t page = layout_.page_of(entry.position);
    if (seen_pages_.insert(page)) to_read_.push_back(page);
  }
  return to_read_.size();
}

Status GraphSearcher::read_round(std::size_t count, SearchStats& stats) {
  VECSTORE_TRY(reader_->submit(std::span(to_read_).first(count)));
  VECSTORE_ASSIGN(const std::span<const ArrivedPage> arrived, reader_->wait(count));
  stats.reads += static_cast<std::uint32_t>(count);
  stats.bytes += static_cast<std::uint32_t>(count * layout_.page_bytes);
  ++stats.rounds;
  batch_.clear();
  for (const std::uint64_t page : to_read_) {
    const auto at =
        std::find_if(arrived.begin(), arrived.end(), [page](const ArrivedPage& a) { return a.page == page; });
    VECSTORE_CHECK(at != arrived.end());
    batch_.push_back({page, at->bytes});
  }
  const Status taken = take_pages(batch_, stats);
  for (const ArrivedPage& page : arrived) reader_->release(page.frame);
  return taken;
}

float GraphSearcher::kth_distance() const {
  return results_size_ < k_ ? std::numeric_limits<float>::infinity() : results_[0].distance;
}

float GraphSearcher::standard_error(float distance) const {
  const float slope = index_.codes->model.error_slope;
  if (layout_.metric == Metric::kInnerProduct) return slope * std::sqrt(query_norm2_);
  return slope * std::sqrt(std::max(0.0f, distance));
}

void GraphSearcher::offer_result(const FoundRow& found) {
  FoundRow* low = results_.data();
  if (results_size_ < k_) {
    low[results_size_++] = found;
    std::push_heap(low, low + results_size_);
  } else if (found < low[0]) {
    std::pop_heap(low, low + results_size_);
    low[results_size_ - 1] = found;
    std::push_heap(low, low + results_size_);
  }
}

}  // namespace vecstore
