// SPDX-License-Identifier: Apache-2.0
#include "graph/build.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/check.h"
#include "base/random.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kEdgeBuckets = 64;  // ranges of targets whose edges are sorted side by side
constexpr std::size_t kRowGrain = 16;       // rows per task while searching
constexpr std::size_t kScratchBytesPerWorker = 512 * 1024;
constexpr std::uint32_t kBatchMin = 64;
constexpr std::uint32_t kBatchMax = 8192;
constexpr std::uint32_t kEntrySample = 4096;

std::uint32_t batch_limit(std::uint64_t rows) {
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(rows / 50, kBatchMin, kBatchMax));
}

}  // namespace

// What one thread needs while it searches and prunes.
struct GraphBuilder::Worker {
  struct Entry {
    Candidate candidate;
    bool expanded = false;
  };
  explicit Worker(const QuantizedRows& rows, float alpha) : pruner(rows, alpha) {}

  bool first_visit(std::uint32_t row) {
    std::uint64_t& word = visited[row / 64];
    const std::uint64_t bit = std::uint64_t{1} << (row % 64);
    if ((word & bit) != 0) return false;
    word |= bit;
    touched.push_back(row);
    return true;
  }
  void forget_visits() {
    for (const std::uint32_t row : touched) visited[row / 64] = 0;
    touched.clear();
  }
  // Keeps `pool` sorted and at most `limit` long; returns the place, or limit.
  std::size_t offer(const Candidate& candidate, std::size_t limit) {
    if (pool.size() == limit && !(candidate < pool.back().candidate)) return limit;
    const auto at = std::upper_bound(pool.begin(), pool.end(), candidate,
                                     [](const Candidate& c, const Entry& e) { return c < e.candidate; });
    const auto place = static_cast<std::size_t>(at - pool.begin());
    if (pool.size() == limit) pool.pop_back();
    pool.insert(pool.begin() + static_cast<std::ptrdiff_t>(place), Entry{candidate});
    return place;
  }

  Pruner pruner;
  Buffer<std::uint64_t> visited;
  std::vector<std::uint32_t> touched;
  std::vector<Entry> pool;
  std::vector<Candidate> seen;  // every expanded row, then the pool: what pruning chooses from
  std::vector<std::uint32_t> ids;
  std::vector<std::uint32_t> scratch;
  std::vector<float> distances;
  Charge charge;
};

GraphBuilder::GraphBuilder() = default;
GraphBuilder::GraphBuilder(GraphBuilder&&) noexcept = default;
GraphBuilder& GraphBuilder::operator=(GraphBuilder&&) noexcept = default;
GraphBuilder::~GraphBuilder() = default;

std::uint64_t GraphBuilder::predict_bytes(std::uint64_t rows, const GraphBuildOptions& options, unsigned threads) {
  const std::uint64_t batch = batch_limit(rows);
  const std::uint64_t per_row = std::uint64_t{list_capacity(options)} * 4 + 2 + 1 + kNearestKept * 8 + 4 + 5;
  const std::uint64_t edges =
      batch * (options.max_degree + kNearestKept + std::max(options.max_degree, kNearestKept)) * sizeof(Edge);
  return rows * per_row + edges + threads * (rows / 8 + 8 + kScratchBytesPerWorker);
}

