// SPDX-License-Identifier: Apache-2.0
//
// A file descriptor that closes itself, and whole reads and writes at an offset. For the engine's side files (spills,
// checksum files, text input); the pages of an index go through pagestore.
//
// Thread safety: read_at is thread-safe, the rest is for one owner. Errors name the file and carry errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace vecstore {

class PosixFile {
 public:
  PosixFile() = default;
  // `flags` as of open(2); O_CLOEXEC is added. Errors: kNotFound, kPermission, kExists, kNoSpace, kIo.
  static Result<PosixFile> open(const std::string& path, int flags);
  // A file for spilling that has no name once this returns, so that nothing is left behind by a killed process.
  static Result<PosixFile> create_unnamed(const std::string& path);
  PosixFile(PosixFile&& other) noexcept;
  PosixFile& operator=(PosixFile&& other) noexcept;
  ~PosixFile();

  const std::string& path() const { return path_; }
  Result<std::uint64_t> size() const;
  // As many bytes as the file has from `offset`, up to into.size().
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const;
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  Status sync();  // never retried: a second fsync after a failed one lies

 private:
  std::string path_;
  int descriptor_ = -1;
};

// Makes renames and removals in `directory` durable.
Status sync_directory(const std::string& directory);

}  // namespace vecstore
