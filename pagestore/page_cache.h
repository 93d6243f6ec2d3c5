// SPDX-License-Identifier: Apache-2.0
//
// Pages kept in RAM under a hard byte budget: frames and table are charged before the first page is loaded.
//
// This version is filled once at open with the pages that the generation ranks first and then read-only,
// so lookups take no lock. Thread safety: find() from any thread once fill() has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/memory.h"
#include "engine/base/status.h"
#include "pagestore/page_file.h"

namespace vecstore {

class PageReader;

class PageCache {
 public:
  // Bytes that a cache of `pages` pages takes: frames and table.
  static std::uint64_t bytes_for(const PageFile& file, std::uint64_t pages);
  // The most pages that fit in `bytes`, at most all of the file.
  static std::uint64_t pages_within(const PageFile& file, std::uint64_t bytes);

  // Reads and verifies the first `pages` of `ranking` (data page numbers, most wanted first). Errors: kMemoryBudget,
  // kIo, kCorrupt.
  static Result<PageCache> fill(const PageFile& file, std::span<const std::uint32_t> ranking, std::uint64_t pages,
                                MemoryBudget& budget);

  // The whole page (its checksum was verified), or nullptr.
  const std::byte* find(std::uint64_t page) const {
    if (page >= frame_of_.size() || frame_of_[page] == 0) return nullptr;
    return frames_.data() + static_cast<std::size_t>(frame_of_[page] - 1) * page_bytes_;
  }
  // All data pages one after the other, where all are cached; else nullptr.
  const std::byte* all_pages() const {
    return pages_ != 0 && pages_ + 1 == frame_of_.size() ? frames_.data() : nullptr;
  }
  std::uint64_t pages() const { return pages_; }
  std::uint64_t bytes() const { return frames_.size_bytes() + frame_of_.size_bytes(); }

 private:
  Status load(PageReader& reader);
  Status load_one_by_one(const PageFile& file);
  std::byte* frame(std::uint64_t page) {
    return frames_.data() + static_cast<std::size_t>(frame_of_[page] - 1) * page_bytes_;
  }

  std::uint32_t page_bytes_ = 0;
  std::uint64_t pages_ = 0;
  Buffer<std::byte> frames_;
  Buffer<std::uint32_t> frame_of_;  // [page_count + 1]: frame + 1, 0 when the page is not cached; empty without cache
};

}  // namespace vecstore
