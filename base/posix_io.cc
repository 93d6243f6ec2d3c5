// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/check.h"
#include "base/fork.h"
#include "base/io.h"

namespace vecstore {
namespace {

// open(2), begun again where a signal interrupts it. −1: errno tells.
int open_descriptor(const std::string& path, int flags) {
  constexpr mode_t kMode = 0666;
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags, kMode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreateNew:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::kReadWriteCreate:
      return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

const char* open_error_text(int error) {
  switch (error) {
    case ENOENT:
      return "no such file or directory";
    case EACCES:
    case EPERM:
      return "not allowed to open this; check owner and mode";
    case EEXIST:
      return "the file exists already and is not overwritten";
    case ENOSPC:
    case EDQUOT:
      return "the disk is full; free space on it";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit (ulimit -n)";
    default:
      return "cannot open the file";
  }
}

class PosixFile final : public File {
 public:
  explicit PosixFile(std::string path) : path_(std::move(path)) {}
  // Errors of close() are not looked at: whatever matters was synced, and sync() told.
  ~PosixFile() override {
    if (unshared_.keeps()) {
      // Explicitly, because a process that was made by clone(2) may have a copy that we do not know of.
      const ForkBarrier barrier;
      ::flock(descriptor_, LOCK_UN);
      unshared_.give_up(barrier);
      ::close(descriptor_);
    } else if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Status open(const FileOptions& options) {
    if (!options.to_lock) return open_shared(options);
    const ForkBarrier barrier;
    VECSTORE_TRY(open_shared(options));
    unshared_.keep(descriptor_, barrier);
    return Status::ok();
  }

  Status open_shared(const FileOptions& options) {
    // O_NONBLOCK alone keeps open(2) from waiting for a pipe's other end; files do not care.
    const int flags = flags_of(options.mode) | O_CLOEXEC | (options.must_be_regular ? O_NONBLOCK : 0);
    direct_ = options.direct;
    descriptor_ = open_descriptor(path_, direct_ ? flags | O_DIRECT : flags);
    if (descriptor_ < 0 && direct_ && errno == EINVAL) {
      // Older kernels create the file before they find that its file system has no O_DIRECT.
      direct_ = false;
      descriptor_ = open_descriptor(path_, flags & ~O_EXCL);
    }
    if (descriptor_ < 0) return errno_status(errno, open_error_text(errno), path_);
    return options.must_be_regular ? check_is_regular() : Status::ok();
  }

  Result<std::size_t> read_at(std::span<std::byte> into, std::uint64_t offset) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t got =
          ::pread(descriptor_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got > 0) {
        done += static_cast<std::size_t>(got);
        // Past the page cache a read stops off the alignment only at the end of the file, and asking on from there
        // would be EINVAL.
        if (direct_ && done % kDirectAlignment != 0) break;
      } else if (errno != EINTR) {
        return errno_status(errno, "reading failed; check the disk", path_).at(Detail::kOffset, offset + done);
      }
    }
    return done;
  }

  Status write_at(std::span<const std::byte> bytes, std::uint64_t offset) override {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put =
          ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (put > 0) {
        done += static_cast<std::size_t>(put);
      } else if (put == 0 || errno != EINTR) {
        return failed(put == 0 ? EIO : errno, "writing failed; check the disk", "the disk is full; free space on it")
            .at(Detail::kOffset, offset + done);
      }
    }
    return Status::ok();
  }

  Status truncate(std::uint64_t bytes) override {
    int outcome = 0;
    do {
      outcome = ::ftruncate(descriptor_, static_cast<off_t>(bytes));
    } while (outcome != 0 && errno == EINTR);
    return outcome == 0 ? Status::ok() : errno_status(errno, "cannot change the size of the file", path_);
  }

  Status sync() override {
    if (::fdatasync(descriptor_) == 0) return Status::ok();
    return failed(errno, "syncing failed, so what was written may be lost; check the disk",
                  "the disk is full; free space on it");
  }

