// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "pagestore/reader_frames.h"

namespace vecstore {
namespace {

// submit() only notes the requests; wait() makes as many as it was asked for, in the order of submission.
class PreadReader final : public PageReader {
 public:
  PreadReader(const PageFile& file, ReaderFrames frames, std::string notice)
      : file_(file), frames_(std::move(frames)), notice_(std::move(notice)) {
    queue_.reserve(frames_.free_count());
  }

  Status submit(std::span<const std::uint64_t> pages, std::uint32_t tag) override {
    for (const std::uint64_t page : pages) VECSTORE_TRY(file_.check_page(page));
    frames_.take(pages, tag, [this](std::uint32_t frame) { queue_.push_back(frame); });
    return Status::ok();
  }

  Result<std::span<const ArrivedPage>> wait(std::size_t count) override {
    VECSTORE_CHECK(count <= queue_.size());
    frames_.begin_arrivals();
    // A caller that polls with 0 must get on too: nothing completes here unless wait() does it.
    const std::size_t requests = count == 0 && !queue_.empty() ? 1 : count;
    for (std::size_t i = 0; i < requests; ++i) {
      const std::uint32_t frame = queue_[i];
      Status outcome = file_.read_pages(frames_.page_of(frame), frames_.bytes(frame));
      frames_.complete(frame, outcome.is_ok());
      if (!outcome.is_ok()) {
        drain(i + 1);
        return outcome;
      }
    }
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(requests));
    return frames_.arrived();
  }

  void release(std::uint32_t frame) override { frames_.release(frame); }
  std::size_t free_frames() const override { return frames_.free_count(); }
  std::size_t in_flight() const override { return frames_.in_flight(); }
  Backend backend() const override { return Backend::kPread; }
  std::string_view fallback_reason() const override { return notice_; }
  std::uint64_t requests_submitted() const override { return frames_.submitted(); }
  std::uint64_t bytes_read() const override { return frames_.bytes_read(); }

 private:
  void drain(std::size_t from) {
    for (std::size_t i = from; i < queue_.size(); ++i) frames_.complete(queue_[i], false);
    queue_.clear();
    frames_.reset();
  }

  const PageFile& file_;
  ReaderFrames frames_;
  std::vector<std::uint32_t> queue_;  // first frames of requests
  std::string notice_;
};

}  // namespace

Result<std::unique_ptr<PageReader>> make_pread_reader(const PageFile& file, std::uint32_t frames, MemoryBudget& budget,
                                                      std::string notice) {
  VECSTORE_ASSIGN(auto memory, ReaderFrames::create(file, frames, budget));
  return std::unique_ptr<PageReader>(std::make_unique<PreadReader>(file, std::move(memory), std::move(notice)));
}

}  // namespace vecstore
