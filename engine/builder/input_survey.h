// SPDX-License-Identifier: Apache-2.0
//
// What can be refused of a build's texts and queries, found before the long work: their number, their size, keys that
// appear twice, values that no query has.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/frames.h"
#include "engine/builder/build_input.h"
#include "engine/options.h"
#include "engine/rows/document_sample.h"

namespace vecstore {

struct InputSurvey {
  std::array<std::uint64_t, 2> text_hash{};     // of keys and documents; 0: there are none
  std::unique_ptr<FrameDictionary> dictionary;  // of the documents; null: they are too few, or have nothing in common
  std::uint64_t key_disk_bytes = 0;             // that keys take in rows/ and in the catalog, about
};

// Reads keys, documents and calibration queries once. Keys are sorted in what `budget` has left, with the help of an
// unnamed file made at `spill_path`; a dictionary is trained on a sample of the documents. Errors: kInvalidInput (too
// few or too many lines; a text that is too long, or an empty key, with its line or row; a query, with its row),
// kExists (a key appears twice; names the file or option, the key and both places), kMemoryBudget, kNotFound, kNoSpace,
// kIo.
Result<InputSurvey> survey_input(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows,
                                 const std::string& spill_path, MemoryBudget& budget);

// Of texts that a store has taken already: all of them are offered, in the order of the rows.
class TextSurvey {
 public:
  // Errors: kMemoryBudget.
  static Result<TextSurvey> create(bool has_documents, MemoryBudget& budget);
  void offer(std::string_view key, std::string_view document);
  Result<InputSurvey> finish();

 private:
  TextSurvey(DocumentSample sample, bool has_documents, MemoryBudget& budget)
      : sample_(std::move(sample)), has_documents_(has_documents), budget_(budget) {}
  DocumentSample sample_;
  const bool has_documents_;
  MemoryBudget& budget_;
  std::uint64_t key_bytes_ = 0;
  std::uint64_t keys_ = 0;
};
Result<InputSurvey> survey_texts(RowTexts& texts, std::uint64_t rows, MemoryBudget& budget, const CancelToken* cancel);

}  // namespace vecstore
