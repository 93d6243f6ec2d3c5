// SPDX-License-Identifier: Apache-2.0
//
// A program whose reads and writes are interrupted, or do half of what they were told, when that is asked for: its own
// pread, pwrite, write, open, ftruncate and flock stand before those of the system, and its own io_uring_peek_batch_cqe
// before the library's.
#pragma once

#include <cstdint>

namespace vecstore::test {

enum class Interruption : std::uint8_t {
  kSignal,  // EINTR, nothing done
  kShort,   // part of it done; of at least 8 KiB, because direct transfers are of whole 4 KiB
  kAgain,   // EAGAIN, nothing done; of writes only
  kRing,    // ECANCELED, ENOMEM and EIO in turn; of reads through io_uring only
};

// While it lives, the call of number `first` and each `every`-th after it fares like that; every = 0: only that one.
// Calls of all threads count. One at a time.
class InterruptedCalls {
 public:
  InterruptedCalls(Interruption interruption, std::uint64_t first, std::uint64_t every);
  ~InterruptedCalls();
  InterruptedCalls(const InterruptedCalls&) = delete;
  InterruptedCalls& operator=(const InterruptedCalls&) = delete;

  static std::uint64_t interrupted();  // so far
};

}  // namespace vecstore::test
