// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <optional>
#include <utility>

#include "base/check.h"
#include "engine/rows/rows_directory.h"
#include "engine/rows/rows_group.h"
#include "engine/rows/rows_header.h"
#include "engine/rows/rows_stream.h"

namespace vecstore {

using rows::Group;
using rows::GroupPlace;
using rows::Stream;

namespace {

constexpr std::uint64_t kUnknownEnd = ~std::uint64_t{0};

std::span<std::byte> writable(std::string& text) { return std::as_writable_bytes(std::span(text.data(), text.size())); }

}  // namespace

struct RowsExtent::Impl {
  Impl(PageFile file_in, const rows::Header& header_in)
      : file(std::move(file_in)), header(header_in), layout(header.layout()) {}

  Status open_dictionary(MemoryBudget& budget);
  Status lost_dictionary() const;
  Status no_such_row(RowId row) const;
  Status find(Stream& stream, RowId row, Group& group, std::uint32_t& slot) const;
  Result<RowId> seek(Stream& stream, RowId from, Group& group, std::uint32_t& slot) const;
  Status read_frame(Stream& stream, const Group& group, std::uint32_t frame, std::vector<std::byte>& raw) const;
  Status read_document(Stream& stream, const Group& group, std::uint32_t slot, std::string& document) const;
  Status read_all_keys(Stream& stream, const Group& group, std::vector<NumberedRow>& rows) const;
  Status read_all_documents(Stream& stream, const Group& group, std::vector<NumberedRow>& rows) const;
  Status read_all(Stream& stream, const Group& group, std::vector<NumberedRow>& rows) const;
  Status verify_group(Stream& stream, const GroupPlace& place, std::uint64_t& end, Group& group) const;

  const PageFile file;
  const rows::Header header;
  const RowsLayout layout;
  std::optional<rows::Directory> directory;  // there once it is open
  std::unique_ptr<FrameDictionary> dictionary;
};

// The first copy that is not damaged. Where both are, everything but the documents packed with it is still served.
Status RowsExtent::Impl::open_dictionary(MemoryBudget& budget) {
  if (header.dictionary.bytes == 0) return Status::ok();
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget, header.dictionary.bytes));
  Status failed;
  for (std::uint64_t copy = 0; copy < rows::kDictionaryCopies; ++copy) {
    Stream stream(file, nullptr);
    Status read = stream.read(header.dictionary_at(copy), bytes.span());
    if (read.is_ok()) {
      auto opened = FrameDictionary::open(bytes.span(), budget);
      if (opened) {
        dictionary = std::move(*opened);
        return Status::ok();
      }
      read = opened.error();
    }
    if (read.code() != Code::kCorrupt) failed = read;
  }
  return failed;
}

Status RowsExtent::Impl::lost_dictionary() const {
  return Status(Code::kCorrupt,
                "the dictionary of the documents is damaged, and so is its copy; restore the store from a backup")
      .about(file.path())
      .at(Detail::kPage, 1 + header.dictionary_at(0) / rows::kStreamPageBytes);
}

Status RowsExtent::Impl::no_such_row(RowId row) const {
  return Status(Code::kNotFound, "there is no such row").about(file.path()).at(Detail::kRow, row.value);
}

// The group of that row, and its place there.
Status RowsExtent::Impl::find(Stream& stream, RowId row, Group& group, std::uint32_t& slot) const {
  if (row.value < header.attributes.first || row.value >= header.gaps.end) return no_such_row(row);
  GroupPlace place;
  VECSTORE_TRY(directory->locate(stream, row, place));
  VECSTORE_TRY(rows::read_group(stream, header, place, group));
  slot = group.slot_from(row);
  return slot < group.rows && group.ids[slot] == row.value ? Status::ok() : no_such_row(row);
}

// The group of the first row from `from` on, and its place there. Returns where the next group begins.
Result<RowId> RowsExtent::Impl::seek(Stream& stream, RowId from, Group& group, std::uint32_t& slot) const {
  if (header.attributes.rows == 0 || from.value >= header.gaps.end) return no_such_row(from);
  GroupPlace place;
  VECSTORE_TRY(directory->locate(stream, from, place));
  VECSTORE_TRY(rows::read_group(stream, header, place, group));
  slot = group.slot_from(from);
  if (slot < group.rows) return RowId{place.end};
  // In the gap behind the group. The last group reaches to the end.
  if (place.group + 1 == header.gaps.groups) return stream.damaged(place.offset);
  VECSTORE_TRY(directory->place_of(stream, place.group + 1, place));
  slot = 0;
  VECSTORE_TRY(rows::read_group(stream, header, place, group));
  return RowId{place.end};
}

