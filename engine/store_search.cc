// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/base/check.h"
#include "engine/store_impl.h"
#include "engine/thread_pool.h"
#include "engine/validate.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kRerankSpare = 16;  // candidates beyond k that full precision may bring forward

bool is_integer(DType dtype) { return dtype == DType::kU8 || dtype == DType::kI8; }

// From the distance that a search computes with to the one that users see.
float user_distance(Metric metric, float distance) { return metric == Metric::kL2 ? distance : 0.5f * distance; }

Hit make_hit(Metric metric, const FoundRow& found) {
  const float distance = user_distance(metric, found.distance);
  return {found.row, metric == Metric::kCosine ? 1.0f - distance : -distance, distance};
}

// The same kind of distance as FoundRow's, in double.
float exact_distance(Metric metric, const float* query, const float* row, std::uint32_t dim) {
  double dot = 0;
  double query2 = 0;
  double row2 = 0;
  double l2 = 0;
  for (std::uint32_t i = 0; i < dim; ++i) {
    dot += double{query[i]} * row[i];
    query2 += double{query[i]} * query[i];
    row2 += double{row[i]} * row[i];
    l2 += (double{query[i]} - row[i]) * (double{query[i]} - row[i]);
  }
  if (metric == Metric::kL2) return static_cast<float>(l2);
  if (metric == Metric::kInnerProduct) return static_cast<float>(-2.0 * dot);
  return static_cast<float>(2.0 - 2.0 * dot / std::sqrt(query2 * row2));
}

}  // namespace

bool Store::Impl::reranks(const SearchOptions& options) const {
  return options.full_precision && rows && rows->layout().vector_bytes != 0;
}

Status Store::Impl::check_queries(const VectorView& queries, const SearchOptions& options) const {
  if (options.k == 0) return Status(Code::kInvalidArgument, "k must be at least 1");
  if (options.k > kResultsMax)
    return Status(Code::kInvalidArgument, "k is too large; the most that one search returns is 1000");
  if (options.search_list > kSearchListMax) return Status(Code::kInvalidArgument, "L is too large; the most is 4096");
  if (!(options.recall_target > 0.0 && options.recall_target <= 1.0))
    return Status(Code::kInvalidArgument, "the recall target must be above 0 and at most 1");
  const bool same = queries.dtype == properties.dtype;
  if (!same && (is_integer(queries.dtype) || is_integer(properties.dtype)))
    return Status(Code::kInvalidArgument, "the queries have another element type than the index; convert them first");
  if (queries.dim != properties.dim)
    return Status(Code::kInvalidInput, "the queries have another dimension than the index");
  return check_vectors(queries, properties.metric, "queries", 0);
}

Status Store::Impl::rerank(const VectorView& queries, std::uint64_t query, std::vector<FoundRow>& found,
                           QueryStats& stats) const {
  std::vector<float> wanted(queries.dim);
  std::vector<float> original(queries.dim);
  widen_row(queries, query, wanted.data());
  for (FoundRow& row : found) {
    std::uint64_t reads = 0;
    VECSTORE_ASSIGN(const StoredRow stored, rows->read(row.row, &reads));
    stats.reads += static_cast<std::uint32_t>(reads);
    stats.bytes += static_cast<std::uint32_t>(reads * kPageBytesMin);
    widen_row({stored.vector.data(), properties.dtype, 1, properties.dim, 0}, 0, original.data());
    row.distance = exact_distance(properties.metric, wanted.data(), original.data(), queries.dim);
  }
  std::sort(found.begin(), found.end());
  return Status::ok();
}

Status Store::Impl::take_answer(const GraphSearcher::Answer& answer, const VectorView& queries,
                                const SearchOptions& options, SearchResults& results) const {
  QueryStats& stats = results.stats_[answer.query];
  stats.reads = answer.stats.reads;
  stats.rounds = answer.stats.rounds;
  stats.bytes = answer.stats.bytes;
  stats.pages_from_cache = answer.stats.pages_from_cache;
  stats.codes_scored = answer.stats.codes_scored;
  stats.exact_distances = answer.stats.exact_distances;
  std::chrono::nanoseconds latency = answer.latency;
  std::span<const FoundRow> found = answer.found;
  std::vector<FoundRow> ordered;
  if (reranks(options)) {
    const auto started = std::chrono::steady_clock::now();
    ordered.assign(found.begin(), found.end());
    VECSTORE_TRY(rerank(queries, answer.query, ordered, stats));
    found = ordered;
    latency += std::chrono::steady_clock::now() - started;
  }
  const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(options.k, found.size()));
  Hit* hits = &results.hits_[answer.query * options.k];
  for (std::uint32_t i = 0; i < count; ++i) hits[i] = make_hit(properties.metric, found[i]);
  results.counts_[answer.query] = count;
  stats.latency_us = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(latency).count());
  return Status::ok();
}

Result<SearchResults> Store::search(const VectorView& queries, const SearchOptions& options,
                                    std::uint32_t threads) const {
  const Impl& s = *impl_;
  VECSTORE_TRY(s.check_queries(queries, options));
  if (threads == 0 || threads > kThreadsMax)
    return Status(Code::kInvalidArgument, "the number of threads must be between 1 and 256");
  if (queries.rows > kQueriesMax) return Status(Code::kInvalidArgument, "too many queries for one batch; divide it");
  const SearchOptions resolved = resolve_options(s.properties, options, s.in_memory());
  SearchResults results;
  results.k_ = options.k;
  results.hits_.resize(queries.rows * options.k);
  results.counts_.resize(queries.rows);
  results.stats_.resize(queries.rows);
  const std::uint32_t k =
      s.reranks(resolved) ? std::min(kResultsMax, options.k + std::max(options.k, kRerankSpare)) : options.k;
  const SearchParams params{k, resolved.search_list, resolved.blocks, resolved.bound};
  const auto workers = static_cast<unsigned>(std::min<std::size_t>({threads, s.searchers.size(), queries.rows}));
  QueryQueue queue(queries.rows);
  std::vector<Status> failures(std::max(workers, 1u));
  const auto body = [&](std::size_t worker, std::size_t, unsigned) {
    const SearcherPool::Loan searcher = s.searchers.borrow();
    failures[worker] = (*searcher).search_all(
        queries, params, [&queue] { return queue.take(); },
        [&](const GraphSearcher::Answer& answer) { return s.take_answer(answer, queries, resolved, results); });
  };
  if (workers <= 1) {
    body(0, 1, 0);
  } else {
    make_executor(workers)->parallel_for(workers, 1, body);
  }
  for (const Status& failure : failures) VECSTORE_TRY(failure);
  return results;
}

}  // namespace vecstore
