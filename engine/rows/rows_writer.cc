// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "engine/rows/rows_format.h"

namespace vecstore {

namespace {

static_assert(kKeyBytesMax == 480 && kDocumentBytesMax == 65536, "the texts of the errors below name them");

// Offsets of the groups until the directory can be written behind them: half a byte a row, which a large extent must
// not keep in memory.
class DirectorySpill {
 public:
  static Result<DirectorySpill> create(FileSystem& file_system, const std::string& path, MemoryBudget& budget) {
    DirectorySpill spill;
    spill.path_ = path;
    VECSTORE_ASSIGN(spill.file_, open_unnamed(file_system, path));
    VECSTORE_ASSIGN(spill.page_, Buffer<std::uint64_t>::allocate(budget, kEntries));
    return spill;
  }

  Status add(std::uint64_t offset) {
    page_[static_cast<std::size_t>(count_ % kEntries)] = offset;
    ++count_;
    return count_ % kEntries == 0 ? write_page(count_ / kEntries - 1) : Status::ok();
  }

  // Once, when every offset was added.
  Status copy_to(PageFileWriter& out) {
    const std::uint64_t pages = pages_of_entries();
    if (count_ % kEntries != 0) {
      std::fill(page_.begin() + count_ % kEntries, page_.end(), 0);
      VECSTORE_TRY(write_page(pages - 1));
    }
    for (std::uint64_t page = 0; page < pages; ++page) {
      const auto into = out.page().subspan(kPageChecksumBytes);
      VECSTORE_ASSIGN(const std::size_t got, file_->read_at(into, page * rows::kStreamPageBytes));
      if (got != into.size()) return Status(Code::kIo, "the temporary directory of rows came back short").about(path_);
      VECSTORE_TRY(out.append());
    }
    return Status::ok();
  }

 private:
  static constexpr std::size_t kEntries = rows::kStreamPageBytes / rows::kDirectoryEntryBytes;

  std::uint64_t pages_of_entries() const { return count_ / kEntries + (count_ % kEntries != 0); }
  Status write_page(std::uint64_t page) {
    return file_->write_at(std::as_bytes(page_.span()), page * rows::kStreamPageBytes);
  }

  std::string path_;
  std::unique_ptr<File> file_;
  Buffer<std::uint64_t> page_;
  std::uint64_t count_ = 0;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Frame {
  std::uint32_t bytes = 0;
  std::uint16_t rows = 0;
};

}  // namespace

struct RowsWriter::Impl {
  Impl(PageFileWriter file_in, DirectorySpill directory_in, Charge charge_in, std::string path_in, RowId first_in,
       const RowsLayout& layout_in, const FrameDictionary* dictionary_in)
      : file(std::move(file_in)),
        directory(std::move(directory_in)),
        charge(std::move(charge_in)),
        path(std::move(path_in)),
        first(first_in.value),
        layout(layout_in),
        dictionary(dictionary_in),
        frame_raw_bytes(dictionary_in == nullptr ? rows::kFrameRawBytesMax : rows::kFrameRawBytesWithDictionary),
        group_rows(rows::group_rows_for(layout_in.vector_bytes)) {}

  Status check(const RowPayload& row) const;
  Status close_frame();
  Status flush_group();
  Status put(std::span<const std::byte> bytes);
  Status pad_to(std::uint64_t offset);
  Status put_dictionary();

  PageFileWriter file;
  DirectorySpill directory;
  Charge charge;
  std::string path;
  std::uint64_t first;
  RowsLayout layout;
  const FrameDictionary* dictionary;
  std::size_t frame_raw_bytes;          // text of a frame of more than one document
  std::unique_ptr<FramePacker> packer;  // where there are documents
  std::uint32_t group_rows;
  std::uint64_t row_count = 0;  // all of them, the pending ones too
  std::uint64_t stream_bytes = 0;

