// SPDX-License-Identifier: Apache-2.0
//
// The second half of a build: what goes to disk.
#include <algorithm>

#include "base/check.h"
#include "engine/builder/input_texts.h"
#include "engine/builder/store_builder.h"
#include "engine/generation/open_plan.h"
#include "engine/rows/catalog.h"
#include "engine/rows/number_key.h"
#include "engine/rows/stored_rows.h"
#include "graph/search.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kTemporaryGeneration = 0;
constexpr std::uint64_t kModelOutgrowsHeldOut = 20;  // times as many rows as are held out

}  // namespace

Result<WrittenGeneration> StoreBuilder::write_files(const Generation::Paths& paths, std::uint32_t generation,
                                                    std::span<const std::uint32_t> order) {
  const auto progress = [this](Phase phase, std::uint64_t done, std::uint64_t total) { report(phase, done, total); };
  GenerationWriter writer(file_system_, uuid_, *executor_, budget_, progress);
  const GenerationSource source{*rows_,
                                *graph_,
                                order,
                                layout_for(order.size()),
                                plan_.codec,
                                model_ ? &*model_ : nullptr,
                                centre_.span(),
                                input_.row_ids,
                                input_.number_keys};
  VECSTORE_ASSIGN(WrittenGeneration written, writer.write(paths, generation, source, place_.span()));
  rows_per_page_ = written.rows_per_page;
  return written;
}

// Codebooks fit the rows they were trained on best. Where those not held out are few, that would tell: then the model
// is trained again once all rows are there.
void StoreBuilder::keep_model(CodecModel model, std::uint64_t rows) {
  if (rows >= kModelOutgrowsHeldOut * held_out_.rows.size()) model_ = std::move(model);
}

Generation::Paths StoreBuilder::final_paths(const StoreDirectory& directory) const {
  const auto path = [&](FileKind kind) { return directory.file_path(file_name(kind, generation_)); };
  return {path(FileKind::kGraph), path(FileKind::kCodes), path(FileKind::kRowMap)};
}

Status StoreBuilder::calibrate_files(const Generation::Paths& paths, std::uint32_t generation) {
  VECSTORE_ASSIGN(const auto opened, Generation::open(file_system_, paths, uuid_, generation, budget_));
  const std::uint64_t total = calibration_searches(calibration_set_.queries.rows);
  VECSTORE_ASSIGN(properties_.calibration,
                  calibrate(opened->search_index(), calibration_set_, *executor_, budget_,
                            [&](std::uint64_t done) { report(Phase::kCalibrate, std::min(done, total), total); }));
  // A cache of every page needs room that the build was not granted; without it that L is estimated from the other.
  const std::uint64_t needed = in_memory_bytes(opened->layout(), opened->codes().form(), plan_.threads);
  if (properties_.calibration.empty() || needed > budget_.limit_bytes() - budget_.used_bytes()) return Status::ok();
  VECSTORE_TRY(opened->fill_cache(opened->graph().page_count(), CachePolicy::kFixed, budget_));
  VECSTORE_ASSIGN(properties_.walks_in_memory, calibrate_in_memory(opened->search_index(), calibration_set_, *executor_,
                                                                   budget_, properties_.calibration));
  return Status::ok();
}

Status StoreBuilder::calibrate_without_held_out(StoreDirectory& directory) {
  const Generation::Paths paths{directory.temporary_path(kTemporaryNames[0]),
                                directory.temporary_path(kTemporaryNames[1]),
                                directory.temporary_path(kTemporaryNames[2])};
  VECSTORE_ASSIGN(WrittenGeneration written, write_files(paths, kTemporaryGeneration, partial_order_.span()));
  keep_model(std::move(written.model), partial_order_.size());
  VECSTORE_TRY(calibrate_files(paths, kTemporaryGeneration));
  properties_.calibrated_on = CalibratedOn::kOwnRows;
  calibrated_blocks_ = written.blocks;
  for (const std::string& path : {paths.graph, paths.codes, paths.row_map}) VECSTORE_TRY(file_system_.unlink(path));
  return Status::ok();
}

Status StoreBuilder::write_generation(StoreDirectory& directory) {
  partial_order_.reset();
  VECSTORE_ASSIGN(WrittenGeneration written, write_files(final_paths(directory), generation_, order_.span()));
  files_ = std::move(written.files);
  // Where blocks are cut, their number may have grown by more than the rows held out: then as many are scanned of each.
  const std::uint64_t even = Blocks::even_count(plan_.rows);
  if (calibrated_blocks_ == 0 || written.blocks == even || written.blocks <= calibrated_blocks_) return Status::ok();
  for (CalibrationPoint& point : properties_.calibration)
    point.blocks =
        static_cast<std::uint32_t>((point.blocks * written.blocks + calibrated_blocks_ - 1) / calibrated_blocks_);
  return Status::ok();
}

