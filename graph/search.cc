// SPDX-License-Identifier: Apache-2.0
#include "graph/search.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::size_t kRoundsTold = 16;  // to the target at a time: one lock for some ten queries

}  // namespace

std::uint64_t GraphSearcher::predict_bytes(const GraphLayout& layout, const CodeForm& form, std::uint32_t lanes) {
  const std::uint64_t reader = PageReader::predict_bytes(kPagesPerRound * std::max(lanes, 1u), layout.page_bytes);
  if (lanes == 0) return reader + MemorySearch::predict_bytes(layout, form);
  return reader + QueryScratch::predict_bytes(layout, form) + lanes * QueryRun::predict_bytes(layout, form);
}

Result<std::unique_ptr<GraphSearcher>> GraphSearcher::create(const SearchIndex& index, Backend backend,
                                                             std::uint32_t lanes, MemoryBudget& budget) {
  VECSTORE_CHECK(lanes >= 1 && lanes <= kLanesMax);
  const bool in_memory = index.walks_in_memory && index.cache->all_pages() != nullptr;
  std::unique_ptr<GraphSearcher> searcher(new GraphSearcher);
  const std::uint32_t in_flight = (in_memory ? 1 : lanes) * kPagesPerRound;
  VECSTORE_ASSIGN(searcher->reader_, PageReader::create(*index.graph, {backend, in_flight}, budget));
  if (in_memory) {
    VECSTORE_ASSIGN(searcher->memory_, MemorySearch::create(index, budget));
  } else {
    VECSTORE_TRY(searcher->make_lanes(index, lanes, budget));
  }
  return searcher;
}

Status GraphSearcher::make_lanes(const SearchIndex& index, std::uint32_t lanes, MemoryBudget& budget) {
  VECSTORE_ASSIGN(scratch_, QueryScratch::create(index, budget));
  lanes_.reserve(lanes);
  for (std::uint32_t i = 0; i < lanes; ++i) {
    VECSTORE_ASSIGN(QueryRun run, QueryRun::create(index, budget));
    lanes_.emplace_back(std::move(run)).arrived.reserve(kPagesPerRound);
  }
  round_.reserve(kPagesPerRound);
  return Status::ok();
}

Result<std::span<const FoundRow>> GraphSearcher::search(const VectorView& queries, std::uint64_t query,
                                                        const SearchParams& params, QueryStats& stats) {
  std::span<const FoundRow> found;
  std::optional<std::uint64_t> waiting = query;
  VECSTORE_TRY(search_all(
      queries, params, [&] { return std::exchange(waiting, std::nullopt); },
      [&](const Answer& answer) {
        found = answer.found;  // the lane keeps it until it starts again
        stats = answer.stats;
        return Status::ok();
      }));
  return found;
}

Status GraphSearcher::search_all(const VectorView& queries, const SearchParams& params, const NextQuery& next,
                                 const TakeAnswer& take) try {
  if (memory_) return search_in_memory(queries, params, next, take);
  more_ = true;
  rounds_ = 0;
  rounds_time_ = {};
  Status outcome = fill_lanes(queries, params, next, take);
  while (outcome.is_ok() && reader_->in_flight() != 0) {
    outcome = collect();
    for (Lane& lane : lanes_) {
      if (!outcome.is_ok()) break;
      if (!lane.busy || lane.missing != 0) continue;
      outcome = take_round(lane);
      if (outcome.is_ok()) outcome = submit_or_finish(lane, take);
    }
    if (outcome.is_ok()) outcome = fill_lanes(queries, params, next, take);
  }
  if (!outcome.is_ok()) abandon();
  return outcome;
} catch (...) {
  abandon();
  throw;
}

Status GraphSearcher::search_in_memory(const VectorView& queries, const SearchParams& params, const NextQuery& next,
                                       const TakeAnswer& take) {
  Answer answer;
  while (const std::optional<std::uint64_t> query = next()) {
    const auto started = std::chrono::steady_clock::now();
    answer.query = *query;
    VECSTORE_ASSIGN(answer.found, memory_->search(queries, *query, params, answer.stats));
    answer.contenders = memory_->contenders();
    answer.constant = memory_->constant();
    answer.latency = std::chrono::steady_clock::now() - started;
    VECSTORE_TRY(take(answer));
  }
  return Status::ok();
}

std::size_t GraphSearcher::lanes_wanted() const {
  if (target_ == nullptr) return lanes_.size();
  return std::min((target_->queries() + at_work_ - 1) / at_work_, lanes_.size());
}

