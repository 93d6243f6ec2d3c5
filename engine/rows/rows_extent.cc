// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "engine/rows/rows_format.h"

namespace vecstore {

namespace {

constexpr std::uint64_t kUnknownEnd = ~std::uint64_t{0};

Status damaged_group(const PageFile& file, std::uint64_t offset) {
  return Status(Code::kCorrupt, "a group of rows does not hold together; restore the store from a backup")
      .about(file.path())
      .at(Detail::kPage, 1 + offset / rows::kStreamPageBytes);
}

// The stream of an extent through one page held: what is read front to back reads every page once.
class Stream {
 public:
  Stream(const PageFile& file, std::uint64_t* reads) : file_(file), reads_(reads) {}

  Status read(std::uint64_t offset, std::span<std::byte> into) {
    while (!into.empty()) {
      const std::uint64_t page = 1 + offset / rows::kStreamPageBytes;
      if (page > file_.page_count()) return damaged_group(file_, offset);
      if (page != held_) {
        held_ = 0;
        if (reads_ != nullptr) ++*reads_;
        VECSTORE_TRY(file_.read_page(page, page_));
        held_ = page;
      }
      const auto within = static_cast<std::size_t>(offset % rows::kStreamPageBytes);
      const std::size_t part = std::min(into.size(), rows::kStreamPageBytes - within);
      std::memcpy(into.data(), page_.data() + kPageChecksumBytes + within, part);
      into = into.subspan(part);
      offset += part;
    }
    return Status::ok();
  }

 private:
  const PageFile& file_;
  std::uint64_t* reads_;
  std::uint64_t held_ = 0;
  alignas(4096) std::array<std::byte, rows::kPageBytes> page_;
};

// Where everything of a group lies in the stream; nothing in it was believed unchecked.
struct Group {
  std::uint64_t first = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint32_t rows = 0;
  std::uint32_t frames = 0;
  std::uint64_t keys_at = 0;
  std::uint64_t frames_at = 0;
  std::uint64_t vectors_at = 0;
  std::array<std::uint16_t, rows::kGroupRowsMax> key_bytes{};
  std::array<std::uint32_t, rows::kGroupRowsMax> document_bytes{};
  std::array<std::uint32_t, rows::kGroupRowsMax> frame_bytes{};
  std::array<std::uint16_t, rows::kGroupRowsMax> frame_rows{};
};

// Fills the tables of `group` (rows and frames are set); false when they contradict each other or a limit.
bool parse_tables(std::span<const std::byte> tables, const RowsLayout& layout, Group& group) {
  ByteReader reader(tables);
  std::uint64_t key_bytes = 0;
  std::uint64_t frame_bytes = 0;
  for (std::uint32_t i = 0; layout.keys && i < group.rows; ++i) {
    group.key_bytes[i] = reader.read<std::uint16_t>();
    if (group.key_bytes[i] > kKeyBytesMax) return false;
    key_bytes += group.key_bytes[i];
  }
  for (std::uint32_t i = 0; layout.documents && i < group.rows; ++i) {
    group.document_bytes[i] = reader.read<std::uint32_t>();
    if (group.document_bytes[i] > kDocumentBytesMax) return false;
  }
  std::uint32_t row = 0;
  for (std::uint32_t f = 0; f < group.frames; ++f) {
    group.frame_bytes[f] = reader.read<std::uint32_t>();
    group.frame_rows[f] = reader.read<std::uint16_t>();
    if (group.frame_rows[f] == 0 || group.frame_rows[f] > group.rows - row) return false;
    std::uint64_t raw = 0;
    for (const std::uint32_t end = row + group.frame_rows[f]; row < end; ++row) raw += group.document_bytes[row];
    if (raw > rows::kFrameRawBytesMax && group.frame_rows[f] != 1) return false;
    if (group.frame_bytes[f] > raw || (raw != 0 && group.frame_bytes[f] == 0)) return false;
    frame_bytes += group.frame_bytes[f];
  }
  if (!reader.done() || row != (layout.documents ? group.rows : 0)) return false;
  group.keys_at = group.offset + sizeof(rows::GroupHeader) + tables.size();
  group.frames_at = group.keys_at + key_bytes;
  group.vectors_at = group.frames_at + frame_bytes;
  return group.vectors_at + std::uint64_t{group.rows} * layout.vector_bytes == group.offset + group.bytes;
}

std::span<std::byte> writable(std::string& text) { return std::as_writable_bytes(std::span(text.data(), text.size())); }

}  // namespace

struct RowsExtent::Impl {
  Impl(PageFile file_in, const rows::Attributes& attributes_in, std::uint32_t dictionary_bytes_in)
      : file(std::move(file_in)), attributes(attributes_in), dictionary_bytes(dictionary_bytes_in) {
    layout.keys = (attributes.flags & rows::kHasKeys) != 0;
    layout.documents = (attributes.flags & rows::kHasDocuments) != 0;
    layout.vector_bytes = attributes.vector_bytes;
  }

