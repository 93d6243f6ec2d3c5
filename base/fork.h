// SPDX-License-Identifier: Apache-2.0
//
// What fork() does to us. A child has the memory of its parent and copies of its descriptors, but none of its threads.
// What those threads were changing it has half changed. So whatever is open belongs to the process that opened it: its
// owner remembers process_mark() and compares it later. What that means for a store: engine/store/README.md.
//
// Only fork() is noticed, by pthread_atfork: not a raw clone(2) nor _Fork(), after which little of the C library works.
#pragma once

#include <atomic>
#include <cstdint>

namespace vecstore {

namespace detail {
extern std::atomic<std::uint64_t> process_mark;
}  // namespace detail

// A number of this process that its children do not share. One load from memory.
inline std::uint64_t process_mark() { return detail::process_mark.load(std::memory_order_relaxed); }

// No fork() happens in any thread while one of these lives; it waits. Whoever holds one must not fork itself.
class ForkBarrier {
 public:
  ForkBarrier();
  ~ForkBarrier();
  ForkBarrier(const ForkBarrier&) = delete;
  ForkBarrier& operator=(const ForkBarrier&) = delete;
};

// A descriptor that no child may keep, since what it stands for lasts as long as its last copy: a lock, a ring. Before
// fork() returns in a child, the child closes its copy and finds −1 in the variable.
//
// The barrier must stand from before the descriptor is opened until it is kept. It must stand again from before the
// descriptor is given up until it is closed. So no child ever has a copy that nobody knows of.
class UnsharedDescriptor {
 public:
  UnsharedDescriptor() = default;
  ~UnsharedDescriptor();  // must have been given up
  UnsharedDescriptor(const UnsharedDescriptor&) = delete;
  UnsharedDescriptor& operator=(const UnsharedDescriptor&) = delete;

  void keep(int& descriptor, const ForkBarrier& barrier);  // `descriptor` outlives this
  void give_up(const ForkBarrier& barrier);                // does nothing where none is kept
  bool keeps() const { return descriptor_ != nullptr; }

 private:
  friend struct OpenDescriptors;
  int* descriptor_ = nullptr;
  UnsharedDescriptor* next_ = nullptr;
  UnsharedDescriptor* before_ = nullptr;
};

}  // namespace vecstore
