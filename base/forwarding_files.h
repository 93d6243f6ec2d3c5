// SPDX-License-Identifier: Apache-2.0
//
// Another file system's files as they are: what changes one call of it derives from this.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/io.h"

namespace vecstore {

// `files` outlives it.
class ForwardingFiles : public FileSystem {
 public:
  explicit ForwardingFiles(FileSystem& files) : files_(files) {}

  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override {
    return files_.open(path, options);
  }
  Status rename(const std::string& from, const std::string& to) override { return files_.rename(from, to); }
  Status rename_to_new(const std::string& from, const std::string& to) override {
    return files_.rename_to_new(from, to);
  }
  Status link(const std::string& from, const std::string& to) override { return files_.link(from, to); }
  Result<FileUse> use_of(const std::string& path) override { return files_.use_of(path); }
  Status unlink(const std::string& path) override { return files_.unlink(path); }
  Status remove_directory(const std::string& path) override { return files_.remove_directory(path); }
  Status make_directory(const std::string& path) override { return files_.make_directory(path); }
  Status sync_directory(const std::string& path) override { return files_.sync_directory(path); }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override { return files_.list(path); }
  Result<EntryKind> kind_of(const std::string& path) override { return files_.kind_of(path); }
  Result<std::uint64_t> free_bytes(const std::string& path) override { return files_.free_bytes(path); }
  Clock& clock() override { return files_.clock(); }

 private:
  FileSystem& files_;
};

}  // namespace vecstore
