// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "engine/rows/rows_format.h"

namespace vecstore {

namespace {

static_assert(kKeyBytesMax == 480 && kDocumentBytesMax == 65536, "the texts of the errors below name them");

// Where the groups lie, until the directory can be written behind them: half a byte a row, which a large extent must
// not keep in memory.
class DirectorySpill {
 public:
  static Result<DirectorySpill> create(FileSystem& file_system, const std::string& path, bool gaps,
                                       MemoryBudget& budget) {
    DirectorySpill spill;
    spill.path_ = path;
    spill.gaps_ = gaps;
    VECSTORE_ASSIGN(spill.file_, open_unnamed(file_system, path));
    VECSTORE_ASSIGN(spill.page_, Buffer<std::uint64_t>::allocate(budget, kWords));
    return spill;
  }

  std::uint64_t count() const { return count_; }

  Status add(const rows::DirectoryEntry& entry) {
    const auto at = static_cast<std::size_t>(count_ % per_page());
    if (gaps_) {
      page_[2 * at] = entry.offset;
      page_[2 * at + 1] = entry.first;
    } else {
      page_[at] = entry.offset;
    }
    ++count_;
    if (count_ % per_page() == 0) VECSTORE_TRY(write_page());
    return Status::ok();
  }

  // Once, when every group was added.
  Status copy_to(PageFileWriter& out) {
    if (count_ % per_page() != 0) VECSTORE_TRY(write_page());
    for (std::uint64_t page = 0; page < pages_; ++page) {
      VECSTORE_TRY(read(page * rows::kStreamPageBytes, out.page().subspan(kPageChecksumBytes)));
      VECSTORE_TRY(out.append());
    }
    return gaps_ ? copy_index_to(out) : Status::ok();
  }

 private:
  static constexpr std::size_t kWords = rows::kStreamPageBytes / sizeof(std::uint64_t);

  std::uint64_t per_page() const { return gaps_ ? rows::kEntriesPerPage : rows::kOffsetsPerPage; }

  Status write_page() {
    VECSTORE_TRY(file_->write_at(std::as_bytes(page_.span()), pages_ * rows::kStreamPageBytes));
    std::ranges::fill(page_, 0);
    ++pages_;
    return Status::ok();
  }

  Status read(std::uint64_t at, std::span<std::byte> into) {
    VECSTORE_ASSIGN(const std::size_t got, file_->read_at(into, at));
    if (got == into.size()) return Status::ok();
    return Status(Code::kIo, "the temporary directory of rows came back short").about(path_);
  }

  // The first RowId of each page.
  Status copy_index_to(PageFileWriter& out) {
    for (std::uint64_t page = 0; page < pages_; ++page) {
      const std::uint64_t slot = page % rows::kIndexEntriesPerPage;
      const auto into = out.page().subspan(kPageChecksumBytes + slot * rows::kIndexEntryBytes, rows::kIndexEntryBytes);
      VECSTORE_TRY(read(page * rows::kStreamPageBytes + offsetof(rows::DirectoryEntry, first), into));
      const bool full = slot + 1 == rows::kIndexEntriesPerPage;
      if (full || page + 1 == pages_) VECSTORE_TRY(out.append());
    }
    return Status::ok();
  }

  std::string path_;
  bool gaps_ = false;
  std::unique_ptr<File> file_;
  Buffer<std::uint64_t> page_;  // the one that is filled
  std::uint64_t count_ = 0;
  std::uint64_t pages_ = 0;  // written
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
  Impl(PageFileWriter file_in, DirectorySpill directory_in, Charge charge_in, std::string path_in, bool gaps_in,
       const RowsLayout& layout_in, const FrameDictionary* dictionary_in)
      : file(std::move(file_in)),
        directory(std::move(directory_in)),
        charge(std::move(charge_in)),
        path(std::move(path_in)),
        gaps(gaps_in),
        layout(layout_in),
        dictionary(dictionary_in),
        frame_raw_bytes(dictionary_in == nullptr ? rows::kFrameRawBytesMax : rows::kFrameRawBytesWithDictionary),
        group_rows(rows::group_rows_for(layout_in)) {}

