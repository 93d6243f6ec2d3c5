// SPDX-License-Identifier: Apache-2.0
//
// Another executor whose work a CancelToken ends.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "base/cancel_token.h"
#include "base/executor.h"

namespace vecstore {

// Once the token is cancelled, no more bodies are called, and parallel_for() throws Cancelled on its caller's thread.
class CancellableExecutor final : public Executor {
 public:
  // cancel: nullptr: never cancelled.
  CancellableExecutor(std::unique_ptr<Executor> executor, const CancelToken* cancel)
      : executor_(std::move(executor)), cancel_(cancel) {}

  unsigned thread_count() const override { return executor_->thread_count(); }
  void parallel_for(std::size_t count, std::size_t grain, const Body& body) override {
    std::atomic<bool> has_skipped = false;  // the token may have been reset when the last body is done
    executor_->parallel_for(count, grain, [&](std::size_t begin, std::size_t end, unsigned worker) {
      if (cancel_ != nullptr && cancel_->is_cancelled()) {
        has_skipped.store(true, std::memory_order_relaxed);
      } else {
        body(begin, end, worker);
      }
    });
    if (has_skipped.load(std::memory_order_relaxed)) throw Cancelled();
  }

 private:
  const std::unique_ptr<Executor> executor_;
  const CancelToken* const cancel_;
};

}  // namespace vecstore
