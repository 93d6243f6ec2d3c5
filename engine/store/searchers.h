// SPDX-License-Identifier: Apache-2.0
//
// What searches of an open store share: searchers over its content, lent to one search at a time, and the threads that
// a batch is divided among.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/content/content.h"
#include "engine/options.h"
#include "engine/store/searcher_pool.h"
#include "graph/in_flight_target.h"

namespace vecstore {

// Thread-safe.
class Searchers {
 public:
  // Makes options.searchers searchers, with `lanes` each, over `content`, whose cache has been filled; both must
  // outlive them. `delta`: of rows that are there or may come, with their dimension; nullopt: none, or it is not known.
  // Errors: kMemoryBudget, kUnsupported (backend).
  static Result<std::unique_ptr<Searchers>> create(const Content& content, const std::optional<DeltaShape>& delta,
                                                   const OpenOptions& options, std::uint32_t lanes,
                                                   MemoryBudget& budget);
  Searchers(const Searchers&) = delete;
  Searchers& operator=(const Searchers&) = delete;

  SearcherPool& pool() { return pool_; }
  // Where lanes were not asked for: what all searchers together keep under way. nullptr: as many as they have lanes.
  InFlightTarget* in_flight() { return follows_ ? &in_flight_ : nullptr; }
  // Has as many threads as there are searchers; made when a batch is divided for the first time.
  Executor& executor();

  std::uint32_t lanes() const { return lanes_; }  // lanes of each searcher; 0: every page is cached
  std::uint64_t bytes() const { return bytes_; }  // bytes taken of the budget
  std::string backend() const;                    // in use; "none": nothing is read
  std::string fallback() const;                   // why, when it is not the one asked for

 private:
  Searchers() = default;
  const PageReader* reader_that_tells() const;

  InFlightTarget in_flight_;
  SearcherPool pool_;
  bool follows_ = false;
  std::uint32_t lanes_ = 0;
  std::uint64_t bytes_ = 0;
  std::vector<const PageReader*> readers_;  // of the searchers in the pool
  std::once_flag executor_made_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace vecstore
