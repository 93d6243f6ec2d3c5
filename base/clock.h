// SPDX-License-Identifier: Apache-2.0
//
// Time where the library behaves by it: pauses before it tries again, intervals that fall due. What is only measured
// and reported takes the system's steady clock itself, and threads that wait for one another wait in real time.
#pragma once

#include <chrono>

namespace vecstore {

// Thread-safe.
class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;  // never goes back
  virtual void sleep_for(std::chrono::nanoseconds time) = 0;

  // The operating system's; lives as long as the process.
  static Clock& system();
};

}  // namespace vecstore
