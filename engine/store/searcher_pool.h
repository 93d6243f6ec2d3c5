// SPDX-License-Identifier: Apache-2.0
//
// The searchers of an open store, lent to one search at a time.
#pragma once

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "base/cancel_token.h"
#include "base/mutex.h"
#include "base/status.h"
#include "engine/live/delta_search.h"
#include "graph/search.h"

namespace vecstore {

// What one search needs: nothing for a graph that is not there, nothing for a delta until it has rows.
struct StoreSearcher {
  std::unique_ptr<GraphSearcher> graph;
  std::unique_ptr<DeltaSearcher> delta;
};

// Thread-safe.
class SearcherPool {
 public:
  // Gives the searcher back when it goes.
  class Loan {
   public:
    Loan(SearcherPool& pool, std::unique_ptr<StoreSearcher> searcher) : pool_(&pool), searcher_(std::move(searcher)) {}
    Loan(Loan&&) noexcept = default;
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (searcher_) pool_->give_back(std::move(searcher_));
    }
    StoreSearcher& operator*() const { return *searcher_; }

   private:
    SearcherPool* pool_;
    std::unique_ptr<StoreSearcher> searcher_;
  };

  void add(std::unique_ptr<StoreSearcher> searcher) {
    ++size_;
    give_back(std::move(searcher));
  }
  std::size_t size() const { return size_; }
  std::size_t lent() const {
    const MutexLock guard(lock_);
    return size_ - free_.size();
  }

  // Waits until one is free. Errors: kCancelled.
  Result<Loan> borrow(const CancelToken* cancel) {
    MutexLock guard(lock_);
    while (free_.empty()) {
      VECSTORE_TRY(check_cancelled(cancel));
      if (cancel == nullptr) {
        free_again_.wait(guard);
      } else {  // a signal handler wakes nobody
        free_again_.wait_until(guard, std::chrono::steady_clock::now() + kCancelPause);
      }
    }
    std::unique_ptr<StoreSearcher> searcher = std::move(free_.back());
    free_.pop_back();
    return Loan(*this, std::move(searcher));
  }

 private:
  static constexpr auto kCancelPause = std::chrono::milliseconds(50);

  void give_back(std::unique_ptr<StoreSearcher> searcher) VECSTORE_EXCLUDES(lock_) {
    {
      const MutexLock guard(lock_);
      free_.push_back(std::move(searcher));
    }
    free_again_.notify_one();
  }

  mutable Mutex lock_;
  CondVar free_again_;
  std::vector<std::unique_ptr<StoreSearcher>> free_ VECSTORE_GUARDED_BY(lock_);
  std::size_t size_ = 0;  // add() changes it, before searches begin
};

}  // namespace vecstore
