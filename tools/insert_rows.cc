// SPDX-License-Identifier: Apache-2.0
#include "tools/insert_rows.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "engine/files/text_lines.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/progress.h"

namespace vecstore::tools {
namespace {

// Each line of a file that must have one for each of `rows`.
Status check_lines(const std::string& path, std::uint64_t rows, std::size_t line_bytes_max,
                   const std::function<Status(std::string_view)>& check) {
  MemoryBudget budget;
  VECSTORE_ASSIGN(TextLines lines, TextLines::open(path, budget, line_bytes_max));
  std::string_view line;
  for (std::uint64_t i = 0; i < rows; ++i) {
    VECSTORE_TRY(lines.expect_line(rows, line));
    const Status fault = check(line);
    if (!fault.is_ok()) return Status(fault.code(), fault.text()).about(path).at(Detail::kLine, i + 1);
  }
  return lines.expect_end(rows);
}

Status check_key(std::string_view line, KeyKind kind) {
  if (kind == KeyKind::kBytes && line.empty())
    return Status(Code::kInvalidInput, "the key is empty; give every row one of its own");
  const auto key = parse_key(std::string(line), kind);
  return key ? Status::ok() : key.error();
}

Status check_range(const VectorSource& source, const RowFiles& files) {
  if (files.skip > source.rows())
    return Status(Code::kInvalidArgument, "the file has fewer rows than are to be skipped")
        .about(files.vectors + " (" + std::to_string(source.rows()) + " rows)");
  const std::uint64_t rows = source.rows() - files.skip;
  if (files.count.value_or(0) > rows)
    return Status(Code::kInvalidArgument, "the file has fewer rows than are to be put; lower --count or --skip")
        .about(files.vectors + " (" + std::to_string(source.rows()) + " rows)");
  const std::uint64_t wanted = files.count.value_or(rows);
  const std::uint64_t first_key = files.first_key.value_or(files.skip);
  if (files.keys.empty() && wanted != 0 && first_key > std::numeric_limits<std::uint64_t>::max() - (wanted - 1))
    return Status(Code::kInvalidArgument, "the keys of the last rows would pass 2^64 - 1; lower --first-key or --count")
        .about("--first-key " + std::to_string(first_key) + " (" + std::to_string(wanted) + " rows)");
  return {};
}

// The lines of a file that has one for each of `rows`, behind the first `skip`; none when no file is named.
Result<std::optional<TextLines>> open_lines(const std::string& path, std::uint64_t skip, std::uint64_t rows,
                                            MemoryBudget& budget) {
  if (path.empty()) return std::optional<TextLines>();
  VECSTORE_ASSIGN(TextLines lines, TextLines::open(path, budget));
  std::string_view line;
  for (std::uint64_t i = 0; i < skip; ++i) VECSTORE_TRY(lines.expect_line(rows, line));
  return std::optional(std::move(lines));
}

Status take_lines(std::optional<TextLines>& lines, std::uint64_t rows, std::uint64_t count,
                  std::vector<std::string>& texts) {
  texts.resize(lines ? count : 0);
  for (std::string& text : texts) {
    std::string_view line;
    VECSTORE_TRY(lines->expect_line(rows, line));
    text = line;
  }
  return {};
}

}  // namespace

Status check_row_files(const VectorSource& source, const RowFiles& files, KeyKind kind) {
  VECSTORE_TRY(check_range(source, files));
  if (kind == KeyKind::kBytes && files.keys.empty())
    return Status(Code::kInvalidArgument, "the keys of this store are byte strings; name their file").about("--keys");
  if (!files.keys.empty())
    VECSTORE_TRY(check_lines(files.keys, source.rows(), kKeyBytesMax,
                             [kind](std::string_view line) { return check_key(line, kind); }));
  if (!files.documents.empty())
    VECSTORE_TRY(
        check_lines(files.documents, source.rows(), kDocumentBytesMax, [](std::string_view) { return Status::ok(); }));
  return {};
}

Status check_row_files(const VectorSource& source, const RowFiles& files, const Store& store) {
  const StoreInfo info = store.info();
  if (source.dtype() != info.dtype && (is_integer(source.dtype()) || is_integer(info.dtype)))
    return Status(Code::kInvalidArgument, "the vectors have another element type than the store; convert them first")
        .about(files.vectors + " (" + std::string(name_of(source.dtype())) + ", store " +
               std::string(name_of(info.dtype)) + ")");
  if (info.dim != 0 && source.dim() != info.dim)
    return Status(Code::kInvalidInput, "the vectors have another dimension than the store")
        .about(files.vectors + " (" + std::to_string(source.dim()) + ", store " + std::to_string(info.dim) + ")");
  return check_row_files(source, files, info.keys);
}

Result<std::uint64_t> insert_rows(Store& store, const VectorSource& source, const RowFiles& files,
                                  const AfterBatch& after_batch) {
  const KeyKind kind = store.info().keys;
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto keys, open_lines(files.keys, files.skip, source.rows(), budget));
  VECSTORE_ASSIGN(auto documents, open_lines(files.documents, files.skip, source.rows(), budget));
  const std::uint64_t rows = source.rows() - files.skip;
  const std::uint64_t wanted = files.count.value_or(rows);
  const std::uint64_t first_key = files.first_key.value_or(files.skip);
  std::vector<std::byte> vectors(std::min(files.batch, wanted) * source.dim() * element_bytes(source.dtype()));
  std::vector<std::string> key_texts;
  std::vector<std::string> document_texts;
  ProgressPrinter progress(files.quiet);
  for (std::uint64_t done = 0; done < wanted;) {
    const std::uint64_t count = std::min(files.batch, wanted - done);
    VECSTORE_TRY(source.read(files.skip + done, count, vectors.data()));
    VECSTORE_TRY(take_lines(keys, source.rows(), count, key_texts));
    VECSTORE_TRY(take_lines(documents, source.rows(), count, document_texts));
    std::vector<Key> batch_keys;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!keys) {
        batch_keys.emplace_back(first_key + done + i);
        continue;
      }
      VECSTORE_ASSIGN(const Key key, parse_key(key_texts[i], kind));
      batch_keys.push_back(key);
    }
    const std::vector<std::string_view> batch_documents(document_texts.begin(), document_texts.end());
    const VectorView view{vectors.data(), source.dtype(), count, source.dim()};
    const auto receipt = store.put_batch(batch_keys, view, batch_documents, {interruption()});
    if (!receipt) return in_file(receipt.error(), files.vectors, files.skip + done);
    done += count;
    if (after_batch) VECSTORE_TRY(after_batch(done, *receipt));
    progress.update("insert", done, wanted);
  }
  progress.clear();
  VECSTORE_TRY(store.flush());
  return wanted;
}

}  // namespace vecstore::tools