  Status check(std::uint64_t id, const RowPayload& row) const;
  Status append(std::uint64_t id, const RowPayload& row);
  Status close_frame();
  Status flush_group();
  Status put(std::span<const std::byte> bytes);
  Status pad_to(std::uint64_t offset);
  Status put_dictionary();
  std::uint32_t version() const;
  std::vector<std::byte> all_attributes() const;

  PageFileWriter file;
  DirectorySpill directory;
  Charge charge;
  std::string path;
  const bool gaps;
  std::uint64_t first = 0;  // of all
  std::uint64_t end = 0;    // one past the last that was appended
  RowsLayout layout;
  const FrameDictionary* dictionary;
  std::size_t frame_raw_bytes;          // text of a frame of more than one document
  std::unique_ptr<FramePacker> packer;  // where there are documents
  std::uint32_t group_rows;
  std::uint64_t row_count = 0;  // all of them, the pending ones too
  std::uint64_t stream_bytes = 0;

  // The pending group.
  std::uint64_t group_first = 0;
  std::vector<std::uint32_t> ids;  // where they may have gaps: less the first
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

Status RowsWriter::Impl::check(std::uint64_t id, const RowPayload& row) const {
  VECSTORE_CHECK(id >= end && id != std::numeric_limits<std::uint64_t>::max());
  VECSTORE_CHECK(layout.keys || row.key.empty());
  VECSTORE_CHECK(layout.documents || row.document.empty());
  VECSTORE_CHECK(row.vector.size() == layout.vector_bytes);
  VECSTORE_CHECK(!layout.number_keys || row.key.size() == rows::kNumberKeyBytes);
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
  for (const std::uint32_t id : ids) head.write(id);
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
  header.first = group_first;
  std::vector<std::byte> tables = std::move(head).take();
  std::memcpy(tables.data(), &header, sizeof(header));

  VECSTORE_TRY(pad_to(rows::group_start(stream_bytes, size)));
  VECSTORE_TRY(directory.add({stream_bytes, group_first}));
  for (const auto* part : {&tables, &keys, &frame_bytes, &vectors}) VECSTORE_TRY(put(*part));
  ids.clear();
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

Status RowsWriter::Impl::append(std::uint64_t id, const RowPayload& row) {
  VECSTORE_TRY(check(id, row));
  if (pending != 0 && id - group_first > std::numeric_limits<std::uint32_t>::max()) VECSTORE_TRY(flush_group());
  if (row_count == 0) first = id;
  if (pending == 0) group_first = id;
  if (gaps) ids.push_back(static_cast<std::uint32_t>(id - group_first));
  if (layout.keys) {
    key_bytes.push_back(static_cast<std::uint16_t>(row.key.size()));
    const auto key = bytes_of(row.key);
    keys.insert(keys.end(), key.begin(), key.end());
  }
  if (layout.documents) {
    if (raw.size() + row.document.size() > frame_raw_bytes) VECSTORE_TRY(close_frame());
    document_bytes.push_back(static_cast<std::uint32_t>(row.document.size()));
    const auto document = bytes_of(row.document);
    raw.insert(raw.end(), document.begin(), document.end());
    ++raw_rows;
  }
  vectors.insert(vectors.end(), row.vector.begin(), row.vector.end());
  end = id + 1;
  ++row_count;
  ++pending;
  return pending == group_rows ? flush_group() : Status::ok();
}

std::uint32_t RowsWriter::Impl::version() const {
  if (gaps) return rows::kVersionWithGaps;
  return dictionary == nullptr ? rows::kVersionWithoutDictionary : rows::kVersionWithDictionary;
}

// When every group was put, and nothing behind them.
std::vector<std::byte> RowsWriter::Impl::all_attributes() const {
  rows::Attributes attributes;
  attributes.version = version();
  if (layout.keys) attributes.flags |= rows::kHasKeys;
  if (layout.documents) attributes.flags |= rows::kHasDocuments;
  if (layout.number_keys) attributes.flags |= rows::kHasNumberKeys;
  attributes.vector_bytes = layout.vector_bytes;
  attributes.group_rows = group_rows;
  attributes.first = first;
  attributes.rows = row_count;
  attributes.stream_bytes = stream_bytes;
  rows::DictionaryAttributes of_dictionary;
  if (dictionary != nullptr) of_dictionary.bytes = static_cast<std::uint32_t>(dictionary->bytes().size());
  ByteWriter out;
  out.write(attributes);
  if (version() >= rows::kVersionWithDictionary) out.write(of_dictionary);
  if (version() >= rows::kVersionWithGaps) out.write(rows::GapAttributes{end, directory.count()});
  return std::move(out).take();
}

RowsWriter::RowsWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowsWriter::RowsWriter(RowsWriter&&) noexcept = default;
RowsWriter::~RowsWriter() = default;

Result<RowsWriter> RowsWriter::open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                    std::optional<RowId> first, const RowsLayout& layout,
                                    const FrameDictionary* dictionary, MemoryBudget& budget) {
  VECSTORE_CHECK(identity.kind == FileKind::kRows);
  VECSTORE_CHECK(layout.vector_bytes <= rows::kVectorBytesMax);
  VECSTORE_CHECK(layout.documents || dictionary == nullptr);
  // A group at its largest, twice: the vectors that hold it double as they grow.
  const std::uint64_t group_bytes = std::uint64_t{rows::group_rows_for(layout)} *
                                    (kKeyBytesMax + layout.vector_bytes + (layout.documents ? kDocumentBytesMax : 0));
  const bool gaps = !first;
  VECSTORE_ASSIGN(auto charge, Charge::take(budget, 2 * group_bytes));
  VECSTORE_ASSIGN(auto file, PageFileWriter::create(file_system, path, {identity, rows::kPageBytes}, budget));
  VECSTORE_ASSIGN(auto directory, DirectorySpill::create(file_system, path + ".directory", gaps, budget));
  auto impl =
      std::make_unique<Impl>(std::move(file), std::move(directory), std::move(charge), path, gaps, layout, dictionary);
  if (first) impl->first = impl->end = first->value;
  if (layout.documents) {
    VECSTORE_ASSIGN(impl->packer, FramePacker::create(dictionary, budget));
  }
  return RowsWriter(std::move(impl));
}

Result<RowsWriter> RowsWriter::create(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                      RowId first, const RowsLayout& layout, const FrameDictionary* dictionary,
                                      MemoryBudget& budget) {
  VECSTORE_CHECK(!layout.number_keys);
  return open(file_system, path, identity, first, layout, dictionary, budget);
}

Result<RowsWriter> RowsWriter::create_with_gaps(FileSystem& file_system, const std::string& path,
                                                const FileIdentity& identity, const RowsLayout& layout,
                                                const FrameDictionary* dictionary, MemoryBudget& budget) {
  VECSTORE_CHECK(layout.keys || !layout.number_keys);
  return open(file_system, path, identity, std::nullopt, layout, dictionary, budget);
}

Status RowsWriter::append(const RowPayload& row) {
  VECSTORE_CHECK(!impl_->gaps);
  return impl_->append(impl_->end, row);
}

Status RowsWriter::append(RowId id, const RowPayload& row) {
  VECSTORE_CHECK(impl_->gaps);
  return impl_->append(id.value, row);
}

Result<PageFileWriter::Finished> RowsWriter::finish() {
  Impl& self = *impl_;
  VECSTORE_TRY(self.flush_group());
  const std::vector<std::byte> attributes = self.all_attributes();
  if (self.stream_bytes % rows::kStreamPageBytes != 0) VECSTORE_TRY(self.file.append());
  VECSTORE_TRY(self.directory.copy_to(self.file));
  if (self.dictionary != nullptr) VECSTORE_TRY(self.put_dictionary());
  return self.file.finish(attributes);
}

}  // namespace vecstore
