// SPDX-License-Identifier: Apache-2.0
#include "engine/store/search.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <thread>
#include <tuple>

#include "base/check.h"
#include "base/thrown.h"
#include "engine/check_options.h"
#include "engine/files/validate.h"
#include "engine/watch.h"
#include "graph/exact_distance.h"

namespace vecstore {
namespace {

// From the distance that a search computes with to the one that users see.
float user_distance(Metric metric, float distance) { return metric == Metric::kL2 ? distance : 0.5f * distance; }

// constant: of the query (graph/prepared_query.h).
Hit make_hit(Metric metric, const FoundRow& found, double constant, std::uint64_t key) {
  const float distance = user_distance(metric, static_cast<float>(double{found.distance} + constant));
  return {found.row, key, metric == Metric::kCosine ? 1.0f - distance : -distance, distance};
}

// The other way: from what users see to what a search computes with, and what that lacks.
double search_distance(Metric metric, double distance) { return metric == Metric::kL2 ? distance : 2 * distance; }

constexpr std::uint32_t kNearest = 10;    // rows that lead a search to where a radius is
constexpr double kRadiusRounding = 1e-6;  // of a radius, by which what lies at its rim may be off
constexpr double kRadiusMost = 0x1p127;   // no two rows are so far from each other (engine/files/validate.h)

double radius_of(Metric metric, const SearchOptions& options) {
  if (!options.radius) return std::numeric_limits<double>::infinity();
  const double radius = std::clamp(search_distance(metric, double{*options.radius}), -kRadiusMost, kRadiusMost);
  return radius + kRadiusRounding * std::abs(radius);
}

// All but some.
class OtherRows final : public RowFilter {
 public:
  OtherRows(std::span<const RowId> left_out, std::uint64_t rows)
      : left_out_(left_out), rows_(rows - std::min<std::uint64_t>(rows, left_out.size())) {}
  bool admits(RowId row) const override { return !std::ranges::binary_search(left_out_, row); }
  std::uint64_t rows() const override { return rows_; }

 private:
  const std::span<const RowId> left_out_;
  const std::uint64_t rows_;
};

// Those of the graph that are live at a moment, and not left out.
class LiveRows final : public RowFilter {
 public:
  LiveRows(const Tombstones& tombstones, std::uint64_t rows, Lsn snapshot, std::span<const RowId> left_out)
      : tombstones_(tombstones), others_(left_out, rows - tombstones.size()), snapshot_(snapshot) {}
  bool admits(RowId row) const override { return !tombstones_.gone(row, snapshot_) && others_.admits(row); }
  std::uint64_t rows() const override { return others_.rows(); }

 private:
  const Tombstones& tombstones_;
  const OtherRows others_;
  const Lsn snapshot_;
};

// How far a batch is. Any thread counts; the one that made the call tells.
class BatchWatch {
 public:
  BatchWatch(const SearchOptions& options, std::uint64_t queries)
      : watch_(options.progress, options.cancel, Clock::system()), queries_(queries) {}
  void answered() {
    const std::uint64_t done = done_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (done != queries_ && std::this_thread::get_id() == caller_) watch_.tell({Phase::kSearch, done, queries_});
  }
  // Whichever thread has answered last.
  void finish() { watch_.tell({Phase::kSearch, queries_, queries_}); }

 private:
  Watch watch_;
  const std::uint64_t queries_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<std::uint64_t> done_{0};
};

// What one thread does of a batch of queries. It takes a few at a time and scans the delta for these together. It
// searches the graph for each, and puts the live rows of both in order.
class BatchSearch {
 public:
  BatchSearch(const View& view, Searchers& searchers, const VectorView& queries, const SearchOptions& options,
              const LeftOut& left_out, MemoryBudget& budget, const Answers& answers, BatchWatch& watch,
              SearchTally& tally)
      : view_(view),
        content_(view.content()),
        metric_(content_.properties().metric),
        page_bytes_(content_.graph() == nullptr ? kPageBytesMin : content_.graph()->layout().page_bytes),
        searchers_(searchers),
        queries_(queries),
        options_(options),
        left_out_(left_out),
        k_(options.k + (left_out.own.empty() ? 0 : 1)),
        radius_(radius_of(metric_, options)),
        budget_(budget),
        answers_(answers),
        watch_(watch),
        tally_(tally),
        delta_(view.delta()),
        live_rows_(view.live().tombstones(), content_.properties().rows, view.moment(), left_out.rows),
        delta_rows_(left_out.rows, delta_ == nullptr ? 0 : delta_->rows()),
        takes_all_(view.live().tombstones().size() == 0 && left_out.rows.empty()),
        reranks_(options.full_precision && !is_integer(content_.properties().dtype)) {}

