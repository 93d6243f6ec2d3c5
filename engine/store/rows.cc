// SPDX-License-Identifier: Apache-2.0
//
// What a store keeps beside the vectors, and the way from a key to its row.
#include <charconv>
#include <cstring>

#include "base/thrown.h"
#include "engine/store/impl.h"

namespace vecstore {

std::uint32_t Store::Impl::dim() const {
  if (properties.dim != 0) return properties.dim;
  return live->delta() == nullptr ? 0 : live->delta()->shape().dim;
}

// ---------------------------------------------------------------------------------------------------------------- rows

Status Store::Impl::check_row(RowId row) const {
  if (live->is_live(row, live->snapshot())) return Status::ok();
  return Status(Code::kNotFound, "the store has no such row").about(directory->path()).at(Detail::kRow, row.value);
}

Result<StoredRow> Store::Impl::stored_row(RowId row) const {
  if (!rows) return StoredRow{};
  return rows->read(row);
}

Status Store::Impl::read_vector(RowId row, std::byte* out) const {
  if (row.value >= properties.rows) {
    live->delta()->copy_vector(row, out);
    return Status::ok();
  }
  if (!is_integer(properties.dtype)) {
    VECSTORE_ASSIGN(const StoredRow stored, stored_row(row));
    std::memcpy(out, stored.vector.data(), stored.vector.size());
    return Status::ok();
  }
  // Integers are on their page as they were put, i8 shifted by 128.
  VECSTORE_ASSIGN(const Pos position, generation->position_of(row, budget));
  const GraphLayout& layout = generation->layout();
  VECSTORE_ASSIGN(auto page, Buffer<std::byte>::allocate(budget, layout.page_bytes));
  VECSTORE_TRY(generation->graph().read_page(layout.page_of(position), page.span()));
  const PageView view(layout, page.data());
  const std::byte* values = view.values() + std::size_t{layout.slot_of(position)} * layout.value_bytes();
  const auto shift = std::byte{layout.dtype == DType::kI8 ? std::uint8_t{0x80} : std::uint8_t{0}};
  for (std::uint32_t i = 0; i < layout.dim; ++i) out[i] = values[i] ^ shift;
  return Status::ok();
}

Result<std::string> Store::Impl::read_document(RowId row) const {
  if (row.value >= properties.rows) return live->document(row);
  if (!rows || !rows->layout().documents) return std::string();
  VECSTORE_ASSIGN(StoredRow stored, stored_row(row));
  return std::move(stored.document);
}

Result<std::string> Store::document(RowId row) const try {
  const Impl& s = *impl_;
  VECSTORE_TRY(s.check_process());
  VECSTORE_TRY(s.check_row(row));
  if (row.value < s.properties.rows && (!s.rows || !s.rows->layout().documents))
    return Status(Code::kNotFound, "the store was built without documents").about(s.directory->path());
  return s.read_document(row);
} catch (...) {
  return status_of_exception();
}

Result<std::string> Store::key(RowId row) const try {
  const Impl& s = *impl_;
  VECSTORE_TRY(s.check_process());
  VECSTORE_TRY(s.check_row(row));
  if (row.value >= s.properties.rows) return s.live->delta()->key(row).to_string();
  if (s.properties.keys == KeyKind::kNumber) return std::to_string(row.value);
  VECSTORE_ASSIGN(StoredRow stored, s.stored_row(row));
  return std::move(stored.key);
} catch (...) {
  return status_of_exception();
}

Status Store::vector(RowId row, void* out) const try {
  VECSTORE_TRY(impl_->check_process());
  VECSTORE_TRY(impl_->check_row(row));
  return impl_->read_vector(row, static_cast<std::byte*>(out));
} catch (...) {
  return status_of_exception();
}

// ---------------------------------------------------------------------------------------------------------------- keys

// The row of the graph that has the key, gone or not.
Result<std::optional<RowId>> Store::Impl::graph_row_of(const Key& key) const {
  if (properties.rows == 0) return std::optional<RowId>();
  if (properties.keys == KeyKind::kNumber)
    return key.number() < properties.rows ? std::optional(RowId{key.number()}) : std::nullopt;
  return key_lookup->find(key.bytes());
}

Result<std::optional<RowId>> Store::Impl::row_of(const Key& key, Lsn snapshot) const {
  VECSTORE_TRY(check_key(key));
  if (const Delta* delta = live->delta(); delta != nullptr)
    if (const auto row = delta->find(key, snapshot)) return row;
  VECSTORE_ASSIGN(const auto row, graph_row_of(key));
  return row && !live->tombstones().gone(*row, snapshot) ? row : std::nullopt;
}

Result<RowId> Store::find(const Key& key) const try {
  const Impl& s = *impl_;
  VECSTORE_TRY(s.check_process());
  Key wanted = key;
  if (key.kind() == KeyKind::kBytes && s.properties.keys == KeyKind::kNumber) {
    const std::string_view digits = key.bytes();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size())
      return Status(Code::kNotFound, "the store has no such key").about(key.to_string());
    wanted = Key(number);
  }
  VECSTORE_ASSIGN(const auto row, s.row_of(wanted, s.live->snapshot()));
  if (!row) return Status(Code::kNotFound, "the store has no such key").about(key.to_string());
  return *row;
} catch (...) {
  return status_of_exception();
}

