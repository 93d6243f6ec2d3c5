// SPDX-License-Identifier: Apache-2.0
#include "bench/measured_search.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "base/limits.h"
#include "bench/measured_index.h"
#include "bench/raw_reads.h"
#include "engine/generation/file_names.h"
#include "engine/generation/generation.h"
#include "engine/truth.h"
#include "pagestore/publish.h"

namespace vecstore::bench {
namespace {

Result<std::unique_ptr<Generation>> open_generation(const std::string& index_path, MemoryBudget& budget) {
  VECSTORE_ASSIGN(const StoreDirectory directory,
                  StoreDirectory::open(FileSystem::posix(), kStoreNames, index_path, LockMode::kShared));
  const Manifest& manifest = *directory.manifest();
  const auto path = [&](FileKind kind) { return directory.file_path(file_name(kind, manifest.generation)); };
  return Generation::open(FileSystem::posix(),
                          {path(FileKind::kGraph), path(FileKind::kCodes), path(FileKind::kRowMap)}, manifest.store,
                          manifest.generation, budget);
}

// The data page of every row, read off the pages themselves.
Result<std::vector<std::uint32_t>> page_of_rows(const Generation& generation, MemoryBudget& budget) {
  const GraphLayout& layout = generation.layout();
  std::vector<std::uint32_t> pages(layout.rows);
  VECSTORE_ASSIGN(auto page_bytes, Buffer<std::byte>::allocate(budget, layout.page_bytes));
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    VECSTORE_TRY(generation.graph().read_page(page, std::span(page_bytes.data(), page_bytes.size())));
    const PageView view(layout, page_bytes.data());
    for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot)
      pages[view.row_id(slot).value] = static_cast<std::uint32_t>(page);
  }
  return pages;
}

template <typename T>
T median(std::vector<T> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

SearchSweep::SearchSweep(const Store& store, const VectorView& queries, const ExactNeighbours& truth,
                         const SearchOptions& options, std::uint32_t threads)
    : store_(&store), queries_(queries), truth_(&truth), options_(options), threads_(threads) {}

Result<SearchCounts> SearchSweep::at(std::uint32_t search_list) {
  const auto known = known_.find(search_list);
  if (known != known_.end()) return known->second;
  SearchOptions options = options_;
  options.search_list = search_list;
  VECSTORE_ASSIGN(const SearchResults results, store_->search(queries_, options, threads_));
  SearchCounts counts;
  VECSTORE_ASSIGN(counts.recall, recall_at(results, *truth_, options.k));
  for (std::size_t query = 0; query < results.size(); ++query) {
    const QueryStats& stats = results.stats(query);
    counts.requests += stats.requests;
    counts.rounds += stats.rounds;
    counts.bytes += stats.bytes;
    counts.codes_scored += stats.codes_scored;
    counts.exact_distances += stats.exact_distances;
  }
  const auto queries = static_cast<double>(results.size());
  for (double* sum : {&counts.requests, &counts.rounds, &counts.bytes, &counts.codes_scored, &counts.exact_distances})
    *sum /= queries;
  counts.reads = reads_of_4k(counts.requests, counts.bytes);
  known_.emplace(search_list, counts);
  return counts;
}

Result<std::uint32_t> SearchSweep::smallest(double target) {
  std::uint32_t low = 1;
  std::uint32_t high = std::clamp(options_.search_list, 8u, kSearchListMax);
  while (high < kSearchListMax) {
    VECSTORE_ASSIGN(const SearchCounts counts, at(high));
    if (counts.recall >= target) break;
    low = high + 1;
    high = std::min(high * 2, kSearchListMax);
  }
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    VECSTORE_ASSIGN(const SearchCounts counts, at(middle));
    if (counts.recall >= target) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

Result<SearchTimes> time_search(const Store& store, const VectorView& queries, const SearchOptions& options,
                                std::uint32_t threads) {
  constexpr int kRuns = 3;
  std::vector<double> rates, middles, tails;
  for (int run = 0; run < kRuns; ++run) {
    const std::int64_t begin = now_ns();
    VECSTORE_ASSIGN(const SearchResults results, store.search(queries, options, threads));
    rates.push_back(static_cast<double>(queries.rows) / seconds_since(begin));
    std::vector<std::uint32_t> latencies(results.size());
    for (std::size_t query = 0; query < results.size(); ++query) latencies[query] = results.stats(query).latency_us;
    std::ranges::sort(latencies);
    middles.push_back(latencies[latencies.size() / 2]);
    tails.push_back(latencies[(latencies.size() - 1) * 99 / 100]);
  }
  return SearchTimes{median(rates), median(middles), median(tails)};
}

Result<ClientTimes> time_clients(const Store& store, const VectorView& queries, const SearchOptions& options,
                                 std::uint32_t clients, std::uint64_t searches) {
  std::atomic<std::uint64_t> next{0};
  std::vector<std::vector<double>> latencies(clients);
  std::vector<Status> failures(clients);
  const std::int64_t begin = now_ns();
  {
    std::vector<std::jthread> threads;
    threads.reserve(clients);
    for (std::uint32_t client = 0; client < clients; ++client) {
      threads.emplace_back([&, client] {
        for (std::uint64_t i = next++; i < searches && failures[client].is_ok(); i = next++) {
          const VectorView one{queries.row(i % queries.rows), queries.dtype, 1, queries.dim};
          const std::int64_t asked = now_ns();
          const auto found = store.search(one, options, 1);
          latencies[client].push_back(static_cast<double>(now_ns() - asked) * 1e-3);
          if (!found) failures[client] = found.error();
        }
      });
    }
  }
  const double seconds = seconds_since(begin);
  for (const Status& failure : failures) VECSTORE_TRY(failure);
  std::vector<double> all;
  for (const auto& one : latencies) all.insert(all.end(), one.begin(), one.end());
  std::ranges::sort(all);
  const auto at = [&all](double share) {
    return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))];
  };
  return ClientTimes{clients, static_cast<double>(all.size()) / seconds, at(0.5), at(0.99), at(0.999)};
}

Result<double> oracle_pages(const std::string& index_path, const ExactNeighbours& truth, std::uint32_t k) {
  MemoryBudget budget;
  VECSTORE_ASSIGN(const auto generation, open_generation(index_path, budget));
  VECSTORE_ASSIGN(const std::vector<std::uint32_t> page_of, page_of_rows(*generation, budget));
  std::uint64_t pages_total = 0;
  std::vector<std::uint32_t> pages;
  for (std::size_t query = 0; query < truth.queries; ++query) {
    pages.clear();
    for (std::size_t rank = 0; rank < k; ++rank) {
      const std::uint32_t row = truth.rows[query * truth.k + rank];
      if (row < page_of.size()) pages.push_back(page_of[row]);
    }
    std::ranges::sort(pages);
    pages_total += static_cast<std::uint64_t>(std::unique(pages.begin(), pages.end()) - pages.begin());
  }
  return static_cast<double>(pages_total) / static_cast<double>(truth.queries);
}

Result<double> ceiling_of(const std::string& index_path) {
  MemoryBudget budget;
  VECSTORE_ASSIGN(const auto generation, open_generation(index_path, budget));
  return device_ceiling(generation->graph());
}

}  // namespace vecstore::bench
