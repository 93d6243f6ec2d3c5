// SPDX-License-Identifier: Apache-2.0
#include <liburing.h>
#include <poll.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/fork.h"
#include "pagestore/reader_frames.h"

namespace vecstore {
namespace {

// Signals and passing shortages of the kernel are ridden out this often before they count as a failure.
constexpr int kAttemptsMax = 1000;

// What the kernel maps into us for a ring of `entries`: the submission entries, and the two queues that share a
// mapping.
std::uint64_t ring_bytes(std::uint32_t entries) {
  const std::uint64_t submission = std::bit_ceil(entries);
  const std::uint64_t queues = 512 + submission * sizeof(unsigned) + 2 * submission * sizeof(io_uring_cqe);
  const auto whole_pages = [](std::uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; };
  return whole_pages(submission * sizeof(io_uring_sqe)) + whole_pages(queues);
}

// The reader owns the ring alone, but its thread may change between two batches: a pool's worker is a number, not a
// thread. That rules out IORING_SETUP_SINGLE_ISSUER. Cooperative task work spares the interrupt of a computing thread;
// kernels before 5.19 do not know it.
int init_ring(std::uint32_t entries, io_uring& ring) {
  io_uring_params params{};
  params.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  int error = io_uring_queue_init_params(entries, &ring, &params);
  if (error == -EINVAL) {
    params = {};
    error = io_uring_queue_init_params(entries, &ring, &params);
  }
  return -error;
}

// What a filter of system calls says, or a kernel that lacks the call or the operation.
bool is_refusal(int error) {
  return error == EPERM || error == EACCES || error == ENOSYS || error == EINVAL || error == EOPNOTSUPP;
}

// A ring may be refused after it was made, when a filter of system calls comes over the process. From then on the
// reader reads by pread: what the kernel has taken it still waits for, by poll(); what it has not taken is read anew.
class IoUringReader final : public PageReader {
 public:
  IoUringReader(const PageFile& file, ReaderFrames frames, Charge ring_charge, bool may_fall_back)
      : file_(file), frames_(std::move(frames)), ring_charge_(std::move(ring_charge)), may_fall_back_(may_fall_back) {
    prepared_.reserve(frames_.free_count());
    unread_.reserve(frames_.free_count());
  }

  // A child of fork() has neither the ring's descriptor nor its memory, and its queues go on being the parent's.
  ~IoUringReader() override {
    if (!ring_lives()) return;
    drain();  // the kernel must not write into frames that are gone
    if (ring_lives()) close_ring();
  }
  IoUringReader(const IoUringReader&) = delete;
  IoUringReader& operator=(const IoUringReader&) = delete;

  Status start() {
    if (const int error = open_ring(); error != 0) return refusal(error);
    if (const int error = -io_uring_get_events(&ring_); is_refusal(error)) return refusal(error);
    const int descriptor = file_.descriptor();
    file_registered_ = io_uring_register_files(&ring_, &descriptor, 1) == 0;
    iovec memory{frames_.memory().data(), frames_.memory().size()};
    const int error = -io_uring_register_buffers(&ring_, &memory, 1);
    buffers_registered_ = error == 0;
    if (error == ENOMEM) {
      notice_ = "the read buffers are not registered with io_uring; raise the limit on locked memory (ulimit -l)";
    } else if (error != 0) {
      notice_ =
          reason_of(Status(Code::kUnsupported, "io_uring refuses to register the read buffers").with_errno(error));
    }
    return Status::ok();
  }

  Status submit(std::span<const std::uint64_t> pages, std::uint32_t tag) override {
    for (const std::uint64_t page : pages) VECSTORE_TRY(file_.check_page(page));
    if (reads_by_pread() && process_ == process_mark()) {
      frames_.take(pages, tag, [this](std::uint32_t frame) { unread_.push_back(frame); });
      return Status::ok();
    }
    if (is_refused_ || !ring_lives()) return enter(0);
    prepared_.clear();
    frames_.take(pages, tag, [this](std::uint32_t frame) { prepare(frame); });
    Status taken = enter(0);
    if (!taken.is_ok()) drain();
    return taken;
  }