Result<StoredItem> Store::get(const Key& key) const try {
  const Impl& s = *impl_;
  VECSTORE_TRY(s.check_process());
  VECSTORE_ASSIGN(const auto row, s.row_of(key, s.live->snapshot()));
  if (!row) return Status(Code::kNotFound, "the store has no such key").about(key.to_string());
  StoredItem item;
  item.vector.resize(s.dim() * element_bytes(s.properties.dtype));
  VECSTORE_TRY(s.read_vector(*row, item.vector.data()));
  VECSTORE_ASSIGN(item.document, s.read_document(*row));
  return item;
} catch (...) {
  return status_of_exception();
}

Result<bool> Store::contains(const Key& key) const try {
  VECSTORE_TRY(impl_->check_process());
  VECSTORE_ASSIGN(const auto row, impl_->row_of(key, impl_->live->snapshot()));
  return row.has_value();
} catch (...) {
  return status_of_exception();
}

std::uint64_t Store::size() const { return impl_->check_process().is_ok() ? impl_->live->live_rows() : 0; }

Status Store::Impl::for_each_row(Lsn snapshot, const std::function<Status(const Key&, RowId)>& visit) const {
  std::vector<std::string> keys;
  for (RowId row{0}; row.value < properties.rows;) {
    if (properties.keys == KeyKind::kNumber) {
      if (!live->tombstones().gone(row, snapshot)) VECSTORE_TRY(visit(Key(row.value), row));
      ++row.value;
      continue;
    }
    keys.clear();
    VECSTORE_TRY(rows->read_keys(row, keys));
    for (const std::string& key : keys) {
      if (!live->tombstones().gone(row, snapshot)) VECSTORE_TRY(visit(Key(key), row));
      ++row.value;
    }
  }
  const Delta* delta = live->delta();
  for (RowId row{properties.rows}; delta != nullptr && delta->has(row); ++row.value)
    if (delta->is_live(row, snapshot)) VECSTORE_TRY(visit(delta->key(row), row));
  return Status::ok();
}

Status Store::for_each_key(const std::function<bool(const Key&, RowId)>& visit) const try {
  VECSTORE_TRY(impl_->check_process());
  bool ended = false;
  const Status outcome = impl_->for_each_row(impl_->live->snapshot(), [&](const Key& key, RowId row) {
    ended = !visit(key, row);
    if (ended) return Status(Code::kInvalidArgument, "the visitor has seen enough");
    return impl_->check_process();  // a visitor may call fork()
  });
  return ended ? Status::ok() : outcome;
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
