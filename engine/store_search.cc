// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
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

Hit make_hit(Metric metric, const FoundRow& found, std::uint64_t key) {
  const float distance = user_distance(metric, found.distance);
  return {found.row, key, metric == Metric::kCosine ? 1.0f - distance : -distance, distance};
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
  return options.full_precision && !is_integer(properties.dtype);
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
  if (dim() != 0 && queries.dim != dim())
    return Status(Code::kInvalidInput, "the queries have another dimension than the index");
  return check_vectors(queries, properties.metric, "queries", 0);
}

Status Store::Impl::rerank(const VectorView& queries, std::uint64_t query, std::vector<FoundRow>& found,
                           QueryStats& stats) const {
  std::vector<float> wanted(queries.dim);
  std::vector<float> original(queries.dim);
  std::vector<std::byte> kept(queries.dim * element_bytes(properties.dtype));
  widen_row(queries, query, wanted.data());
  for (FoundRow& row : found) {
    if (row.row.value >= properties.rows) {
      live->delta()->copy_vector(row.row, kept.data());
    } else {
      std::uint64_t reads = 0;
      VECSTORE_ASSIGN(StoredRow stored, rows->read(row.row, &reads));
      stats.reads += static_cast<std::uint32_t>(reads);
      stats.bytes += static_cast<std::uint32_t>(reads * kPageBytesMin);
      kept = std::move(stored.vector);
    }
    widen_row({kept.data(), properties.dtype, 1, queries.dim, 0}, 0, original.data());
    row.distance = exact_distance(properties.metric, wanted.data(), original.data(), queries.dim);
  }
  std::sort(found.begin(), found.end());
  return Status::ok();
}

// What one thread does of a batch of queries: it takes a few at a time, scans the delta for these together, searches
// the graph for each, and puts the live rows of both in order.
class Store::BatchSearch {
 public:
  BatchSearch(const Impl& store, const VectorView& queries, const SearchOptions& options, Lsn snapshot,
              SearchResults& results)
      : store_(store),
        queries_(queries),
        options_(options),
        snapshot_(snapshot),
        results_(results),
        delta_(store.live->delta()),
        gone_(store.live->tombstones().size()) {
    if (store.reranks(options)) spare_ = std::max(options.k, kRerankSpare);
  }

  Status run(StoreSearcher& searcher, QueryQueue& queue, std::size_t group) {
    group_max_ = std::clamp<std::size_t>(group, 1, DeltaSearcher::kQueriesMax);
    searcher_ = &searcher;
    if (delta_ != nullptr && searcher.delta == nullptr) {
      VECSTORE_ASSIGN(searcher.delta, DeltaSearcher::create(delta_->shape(), store_.budget));
    }
    if (searcher.graph == nullptr) {
      while (const auto query = next(queue)) VECSTORE_TRY(take({*query, {}, {}, {}}));
      return Status::ok();
    }
    params_ = params_for(std::min<std::uint64_t>(gone_, std::max(wanted(), kRerankSpare)));
    VECSTORE_TRY(searcher.graph->search_all(
        queries_, params_, [&] { return next(queue); },
        [&](const GraphSearcher::Answer& answer) { return take(answer); }));
    return search_again();
  }

 private:
  // What the scan of the delta found for a query whose graph search is under way.
  struct Waiting {
    std::uint64_t query = ~std::uint64_t{0};
    std::vector<FoundRow> found;
    std::chrono::nanoseconds scan{};  // its share of the scan
  };

  std::uint32_t wanted() const { return std::min(kResultsMax, options_.k + spare_); }

  // Rows that are gone take places in the answer and in L; `extra` more of them are asked for.
  SearchParams params_for(std::uint64_t extra) const {
    SearchParams params{wanted(), options_.search_list, options_.blocks, options_.bound};
    params.k = static_cast<std::uint32_t>(std::min<std::uint64_t>(kResultsMax, wanted() + extra));
    const std::uint64_t rows = store_.properties.rows;
    if (gone_ != 0 && gone_ < rows) {
      const std::uint64_t list = (params.search_list * rows + rows - gone_ - 1) / (rows - gone_);
      params.search_list = static_cast<std::uint32_t>(std::min<std::uint64_t>(kSearchListMax, list));
    }
    return params;
  }

  std::optional<std::uint64_t> next(QueryQueue& queue) {
    if (group_at_ == group_.size()) {
      group_.clear();
      group_at_ = 0;
      while (group_.size() < (delta_ == nullptr ? 1 : group_max_)) {
        const auto query = queue.take();
        if (!query) break;
        group_.push_back(*query);
      }
      if (group_.empty()) return std::nullopt;
      scan_delta();
    }
    return group_[group_at_++];
  }

  // Queries are handed out in order, but other threads take some: those that follow one another are scanned together.
  void scan_delta() {
    if (delta_ == nullptr) return;
    for (std::size_t begin = 0; begin < group_.size();) {
      std::size_t end = begin + 1;
      while (end < group_.size() && group_[end] == group_[end - 1] + 1) ++end;
      const auto started = std::chrono::steady_clock::now();
      searcher_->delta->search(*delta_, queries_, group_[begin], end - begin, wanted(), snapshot_, scanned_.data());
      const auto scan = (std::chrono::steady_clock::now() - started) / (end - begin);
      for (std::size_t i = begin; i < end; ++i) {
        Waiting& place = place_of(~std::uint64_t{0});
        place.query = group_[i];
        place.scan = scan;
        std::swap(place.found, scanned_[i - begin]);
      }
      begin = end;
    }
  }

