// SPDX-License-Identifier: Apache-2.0
#include "engine/store/searchers.h"

#include <algorithm>
#include <utility>

#include "engine/thread_pool.h"

namespace vecstore {
Result<std::unique_ptr<Searchers>> Searchers::create(const Content& content, const std::optional<DeltaShape>& delta,
                                                     const OpenOptions& options, std::uint32_t lanes,
                                                     MemoryBudget& budget) {
  std::unique_ptr<Searchers> searchers(new Searchers());
  searchers->follows_ = options.lanes == 0;
  searchers->lanes_ = content.in_memory() ? 0 : lanes;
  const std::uint64_t used_before = budget.used_bytes();
  const Generation* graph = content.graph();
  SearchIndex index = graph != nullptr ? graph->search_index() : SearchIndex{};
  index.walks_in_memory = content.properties().walks_in_memory;
  for (std::uint32_t i = 0; i < options.searchers; ++i) {
    auto searcher = std::make_unique<StoreSearcher>();
    if (graph != nullptr) {
      VECSTORE_ASSIGN(searcher->graph, GraphSearcher::create(index, options.backend, lanes, budget));
      searchers->readers_.push_back(&searcher->graph->reader());
    }
    // Where rows may come, what scanning them takes is part of what opening takes.
    if (delta) {
      VECSTORE_ASSIGN(searcher->delta, DeltaSearcher::create(*delta, budget));
    }
    searchers->pool_.add(std::move(searcher));
  }
  searchers->bytes_ = budget.used_bytes() - used_before;
  return searchers;
}

// One that had to fall back, if any had to.
const PageReader* Searchers::reader_that_tells() const {
  const auto fell_back = [](const PageReader* reader) { return !reader->fallback_reason().empty(); };
  const auto found = std::ranges::find_if(readers_, fell_back);
  if (found != readers_.end()) return *found;
  return readers_.empty() ? nullptr : readers_.front();
}

std::string Searchers::backend() const {
  const PageReader* reader = reader_that_tells();
  return std::string(reader == nullptr ? "none" : name_of(reader->backend()));
}

std::string Searchers::fallback() const {
  const PageReader* reader = reader_that_tells();
  return std::string(reader == nullptr ? "" : reader->fallback_reason());
}

Executor& Searchers::executor() {
  std::call_once(executor_made_, [this] { executor_ = make_executor(static_cast<unsigned>(pool_.size())); });
  return *executor_;
}

}  // namespace vecstore
