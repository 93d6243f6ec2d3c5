// SPDX-License-Identifier: Apache-2.0
//
// A file of other people, of vectors or of text: a regular one, read by position, whose size was taken when it was
// opened. Thread safety: const members may be called from any number of threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/io.h"
#include "base/status.h"

namespace vecstore {

class InputFile {
 public:
  // Errors: kNotFound, kPermission, kInvalidInput (a directory or a device), kIo.
  static Result<InputFile> open(FileSystem& file_system, const std::string& path);

  const std::string& path() const { return path_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

  // Reads as many bytes as the file has from `offset`, up to into.size(). Errors: kIo.
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) const;
  // Exactly `bytes` bytes from `offset`. Errors: kIo; kInvalidInput when the file has become shorter since it was
  // opened, with the offset at which it now ends.
  Status read_exact(std::uint64_t offset, void* out, std::size_t bytes) const;

 private:
  InputFile() = default;

  std::unique_ptr<File> file_;
  std::uint64_t size_bytes_ = 0;
  std::string path_;
};

}  // namespace vecstore
