// SPDX-License-Identifier: Apache-2.0
//
// The second half of a build: what goes to disk.
#include <algorithm>

#include "base/check.h"
#include "engine/builder/store_builder.h"
#include "engine/files/text_lines.h"
#include "engine/generation/open_plan.h"
#include "engine/rows/catalog.h"
#include "engine/rows/rows.h"
#include "graph/search.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kTemporaryGeneration = 0;
constexpr std::uint64_t kModelOutgrowsHeldOut = 20;  // times as many rows as are held out

// Rows in position order as the page will hold them.
class OrderedRows final : public FloatRows {
 public:
  OrderedRows(const QuantizedRows& rows, std::span<const std::uint32_t> order) : rows_(&rows), order_(order) {}
  std::uint64_t rows() const override { return order_.size(); }
  std::uint32_t dim() const override { return rows_->dim(); }
  void read(Pos position, float* out) const override { rows_->decode(order_[position], out); }

 private:
  const QuantizedRows* rows_;
  std::span<const std::uint32_t> order_;
};

}  // namespace

Result<BlockCodes> StoreBuilder::encode(std::span<const std::uint32_t> order, const CodecModel* model) {
  report(BuildPhase::kCodes, 0, order.size());
  auto codes = encode_blocks(OrderedRows(*rows_, order), plan_.codec, model, *executor_, budget_);
  report(BuildPhase::kCodes, order.size(), order.size());
  return codes;
}

Result<ManifestFile> StoreBuilder::write_graph(const std::string& path, const FileIdentity& identity,
                                               std::span<const std::uint32_t> order) {
  invert_order(order, place_.span());
  const PackInput input{&*rows_, &*graph_, order};
  for (;; --rows_per_page_) {
    VECSTORE_ASSIGN(auto writer, PageFileWriter::create(file_system_, path, {identity, plan_.page_bytes}, budget_));
    const auto summary = pack_graph(input, place_.span(), layout_for(order.size()), budget_, writer,
                                    reporter(BuildPhase::kWrite, plan_.rows));
    if (summary) {
      VECSTORE_ASSIGN(const auto finished, writer.finish(encode_summary(*summary)));
      return manifest_entry(identity, finished);
    }
    // The rare page whose lists cannot be cut any further: one row less a page makes room.
    if (summary.error().code() != Code::kUnsupported || rows_per_page_ == 1) return summary.error();
  }
}

Result<std::vector<ManifestFile>> StoreBuilder::write_files(const Generation::Paths& paths, std::uint32_t generation,
                                                            std::span<const std::uint32_t> order) {
  const auto identity = [&](FileKind kind) { return FileIdentity{uuid_, kind, generation}; };
  VECSTORE_ASSIGN(const ManifestFile graph, write_graph(paths.graph, identity(FileKind::kGraph), order));
  VECSTORE_ASSIGN(BlockCodes codes, encode(order, model_ ? &*model_ : nullptr));
  const GraphLayout layout = layout_for(order.size());
  VECSTORE_ASSIGN(const auto ranking, rank_pages({&*rows_, &*graph_, order}, place_.span(), layout, budget_));
  VECSTORE_ASSIGN(const ManifestFile coded, write_codes_file(file_system_, paths.codes, identity(FileKind::kCodes),
                                                             codes, centre_.span(), ranking.span(), budget_));
  VECSTORE_ASSIGN(const ManifestFile mapped,
                  write_row_map(file_system_, paths.row_map, identity(FileKind::kRowMap), place_.span(), budget_));
  // Codebooks fit the rows they were trained on best. Where those not held out are few, that would tell: then the model
  // is trained again once all rows are there.
  blocks_ = codes.blocks.count();
  if (order.size() >= kModelOutgrowsHeldOut * held_out_.size()) model_ = std::move(codes.model);
  return std::vector<ManifestFile>{graph, coded, mapped};
}

Status StoreBuilder::calibrate_files(const Generation::Paths& paths, std::uint32_t generation) {
  VECSTORE_ASSIGN(const auto opened, Generation::open(file_system_, paths, uuid_, generation, budget_));
  const std::uint64_t total = calibration_searches(calibration_set_.queries.rows);
  VECSTORE_ASSIGN(properties_.calibration,
                  calibrate(opened->search_index(), calibration_set_, *executor_, budget_,
                            [&](std::uint64_t done) { report(BuildPhase::kCalibrate, std::min(done, total), total); }));
  // A cache of every page needs room that the build was not granted; without it that L is estimated from the other.
  const std::uint64_t needed = in_memory_bytes(opened->layout(), opened->codes().form(), plan_.threads);
  if (properties_.calibration.empty() || needed > budget_.limit_bytes() - budget_.used_bytes()) return Status::ok();
  VECSTORE_TRY(opened->fill_cache(opened->graph().page_count(), CachePolicy::kFixed, budget_));
  VECSTORE_ASSIGN(properties_.walks_in_memory, calibrate_in_memory(opened->search_index(), calibration_set_, *executor_,
                                                                   budget_, properties_.calibration));
  return Status::ok();
}

Status StoreBuilder::calibrate_without_held_out(StoreDirectory& directory) {
  const Generation::Paths paths{directory.temporary_path("graph"), directory.temporary_path("codes"),
                                directory.temporary_path("rowmap")};
  VECSTORE_ASSIGN(const auto files, write_files(paths, kTemporaryGeneration, partial_order_.span()));
  VECSTORE_TRY(calibrate_files(paths, kTemporaryGeneration));
  properties_.calibrated_on = CalibratedOn::kOwnRows;
  calibrated_blocks_ = blocks_;
  for (const std::string& path : {paths.graph, paths.codes, paths.row_map}) VECSTORE_TRY(file_system_.unlink(path));
  return Status::ok();
}