  Waiting& place_of(std::uint64_t query) {
    const auto place = std::ranges::find(waiting_, query, &Waiting::query);
    VECSTORE_CHECK(place != waiting_.end());
    return *place;
  }

  Status take(const GraphSearcher::Answer& answer) {
    VECSTORE_TRY(keep_live(answer.found));
    // Cut short by rows that are gone, though the graph has more.
    if (live_.size() < wanted() && answer.found.size() == params_.k && params_.k < kResultsMax) {
      again_.push_back(answer.query);
      return Status::ok();
    }
    return finish(answer);
  }

  Status keep_live(std::span<const FoundRow> found) {
    live_.clear();
    for (const FoundRow& row : found) {
      if (row.row.value >= store_.properties.rows)
        return Status(Code::kCorrupt, "a page names a row that the graph does not have; restore or rebuild")
            .about(store_.generation->graph().path())
            .at(Detail::kRow, row.row.value);
      if (gone_ == 0 || !store_.live->tombstones().gone(row.row, snapshot_)) live_.push_back(row);
    }
    return Status::ok();
  }

  // Rows of the graph have their numbers for keys, where keys are numbers.
  std::uint64_t key_of(RowId row) const {
    const bool named = store_.properties.keys == KeyKind::kNumber && row.value >= store_.properties.rows;
    return named ? delta_->key(row).number() : row.value;
  }

  Status search_again() {
    for (const std::uint64_t query : again_) {
      for (std::uint64_t extra = 2ull * params_.k;; extra *= 2) {
        SearchParams params = params_for(extra);
        params.search_list = std::max(params.search_list, params.k);
        GraphSearcher::Answer answer;
        answer.query = query;
        const auto started = std::chrono::steady_clock::now();
        VECSTORE_ASSIGN(answer.found, searcher_->graph->search(queries_, query, params, answer.stats));
        answer.latency = std::chrono::steady_clock::now() - started;
        VECSTORE_TRY(keep_live(answer.found));
        if (live_.size() < wanted() && answer.found.size() == params.k && params.k < kResultsMax) continue;
        VECSTORE_TRY(finish(answer));
        break;
      }
    }
    return Status::ok();
  }

  // `live_` holds what the graph has for this query.
  Status finish(const GraphSearcher::Answer& answer) {
    QueryStats& stats = results_.stats_[answer.query];
    stats.reads = answer.stats.reads;
    stats.rounds = answer.stats.rounds;
    stats.bytes = answer.stats.bytes;
    stats.pages_from_cache = answer.stats.pages_from_cache;
    stats.codes_scored = answer.stats.codes_scored;
    stats.exact_distances = answer.stats.exact_distances;
    auto latency = answer.latency;
    const auto started = std::chrono::steady_clock::now();
    if (delta_ != nullptr) {
      Waiting& place = place_of(answer.query);
      latency += place.scan;
      live_.insert(live_.end(), place.found.begin(), place.found.end());
      std::sort(live_.begin(), live_.end());
      stats.exact_distances += static_cast<std::uint32_t>(delta_->rows());
      place.query = ~std::uint64_t{0};
    }
    if (store_.reranks(options_)) {
      live_.resize(std::min<std::size_t>(live_.size(), wanted()));
      VECSTORE_TRY(store_.rerank(queries_, answer.query, live_, stats));
    }
    const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(options_.k, live_.size()));
    Hit* hits = &results_.hits_[answer.query * options_.k];
    for (std::uint32_t i = 0; i < count; ++i)
      hits[i] = make_hit(store_.properties.metric, live_[i], key_of(live_[i].row));
    results_.counts_[answer.query] = count;
    latency += std::chrono::steady_clock::now() - started;
    stats.latency_us =
        static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(latency).count());
    return Status::ok();
  }

  const Impl& store_;
  const VectorView& queries_;
  const SearchOptions& options_;
  const Lsn snapshot_;
  SearchResults& results_;
  const Delta* delta_;
  const std::uint64_t gone_;  // rows of the graph, at most these at the snapshot
  std::uint32_t spare_ = 0;
  SearchParams params_;
  StoreSearcher* searcher_ = nullptr;
  std::size_t group_max_ = 1;
  std::vector<std::uint64_t> group_;
  std::size_t group_at_ = 0;
  std::array<std::vector<FoundRow>, DeltaSearcher::kQueriesMax> scanned_;
  std::array<Waiting, kLanesMax + DeltaSearcher::kQueriesMax> waiting_;
  std::vector<FoundRow> live_;
  std::vector<std::uint64_t> again_;
};

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
  const Lsn snapshot = s.live->snapshot();
  const auto workers = static_cast<unsigned>(std::min<std::size_t>({threads, s.searchers.size(), queries.rows}));
  QueryQueue queue(queries.rows);
  std::vector<Status> failures(std::max(workers, 1u));
  const auto body = [&](std::size_t worker, std::size_t, unsigned) {
    const SearcherPool::Loan searcher = s.searchers.borrow();
    BatchSearch search(s, queries, resolved, snapshot, results);
    failures[worker] = search.run(*searcher, queue, queries.rows / std::max(workers, 1u));
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
