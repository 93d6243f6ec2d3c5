// SPDX-License-Identifier: Apache-2.0
//
// Batches of page reads in flight: submit, then wait for completions. The only asynchronous I/O of VecStore.
//
// Pages that lie side by side in the file are read with one request, which costs a device little more than one page.
//
// Two backends: io_uring (registered file and buffers, no kernel polling, no busy wait) and pread, chosen where
// io_uring is refused or by VECSTORE_IO (io_uring | pread). Same answers, same counts. Thread safety: a reader belongs
// to one thread; make one per worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/memory.h"
#include "base/status.h"
#include "pagestore/backend.h"
#include "pagestore/page_file.h"

namespace vecstore {

struct PageReaderOptions {
  Backend backend = Backend::kAutomatic;
  std::uint32_t in_flight_max = 8;  // frames, of a page each; ≤ kPagesInFlightMax
};

// A page that has arrived and passed its checksum. `bytes` (the whole page) stays valid until release(frame).
struct ArrivedPage {
  std::uint64_t page = 0;
  std::uint32_t tag = 0;  // tag of the request, as submitted
  std::uint32_t frame = 0;
  const std::byte* bytes = nullptr;
  bool ends_request = false;  // the last page of its request
};

class PageReader {
 public:
  // `file` must outlive the reader. kAutomatic falls back to pread; backend() tells what is in use and
  // fallback_reason() why. It does so too when io_uring is refused later, with reads in flight, which all arrive.
  // Errors: kMemoryBudget; kUnsupported when kIoUring was asked for and is refused, here or later.
  static Result<std::unique_ptr<PageReader>> create(const PageFile& file, const PageReaderOptions& options,
                                                    MemoryBudget& budget);
  virtual ~PageReader() = default;
  // What create() takes for so many frames, at most.
  static std::uint64_t predict_bytes(std::uint32_t in_flight_max, std::uint64_t page_bytes);

  // Asks for data pages, in any order; pages.size() ≤ free_frames(). Of up to kPagesPerRequest side by side it makes
  // one request, if there are free frames side by side. `tag` comes back with each.
  virtual Status submit(std::span<const std::uint64_t> pages, std::uint32_t tag = 0) = 0;
  // Waits until at least `count` (≤ in_flight()) requests have completed. Returns the pages of all that have: requests
  // in any order, the pages of one in that of the file. Errors: kIo, kCorrupt naming the page; the reader then has
  // drained what was in flight and holds no frame.
  virtual Result<std::span<const ArrivedPage>> wait(std::size_t count) = 0;
  virtual void release(std::uint32_t frame) = 0;

  virtual std::size_t free_frames() const = 0;
  virtual std::size_t in_flight() const = 0;  // requests
  // From any thread.
  virtual Backend backend() const = 0;
  virtual std::string_view fallback_reason() const = 0;  // empty when the wish was met

  // Since creation.
  virtual std::uint64_t requests_submitted() const = 0;
  virtual std::uint64_t bytes_read() const = 0;
};

}  // namespace vecstore