Status StoreBuilder::write_generation(StoreDirectory& directory) {
  partial_order_.reset();
  const auto path = [&](FileKind kind) { return directory.file_path(file_name(kind, generation_)); };
  VECSTORE_ASSIGN(files_, write_files({path(FileKind::kGraph), path(FileKind::kCodes), path(FileKind::kRowMap)},
                                      generation_, order_.span()));
  // Where blocks are cut, their number may have grown by more than the rows held out: then as many are scanned of each.
  const std::uint64_t even = Blocks::even_count(plan_.rows);
  if (calibrated_blocks_ == 0 || blocks_ == even || blocks_ <= calibrated_blocks_) return Status::ok();
  for (CalibrationPoint& point : properties_.calibration)
    point.blocks = static_cast<std::uint32_t>((point.blocks * blocks_ + calibrated_blocks_ - 1) / calibrated_blocks_);
  return Status::ok();
}

Status StoreBuilder::calibrate_on_given(StoreDirectory& directory) {
  const VectorSource& queries = *options_->calibration_queries;
  VECSTORE_ASSIGN(
      queries_, Buffer<std::byte>::allocate(budget_, queries.rows() * queries.dim() * element_bytes(queries.dtype())));
  VECSTORE_TRY(queries.read(0, queries.rows(), queries_.data()));
  calibration_set_.queries = {queries_.data(), queries.dtype(), queries.rows(), queries.dim(), 0};
  VECSTORE_TRY(find_truth(queries, false));
  const auto path = [&](FileKind kind) { return directory.file_path(file_name(kind, generation_)); };
  VECSTORE_TRY(calibrate_files({path(FileKind::kGraph), path(FileKind::kCodes), path(FileKind::kRowMap)}, generation_));
  properties_.calibrated_on = CalibratedOn::kGivenQueries;
  return Status::ok();
}

// Keys, documents and originals, in input order.
Status StoreBuilder::write_rows(StoreDirectory& directory) {
  const bool keys = !options_->keys_path.empty();
  const bool documents = !options_->documents_path.empty();
  const std::size_t row_bytes = plan_.dim * element_bytes(plan_.dtype);
  if (!keys && !documents && !plan_.keep_originals) return Status::ok();
  release_build_memory();
  const Status made = file_system_.make_directory(directory.file_path(kRowsName));
  if (!made.is_ok() && made.code() != Code::kExists) return made;
  std::optional<TextLines> key_lines;
  std::optional<TextLines> document_lines;
  if (keys) {
    VECSTORE_ASSIGN(key_lines, TextLines::open(file_system_, options_->keys_path, budget_, kKeyBytesMax));
  }
  if (documents) {
    VECSTORE_ASSIGN(document_lines, TextLines::open(file_system_, options_->documents_path, budget_));
  }
  const FileIdentity identity{uuid_, FileKind::kRows, generation_};
  const std::string path = directory.file_path(file_name(FileKind::kRows, generation_));
  const RowsLayout layout{keys, documents, plan_.keep_originals ? static_cast<std::uint32_t>(row_bytes) : 0u};
  VECSTORE_ASSIGN(auto writer,
                  RowsWriter::create(file_system_, path, identity, RowId{0}, layout, dictionary_.get(), budget_));
  VECSTORE_ASSIGN(auto chunk,
                  Buffer<std::byte>::allocate(
                      budget_, plan_.keep_originals ? std::min(plan_.chunk_rows, plan_.rows) * row_bytes : 0));
  for (std::uint64_t first = 0; first < plan_.rows; first += plan_.chunk_rows) {
    const std::uint64_t count = std::min(plan_.chunk_rows, plan_.rows - first);
    if (plan_.keep_originals) VECSTORE_TRY(vectors_->read(first, count, chunk.data()));
    for (std::uint64_t i = 0; i < count; ++i) {
      RowPayload row;
      if (keys) VECSTORE_TRY(key_lines->expect_line(plan_.rows, row.key));
      if (documents) VECSTORE_TRY(document_lines->expect_line(plan_.rows, row.document));
      if (plan_.keep_originals) row.vector = {chunk.data() + i * row_bytes, row_bytes};
      VECSTORE_TRY(writer.append(row));
    }
    report(BuildPhase::kWrite, first + count, plan_.rows);
  }
  if (keys) VECSTORE_TRY(key_lines->expect_end(plan_.rows));
  if (documents) VECSTORE_TRY(document_lines->expect_end(plan_.rows));
  VECSTORE_ASSIGN(const auto finished, writer.finish());
  files_.push_back(manifest_entry(identity, finished));
  properties_.has_rows_file = true;
  properties_.keys = keys ? KeyKind::kBytes : KeyKind::kNumber;
  if (!keys) return Status::ok();
  VECSTORE_ASSIGN(const RowsExtent extent, RowsExtent::open(file_system_, path, identity, budget_));
  const Status built =
      Catalog::build(file_system_, directory.file_path(kCatalogName), uuid_, 0, keys_of({&extent}), budget_);
  // Where LMDB cannot write, keys are looked up in rows/ (engine/key_lookup.h).
  return built.code() == Code::kUnsupported ? Status::ok() : built;
}

}  // namespace vecstore
