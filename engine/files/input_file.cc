// SPDX-License-Identifier: Apache-2.0
#include "engine/files/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/open_descriptor.h"

namespace vecstore {

Result<InputFile> InputFile::open(const std::string& path) {
  InputFile file;
  file.path_ = path;
  // O_NONBLOCK: a named pipe must be refused below, not waited for here.
  file.fd_ = open_descriptor(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0)
    return errno_status(errno, "cannot open the file; check its name and your permission to read it", path);
  struct stat about = {};
  if (::fstat(file.fd_, &about) != 0) return errno_status(errno, "cannot find out the size of the file", path);
  if (!S_ISREG(about.st_mode))
    return Status(Code::kInvalidInput, "this is not a regular file; give the path of a file").about(path);
  file.size_bytes_ = static_cast<std::uint64_t>(about.st_size);
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_bytes_(other.size_bytes_), path_(std::move(other.path_)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(path_, other.path_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status InputFile::read_exact(std::uint64_t offset, void* out, std::size_t bytes) const {
  // Linux transfers at most 2^31 − 4096 bytes a call.
  constexpr std::size_t kTransferBytesMax = std::size_t{1} << 30;
  auto* to = static_cast<std::byte*>(out);
  while (bytes != 0) {
    const ssize_t got = ::pread(fd_, to, std::min(bytes, kTransferBytesMax), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_status(errno, "reading failed", path_).at(Detail::kOffset, offset);
    if (got == 0)
      return Status(Code::kInvalidInput, "the file ends here; it was cut while it was being read")
          .about(path_)
          .at(Detail::kOffset, offset);
    to += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace vecstore