  Result<std::span<const ArrivedPage>> wait(std::size_t count) override {
    VECSTORE_CHECK(count <= frames_.in_flight());
    if (process_ != process_mark()) return enter(0);
    frames_.begin_arrivals();
    Status failure;
    std::size_t done = collect(failure);
    // A caller that polls with 0 must get on too: what is read by pread is read here.
    if (done == 0 && count == 0 && !unread_.empty()) count = 1;
    while (failure.is_ok() && done < count) {
      if (unread_.empty()) {
        failure = await(count - done);
        done += collect(failure);
      } else {
        failure = read_unread();
        ++done;
      }
    }
    if (failure.is_ok()) return frames_.arrived();
    drain();
    return failure;
  }

  void release(std::uint32_t frame) override { frames_.release(frame); }
  std::size_t free_frames() const override { return frames_.free_count(); }
  std::size_t in_flight() const override { return frames_.in_flight(); }
  Backend backend() const override { return reads_by_pread() ? Backend::kPread : Backend::kIoUring; }
  std::string_view fallback_reason() const override { return reads_by_pread() ? refusal_notice_ : notice_; }
  std::uint64_t requests_submitted() const override { return frames_.submitted(); }
  std::uint64_t bytes_read() const override { return frames_.bytes_read(); }

 private:
  bool reads_by_pread() const { return reads_by_pread_.load(std::memory_order_acquire); }
  bool ring_lives() const { return ring_lives_ && process_ == process_mark(); }

  int open_ring() {
    const ForkBarrier barrier;
    const int error = init_ring(static_cast<std::uint32_t>(frames_.free_count()), ring_);
    if (error != 0) return error;
    static_cast<void>(io_uring_ring_dontfork(&ring_));
    unshared_.keep(ring_.ring_fd, barrier);
    ring_lives_ = true;
    return 0;
  }

  void close_ring() {
    const ForkBarrier barrier;
    unshared_.give_up(barrier);
    io_uring_queue_exit(&ring_);
    ring_lives_ = false;
  }

  void prepare(std::uint32_t frame) {
    const auto into = frames_.bytes(frame);
    const auto size = static_cast<unsigned>(into.size());
    const std::uint64_t offset = frames_.page_of(frame) * file_.page_bytes();
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    VECSTORE_CHECK(entry != nullptr);  // there are as many entries as frames, and every submit() empties the queue
    const int descriptor = file_registered_ ? 0 : file_.descriptor();
    if (buffers_registered_) {
      io_uring_prep_read_fixed(entry, descriptor, into.data(), size, offset, 0);
    } else {
      io_uring_prep_read(entry, descriptor, into.data(), size, offset);
    }
    if (file_registered_) io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data64(entry, frame);
    prepared_.push_back(frame);
  }

  Status refusal(int error) const {
    return Status(Code::kUnsupported, "io_uring is refused here").about(file_.path()).with_errno(error);
  }

  // The kernel takes requests in the order in which they were prepared: the last ones are those that it has not.
  Status refused(int error) {
    is_refused_ = true;
    refused_with_ = error;
    const std::size_t left = std::min<std::size_t>(io_uring_sq_ready(&ring_), prepared_.size());
    unread_.insert(unread_.end(), prepared_.end() - static_cast<std::ptrdiff_t>(left), prepared_.end());
    if (!may_fall_back_) return refusal(error);
    refusal_notice_ = reason_of(refusal(error));
    reads_by_pread_.store(true, std::memory_order_release);
    return Status::ok();
  }

  Status read_unread() {
    const std::uint32_t frame = unread_.front();
    unread_.erase(unread_.begin());
    Status outcome = file_.read_pages(frames_.page_of(frame), frames_.bytes(frame));
    frames_.complete(frame, outcome.is_ok());
    return outcome;
  }

  // Waits for completions, `count` of them where the ring may be entered. A ring's descriptor can be polled where it
  // must not be entered.
  Status await(std::size_t count) {
    if (!is_refused_) return enter(count);
    constexpr int kPauseMs = 100;
    pollfd ring{ring_.ring_fd, POLLIN, 0};
    if (::poll(&ring, 1, kPauseMs) < 0 && errno != EINTR)
      return errno_status(errno, "waiting for io_uring failed; set VECSTORE_IO=pread", file_.path());
    return Status::ok();
  }

