// SPDX-License-Identifier: Apache-2.0
//
// Searches a generation whose pages are all in memory: best-first over the graph, steered by the vectors on the pages
// instead of their codes. No read, no system call, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/memory.h"
#include "base/status.h"
#include "graph/prepared_query.h"
#include "graph/query_run.h"
#include "graph/search_types.h"

namespace vecstore {

// One query after the other; one searcher per thread.
class MemorySearch {
 public:
  // index.cache must hold every page and stay as it is. Allocates everything any query needs. Errors: kMemoryBudget.
  static Result<MemorySearch> create(const SearchIndex& index, MemoryBudget& budget);
  static std::uint64_t predict_bytes(const GraphLayout& layout, const CodeForm& form);

  // Answers as QueryRun does. In `params` k, search_list and filter count. The answer is sorted, valid until the next
  // search. Errors: kCorrupt naming the page.
  Result<std::span<const FoundRow>> search(const VectorView& queries, std::uint64_t query, const SearchParams& params,
                                           QueryStats& stats);
  // What the last search's distances lack, as PreparedQuery has it.
  double constant() const { return query_.constant(); }
  // Those of the last search, with SearchParams::contenders; sorted.
  std::span<const Contender> contenders() {
    return params_.contenders ? contenders_->sorted() : std::span<const Contender>();
  }

 private:
  struct Place {
    std::uint64_t page = 0;  // counted from 0
    std::uint32_t slot = 0;
  };

  MemorySearch(const SearchIndex& index, PreparedQuery query, CodeScorer scorer);
  Place place_of(Pos position) const;
  const std::byte* page_at(std::uint64_t page) const { return pages_ + page * layout_.page_bytes; }
  bool first_visit(Pos position);
  void forget_visits();
  void seed_from_nearest_block();
  Status walk(std::size_t list, std::size_t due, const RowFilter* filter);
  // Of the pool, so many at least.
  std::size_t list_of_pool(std::size_t least) const;
  Status expand_all(std::size_t list, std::size_t due, const RowFilter* filter);
  void scan_all(const RowFilter& filter);
  Status gather_neighbours(Pos position);
  void add_waiting(Pos position);
  void ask_for_list(Pos position) const;
  std::size_t score_waiting();
  std::size_t score_within_reach(std::size_t first);
  void begin_contenders();
  void offer_contenders();
  const std::byte* values_of(const Place& place) const {
    return page_at(place.page) + values_at_ + std::size_t{place.slot} * layout_.value_bytes();
  }
  RowId row_at(const Place& place) const { return PageView(layout_, page_at(place.page)).row_id(place.slot); }
  bool admits(const RowFilter* filter, Pos position) const {
    return filter == nullptr || filter->admits(row_at(place_of(position)));
  }
  std::span<const FoundRow> answer(std::uint32_t k);

  SearchIndex index_;
  GraphLayout layout_;
  const std::byte* pages_;      // the data pages, one after the other
  std::size_t values_at_;       // place of the first record in its page
  std::uint64_t page_divisor_;  // ⌊2^64 / rows_per_page⌋ + 1
  PreparedQuery query_;
  CodeScorer scorer_;  // only its centroids are used
  CandidatePool pool_;
  QueryStats stats_;
  Buffer<std::uint64_t> visited_;  // a bit for every position
  Buffer<Pos> touched_;            // whose bits are set; more than fit are forgotten all at once
  std::size_t touched_count_ = 0;
  Buffer<Pos> waiting_;   // positions to score, ascending
  Buffer<Place> places_;  // theirs
  std::size_t waiting_count_ = 0;
  Buffer<std::uint32_t> offsets_;  // places of their codes within 4 GiB
  Buffer<float> distances_;
  Buffer<std::uint32_t> integers_;
  Buffer<FoundRow> results_;
  std::optional<Contenders> contenders_;  // where pages keep rows rounded
  SearchParams params_;                   // parameters of the search under way
  float radius_ = 0;                      // less what distances lack
};

}  // namespace vecstore
