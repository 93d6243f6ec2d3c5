// SPDX-License-Identifier: Apache-2.0
#include "tests/system/failing_memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "tests/sim/sim_disk.h"

namespace vecstore::test {
namespace {

std::atomic<bool> is_armed{false};
std::atomic<bool> fails_for_good{false};
std::atomic<std::uint64_t> fails_at{0};
std::atomic<std::uint64_t> requests_seen{0};

bool is_refused() {
  if (!is_armed.load(std::memory_order_relaxed) || SimDisk::is_inside()) return false;
  const std::uint64_t request = requests_seen.fetch_add(1);
  return fails_for_good ? request >= fails_at : request == fails_at;
}

void* memory_or_throw(std::size_t bytes, std::size_t alignment) {
  const std::size_t whole = (bytes + alignment - 1) / alignment * alignment;
  void* memory = is_refused() ? nullptr : std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

FailingMemory::FailingMemory(std::uint64_t at, bool for_good) : at_(at) {
  fails_at = at;
  fails_for_good = for_good;
  requests_seen = 0;
}
std::uint64_t FailingMemory::requests() { return requests_seen; }
FailingMemory::Armed::Armed() { is_armed = true; }
FailingMemory::Armed::~Armed() { is_armed = false; }

}  // namespace vecstore::test

using vecstore::test::is_refused;
using vecstore::test::memory_or_throw;

void* operator new(std::size_t bytes) { return memory_or_throw(bytes, alignof(std::max_align_t)); }
void* operator new[](std::size_t bytes) { return memory_or_throw(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return memory_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return memory_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

// The sanitizers have their own of these.
#ifndef VECSTORE_INSTRUMENTED
extern "C" {

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  *memory = is_refused() ? nullptr : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  return *memory == nullptr ? ENOMEM : 0;
}

void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) noexcept {
  if ((flags & MAP_ANONYMOUS) != 0 && is_refused()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the system gives an address as a number
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, bytes, protection, flags, descriptor, offset));
}

}  // extern "C"
#endif
