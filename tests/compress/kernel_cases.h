// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the kernels share: memory whose neighbours fault, the levels of this machine, the sizes that
// matter.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "compress/kernels/kernels.h"

namespace vecstore::test {

// `size` bytes between two pages that may not be touched. They end at the second page (whatever misalignment their size
// gives), or begin after the first: a kernel that uses a byte outside its rows dies on one of them.
class FencedBytes {
 public:
  enum class Against { kEnd, kStart };

  FencedBytes(std::size_t size, Against against) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t room = (size + page - 1) / page * page;
    mapped_ = room + 2 * page;
    base_ = static_cast<std::uint8_t*>(
        ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    VECSTORE_CHECK(base_ != MAP_FAILED);
    VECSTORE_CHECK(::mprotect(base_, page, PROT_NONE) == 0);
    VECSTORE_CHECK(::mprotect(base_ + page + room, page, PROT_NONE) == 0);
    data_ = base_ + page + (against == Against::kEnd ? room - size : 0);
  }
  ~FencedBytes() { ::munmap(base_, mapped_); }
  FencedBytes(const FencedBytes&) = delete;
  FencedBytes& operator=(const FencedBytes&) = delete;

  std::uint8_t* data() { return data_; }

 private:
  std::uint8_t* base_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::size_t mapped_ = 0;
};

// Every level this processor has, the scalar one included.
inline std::vector<const Kernels*> levels() {
  std::vector<const Kernels*> found;
  for (const auto level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512, KernelLevel::kNeon}) {
    const auto table = kernels_of(level);
    if (table.has_value()) found.push_back(*table);
  }
  return found;
}

inline const Kernels& scalar() {
  const auto table = kernels_of(KernelLevel::kScalar);
  VECSTORE_CHECK(table.has_value());
  return **table;
}

// Every dimension to 130, and those at and around the widths and limits that follow.
inline std::vector<std::size_t> dimensions() {
  std::vector<std::size_t> all;
  for (std::size_t dim = 1; dim <= 130; ++dim) all.push_back(dim);
  for (const std::size_t dim : {255, 256, 257, 784, 1023, 4096}) all.push_back(dim);
  return all;
}

// How the rows of a case lie in memory.
struct Layout {
  std::size_t gap_bytes;  // between one row and the next
  bool by_id;             // rows are named, in shuffled order, some twice
  bool by_offset;         // ids are byte offsets (stride 1)
  FencedBytes::Against against;
};

inline constexpr Layout kLayouts[] = {{0, false, false, FencedBytes::Against::kEnd},
                                      {0, false, false, FencedBytes::Against::kStart},
                                      {3, false, false, FencedBytes::Against::kEnd},
                                      {5, true, false, FencedBytes::Against::kEnd},
                                      {1, true, true, FencedBytes::Against::kStart}};

// Rows of random bytes in fenced memory; the last row ends where the memory does. `count` rows are asked for, of at
// least one that exists.
class RowsCase {
 public:
  RowsCase(const Layout& layout, std::size_t row_bytes, std::size_t count, Random& random)
      : stride_(row_bytes + layout.gap_bytes),
        stored_(count > 0 ? count : 1),
        bytes_((stored_ - 1) * stride_ + row_bytes, layout.against) {
    for (std::size_t b = 0; b < (stored_ - 1) * stride_ + row_bytes; ++b) {
      bytes_.data()[b] = static_cast<std::uint8_t>(random.next());
    }
    rows_ = {bytes_.data(), layout.by_offset ? 1 : stride_, nullptr, count};
    if (!layout.by_id) return;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t row = i == 0 ? stored_ - 1 : random.below(stored_);
      ids_.push_back(static_cast<std::uint32_t>(layout.by_offset ? row * stride_ : row));
    }
    rows_.ids = ids_.data();
  }

  const Rows& rows() const { return rows_; }
  std::uint8_t* data() { return bytes_.data(); }
  std::uint8_t* stored_row(std::size_t i) { return bytes_.data() + i * stride_; }
  std::size_t stored() const { return stored_; }
  const std::uint8_t* row(std::size_t i) const {
    return static_cast<const std::uint8_t*>(rows_.base) +
           (rows_.ids != nullptr ? rows_.ids[i] : i) * rows_.stride_bytes;
  }

 private:
  std::size_t stride_;
  std::size_t stored_;
  FencedBytes bytes_;
  std::vector<std::uint32_t> ids_;
  Rows rows_;
};

}  // namespace vecstore::test
