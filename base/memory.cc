// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace vecstore {

Status refused_by_system(std::uint64_t bytes) {
  constexpr const char* kBytesText =
      "the system has no memory left, or the process none that it may have (ulimit -v); free some, or give smaller "
      "budgets; this asked for";
  constexpr const char* kText =
      "the system has no memory left, or the process none that it may have (ulimit -v); free some, or give smaller "
      "budgets";
  Status refused(Code::kMemoryBudget, bytes != 0 ? kBytesText : kText);
  if (bytes != 0) refused = std::move(refused).at(Detail::kBytes, bytes);
  return std::move(refused).with_errno(ENOMEM);
}

bool is_refused_by_system(const Status& status) {
  return status.code() == Code::kMemoryBudget && status.error_number() == ENOMEM;
}

MemoryBudget::~MemoryBudget() { VECSTORE_CHECK(used_bytes() == 0); }

// Both numbers, of which a Status has one: without memory, because there may be none.
Status MemoryBudget::too_small(std::uint64_t limit, std::uint64_t needed) {
  std::array<char, 48> given;
  const int length = std::snprintf(given.data(), given.size(), "%ju bytes of memory", std::uintmax_t{limit});
  return Status(Code::kMemoryBudget, "the memory budget is too small; this needs at least")
      .about({given.data(), static_cast<std::size_t>(length)})
      .at(Detail::kBytes, needed);
}

Status MemoryBudget::charge(std::uint64_t bytes) {
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  std::uint64_t now = 0;
  do {
    const std::uint64_t limit = limit_bytes();
    if (used > limit || bytes > limit - used) return too_small(limit, used + bytes);
    now = used + bytes;
  } while (!used_.compare_exchange_weak(used, now, std::memory_order_relaxed));
  if (whole_ != nullptr) {
    if (Status charged = whole_->charge(bytes); !charged.is_ok()) {
      used_.fetch_sub(bytes, std::memory_order_relaxed);
      return charged;
    }
  }
  std::uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (peak < now && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
  return Status::ok();
}

void MemoryBudget::release(std::uint64_t bytes) {
  const std::uint64_t before = used_.fetch_sub(bytes, std::memory_order_relaxed);
  VECSTORE_CHECK(before >= bytes);
  if (whole_ != nullptr) whole_->release(bytes);
}

void MemoryBudget::separate(std::uint64_t limit_bytes) {
  VECSTORE_CHECK(limit_bytes >= used_bytes());
  limit_.store(limit_bytes, std::memory_order_relaxed);
  whole_ = nullptr;
}

std::uint64_t MemoryBudget::lower(std::uint64_t limit_bytes) {
  const std::uint64_t limit = std::min(this->limit_bytes(), std::max(limit_bytes, used_bytes()));
  limit_.store(limit, std::memory_order_relaxed);
  return limit;
}

Result<Charge> Charge::take(MemoryBudget& budget, std::uint64_t bytes) {
  VECSTORE_TRY(budget.charge(bytes));
  return adopt(budget, bytes);
}

Charge Charge::adopt(MemoryBudget& budget, std::uint64_t bytes) {
  Charge charge;
  charge.budget_ = &budget;
  charge.bytes_ = bytes;
  return charge;
}

namespace detail {

std::byte* allocate_zeroed(std::size_t bytes, Inheritance inheritance) {
  if (bytes >= kMappedBytesMin) {
    void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    // Rows are visited in no order, and a large array of small pages costs a walk of the page table for each. A wish:
    // the kernel may have none to give.
    if (bytes >= kHugeBytesMin) ::madvise(mapped, bytes, MADV_HUGEPAGE);
    // A child would hold on to every page that we change after a fork(). And where the disk writes into memory that a
    // fork() shares, older kernels may leave the parent with the old bytes (open(2), O_DIRECT).
    if (inheritance == Inheritance::kNone) ::madvise(mapped, bytes, MADV_DONTFORK);
    return static_cast<std::byte*>(mapped);
  }
  const std::size_t alignment = bytes >= 4096 ? 4096 : kCacheLineBytes;
  void* data = nullptr;
  if (::posix_memalign(&data, alignment, bytes) != 0) return nullptr;
  std::memset(data, 0, bytes);
  return static_cast<std::byte*>(data);
}

void deallocate(std::byte* data, std::size_t bytes) noexcept {
  if (bytes >= kMappedBytesMin) {
    ::munmap(data, bytes);
  } else {
    std::free(data);
  }
}

}  // namespace detail

}  // namespace vecstore