  std::uint64_t group_count() const {
    return attributes.rows / attributes.group_rows + (attributes.rows % attributes.group_rows != 0);
  }
  std::uint64_t directory_at() const { return rows::pages_of(attributes.stream_bytes) * rows::kStreamPageBytes; }
  std::uint64_t directory_pages() const { return rows::pages_of(group_count() * rows::kDirectoryEntryBytes); }
  std::uint64_t dictionary_at(std::uint64_t copy) const {
    return directory_at() + (directory_pages() + copy * rows::pages_of(dictionary_bytes)) * rows::kStreamPageBytes;
  }
  bool attributes_hold() const;
  Status open_dictionary(MemoryBudget& budget);
  Status lost_dictionary() const;
  Status find_group(Stream& stream, std::uint64_t index, std::uint64_t& offset) const;
  Status read_group(Stream& stream, std::uint64_t index, std::uint64_t offset, Group& group) const;
  Status read_frame(Stream& stream, const Group& group, std::uint32_t frame, std::vector<std::byte>& raw) const;
  Status read_document(Stream& stream, const Group& group, std::uint32_t slot, std::string& document) const;
  Status verify_group(Stream& stream, std::uint64_t index, std::uint64_t offset, std::uint64_t& end) const;
  Status locate(RowId row, std::uint64_t& index, std::uint32_t& slot) const;

  PageFile file;
  rows::Attributes attributes;
  std::uint32_t dictionary_bytes;  // 0: there is none
  RowsLayout layout;
  std::unique_ptr<FrameDictionary> dictionary;
};

bool RowsExtent::Impl::attributes_hold() const {
  if ((attributes.flags & ~(rows::kHasKeys | rows::kHasDocuments)) != 0) return false;
  if (attributes.vector_bytes > rows::kVectorBytesMax) return false;
  if (attributes.group_rows == 0 || attributes.group_rows > rows::kGroupRowsMax) return false;
  // With the next two every later sum stays below 2^60.
  if (attributes.rows > file.page_count() * rows::kStreamPageBytes * rows::kGroupRowsMax) return false;
  if (attributes.stream_bytes > file.page_count() * rows::kStreamPageBytes) return false;
  if (attributes.first + attributes.rows < attributes.first) return false;
  const bool has_dictionary = attributes.version != rows::kVersionWithoutDictionary;
  if (has_dictionary != (dictionary_bytes != 0) || (has_dictionary && !layout.documents)) return false;
  if (dictionary_bytes > FrameDictionary::kBytesMax) return false;
  return rows::pages_of(attributes.stream_bytes) + directory_pages() +
             rows::kDictionaryCopies * rows::pages_of(dictionary_bytes) ==
         file.page_count();
}

// The first copy that is not damaged. Where both are, everything but the documents packed with it is still served.
Status RowsExtent::Impl::open_dictionary(MemoryBudget& budget) {
  if (dictionary_bytes == 0) return Status::ok();
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget, dictionary_bytes));
  Status failed;
  for (std::uint64_t copy = 0; copy < rows::kDictionaryCopies; ++copy) {
    Stream stream(file, nullptr);
    Status read = stream.read(dictionary_at(copy), bytes.span());
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
      .at(Detail::kPage, 1 + dictionary_at(0) / rows::kStreamPageBytes);
}

