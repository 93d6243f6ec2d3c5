// SPDX-License-Identifier: Apache-2.0
#include "wal/end_file.h"

#include <algorithm>
#include <array>

namespace vecstore {
namespace {

std::string path_of(const std::string& directory) { return directory + "/" + kEndName; }

std::uint64_t offset_of(std::uint64_t count) { return count % kEndSlots * kLogBlockBytes; }

}  // namespace

Result<std::optional<EndRecord>> read_end(FileSystem& file_system, const std::string& directory, const Uuid& store) {
  const std::string path = path_of(directory);
  const auto file = file_system.open(path, {OpenMode::kRead, false});
  if (!file && file.error().code() == Code::kNotFound) return std::optional<EndRecord>();
  if (!file) return file.error();
  std::array<std::byte, kEndSlots * kLogBlockBytes> bytes;
  VECSTORE_ASSIGN(const std::size_t got, (*file)->read_at(bytes, 0));
  std::optional<EndRecord> newest;
  for (std::size_t slot = 0; slot < kEndSlots; ++slot) {
    const std::size_t begin = std::min(slot * kLogBlockBytes, got);
    bool newer = false;
    const auto decoded =
        decode_end_record(std::span(bytes).subspan(begin, std::min(kLogBlockBytes, got - begin)), &newer);
    if (newer)
      return Status(Code::kNewerFormat, "the log was written by a newer VecStore; upgrade to read it").about(path);
    if (!decoded || offset_of(decoded->header.count) != slot * kLogBlockBytes) continue;
    if (!newest || decoded->header.count > newest->count) newest = decoded->header;
  }
  if (!newest)
    return Status(Code::kCorrupt, "the record of the log's end is damaged; restore it, or salvage what is left")
        .about(path);
  if (newest->store != store)
    return Status(Code::kCorrupt, "the record of the log's end belongs to another store; restore it").about(path);
  return newest;
}

Status EndFile::open(FileSystem& file_system, const std::string& directory, const std::string& preparing,
                     const std::optional<EndRecord>& found, const Uuid& store, MemoryBudget& budget) {
  VECSTORE_ASSIGN(block_, Buffer<std::byte>::allocate(budget, kLogBlockBytes));
  if (found) {
    newest_ = *found;
    VECSTORE_ASSIGN(file_, file_system.open(path_of(directory), {OpenMode::kReadWrite, true}));
    return file_->sync();
  }
  newest_.store = store;
  const Status made = make(file_system, directory, preparing);
  return made.subject() == preparing ? Status(made).about(path_of(directory)) : made;
}

Status EndFile::make(FileSystem& file_system, const std::string& directory, const std::string& preparing) {
  VECSTORE_ASSIGN(file_, file_system.open(preparing, {OpenMode::kReadWriteCreate, true}));
  for (newest_.count = 0; newest_.count < kEndSlots; ++newest_.count) {
    encode_end_record(newest_, block_.span());
    VECSTORE_TRY(file_->write_at(block_.span(), offset_of(newest_.count)));
  }
  --newest_.count;
  VECSTORE_TRY(file_->sync());
  VECSTORE_TRY(file_system.rename(preparing, path_of(directory)));
  VECSTORE_TRY(file_system.sync_directory(directory));
  // Once more, so that its errors have the name that it has now.
  VECSTORE_ASSIGN(file_, file_system.open(path_of(directory), {OpenMode::kReadWrite, true}));
  return Status::ok();
}

Status EndFile::write(EndRecord record) {
  record.store = newest_.store;
  record.count = newest_.count + 1;
  encode_end_record(record, block_.span());
  VECSTORE_TRY(file_->write_at(block_.span(), offset_of(record.count)));
  VECSTORE_TRY(file_->sync());
  newest_ = record;
  return Status::ok();
}

}  // namespace vecstore
