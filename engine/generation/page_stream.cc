// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/page_stream.h"

#include <algorithm>
#include <cstring>

namespace vecstore {

Status PageStreamWriter::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  while (!bytes.empty()) {
    const std::span<std::byte> room = file_->page().subspan(kPageChecksumBytes + filled_);
    const std::size_t part = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), part);
    bytes = bytes.subspan(part);
    filled_ += part;
    if (part == room.size()) VECSTORE_TRY(flush());
  }
  return Status::ok();
}

Status PageStreamWriter::flush() {
  if (filled_ == 0) return Status::ok();
  filled_ = 0;
  return file_->append();
}

Result<PageStreamReader> PageStreamReader::create(const PageFile& file, std::uint64_t size, MemoryBudget& budget,
                                                  const CancelToken* cancel) {
  if (size > file.page_count() * page_payload_bytes(file.page_bytes()))
    return Status(Code::kCorrupt, "the file holds fewer bytes than its header says; restore or rebuild")
        .about(file.path());
  PageStreamReader reader;
  reader.file_ = &file;
  reader.cancel_ = cancel;
  reader.size_ = size;
  reader.left_ = size;
  VECSTORE_ASSIGN(reader.page_bytes_, Buffer<std::byte>::allocate(budget, file.page_bytes()));
  reader.at_ = reader.page_bytes_.size();
  return reader;
}

Status PageStreamReader::take(std::uint64_t bytes) {
  if (bytes > left_) return Status(Code::kCorrupt, "the file ends too early; restore or rebuild").about(file_->path());
  left_ -= bytes;
  return Status::ok();
}

Status PageStreamReader::skip(std::uint64_t bytes) {
  VECSTORE_TRY(take(bytes));
  const std::uint64_t here = page_bytes_.size() - at_;
  if (bytes > here) {
    const std::uint64_t payload = page_payload_bytes(page_bytes_.size());
    page_ += (bytes - here) / payload;
    bytes = (bytes - here) % payload;
    at_ = page_bytes_.size();
    if (bytes == 0) return Status::ok();
    VECSTORE_TRY(next_page());
  }
  at_ += bytes;
  return Status::ok();
}

Status PageStreamReader::next_page() {
  VECSTORE_TRY(check_cancelled(cancel_));
  if (page_ >= file_->page_count())
    return Status(Code::kCorrupt, "the file ends too early; restore or rebuild").about(file_->path());
  VECSTORE_TRY(file_->read_page(++page_, page_bytes_.span()));
  at_ = kPageChecksumBytes;
  return Status::ok();
}

Status PageStreamReader::read(std::span<std::byte> into) {
  VECSTORE_TRY(take(into.size()));
  while (!into.empty()) {
    if (at_ == page_bytes_.size()) VECSTORE_TRY(next_page());
    const std::size_t part = std::min(into.size(), page_bytes_.size() - at_);
    std::memcpy(into.data(), page_bytes_.data() + at_, part);
    into = into.subspan(part);
    at_ += part;
  }
  return Status::ok();
}

}  // namespace vecstore