Status RowsExtent::Impl::locate(RowId row, std::uint64_t& index, std::uint32_t& slot) const {
  if (row.value < attributes.first || row.value - attributes.first >= attributes.rows)
    return Status(Code::kNotFound, "there is no such row").about(file.path()).at(Detail::kRow, row.value);
  const std::uint64_t at = row.value - attributes.first;
  index = at / attributes.group_rows;
  slot = static_cast<std::uint32_t>(at % attributes.group_rows);
  return Status::ok();
}

Status RowsExtent::Impl::find_group(Stream& stream, std::uint64_t index, std::uint64_t& offset) const {
  std::array<std::byte, rows::kDirectoryEntryBytes> entry;
  const std::uint64_t entry_at = directory_at() + index * rows::kDirectoryEntryBytes;
  VECSTORE_TRY(stream.read(entry_at, entry));
  offset = ByteReader(entry).read<std::uint64_t>();
  if (offset >= attributes.stream_bytes) return damaged_group(file, entry_at);
  return Status::ok();
}

Status RowsExtent::Impl::read_group(Stream& stream, std::uint64_t index, std::uint64_t offset, Group& group) const {
  const std::uint64_t left = attributes.stream_bytes - offset;
  std::array<std::byte, sizeof(rows::GroupHeader)> header_bytes;
  if (left < sizeof(rows::GroupHeader)) return damaged_group(file, offset);
  VECSTORE_TRY(stream.read(offset, header_bytes));
  const auto header = ByteReader(header_bytes).read<rows::GroupHeader>();
  const std::uint64_t first_slot = index * attributes.group_rows;
  const std::uint64_t rows = std::min<std::uint64_t>(attributes.group_rows, attributes.rows - first_slot);
  if (header.group_bytes > left || header.rows != rows || header.first != attributes.first + first_slot ||
      header.frames > rows || (header.frames != 0) != layout.documents)
    return damaged_group(file, offset);
  group.first = header.first;
  group.offset = offset;
  group.bytes = header.group_bytes;
  group.rows = header.rows;
  group.frames = header.frames;
  const std::size_t table_bytes =
      group.rows * ((layout.keys ? 2u : 0u) + (layout.documents ? 4u : 0u)) + group.frames * rows::kFrameEntryBytes;
  std::array<std::byte, rows::kTablesBytesMax> tables;
  if (sizeof(header) + table_bytes > group.bytes) return damaged_group(file, offset);
  VECSTORE_TRY(stream.read(offset + sizeof(header), std::span(tables).first(table_bytes)));
  return parse_tables(std::span(tables).first(table_bytes), layout, group) ? Status::ok() : damaged_group(file, offset);
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
  if (dictionary_bytes != 0 && dictionary == nullptr) return lost_dictionary();
  std::vector<std::byte> packed(group.frame_bytes[frame]);
  VECSTORE_TRY(stream.read(at, packed));
  const Status unpacked = decompress_frame(packed, raw, dictionary.get());
  return unpacked.is_ok() || unpacked.code() == Code::kMemoryBudget ? unpacked : damaged_group(file, at);
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

Status RowsExtent::Impl::verify_group(Stream& stream, std::uint64_t index, std::uint64_t offset,
                                      std::uint64_t& end) const {
  // Between two groups there is at most the rest of a page. After a damaged group `end` is kUnknownEnd.
  if (end != kUnknownEnd && (offset < end || offset - end >= rows::kStreamPageBytes))
    return damaged_group(file, offset);
  Group group;
  VECSTORE_TRY(read_group(stream, index, offset, group));
  end = offset + group.bytes;
  std::vector<std::byte> raw;
  for (std::uint32_t frame = 0; frame < group.frames; ++frame) VECSTORE_TRY(read_frame(stream, group, frame, raw));
  if (index + 1 == group_count() && end != attributes.stream_bytes) return damaged_group(file, offset);
  return Status::ok();
}

RowsExtent::RowsExtent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowsExtent::RowsExtent(RowsExtent&&) noexcept = default;
RowsExtent::~RowsExtent() = default;

Result<RowsExtent> RowsExtent::open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                    MemoryBudget& budget) {
  VECSTORE_CHECK(identity.kind == FileKind::kRows);
  VECSTORE_ASSIGN(auto file, PageFile::open(file_system, path, identity));
  ByteReader reader(file.attributes());
  const auto attributes = reader.read<rows::Attributes>();
  if (reader.ok() && attributes.version > rows::kVersion)
    return Status(Code::kNewerFormat, "the rows were written by a newer version; upgrade VecStore").about(path);
  rows::DictionaryAttributes dictionary;
  if (attributes.version == rows::kVersion) dictionary = reader.read<rows::DictionaryAttributes>();
  const bool fits = reader.done() && attributes.version != 0 && file.page_bytes() == rows::kPageBytes;
  auto impl = std::make_unique<Impl>(std::move(file), attributes, dictionary.bytes);
  if (!fits || !impl->attributes_hold())
    return Status(Code::kCorrupt, "the header of the rows does not hold together; restore the store from a backup")
        .about(path)
        .at(Detail::kPage, 0);
  VECSTORE_TRY(impl->open_dictionary(budget));
  return RowsExtent(std::move(impl));
}