Status RowsExtent::Impl::read_frame(Stream& stream, const Group& group, std::uint32_t frame,
                                    std::vector<std::byte>& raw) const {
  std::uint64_t at = group.frames_at;
  std::uint32_t row = 0;
  for (std::uint32_t f = 0; f < frame; ++f) {
    at += group.frame_bytes[f];
    row += group.frame_rows[f];
  }
  std::size_t raw_bytes = 0;
  for (std::uint32_t i = 0; i < group.frame_rows[frame]; ++i) raw_bytes += group.document_bytes[row + i];
  raw.resize(raw_bytes);
  if (group.frame_bytes[frame] == raw_bytes) return stream.read(at, raw);
  if (header.dictionary.bytes != 0 && dictionary == nullptr) return lost_dictionary();
  std::vector<std::byte> packed(group.frame_bytes[frame]);
  VECSTORE_TRY(stream.read(at, packed));
  const Status unpacked = decompress_frame(packed, raw, dictionary.get());
  return unpacked.is_ok() || unpacked.code() == Code::kMemoryBudget ? unpacked : stream.damaged(at);
}

Status RowsExtent::Impl::read_document(Stream& stream, const Group& group, std::uint32_t slot,
                                       std::string& document) const {
  if (group.document_bytes[slot] == 0) return Status::ok();
  std::uint32_t frame = 0;
  std::uint32_t row = 0;  // first of the frame
  while (row + group.frame_rows[frame] <= slot) row += group.frame_rows[frame++];
  std::size_t at = 0;
  for (; row < slot; ++row) at += group.document_bytes[row];
  std::vector<std::byte> raw;
  VECSTORE_TRY(read_frame(stream, group, frame, raw));
  document.assign(reinterpret_cast<const char*>(raw.data()) + at, group.document_bytes[slot]);
  return Status::ok();
}

Status RowsExtent::Impl::read_all_keys(Stream& stream, const Group& group, std::vector<NumberedRow>& rows) const {
  std::uint64_t at = group.keys_at;
  for (std::uint32_t i = 0; i < group.rows; at += group.key_bytes[i++]) {
    rows[i].row.key.resize(group.key_bytes[i]);
    VECSTORE_TRY(stream.read(at, writable(rows[i].row.key)));
  }
  return Status::ok();
}

Status RowsExtent::Impl::read_all_documents(Stream& stream, const Group& group, std::vector<NumberedRow>& rows) const {
  std::vector<std::byte> raw;
  std::uint32_t row = 0;
  for (std::uint32_t frame = 0; frame < group.frames; ++frame) {
    VECSTORE_TRY(read_frame(stream, group, frame, raw));
    const char* at = reinterpret_cast<const char*>(raw.data());
    for (const std::uint32_t end = row + group.frame_rows[frame]; row < end; at += group.document_bytes[row++])
      rows[row].row.document.assign(at, group.document_bytes[row]);
  }
  return Status::ok();
}

Status RowsExtent::Impl::read_all(Stream& stream, const Group& group, std::vector<NumberedRow>& rows) const {
  rows.assign(group.rows, {});
  VECSTORE_TRY(read_all_keys(stream, group, rows));
  VECSTORE_TRY(read_all_documents(stream, group, rows));
  for (std::uint32_t i = 0; i < group.rows; ++i) {
    rows[i].id = {group.ids[i]};
    rows[i].row.vector.resize(layout.vector_bytes);
    VECSTORE_TRY(stream.read(group.vectors_at + std::uint64_t{i} * layout.vector_bytes, rows[i].row.vector));
  }
  return Status::ok();
}

