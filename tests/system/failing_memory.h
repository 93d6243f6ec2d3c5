// SPDX-License-Identifier: Apache-2.0
//
// A program in which memory runs out when it is told to: its own operator new, posix_memalign and mmap stand before
// those of the system. What the simulated disk takes for itself does not count.
#pragma once

#include <cstdint>

namespace vecstore::test {

// One at a time. Requests of all threads count, within during() alone.
class FailingMemory {
 public:
  // The request of this number, from 0, is refused; `for_good`: and all after it.
  FailingMemory(std::uint64_t at, bool for_good);
  ~FailingMemory() = default;
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;

  template <typename Call>
  auto during(const Call& call) {
    const Armed armed;
    return call();
  }
  static std::uint64_t requests();
  bool has_struck() const { return requests() > at_; }

 private:
  struct Armed {
    Armed();
    ~Armed();
  };
  std::uint64_t at_;
};

}  // namespace vecstore::test