RowId RowsExtent::first() const { return {impl_->attributes.first}; }
std::uint64_t RowsExtent::rows() const { return impl_->attributes.rows; }
const RowsLayout& RowsExtent::layout() const { return impl_->layout; }
std::uint64_t RowsExtent::memory_bytes() const {
  return impl_->dictionary == nullptr ? 0 : impl_->dictionary->memory_bytes();
}

Result<StoredRow> RowsExtent::read(RowId row, std::uint64_t* reads) const {
  const Impl& self = *impl_;
  std::uint64_t index = 0;
  std::uint32_t slot = 0;
  VECSTORE_TRY(self.locate(row, index, slot));
  Stream stream(self.file, reads);
  std::uint64_t offset = 0;
  Group group;
  VECSTORE_TRY(self.find_group(stream, index, offset));
  VECSTORE_TRY(self.read_group(stream, index, offset, group));

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

Status RowsExtent::read_keys(RowId row, std::vector<std::string>& keys) const {
  const Impl& self = *impl_;
  VECSTORE_CHECK(self.layout.keys);
  std::uint64_t index = 0;
  std::uint32_t slot = 0;
  VECSTORE_TRY(self.locate(row, index, slot));
  Stream stream(self.file, nullptr);
  std::uint64_t offset = 0;
  Group group;
  VECSTORE_TRY(self.find_group(stream, index, offset));
  VECSTORE_TRY(self.read_group(stream, index, offset, group));
  keys.clear();
  std::uint64_t key_at = group.keys_at;
  for (std::uint32_t i = 0; i < group.rows; key_at += group.key_bytes[i++]) {
    if (i < slot) continue;
    std::string& key = keys.emplace_back(group.key_bytes[i], '\0');
    VECSTORE_TRY(stream.read(key_at, writable(key)));
  }
  return Status::ok();
}

Status RowsExtent::verify(std::vector<Status>& damage, const CancelToken* cancel) const {
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
  for (std::uint64_t index = 0; index < self.group_count() && found < kDamageMax; ++index) {
    VECSTORE_TRY(check_cancelled(cancel));
    std::uint64_t offset = 0;
    Status group = self.find_group(directory, index, offset);
    if (group.is_ok()) group = self.verify_group(stream, index, offset, end);
    if (group.is_ok()) continue;
    report(group);
    end = kUnknownEnd;
  }
  return worst;
}

}  // namespace vecstore
