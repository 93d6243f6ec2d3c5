// SPDX-License-Identifier: Apache-2.0
//
// A byte stream over the payloads of a page file: what the codes file and the row map are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/byte_stream.h"
#include "base/cancel_token.h"
#include "base/memory.h"
#include "base/status.h"
#include "pagestore/page_file.h"

namespace vecstore {

// Pages of the files that hold such a stream.
inline constexpr std::uint32_t kStreamPageBytes = 16384;

// Cuts what is written into pages. Not thread-safe.
class PageStreamWriter final : public ByteSink {
 public:
  explicit PageStreamWriter(PageFileWriter& file) : file_(&file) {}
  Status write(std::span<const std::byte> bytes) override;
  Status flush();  // the last, partly filled page
  std::uint64_t written() const { return written_; }

 private:
  PageFileWriter* file_;
  std::size_t filled_ = 0;  // bytes of the page being filled
  std::uint64_t written_ = 0;
};

// Reads `size` bytes from the first page on. Every page is verified as it is read.
class PageStreamReader final : public ByteSource {
 public:
  // cancel: reading ends with kCancelled once it was cancelled; nullptr: nobody does.
  static Result<PageStreamReader> create(const PageFile& file, std::uint64_t size, MemoryBudget& budget,
                                         const CancelToken* cancel = nullptr);
  std::uint64_t size() const override { return size_; }
  // Errors: kCorrupt when the stream ends before, kIo.
  Status read(std::span<std::byte> into) override;
  // Passes over `bytes` of the stream without reading the pages that lie wholly within. Errors: as of read().
  Status skip(std::uint64_t bytes);

 private:
  PageStreamReader() = default;
  Status next_page();
  Status take(std::uint64_t bytes);  // counts bytes off the stream
  const PageFile* file_ = nullptr;
  const CancelToken* cancel_ = nullptr;
  std::uint64_t size_ = 0;
  std::uint64_t left_ = 0;
  std::uint64_t page_ = 0;  // in page_bytes_, 0: none
  std::size_t at_ = 0;
  Buffer<std::byte> page_bytes_;
};

}  // namespace vecstore