Result<GraphBuilder> GraphBuilder::create(const QuantizedRows& rows, const GraphBuildOptions& options,
                                          Executor& executor, MemoryBudget& budget) {
  GraphBuilder builder;
  builder.rows_ = &rows;
  builder.executor_ = &executor;
  builder.options_ = options;
  builder.options_.max_degree = std::min(options.max_degree, kDegreeMax - 1);
  builder.capacity_ = list_capacity(options);
  builder.batch_max_ = batch_limit(rows.rows());
  const std::uint64_t n = rows.rows();
  VECSTORE_CHECK(options.max_degree >= 1 && options.max_degree <= kDegreeMax && options.build_list >= 1);
  VECSTORE_ASSIGN(builder.edges_, Buffer<std::uint32_t>::allocate(budget, n * builder.capacity_));
  VECSTORE_ASSIGN(builder.degree_, Buffer<std::uint16_t>::allocate(budget, n));
  VECSTORE_ASSIGN(builder.linked_, Buffer<std::uint8_t>::allocate(budget, n));
  VECSTORE_ASSIGN(builder.reached_, Buffer<std::uint8_t>::allocate(budget, n));
  VECSTORE_ASSIGN(builder.frontier_, Buffer<std::uint32_t>::allocate(budget, n));
  VECSTORE_ASSIGN(builder.nearest_, Buffer<std::uint32_t>::allocate(budget, n * kNearestKept));
  VECSTORE_ASSIGN(builder.nearest_distance_, Buffer<float>::allocate(budget, n * kNearestKept));
  const std::size_t batch = builder.batch_max_;
  VECSTORE_ASSIGN(builder.back_edges_, Buffer<Edge>::allocate(budget, batch * options.max_degree));
  VECSTORE_ASSIGN(builder.offers_, Buffer<Edge>::allocate(budget, batch * kNearestKept));
  VECSTORE_ASSIGN(builder.sorted_, Buffer<Edge>::allocate(budget, batch * std::max(options.max_degree, kNearestKept)));
  std::fill(builder.nearest_.begin(), builder.nearest_.end(), kNoPos);
  for (unsigned i = 0; i < executor.thread_count(); ++i) {
    Worker& worker = builder.workers_.emplace_back(rows, options.alpha);
    VECSTORE_ASSIGN(worker.visited, Buffer<std::uint64_t>::allocate(budget, n / 64 + 1));
    VECSTORE_ASSIGN(worker.charge, Charge::take(budget, kScratchBytesPerWorker));
  }
  return builder;
}

