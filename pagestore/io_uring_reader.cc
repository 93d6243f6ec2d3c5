// SPDX-License-Identifier: Apache-2.0
#include <liburing.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>

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

class IoUringReader final : public PageReader {
 public:
  IoUringReader(const PageFile& file, ReaderFrames frames, Charge ring_charge)
      : file_(file), frames_(std::move(frames)), ring_charge_(std::move(ring_charge)) {}

  // A child of fork() has neither the ring's descriptor nor its memory, and its queues go on being the parent's.
  ~IoUringReader() override {
    if (!ring_lives()) return;
    drain();  // the kernel must not write into frames that are gone
    if (ring_lives()) close_ring();
  }
  IoUringReader(const IoUringReader&) = delete;
  IoUringReader& operator=(const IoUringReader&) = delete;

  Status start() {
    const int error = open_ring();
    if (error != 0) return Status(Code::kUnsupported, "io_uring is refused here").about(file_.path()).with_errno(error);
    const int descriptor = file_.descriptor();
    file_registered_ = io_uring_register_files(&ring_, &descriptor, 1) == 0;
    iovec memory{frames_.memory().data(), frames_.memory().size()};
    buffers_registered_ = io_uring_register_buffers(&ring_, &memory, 1) == 0;
    if (!buffers_registered_)
      notice_ = "the read buffers are not registered with io_uring; raise the limit on locked memory (ulimit -l)";
    return Status::ok();
  }

  Status submit(std::span<const std::uint64_t> pages, std::uint32_t tag) override {
    for (const std::uint64_t page : pages) VECSTORE_TRY(file_.check_page(page));
    if (!ring_lives()) return enter(0);
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
    while (failure.is_ok() && done < count) {
      failure = enter(count - done);
      done += collect(failure);
    }
    if (failure.is_ok()) return frames_.arrived();
    drain();
    return failure;
  }

  void release(std::uint32_t frame) override { frames_.release(frame); }
  std::size_t free_frames() const override { return frames_.free_count(); }
  std::size_t in_flight() const override { return frames_.in_flight(); }
  Backend backend() const override { return Backend::kIoUring; }
  std::string_view fallback_reason() const override { return notice_; }
  std::uint64_t requests_submitted() const override { return frames_.submitted(); }
  std::uint64_t bytes_read() const override { return frames_.bytes_read(); }

 private:
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
  }

  // Hands everything prepared to the kernel and waits for `count` completions.
  Status enter(std::size_t count) {
    if (process_ != process_mark())
      return Status(Code::kUnsupported, "the file was opened before fork(); open it again in this process")
          .about(file_.path());
    if (!ring_lives_) return Status(Code::kIo, "io_uring failed before; set VECSTORE_IO=pread").about(file_.path());
    int outcome = 0;
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      outcome = io_uring_submit_and_wait(&ring_, static_cast<unsigned>(count));
      if (outcome >= 0 && io_uring_sq_ready(&ring_) == 0) return Status::ok();
      if (outcome < 0 && outcome != -EINTR && outcome != -EAGAIN && outcome != -EBUSY) break;
    }
    return errno_status(outcome < 0 ? -outcome : EAGAIN, "io_uring failed to take reads; set VECSTORE_IO=pread",
                        file_.path());
  }

  // Takes every completion that is there; returns how many. The first failure goes to `failure`.
  std::size_t collect(Status& failure) {
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
    const std::uint64_t count = bytes.size() / file_.page_bytes();
    if (result == static_cast<int>(bytes.size())) return file_.verify_pages(page, bytes);
    // Interrupted or short: read_pages() tries again, or finds that the file ends. Of several pages it finds the one
    // that cannot be read.
    if (result >= 0 || result == -EINTR || result == -EAGAIN || count > 1) return file_.read_pages(page, bytes);
    return errno_status(-result, "reading failed; check the disk", file_.path()).at(Detail::kPage, page);
  }

  // Ends with nothing in flight and every frame free. Where even waiting fails the ring is given up for good.
  void drain() {
    Status ignored;
    while (frames_.in_flight() != 0 && enter(1).is_ok()) collect(ignored);
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
};

}  // namespace

Result<std::unique_ptr<PageReader>> make_io_uring_reader(const PageFile& file, std::uint32_t frames,
                                                         MemoryBudget& budget) {
  if (file.descriptor() < 0)
    return Status(Code::kUnsupported, "the file has no descriptor that io_uring could read").about(file.path());
  VECSTORE_ASSIGN(auto charge, Charge::take(budget, ring_bytes(frames)));
  VECSTORE_ASSIGN(auto memory, ReaderFrames::create(file, frames, budget));
  auto reader = std::make_unique<IoUringReader>(file, std::move(memory), std::move(charge));
  VECSTORE_TRY(reader->start());
  return std::unique_ptr<PageReader>(std::move(reader));
}

}  // namespace vecstore
