// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/limits.h"
#include "pagestore/page_reader.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kFillDepth = 64;  // reads in flight that saturate a disk

constexpr std::uint32_t kReplacing = 1u << 31;
constexpr std::uint32_t kNoFrame = ~0u;
constexpr std::uint8_t kUsesMax = 255;
constexpr std::uint8_t kUsesAtFirst = 2;  // uses of pages ranked first: what replaces them was wanted more often
constexpr std::uint64_t kCountsHalvedEvery = 16;  // pages asked for, for each that is cached
constexpr std::uint32_t kVictimsCompared = 8;

std::uint64_t table_bytes(const FileShape& file) {
  return (file.pages + 1) * (sizeof(std::uint32_t) + sizeof(std::uint8_t));
}
std::uint64_t frame_bytes(const FileShape& file) { return file.page_bytes + 2 * sizeof(std::uint32_t); }

template <typename T>
std::atomic_ref<T> shared(T& value) {
  return std::atomic_ref<T>(value);
}

// The deepest reader that the budget has room for beside the cache; nullptr where it has none at all.
Result<std::unique_ptr<PageReader>> affordable_reader(const PageFile& file, MemoryBudget& budget) {
  for (std::uint32_t depth = kFillDepth; depth > 1; depth /= 2) {
    auto reader = PageReader::create(file, {Backend::kAutomatic, depth}, budget);
    if (reader || reader.error().code() != Code::kMemoryBudget) return reader;
  }
  return std::unique_ptr<PageReader>();
}

}  // namespace

std::uint64_t PageCache::bytes_for(const FileShape& file, std::uint64_t pages) {
  return pages == 0 ? 0 : pages * frame_bytes(file) + table_bytes(file);
}

std::uint64_t PageCache::pages_within(const FileShape& file, std::uint64_t bytes) {
  const std::uint64_t table = table_bytes(file);
  return bytes < table ? 0 : std::min((bytes - table) / frame_bytes(file), file.pages);
}

Result<PageCache> PageCache::fill(const PageFile& file, std::span<const std::uint32_t> ranking, std::uint64_t pages,
                                  CachePolicy policy, MemoryBudget& budget, const CancelToken* cancel) {
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
  if (policy == CachePolicy::kAdaptive && cache.pages_ != file.page_count())
    VECSTORE_TRY(cache.make_adaptive(file.page_count(), budget));
  // Last, since it takes what is left.
  VECSTORE_ASSIGN(const auto reader, affordable_reader(file, budget));
  VECSTORE_TRY(reader == nullptr ? cache.load_one_by_one(file, cancel) : cache.load(*reader, cancel));
  return cache;
}

