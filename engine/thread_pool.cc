// SPDX-License-Identifier: Apache-2.0
#include "engine/thread_pool.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "base/check.h"
#include "base/limits.h"

#ifdef VECSTORE_THREADS_STD
#include <atomic>
#include <stop_token>
#include <vector>

#include "base/mutex.h"
#else
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#endif

namespace vecstore {
namespace {

unsigned resolve_thread_count(unsigned threads) {
  const unsigned wanted = threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  return std::min<unsigned>(wanted, kThreadsMax);
}

// Ranges depend on count and grain alone, so that results never depend on the number of threads.
std::size_t range_count(std::size_t count, std::size_t grain) { return count / grain + (count % grain != 0 ? 1 : 0); }

#ifdef VECSTORE_THREADS_STD

// Workers wait for a job (a generation number), then take ranges from a shared counter. The caller is worker 0.
class JthreadExecutor final : public Executor {
 public:
  explicit JthreadExecutor(unsigned threads) : threads_(threads) {
    for (unsigned worker = 1; worker < threads_; ++worker)
      workers_.emplace_back([this, worker](std::stop_token stop) { serve(stop, worker); });
  }

  unsigned thread_count() const override { return threads_; }

  void parallel_for(std::size_t count, std::size_t grain, const Body& body) override {
    VECSTORE_CHECK(grain != 0);
    const MutexLock one_job(jobs_);  // two callers would share worker 0
    const Job job{&body, count, grain};
    {
      const MutexLock lock(mutex_);
      job_ = job;
      next_range_.store(0, std::memory_order_relaxed);
      running_ = threads_ - 1;
      ++generation_;
    }
    started_.notify_all();
    take_ranges(job, 0);
    MutexLock lock(mutex_);
    while (running_ != 0) ended_.wait(lock);
    job_ = {};
  }

 private:
  struct Job {
    const Body* body = nullptr;
    std::size_t count = 0, grain = 1;
  };

  void serve(const std::stop_token& stop, unsigned worker) {
    // With the mutex, so that no worker is between looking for the request and waiting.
    const std::stop_callback wake(stop, [this] {
      const MutexLock lock(mutex_);
      started_.notify_all();
    });
    std::uint64_t seen = 0;
    while (true) {
      MutexLock lock(mutex_);
      while (generation_ == seen && !stop.stop_requested()) started_.wait(lock);
      if (generation_ == seen) return;
      seen = generation_;
      const Job job = job_;
      lock.unlock();
      take_ranges(job, worker);
      lock.lock();
      if (--running_ == 0) ended_.notify_one();
    }
  }

  void take_ranges(const Job& job, unsigned worker) VECSTORE_EXCLUDES(mutex_) {
    const std::size_t ranges = range_count(job.count, job.grain);
    while (true) {
      const std::size_t range = next_range_.fetch_add(1, std::memory_order_relaxed);
      if (range >= ranges) return;
      const std::size_t begin = range * job.grain;
      (*job.body)(begin, job.count - begin < job.grain ? job.count : begin + job.grain, worker);
    }
  }

  const unsigned threads_;
  Mutex jobs_ VECSTORE_ACQUIRED_BEFORE(mutex_);
  Mutex mutex_;
  CondVar started_, ended_;
  Job job_ VECSTORE_GUARDED_BY(mutex_);
  std::atomic<std::size_t> next_range_{0};
  unsigned running_ VECSTORE_GUARDED_BY(mutex_) = 0;
  std::uint64_t generation_ VECSTORE_GUARDED_BY(mutex_) = 0;
  std::vector<std::jthread> workers_;  // last: they must end before the rest goes
};

using PoolExecutor = JthreadExecutor;

#else

// An arena of its own: a slot of the arena is the worker, so workers never collide and never reach thread_count().
class TbbExecutor final : public Executor {
 public:
  explicit TbbExecutor(unsigned threads) : threads_(threads), arena_(static_cast<int>(threads), 1) {}

  unsigned thread_count() const override { return threads_; }

  void parallel_for(std::size_t count, std::size_t grain, const Body& body) override {
    VECSTORE_CHECK(grain != 0);
    // TBB has an exception of its own for a thread that cannot be started.
    try {
      execute(count, grain, body);
    } catch (const std::runtime_error&) {
      throw std::system_error(EAGAIN, std::generic_category());
    }
  }

 private:
  void execute(std::size_t count, std::size_t grain, const Body& body) {
    arena_.execute([&] {
      tbb::parallel_for(
          tbb::blocked_range<std::size_t>(0, range_count(count, grain), 1),
          [&](const tbb::blocked_range<std::size_t>& ranges) {
            const auto worker = static_cast<unsigned>(tbb::this_task_arena::current_thread_index());
            for (std::size_t range = ranges.begin(); range != ranges.end(); ++range) {
              const std::size_t begin = range * grain;
              body(begin, count - begin < grain ? count : begin + grain, worker);
            }
          },
          tbb::simple_partitioner());
    });
  }

  const unsigned threads_;
  tbb::task_arena arena_;
};

using PoolExecutor = TbbExecutor;

#endif

}  // namespace

std::unique_ptr<Executor> make_executor(unsigned threads) {
  const unsigned count = resolve_thread_count(threads);
  if (count == 1) return std::make_unique<SerialExecutor>();
#ifndef VECSTORE_THREADS_STD
  // More threads than processors are a caller's choice, about which TBB would otherwise warn on stderr.
  static const tbb::global_control as_asked(tbb::global_control::max_allowed_parallelism, kThreadsMax);
#endif
  return std::make_unique<PoolExecutor>(count);
}

}  // namespace vecstore
