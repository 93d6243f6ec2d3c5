// SPDX-License-Identifier: Apache-2.0
//
// A FileSystem whose calls fail on demand: one of them, or all from one on, as when the process dies there. A failing
// write leaves its first half behind.
#pragma once

#include <cerrno>
#include <memory>
#include <string>

#include "base/io.h"

namespace vecstore::test {

struct Faults {
  std::uint64_t calls = 0;
  std::uint64_t first = ~std::uint64_t{0};  // the first call that fails, counted from 0
  bool for_good = true;                     // every later call fails too
  int error = EIO;

  bool strikes() {
    const std::uint64_t call = calls++;
    return for_good ? call >= first : call == first;
  }
};

class FaultyFile final : public File {
 public:
  FaultyFile(std::unique_ptr<File> file, std::string path, Faults& faults)
      : file_(std::move(file)), path_(std::move(path)), faults_(faults) {}

  Result<std::size_t> read_at(std::span<std::byte> into, std::uint64_t offset) const override {
    if (faults_.strikes()) return failure();
    return file_->read_at(into, offset);
  }
  Status write_at(std::span<const std::byte> bytes, std::uint64_t offset) override {
    if (!faults_.strikes()) return file_->write_at(bytes, offset);
    static_cast<void>(
        file_->write_at(bytes.first(file_->direct() ? bytes.size() / 8192 * 4096 : bytes.size() / 2), offset));
    return failure();
  }
  Status truncate(std::uint64_t bytes) override { return faults_.strikes() ? failure() : file_->truncate(bytes); }
  // Nothing is really synced: these tests look at what was written, and hundreds of syncs would take half a minute.
  Status sync() override { return faults_.strikes() ? failure() : Status::ok(); }
  Result<std::uint64_t> size() const override {
    if (faults_.strikes()) return failure();
    return file_->size();
  }
  Result<bool> try_lock() override {
    if (faults_.strikes()) return failure();
    return file_->try_lock();
  }
  int descriptor() const override { return file_->descriptor(); }
  bool direct() const override { return file_->direct(); }

 private:
  Status failure() const { return errno_status(faults_.error, "injected", path_); }

  std::unique_ptr<File> file_;
  std::string path_;
  Faults& faults_;
};

class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(Faults& faults) : faults_(faults) {}

  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override {
    if (faults_.strikes()) return failure(path);
    VECSTORE_ASSIGN(auto file, FileSystem::posix().open(path, options));
    return std::unique_ptr<File>(std::make_unique<FaultyFile>(std::move(file), path, faults_));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return faults_.strikes() ? failure(to) : FileSystem::posix().rename(from, to);
  }
  Status rename_to_new(const std::string& from, const std::string& to) override {
    return faults_.strikes() ? failure(to) : FileSystem::posix().rename_to_new(from, to);
  }
  Status link(const std::string& from, const std::string& to) override {
    return faults_.strikes() ? failure(to) : FileSystem::posix().link(from, to);
  }
  Result<FileUse> use_of(const std::string& path) override {
    if (faults_.strikes()) return failure(path);
    return FileSystem::posix().use_of(path);
  }
  Status unlink(const std::string& path) override {
    return faults_.strikes() ? failure(path) : FileSystem::posix().unlink(path);
  }
  Status remove_directory(const std::string& path) override {
    return faults_.strikes() ? failure(path) : FileSystem::posix().remove_directory(path);
  }
  Status make_directory(const std::string& path) override {
    return faults_.strikes() ? failure(path) : FileSystem::posix().make_directory(path);
  }
  Status sync_directory(const std::string& path) override { return faults_.strikes() ? failure(path) : Status::ok(); }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    if (faults_.strikes()) return failure(path);
    return FileSystem::posix().list(path);
  }
  Result<EntryKind> kind_of(const std::string& path) override {
    if (faults_.strikes()) return failure(path);
    return FileSystem::posix().kind_of(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    if (faults_.strikes()) return failure(path);
    return FileSystem::posix().free_bytes(path);
  }

 private:
  Status failure(const std::string& path) const { return errno_status(faults_.error, "injected", path); }

  Faults& faults_;
};

}  // namespace vecstore::test
