// SPDX-License-Identifier: Apache-2.0
//
// One query against one generation: scan the nearest blocks' codes, then rounds of up to kReadsPerRound page reads.
//
// The scan fills a pool of the best candidates by estimated distance. A round reads the pages of the best candidates
// that rank within L and that the bound still allows. Every record of a page that has arrived gets its exact distance;
// those that enter the pool have their neighbours scored at once, because that costs no read. Cached pages count as
// arrived whenever a candidate of the pool lies on them. The search ends when the first L of the pool are settled.
//
// Rounds are deterministic: a round's pages are taken in the order they were submitted, after all have arrived.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "compress/block_codes.h"
#include "engine/base/memory.h"
#include "engine/base/status.h"
#include "graph/candidate_pool.h"
#include "graph/format.h"
#include "graph/page_set.h"
#include "pagestore/page_cache.h"
#include "pagestore/page_file.h"
#include "pagestore/page_reader.h"

namespace vecstore {

// What is searched; all must outlive the searchers. The codes' rows and dimension are the graph's.
struct SearchIndex {
  const GraphSummary* summary = nullptr;
  const PageFile* graph = nullptr;
  const BlockCodes* codes = nullptr;
  const PageCache* cache = nullptr;
};

struct SearchParams {
  std::uint32_t k = 10;
  std::uint32_t search_list = 32;  // L: a read is paid only for candidates that rank within it
  std::uint32_t blocks = 40;       // blocks scanned
  float bound = 2.5f;  // no read for a candidate whose estimate less so many standard errors exceeds the k-th
};

struct SearchStats {
  std::uint32_t reads = 0;
  std::uint32_t rounds = 0;
  std::uint32_t bytes = 0;
  std::uint32_t pages_from_cache = 0;
  std::uint32_t codes_scored = 0;
  std::uint32_t exact_distances = 0;
};

// `distance`: squared L2 (cosine: of the normalised vectors, 2 − 2cos), or −2⟨q,x⟩ under inner product.
struct FoundRow {
  float distance = 0;
  Pos position = 0;
  RowId row;
  friend bool operator<(const FoundRow& a, const FoundRow& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
  }
};

// One at a time per searcher; make one per thread.
class GraphSearcher {
 public:
  // Allocates everything a search needs. Errors: kMemoryBudget, kUnsupported (backend).
  static Result<std::unique_ptr<GraphSearcher>> create(const SearchIndex& index, IoBackend backend,
                                                       MemoryBudget& budget);
  // Bytes that create() will charge, or a little more.
  static std::uint64_t predict_bytes(const GraphLayout& layout, std::uint32_t code_bytes);

  // query: one row of the input's dtype (f16 and f32 are interchangeable), finite, under cosine not zero. The answer is
  // sorted and valid until the next search; fewer than k when there are fewer rows. Errors: kIo, kCorrupt naming the
  // page.
  Result<std::span<const FoundRow>> search(const VectorView& queries, std::uint64_t query, const SearchParams& params,
                                           SearchStats& stats);

  const PageReader& reader() const { return *reader_; }

 private:
  struct Present {  // a page in memory
    std::uint64_t page = 0;
    const std::byte* bytes = nullptr;
  };

  GraphSearcher() = default;
  void prepare(const VectorView& queries, std::uint64_t query);
  bool widen(SearchParams& params) const;
  void scan_blocks(const SearchParams& params, SearchStats& stats);
  void offer_estimates(const Pos* positions, Pos first, std::size_t count);
  Status settle(const SearchParams& params, SearchStats& stats);
  bool take_cached(SearchStats& stats);
  Status take_pages(std::span<const Present> pages, SearchStats& stats);
  void take_records(const Present& page, SearchStats& stats);
  void exact_distances(const PageView& view, std::uint32_t rows);
  Status expand_present(std::span<const Present> pages, SearchStats& stats);
  Status expand(Pos position, const std::byte* page, SearchStats& stats);
  std::size_t choose_reads(const SearchParams& params);
  Status read_round(std::size_t count, SearchStats& stats);
  float kth_distance() const;
  float standard_error(float distance) const;
  void offer_result(const FoundRow& found);

  SearchIndex index_;
  GraphLayout layout_;
  const Kernels* kernels_ = nullptr;
  std::unique_ptr<PageReader> reader_;
  std::unique_ptr<CodeScorer> scorer_;
  CandidatePool pool_;
  PageSet seen_pages_;

  // The query.
  Buffer<float> query_;               // [dim], normalised under cosine
  Buffer<std::uint8_t> query_codes_;  // [dim], where distances are integers
  float query_norm2_ = 0;
  float query_sum_ = 0;

  // Scratch.
  struct RankedBlock {
    float key = 0;
    std::uint32_t block = 0;
  };
  Buffer<RankedBlock> ranked_blocks_;
  Buffer<float> estimates_;         // [kBlockRows]
  Buffer<float> exact_;             // [rows_per_page]
  Buffer<std::uint32_t> integers_;  // [rows_per_page]
  Buffer<Pos> neighbours_;          // [kDegreeMax]
  Buffer<FoundRow> results_;        // a max-heap of at most k
  std::size_t results_size_ = 0;
  std::size_t k_ = 0;
  std::vector<Present> batch_;  // pages taken together
  std::vector<std::uint64_t> to_read_;
};

}  // namespace vecstore
