// SPDX-License-Identifier: Apache-2.0
#include "tools/insert_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
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
    VECSTORE_TRY(check_cancelled(interruption()));
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
  for (std::uint64_t i = 0; i < skip; ++i) {
    VECSTORE_TRY(check_cancelled(interruption()));
    VECSTORE_TRY(lines.expect_line(rows, line));
  }
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

namespace {

// Which of the rows put are on the disk for good.
class DurableRows {
 public:
  explicit DurableRows(std::uint64_t& rows) : rows_(rows) {}
  void add(std::uint64_t rows, const WriteReceipt& receipt) {
    waiting_.push_back({rows, receipt.lsn});
    through(receipt.durable_lsn);
  }
  void through(std::uint64_t lsn) {
    for (; !waiting_.empty() && waiting_.front().lsn <= lsn; waiting_.pop_front()) rows_ = waiting_.front().rows;
  }

 private:
  struct Batch {
    std::uint64_t rows, lsn;
  };
  std::uint64_t& rows_;
  std::deque<Batch> waiting_;
};

Status put_rows(Store& store, const VectorSource& source, const RowFiles& files, const AfterBatch& after_batch,
                RowsPut& rows, DurableRows& durable) {
  const KeyKind kind = store.info().keys;
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto keys, open_lines(files.keys, files.skip, source.rows(), budget));
  VECSTORE_ASSIGN(auto documents, open_lines(files.documents, files.skip, source.rows(), budget));
  const std::uint64_t first_key = files.first_key.value_or(files.skip);
  std::vector<std::byte> vectors(std::min(files.batch, rows.wanted) * source.dim() * element_bytes(source.dtype()));
  std::vector<std::string> key_texts;
  std::vector<std::string> document_texts;
  ProgressPrinter progress(files.quiet);
  while (rows.put < rows.wanted) {
    const std::uint64_t count = std::min(files.batch, rows.wanted - rows.put);
    VECSTORE_TRY(source.read(files.skip + rows.put, count, vectors.data()));
    VECSTORE_TRY(take_lines(keys, source.rows(), count, key_texts));
    VECSTORE_TRY(take_lines(documents, source.rows(), count, document_texts));
    std::vector<Key> batch_keys;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!keys) {
        batch_keys.emplace_back(first_key + rows.put + i);
        continue;
      }
      VECSTORE_ASSIGN(const Key key, parse_key(key_texts[i], kind));
      batch_keys.push_back(key);
    }
    const std::vector<std::string_view> batch_documents(document_texts.begin(), document_texts.end());
    const VectorView view{vectors.data(), source.dtype(), count, source.dim()};
    const auto receipt = store.put_batch(batch_keys, view, batch_documents, {.cancel = interruption()});
    if (!receipt) return in_file(receipt.error(), files.vectors, files.skip + rows.put);
    rows.put += count;
    durable.add(rows.put, *receipt);
    if (after_batch) VECSTORE_TRY(after_batch(rows.put, *receipt));
    progress.update("insert", rows.put, rows.wanted);
  }
  return {};
}

}  // namespace

RowsPut insert_rows(Store& store, const VectorSource& source, const RowFiles& files, const AfterBatch& after_batch) {
  RowsPut rows;
  rows.wanted = files.count.value_or(source.rows() - files.skip);
  DurableRows durable(rows.durable);
  rows.status = put_rows(store, source, files, after_batch, rows, durable);
  const Status flushed = store.flush();
  rows.is_exact = flushed.is_ok();
  durable.through(store.stats().durable_lsn);
  if (rows.status.is_ok()) rows.status = flushed;
  return rows;
}

std::string how_far(const RowsPut& rows, const RowFiles& files) {
  const std::uint64_t next = files.skip + rows.durable;
  std::string text = fmt::format("{} of {} rows are in, on the disk", rows.durable, rows.wanted);
  if (!rows.is_exact) text = "at least " + text;
  if (rows.durable == rows.wanted) return text;
  text += fmt::format("; the next is row {} of {}", next, files.vectors);
  const char* before = " (";
  for (const std::string& lines : {files.keys, files.documents}) {
    if (lines.empty()) continue;
    text += fmt::format("{}line {} of {}", before, next + 1, lines);
    before = ", ";
  }
  return text + (before == std::string_view(", ") ? ")" : "");
}

Json json_of(const RowsPut& rows, const RowFiles& files, const char* count) {
  return {{"error", error_text(rows.status)},
          {count, rows.put},
          {"durable", rows.durable},
          {"wanted", rows.wanted},
          {"next_row", files.skip + rows.durable}};
}

}  // namespace vecstore::tools