Status RowsExtent::Impl::verify_group(Stream& stream, const GroupPlace& place, std::uint64_t& end, Group& group) const {
  // Between two groups there is at most the rest of a page. After a damaged group `end` is kUnknownEnd.
  if (end != kUnknownEnd && (place.offset < end || place.offset - end >= rows::kStreamPageBytes))
    return stream.damaged(place.offset);
  VECSTORE_TRY(rows::read_group(stream, header, place, group));
  end = place.offset + group.bytes;
  std::vector<std::byte> raw;
  for (std::uint32_t frame = 0; frame < group.frames; ++frame) VECSTORE_TRY(read_frame(stream, group, frame, raw));
  const bool last = place.group + 1 == header.gaps.groups;
  const bool ends = end == header.attributes.stream_bytes && group.ids[group.rows - 1] + 1 == header.gaps.end;
  return last && !ends ? stream.damaged(place.offset) : Status::ok();
}

RowsExtent::RowsExtent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowsExtent::RowsExtent(RowsExtent&&) noexcept = default;
RowsExtent& RowsExtent::operator=(RowsExtent&&) noexcept = default;
RowsExtent::~RowsExtent() = default;

Result<RowsExtent> RowsExtent::open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                    MemoryBudget& budget) {
  VECSTORE_CHECK(identity.kind == FileKind::kRows);
  VECSTORE_ASSIGN(auto file, PageFile::open(file_system, path, identity));
  VECSTORE_ASSIGN(const rows::Header header, rows::read_header(file));
  auto impl = std::make_unique<Impl>(std::move(file), header);
  VECSTORE_ASSIGN(impl->directory, rows::Directory::open(impl->file, impl->header, budget));
  VECSTORE_TRY(impl->open_dictionary(budget));
  return RowsExtent(std::move(impl));
}

RowId RowsExtent::first() const { return {impl_->header.attributes.first}; }
RowId RowsExtent::end() const { return {impl_->header.gaps.end}; }
std::uint64_t RowsExtent::rows() const { return impl_->header.attributes.rows; }
const RowsLayout& RowsExtent::layout() const { return impl_->layout; }
const std::string& RowsExtent::path() const { return impl_->file.path(); }
std::uint64_t RowsExtent::memory_bytes() const {
  const std::uint64_t dictionary = impl_->dictionary == nullptr ? 0 : impl_->dictionary->memory_bytes();
  return dictionary + impl_->directory->memory_bytes();
}

Result<StoredRow> RowsExtent::read(RowId row, std::uint64_t* reads) const {
  const Impl& self = *impl_;
  Stream stream(self.file, reads);
  Group group;
  std::uint32_t slot = 0;
  VECSTORE_TRY(self.find(stream, row, group, slot));

  StoredRow stored;
  std::uint64_t key_at = group.keys_at;
  for (std::uint32_t i = 0; i < slot; ++i) key_at += group.key_bytes[i];
  stored.key.resize(group.key_bytes[slot]);
  VECSTORE_TRY(stream.read(key_at, writable(stored.key)));
  VECSTORE_TRY(self.read_document(stream, group, slot, stored.document));
  stored.vector.resize(self.layout.vector_bytes);
  VECSTORE_TRY(stream.read(group.vectors_at + std::uint64_t{slot} * self.layout.vector_bytes, stored.vector));
  return stored;
}

Result<bool> RowsExtent::contains(RowId row) const {
  const Impl& self = *impl_;
  if (!self.header.has_gaps()) return row >= first() && row < end();
  Stream stream(self.file, nullptr);
  Group group;
  std::uint32_t slot = 0;
  const Status found = self.find(stream, row, group, slot);
  if (!found.is_ok() && found.code() != Code::kNotFound) return found;
  return found.is_ok();
}

Result<RowId> RowsExtent::read_keys(RowId from, std::vector<KeyOfRow>& keys) const {
  const Impl& self = *impl_;
  VECSTORE_CHECK(self.layout.keys);
  Stream stream(self.file, nullptr);
  Group group;
  std::uint32_t slot = 0;
  VECSTORE_ASSIGN(const RowId next, self.seek(stream, from, group, slot));
  keys.clear();
  std::uint64_t key_at = group.keys_at;
  for (std::uint32_t i = 0; i < group.rows; key_at += group.key_bytes[i++]) {
    if (i < slot) continue;
    KeyOfRow& read = keys.emplace_back(RowId{group.ids[i]}, std::string(group.key_bytes[i], '\0'));
    VECSTORE_TRY(stream.read(key_at, writable(read.key)));
  }
  return next;
}

