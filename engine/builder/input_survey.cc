// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/input_survey.h"

#include <xxhash.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/builder/input_texts.h"
#include "engine/files/validate.h"
#include "engine/rows/document_sample.h"
#include "engine/rows/key_sorter.h"
#include "engine/rows/number_key.h"

namespace vecstore {
namespace {

constexpr std::size_t kDocumentSampleBytes = 1u << 20;  // a dictionary is trained on up to these
// Of fewer the dictionary, kept twice, would take more than what it saves (engine/rows/NOTES.md).
constexpr std::uint64_t kDocumentBytesForDictionary = 1u << 20;
constexpr std::uint64_t kQueryChunkBytes = 1u << 20;
constexpr std::uint64_t kDiskBytesAKey = 36;  // beside the key itself, which rows/ and the catalog both have
constexpr std::size_t kShownBytesMax = 60;    // of a key, in an error

// Passes over the texts of all rows. Their hash is part of the uuid, because a catalog of the same vectors under other
// keys is not ours.
template <typename Visit>
Status for_each_text(InputColumn& texts, std::uint64_t rows, std::uint64_t& hash, const CancelToken* cancel,
                     const Visit& visit) {
  std::string_view text;
  for (std::uint64_t row = 0; row < rows; ++row) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_TRY(texts.next(text));
    hash = XXH3_64bits_withSeed(text.data(), text.size(), hash + row);
    VECSTORE_TRY(visit(text, row));
  }
  return texts.expect_end();
}

// On one line, and no longer than a person needs to find it.
std::string shown(std::string_view key) {
  std::string text(key.substr(0, kShownBytesMax));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  return '"' + text + (key.size() > kShownBytesMax ? "\"..." : "\"");
}

// repeated(key, row, first): the error of a key that an earlier row has too.
template <typename Repeated>
Status check_unique(KeySorter& sorter, const CancelToken* cancel, const Repeated& repeated) {
  std::string last;  // no key is empty
  RowId last_row;
  std::string_view key;
  RowId row;
  while (true) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_ASSIGN(const bool more, sorter.next(key, row));
    if (!more) return Status::ok();
    if (key == last) return repeated(key, row.value, last_row.value);
    last = key;
    last_row = row;
  }
}

Status survey_keys(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows,
                   const std::string& spill_path, MemoryBudget& budget, InputSurvey& survey) {
  VECSTORE_ASSIGN(InputColumn keys, InputColumn::open_keys(file_system, options, rows, budget));
  VECSTORE_ASSIGN(auto sorter, KeySorter::create(file_system, spill_path, KeySorter::bytes_within(budget), budget));
  VECSTORE_TRY(
      for_each_text(keys, rows, survey.text_hash[0], options.cancel, [&](std::string_view key, std::uint64_t row) {
        if (key.empty())
          return keys.locate({Code::kInvalidInput, "the key is empty; a key must have 1 to 480 bytes"}, row);
        return sorter.add(key, RowId{row});
      }));
  VECSTORE_TRY(sorter.finish());
  survey.key_disk_bytes = 2 * sorter.key_bytes() + rows * kDiskBytesAKey;
  return check_unique(sorter, options.cancel, [&](std::string_view key, std::uint64_t row, std::uint64_t first) {
    return keys.locate({Code::kExists, "the key is that of an earlier row too; keys must be unique"}, row,
                       " (key " + shown(key) + ", first in " + keys.place_of(first) + ")");
  });
}

Status survey_numbers(FileSystem& file_system, const BuildOptions& options, const std::string& spill_path,
                      MemoryBudget& budget, InputSurvey& survey) {
  VECSTORE_ASSIGN(auto sorter, KeySorter::create(file_system, spill_path, KeySorter::bytes_within(budget), budget));
  for (std::uint64_t row = 0; row < options.number_keys.size(); ++row) {
    VECSTORE_TRY(check_cancelled(options.cancel));
    const std::string key = encode_number_key(options.number_keys[row]);
    survey.text_hash[0] = XXH3_64bits_withSeed(key.data(), key.size(), survey.text_hash[0] + row);
    VECSTORE_TRY(sorter.add(key, RowId{row}));
  }
  VECSTORE_TRY(sorter.finish());
  survey.key_disk_bytes = 2 * sorter.key_bytes() + options.number_keys.size() * kDiskBytesAKey;
  return check_unique(sorter, options.cancel, [](std::string_view key, std::uint64_t row, std::uint64_t first) {
    return Status(Code::kExists, "the key is that of an earlier row too; keys must be unique")
        .about("number_keys (key " + std::to_string(decode_number_key(key)) + ", first in row " +
               std::to_string(first) + ")")
        .at(Detail::kRow, row);
  });
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
    VECSTORE_ASSIGN(InputColumn texts, InputColumn::open_documents(file_system, options, rows, budget));
    VECSTORE_TRY(
        for_each_text(texts, rows, survey.text_hash[1], options.cancel, [&](std::string_view document, std::uint64_t) {
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
  if (has_key_texts(options)) VECSTORE_TRY(survey_keys(file_system, options, rows, spill_path, budget, survey));
  if (!options.number_keys.empty()) VECSTORE_TRY(survey_numbers(file_system, options, spill_path, budget, survey));
  if (has_documents(options)) VECSTORE_TRY(survey_documents(file_system, options, rows, budget, survey));
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