  Result<std::uint64_t> size() const override {
    struct stat info{};
    if (::fstat(descriptor_, &info) != 0) return errno_status(errno, "cannot tell the size of the file", path_);
    if (S_ISDIR(info.st_mode)) return Status(Code::kInvalidInput, "this is a directory, not a file").about(path_);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<bool> try_lock() override {
    VECSTORE_CHECK(unshared_.keeps());
    int outcome = 0;
    do {
      outcome = ::flock(descriptor_, LOCK_EX | LOCK_NB);
    } while (outcome != 0 && errno == EINTR);
    if (outcome == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    return errno_status(errno, "cannot lock the file; use a local file system", path_);
  }

  int descriptor() const override { return descriptor_; }
  bool direct() const override { return direct_; }

 private:
  Status check_is_regular() const {
    struct stat info{};
    if (::fstat(descriptor_, &info) != 0) return errno_status(errno, "cannot find out what this is", path_);
    if (S_ISREG(info.st_mode)) return Status::ok();
    return Status(Code::kInvalidInput, "this is not a regular file; give the path of a file").about(path_);
  }
  Status failed(int error, const char* text, const char* text_when_full) const {
    return errno_status(error, error == ENOSPC || error == EDQUOT ? text_when_full : text, path_);
  }

  std::string path_;
  int descriptor_ = -1;
  bool direct_ = false;
  UnsharedDescriptor unshared_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override {
    auto file = std::make_unique<PosixFile>(path);
    VECSTORE_TRY(file->open(options));
    return std::unique_ptr<File>(std::move(file));
  }

  Status rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? Status::ok() : errno_status(errno, "cannot move a file here", to);
  }

  // Two processes may both have found the name free, so the rename itself decides where it can.
  Status rename_to_new(const std::string& from, const std::string& to) override {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return Status::ok();
    if (errno == EINVAL || errno == ENOSYS) return rename(from, to);
    return errno_status(errno, "cannot move a file here", to);
  }

  Status link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return Status::ok();
    if (errno == EXDEV || errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK)
      return Status(Code::kUnsupported, "the file system takes no second name of a file here")
          .about(to)
          .with_errno(errno);
    return errno_status(errno, "cannot make a second name of a file here", to);
  }

  Result<FileUse> use_of(const std::string& path) override {
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0) return errno_status(errno, "cannot look at the file", path);
    constexpr std::uint64_t kBlockBytes = 512;
    return FileUse{found.st_nlink, static_cast<std::uint64_t>(found.st_blocks) * kBlockBytes};
  }

  Status unlink(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? Status::ok() : errno_status(errno, "cannot remove the file", path);
  }

  Status remove_directory(const std::string& path) override {
    return ::rmdir(path.c_str()) == 0 ? Status::ok() : errno_status(errno, "cannot remove the directory", path);
  }

  Status make_directory(const std::string& path) override {
    return ::mkdir(path.c_str(), 0777) == 0 ? Status::ok() : errno_status(errno, "cannot make the directory", path);
  }

  Status sync_directory(const std::string& path) override {
    const int descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return errno_status(errno, open_error_text(errno), path);
    const int error = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    return error == 0 ? Status::ok() : errno_status(error, "syncing the directory failed; check the disk", path);
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (!directory) return errno_status(errno, open_error_text(errno), path);
    std::vector<DirectoryEntry> entries;
    int error = 0;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      error = errno;
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat info{};
      const bool known = ::fstatat(::dirfd(directory.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0;
      entries.push_back({name, known && S_ISDIR(info.st_mode)});
    }
    if (error != 0) return errno_status(error, "cannot list the directory", path);
    std::sort(entries.begin(), entries.end(),
              [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
    return entries;
  }

  Result<EntryKind> kind_of(const std::string& path) override {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) {
      if (errno == ENOENT) return EntryKind::kNone;
      return errno_status(errno, "cannot find out what is here", path);
    }
    if (S_ISDIR(info.st_mode)) return EntryKind::kDirectory;
    return S_ISREG(info.st_mode) ? EntryKind::kFile : EntryKind::kOther;
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0)
      return errno_status(errno, "cannot tell how much space the file system has", path);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }
};

}  // namespace

FileSystem& FileSystem::posix() {
  static PosixFileSystem instance;
  return instance;
}

Result<std::unique_ptr<File>> open_unnamed(FileSystem& file_system, const std::string& path) {
  if (const Status left = file_system.unlink(path); !left.is_ok() && left.code() != Code::kNotFound) return left;
  VECSTORE_ASSIGN(auto file, file_system.open(path, {.mode = OpenMode::kCreateNew}));
  VECSTORE_TRY(file_system.unlink(path));
  return file;
}

}  // namespace vecstore
