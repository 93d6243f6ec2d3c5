// SPDX-License-Identifier: Apache-2.0
//
// Progress on stderr: on a terminal one line that is drawn over itself, with phase, bar, share, rate, time left and
// memory; elsewhere plain lines, at most one every two seconds; nothing at all when quiet. Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace vecstore::tools {

class ProgressPrinter {
 public:
  explicit ProgressPrinter(bool quiet);
  ~ProgressPrinter();  // clears the line
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  // `memory_bytes` 0: not shown.
  void update(std::string_view phase, std::uint64_t done, std::uint64_t total, std::uint64_t memory_bytes = 0);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  const bool quiet_;
  const bool terminal_;
  bool drawn_ = false;
  std::string phase_;
  std::uint64_t phase_first_done_ = 0;
  Clock::time_point phase_start_;
  Clock::time_point last_;  // drawn; at first the start, so that what ends at once shows nothing
};

// What one line says, without the bar: "graph 42% (126000/300000) 51.2k/s, 3 s left, 120.0 MiB".
std::string describe_progress(std::string_view phase, std::uint64_t done, std::uint64_t total, double per_second,
                              std::uint64_t memory_bytes);

}  // namespace vecstore::tools
