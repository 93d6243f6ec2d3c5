// SPDX-License-Identifier: Apache-2.0
//
// What both page readers share: the memory that pages arrive in, which of it is free, and the counts. Internal to
// pagestore. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/check.h"
#include "base/limits.h"
#include "base/memory.h"
#include "pagestore/page_reader.h"

namespace vecstore {

class ReaderFrames {
 public:
  // Errors: kMemoryBudget.
  static Result<ReaderFrames> create(const PageFile& file, std::uint32_t count, MemoryBudget& budget) {
    ReaderFrames frames;
    VECSTORE_ASSIGN(frames.memory_, Buffer<std::byte>::allocate(budget, std::size_t{count} * file.page_bytes()));
    frames.page_bytes_ = file.page_bytes();
    VECSTORE_ASSIGN(frames.arrived_, Buffer<ArrivedPage>::allocate(budget, count));
    VECSTORE_ASSIGN(frames.slots_, Buffer<Slot>::allocate(budget, count));
    frames.reset();
    return frames;
  }

  // Frames for `wanted`, which are then in flight; make_request(frame) is called for each request, whose frames begin
  // there.
  template <typename MakeRequest>
  void take(std::span<const std::uint64_t> wanted, std::uint32_t tag, const MakeRequest& make_request) {
    VECSTORE_CHECK(wanted.size() <= free_count_);
    std::array<std::uint64_t, kPagesInFlightMax> sorted;
    std::copy(wanted.begin(), wanted.end(), sorted.begin());
    std::span<const std::uint64_t> pages(sorted.data(), wanted.size());
    std::sort(sorted.begin(), sorted.begin() + wanted.size());
    while (!pages.empty()) {
      std::size_t count = 1;
      while (count < pages.size() && count < kPagesPerRequest && pages[count] == pages[count - 1] + 1) ++count;
      const auto [frame, room] = free_frames_for(count);
      for (std::size_t i = 0; i < room; ++i) slots_[frame + i] = {pages[i], tag, 0, State::kInFlight};
      slots_[frame].pages = static_cast<std::uint32_t>(room);
      free_count_ -= room;
      pages = pages.subspan(room);
      ++in_flight_;
      ++submitted_;
      make_request(frame);
    }
  }

  // The request whose frames begin at `first` has ended; its pages are good when `intact`.
  void complete(std::uint32_t first, bool intact) {
    VECSTORE_CHECK(first < slots_.size() && slots_[first].state == State::kInFlight && slots_[first].pages != 0);
    --in_flight_;
    const std::uint32_t end = first + slots_[first].pages;
    for (std::uint32_t frame = first; frame < end; ++frame) {
      slots_[frame].state = State::kHeld;
      if (!intact) {
        release(frame);
        continue;
      }
      const Slot& slot = slots_[frame];
      arrived_[arrived_count_++] = {slot.page, slot.tag, frame, memory_.data() + frame * page_bytes_, frame + 1 == end};
      bytes_read_ += page_bytes_;
    }
  }

  // Also called by owners whose frame was taken back by reset(), which is why a free frame is let pass.
  void release(std::uint32_t frame) {
    VECSTORE_CHECK(frame < slots_.size() && slots_[frame].state != State::kInFlight);
    if (slots_[frame].state == State::kFree) return;
    slots_[frame].state = State::kFree;
    ++free_count_;
  }

  // Nobody will ever hear of the reads in flight.
  void abandon() { in_flight_ = 0; }

  // Every frame is free again. Nothing may be in flight.
  void reset() {
    VECSTORE_CHECK(in_flight_ == 0);
    begin_arrivals();
    for (Slot& slot : slots_) slot.state = State::kFree;
    free_count_ = slots_.size();
  }

  void begin_arrivals() { arrived_count_ = 0; }
  std::span<const ArrivedPage> arrived() const { return {arrived_.data(), arrived_count_}; }
  // All bytes of the request whose frames begin at `first`, and its first page.
  std::span<std::byte> bytes(std::uint32_t first) {
    return memory_.span().subspan(first * page_bytes_, slots_[first].pages * page_bytes_);
  }
  std::uint64_t page_of(std::uint32_t first) const { return slots_[first].page; }
  std::span<std::byte> memory() { return memory_.span(); }
  std::size_t free_count() const { return free_count_; }
  std::size_t in_flight() const { return in_flight_; }
  std::uint64_t submitted() const { return submitted_; }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  enum class State : std::uint8_t { kFree, kInFlight, kHeld };
  struct Slot {
    std::uint64_t page = 0;
    std::uint32_t tag = 0;
    std::uint32_t pages = 0;  // pages of the request, in its first frame; 0 in the others
    State state = State::kFree;
  };
  struct Place {
    std::uint32_t frame;
    std::size_t room;
  };

  // The first `count` free frames side by side, else the most there are.
  Place free_frames_for(std::size_t count) const {
    VECSTORE_CHECK(free_count_ != 0);
    Place best{0, 0};
    std::size_t room = 0;
    for (std::size_t i = 0; i < slots_.size() && best.room < count; ++i) {
      room = slots_[i].state == State::kFree ? room + 1 : 0;
      if (room > best.room) best = {static_cast<std::uint32_t>(i + 1 - room), room};
    }
    return best;
  }

  Buffer<std::byte> memory_;
  std::size_t page_bytes_ = 0;
  Buffer<Slot> slots_;
  Buffer<ArrivedPage> arrived_;
  std::size_t arrived_count_ = 0;
  std::size_t free_count_ = 0;
  std::size_t in_flight_ = 0;    // requests
  std::uint64_t submitted_ = 0;  // requests
  std::uint64_t bytes_read_ = 0;
};

// The two backends. `notice` becomes fallback_reason().
Result<std::unique_ptr<PageReader>> make_pread_reader(const PageFile& file, std::uint32_t frames, MemoryBudget& budget,
                                                      std::string notice);
// may_fall_back: a ring that is refused later gives way to pread; else the call fails. Errors: kMemoryBudget;
// kUnsupported with the errno of the refusal.
Result<std::unique_ptr<PageReader>> make_io_uring_reader(const PageFile& file, std::uint32_t frames, bool may_fall_back,
                                                         MemoryBudget& budget);
std::string reason_of(const Status& refusal);  // its text and what its errno means

}  // namespace vecstore