  // Hands everything prepared to the kernel and waits for `count` completions. Where it is refused and the reader may
  // fall back, that is no failure: nothing has completed then.
  Status enter(std::size_t count) {
    if (process_ != process_mark())
      return Status(Code::kUnsupported, "the file was opened before fork(); open it again in this process")
          .about(file_.path());
    if (is_refused_) return refusal(refused_with_);
    if (!ring_lives_) return Status(Code::kIo, "io_uring failed before; set VECSTORE_IO=pread").about(file_.path());
    int outcome = 0;
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      outcome = io_uring_submit_and_wait(&ring_, static_cast<unsigned>(count));
      if (outcome >= 0 && io_uring_sq_ready(&ring_) == 0) return Status::ok();
      if (outcome < 0 && outcome != -EINTR && outcome != -EAGAIN && outcome != -EBUSY) break;
    }
    if (is_refusal(-outcome)) return refused(-outcome);
    return errno_status(outcome < 0 ? -outcome : EAGAIN, "io_uring failed to take reads; set VECSTORE_IO=pread",
                        file_.path());
  }

  // Takes every completion that is there; returns how many. The first failure goes to `failure`.
  std::size_t collect(Status& failure) {
    if (!ring_lives_) return 0;
    std::array<io_uring_cqe*, kPagesInFlightMax> entries;
    const unsigned count = io_uring_peek_batch_cqe(&ring_, entries.data(), static_cast<unsigned>(entries.size()));
    for (unsigned i = 0; i < count; ++i) {
      const auto frame = static_cast<std::uint32_t>(io_uring_cqe_get_data64(entries[i]));
      Status outcome = judge(frame, entries[i]->res);
      frames_.complete(frame, outcome.is_ok());
      if (failure.is_ok()) failure = outcome;
    }
    io_uring_cq_advance(&ring_, count);
    return count;
  }

  Status judge(std::uint32_t frame, int result) {
    const std::uint64_t page = frames_.page_of(frame);
    const auto bytes = frames_.bytes(frame);
    if (result == static_cast<int>(bytes.size())) return file_.verify_pages(page, bytes);
    // Anything else may be the ring's own doing: signals cancel requests whose worker could not start. read_pages()
    // tries again. It finds a disk that fails, a file that ends, and of several pages the one that cannot be read.
    return file_.read_pages(page, bytes);
  }

  // Ends with nothing in flight and every frame free. Where even waiting fails the ring is given up for good.
  void drain() {
    Status ignored;
    while (true) {
      for (const std::uint32_t frame : unread_) frames_.complete(frame, false);
      unread_.clear();
      if (frames_.in_flight() == 0 || !await(1).is_ok()) break;
      collect(ignored);
    }
    if (frames_.in_flight() != 0) {
      close_ring();
      frames_.abandon();
    }
    frames_.reset();
  }

  const PageFile& file_;
  ReaderFrames frames_;
  Charge ring_charge_;
  io_uring ring_{};
  bool ring_lives_ = false;
  UnsharedDescriptor unshared_;  // the ring's
  const std::uint64_t process_ = process_mark();
  bool file_registered_ = false;
  bool buffers_registered_ = false;
  std::string notice_;

  const bool may_fall_back_;
  bool is_refused_ = false;  // to enter the ring
  int refused_with_ = 0;
  std::vector<std::uint32_t> prepared_;  // first frames of the requests of the last submit()
  std::vector<std::uint32_t> unread_;    // of requests that are left to pread
  std::string refusal_notice_;           // not changed once the next says so
  std::atomic<bool> reads_by_pread_{false};
};

}  // namespace

Result<std::unique_ptr<PageReader>> make_io_uring_reader(const PageFile& file, std::uint32_t frames, bool may_fall_back,
                                                         MemoryBudget& budget) {
  if (file.descriptor() < 0)
    return Status(Code::kUnsupported, "the file has no descriptor that io_uring could read").about(file.path());
  VECSTORE_ASSIGN(auto charge, Charge::take(budget, ring_bytes(frames)));
  VECSTORE_ASSIGN(auto memory, ReaderFrames::create(file, frames, budget));
  auto reader = std::make_unique<IoUringReader>(file, std::move(memory), std::move(charge), may_fall_back);
  VECSTORE_TRY(reader->start());
  return std::unique_ptr<PageReader>(std::move(reader));
}

}  // namespace vecstore