// Starts queries until every lane waits for pages. A query that needs none is done at once.
Status GraphSearcher::fill_lanes(const VectorView& queries, const SearchParams& params, const NextQuery& next,
                                 const TakeAnswer& take) {
  for (Lane& lane : std::span(lanes_).first(lanes_wanted())) {
    while (more_ && !lane.busy) {
      const std::optional<std::uint64_t> query = next();
      more_ = query.has_value();
      if (!more_) return Status::ok();
      lane.busy = true;
      lane.query = *query;
      lane.started = std::chrono::steady_clock::now();
      lane.run.start(queries, *query, params, *scratch_);
      // The device has nothing to do: it gets what is known to be wanted while the scan goes on.
      if (reader_->in_flight() == 0) VECSTORE_TRY(submit(lane));
      VECSTORE_TRY(lane.run.look_on(*scratch_));
      VECSTORE_TRY(submit_or_finish(lane, take));
    }
  }
  return Status::ok();
}

// Hands over what the lane wants and has not asked for yet.
Status GraphSearcher::submit(Lane& lane) {
  const std::span<const std::uint64_t> fresh = lane.run.wanted().subspan(lane.asked);
  if (fresh.empty()) return Status::ok();
  const std::size_t before = reader_->in_flight();
  VECSTORE_TRY(reader_->submit(fresh, static_cast<std::uint32_t>(&lane - lanes_.data())));
  lane.asked += fresh.size();
  lane.asked_at = std::chrono::steady_clock::now();
  lane.missing += reader_->in_flight() - before;
  return Status::ok();
}

// Between rounds, or before the first is complete.
Status GraphSearcher::submit_or_finish(Lane& lane, const TakeAnswer& take) {
  if (!lane.run.wanted().empty()) return submit(lane);
  lane.busy = false;
  return take({lane.query, lane.run.answer(), lane.run.contenders(), lane.run.constant(), lane.run.stats(),
               std::chrono::steady_clock::now() - lane.started});
}

// Waits until some lane may have its round together, and hands every page that has come to its lane.
Status GraphSearcher::collect() {
  std::size_t least = reader_->in_flight();
  for (const Lane& lane : lanes_)
    if (lane.busy) least = std::min(least, lane.missing);
  VECSTORE_ASSIGN(const std::span<const ArrivedPage> arrived, reader_->wait(least));
  const auto now = std::chrono::steady_clock::now();
  for (const ArrivedPage& page : arrived) {
    Lane& lane = lanes_[page.tag];
    lane.arrived.push_back(page);
    if (page.ends_request && --lane.missing == 0) count_round(now - lane.asked_at);
  }
  return Status::ok();
}

// At the end of a batch queries become fewer by themselves, which says nothing about the device.
void GraphSearcher::count_round(std::chrono::nanoseconds took) {
  if (target_ == nullptr || !more_) return;
  ++rounds_;
  rounds_time_ += took;
  if (rounds_ < kRoundsTold) return;
  target_->add_rounds(std::exchange(rounds_, 0), std::exchange(rounds_time_, {}), at_work_ * lanes_wanted());
}

Status GraphSearcher::take_round(Lane& lane) {
  round_.clear();
  for (const std::uint64_t page : lane.run.wanted()) {
    const auto at = std::find_if(lane.arrived.begin(), lane.arrived.end(),
                                 [page](const ArrivedPage& arrived) { return arrived.page == page; });
    VECSTORE_CHECK(at != lane.arrived.end());
    round_.push_back({page, at->bytes});
  }
  const Status taken = lane.run.resume(round_, *scratch_);
  for (const ArrivedPage& page : lane.arrived) reader_->release(page.frame);
  lane.arrived.clear();
  lane.asked = 0;
  return taken;
}

// After an error: nothing stays in flight, every frame and lane is free.
void GraphSearcher::abandon() {
  for (Lane& lane : lanes_) {
    for (const ArrivedPage& page : lane.arrived) reader_->release(page.frame);
    lane.arrived.clear();
    lane.busy = false;
    lane.asked = 0;
    lane.missing = 0;
  }
  while (reader_->in_flight() != 0) {
    const auto arrived = reader_->wait(reader_->in_flight());
    if (!arrived) return;  // the reader has let go of everything
    for (const ArrivedPage& page : *arrived) reader_->release(page.frame);
  }
}

}  // namespace vecstore
