// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/row_map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "engine/generation/file_names.h"

namespace vecstore {
namespace {

constexpr std::uint16_t kVersionDense = 1;
constexpr std::uint16_t kVersion = 2;      // of a map with RowIds
constexpr std::uint64_t kPartRows = 1024;  // entries that the index has one RowId for
constexpr std::size_t kEntryBytesMax = sizeof(std::uint64_t) + sizeof(Pos);

constexpr std::uint32_t bytes_for(std::uint64_t greatest) {
  return greatest <= std::numeric_limits<std::uint32_t>::max() ? 4 : 8;
}

// Ascending numbers without a gap are those of the rows themselves.
bool have_gaps(std::span<const std::uint64_t> row_ids) {
  return !row_ids.empty() && row_ids.back() != row_ids.size() - 1;
}

Result<RowMapForm> write_dense(std::span<const Pos> positions, PageStreamWriter& stream) {
  VECSTORE_TRY(stream.write(std::as_bytes(positions)));
  return RowMapForm{.rows = positions.size(), .row_end = positions.size()};
}

// The entries of the rows that are placed, and behind them their index.
Result<RowMapForm> write_entries(std::span<const Pos> positions, std::span<const std::uint64_t> row_ids,
                                 MemoryBudget& budget, PageStreamWriter& stream) {
  VECSTORE_CHECK(row_ids.back() < std::numeric_limits<std::uint64_t>::max());
  VECSTORE_ASSIGN(auto index, Buffer<std::uint64_t>::allocate(budget, positions.size() / kPartRows + 1));
  RowMapForm form{.has_row_ids = true, .row_id_bytes = bytes_for(row_ids.back())};
  for (std::size_t i = 0; i < positions.size(); ++i) {
    VECSTORE_CHECK(i == 0 || row_ids[i - 1] < row_ids[i]);
    if (positions[i] == kNoPos) continue;
    std::array<std::byte, kEntryBytesMax> entry;
    std::memcpy(entry.data(), &row_ids[i], form.row_id_bytes);
    std::memcpy(entry.data() + form.row_id_bytes, &positions[i], sizeof(Pos));
    VECSTORE_TRY(stream.write(std::span(entry).first(form.entry_bytes())));
    if (form.rows % kPartRows == 0) index[form.rows / kPartRows] = row_ids[i];
    ++form.rows;
    form.row_end = row_ids[i] + 1;
  }
  VECSTORE_TRY(stream.write(std::as_bytes(index.span().first(form.index_entries()))));
  return form;
}

Result<ManifestFile> finish_map(PageFileWriter& writer, PageStreamWriter& stream, const FileIdentity& identity,
                                const RowMapForm& form) {
  VECSTORE_TRY(stream.flush());
  std::array<std::byte, 22> attributes{};
  SpanWriter out(attributes);
  out.write(form.has_row_ids ? kVersion : kVersionDense);
  out.write(form.rows);
  if (form.has_row_ids) {
    out.write(form.row_id_bytes);
    out.write(form.row_end);
  }
  VECSTORE_ASSIGN(const auto finished, writer.finish(std::span(attributes).first(form.has_row_ids ? 22 : 10)));
  return manifest_entry(identity, finished);
}

}  // namespace

Result<ManifestFile> write_row_map(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                   std::span<const Pos> positions, MemoryBudget& budget,
                                   std::span<const std::uint64_t> row_ids) {
  VECSTORE_CHECK(row_ids.empty() || row_ids.size() == positions.size());
  VECSTORE_ASSIGN(auto writer, PageFileWriter::create(file_system, path, {identity, kStreamPageBytes}, budget));
  PageStreamWriter stream(writer);
  VECSTORE_ASSIGN(const RowMapForm form, have_gaps(row_ids) ? write_entries(positions, row_ids, budget, stream)
                                                            : write_dense(positions, stream));
  return finish_map(writer, stream, identity, form);
}

Result<RowMapWriter> RowMapWriter::create(FileSystem& file_system, const std::string& path,
                                          const FileIdentity& identity, std::uint64_t rows, std::uint64_t greatest,
                                          MemoryBudget& budget) {
  VECSTORE_CHECK(rows != 0 && greatest < std::numeric_limits<std::uint64_t>::max());
  VECSTORE_ASSIGN(auto file, PageFileWriter::create(file_system, path, {identity, kStreamPageBytes}, budget));
  RowMapWriter writer(std::move(file), identity);
  writer.form_ = {.rows = rows, .has_row_ids = greatest != rows - 1, .row_end = greatest + 1};
  if (!writer.form_.has_row_ids) return writer;
  writer.form_.row_id_bytes = bytes_for(greatest);
  VECSTORE_ASSIGN(writer.index_, Buffer<std::uint64_t>::allocate(budget, writer.form_.index_entries()));
  return writer;
}

Status RowMapWriter::add(RowId row, Pos position) {
  VECSTORE_CHECK(added_ < form_.rows && row.value < form_.row_end);
  const std::uint64_t nth = added_++;
  if (!form_.has_row_ids) return stream_.write(std::as_bytes(std::span(&position, 1)));
  if (nth % kPartRows == 0) index_[nth / kPartRows] = row.value;
  std::array<std::byte, kEntryBytesMax> entry;
  std::memcpy(entry.data(), &row.value, form_.row_id_bytes);
  std::memcpy(entry.data() + form_.row_id_bytes, &position, sizeof(Pos));
  return stream_.write(std::span(entry).first(form_.entry_bytes()));
}

Result<ManifestFile> RowMapWriter::finish() {
  VECSTORE_CHECK(added_ == form_.rows);
  VECSTORE_TRY(stream_.write(std::as_bytes(index_.span())));
  return finish_map(*file_, stream_, identity_, form_);
}

std::uint64_t RowMapForm::index_entries() const { return has_row_ids ? (rows + kPartRows - 1) / kPartRows : 0; }

Result<RowMapForm> RowMap::read_form(const PageFile& file, std::uint64_t graph_rows) {
  ByteReader in(file.attributes());
  RowMapForm form;
  const auto version = in.read<std::uint16_t>();
  if (version > kVersion)
    return Status(Code::kNewerFormat, "written by a newer VecStore; upgrade to read it").about(file.path());
  form.has_row_ids = version == kVersion;
  form.rows = in.read<std::uint64_t>();
  form.row_end = form.rows;
  bool sound = form.rows <= kRowsMax;
  if (form.has_row_ids) {
    form.row_id_bytes = in.read<std::uint32_t>();
    form.row_end = in.read<std::uint64_t>();
    sound = sound && form.rows == graph_rows && (form.row_id_bytes == 4 || form.row_id_bytes == 8) &&
            form.row_end >= form.rows && (form.row_id_bytes == 8 || form.row_end <= std::uint64_t{1} << 32) &&
            (form.rows != 0 || form.row_end == 0);
  } else {
    // A graph that is written to calibrate on leaves rows out that its map names.
    sound = sound && form.rows >= graph_rows;
  }
  if (!in.done() || !sound)
    return Status(Code::kCorrupt, "the row map does not belong to this graph; restore or rebuild").about(file.path());
  return form;
}

Result<std::uint64_t> RowMap::predict_bytes(const PageFile& file, std::uint64_t graph_rows) {
  VECSTORE_ASSIGN(const RowMapForm form, read_form(file, graph_rows));
  return form.index_entries() * sizeof(std::uint64_t);
}

Result<RowMap> RowMap::open(PageFile file, std::uint64_t graph_rows, MemoryBudget& budget) {
  VECSTORE_ASSIGN(const RowMapForm form, read_form(file, graph_rows));
  RowMap map(std::move(file), form, graph_rows);
  if (form.has_row_ids) VECSTORE_TRY(map.load_index(budget));
  return map;
}

Status RowMap::load_index(MemoryBudget& budget) {
  VECSTORE_ASSIGN(PageStreamReader stream, stream_from(form_.index_at(), budget));
  VECSTORE_ASSIGN(index_, Buffer<std::uint64_t>::allocate(budget, form_.index_entries()));
  VECSTORE_TRY(stream.read(std::as_writable_bytes(index_.span())));
  for (std::size_t part = 0; part < index_.size(); ++part) {
    const std::uint64_t end = part + 1 < index_.size() ? index_[part + 1] : form_.row_end;
    if (index_[part] >= end) return damaged("the index of the row map is damaged; restore or rebuild", {index_[part]});
  }
  return Status::ok();
}

// The stream, from a byte on.
Result<PageStreamReader> RowMap::stream_from(std::uint64_t byte, MemoryBudget& budget) const {
  VECSTORE_ASSIGN(PageStreamReader stream, PageStreamReader::create(file_, form_.bytes(), budget));
  VECSTORE_TRY(stream.skip(byte));
  return stream;
}

Result<std::optional<Pos>> RowMap::find(RowId row, MemoryBudget& budget) const {
  std::optional<Pos> found;
  if (row.value >= form_.row_end) return found;
  if (is_dense()) {
    VECSTORE_ASSIGN(PageStreamReader stream, stream_from(row.value * sizeof(Pos), budget));
    Pos position = kNoPos;
    VECSTORE_TRY(stream.read(std::as_writable_bytes(std::span(&position, 1))));
    if (position == kNoPos) return found;
    VECSTORE_TRY(check_position(row, position));
    return std::optional(position);
  }
  const auto behind =
      static_cast<std::size_t>(std::upper_bound(index_.begin(), index_.end(), row.value) - index_.begin());
  if (behind == 0) return found;
  const std::uint64_t first = (behind - 1) * kPartRows;
  VECSTORE_ASSIGN(RowMapCursor cursor, RowMapCursor::begin_at(*this, first, budget));
  for (std::uint64_t nth = first; nth < std::min(first + kPartRows, form_.rows); ++nth) {
    VECSTORE_ASSIGN(const auto entry, cursor.next());
    if (entry->row == row) found = entry->position;
  }
  return found;
}

Status RowMap::for_each(MemoryBudget& budget, const Visit& visit) const {
  VECSTORE_ASSIGN(RowMapCursor cursor, RowMapCursor::begin(*this, budget));
  while (true) {
    VECSTORE_ASSIGN(const auto entry, cursor.next());
    if (!entry) return Status::ok();
    VECSTORE_TRY(visit(entry->row, entry->position));
  }
}

Result<RowMapCursor> RowMapCursor::begin_at(const RowMap& map, std::uint64_t nth, MemoryBudget& budget) {
  VECSTORE_ASSIGN(PageStreamReader stream, map.stream_from(nth * map.form_.entry_bytes(), budget));
  return RowMapCursor(map, nth, std::move(stream));
}

Result<std::optional<RowMapCursor::Entry>> RowMapCursor::next_dense() {
  while (nth_ < map_->form_.rows) {
    Entry entry{{nth_++}, kNoPos};
    VECSTORE_TRY(stream_.read(std::as_writable_bytes(std::span(&entry.position, 1))));
    if (entry.position == kNoPos) continue;
    VECSTORE_TRY(map_->check_position(entry.row, entry.position));
    return std::optional(entry);
  }
  return std::optional<Entry>();
}

// RowIds ascend within the bounds that the index sets.
Result<std::optional<RowMapCursor::Entry>> RowMapCursor::next_numbered() {
  const RowMapForm& form = map_->form_;
  if (nth_ == form.rows) return std::optional<Entry>();
  const std::size_t part = nth_ / kPartRows;
  const std::span<const std::uint64_t> index = map_->index_.span();
  const bool begins_part = nth_ % kPartRows == 0;
  if (begins_part) least_ = index[part];
  const std::uint64_t end = part + 1 == index.size() ? form.row_end : index[part + 1];
  std::array<std::byte, kEntryBytesMax> bytes;
  VECSTORE_TRY(stream_.read(std::span(bytes).first(form.entry_bytes())));
  Entry entry;
  std::memcpy(&entry.row.value, bytes.data(), form.row_id_bytes);
  std::memcpy(&entry.position, bytes.data() + form.row_id_bytes, sizeof(Pos));
  const bool is_indexed = !begins_part || entry.row.value == index[part];
  if (entry.row.value < least_ || entry.row.value >= end || !is_indexed)
    return map_->damaged("the rows of the row map are out of order; restore or rebuild", entry.row);
  VECSTORE_TRY(map_->check_position(entry.row, entry.position));
  least_ = entry.row.value + 1;
  if (++nth_ == form.rows && least_ != end)
    return map_->damaged("the row map ends with another row; restore or rebuild", entry.row);
  return std::optional(entry);
}

Status RowMap::check_position(RowId row, Pos position) const {
  if (position < graph_rows_) return Status::ok();
  return damaged("the row map names a position that is not there; restore or rebuild", row);
}

Status RowMap::damaged(const char* text, RowId row) const {
  return Status(Code::kCorrupt, text).about(file_.path()).at(Detail::kRow, row.value);
}

}  // namespace vecstore
