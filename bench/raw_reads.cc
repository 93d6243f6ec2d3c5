// SPDX-License-Identifier: Apache-2.0
#include "bench/raw_reads.h"

#include <liburing.h>

#include <algorithm>
#include <array>

#include "base/memory.h"
#include "base/random.h"

namespace vecstore::bench {

double ReadOutcome::percentile(double part) const {
  if (latencies_us.empty()) return 0;
  return static_cast<double>(
      latencies_us[static_cast<std::size_t>(part * static_cast<double>(latencies_us.size() - 1))]);
}

Status read_raw(const PageFile& file, unsigned flags, std::uint32_t depth, double seconds, std::uint64_t seed,
                ReadOutcome& out) {
  io_uring ring{};
  io_uring_params params{};
  params.flags = flags;
  if (io_uring_queue_init_params(depth, &ring, &params) != 0)
    return Status(Code::kUnsupported, "io_uring is refused here");
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto frames, Buffer<std::byte>::allocate(budget, std::size_t{depth} * 4096));
  iovec memory{frames.data(), frames.size()};
  const int descriptor = file.descriptor();
  if (io_uring_register_buffers(&ring, &memory, 1) != 0 || io_uring_register_files(&ring, &descriptor, 1) != 0) {
    io_uring_queue_exit(&ring);
    return Status(Code::kUnsupported, "io_uring refuses to register buffers");
  }
  const std::uint64_t places = file.page_count() * (file.page_bytes() / 4096);
  Random random(seed, depth);
  std::vector<Clock::time_point> started(depth);
  std::vector<unsigned> free(depth);
  for (unsigned i = 0; i < depth; ++i) free[i] = i;
  Status failure;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  for (std::size_t in_flight = 0; failure.is_ok();) {
    auto now = Clock::now();
    if (now >= deadline && in_flight == 0) break;
    for (; now < deadline && !free.empty(); free.pop_back(), ++in_flight) {
      const unsigned frame = free.back();
      io_uring_sqe* entry = io_uring_get_sqe(&ring);
      io_uring_prep_read_fixed(entry, 0, frames.data() + std::size_t{frame} * 4096, 4096,
                               file.page_bytes() + random.below(places) * 4096, 0);
      io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
      io_uring_sqe_set_data64(entry, frame);
      started[frame] = now;
    }
    io_uring_submit_and_wait(&ring, 1);
    std::array<io_uring_cqe*, 64> entries;
    const unsigned count = io_uring_peek_batch_cqe(&ring, entries.data(), 64);
    now = Clock::now();
    for (unsigned i = 0; i < count; ++i) {
      if (entries[i]->res != 4096) failure = Status(Code::kIo, "a raw read failed").about(file.path());
      const auto frame = static_cast<unsigned>(io_uring_cqe_get_data64(entries[i]));
      out.latencies_us.push_back(std::chrono::duration<float, std::micro>(now - started[frame]).count());
      free.push_back(frame);
    }
    io_uring_cq_advance(&ring, count);
    in_flight -= count;
    out.reads += count;
  }
  io_uring_queue_exit(&ring);
  return failure;
}

double device_ceiling(const PageFile& file) {
  constexpr std::uint32_t kDepth = 64;
  double best = 0;
  for (std::uint64_t run = 1; run <= 3; ++run) {
    ReadOutcome outcome;
    const auto begin = Clock::now();
    if (!read_raw(file, IORING_SETUP_COOP_TASKRUN, kDepth, 1.0, run, outcome).is_ok()) return 0;
    outcome.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::max(best, outcome.iops());
  }
  return best;
}

}  // namespace vecstore::bench
