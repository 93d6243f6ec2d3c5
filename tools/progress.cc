// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "tools/output.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

std::string format_rate(double per_second) {
  if (per_second >= 1e6) return fmt::format("{:.1f}M/s", per_second / 1e6);
  if (per_second >= 1e3) return fmt::format("{:.1f}k/s", per_second / 1e3);
  return fmt::format("{:.0f}/s", per_second);
}

std::string format_seconds(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::llround(std::clamp(seconds, 0.0, 1e7)));
  if (whole < 120) return fmt::format("{} s", whole);
  return whole < 7200 ? fmt::format("{} min", whole / 60) : fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

std::string bar(std::uint64_t done, std::uint64_t total) {
  constexpr std::size_t kCells = 24;
  const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  const auto full = static_cast<std::size_t>(std::min(share, 1.0) * kCells);
  return fmt::format("[{:#<{}}{:.<{}}]", "", full, "", kCells - full);
}

}  // namespace

std::string describe_progress(std::string_view phase, std::uint64_t done, std::uint64_t total, double per_second,
                              std::uint64_t memory_bytes) {
  if (total == 0) return fmt::format("{} {}", phase, done);
  const double percent = total == 0 ? 100.0 : 100.0 * static_cast<double>(done) / static_cast<double>(total);
  std::string line = fmt::format("{} {:.0f}% ({}/{})", phase, std::min(percent, 100.0), done, total);
  if (per_second > 0) {
    line += fmt::format(" {}", format_rate(per_second));
    if (done < total) line += fmt::format(", {} left", format_seconds(static_cast<double>(total - done) / per_second));
  }
  if (memory_bytes != 0) line += fmt::format(", {}", format_size(memory_bytes));
  return line;
}

ProgressPrinter::ProgressPrinter(bool quiet)
    : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1), last_(Clock::now()) {}

ProgressPrinter::~ProgressPrinter() { clear(); }

void ProgressPrinter::update(std::string_view phase, std::uint64_t done, std::uint64_t total,
                             std::uint64_t memory_bytes) {
  if (quiet_) return;
  const Clock::time_point now = Clock::now();
  if (phase != phase_) {
    phase_ = phase;
    phase_start_ = now;
    phase_first_done_ = done;
  }
  const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(2000);
  if (now - last_ < interval) return;
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - phase_start_).count();
  const double rate = elapsed > 0.05 ? static_cast<double>(done - std::min(done, phase_first_done_)) / elapsed : 0.0;
  const std::string line = describe_progress(phase, done, total, rate, memory_bytes);
  if (terminal_) {
    print_error("\r{} {}\x1b[K", bar(done, total), line);
    drawn_ = true;
  } else {
    print_error("{}\n", line);
  }
}

void ProgressPrinter::clear() {
  if (!drawn_) return;
  write_error("\r\x1b[K");
  drawn_ = false;
}

}  // namespace vecstore::tools