Result<Buffer<std::uint32_t>> GraphBuilder::insertion_order(MemoryBudget& budget) const {
  const auto n = static_cast<std::uint32_t>(rows_->rows());
  VECSTORE_ASSIGN(auto order, Buffer<std::uint32_t>::allocate(budget, n));
  std::iota(order.begin(), order.end(), 0u);
  Random random(options_.seed, 1);
  for (std::uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  if (n == 0) return order;
  // The entry: of the first rows of the permutation, the one nearest to their mean.
  const std::uint32_t sample = std::min(n, kEntrySample);
  const std::uint32_t dim = rows_->dim();
  std::vector<float> mean(dim), row(dim);
  for (std::uint32_t i = 0; i < sample; ++i) {
    rows_->decode(order[i], row.data());
    for (std::uint32_t d = 0; d < dim; ++d) mean[d] += row[d] / static_cast<float>(sample);
  }
  std::uint32_t best = 0;
  double best_distance = 0;
  for (std::uint32_t i = 0; i < sample; ++i) {
    rows_->decode(order[i], row.data());
    double distance = 0;
    for (std::uint32_t d = 0; d < dim; ++d) distance += double{row[d] - mean[d]} * (row[d] - mean[d]);
    if (i == 0 || distance < best_distance) {
      best = i;
      best_distance = distance;
    }
  }
  std::swap(order[0], order[best]);
  return order;
}

void GraphBuilder::insert(std::span<const std::uint32_t> rows, const RowProgress& progress) {
  std::size_t done = 0;
  if (entry_ == kNoPos && !rows.empty()) {
    entry_ = rows[0];
    linked_[entry_] = 1;
    inserted_ = 1;
    done = 1;
  }
  while (done < rows.size()) {
    // A batch is blind to itself, so it never outgrows the graph it searches.
    const auto batch = static_cast<std::size_t>(std::min<std::uint64_t>({batch_max_, inserted_, rows.size() - done}));
    run_batch(rows.subspan(done, batch), true);
    done += batch;
    if (progress) progress(done);
  }
}

void GraphBuilder::find_nearest(std::span<const std::uint32_t> rows) {
  if (entry_ == kNoPos) return;
  for (std::size_t done = 0; done < rows.size(); done += batch_max_)
    run_batch(rows.subspan(done, std::min<std::size_t>(batch_max_, rows.size() - done)), false);
}

void GraphBuilder::run_batch(std::span<const std::uint32_t> batch, bool link) {
  executor_->parallel_for(batch.size(), kRowGrain, [&](std::size_t begin, std::size_t end, unsigned worker) {
    for (std::size_t i = begin; i < end; ++i) {
      search(batch[i], workers_[worker]);
      place(batch[i], i, link, workers_[worker]);
    }
  });
  if (link) {
    adopt_lists(batch);
    apply(back_edges_, batch.size() * options_.max_degree,
          [this](std::span<const Edge> group, Worker& worker) { add_edges(group, worker); });
  }
  apply(offers_, batch.size() * kNearestKept, [this](std::span<const Edge> group, Worker& worker) {
    worker.seen.clear();
    for (const Edge& edge : group) worker.seen.push_back({edge.distance, edge.source});
    offer_nearest(group[0].target, worker.seen);
  });
}

// Best-first search for `row` from the entry; leaves the pool and all expanded rows in the worker.
void GraphBuilder::search(std::uint32_t row, Worker& worker) const {
  worker.pool.clear();
  worker.seen.clear();
  const std::size_t limit = options_.build_list;
  worker.first_visit(row);
  const auto score = [&] {
    worker.scratch.resize(worker.ids.size());
    worker.distances.resize(worker.ids.size());
    rows_->distances(row, worker.ids.data(), worker.ids.size(), worker.scratch.data(), worker.distances.data());
  };
  std::size_t next = limit;
  if (worker.first_visit(entry_)) {
    worker.ids.assign(1, entry_);
  } else {
    const auto list = neighbours(row);  // `row` is the entry itself
    worker.ids.assign(list.begin(), list.end());
    for (const std::uint32_t id : worker.ids) worker.first_visit(id);
  }
  while (!worker.ids.empty() || next < worker.pool.size()) {
    if (!worker.ids.empty()) {
      score();
      for (std::size_t i = 0; i < worker.ids.size(); ++i)
        next = std::min(next, worker.offer({worker.distances[i], worker.ids[i]}, limit));
      worker.ids.clear();
    }
    while (next < worker.pool.size() && worker.pool[next].expanded) ++next;
    if (next >= worker.pool.size()) break;
    worker.pool[next].expanded = true;
    const Candidate expanded = worker.pool[next].candidate;
    worker.seen.push_back(expanded);
    for (const std::uint32_t neighbour : neighbours(expanded.row))
      if (worker.first_visit(neighbour)) worker.ids.push_back(neighbour);
    ++next;
  }
  worker.forget_visits();
}

// Chooses the neighbours of `row` from what its search saw; writes them to the row's slot of the edge tables.
void GraphBuilder::place(std::uint32_t row, std::size_t slot, bool link, Worker& worker) {
  for (const Worker::Entry& entry : worker.pool)
    if (!entry.expanded) worker.seen.push_back(entry.candidate);
  if (linked_[row] != 0) see_list(row, worker);
  std::sort(worker.seen.begin(), worker.seen.end());
  worker.seen.erase(std::unique(worker.seen.begin(), worker.seen.end()), worker.seen.end());

  Edge* offers = offers_.data() + slot * kNearestKept;
  for (std::uint32_t i = 0; i < kNearestKept; ++i) {
    const bool filled = i < worker.seen.size();
    offers[i] = filled ? Edge{worker.seen[i].row, row, worker.seen[i].distance} : Edge{kNoPos, row, 0};
  }
  offer_nearest(row, std::span(worker.seen).first(std::min<std::size_t>(kNearestKept, worker.seen.size())));
  if (!link) return;

  const auto kept = worker.pruner.prune(worker.seen, options_.max_degree);
  Edge* edges = back_edges_.data() + slot * options_.max_degree;
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < options_.max_degree; ++i) {
    if (i >= kept.size()) {
      edges[i] = {kNoPos, row, 0};
      continue;
    }
    while (worker.seen[at].row != kept[i]) at = at + 1 == worker.seen.size() ? 0 : at + 1;
    edges[i] = {kept[i], row, worker.seen[at].distance};
  }
}

// The new lists of the batch take effect together, after all its searches.
void GraphBuilder::adopt_lists(std::span<const std::uint32_t> batch) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Edge* edges = back_edges_.data() + i * options_.max_degree;
    std::uint16_t degree = 0;
    std::uint32_t* list = edges_.data() + std::size_t{batch[i]} * capacity_;
    while (degree < options_.max_degree && edges[degree].target != kNoPos) {
      list[degree] = edges[degree].target;
      ++degree;
    }
    degree_[batch[i]] = degree;
    if (linked_[batch[i]] == 0) ++inserted_;
    linked_[batch[i]] = 1;
  }
}

