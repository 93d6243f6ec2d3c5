// SPDX-License-Identifier: Apache-2.0
//
// A file for other people that appears whole or not at all: written under a temporary name beside its place, synced,
// then renamed. A process that dies leaves at most the temporary name (`<path>.partial-<pid>`), never half of `path`.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/io.h"
#include "base/status.h"

namespace vecstore {

class OutputFile {
 public:
  // Errors: kExists (a file is there and `overwrite` is false), kNotFound (no such directory), kPermission, kIo.
  static Result<OutputFile> create(FileSystem& file_system, const std::string& path, bool overwrite);

  OutputFile(OutputFile&& other) noexcept = default;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // removes what was not committed

  // Appends. Errors: kNoSpace, kIo.
  Status write(const void* data, std::size_t bytes);
  // Syncs, gives the file its name and syncs the directory. Call once, last. Errors: kExists, kNoSpace, kIo.
  Status commit();

 private:
  explicit OutputFile(FileSystem& file_system) : file_system_(&file_system) {}
  Status failed(const Status& status, const char* text) const;

  FileSystem* file_system_;
  std::unique_ptr<File> file_;  // null once it has its name
  bool overwrite_ = false;
  std::uint64_t written_bytes_ = 0;
  std::string path_;
  std::string directory_;
  std::string partial_path_;
};

}  // namespace vecstore
