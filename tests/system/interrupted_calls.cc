// SPDX-License-Identifier: Apache-2.0
#include "tests/system/interrupted_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>

namespace vecstore::test {
namespace {

std::atomic<bool> is_active{false};
std::atomic<Interruption> manner{Interruption::kSignal};
std::atomic<std::uint64_t> first_call{0};
std::atomic<std::uint64_t> every_call{0};
std::atomic<std::uint64_t> calls{0};
std::atomic<std::uint64_t> interruptions{0};

bool is_interrupted(bool counts = true) {
  if (!is_active || !counts) return false;
  const std::uint64_t call = calls.fetch_add(1);
  const std::uint64_t first = first_call;
  const std::uint64_t every = every_call;
  const bool is = call == first || (call > first && every != 0 && (call - first) % every == 0);
  if (is) ++interruptions;
  return is;
}

long refused(int error) {
  errno = error;
  return -1;
}

// What a call that moves bytes is told to move; 0: it is to fail, and errno says why.
std::size_t allowed(std::size_t bytes, bool writes) {
  constexpr std::size_t kAlignment = 4096;  // alignment of direct transfers
  const Interruption how = manner;
  const bool counts = how == Interruption::kSignal || (how == Interruption::kAgain && writes) ||
                      (how == Interruption::kShort && bytes >= 2 * kAlignment);
  if (!is_interrupted(counts)) return bytes;
  if (how == Interruption::kShort) return bytes / 2 / kAlignment * kAlignment;
  errno = how == Interruption::kAgain ? EAGAIN : EINTR;
  return 0;
}

}  // namespace

InterruptedCalls::InterruptedCalls(Interruption interruption, std::uint64_t first, std::uint64_t every) {
  manner = interruption;
  first_call = first;
  every_call = every;
  calls = 0;
  interruptions = 0;
  is_active = true;
}
InterruptedCalls::~InterruptedCalls() { is_active = false; }
std::uint64_t InterruptedCalls::interrupted() { return interruptions; }

}  // namespace vecstore::test

using vecstore::test::allowed;
using vecstore::test::InterruptedCalls;
using vecstore::test::Interruption;
using vecstore::test::is_interrupted;
using vecstore::test::manner;
using vecstore::test::refused;

extern "C" {

ssize_t pread(int descriptor, void* into, std::size_t bytes, off_t offset) {
  const std::size_t part = allowed(bytes, false);
  return bytes != 0 && part == 0 ? -1 : ::syscall(SYS_pread64, descriptor, into, part, offset);
}

ssize_t pwrite(int descriptor, const void* from, std::size_t bytes, off_t offset) {
  const std::size_t part = allowed(bytes, true);
  return bytes != 0 && part == 0 ? -1 : ::syscall(SYS_pwrite64, descriptor, from, part, offset);
}

ssize_t write(int descriptor, const void* from, std::size_t bytes) {
  const std::size_t part = allowed(bytes, true);
  return bytes != 0 && part == 0 ? -1 : ::syscall(SYS_write, descriptor, from, part);
}

int ftruncate(int descriptor, off_t bytes) noexcept {
  if (manner == Interruption::kSignal && is_interrupted()) return static_cast<int>(refused(EINTR));
  return static_cast<int>(::syscall(SYS_ftruncate, descriptor, bytes));
}

unsigned io_uring_peek_batch_cqe(io_uring* ring, io_uring_cqe** entries, unsigned most) {
  using Peek = unsigned(io_uring*, io_uring_cqe**, unsigned);
  static const auto library = reinterpret_cast<Peek*>(::dlsym(RTLD_NEXT, "io_uring_peek_batch_cqe"));
  const unsigned count = library(ring, entries, most);
  constexpr std::array kErrors{ECANCELED, ENOMEM, EIO};
  for (unsigned i = 0; i < count; ++i)
    if (manner == Interruption::kRing && is_interrupted())
      entries[i]->res = -kErrors[InterruptedCalls::interrupted() % kErrors.size()];
  return count;
}

int flock(int descriptor, int operation) noexcept {
  if (manner == Interruption::kSignal && is_interrupted()) return static_cast<int>(refused(EINTR));
  return static_cast<int>(::syscall(SYS_flock, descriptor, operation));
}

// NOLINTNEXTLINE(cert-dcl50-cpp): it is the system's declaration
int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (manner == Interruption::kSignal && is_interrupted()) return static_cast<int>(refused(EINTR));
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

}  // extern "C"
