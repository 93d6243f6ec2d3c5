// SPDX-License-Identifier: Apache-2.0
#include "pagestore/store_lock.h"

#include <unistd.h>

#include <array>
#include <chrono>

#include "pagestore/store_files.h"

namespace vecstore {
namespace {

constexpr int kAttempts = 50;
constexpr std::chrono::milliseconds kPause{20};

std::string holder_of(const File& file) {
  std::array<std::byte, 20> text;
  const auto got = file.read_at(text, 0);
  std::string pid;
  for (std::size_t i = 0; got && i < *got; ++i) {
    const char c = static_cast<char>(text[i]);
    if (c < '0' || c > '9') break;
    pid.push_back(c);
  }
  return pid.empty() ? "another process" : "process " + pid;
}

// The pid is for people; a disk too full to hold it must not keep a store from being opened.
void sign(File& file) {
  const std::string pid = std::to_string(::getpid()) + "\n";
  static_cast<void>(file.truncate(0));
  static_cast<void>(file.write_at(std::as_bytes(std::span(pid.data(), pid.size())), 0));
}

Result<bool> wait_for_lock(File& file, Clock& clock) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    VECSTORE_ASSIGN(const bool locked, file.try_lock());
    if (locked) return true;
    clock.sleep_for(kPause);
  }
  return false;
}

Status busy(const std::string& path, const std::string& holder) {
  return Status(Code::kBusy, "the store is being written; wait for that to end, or end it")
      .about(path + " (held by " + holder + ")");
}

}  // namespace

Result<std::unique_ptr<File>> lock_store(FileSystem& file_system, const std::string& path) {
  VECSTORE_ASSIGN(auto file,
                  file_system.open(path + "/" + kLockName, {.mode = OpenMode::kReadWriteCreate, .to_lock = true}));
  VECSTORE_ASSIGN(const bool locked, wait_for_lock(*file, file_system.clock()));
  if (!locked) return busy(path, holder_of(*file));
  sign(*file);
  return file;
}

Result<std::unique_ptr<File>> lock_superblock(FileSystem& file_system, const std::string& path) {
  VECSTORE_ASSIGN(auto file, file_system.open(path + "/" + kSuperblockName,
                                              {.mode = OpenMode::kReadWrite, .direct = true, .to_lock = true}));
  VECSTORE_ASSIGN(const bool locked, wait_for_lock(*file, file_system.clock()));
  if (!locked) return busy(path, "a process whose LOCK was removed");
  return file;
}

}  // namespace vecstore