  // `workers`: threads that search now.
  Status run(StoreSearcher& searcher, QueryQueue& queue, std::size_t workers) try {
    const std::size_t group = queries_.rows / std::max<std::size_t>(workers, 1);
    group_max_ = std::clamp<std::size_t>(group, 1, DeltaSearcher::kQueriesMax);
    searcher_ = &searcher;
    if (delta_ != nullptr && searcher.delta == nullptr) {
      VECSTORE_ASSIGN(searcher.delta, DeltaSearcher::create(delta_->shape(), budget_));
    }
    if (searcher.graph == nullptr) {
      GraphSearcher::Answer nothing;
      while (const auto query = next(queue)) {
        nothing.query = *query;
        VECSTORE_TRY(take(nothing));
      }
      return Status::ok();
    }
    if (InFlightTarget* target = searchers_.in_flight(); target != nullptr)
      searcher.graph->follow(*target, std::max(workers, searchers_.pool().lent()));
    SearchParams params{
        k_, options_.search_list, options_.blocks, options_.bound, takes_all_ ? nullptr : &live_rows_, reranks_};
    if (options_.radius) {
      params.radius = radius_;
      params.near_k = std::min(kNearest, k_);
      // A list that was asked for is that of all.
      const bool is_calibrated = calibrated_list(options_.k) == params.search_list;
      params.near_list =
          is_calibrated ? std::min(params.search_list, calibrated_list(params.near_k)) : params.search_list;
    }
    return searcher.graph->search_all(
        queries_, params, [&] { return next(queue); },
        [&](const GraphSearcher::Answer& answer) { return take(answer); });
  } catch (...) {
    return status_of_exception();
  }

 private:
  // What the scan of the delta found for a query whose graph search is under way.
  struct Waiting {
    std::uint64_t query = ~std::uint64_t{0};
    std::vector<FoundRow> found;
    double constant = 0;              // that their distances lack
    std::chrono::nanoseconds scan{};  // its share of the scan
  };

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
      scan_delta(queue);
    }
    return group_[group_at_++];
  }

  // Queries are handed out in order, but other threads take some: those that follow one another are scanned together.
  void scan_delta(QueryQueue& queue) {
    if (delta_ == nullptr) return;
    for (std::size_t begin = 0; begin < group_.size();) {
      std::size_t end = begin + 1;
      while (end < group_.size() && group_[end] == group_[end - 1] + 1) ++end;
      const auto started = std::chrono::steady_clock::now();
      const DeltaSearcher::Wanted wanted{k_, view_.moment(), left_out_.rows.empty() ? nullptr : &delta_rows_, radius_};
      if (!searcher_->delta->search(*delta_, queries_, group_[begin], end - begin, wanted, options_.cancel,
                                    scanned_.data()))
        queue.stop();
      const auto scan = (std::chrono::steady_clock::now() - started) / (end - begin);
      for (std::size_t i = begin; i < end; ++i) {
        Waiting& place = place_of(~std::uint64_t{0});
        place.query = group_[i];
        place.scan = scan;
        place.constant = searcher_->delta->constant(i - begin);
        std::swap(place.found, scanned_[i - begin]);
      }
      begin = end;
    }
  }

  std::uint32_t calibrated_list(std::uint32_t k) const {
    SearchOptions options = options_;
    options.k = k;
    options.search_list = 0;
    return content_.resolved(options).search_list;
  }

  Waiting& place_of(std::uint64_t query) {
    const auto place = std::ranges::find(waiting_, query, &Waiting::query);
    VECSTORE_CHECK(place != waiting_.end());
    return *place;
  }

  // Pages keep the keys that are numbers.
  std::uint64_t key_of(const FoundRow& found) const {
    if (content_.properties().keys != KeyKind::kNumber) return found.row.value;
    return found.row.value >= content_.row_end() ? delta_->key(found.row).number() : found.key;
  }

  Status check_rows(std::span<const FoundRow> found) const {
    for (const FoundRow& row : found)
      if (row.row.value >= content_.row_end())
        return Status(Code::kCorrupt, "a page names a row that the graph does not have; restore or rebuild")
            .about(content_.graph()->graph().path())
            .at(Detail::kRow, row.row.value);
    return Status::ok();
  }

