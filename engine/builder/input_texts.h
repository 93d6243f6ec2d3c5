// SPDX-License-Identifier: Apache-2.0
//
// Keys and documents that a user gives a build: lines of files, or what functions of theirs say of each row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/builder/build_input.h"
#include "engine/files/text_lines.h"
#include "engine/options.h"

namespace vecstore {

inline bool has_key_texts(const BuildOptions& options) { return !options.keys_path.empty() || options.key_of; }
inline bool has_documents(const BuildOptions& options) {
  return !options.documents_path.empty() || options.document_of;
}

// One text of each row, front to back. Not thread-safe.
class InputColumn {
 public:
  // Options and budget must outlive it. Errors: as of TextLines::open().
  static Result<InputColumn> open_keys(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows,
                                       MemoryBudget& budget);
  static Result<InputColumn> open_documents(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows,
                                            MemoryBudget& budget);
  // Of the next row; good until the next call. Errors: as of TextLines::expect_line(); kInvalidInput (too long).
  Status next(std::string_view& text);
  Status expect_end();  // errors: as of TextLines::expect_end()
  // Says of which row, in the terms of where it comes from, something is said. more: is added to its name.
  Status locate(Status said, std::uint64_t row, const std::string& more = {}) const;
  std::string place_of(std::uint64_t row) const;  // "line 17", "row 16"

 private:
  InputColumn(const char* name, const TextFunction& text_of, std::uint64_t rows, std::size_t bytes_max)
      : name_(name), text_of_(&text_of), rows_(rows), bytes_max_(bytes_max) {}
  static Result<InputColumn> open(FileSystem& file_system, const std::string& path, InputColumn column,
                                  MemoryBudget& budget);

  std::string name_;  // of the file or the option
  const TextFunction* text_of_;
  std::uint64_t rows_;
  std::size_t bytes_max_;
  std::optional<TextLines> lines_;  // else it comes from the function
  std::uint64_t row_ = 0;           // that comes next
};

class InputTexts final : public RowTexts {
 public:
  InputTexts(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows, MemoryBudget& budget)
      : file_system_(file_system), options_(options), rows_(rows), budget_(budget) {}
  bool has_keys() const override { return has_key_texts(options_); }
  bool has_documents() const override { return vecstore::has_documents(options_); }
  Status rewind() override;
  Status next(std::string_view& key, std::string_view& document) override;
  Status expect_end() override;

 private:
  FileSystem& file_system_;
  const BuildOptions& options_;
  const std::uint64_t rows_;
  MemoryBudget& budget_;
  std::optional<InputColumn> keys_;
  std::optional<InputColumn> documents_;
};

}  // namespace vecstore
