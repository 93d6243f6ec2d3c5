// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/open_plan.h"

#include <algorithm>
#include <optional>

#include "graph/search.h"
#include "pagestore/page_cache.h"

namespace vecstore {
namespace {

// Lanes of a searcher, where they were not asked for: its share of what is under way in all, between these two
// (graph/NOTES.md). Their frames are locked in memory, of which a user may have 8 MiB in all: a quarter for each at
// most.
constexpr std::uint32_t kLanesLeast = 8;
constexpr std::uint32_t kLanesMost = 16;
constexpr std::uint32_t kLanesFirst = 4;  // lanes of each, or its share: come before the cache where memory is short
constexpr std::uint32_t kFrameBytesMost = 2u << 20;
constexpr std::uint64_t kReaderBytes = 2u << 20;  // the window of the replay
constexpr std::uint64_t kFindingBytes = 5u << 20;
constexpr std::uint64_t kFillBytes = 128u << 10;  // the reader that fills the cache, beside the ranking

FileShape shape_of(const GraphLayout& layout) { return {layout.page_bytes, layout.pages()}; }

std::uint64_t ranking_bytes(std::uint64_t pages) { return pages * sizeof(std::uint32_t); }

// Fewer pages than asked for is an error, not a surprise; nullopt: what the budget leaves.
std::optional<std::uint64_t> pages_asked_for(const FileShape& graph, const OpenOptions& options) {
  if (options.cache_fraction)
    return static_cast<std::uint64_t>(*options.cache_fraction * static_cast<double>(graph.pages));
  if (options.cache_bytes) return PageCache::pages_within(graph, *options.cache_bytes);
  if (options.ram_bytes == 0) return 0;
  return std::nullopt;
}

// What a reader may come to need of what is left: for looking up keys, and for what a refresh brings.
std::uint64_t growing_bytes(const OpenFacts& facts, const OpenOptions& options, std::uint64_t left) {
  if (options.access != Access::kRead || options.ram_bytes == 0) return 0;
  const std::uint64_t finding = facts.keeps_keys ? std::min(kFindingBytes, left / 16) : 0;
  return finding + (facts.has_log ? std::max(kReaderBytes, left / 8) : 0);
}

}  // namespace

std::uint64_t caching_bytes(const FileShape& graph, std::uint64_t pages) {
  return pages == 0 ? 0 : PageCache::bytes_for(graph, pages) + kFillBytes + ranking_bytes(pages);
}

std::uint64_t in_memory_bytes(const GraphLayout& layout, const CodeForm& form, std::uint64_t searchers) {
  return caching_bytes(shape_of(layout), layout.pages()) + searchers * GraphSearcher::predict_bytes(layout, form, 0);
}

OpenPlan plan_open(const OpenFacts& facts, const OpenOptions& options, std::uint64_t left) {
  const FileShape graph = shape_of(facts.layout);
  left -= std::min(left, options.searchers * facts.delta_searcher_bytes);
  left -= std::min(left, growing_bytes(facts, options, left));
  const auto needed_by = [&](std::uint32_t lanes_each) {
    return options.searchers * GraphSearcher::predict_bytes(facts.layout, facts.form, lanes_each);
  };
  std::optional<std::uint64_t> pages = pages_asked_for(graph, options);
  // Merges come before the cache, but after the first queries in progress.
  const std::uint64_t searching = needed_by(kLanesFirst);
  if (!pages) left -= std::min(facts.merge_bytes, left - std::min(left, searching));
  const bool walks = facts.walks_in_memory;
  if (!pages && caching_bytes(graph, graph.pages) + needed_by(walks ? 0 : 1) <= left) pages = graph.pages;
  const std::uint32_t lanes_most =
      std::min(std::clamp(InFlightTarget::kMost / options.searchers, kLanesLeast, kLanesMost),
               kFrameBytesMost / (kPagesPerRound * graph.page_bytes));
  // The most for which `bytes` beyond those of one lane are enough.
  const auto lanes_within = [&](std::uint64_t bytes) {
    std::uint32_t most = lanes_most;
    while (most > 1 && needed_by(most) > needed_by(1) + bytes) --most;
    return most;
  };
  // Reads in flight keep the device busy; cached pages need no device. So where memory is short the first few lanes
  // come before the cache. Further ones get half of what it would get, and all where that half would hold no page. They
  // get nothing of a cache whose size was asked for.
  const std::uint64_t cached = caching_bytes(graph, pages.value_or(0));
  const std::uint64_t spare = left - std::min(left, cached + needed_by(1));
  const std::uint32_t lanes_first =
      std::min(std::clamp(InFlightTarget::kMost / options.searchers, 1u, kLanesFirst), lanes_within(spare));
  OpenPlan plan;
  plan.lanes = options.lanes == 0 ? std::max(lanes_first, lanes_within(pages ? spare : spare / 2)) : options.lanes;
  if (!pages) {
    const std::uint64_t taken = needed_by(plan.lanes) + kFillBytes + ranking_bytes(graph.pages);
    pages = taken >= left ? 0 : PageCache::pages_within(graph, left - taken);
    if (*pages == 0 && options.lanes == 0) plan.lanes = lanes_within(spare);
    // All of them would be searched in another way, for which there is no room.
    if (walks && *pages == graph.pages && *pages != 0) --*pages;
  }
  plan.pages = *pages;
  return plan;
}

std::uint64_t least_bytes(const LeastFacts& facts, const OpenOptions& options) {
  const OpenFacts& open = facts.open;
  std::uint64_t searching = options.searchers * open.delta_searcher_bytes;
  if (open.has_graph) {
    const FileShape graph = shape_of(open.layout);
    const std::uint64_t pages = pages_asked_for(graph, options).value_or(0);
    const bool whole = pages != 0 && pages == graph.pages;
    searching += options.searchers *
                 GraphSearcher::predict_bytes(open.layout, open.form, whole ? 0 : std::max(options.lanes, 1u));
    // The least reader goes page by page, within what loading takes anyway.
    if (pages != 0) searching += PageCache::bytes_for(graph, pages) + ranking_bytes(pages) + facts.loading_bytes;
  }
  // One after the other: codes are loaded, the log is replayed, searchers are made beside what that left.
  return facts.resident_bytes + facts.rows_bytes +
         std::max({facts.loading_bytes, facts.replaying_bytes, facts.replayed_bytes + searching});
}

}  // namespace vecstore