  // Appends to found_ the k nearest of the contenders, which come sorted, with distances by the vectors as they were
  // put: reads those that may be among them, until the k-th is nearer than any that is left can be.
  Status rerank(const GraphSearcher::Answer& answer, QueryStats& stats) {
    const double constant = answer.constant;
    const std::uint32_t dim = queries_.dim;
    std::vector<float> wanted(dim);
    std::vector<float> original(dim);
    widen_row(queries_, answer.query, wanted.data());
    std::vector<std::tuple<double, RowId, std::uint64_t>> nearest;  // with keys; a heap of the k nearest
    for (const Contender& contender : answer.contenders) {
      const double least = double{contender.nearest} + constant;
      if (least > radius_ || (nearest.size() == k_ && least > std::get<0>(nearest.front()))) break;
      std::uint64_t reads = 0;
      VECSTORE_ASSIGN(const StoredRow stored, content_.rows()->read(contender.row, &reads));
      stats.requests += static_cast<std::uint32_t>(reads);
      stats.bytes += static_cast<std::uint32_t>(reads * kPageBytesMin);
      widen_row({stored.vector.data(), content_.properties().dtype, 1, dim, 0}, 0, original.data());
      const double distance = exact_distance(metric_, wanted.data(), original.data(), dim);
      nearest.emplace_back(distance, contender.row, contender.key);
      std::push_heap(nearest.begin(), nearest.end());
      if (nearest.size() <= k_) continue;
      std::pop_heap(nearest.begin(), nearest.end());
      nearest.pop_back();
    }
    std::sort_heap(nearest.begin(), nearest.end());
    for (const auto& [distance, row, key] : nearest)
      found_.push_back({static_cast<float>(distance - constant), kNoPos, row, key});
    return Status::ok();
  }

  // Of the moment that is searched. One read brings key and document of a row of the graph.
  Status read_texts(const Hit& hit, std::size_t place, QueryStats& stats) {
    VECSTORE_TRY(check_cancelled(options_.cancel));
    const RowId row = hit.row;
    const bool wants_document = !answers_.documents.empty();
    if (row.value >= content_.row_end()) {
      VECSTORE_ASSIGN(answers_.keys[place], view_.key_of(row));
      if (!wants_document) return Status::ok();
      VECSTORE_ASSIGN(answers_.documents[place], view_.read_document(row));
      return Status::ok();
    }
    const bool has_key = content_.properties().keys == KeyKind::kBytes;
    StoredRow stored;
    if (has_key || (wants_document && content_.has_documents())) {
      std::uint64_t reads = 0;
      VECSTORE_ASSIGN(stored, content_.rows()->read(row, &reads));
      stats.requests += static_cast<std::uint32_t>(reads);
      stats.bytes += static_cast<std::uint32_t>(reads * kPageBytesMin);
    }
    answers_.keys[place] = has_key ? std::move(stored.key) : std::to_string(hit.key);
    if (wants_document) answers_.documents[place] = std::move(stored.document);
    return Status::ok();
  }

