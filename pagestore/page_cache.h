// SPDX-License-Identifier: Apache-2.0
//
// Pages kept in RAM under a hard byte budget: everything is charged before the first page is loaded.
//
// A cache is filled once with the pages that the generation ranks first. A fixed cache stays so. An adaptive one counts
// how often every page is asked for, and halves the counts as time goes by. A page that was read from disk takes the
// place of one that is asked for less. This is the admission of TinyLFU (Einziger, Friedman, Manes, ACM TOS 2017), with
// exact counts. A cache of all pages has nothing to replace.
//
// Thread safety: all but fill() from any thread, without waiting. What pin() returned stays until unpin().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/cancel_token.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/status.h"
#include "pagestore/page_file.h"

namespace vecstore {

class PageReader;

enum class CachePolicy : std::uint8_t { kFixed, kAdaptive };

class PageCache {
 public:
  // Bytes that a cache of `pages` pages takes at most: frames, tables, counts.
  static std::uint64_t bytes_for(const FileShape& file, std::uint64_t pages);
  // The most pages that fit in `bytes`, at most all of the file.
  static std::uint64_t pages_within(const FileShape& file, std::uint64_t bytes);

  // Reads and verifies the first `pages` of `ranking` (data page numbers, most wanted first). Errors: kMemoryBudget,
  // kIo, kCorrupt, kCancelled.
  static Result<PageCache> fill(const PageFile& file, std::span<const std::uint32_t> ranking, std::uint64_t pages,
                                CachePolicy policy, MemoryBudget& budget, const CancelToken* cancel = nullptr);

  // The whole page (its checksum was verified), or nullptr.
  const std::byte* pin(std::uint64_t page) const;
  void unpin(const std::byte* bytes) const;
  // A page that had to be read: it may take the place of another.
  void offer(std::uint64_t page, const std::byte* bytes) const;

  // All data pages one after the other, where all are cached; else nullptr.
  const std::byte* all_pages() const {
    return pages_ != 0 && pages_ + 1 == frame_of_.size() ? frames_.data() : nullptr;
  }
  std::uint64_t pages() const { return pages_; }
  std::uint64_t replaced() const { return shared_ ? shared_->replaced.load(std::memory_order_relaxed) : 0; }
  std::uint64_t bytes() const {
    return frames_.size_bytes() + frame_of_.size_bytes() + page_in_.size_bytes() + pins_.size_bytes() +
           uses_.size_bytes();
  }

 private:
  struct Shared {
    Mutex replacing;                        // only its holder gives a frame to another page; readers go by the entries
    std::atomic<std::uint64_t> hand{0};     // where victims are looked for
    std::atomic<std::uint64_t> counted{0};  // pages asked for since the counts were halved
    std::atomic<std::uint64_t> replaced{0};
  };

  Status load(PageReader& reader, const CancelToken* cancel);
  Status load_one_by_one(const PageFile& file, const CancelToken* cancel);
  Status make_adaptive(std::uint64_t file_pages, MemoryBudget& budget);
  std::byte* frame(std::uint64_t page) { return bytes_of(frame_of_[page] - 1); }
  std::byte* bytes_of(std::size_t frame) const { return frames_.data() + frame * page_bytes_; }
  std::uint32_t count_use(std::uint64_t page) const;
  void halve_counts() const;
  std::uint32_t find_victim(std::uint32_t uses) const VECSTORE_REQUIRES(shared_->replacing);

  // Mutable: an adaptive cache changes under searches that only read.
  std::uint32_t page_bytes_ = 0;
  std::uint64_t pages_ = 0;
  mutable Buffer<std::byte> frames_;
  mutable Buffer<std::uint32_t>
      frame_of_;  // [page_count + 1]: frame + 1, 0 when the page is not cached; empty without cache

  // These are there in an adaptive cache; entries are read and written atomically.
  std::unique_ptr<Shared> shared_;
  mutable Buffer<std::uint32_t> page_in_;  // [pages]
  mutable Buffer<std::uint32_t> pins_;     // [pages] readers of the frame; kReplacing: nobody may begin to read it
  mutable Buffer<std::uint8_t> uses_;      // [page_count + 1]
};

}  // namespace vecstore
