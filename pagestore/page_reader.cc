// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_reader.h"

#include <bit>
#include <cstdlib>
#include <system_error>

#include "pagestore/reader_frames.h"

namespace vecstore {
namespace {

// The environment decides where the caller leaves it open.
Result<Backend> wished(Backend asked) {
  const char* value = std::getenv("VECSTORE_IO");
  if (asked != Backend::kAutomatic || value == nullptr || *value == '\0') return asked;
  for (const Backend backend : {Backend::kAutomatic, Backend::kIoUring, Backend::kPread})
    if (value == name_of(backend)) return backend;
  return Status(Code::kInvalidArgument, "the environment variable must be io_uring, pread or automatic")
      .about(std::string("VECSTORE_IO=") + value);
}

}  // namespace

// Frames, what is noted about each, and what a ring maps: two regions of whole pages.
std::uint64_t PageReader::predict_bytes(std::uint32_t in_flight_max, std::uint64_t page_bytes) {
  constexpr std::uint64_t kNotedBytes = 64;
  return in_flight_max * (page_bytes + kNotedBytes) + 9 * 1024 + std::uint64_t{std::bit_ceil(in_flight_max)} * 100;
}

std::string reason_of(const Status& refusal) {
  std::string reason = refusal.text();
  if (refusal.error_number() != 0) reason += " (" + std::generic_category().message(refusal.error_number()) + ")";
  return reason;
}

Result<std::unique_ptr<PageReader>> PageReader::create(const PageFile& file, const PageReaderOptions& options,
                                                       MemoryBudget& budget) {
  static_assert(kPagesInFlightMax == 448, "the message below names it");
  if (options.in_flight_max == 0 || options.in_flight_max > kPagesInFlightMax)
    return Status(Code::kInvalidArgument, "the number of pages in flight must be 1 to 448");
  VECSTORE_ASSIGN(const Backend backend, wished(options.backend));
  if (backend == Backend::kPread) return make_pread_reader(file, options.in_flight_max, budget, "");
  auto reader = make_io_uring_reader(file, options.in_flight_max, backend == Backend::kAutomatic, budget);
  if (reader || reader.error().code() != Code::kUnsupported || backend == Backend::kIoUring) return reader;
  return make_pread_reader(file, options.in_flight_max, budget, reason_of(reader.error()));
}

}  // namespace vecstore