  // The pending group.
  std::vector<std::uint16_t> key_bytes;
  std::vector<std::uint32_t> document_bytes;
  std::vector<std::byte> keys;
  std::vector<std::byte> raw;  // the documents of the frame that is open
  std::uint16_t raw_rows = 0;
  std::vector<Frame> frames;
  std::vector<std::byte> frame_bytes;
  std::vector<std::byte> vectors;
  std::uint32_t pending = 0;
};

Status RowsWriter::Impl::check(const RowPayload& row) const {
  VECSTORE_CHECK(layout.keys || row.key.empty());
  VECSTORE_CHECK(layout.documents || row.document.empty());
  VECSTORE_CHECK(row.vector.size() == layout.vector_bytes);
  const std::uint64_t id = first + row_count;
  if (row.key.size() > kKeyBytesMax)
    return Status(Code::kInvalidInput, "the key is longer than 480 bytes; shorten it").about(path).at(Detail::kRow, id);
  if (row.document.size() > kDocumentBytesMax)
    return Status(Code::kInvalidInput, "the document is longer than 65536 bytes; cut it into several rows")
        .about(path)
        .at(Detail::kRow, id);
  return Status::ok();
}

Status RowsWriter::Impl::close_frame() {
  if (raw_rows == 0) return Status::ok();
  const std::size_t before = frame_bytes.size();
  if (!raw.empty()) {
    frame_bytes.resize(before + raw.size());
    const std::span<std::byte> into = std::span(frame_bytes).subspan(before);
    VECSTORE_ASSIGN(const auto frame, packer->pack(raw, into.first(raw.size() - 1)));
    if (frame.empty()) std::ranges::copy(raw, into.begin());
    frame_bytes.resize(before + (frame.empty() ? raw.size() : frame.size()));
  }
  frames.push_back({static_cast<std::uint32_t>(frame_bytes.size() - before), raw_rows});
  raw.clear();
  raw_rows = 0;
  return Status::ok();
}

Status RowsWriter::Impl::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto within = static_cast<std::size_t>(stream_bytes % rows::kStreamPageBytes);
    const auto room = file.page().subspan(kPageChecksumBytes + within);
    const std::size_t part = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), part);
    bytes = bytes.subspan(part);
    stream_bytes += part;
    if (part == room.size()) VECSTORE_TRY(file.append());
  }
  return Status::ok();
}

Status RowsWriter::Impl::pad_to(std::uint64_t offset) {
  if (offset == stream_bytes) return Status::ok();
  VECSTORE_CHECK(offset % rows::kStreamPageBytes == 0 && offset - stream_bytes < rows::kStreamPageBytes);
  stream_bytes = offset;
  return file.append();
}

Status RowsWriter::Impl::flush_group() {
  if (pending == 0) return Status::ok();
  VECSTORE_TRY(close_frame());
  ByteWriter head;
  head.write(rows::GroupHeader{});
  for (const std::uint16_t size : key_bytes) head.write(size);
  for (const std::uint32_t size : document_bytes) head.write(size);
  for (const Frame& frame : frames) {
    head.write(frame.bytes);
    head.write(frame.rows);
  }
  rows::GroupHeader header;
  const std::uint64_t size = head.size() + keys.size() + frame_bytes.size() + vectors.size();
  header.group_bytes = static_cast<std::uint32_t>(size);
  header.rows = static_cast<std::uint16_t>(pending);
  header.frames = static_cast<std::uint16_t>(frames.size());
  header.first = first + row_count - pending;
  std::vector<std::byte> tables = std::move(head).take();
  std::memcpy(tables.data(), &header, sizeof(header));

  VECSTORE_TRY(pad_to(rows::group_start(stream_bytes, size)));
  VECSTORE_TRY(directory.add(stream_bytes));
  for (const auto* part : {&tables, &keys, &frame_bytes, &vectors}) VECSTORE_TRY(put(*part));
  key_bytes.clear();
  document_bytes.clear();
  keys.clear();
  frames.clear();
  frame_bytes.clear();
  vectors.clear();
  pending = 0;
  return Status::ok();
}

