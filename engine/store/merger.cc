// SPDX-License-Identifier: Apache-2.0
#include "engine/store/merger.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/thrown.h"

namespace vecstore {
namespace {

// A merge passes over all rows, so that it pays once a part of them has changed (engine/merge/NOTES.md).
constexpr std::uint64_t kGraphShare = 20;    // a twentieth of the graph's rows
constexpr std::uint64_t kRowsLeast = 4'000;  // and no fewer
constexpr std::uint64_t kRowsOfFirstGraph = 10'000;
// Or half of the memory, where a quarter came since the last merge; or five eighths of the log, where one came.
constexpr std::uint64_t kDeltaShare = 2;
constexpr std::uint64_t kDeltaShareSince = 4;
constexpr std::uint64_t kLogEighths = 5;
constexpr int kNice = 5;  // where all processors are busy a merge gets a third of what another thread gets
constexpr auto kPauseAfterFailure = std::chrono::seconds(30);

}  // namespace

std::uint64_t merge_share_of(std::uint64_t graph_rows) {
  return graph_rows == 0 ? kRowsOfFirstGraph : std::max(kRowsLeast, graph_rows / kGraphShare);
}

bool is_merge_due(const MergeLoad& load, const MergeLeft& left) {
  // What has ended since it was put is in the log all the same.
  const std::uint64_t eighth = load.log_bytes_max / 8;
  if (load.log_bytes >= std::max(kLogEighths * eighth, left.log_bytes + eighth)) return true;
  if (load.delta_rows + load.dead_rows == 0) return false;
  const std::uint64_t enough = merge_share_of(load.graph_rows);
  if (load.delta_rows >= enough || load.dead_rows >= enough) return true;
  return load.delta_bytes >=
         std::max(load.delta_bytes_max / kDeltaShare, left.delta_bytes + load.delta_bytes_max / kDeltaShareSince);
}

Merger::Merger(Calls calls) : calls_(std::move(calls)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

bool Merger::begin() {
  const MutexLock guard(mutex_);
  if (is_stopping_ || std::chrono::steady_clock::now() < not_before_) return false;
  is_due_.store(true, std::memory_order_relaxed);
  changed_.notify_all();
  return true;
}

void Merger::wrote() {
  if (is_due_.load(std::memory_order_relaxed)) return;
  if (is_merge_due(calls_.load(), left())) begin();
}

bool Merger::want_room() {
  if (is_due_.load(std::memory_order_relaxed)) return true;
  const MergeLoad load = calls_.load();
  // Records of rows that have ended alone are worth it too: what came beside the last merge may fill the log.
  const bool is_worth_it = load.delta_rows + load.dead_rows + load.records != 0 || is_merge_due(load, left());
  return is_worth_it && begin();
}

void Merger::stop() {
  {
    const MutexLock guard(mutex_);
    is_stopping_ = true;
    cancel_.cancel();
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Status Merger::last_outcome() const {
  const MutexLock guard(mutex_);
  return outcome_;
}

void Merger::run(const std::stop_token&) {
  MutexLock guard(mutex_);
  while (true) {
    while (!is_stopping_ && !is_due_.load(std::memory_order_relaxed)) changed_.wait(guard);
    if (is_stopping_) return;
    guard.unlock();
    const Status outcome = without_throwing([this] { return calls_.merge(cancel_); });
    const MergeLoad after = calls_.load();
    log_bytes_left_.store(after.log_bytes, std::memory_order_relaxed);
    delta_bytes_left_.store(after.delta_bytes, std::memory_order_relaxed);
    guard.lock();
    outcome_ = outcome;
    if (!outcome.is_ok()) not_before_ = std::chrono::steady_clock::now() + kPauseAfterFailure;
    is_due_.store(false, std::memory_order_relaxed);
  }
}

void run_in_background(const std::function<void()>& work) {
  std::exception_ptr thrown;
  std::jthread([&] {
    // Of this thread alone. In the class SCHED_IDLE it would stand still while others are busy, and writers with it.
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice));
    try {
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace vecstore
