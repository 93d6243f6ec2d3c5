// SPDX-License-Identifier: Apache-2.0
#include "tools/insert_rows.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/text_lines.h"
#include "tools/commands.h"
#include "tools/progress.h"

namespace vecstore::tools {
namespace {

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

Result<std::uint64_t> insert_rows(Store& store, const VectorSource& source, const RowFiles& files,
                                  const AfterBatch& after_batch) {
  if (files.batch == 0) return Status(Code::kInvalidArgument, "a batch has at least one vector").about("--batch 0");
  if (files.skip > source.rows())
    return Status(Code::kInvalidArgument, "the file has fewer rows than are to be skipped")
        .about(files.vectors + " (" + std::to_string(source.rows()) + " rows)");
  const KeyKind kind = store.info().keys;
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto keys, open_lines(files.keys, files.skip, source.rows(), budget));
  VECSTORE_ASSIGN(auto documents, open_lines(files.documents, files.skip, source.rows(), budget));
  if (kind == KeyKind::kBytes && !keys)
    return Status(Code::kInvalidArgument, "the keys of this store are byte strings; name their file").about("--keys");

  const std::uint64_t rows = source.rows() - files.skip;
  const std::uint64_t wanted = std::min(rows, files.count.value_or(rows));
  const std::uint64_t first_key = files.first_key.value_or(files.skip);
  std::vector<std::byte> vectors(files.batch * source.dim() * element_bytes(source.dtype()));
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
    VECSTORE_ASSIGN(const WriteReceipt receipt, store.put_batch(batch_keys, view, batch_documents));
    done += count;
    if (after_batch) VECSTORE_TRY(after_batch(done, receipt));
    progress.update("insert", done, wanted);
  }
  progress.clear();
  VECSTORE_TRY(store.flush());
  return wanted;
}

}  // namespace vecstore::tools
