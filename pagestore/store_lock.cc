// SPDX-License-Identifier: Apache-2.0
#include "pagestore/store_lock.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
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

// The pid is for people, the number tells this lock from others of the process. A disk too full to hold them must not
// keep a store from being opened: then what was written is empty.
std::string sign(File& file) {
  static std::atomic<std::uint64_t> locks = 0;
  const std::string text = std::to_string(::getpid()) + " " + std::to_string(++locks) + "\n";
  static_cast<void>(file.truncate(0));
  return file.write_at(std::as_bytes(std::span(text.data(), text.size())), 0).is_ok() ? text : std::string();
}

// Whether the lock that was signed so is the one that others find: a build that fails takes LOCK away.
Result<bool> lies_at(FileSystem& file_system, const std::string& path, const std::string& signature) {
  if (signature.empty()) return true;
  const auto file = file_system.open(path, {OpenMode::kRead, false});
  if (!file && file.error().code() == Code::kNotFound) return false;
  if (!file) return file.error();
  std::array<std::byte, 64> text;
  VECSTORE_ASSIGN(const std::size_t got, (*file)->read_at(text, 0));
  return std::ranges::equal(std::span(text).first(got), std::as_bytes(std::span(signature)));
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
  const std::string name = path + "/" + kLockName;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    VECSTORE_ASSIGN(auto file, file_system.open(name, {.mode = OpenMode::kReadWriteCreate, .to_lock = true}));
    VECSTORE_ASSIGN(const bool locked, wait_for_lock(*file, file_system.clock()));
    if (!locked) return busy(path, holder_of(*file));
    VECSTORE_ASSIGN(const bool is_found, lies_at(file_system, name, sign(*file)));
    if (is_found) return file;
  }
  return busy(path, "processes that come and go");
}

Result<std::unique_ptr<File>> try_lock_store(FileSystem& file_system, const std::string& path) {
  VECSTORE_ASSIGN(auto file, file_system.open(path + "/" + kLockName, {.mode = OpenMode::kReadWrite, .to_lock = true}));
  VECSTORE_ASSIGN(const bool locked, file->try_lock());
  return locked ? std::move(file) : nullptr;
}

Result<std::unique_ptr<File>> lock_superblock(FileSystem& file_system, const std::string& path) {
  VECSTORE_ASSIGN(auto file, file_system.open(path + "/" + kSuperblockName,
                                              {.mode = OpenMode::kReadWrite, .direct = true, .to_lock = true}));
  VECSTORE_ASSIGN(const bool locked, wait_for_lock(*file, file_system.clock()));
  if (!locked) return busy(path, "a process whose LOCK was removed");
  return file;
}

}  // namespace vecstore