Status StoreBuilder::calibrate_on_given(StoreDirectory& directory) {
  const VectorSource& queries = *options_->calibration_queries;
  VECSTORE_ASSIGN(CalibrationSet set, set_of_queries(truth_search(), queries, queries.rows()));
  keep_calibration_set(std::move(set));
  VECSTORE_TRY(calibrate_files(final_paths(directory), generation_));
  properties_.calibrated_on = CalibratedOn::kGivenQueries;
  return Status::ok();
}

// Keys, documents and originals, and where keys are looked up.
Status StoreBuilder::write_rows(StoreDirectory& directory) {
  const bool keys = has_keys() || key_bytes_ != 0;
  properties_.keys = has_keys() ? KeyKind::kBytes : KeyKind::kNumber;
  if (!keys && !has_documents() && !plan_.keep_originals) return Status::ok();
  release_build_memory();
  const Status made = file_system_.make_directory(directory.file_path(kRowsName));
  if (!made.is_ok() && made.code() != Code::kExists) return made;
  const FileIdentity identity{uuid_, FileKind::kRows, generation_};
  const std::string path = directory.file_path(file_name(FileKind::kRows, generation_));
  VECSTORE_TRY(write_extent(path, identity));
  properties_.rows_extents = 1;
  return keys ? write_catalog(directory, path, identity) : Status::ok();
}

// In the order of the rows.
Status StoreBuilder::write_extent(const std::string& path, const FileIdentity& identity) {
  const std::size_t row_bytes = plan_.dim * element_bytes(plan_.dtype);
  InputTexts given(file_system_, *options_, plan_.rows, budget_);
  RowTexts& texts = input_.texts != nullptr ? *input_.texts : given;
  VECSTORE_TRY(texts.rewind());
  RowsLayout layout;
  layout.number_keys = key_bytes_ != 0;
  layout.keys = has_keys() || layout.number_keys;
  layout.documents = has_documents();
  layout.vector_bytes = plan_.keep_originals ? static_cast<std::uint32_t>(row_bytes) : 0u;
  const bool has_gaps = !input_.row_ids.empty() || layout.number_keys;
  const FrameDictionary* dictionary = survey_.dictionary.get();
  VECSTORE_ASSIGN(auto writer,
                  has_gaps ? RowsWriter::create_with_gaps(file_system_, path, identity, layout, dictionary, budget_)
                           : RowsWriter::create(file_system_, path, identity, RowId{0}, layout, dictionary, budget_));
  VECSTORE_ASSIGN(auto chunk,
                  Buffer<std::byte>::allocate(
                      budget_, plan_.keep_originals ? std::min(plan_.chunk_rows, plan_.rows) * row_bytes : 0));
  std::string number_key;
  for (std::uint64_t first = 0; first < plan_.rows; first += plan_.chunk_rows) {
    const std::uint64_t count = std::min(plan_.chunk_rows, plan_.rows - first);
    if (plan_.keep_originals) VECSTORE_TRY(vectors_->read(first, count, chunk.data()));
    for (std::uint64_t i = 0; i < count; ++i) {
      RowPayload row;
      VECSTORE_TRY(texts.next(row.key, row.document));
      if (layout.number_keys) row.key = number_key = encode_number_key(input_.number_keys[first + i]);
      if (plan_.keep_originals) row.vector = {chunk.data() + i * row_bytes, row_bytes};
      const std::uint64_t id = input_.row_ids.empty() ? first + i : input_.row_ids[first + i];
      VECSTORE_TRY(has_gaps ? writer.append(RowId{id}, row) : writer.append(row));
    }
    report(Phase::kWrite, first + count, plan_.rows);
  }
  VECSTORE_TRY(texts.expect_end());
  VECSTORE_ASSIGN(const auto finished, writer.finish());
  files_.push_back(manifest_entry(identity, finished));
  return Status::ok();
}

Status StoreBuilder::write_catalog(StoreDirectory& directory, const std::string& path, const FileIdentity& identity) {
  const StoredRows::File extent{path, identity};
  VECSTORE_ASSIGN(const StoredRows rows, StoredRows::open(file_system_, {&extent, 1}, nullptr, budget_));
  VECSTORE_ASSIGN(catalog_, Catalog::write(file_system_, directory.file_path(kCatalogName), uuid_, input_.applied_lsn,
                                           keys_of(rows, budget_), budget_, options_->cancel));
  return Status::ok();
}

}  // namespace vecstore
