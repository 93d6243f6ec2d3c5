// SPDX-License-Identifier: Apache-2.0
//
// One query in progress: a state machine that says which pages it wants and goes on when they are there. It does no
// I/O.
//
// The scan of the nearest blocks' codes fills a pool of the best candidates by estimated distance. A round reads the
// pages of the best candidates that rank within L and that the bound still allows. Every record of a page that has
// arrived gets its exact distance. Those that enter the pool have their neighbours scored at once, because that costs
// no read. Cached pages count as arrived when a candidate within three L lies on them. The query is done when the first
// L of the pool are settled.
//
// So that the disk works during the scan, the first pages are named when the nearest blocks have been scanned.
//
// Pages side by side are read with one request, which costs a disk a fifth more for each further page. So a page beside
// one that is wanted comes along when a candidate of the first 3/2 L lies on it. A page comes along, too, when it is
// the only one between two.
//
// Deterministic: the pages of a round are taken together, in the order in which they were wanted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"
#include "compress/code_scorer.h"
#include "graph/candidate_pool.h"
#include "graph/contenders.h"
#include "graph/format.h"
#include "graph/page_set.h"
#include "graph/prepared_query.h"
#include "graph/search_types.h"
#include "pagestore/page_cache.h"
#include "pagestore/page_file.h"

namespace vecstore {

// A page in memory, its checksum verified.
struct PresentPage {
  std::uint64_t page = 0;
  const std::byte* bytes = nullptr;
};

// The error of a neighbour list that cannot be: kCorrupt naming file and page.
Status damaged_list(const PageFile& graph, std::uint64_t page);

// Cached pages taken at a time, and pinned meanwhile.
inline constexpr std::size_t kCachedAtOnce = 128;

// What a step of a query needs and no query keeps; the queries of one thread share it.
class QueryScratch {
 public:
  // Errors: kMemoryBudget.
  static Result<QueryScratch> create(const SearchIndex& index, MemoryBudget& budget);
  static std::uint64_t predict_bytes(const GraphLayout& layout, const CodeForm& form);

 private:
  friend class QueryRun;
  explicit QueryScratch(ScorerScratch scorer) : scorer_(std::move(scorer)) {}

  // A scan under way.
  struct Scan {
    std::size_t blocks = 0;     // to scan, ranked_blocks_[0 … blocks)
    std::size_t done = 0;       // blocks of these that were scanned
    std::size_t collected = 0;  // in scanned_
    float worst = 0;            // what is farther need not be collected
  };

  ScorerScratch scorer_;
  Buffer<CodeScorer::RankedBlock> ranked_blocks_;  // [blocks + groups] the nearest first
  Scan scan_;
  Buffer<float> estimates_;         // [kBlockRows]
  Buffer<PoolEntry> scanned_;       // [kSearchListMax + 2 kBlockRows + 1] the best of the blocks scanned so far
  Buffer<float> exact_;             // [rows_per_page]
  Buffer<std::uint32_t> integers_;  // [rows_per_page]
  Buffer<Pos> neighbours_;          // [kDegreeMax]
  std::array<PresentPage, kCachedAtOnce> cached_;
  std::size_t cached_count_ = 0;
};

// start() and look_on(), then resume() with the pages wanted() for as long as there are any; then answer(). After an
// error, start() again.
class QueryRun {
 public:
  // Allocates everything any query needs. Errors: kMemoryBudget.
  static Result<QueryRun> create(const SearchIndex& index, MemoryBudget& budget);
  static std::uint64_t predict_bytes(const GraphLayout& layout, const CodeForm& form);

  // query: one row of the input's dtype (f16 and f32 are interchangeable), finite, under cosine not zero.
  void start(const VectorView& queries, std::uint64_t query, const SearchParams& params, QueryScratch& scratch);
  // At once after start(), with the same scratch: does the rest of the scan, and adds to what is wanted(). Errors:
  // kCorrupt naming the page.
  Status look_on(QueryScratch& scratch);
  // `pages`: those wanted, in that order; needed during the call only. Errors: as of look_on().
  Status resume(std::span<const PresentPage> pages, QueryScratch& scratch);

  // The pages to read, at most kPagesPerRound. None, after look_on(): the query is done.
  std::span<const std::uint64_t> wanted() const { return wanted_; }
  // Sorted; fewer than k when there are fewer rows that may be in it. Valid until the next start().
  std::span<const FoundRow> answer();
  // What the answer's distances lack, as PreparedQuery has it.
  double constant() const { return query_.constant(); }
  // With SearchParams::contenders, sorted; answer() first.
  std::span<const Contender> contenders();
  const QueryStats& stats() const { return stats_; }

 private:
  QueryRun(const SearchIndex& index, PreparedQuery query, CodeScorer scorer)
      : index_(index), layout_(index.summary->layout), query_(std::move(query)), scorer_(std::move(scorer)) {}
  Status advance(QueryScratch& scratch);
  bool widen();
  void begin_scan(QueryScratch& scratch);
  void scan_blocks(std::size_t end, QueryScratch& scratch);
  void collect_block(Pos first, std::size_t count, QueryScratch& scratch);
  void offer_estimates(const float* estimates, const Pos* positions, std::size_t count);
  bool find_cached(QueryScratch& scratch);
  Status take_pages(std::span<const PresentPage> pages, QueryScratch& scratch);
  void take_records(const PresentPage& page, QueryScratch& scratch);
  Status expand_present(std::span<const PresentPage> pages, QueryScratch& scratch);
  Status expand(Pos position, const std::byte* page, QueryScratch& scratch);
  bool admits(RowId row) const { return params_.filter == nullptr || params_.filter->admits(row); }
  // How far candidates may cost a read. The rows behind those that may not be in the answer lie closer together and are
  // harder to tell apart by their codes.
  std::size_t within() const;
  void refill(QueryScratch& scratch);
  void collect_blocks(std::size_t end, QueryScratch& scratch);
  void choose_reads();
  void want_pages(std::size_t begin, std::size_t end, std::size_t pages_max);
  void want_beside(std::size_t first);
  bool worth_a_read(const PoolEntry& entry, float reach) const;
  // What is farther than this is worth no read.
  float reach_of_reads() const;
  float standard_error(const PoolEntry& entry) const;
  void offer_result(const PageView& view, std::uint32_t slot, FoundRow found);
  void offer_contender(const PageView& view, std::uint32_t slot, float distance);

  SearchIndex index_;
  GraphLayout layout_;
  PreparedQuery query_;
  CodeScorer scorer_;
  CandidatePool pool_;
  PageSet seen_pages_;
  SearchParams params_;
  float radius_ = 0;  // less what distances lack
  QueryStats stats_;

  // Rows that left the pool because the filter does not admit them: from within L, and since the last scan.
  std::size_t left_within_ = 0;
  std::size_t left_since_scan_ = 0;
  Buffer<FoundRow> results_;  // a max-heap of at most k
  std::size_t results_size_ = 0;
  std::optional<Contenders> contenders_;  // where pages keep rows rounded
  std::vector<std::uint64_t> wanted_;
  std::size_t wanted_early_ = 0;  // how many of these start() named
};

}  // namespace vecstore
