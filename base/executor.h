// SPDX-License-Identifier: Apache-2.0
//
// The thread-pool seam. Algorithms take an Executor and never start threads; the engine brings TBB, the race detector's
// build brings std::jthread, a single thread needs nothing.
#pragma once

#include <cstddef>
#include <functional>

namespace vecstore {

class Executor {
 public:
  // `worker` < thread_count() and no two bodies run with the same worker at once: use it to index scratch memory.
  using Body = std::function<void(std::size_t begin, std::size_t end, unsigned worker)>;

  virtual ~Executor() = default;
  virtual unsigned thread_count() const = 0;
  // Covers [0, count) with ranges of at most `grain`, the same ranges whatever the thread count, and returns when all
  // have ended. What one body writes is visible to the caller afterwards. Bodies must not throw and must not call
  // parallel_for of the same executor. An executor that can be cancelled throws Cancelled instead of returning.
  virtual void parallel_for(std::size_t count, std::size_t grain, const Body& body) = 0;
};

class SerialExecutor final : public Executor {
 public:
  unsigned thread_count() const override { return 1; }
  void parallel_for(std::size_t count, std::size_t grain, const Body& body) override {
    for (std::size_t begin = 0; begin < count; begin += grain)
      body(begin, count - begin < grain ? count : begin + grain, 0);
  }
};

}  // namespace vecstore