Status PageCache::load(PageReader& reader, const CancelToken* cancel) {
  std::uint64_t loaded = 0;
  for (std::uint64_t page = 1; loaded < pages_;) {
    VECSTORE_TRY(check_cancelled(cancel));
    std::array<std::uint64_t, kPagesInFlightMax> batch;
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

Status PageCache::load_one_by_one(const PageFile& file, const CancelToken* cancel) {
  for (std::uint64_t page = 1; page < frame_of_.size(); ++page) {
    VECSTORE_TRY(check_cancelled(cancel));
    if (frame_of_[page] != 0) VECSTORE_TRY(file.read_page(page, {frame(page), page_bytes_}));
  }
  return Status::ok();
}

Status PageCache::make_adaptive(std::uint64_t file_pages, MemoryBudget& budget) {
  VECSTORE_ASSIGN(page_in_, Buffer<std::uint32_t>::allocate(budget, pages_));
  VECSTORE_ASSIGN(pins_, Buffer<std::uint32_t>::allocate(budget, pages_));
  VECSTORE_ASSIGN(uses_, Buffer<std::uint8_t>::allocate(budget, file_pages + 1));
  for (std::size_t page = 1; page < frame_of_.size(); ++page) {
    if (frame_of_[page] == 0) continue;
    page_in_[frame_of_[page] - 1] = static_cast<std::uint32_t>(page);
    uses_[page] = kUsesAtFirst;
  }
  shared_ = std::make_unique<Shared>();
  return Status::ok();
}

const std::byte* PageCache::pin(std::uint64_t page) const {
  if (page >= frame_of_.size()) return nullptr;
  if (!shared_) return frame_of_[page] == 0 ? nullptr : bytes_of(frame_of_[page] - 1);
  const std::uint32_t place = shared(frame_of_[page]).load(std::memory_order_acquire);
  if (place == 0) return nullptr;
  const std::uint32_t frame = place - 1;
  // Between the two lines above and below another page may have taken the frame.
  const std::uint32_t before = shared(pins_[frame]).fetch_add(1, std::memory_order_acquire);
  if ((before & kReplacing) != 0 || shared(page_in_[frame]).load(std::memory_order_relaxed) != page) {
    shared(pins_[frame]).fetch_sub(1, std::memory_order_release);
    return nullptr;
  }
  count_use(page);
  return bytes_of(frame);
}

void PageCache::unpin(const std::byte* bytes) const {
  if (!shared_) return;
  const auto frame = static_cast<std::size_t>(bytes - frames_.data()) / page_bytes_;
  shared(pins_[frame]).fetch_sub(1, std::memory_order_release);
}

void PageCache::offer(std::uint64_t page, const std::byte* bytes) const {
  if (!shared_) return;
  const std::uint32_t uses = count_use(page);
  if (!shared_->replacing.try_lock()) return;
  const MutexLock replacing(shared_->replacing, std::adopt_lock);
  if (shared(frame_of_[page]).load(std::memory_order_relaxed) != 0) return;
  const std::uint32_t frame = find_victim(uses);
  if (frame == kNoFrame) return;
  std::uint32_t unpinned = 0;
  if (!shared(pins_[frame]).compare_exchange_strong(unpinned, kReplacing, std::memory_order_acquire)) return;
  const std::uint32_t victim = shared(page_in_[frame]).load(std::memory_order_relaxed);
  shared(frame_of_[victim]).store(0, std::memory_order_relaxed);
  std::memcpy(bytes_of(frame), bytes, page_bytes_);
  shared(page_in_[frame]).store(static_cast<std::uint32_t>(page), std::memory_order_relaxed);
  shared(pins_[frame]).fetch_sub(kReplacing, std::memory_order_release);  // not a store: readers that came back out
  shared(frame_of_[page]).store(frame + 1, std::memory_order_release);
  shared_->replaced.fetch_add(1, std::memory_order_relaxed);
}

// Counts are estimates: of two threads that count at once one may be lost.
std::uint32_t PageCache::count_use(std::uint64_t page) const {
  const auto count = shared(uses_[page]);
  const std::uint8_t uses = count.load(std::memory_order_relaxed);
  if (uses != kUsesMax) count.store(uses + 1, std::memory_order_relaxed);
  if (shared_->counted.fetch_add(1, std::memory_order_relaxed) == kCountsHalvedEvery * pages_) halve_counts();
  return uses + 1u;
}

void PageCache::halve_counts() const {
  for (std::uint8_t& count : uses_) {
    const std::uint8_t uses = shared(count).load(std::memory_order_relaxed);
    shared(count).store(uses / 2, std::memory_order_relaxed);
  }
  shared_->counted.store(0, std::memory_order_relaxed);
}

// The least used of the next few frames, if it is used less than that by more than chance.
std::uint32_t PageCache::find_victim(std::uint32_t uses) const {
  std::uint32_t found = kNoFrame;
  std::uint32_t least = uses > 1 ? uses - 1 : 0;
  const std::uint64_t first = shared_->hand.fetch_add(kVictimsCompared, std::memory_order_relaxed);
  for (std::uint64_t i = first; i < first + kVictimsCompared; ++i) {
    const auto frame = static_cast<std::uint32_t>(i % pages_);
    const std::uint8_t its =
        shared(uses_[shared(page_in_[frame]).load(std::memory_order_relaxed)]).load(std::memory_order_relaxed);
    if (its >= least) continue;
    least = its;
    found = frame;
  }
  return found;
}

}  // namespace vecstore
