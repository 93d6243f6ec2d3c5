// SPDX-License-Identifier: Apache-2.0
#include "base/fork.h"

#include <pthread.h>
#include <unistd.h>

#include <mutex>

#include "base/check.h"

namespace vecstore {

namespace detail {
std::atomic<std::uint64_t> process_mark{1};
}  // namespace detail

// All that are kept, in a list within themselves, because a child may not allocate before it runs.
struct OpenDescriptors {
  // Held through every fork(), so that a child finds the list whole. A Mutex, which clang checks, is of no use here:
  // the C library calls the handler that locks, and another that unlocks.
  static inline constinit std::mutex lock;
  static inline constinit UnsharedDescriptor* first = nullptr;

  static void close_all() {
    for (UnsharedDescriptor* at = first; at != nullptr;) {
      UnsharedDescriptor* const next = at->next_;
      ::close(*at->descriptor_);
      *at->descriptor_ = -1;
      at->descriptor_ = nullptr;
      at->next_ = at->before_ = nullptr;
      at = next;
    }
    first = nullptr;
  }
  static void add(UnsharedDescriptor& one, int& descriptor) {
    one.descriptor_ = &descriptor;
    one.next_ = first;
    one.before_ = nullptr;
    if (first != nullptr) first->before_ = &one;
    first = &one;
  }
  static void remove(UnsharedDescriptor& one) {
    if (one.descriptor_ == nullptr) return;
    (one.before_ == nullptr ? first : one.before_->next_) = one.next_;
    if (one.next_ != nullptr) one.next_->before_ = one.before_;
    one.descriptor_ = nullptr;
  }
};

namespace {

void before_fork() { OpenDescriptors::lock.lock(); }
void after_fork_in_parent() { OpenDescriptors::lock.unlock(); }
void after_fork_in_child() {
  detail::process_mark.fetch_add(1, std::memory_order_relaxed);
  OpenDescriptors::close_all();
  OpenDescriptors::lock.unlock();
}

const bool kRegistered = [] {
  VECSTORE_CHECK(::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0);
  return true;
}();

}  // namespace

ForkBarrier::ForkBarrier() { OpenDescriptors::lock.lock(); }
ForkBarrier::~ForkBarrier() { OpenDescriptors::lock.unlock(); }

UnsharedDescriptor::~UnsharedDescriptor() { VECSTORE_CHECK(!keeps()); }
void UnsharedDescriptor::keep(int& descriptor, const ForkBarrier&) { OpenDescriptors::add(*this, descriptor); }
void UnsharedDescriptor::give_up(const ForkBarrier&) { OpenDescriptors::remove(*this); }

}  // namespace vecstore
