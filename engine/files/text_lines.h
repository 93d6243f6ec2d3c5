// SPDX-License-Identifier: Apache-2.0
//
// Reads a file of one line per row, front to back: keys or documents for a build. Plain text, or zstd (known by its
// first bytes, whatever the name). Lines end with "\n" or "\r\n", the last one may lack the "\n". A UTF-8 mark at the
// start is left out. Every other byte, NUL included, belongs to the line. Memory is bounded: 128 KiB and one line, 8
// MiB more for zstd.
//
// Not thread-safe. The budget must outlive the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

class FileSystem;

// A text without a newline becomes the line that next() gives back as that text, whatever its bytes are. is_first: it
// begins a file.
void make_line(std::string& text, bool is_first);

class TextLines {
 public:
  // Errors: kNotFound, kPermission, kInvalidInput (a directory or a device), kIo, kMemoryBudget.
  static Result<TextLines> open(const std::string& path, MemoryBudget& budget,
                                std::size_t line_bytes_max = kDocumentBytesMax);
  static Result<TextLines> open(FileSystem& file_system, const std::string& path, MemoryBudget& budget,
                                std::size_t line_bytes_max = kDocumentBytesMax);
  TextLines(TextLines&&) noexcept;
  TextLines& operator=(TextLines&&) noexcept;
  ~TextLines();

  // The next line, good until the next call, or false at the end.
  // Errors: kInvalidInput (a line that is too long, by number from 1; UTF-16; damaged or truncated zstd), kIo.
  Result<bool> next(std::string_view& line);
  std::uint64_t lines() const;  // given so far

  // For a caller that wants `rows` lines: next() that must not end early. Errors: kInvalidInput naming both numbers.
  Status expect_line(std::uint64_t rows, std::string_view& line);
  // After the last of `rows` lines: counts what is left. Errors: kInvalidInput naming both numbers; as of next().
  Status expect_end(std::uint64_t rows);

 private:
  struct Impl;
  explicit TextLines(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vecstore
