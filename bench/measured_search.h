// SPDX-License-Identifier: Apache-2.0
//
// Searches of an index with known answers: what they count (exact, the same on every machine) and what they take.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/truth.h"
#include "engine/vecstore.hpp"

namespace vecstore::bench {

// Means over all queries.
struct SearchCounts {
  double recall = 0;
  double requests = 0;
  double reads = 0;  // what they cost in requests of 4 KiB (reads_of_4k)
  double rounds = 0;
  double bytes = 0;
  double codes_scored = 0;
  double exact_distances = 0;
};

// Searches one open store for one set of queries at any L; what was measured is remembered. Borrows its arguments.
class SearchSweep {
 public:
  // `options`: k, blocks and bound; its search_list is where smallest() begins to look.
  SearchSweep(const Store& store, const VectorView& queries, const ExactNeighbours& truth, const SearchOptions& options,
              std::uint32_t threads);

  Result<SearchCounts> at(std::uint32_t search_list);
  // The smallest L that reaches `target` on all queries (recall is taken to rise with L); kSearchListMax when none
  // does.
  Result<std::uint32_t> smallest(double target);

 private:
  const Store* store_;
  VectorView queries_;
  const ExactNeighbours* truth_;
  SearchOptions options_;
  std::uint32_t threads_;
  std::map<std::uint32_t, SearchCounts> known_;
};

struct SearchTimes {
  double qps = 0;
  double p50_us = 0;
  double p99_us = 0;
};

// Medians of three runs over all queries.
Result<SearchTimes> time_search(const Store& store, const VectorView& queries, const SearchOptions& options,
                                std::uint32_t threads);

struct ClientTimes {
  std::uint32_t clients = 0;
  double qps = 0;
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
};

// So many callers with one query each at a time, until all of them have been through `searches` queries in turn. The
// store must have as many searchers.
Result<ClientTimes> time_clients(const Store& store, const VectorView& queries, const SearchOptions& options,
                                 std::uint32_t clients, std::uint64_t searches);

// The fewest data pages that hold the first k true neighbours, mean over the queries: no search can read less.
Result<double> oracle_pages(const std::string& index_path, const ExactNeighbours& truth, std::uint32_t k);

// Reads a second that the device of the index gives (bench/raw_reads.h); 0 where io_uring is refused.
Result<double> ceiling_of(const std::string& index_path);

}  // namespace vecstore::bench
