// SPDX-License-Identifier: Apache-2.0
//
// What a store keeps beside the vectors, and the way from a key to its row.
#include <charconv>
#include <cstring>

#include "engine/store_impl.h"

namespace vecstore {

Result<StoredRow> Store::Impl::stored_row(RowId row) const {
  if (row.value >= properties.rows)
    return Status(Code::kNotFound, "the store has no such row").about(directory->path()).at(Detail::kRow, row.value);
  if (!rows) return StoredRow{};
  return rows->read(row);
}

Result<std::string> Store::document(RowId row) const {
  VECSTORE_ASSIGN(StoredRow stored, impl_->stored_row(row));
  if (!impl_->rows || !impl_->rows->layout().documents)
    return Status(Code::kNotFound, "the store was built without documents").about(impl_->directory->path());
  return std::move(stored.document);
}

Result<std::string> Store::key(RowId row) const {
  VECSTORE_ASSIGN(StoredRow stored, impl_->stored_row(row));
  if (!impl_->rows || !impl_->rows->layout().keys) return std::to_string(row.value);
  return std::move(stored.key);
}

Status Store::vector(RowId row, void* out) const {
  const Impl& s = *impl_;
  const std::size_t bytes = s.properties.dim * element_bytes(s.properties.dtype);
  if (s.rows && s.rows->layout().vector_bytes != 0) {
    VECSTORE_ASSIGN(const StoredRow stored, s.stored_row(row));
    std::memcpy(out, stored.vector.data(), bytes);
    return Status::ok();
  }
  // Integers are on their page as they were put, i8 shifted by 128.
  if (row.value >= s.properties.rows)
    return Status(Code::kNotFound, "the store has no such row").about(s.directory->path()).at(Detail::kRow, row.value);
  VECSTORE_ASSIGN(const Pos position, s.generation->position_of(row, s.budget));
  const GraphLayout& layout = s.generation->layout();
  VECSTORE_ASSIGN(auto page, Buffer<std::byte>::allocate(s.budget, layout.page_bytes));
  VECSTORE_TRY(s.generation->graph().read_page(layout.page_of(position), page.span()));
  const PageView view(layout, page.data());
  const std::uint8_t* codes = view.codes() + std::size_t{layout.slot_of(position)} * layout.dim;
  const std::uint8_t shift = layout.dtype == DType::kI8 ? 0x80u : 0u;
  auto* to = static_cast<std::uint8_t*>(out);
  for (std::uint32_t i = 0; i < layout.dim; ++i) to[i] = codes[i] ^ shift;
  return Status::ok();
}

Result<RowId> Store::find(const std::string& key) const {
  const Impl& s = *impl_;
  const Status missing = Status(Code::kNotFound, "the store has no such key").about(key);
  if (s.rows && s.rows->layout().keys) return s.find_key(key);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc() || end != key.data() + key.size() || number >= s.properties.rows) return missing;
  return RowId{number};
}

// The catalog is derived: where it is missing, damaged or another store's it is built anew from rows/.
Result<RowId> Store::Impl::find_key(const std::string& key) const {
  const std::lock_guard guard(catalog_lock);
  const std::string path = directory->file_path("catalog");
  const auto look_up = [&]() -> Result<std::optional<RowId>> {
    if (!catalog) {
      VECSTORE_ASSIGN(Catalog opened, Catalog::open(path, manifest().store, budget));
      catalog.emplace(std::move(opened));
    }
    return catalog->find(key);
  };
  auto found = look_up();
  if (!found && (found.error().code() == Code::kCorrupt || found.error().code() == Code::kNotFound)) {
    catalog.reset();
    VECSTORE_TRY(Catalog::build(path, manifest().store, manifest().applied_lsn, keys_of({&*rows}), budget));
    found = look_up();
  }
  if (!found) return found.error();
  if (!found->has_value()) return Status(Code::kNotFound, "the store has no such key").about(key);
  return **found;
}

}  // namespace vecstore
