// SPDX-License-Identifier: Apache-2.0
//
// The one seam between VecStore and the system: files, and the clock that goes with them. Everything that is done to
// files goes through a FileSystem, so that a test can fail, tear or reorder each operation. Asynchronous page reads go
// around it by the descriptor(); a simulated file has none and is read synchronously.
//
// Ownership: a File closes itself. Thread safety: a FileSystem is thread-safe; a File's read_at() is, the rest of a
// File belongs to one thread. Errors name the path. Nothing is retried except EINTR; a failed sync() is never repeated,
// since Linux forgets the failed pages and answers the second call with success.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace vecstore {

// O_DIRECT transfers need memory, offset and length in multiples of this.
inline constexpr std::size_t kDirectAlignment = 4096;

enum class OpenMode : std::uint8_t {
  kRead,             // must exist
  kReadWrite,        // must exist
  kCreateNew,        // must not exist
  kReadWriteCreate,  // created when missing
};

struct FileOptions {
  OpenMode mode = OpenMode::kRead;
  bool direct = false;           // past the page cache where the file system can; File::direct() tells
  bool to_lock = false;          // try_lock() will be called: a child of fork() does not have the file
  bool must_be_regular = false;  // kInvalidInput for a directory or a device; a pipe is refused, not waited for
};

class File {
 public:
  virtual ~File() = default;

  // Fills `into` from `offset`; returns fewer bytes only where the file ends.
  virtual Result<std::size_t> read_at(std::span<std::byte> into, std::uint64_t offset) const = 0;
  // Writes all of `bytes`. Errors: kNoSpace, kIo.
  virtual Status write_at(std::span<const std::byte> bytes, std::uint64_t offset) = 0;
  virtual Status truncate(std::uint64_t bytes) = 0;
  // Data and size are on the disk afterwards (fdatasync).
  virtual Status sync() = 0;
  virtual Result<std::uint64_t> size() const = 0;
  // An exclusive advisory lock that dies with the process or the File: false when someone else holds it. Only of a
  // file opened for that.
  virtual Result<bool> try_lock() = 0;
  virtual int descriptor() const = 0;  // −1: none
  virtual bool direct() const = 0;
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
};

// What a file takes of the disk.
struct FileUse {
  std::uint64_t names = 0;  // that it has
  std::uint64_t bytes = 0;  // less than its size where it has holes
};

enum class EntryKind : std::uint8_t { kNone, kFile, kDirectory, kOther };

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  // kExists when `to` is there. On file systems that cannot tell, `to` is replaced.
  virtual Status rename_to_new(const std::string& from, const std::string& to) = 0;
  // A second name of the same file. kExists when `to` is there; kUnsupported where the file system has no such names,
  // or `to` is on another.
  virtual Status link(const std::string& from, const std::string& to) = 0;
  virtual Result<FileUse> use_of(const std::string& path) = 0;
  virtual Status unlink(const std::string& path) = 0;
  virtual Status remove_directory(const std::string& path) = 0;  // an empty one
  virtual Status make_directory(const std::string& path) = 0;    // kExists when something is there
  virtual Status sync_directory(const std::string& path) = 0;
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;  // by name; without "." and ".."
  virtual Result<EntryKind> kind_of(const std::string& path) = 0;                 // a symbolic link is kOther
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;          // for an unprivileged writer
  // The time on the machine that has these files.
  virtual Clock& clock() { return Clock::system(); }

  // The operating system's; lives as long as the process.
  static FileSystem& posix();
};

// A file for what does not fit into memory. It has no name once this returns, so that a killed process leaves nothing
// behind. `path` is only where it is made, and what was left there goes. Errors: as of open() and unlink().
Result<std::unique_ptr<File>> open_unnamed(FileSystem& file_system, const std::string& path);

}  // namespace vecstore
