// SPDX-License-Identifier: Apache-2.0
//
// Memory under a budget. Every buffer of 4 KiB or more that VecStore holds is a Buffer charged to a MemoryBudget. So
// peak() is true and a limit is a promise. Large buffers are mapped and unmapped, never returned to a heap that would
// keep them resident.
//
// Thread safety: MemoryBudget is thread-safe. A Buffer is owned by one thread at a time and must not outlive its
// budget.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "base/status.h"

namespace vecstore {

enum class Inheritance : std::uint8_t {
  kShared,  // a child of fork() has the buffers too
  kNone,    // it does not have the mapped ones, which must then neither be read nor freed there
};

// What the system refuses has the errno ENOMEM: no budget that is raised helps. bytes: asked for; 0: nobody knows.
Status refused_by_system(std::uint64_t bytes);
bool is_refused_by_system(const Status& status);

class MemoryBudget {
 public:
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

  explicit MemoryBudget(std::uint64_t limit_bytes = kUnlimited, Inheritance inheritance = Inheritance::kShared)
      : limit_(limit_bytes), inheritance_(inheritance) {}
  // A part of `whole`, which outlives it: what is charged here is charged there too.
  MemoryBudget(MemoryBudget& whole, Inheritance inheritance)
      : limit_(kUnlimited), inheritance_(inheritance), whole_(&whole) {}
  ~MemoryBudget();  // every charge must have been released
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // Errors: kMemoryBudget; the detail is the limit that would have sufficed. Nothing is charged then.
  Status charge(std::uint64_t bytes);
  void release(std::uint64_t bytes);

  // A part gets a limit, at least what it uses, and is no part any more: what it uses is from then on to be released
  // from the whole by the caller, who may charge there what else it may come to use. Nobody charges meanwhile.
  void separate(std::uint64_t limit_bytes);

  // Allows no more than that, or what is used already; the new limit. Nobody charges meanwhile.
  std::uint64_t lower(std::uint64_t limit_bytes);
  // Allows so much more.
  void raise(std::uint64_t bytes) { limit_.fetch_add(bytes, std::memory_order_relaxed); }

  Inheritance inheritance() const { return inheritance_; }
  std::uint64_t limit_bytes() const { return limit_.load(std::memory_order_relaxed); }
  std::uint64_t used_bytes() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t peak_bytes() const { return peak_.load(std::memory_order_relaxed); }

 private:
  static Status too_small(std::uint64_t limit, std::uint64_t needed);

  std::atomic<std::uint64_t> limit_;
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> peak_{0};
  const Inheritance inheritance_;
  MemoryBudget* whole_ = nullptr;
};

// Memory of someone else's allocator (a ring's queues, zstd's tables) that counts against a budget all the same.
class Charge {
 public:
  Charge() = default;
  static Result<Charge> take(MemoryBudget& budget, std::uint64_t bytes);
  // Of bytes that were charged already.
  static Charge adopt(MemoryBudget& budget, std::uint64_t bytes);
  Charge(Charge&& other) noexcept { swap(other); }
  Charge& operator=(Charge&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Charge() {
    if (budget_ != nullptr) budget_->release(bytes_);
  }

 private:
  void swap(Charge& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
  }
  MemoryBudget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
};

inline constexpr std::size_t kCacheLineBytes = 64;
inline constexpr std::size_t kMappedBytesMin = 64 * 1024;  // from here on a buffer has its own mapping
inline constexpr std::size_t kHugeBytesMin = 4u << 20;     // from here on it asks for huge pages

namespace detail {
// Zeroed; aligned to a cache line, to 4096 when `bytes` ≥ 4096. nullptr when the system has none.
std::byte* allocate_zeroed(std::size_t bytes, Inheritance inheritance);
void deallocate(std::byte* data, std::size_t bytes) noexcept;
}  // namespace detail

// A fixed array of trivially copyable T: zeroed, 64-byte aligned (page-aligned from 4 KiB on), move-only.
template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  // Errors: kMemoryBudget.
  static Result<Buffer> allocate(MemoryBudget& budget, std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
      return Status(Code::kMemoryBudget, "the size of a buffer overflows; the input is too large for this machine");
    const std::size_t bytes = count * sizeof(T);
    if (Status charged = budget.charge(bytes); !charged.is_ok()) return charged;
    Buffer buffer;
    buffer.budget_ = &budget;
    buffer.size_ = count;
    if (bytes != 0) {
      buffer.data_ = reinterpret_cast<T*>(detail::allocate_zeroed(bytes, budget.inheritance()));
      if (buffer.data_ == nullptr) return refused_by_system(bytes);
    }
    return buffer;
  }

  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      swap(other);
    }
    return *this;
  }
  ~Buffer() { reset(); }

  void reset() noexcept {
    if (data_ != nullptr) detail::deallocate(reinterpret_cast<std::byte*>(data_), size_ * sizeof(T));
    if (budget_ != nullptr) budget_->release(size_ * sizeof(T));
    data_ = nullptr;
    size_ = 0;
    budget_ = nullptr;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t size_bytes() const { return size_ * sizeof(T); }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(budget_, other.budget_);
  }
  T* data_ = nullptr;
  std::size_t size_ = 0;
  MemoryBudget* budget_ = nullptr;
};

}  // namespace vecstore
