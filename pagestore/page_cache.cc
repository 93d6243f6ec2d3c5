// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "engine/base/limits.h"
#include "pagestore/page_reader.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kFillDepth = 64;  // reads in flight that saturate a disk

std::uint64_t table_bytes(const PageFile& file) { return (file.page_count() + 1) * sizeof(std::uint32_t); }

// The deepest reader that the budget has room for beside the cache; nullptr where it has none at all.
Result<std::unique_ptr<PageReader>> affordable_reader(const PageFile& file, MemoryBudget& budget) {
  for (std::uint32_t depth = kFillDepth; depth > 1; depth /= 2) {
    auto reader = PageReader::create(file, {IoBackend::kAutomatic, depth}, budget);
    if (reader || reader.error().code() != Code::kMemoryBudget) return reader;
  }
  return std::unique_ptr<PageReader>();
}

}  // namespace

std::uint64_t PageCache::bytes_for(const PageFile& file, std::uint64_t pages) {
  return pages == 0 ? 0 : pages * file.page_bytes() + table_bytes(file);
}

std::uint64_t PageCache::pages_within(const PageFile& file, std::uint64_t bytes) {
  const std::uint64_t table = table_bytes(file);
  return bytes < table ? 0 : std::min((bytes - table) / file.page_bytes(), file.page_count());
}

Result<PageCache> PageCache::fill(const PageFile& file, std::span<const std::uint32_t> ranking, std::uint64_t pages,
                                  MemoryBudget& budget) {
  PageCache cache;
  cache.page_bytes_ = file.page_bytes();
  const auto wanted = ranking.first(static_cast<std::size_t>(std::min<std::uint64_t>(pages, ranking.size())));
  if (wanted.empty()) return cache;
  VECSTORE_ASSIGN(cache.frames_, Buffer<std::byte>::allocate(budget, wanted.size() * file.page_bytes()));
  VECSTORE_ASSIGN(cache.frame_of_, Buffer<std::uint32_t>::allocate(budget, file.page_count() + 1));
  for (const std::uint32_t page : wanted) {
    VECSTORE_TRY(file.check_page(page));
    cache.frame_of_[page] = 1;
  }
  // Frames follow the order of the file, so that the disk is swept once, front to back.
  for (std::uint32_t& frame : cache.frame_of_)
    if (frame != 0) frame = static_cast<std::uint32_t>(++cache.pages_);
  VECSTORE_ASSIGN(const auto reader, affordable_reader(file, budget));
  VECSTORE_TRY(reader == nullptr ? cache.load_one_by_one(file) : cache.load(*reader));
  return cache;
}

Status PageCache::load(PageReader& reader) {
  std::uint64_t loaded = 0;
  for (std::uint64_t page = 1; loaded < pages_;) {
    std::array<std::uint64_t, kReadsInFlightMax> batch;
    std::size_t size = 0;
    for (; page < frame_of_.size() && size < reader.free_frames(); ++page)
      if (frame_of_[page] != 0) batch[size++] = page;
    VECSTORE_TRY(reader.submit(std::span(batch).first(size)));
    // Half of what is in flight, so that the disk never runs dry while pages are copied.
    VECSTORE_ASSIGN(const auto arrived, reader.wait((reader.in_flight() + 1) / 2));
    for (const ArrivedPage& one : arrived) {
      std::memcpy(frame(one.page), one.bytes, page_bytes_);
      reader.release(one.frame);
    }
    loaded += arrived.size();
  }
  return Status::ok();
}

Status PageCache::load_one_by_one(const PageFile& file) {
  for (std::uint64_t page = 1; page < frame_of_.size(); ++page)
    if (frame_of_[page] != 0) VECSTORE_TRY(file.read_page(page, {frame(page), page_bytes_}));
  return Status::ok();
}

}  // namespace vecstore