// Behind the directory, which ends with a whole page.
Status RowsWriter::Impl::put_dictionary() {
  for (std::uint64_t copy = 0; copy < rows::kDictionaryCopies; ++copy) {
    stream_bytes = rows::pages_of(stream_bytes) * rows::kStreamPageBytes;
    VECSTORE_TRY(put(dictionary->bytes()));
    if (stream_bytes % rows::kStreamPageBytes != 0) VECSTORE_TRY(file.append());
  }
  return Status::ok();
}

RowsWriter::RowsWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowsWriter::RowsWriter(RowsWriter&&) noexcept = default;
RowsWriter::~RowsWriter() = default;

Result<RowsWriter> RowsWriter::create(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                      RowId first, const RowsLayout& layout, const FrameDictionary* dictionary,
                                      MemoryBudget& budget) {
  VECSTORE_CHECK(identity.kind == FileKind::kRows);
  VECSTORE_CHECK(layout.vector_bytes <= rows::kVectorBytesMax);
  VECSTORE_CHECK(layout.documents || dictionary == nullptr);
  // A group at its largest, twice: the vectors that hold it double as they grow.
  const std::uint64_t group_bytes = std::uint64_t{rows::group_rows_for(layout.vector_bytes)} *
                                    (kKeyBytesMax + layout.vector_bytes + (layout.documents ? kDocumentBytesMax : 0));
  VECSTORE_ASSIGN(auto charge, Charge::take(budget, 2 * group_bytes));
  VECSTORE_ASSIGN(auto file, PageFileWriter::create(file_system, path, {identity, rows::kPageBytes}, budget));
  VECSTORE_ASSIGN(auto directory, DirectorySpill::create(file_system, path + ".directory", budget));
  auto impl =
      std::make_unique<Impl>(std::move(file), std::move(directory), std::move(charge), path, first, layout, dictionary);
  if (layout.documents) {
    VECSTORE_ASSIGN(impl->packer, FramePacker::create(dictionary, budget));
  }
  return RowsWriter(std::move(impl));
}

Status RowsWriter::append(const RowPayload& row) {
  Impl& self = *impl_;
  VECSTORE_TRY(self.check(row));
  if (self.layout.keys) {
    self.key_bytes.push_back(static_cast<std::uint16_t>(row.key.size()));
    const auto key = bytes_of(row.key);
    self.keys.insert(self.keys.end(), key.begin(), key.end());
  }
  if (self.layout.documents) {
    if (self.raw.size() + row.document.size() > self.frame_raw_bytes) VECSTORE_TRY(self.close_frame());
    self.document_bytes.push_back(static_cast<std::uint32_t>(row.document.size()));
    const auto document = bytes_of(row.document);
    self.raw.insert(self.raw.end(), document.begin(), document.end());
    ++self.raw_rows;
  }
  self.vectors.insert(self.vectors.end(), row.vector.begin(), row.vector.end());
  ++self.row_count;
  ++self.pending;
  return self.pending == self.group_rows ? self.flush_group() : Status::ok();
}

Result<PageFileWriter::Finished> RowsWriter::finish() {
  Impl& self = *impl_;
  VECSTORE_TRY(self.flush_group());
  rows::Attributes attributes;
  attributes.flags = (self.layout.keys ? rows::kHasKeys : 0) | (self.layout.documents ? rows::kHasDocuments : 0);
  attributes.vector_bytes = self.layout.vector_bytes;
  attributes.group_rows = self.group_rows;
  attributes.first = self.first;
  attributes.rows = self.row_count;
  attributes.stream_bytes = self.stream_bytes;
  if (self.stream_bytes % rows::kStreamPageBytes != 0) VECSTORE_TRY(self.file.append());
  VECSTORE_TRY(self.directory.copy_to(self.file));
  ByteWriter out;
  if (self.dictionary == nullptr) attributes.version = rows::kVersionWithoutDictionary;
  out.write(attributes);
  if (self.dictionary != nullptr) {
    VECSTORE_TRY(self.put_dictionary());
    out.write(rows::DictionaryAttributes{static_cast<std::uint32_t>(self.dictionary->bytes().size()), 0});
  }
  return self.file.finish(out.bytes());
}

}  // namespace vecstore
