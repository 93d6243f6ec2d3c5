// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/input_survey.h"

#include <xxhash.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "engine/files/text_lines.h"
#include "engine/files/validate.h"
#include "engine/rows/document_sample.h"
#include "engine/rows/key_sorter.h"

namespace vecstore {
namespace {

constexpr std::size_t kDocumentSampleBytes = 1u << 20;  // a dictionary is trained on up to these
// Of fewer the dictionary, kept twice, would take more than what it saves (engine/rows/NOTES.md).
constexpr std::uint64_t kDocumentBytesForDictionary = 1u << 20;
constexpr std::uint64_t kQueryChunkBytes = 1u << 20;
constexpr std::uint64_t kDiskBytesAKey = 36;  // beside the key itself, which rows/ and the catalog both have
constexpr std::size_t kShownBytesMax = 60;    // of a key, in an error

// Passes over a file of texts: as many lines as there are rows. Their hash is part of the uuid, because a catalog of
// the same vectors under other keys is not ours.
template <typename Visit>
Status for_each_line(TextLines& lines, std::uint64_t rows, std::uint64_t& hash, const CancelToken* cancel,
                     const Visit& visit) {
  std::string_view line;
  for (std::uint64_t row = 0; row < rows; ++row) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_TRY(lines.expect_line(rows, line));
    hash = XXH3_64bits_withSeed(line.data(), line.size(), hash + row);
    VECSTORE_TRY(visit(line, row));
  }
  return lines.expect_end(rows);
}

// On one line, and no longer than a person needs to find it.
std::string shown(std::string_view key) {
  std::string text(key.substr(0, kShownBytesMax));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  return '"' + text + (key.size() > kShownBytesMax ? "\"..." : "\"");
}

Status check_unique(const std::string& path, KeySorter& sorter, const CancelToken* cancel) {
  std::string last;  // no key is empty
  RowId last_row;
  std::string_view key;
  RowId row;
  while (true) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_ASSIGN(const bool more, sorter.next(key, row));
    if (!more) return Status::ok();
    if (key == last)
      return Status(Code::kExists, "the key is that of an earlier line too; keys must be unique")
          .about(path + " (key " + shown(key) + ", first in line " + std::to_string(last_row.value + 1) + ")")
          .at(Detail::kLine, row.value + 1);
    last = key;
    last_row = row;
  }
}

Status survey_keys(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows,
                   const std::string& spill_path, MemoryBudget& budget, InputSurvey& survey) {
  const std::string& path = options.keys_path;
  VECSTORE_ASSIGN(TextLines lines, TextLines::open(file_system, path, budget, kKeyBytesMax));
  VECSTORE_ASSIGN(auto sorter, KeySorter::create(file_system, spill_path, KeySorter::bytes_within(budget), budget));
  VECSTORE_TRY(
      for_each_line(lines, rows, survey.text_hash[0], options.cancel, [&](std::string_view key, std::uint64_t row) {
        if (key.empty())
          return Status(Code::kInvalidInput, "the key is empty; a key must have 1 to 480 bytes")
              .about(path)
              .at(Detail::kLine, row + 1);
        return sorter.add(key, RowId{row});
      }));
  VECSTORE_TRY(sorter.finish());
  survey.key_disk_bytes = 2 * sorter.key_bytes() + rows * kDiskBytesAKey;
  return check_unique(path, sorter, options.cancel);
}

Status train(const DocumentSample& sample, MemoryBudget& budget, InputSurvey& survey) {
  if (sample.offered_bytes() < kDocumentBytesForDictionary) return Status::ok();
  VECSTORE_ASSIGN(const Charge charge, Charge::take(budget, kTrainingBytes));
  const std::vector<std::byte> dictionary = train_dictionary(sample.bytes(), sample.sizes());
  if (dictionary.empty()) return Status::ok();
  VECSTORE_ASSIGN(survey.dictionary, FrameDictionary::open(dictionary, budget));
  return Status::ok();
}

Status survey_documents(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows, MemoryBudget& budget,
                        InputSurvey& survey) {
  VECSTORE_ASSIGN(DocumentSample sample, DocumentSample::create(kDocumentSampleBytes, budget));
  {
    VECSTORE_ASSIGN(TextLines lines, TextLines::open(file_system, options.documents_path, budget, kDocumentBytesMax));
    VECSTORE_TRY(
        for_each_line(lines, rows, survey.text_hash[1], options.cancel, [&](std::string_view document, std::uint64_t) {
          sample.offer(document);
          return Status::ok();
        }));
  }
  return train(sample, budget, survey);
}

Status survey_queries(const BuildOptions& options, MemoryBudget& budget) {
  const VectorSource& queries = *options.calibration_queries;
  const std::size_t row_bytes = queries.dim() * element_bytes(queries.dtype());
  const std::uint64_t chunk_rows = std::max<std::uint64_t>(1, kQueryChunkBytes / row_bytes);
  VECSTORE_ASSIGN(auto chunk, Buffer<std::byte>::allocate(budget, std::min(chunk_rows, queries.rows()) * row_bytes));
  for (std::uint64_t first = 0; first < queries.rows(); first += chunk_rows) {
    const std::uint64_t count = std::min(chunk_rows, queries.rows() - first);
    VECSTORE_TRY(check_cancelled(options.cancel));
    VECSTORE_TRY(queries.read(first, count, chunk.data()));
    const VectorView view{chunk.data(), queries.dtype(), count, queries.dim(), 0};
    VECSTORE_TRY(check_vectors(view, options.metric, queries.name(), first));
  }
  return Status::ok();
}

}  // namespace

Result<InputSurvey> survey_input(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows,
                                 const std::string& spill_path, MemoryBudget& budget) {
  InputSurvey survey;
  if (!options.keys_path.empty()) VECSTORE_TRY(survey_keys(file_system, options, rows, spill_path, budget, survey));
  if (!options.documents_path.empty()) VECSTORE_TRY(survey_documents(file_system, options, rows, budget, survey));
  if (options.calibrate && options.calibration_queries != nullptr) VECSTORE_TRY(survey_queries(options, budget));
  return survey;
}

Result<TextSurvey> TextSurvey::create(bool has_documents, MemoryBudget& budget) {
  VECSTORE_ASSIGN(DocumentSample sample, DocumentSample::create(kDocumentSampleBytes, budget));
  return TextSurvey(std::move(sample), has_documents, budget);
}

void TextSurvey::offer(std::string_view key, std::string_view document) {
  key_bytes_ += key.size();
  keys_ += key.empty() ? 0 : 1;
  if (has_documents_) sample_.offer(document);
}

Result<InputSurvey> TextSurvey::finish() {
  InputSurvey survey;
  survey.key_disk_bytes = 2 * key_bytes_ + keys_ * kDiskBytesAKey;
  if (has_documents_) VECSTORE_TRY(train(sample_, budget_, survey));
  return survey;
}

Result<InputSurvey> survey_texts(RowTexts& texts, std::uint64_t rows, MemoryBudget& budget, const CancelToken* cancel) {
  if (!texts.has_keys() && !texts.has_documents()) return InputSurvey{};
  VECSTORE_ASSIGN(TextSurvey survey, TextSurvey::create(texts.has_documents(), budget));
  VECSTORE_TRY(texts.rewind());
  std::string_view key;
  std::string_view document;
  for (std::uint64_t row = 0; row < rows; ++row) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_TRY(texts.next(key, document));
    survey.offer(key, document);
  }
  return survey.finish();
}

}  // namespace vecstore
