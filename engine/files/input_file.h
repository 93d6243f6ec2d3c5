// SPDX-License-Identifier: Apache-2.0
//
// A regular file read by position, whose size was taken when it was opened. Owns the descriptor.
// Thread safety: const members may be called from any number of threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/status.h"

namespace vecstore {

class InputFile {
 public:
  // Errors: kNotFound, kPermission, kInvalidInput (a directory or a device), kIo.
  static Result<InputFile> open(const std::string& path);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

  // Exactly `bytes` bytes from `offset`. Errors: kIo; kInvalidInput when the file has become shorter since it was
  // opened, with the offset at which it now ends.
  Status read_exact(std::uint64_t offset, void* out, std::size_t bytes) const;

 private:
  InputFile() = default;

  int fd_ = -1;
  std::uint64_t size_bytes_ = 0;
  std::string path_;
};

}  // namespace vecstore
