// SPDX-License-Identifier: Apache-2.0
//
// How a call that takes long is stopped from outside: by another thread, or by a signal handler.
#pragma once

#include <atomic>

#include "base/status.h"

namespace vecstore {

// A caller hands it to calls in their options, and keeps it until they have returned. One token may stop many calls.
class CancelToken {
 public:
  // Calls that have the token end with kCancelled, within 200 ms as a rule. Any thread may call this, at any time. So
  // may a signal handler: it only stores into a lock-free atomic.
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  // Calls that begin from now on run again. Those that have the token still may end either way, but never halfway.
  void reset() noexcept { cancelled_.store(false, std::memory_order_relaxed); }
  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

 private:
  static_assert(std::atomic<bool>::is_always_lock_free);
  std::atomic<bool> cancelled_{false};
};

// The second where there is a token and it was cancelled.
inline Status cancelled() { return {Code::kCancelled, "the call was cancelled"}; }
inline Status check_cancelled(const CancelToken* token) {
  return token != nullptr && token->is_cancelled() ? cancelled() : Status::ok();
}

// Thrown where work is spread over threads and no Status comes back; status_of_exception() makes one of it.
struct Cancelled {};

inline void throw_if_cancelled(const CancelToken* token) {
  if (token != nullptr && token->is_cancelled()) throw Cancelled();
}

}  // namespace vecstore