// Groups edges by target, sources ascending, and hands each group to one worker.
void GraphBuilder::apply(Buffer<Edge>& edges, std::size_t used,
                         const std::function<void(std::span<const Edge>, Worker&)>& group) {
  const std::uint64_t n = rows_->rows();
  const auto bucket_of = [n](std::uint32_t target) {
    return static_cast<std::size_t>(std::uint64_t{target} * kEdgeBuckets / n);
  };
  std::array<std::size_t, kEdgeBuckets + 1> begin{};
  for (std::size_t i = 0; i < used; ++i)
    if (edges[i].target != kNoPos) ++begin[bucket_of(edges[i].target) + 1];
  for (std::size_t b = 0; b < kEdgeBuckets; ++b) begin[b + 1] += begin[b];
  std::array<std::size_t, kEdgeBuckets + 1> at = begin;
  for (std::size_t i = 0; i < used; ++i)
    if (edges[i].target != kNoPos) sorted_[at[bucket_of(edges[i].target)]++] = edges[i];
  executor_->parallel_for(kEdgeBuckets, 1, [&](std::size_t first, std::size_t last, unsigned worker) {
    for (std::size_t b = first; b < last; ++b) {
      Edge* low = sorted_.data() + begin[b];
      Edge* high = sorted_.data() + begin[b + 1];
      std::sort(low, high, [](const Edge& x, const Edge& y) {
        return x.target != y.target ? x.target < y.target : x.source < y.source;
      });
      while (low != high) {
        Edge* end = std::find_if(low, high, [low](const Edge& edge) { return edge.target != low->target; });
        group({low, end}, workers_[worker]);
        low = end;
      }
    }
  });
}

void GraphBuilder::add_edges(std::span<const Edge> group, Worker& worker) {
  const std::uint32_t target = group[0].target;
  std::uint32_t* list = edges_.data() + std::size_t{target} * capacity_;
  std::uint32_t degree = degree_[target];
  worker.seen.clear();
  for (const Edge& edge : group)
    if (std::find(list, list + degree, edge.source) == list + degree)
      worker.seen.push_back({edge.distance, edge.source});
  if (degree + worker.seen.size() <= capacity_) {
    for (const Candidate& candidate : worker.seen) list[degree++] = candidate.row;
    degree_[target] = static_cast<std::uint16_t>(degree);
    return;
  }
  prune_list(target, worker);
}

// Prunes the list of `row`, together with what is in worker.seen, to max_degree.
void GraphBuilder::prune_list(std::uint32_t row, Worker& worker) {
  see_list(row, worker);
  std::sort(worker.seen.begin(), worker.seen.end());
  const auto kept = worker.pruner.prune(worker.seen, options_.max_degree);
  std::copy(kept.begin(), kept.end(), edges_.data() + std::size_t{row} * capacity_);
  degree_[row] = static_cast<std::uint16_t>(kept.size());
}

// Adds the present neighbours of `row` to worker.seen.
void GraphBuilder::see_list(std::uint32_t row, Worker& worker) const {
  const auto list = neighbours(row);
  worker.scratch.resize(list.size());
  worker.distances.resize(list.size());
  rows_->distances(row, list.data(), list.size(), worker.scratch.data(), worker.distances.data());
  for (std::size_t i = 0; i < list.size(); ++i) worker.seen.push_back({worker.distances[i], list[i]});
}

// Merges sorted or unsorted candidates into the nearest neighbours kept of `row`.
void GraphBuilder::offer_nearest(std::uint32_t row, std::span<const Candidate> candidates) {
  std::uint32_t* ids = nearest_.data() + std::size_t{row} * kNearestKept;
  float* distances = nearest_distance_.data() + std::size_t{row} * kNearestKept;
  for (const Candidate& candidate : candidates) {
    const Candidate last{distances[kNearestKept - 1], ids[kNearestKept - 1]};
    if (last.row != kNoPos && !(candidate < last)) continue;
    if (std::find(ids, ids + kNearestKept, candidate.row) != ids + kNearestKept) continue;
    std::uint32_t at = kNearestKept - 1;
    for (; at > 0 && (ids[at - 1] == kNoPos || candidate < Candidate{distances[at - 1], ids[at - 1]}); --at) {
      ids[at] = ids[at - 1];
      distances[at] = distances[at - 1];
    }
    ids[at] = candidate.row;
    distances[at] = candidate.distance;
  }
}

