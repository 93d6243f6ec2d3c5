// SPDX-License-Identifier: Apache-2.0
#include "engine/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/open_descriptor.h"

namespace vecstore {

Result<PosixFile> PosixFile::open(const std::string& path, int flags) {
  constexpr unsigned kMode = 0644;
  PosixFile file;
  file.path_ = path;
  file.descriptor_ = open_descriptor(path, flags | O_CLOEXEC, kMode);
  if (file.descriptor_ < 0) return errno_status(errno, "cannot open the file", path);
  return file;
}

Result<PosixFile> PosixFile::create_unnamed(const std::string& path) {
  VECSTORE_ASSIGN(PosixFile file, open(path, O_RDWR | O_CREAT | O_TRUNC));
  if (::unlink(path.c_str()) != 0) return errno_status(errno, "cannot unlink the temporary file", path);
  return file;
}

PosixFile::PosixFile(PosixFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

PosixFile& PosixFile::operator=(PosixFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

PosixFile::~PosixFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::uint64_t> PosixFile::size() const {
  struct stat about{};
  if (::fstat(descriptor_, &about) != 0) return errno_status(errno, "cannot read the size of the file", path_);
  return static_cast<std::uint64_t>(about.st_size);
}

Result<std::size_t> PosixFile::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = ::pread(descriptor_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_status(errno, "cannot read the file", path_);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Status PosixFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put =
        ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno_status(errno, "cannot write the file; free space or choose another disk", path_);
    done += static_cast<std::size_t>(put);
  }
  return Status::ok();
}

Status PosixFile::sync() {
  if (::fsync(descriptor_) != 0) return errno_status(errno, "cannot sync the file", path_);
  return Status::ok();
}

Status sync_directory(const std::string& directory) {
  VECSTORE_ASSIGN(PosixFile file, PosixFile::open(directory, O_RDONLY | O_DIRECTORY));
  return file.sync();
}

}  // namespace vecstore
