// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_reader.h"

#include <cstdlib>
#include <system_error>

#include "pagestore/reader_frames.h"

namespace vecstore {
namespace {

// The environment decides where the caller leaves it open.
Result<IoBackend> wished(IoBackend asked) {
  const char* value = std::getenv("VECSTORE_IO");
  if (asked != IoBackend::kAutomatic || value == nullptr || *value == '\0') return asked;
  for (const IoBackend backend : {IoBackend::kAutomatic, IoBackend::kIoUring, IoBackend::kPread})
    if (value == name_of(backend)) return backend;
  return Status(Code::kInvalidArgument, "the environment variable must be io_uring, pread or automatic")
      .about(std::string("VECSTORE_IO=") + value);
}

std::string reason_of(const Status& refusal) {
  std::string reason = refusal.text();
  if (refusal.error_number() != 0) reason += " (" + std::generic_category().message(refusal.error_number()) + ")";
  return reason;
}

}  // namespace

Result<std::unique_ptr<PageReader>> PageReader::create(const PageFile& file, const PageReaderOptions& options,
                                                       MemoryBudget& budget) {
  static_assert(kPagesInFlightMax == 448, "the message below names it");
  if (options.in_flight_max == 0 || options.in_flight_max > kPagesInFlightMax)
    return Status(Code::kInvalidArgument, "the number of pages in flight must be 1 to 448");
  VECSTORE_ASSIGN(const IoBackend backend, wished(options.backend));
  if (backend == IoBackend::kPread) return make_pread_reader(file, options.in_flight_max, budget, "");
  auto reader = make_io_uring_reader(file, options.in_flight_max, budget);
  if (reader || reader.error().code() != Code::kUnsupported || backend == IoBackend::kIoUring) return reader;
  return make_pread_reader(file, options.in_flight_max, budget, reason_of(reader.error()));
}

std::string_view name_of(IoBackend backend) {
  switch (backend) {
    case IoBackend::kAutomatic:
      return "automatic";
    case IoBackend::kIoUring:
      return "io_uring";
    case IoBackend::kPread:
      return "pread";
  }
  return "unknown";
}

}  // namespace vecstore
