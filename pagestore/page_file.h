// SPDX-License-Identifier: Apache-2.0
//
// Writing a page file once, front to back, and opening it for reading. Data pages are numbered from 1; page 0 is the
// header. Immutable once finished.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "pagestore/format.h"

namespace vecstore {

struct PageFileOptions {
  FileIdentity identity;
  std::uint32_t page_bytes = 4096;  // a multiple of 4096, ≤ kPageBytesMax
};

// Not thread-safe. A writer that is destroyed without finish() removes its file.
class PageFileWriter {
 public:
  // Creates `path`, which must not exist. Errors: kPermission, kNoSpace, kExists, kIo, kMemoryBudget.
  static Result<PageFileWriter> create(FileSystem& file_system, const std::string& path, const PageFileOptions& options,
                                       MemoryBudget& budget);
  PageFileWriter(PageFileWriter&&) noexcept;
  PageFileWriter& operator=(PageFileWriter&&) noexcept;
  ~PageFileWriter();

  // The next data page: fill page().subspan(kPageChecksumBytes), which starts zeroed, then append() seals it.
  std::span<std::byte> page();
  Status append();
  std::uint64_t pages_written() const;

  // Writes the header with `attributes` (≤ 3500 bytes, meaning known to the file's kind), syncs file. The directory is
  // synced by the publisher. Returns size and XXH3-128 of the whole file for the manifest. The hash takes pages 1 … n
  // first and page 0 last, the order in which they are written.
  struct Finished {
    std::uint64_t bytes = 0;
    std::uint64_t hash_low = 0;
    std::uint64_t hash_high = 0;
  };
  Result<Finished> finish(std::span<const std::byte> attributes);

 private:
  struct Impl;
  explicit PageFileWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What the memory of a cache depends on.
struct FileShape {
  std::uint32_t page_bytes = 0;
  std::uint64_t pages = 0;  // that hold data
};

// Thread-safe. Keeps a descriptor, so it goes on serving after the file was unlinked.
class PageFile {
 public:
  // Opens with O_DIRECT where the file system has it (direct() tells) and verifies the header against `expected`.
  // Errors: kNotFound, kPermission, kIo, kCorrupt (page 0), kNewerFormat.
  static Result<PageFile> open(FileSystem& file_system, const std::string& path, const FileIdentity& expected);
  PageFile(PageFile&&) noexcept;
  PageFile& operator=(PageFile&&) noexcept;
  ~PageFile();

  const std::string& path() const { return path_; }
  const FileIdentity& identity() const { return identity_; }
  std::uint32_t page_bytes() const { return page_bytes_; }
  std::uint64_t page_count() const { return page_count_; }  // data pages
  FileShape shape() const { return {page_bytes_, page_count_}; }
  std::span<const std::byte> attributes() const { return attributes_; }
  int descriptor() const { return file_->descriptor(); }  // −1: asynchronous reads are not to be had
  bool direct() const { return file_->direct(); }

  // Reads data page `page` (1 … page_count) into `into` (page_bytes, 4096-aligned) and verifies it.
  // Errors: kIo, kCorrupt naming file and page.
  Status read_page(std::uint64_t page, std::span<std::byte> into) const;

  // Reads pages from `page` on, as many as `into` holds, with one request. Where that fails it reads them one by one,
  // so that the error names its page.
  Status read_pages(std::uint64_t page, std::span<std::byte> into) const;

  // Page 0 as it is on disk, for hashing the whole file; open() has verified it. Errors: kIo, kCorrupt.
  Status read_header(std::span<std::byte> into) const;

  // The two checks of read_page(), for readers that bring the bytes themselves: the file has this page; these are its
  // bytes. Errors: kCorrupt naming file and page.
  Status check_page(std::uint64_t page) const;
  Status verify_page(std::uint64_t page, std::span<const std::byte> whole_page) const;
  Status verify_pages(std::uint64_t first, std::span<const std::byte> whole_pages) const;  // side by side

 private:
  PageFile() = default;
  std::string path_;
  FileIdentity identity_;
  std::uint32_t page_bytes_ = 0;
  std::uint64_t page_count_ = 0;
  std::vector<std::byte> attributes_;
  std::unique_ptr<File> file_;
};

}  // namespace vecstore
