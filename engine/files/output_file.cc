// SPDX-License-Identifier: Apache-2.0
#include "engine/files/output_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/open_descriptor.h"

namespace vecstore {
namespace {

Status exists(const std::string& path) {
  return Status(Code::kExists, "the file is there already; choose another name or allow overwriting").about(path);
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// Without this the new name itself may be lost with the power.
Status sync_with_names(const std::string& directory) {
  const int fd = open_descriptor(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno_status(errno, "cannot open the directory to sync it", directory);
  const int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some file systems have no fsync of directories and say so with EINVAL; there is nothing more to do on them.
  if (failed != 0 && failed != EINVAL) return errno_status(failed, "cannot sync the directory", directory);
  return {};
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path, bool overwrite) {
  struct stat about = {};
  const bool found = ::lstat(path.c_str(), &about) == 0;
  if (found && S_ISDIR(about.st_mode))
    return Status(Code::kInvalidInput, "this is a directory; give the name of a file to write").about(path);
  if (found && !overwrite) return exists(path);
  OutputFile file;
  file.overwrite_ = overwrite;
  file.path_ = path;
  file.directory_ = directory_of(path);
  file.partial_path_ = path + ".partial-" + std::to_string(::getpid());
  file.fd_ = open_descriptor(file.partial_path_, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
  if (file.fd_ < 0) return errno_status(errno, "cannot create the file; check the directory and your permission", path);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      overwrite_(other.overwrite_),
      written_bytes_(other.written_bytes_),
      path_(std::move(other.path_)),
      directory_(std::move(other.directory_)),
      partial_path_(std::move(other.partial_path_)) {}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_path_.c_str());
}

Status OutputFile::write(const void* data, std::size_t bytes) {
  constexpr std::size_t kTransferBytesMax = std::size_t{1} << 30;
  const auto* from = static_cast<const std::byte*>(data);
  while (bytes != 0) {
    const ssize_t put = ::write(fd_, from, std::min(bytes, kTransferBytesMax));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0)
      return errno_status(put == 0 ? EIO : errno, "writing failed", path_).at(Detail::kOffset, written_bytes_);
    from += put;
    bytes -= static_cast<std::size_t>(put);
    written_bytes_ += static_cast<std::uint64_t>(put);
  }
  return {};
}

Status OutputFile::commit() {
  if (::fsync(fd_) != 0) return errno_status(errno, "syncing failed; nothing was put under the name", path_);
  // Two processes may both have found the name free, so the decision is made by the rename itself where it can be.
  int failed =
      ::renameat2(AT_FDCWD, partial_path_.c_str(), AT_FDCWD, path_.c_str(), overwrite_ ? 0u : RENAME_NOREPLACE) == 0
          ? 0
          : errno;
  if (!overwrite_ && (failed == EINVAL || failed == ENOSYS))
    failed = ::rename(partial_path_.c_str(), path_.c_str()) == 0 ? 0 : errno;
  if (failed == EEXIST) return exists(path_);
  if (failed != 0) return errno_status(failed, "cannot give the finished file its name", path_);
  ::close(std::exchange(fd_, -1));
  return sync_with_names(directory_);
}

}  // namespace vecstore
