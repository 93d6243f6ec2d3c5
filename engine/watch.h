// SPDX-License-Identifier: Apache-2.0
//
// What a call that takes long does between two steps: it ends when it was cancelled, and tells how far it is.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/cancel_token.h"
#include "base/clock.h"
#include "base/status.h"
#include "engine/progress.h"

namespace vecstore {

// For the thread that made the call, while its options live.
class Watch {
 public:
  Watch(const ProgressFunction& progress, const CancelToken* cancel, Clock& clock)
      : progress_(progress), cancel_(cancel), clock_(clock) {}

  const CancelToken* cancel() const { return cancel_; }

  // Tells at most four times a second, but of each phase the first time and the end.
  void tell(const Progress& progress) {
    if (!progress_) return;
    const auto now = clock_.now();
    const bool is_end = progress.total != 0 && progress.done == progress.total;
    if (has_told_ && phase_ == progress.phase && !is_end && now - told_ < kInterval) return;
    has_told_ = true;
    told_ = now;
    phase_ = progress.phase;
    progress_(progress);
  }

  // Errors: kCancelled.
  Status step(const Progress& progress) {
    VECSTORE_TRY(check_cancelled(cancel_));
    tell(progress);
    return Status::ok();
  }

 private:
  static constexpr auto kInterval = std::chrono::milliseconds(250);

  const ProgressFunction& progress_;
  const CancelToken* const cancel_;
  Clock& clock_;
  Clock::TimePoint told_{};
  bool has_told_ = false;
  Phase phase_ = Phase::kRead;
};

}  // namespace vecstore