Result<RowId> RowsExtent::read_rows(RowId from, std::vector<NumberedRow>& rows, std::uint64_t* reads) const {
  const Impl& self = *impl_;
  Stream stream(self.file, reads);
  Group group;
  std::uint32_t slot = 0;
  VECSTORE_ASSIGN(const RowId next, self.seek(stream, from, group, slot));
  VECSTORE_TRY(self.read_all(stream, group, rows));
  rows.erase(rows.begin(), rows.begin() + slot);
  return next;
}

Status RowsExtent::verify(std::vector<Status>& damage, const CancelToken* cancel, const MeetRows& meet) const {
  const Impl& self = *impl_;
  Status worst;
  std::size_t found = 0;
  const auto report = [&](const Status& status) {
    if (worst.is_ok()) worst = status;
    for (const Status& known : damage)
      if (known.number() == status.number() && known.subject() == status.subject()) return;
    damage.push_back(status);
    ++found;
  };
  Stream pages(self.file, nullptr);
  for (std::uint64_t page = 1; page <= self.file.page_count() && found < kDamageMax; ++page) {
    VECSTORE_TRY(check_cancelled(cancel));
    std::array<std::byte, 1> any;
    if (const Status read = pages.read((page - 1) * rows::kStreamPageBytes, any); !read.is_ok()) report(read);
  }
  Stream directory(self.file, nullptr);
  Stream stream(self.file, nullptr);
  std::uint64_t end = 0;
  std::uint64_t rows = 0;
  for (std::uint64_t index = 0; index < self.header.gaps.groups && found < kDamageMax; ++index) {
    VECSTORE_TRY(check_cancelled(cancel));
    GroupPlace place;
    Group group;
    Status checked = self.directory->place_of(directory, index, place);
    if (checked.is_ok()) checked = self.verify_group(stream, place, end, group);
    if (!checked.is_ok()) {
      report(checked);
      end = kUnknownEnd;
      continue;
    }
    rows += group.rows;
    if (!meet || !worst.is_ok()) continue;
    if (const Status met = meet(std::span(group.ids).first(group.rows)); !met.is_ok()) report(met);
  }
  for (std::uint64_t page = 0; page < self.directory->index_size() && found < kDamageMax; ++page)
    if (const Status index = self.directory->verify_index(stream, page); !index.is_ok()) report(index);
  if (worst.is_ok() && rows != self.header.attributes.rows) report(rows::damaged_header(self.file));
  return worst;
}

struct RowsPass::Impl {
  Impl(const RowsExtent::Impl& extent_in, Charge charge_in, std::uint64_t* reads)
      : extent(extent_in), charge(std::move(charge_in)), directory(extent.file, reads), stream(extent.file, reads) {}

  const RowsExtent::Impl& extent;
  Charge charge;
  Stream directory;
  Stream stream;
  std::uint64_t group = 0;  // the next one
  std::uint64_t rows = 0;   // brought
};

RowsPass::RowsPass(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowsPass::RowsPass(RowsPass&&) noexcept = default;
RowsPass::~RowsPass() = default;

Result<RowsPass> RowsPass::begin(const RowsExtent& extent, MemoryBudget& budget, std::uint64_t* reads) {
  VECSTORE_ASSIGN(auto charge, Charge::take(budget, sizeof(Impl)));
  return RowsPass(std::make_unique<Impl>(*extent.impl_, std::move(charge), reads));
}

Status RowsPass::next(std::vector<NumberedRow>& rows) {
  Impl& self = *impl_;
  const RowsExtent::Impl& extent = self.extent;
  rows.clear();
  if (self.group == extent.header.gaps.groups)
    return self.rows == extent.header.attributes.rows ? Status::ok() : rows::damaged_header(extent.file);
  GroupPlace place;
  Group group;
  VECSTORE_TRY(extent.directory->place_of(self.directory, self.group, place));
  VECSTORE_TRY(rows::read_group(self.stream, extent.header, place, group));
  VECSTORE_TRY(extent.read_all(self.stream, group, rows));
  ++self.group;
  self.rows += group.rows;
  return Status::ok();
}

}  // namespace vecstore
