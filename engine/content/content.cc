// SPDX-License-Identifier: Apache-2.0
#include "engine/content/content.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "engine/rows/catalog.h"
#include "engine/rows/number_key.h"

namespace vecstore {
namespace {

Result<StoreProperties> properties_of(const StoreDirectory& directory, const Manifest& manifest) {
  auto decoded = decode_properties(manifest.properties);
  if (decoded || !decoded.error().subject().empty()) return decoded;
  return Status(decoded.error()).about(directory.path());
}

class GenerationPaths {
 public:
  GenerationPaths(const StoreDirectory& directory, const Manifest& manifest)
      : directory_(directory), number_(manifest.generation) {}
  std::string operator()(FileKind kind) const { return directory_.file_path(file_name(kind, number_)); }
  Generation::Paths all() const {
    return {(*this)(FileKind::kGraph), (*this)(FileKind::kCodes), (*this)(FileKind::kRowMap)};
  }

 private:
  const StoreDirectory& directory_;
  const std::uint32_t number_;
};

// Extents stay from one generation to the next, so each has a number of its own.
std::vector<StoredRows::File> extents_of(const StoreDirectory& directory, const Manifest& manifest) {
  std::vector<StoredRows::File> extents;
  for (const ManifestFile& file : manifest.files)
    if (static_cast<FileKind>(file.kind) == FileKind::kRows)
      extents.push_back({directory.file_path(file.name), {manifest.store, FileKind::kRows, file.generation}});
  return extents;
}

}  // namespace

Result<std::shared_ptr<Content>> Content::open(FileSystem& file_system, const StoreDirectory& directory,
                                               MemoryBudget& budget, const CancelToken* cancel) {
  return open(file_system, directory, *directory.manifest(), budget, cancel);
}

Result<std::shared_ptr<Content>> Content::open(FileSystem& file_system, const StoreDirectory& directory,
                                               const Manifest& manifest, MemoryBudget& budget,
                                               const CancelToken* cancel) {
  std::shared_ptr<Content> content(new Content(file_system, budget));
  VECSTORE_TRY(content->load(directory, manifest, cancel));
  return content;
}

Status Content::load(const StoreDirectory& directory, const Manifest& manifest, const CancelToken* cancel) {
  path_ = directory.path();
  catalog_path_ = directory.file_path(kCatalogName);
  manifest_ = manifest;
  VECSTORE_ASSIGN(properties_, properties_of(directory, manifest));
  if (manifest_.files.empty()) {
    if (properties_.rows == 0) return Status::ok();
    return Status(Code::kCorrupt, "the manifest names no graph; restore or rebuild").about(path_);
  }
  const GenerationPaths paths(directory, manifest_);
  VECSTORE_ASSIGN(generation_,
                  Generation::open(file_system_, paths.all(), manifest_.store, manifest_.generation, budget_, cancel));
  const GraphLayout& layout = generation_->layout();
  if (layout.rows != properties_.rows || layout.dim != properties_.dim || layout.metric != properties_.metric ||
      layout.dtype != properties_.dtype || generation_->row_end() > properties_.row_end)
    return Status(Code::kCorrupt, "the graph does not fit the store's properties; restore or rebuild")
        .about(generation_->graph().path());
  const std::vector<StoredRows::File> extents = extents_of(directory, manifest);
  if (extents.size() != properties_.rows_extents)
    return Status(Code::kCorrupt,
                  "the manifest names other files of rows than the store's properties count; restore or rebuild")
        .about(path_);
  if (!extents.empty()) {
    VECSTORE_ASSIGN(StoredRows rows, StoredRows::open(file_system_, extents, &generation_->row_map(), budget_));
    rows_.emplace(std::move(rows));
    properties_.keys = rows_->layout().keys && !keeps_number_keys() ? KeyKind::kBytes : KeyKind::kNumber;
  }
  if (!rows_fit())
    return Status(Code::kCorrupt, "the rows kept do not fit the store's properties; restore or rebuild")
        .about(directory.file_path(kRowsName));
  return Status::ok();
}

// Integers lie on their page as they were put; of anything else rows/ must keep the originals of every row.
bool Content::rows_fit() const {
  const bool integers = is_integer(properties_.dtype);
  if (!rows_) return integers || properties_.rows == 0;
  const std::size_t vector_bytes = integers ? 0 : properties_.dim * element_bytes(properties_.dtype);
  const std::uint64_t kept = rows_->rows_kept();
  const bool has_all = properties_.keeps_extents ? kept >= properties_.rows : kept == properties_.rows;
  return has_all && rows_->end().value <= properties_.row_end && rows_->layout().vector_bytes == vector_bytes;
}

void Content::look_up_keys(bool may_write, MemoryBudget& budget) {
  if (!keeps_keys()) return;
  key_lookup_ = std::make_unique<KeyLookup>(
      file_system_, KeyLookup::Options{catalog_path_, manifest_.store, manifest_.applied_lsn, may_write}, *rows_,
      budget);
}

void Content::stop_writing_catalog() const {
  if (key_lookup_) key_lookup_->stop_writing();
}

Status Content::fill_cache(std::uint64_t pages, CachePolicy policy, const CancelToken* cancel) {
  return generation_->fill_cache(pages, policy, budget_, cancel);
}

DeltaShape Content::delta_shape() const {
  return {properties_.dim, properties_.dtype, properties_.metric, properties_.keys,
          generation_ ? generation_->centre() : Centre{}};
}

LiveState::Base Content::live_base() const {
  return {delta_shape(), properties_.row_end, properties_.rows, Lsn{manifest_.applied_lsn}};
}

bool Content::in_memory() const {
  return generation_ && properties_.walks_in_memory && generation_->cache().all_pages() != nullptr;
}

OpenFacts Content::open_facts() const {
  OpenFacts facts;
  facts.has_graph = generation_ != nullptr;
  if (generation_) {
    facts.layout = generation_->layout();
    facts.form = generation_->codes().form();
  }
  facts.walks_in_memory = properties_.walks_in_memory;
  facts.keeps_keys = keeps_keys();
  facts.has_log = properties_.has_log;
  return facts;
}

std::uint64_t Content::memory_bytes() const {
  std::uint64_t bytes = rows_ ? rows_->memory_bytes() : 0;
  if (generation_ == nullptr) return bytes;
  const BlockCodes& codes = generation_->codes();
  return bytes + codes.bytes_per_row_total() + codes.fixed_bytes() + generation_->cache().bytes();
}

std::uint64_t Content::disk_bytes() const {
  std::uint64_t bytes = 0;
  for (const ManifestFile& file : manifest_.files) bytes += file.bytes;
  return bytes;
}

std::uint64_t Content::disk_bytes_beside(const Content& other) const {
  std::uint64_t bytes = 0;
  for (const ManifestFile& file : manifest_.files)
    if (std::ranges::find(other.manifest_.files, file.name, &ManifestFile::name) == other.manifest_.files.end())
      bytes += file.bytes;
  return bytes;
}

Status Content::read_vector(RowId row, std::byte* out) const {
  if (!is_integer(properties_.dtype)) {
    VECSTORE_ASSIGN(const StoredRow stored, read_row(row));
    std::memcpy(out, stored.vector.data(), stored.vector.size());
    return Status::ok();
  }
  VECSTORE_ASSIGN(const Pos position, generation_->position_of(row, budget_));
  const GraphLayout& layout = generation_->layout();
  VECSTORE_ASSIGN(auto page, Buffer<std::byte>::allocate(budget_, layout.page_bytes));
  VECSTORE_TRY(generation_->graph().read_page(layout.page_of(position), page.span()));
  PageView(layout, page.data()).copy_integers(layout.slot_of(position), out);
  return Status::ok();
}

Result<StoredRow> Content::read_row(RowId row) const {
  if (!rows_) return StoredRow{};
  return rows_->read(row);
}

Result<std::string> Content::read_document(RowId row) const {
  if (!has_documents()) return std::string();
  VECSTORE_ASSIGN(StoredRow stored, read_row(row));
  return std::move(stored.document);
}

Result<std::string> Content::read_key(RowId row) const {
  if (properties_.keys == KeyKind::kNumber && !keeps_number_keys()) return std::to_string(row.value);
  VECSTORE_ASSIGN(StoredRow stored, read_row(row));
  if (keeps_number_keys()) return std::to_string(decode_number_key(stored.key));
  return std::move(stored.key);
}

Result<bool> Content::has_row(RowId row) const {
  if (generation_ == nullptr || row.value >= generation_->row_end()) return false;
  if (generation_->row_map().is_dense()) return true;
  VECSTORE_ASSIGN(const std::optional<Pos> position, generation_->find_position(row, budget_));
  return position.has_value();
}

Status Content::check_key(const Key& key) const {
  if (key.kind() != properties_.keys)
    return Status(Code::kInvalidArgument, properties_.keys == KeyKind::kNumber
                                              ? "the keys of this store are numbers, not byte strings"
                                              : "the keys of this store are byte strings, not numbers");
  if (key.kind() == KeyKind::kBytes && (key.bytes().empty() || key.bytes().size() > kKeyBytesMax))
    return Status(Code::kInvalidArgument, "a key must have between 1 and 480 bytes");
  return Status::ok();
}

Result<std::optional<RowId>> Content::row_of(const Key& key) const {
  if (properties_.rows == 0) return std::optional<RowId>();
  if (properties_.keys == KeyKind::kBytes) return key_lookup_->find(key.bytes());
  if (keeps_number_keys()) return key_lookup_->find(encode_number_key(key.number()));
  VECSTORE_ASSIGN(const bool is_there, has_row(RowId{key.number()}));
  return is_there ? std::optional(RowId{key.number()}) : std::nullopt;
}

Status Content::for_each_row(const std::function<Status(const Key&, RowId)>& visit) const {
  if (generation_ == nullptr) return Status::ok();
  if (!keeps_keys())
    return generation_->for_each_row_id(budget_, [&](RowId row) { return visit(Key(row.value), row); });
  VECSTORE_ASSIGN(StoredKeysPass pass, StoredKeysPass::begin(*rows_, budget_));
  std::vector<KeyOfRow> keys;
  do {
    VECSTORE_TRY(pass.next(keys));
    for (const KeyOfRow& row : keys)
      VECSTORE_TRY(visit(keeps_number_keys() ? Key(decode_number_key(row.key)) : Key(row.key), row.id));
  } while (!keys.empty());
  return Status::ok();
}

Result<LeastFacts> read_least_facts(FileSystem& file_system, const StoreDirectory& directory) {
  LeastFacts facts;
  VECSTORE_ASSIGN(const StoreProperties properties, properties_of(directory, *directory.manifest()));
  facts.open.walks_in_memory = properties.walks_in_memory;
  facts.open.has_log = properties.has_log;
  facts.open.has_graph = !directory.manifest()->files.empty();
  if (!facts.open.has_graph) return facts;
  const GenerationPaths paths(directory, *directory.manifest());
  VECSTORE_ASSIGN(const Generation::Needs needs,
                  Generation::predict_open(file_system, paths.all(), directory.manifest()->store,
                                           directory.manifest()->generation));
  facts.open.layout = needs.layout;
  facts.open.form = needs.form;
  facts.resident_bytes = needs.resident_bytes;
  facts.loading_bytes = needs.loading_bytes;
  const std::vector<StoredRows::File> extents = extents_of(directory, *directory.manifest());
  if (extents.empty()) return facts;
  MemoryBudget of_rows;
  VECSTORE_ASSIGN(const StoredRows rows, StoredRows::open(file_system, extents, nullptr, of_rows));
  facts.rows_bytes = of_rows.peak_bytes();
  facts.open.keeps_keys = rows.layout().keys;
  return facts;
}

}  // namespace vecstore
