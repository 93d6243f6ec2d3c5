// SPDX-License-Identifier: Apache-2.0
//
// What both page readers share: the memory that pages arrive in, which of it is free, and the counts. Internal to
// pagestore. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/memory.h"
#include "pagestore/page_reader.h"

namespace vecstore {

class ReaderFrames {
 public:
  // Errors: kMemoryBudget.
  static Result<ReaderFrames> create(const PageFile& file, std::uint32_t count, MemoryBudget& budget) {
    ReaderFrames frames;
    VECSTORE_ASSIGN(frames.memory_, Buffer<std::byte>::allocate(budget, std::size_t{count} * file.page_bytes()));
    frames.page_bytes_ = file.page_bytes();
    frames.free_.reserve(count);
    frames.arrived_.reserve(count);
    frames.slots_.resize(count);
    frames.reset();
    return frames;
  }

  // A free frame, which is then in flight for `page`.
  std::uint32_t take(std::uint64_t page, std::uint32_t tag) {
    VECSTORE_CHECK(!free_.empty());
    const std::uint32_t frame = free_.back();
    free_.pop_back();
    slots_[frame] = {page, tag, State::kInFlight};
    ++in_flight_;
    ++submitted_;
    return frame;
  }

  // The read into `frame` has ended; its bytes are good when `intact`.
  void complete(std::uint32_t frame, bool intact) {
    VECSTORE_CHECK(frame < slots_.size() && slots_[frame].state == State::kInFlight);
    --in_flight_;
    slots_[frame].state = State::kHeld;
    if (!intact) return release(frame);
    arrived_.push_back({slots_[frame].page, slots_[frame].tag, frame, bytes(frame).data()});
    bytes_read_ += page_bytes_;
  }

  // Also called by owners whose frame was taken back by reset(), which is why a free frame is let pass.
  void release(std::uint32_t frame) {
    VECSTORE_CHECK(frame < slots_.size() && slots_[frame].state != State::kInFlight);
    if (slots_[frame].state == State::kFree) return;
    slots_[frame].state = State::kFree;
    free_.push_back(frame);
  }

  // Nobody will ever hear of the reads in flight.
  void abandon() { in_flight_ = 0; }

  // Every frame is free again. Nothing may be in flight.
  void reset() {
    VECSTORE_CHECK(in_flight_ == 0);
    free_.clear();
    arrived_.clear();
    for (std::size_t i = slots_.size(); i-- > 0;) {
      slots_[i].state = State::kFree;
      free_.push_back(static_cast<std::uint32_t>(i));
    }
  }

  void begin_arrivals() { arrived_.clear(); }
  std::span<const ArrivedPage> arrived() const { return arrived_; }
  std::span<std::byte> bytes(std::uint32_t frame) {
    return memory_.span().subspan(std::size_t{frame} * page_bytes_, page_bytes_);
  }
  std::uint64_t page_of(std::uint32_t frame) const { return slots_[frame].page; }
  std::span<std::byte> memory() { return memory_.span(); }
  std::size_t free_count() const { return free_.size(); }
  std::size_t in_flight() const { return in_flight_; }
  std::uint64_t submitted() const { return submitted_; }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  enum class State : std::uint8_t { kFree, kInFlight, kHeld };
  struct Slot {
    std::uint64_t page = 0;
    std::uint32_t tag = 0;
    State state = State::kFree;
  };

  Buffer<std::byte> memory_;
  std::size_t page_bytes_ = 0;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<ArrivedPage> arrived_;
  std::size_t in_flight_ = 0;
  std::uint64_t submitted_ = 0;
  std::uint64_t bytes_read_ = 0;
};

// The two backends. `notice` becomes fallback_reason().
Result<std::unique_ptr<PageReader>> make_pread_reader(const PageFile& file, std::uint32_t frames, MemoryBudget& budget,
                                                      std::string notice);
// Errors: kMemoryBudget; kUnsupported with the errno of the refusal.
Result<std::unique_ptr<PageReader>> make_io_uring_reader(const PageFile& file, std::uint32_t frames,
                                                         MemoryBudget& budget);

}  // namespace vecstore
