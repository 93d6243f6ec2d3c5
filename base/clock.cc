// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <thread>

namespace vecstore {
namespace {

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  void sleep_for(std::chrono::nanoseconds time) override { std::this_thread::sleep_for(time); }
};

}  // namespace

Clock& Clock::system() {
  static SystemClock clock;
  return clock;
}

}  // namespace vecstore