std::span<const std::uint32_t> GraphBuilder::nearest(std::uint32_t row) const {
  const std::uint32_t* ids = nearest_.data() + std::size_t{row} * kNearestKept;
  return {ids, std::find(ids, ids + kNearestKept, kNoPos)};
}

// Marks what edges lead to from `row`, itself included.
void GraphBuilder::mark_reachable_from(std::uint32_t row) {
  std::size_t waiting = 0;  // a row waits once at most, so the frontier has room for all
  reached_[row] = 1;
  frontier_[waiting++] = row;
  while (waiting > 0) {
    for (const std::uint32_t neighbour : neighbours(frontier_[--waiting])) {
      if (reached_[neighbour] != 0) continue;
      reached_[neighbour] = 1;
      frontier_[waiting++] = neighbour;
    }
  }
}

void GraphBuilder::trim() {
  executor_->parallel_for(rows_->rows(), 256, [&](std::size_t begin, std::size_t end, unsigned index) {
    Worker& worker = workers_[index];
    for (auto row = static_cast<std::uint32_t>(begin); row < end; ++row) {
      if (degree_[row] <= options_.max_degree) continue;
      worker.seen.clear();
      prune_list(row, worker);
    }
  });
}

std::uint64_t GraphBuilder::connect() {
  if (entry_ == kNoPos) return 0;
  const std::uint32_t room = std::min(capacity_, kDegreeMax);
  std::fill(reached_.begin(), reached_.end(), std::uint8_t{0});
  mark_reachable_from(entry_);
  std::uint64_t orphans = 0;
  std::uint32_t spare = 0;
  Worker& worker = workers_[0];
  for (std::uint32_t row = 0; row < rows_->rows(); ++row) {
    if (reached_[row] != 0 || linked_[row] == 0) continue;
    ++orphans;
    // The nearest row that has a path and room takes it as a neighbour. Nothing is evicted, so no path is lost.
    search(row, worker);
    for (const Worker::Entry& entry : worker.pool)
      if (!entry.expanded) worker.seen.push_back(entry.candidate);
    std::sort(worker.seen.begin(), worker.seen.end());
    std::uint32_t host = kNoPos;
    for (const Candidate& candidate : worker.seen) {
      if (reached_[candidate.row] == 0 || degree_[candidate.row] >= room) continue;
      host = candidate.row;
      break;
    }
    // Many equal rows fill every list a search sees; then the next row anywhere that has room does.
    for (; host == kNoPos; ++spare) {
      VECSTORE_CHECK(spare < rows_->rows());  // every row brings room for more than the one edge it needs
      if (reached_[spare] != 0 && degree_[spare] < room) host = spare;
    }
    edges_[std::size_t{host} * capacity_ + degree_[host]++] = row;
    mark_reachable_from(row);
  }
  return orphans;
}

void GraphBuilder::check_invariants() const {
  const std::uint64_t n = rows_->rows();
  std::vector<std::uint32_t> ids;
  for (std::uint32_t row = 0; row < n; ++row) {
    VECSTORE_CHECK(degree_[row] <= capacity_ && (linked_[row] != 0 || degree_[row] == 0));
    for (const auto list : {neighbours(row), nearest(row)}) {
      ids.assign(list.begin(), list.end());
      std::sort(ids.begin(), ids.end());
      VECSTORE_CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
      for (const std::uint32_t id : ids) VECSTORE_CHECK(id < n && id != row);
    }
    for (const std::uint32_t neighbour : neighbours(row)) VECSTORE_CHECK(linked_[neighbour] != 0);
    const float* distances = nearest_distance_.data() + std::size_t{row} * kNearestKept;
    VECSTORE_CHECK(std::is_sorted(distances, distances + nearest(row).size()));
  }
}

}  // namespace vecstore