  // Puts what the graph has for a query and what the delta has in order.
  Status take(const GraphSearcher::Answer& answer) {
    VECSTORE_TRY(check_rows(answer.found));
    QueryStats& stats = answers_.stats[answer.query];
    stats = answer.stats;
    auto latency = answer.latency;
    const auto started = std::chrono::steady_clock::now();
    found_.clear();
    std::uint64_t pages_read = stats.bytes / page_bytes_;
    if (reranks_) {
      VECSTORE_TRY(rerank(answer, stats));
      pages_read += stats.requests - answer.stats.requests;  // an original lies in pages that are asked for one by one
    } else {
      found_.assign(answer.found.begin(), answer.found.end());
    }
    if (delta_ != nullptr) {
      Waiting& place = place_of(answer.query);
      latency += place.scan;
      // Graph and delta need not be relative to the same centre.
      const double lacks = place.constant - answer.constant;
      for (FoundRow& found : place.found) {
        if (lacks != 0) found.distance = static_cast<float>(double{found.distance} + lacks);
        found_.push_back(found);
      }
      stats.exact_distances += static_cast<std::uint32_t>(delta_->rows());
      place.query = ~std::uint64_t{0};
    }
    if (reranks_) {  // graph and delta are each in order, of distances that floats may not tell apart
      for (std::size_t i = 0; i < found_.size(); ++i) found_[i].position = static_cast<Pos>(i);
      std::ranges::sort(found_, [](const FoundRow& a, const FoundRow& b) {
        return a.distance != b.distance ? a.distance < b.distance : a.position < b.position;
      });
    } else {
      std::sort(found_.begin(), found_.end());
    }
    if (!left_out_.own.empty())
      std::erase_if(found_, [&](const FoundRow& found) { return found.row == left_out_.own[answer.query]; });
    const auto most = static_cast<std::uint32_t>(std::min<std::size_t>(options_.k, found_.size()));
    Hit* hits = &answers_.hits[answer.query * options_.k];
    std::uint32_t count = 0;
    for (; count < most; ++count) {
      hits[count] = make_hit(metric_, found_[count], answer.constant, key_of(found_[count]));
      if (options_.radius && !(hits[count].distance <= *options_.radius)) break;
    }
    answers_.counts[answer.query] = count;
    const std::uint32_t requests = stats.requests;
    for (std::uint32_t i = 0; i < count && !answers_.keys.empty(); ++i)
      VECSTORE_TRY(read_texts(hits[i], answer.query * options_.k + i, stats));
    pages_read += stats.requests - requests;
    latency += std::chrono::steady_clock::now() - started;
    tally_.add(stats, pages_read, latency);
    stats.latency_us =
        static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(latency).count());
    watch_.answered();
    return Status::ok();
  }

  const View& view_;
  const Content& content_;
  const Metric metric_;
  const std::uint32_t page_bytes_;
  Searchers& searchers_;
  const VectorView& queries_;
  const SearchOptions& options_;
  const LeftOut& left_out_;
  const std::uint32_t k_;  // rows that are looked for
  const double radius_;
  MemoryBudget& budget_;
  const Answers& answers_;
  BatchWatch& watch_;
  SearchTally& tally_;
  const DeltaRows* delta_;
  const LiveRows live_rows_;
  const OtherRows delta_rows_;
  const bool takes_all_;
  const bool reranks_;
  StoreSearcher* searcher_ = nullptr;
  std::size_t group_max_ = 1;
  std::vector<std::uint64_t> group_;
  std::size_t group_at_ = 0;
  std::array<std::vector<FoundRow>, DeltaSearcher::kQueriesMax> scanned_;
  std::array<Waiting, kLanesMax + DeltaSearcher::kQueriesMax> waiting_;
  std::vector<FoundRow> found_;
};

}  // namespace

Status check_queries(const View& view, const VectorView& queries, const SearchOptions& options) {
  const StoreProperties& properties = view.content().properties();
  VECSTORE_TRY(check_options(options));
  const bool same = queries.dtype == properties.dtype;
  if (!same && (is_integer(queries.dtype) || is_integer(properties.dtype)))
    return Status(Code::kInvalidArgument, "the queries have another element type than the index; convert them first");
  if (view.dim() != 0 && queries.dim != view.dim())
    return Status(Code::kInvalidInput, "the queries have another dimension than the index")
        .about(std::to_string(queries.dim) + ", index " + std::to_string(view.dim()));
  return check_vectors(queries, properties.metric, "queries", 0);
}

Status search_view(const View& view, Searchers& searchers, const VectorView& queries, const SearchOptions& options,
                   const LeftOut& left_out, std::uint32_t threads, MemoryBudget& budget, SearchCounters& counters,
                   const Answers& answers) {
  const auto workers = static_cast<unsigned>(std::min<std::size_t>({threads, searchers.pool().size(), queries.rows}));
  QueryQueue queue(queries.rows, options.cancel);
  BatchWatch watch(options, queries.rows);
  struct Share {
    Status outcome;
    SearchTally tally;
    std::exception_ptr thrown;
  };
  std::vector<Share> shares(std::max(workers, 1u));
  const auto work = [&](SearchTally& tally) -> Status {
    VECSTORE_ASSIGN(const SearcherPool::Loan searcher, searchers.pool().borrow(options.cancel));
    BatchSearch search(view, searchers, queries, options, left_out, budget, answers, watch, tally);
    return search.run(*searcher, queue, workers);
  };
  const auto body = [&](std::size_t worker, std::size_t, unsigned) {
    try {
      shares[worker].outcome = work(shares[worker].tally);
    } catch (...) {
      shares[worker].thrown = std::current_exception();
    }
  };
  if (workers <= 1) {
    body(0, 1, 0);
  } else {
    searchers.executor().parallel_for(workers, 1, body);
  }
  for (const Share& share : shares)
    if (share.thrown) std::rethrow_exception(share.thrown);
  for (const Share& share : shares) VECSTORE_TRY(share.outcome);
  if (queue.is_stopped()) return cancelled();
  watch.finish();
  for (const Share& share : shares) counters.add(share.tally);
  return Status::ok();
}

}  // namespace vecstore
