// SPDX-License-Identifier: Apache-2.0
//
// What the disk and the kernel give without our layer: random reads by a bare io_uring loop, nothing verified. The
// ceiling that the share of the device is a share of.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "pagestore/page_file.h"

namespace vecstore::bench {

using Clock = std::chrono::steady_clock;

struct ReadOutcome {
  std::uint64_t reads = 0;
  double seconds = 0;
  double cpu_seconds = 0;
  std::vector<float> latencies_us;

  double iops() const { return seconds > 0 ? static_cast<double>(reads) / seconds : 0; }
  double percentile(double part) const;  // sorts nothing: latencies_us must be sorted; 0 when there are none
};

// Keeps `depth` reads of 4 KiB of random places of the file in flight until the time is over: one registered file,
// registered buffers, `flags` as of io_uring_setup(2). Adds to `out`; sets no time. Errors: kUnsupported, kIo.
Status read_raw(const PageFile& file, unsigned flags, std::uint32_t depth, double seconds, std::uint64_t seed,
                ReadOutcome& out);

// Reads a second that the file's device gives at 64 reads in flight, the best of three seconds; 0 where io_uring is
// refused.
double device_ceiling(const PageFile& file);

}  // namespace vecstore::bench
