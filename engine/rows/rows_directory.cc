// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/rows_directory.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace vecstore::rows {

Result<Directory> Directory::open(const PageFile& file, const Header& header, MemoryBudget& budget) {
  Directory directory(file, header);
  if (header.has_gaps()) {
    VECSTORE_ASSIGN(directory.index_, Buffer<std::uint64_t>::allocate(budget, header.directory_pages()));
    VECSTORE_TRY(directory.load_index());
  }
  return directory;
}

// What neither the index nor the directory tells stays where its predecessor is. Rows that are looked up there are
// then kCorrupt, because the directory contradicts it.
Status Directory::load_index() {
  Stream stored(*file_, nullptr);
  Stream entries(*file_, nullptr);
  for (std::uint64_t page = 0; page < index_.size(); ++page) {
    index_[page] = page == 0 ? header_->attributes.first : index_[page - 1];
    std::uint64_t first = 0;
    Status read = stored.read_into(index_entry_at(page), first);
    if (!read.is_ok() || !can_follow(page, first)) {
      DirectoryEntry entry;
      read = entries.read_into(entry_at(page * kEntriesPerPage), entry);
      first = entry.first;
    }
    if (!read.is_ok() && read.code() != Code::kCorrupt) return read;
    if (read.is_ok() && can_follow(page, first)) index_[page] = first;
  }
  return Status::ok();
}

bool Directory::can_follow(std::uint64_t page, std::uint64_t first) const {
  if (page == 0) return first == header_->attributes.first;
  return first > index_[page - 1] && first < header_->gaps.end;
}

std::uint64_t Directory::entry_at(std::uint64_t group) const {
  if (!header_->has_gaps()) return header_->directory_at() + group * kOffsetBytes;
  return header_->directory_at() + group / kEntriesPerPage * kStreamPageBytes +
         group % kEntriesPerPage * sizeof(DirectoryEntry);
}

std::uint64_t Directory::index_entry_at(std::uint64_t page) const {
  return header_->index_at() + page * kIndexEntryBytes;
}

Status Directory::place_of(Stream& stream, std::uint64_t group, GroupPlace& place) const {
  VECSTORE_CHECK(group < header_->gaps.groups);
  place.group = group;
  if (header_->has_gaps()) {
    VECSTORE_TRY(read_gap_place(stream, place));
  } else {
    VECSTORE_TRY(stream.read_into(entry_at(group), place.offset));
    place.first = header_->attributes.first + group * header_->attributes.group_rows;
    place.end = std::min(place.first + header_->attributes.group_rows, header_->gaps.end);
  }
  return place.offset < header_->attributes.stream_bytes ? Status::ok() : stream.damaged(entry_at(group));
}

Status Directory::read_gap_place(Stream& stream, GroupPlace& place) const {
  DirectoryEntry entry;
  VECSTORE_TRY(stream.read_into(entry_at(place.group), entry));
  place.offset = entry.offset;
  place.first = entry.first;
  const std::uint64_t next = place.group + 1;
  if (next == header_->gaps.groups) {
    place.end = header_->gaps.end;
  } else if (next % kEntriesPerPage == 0) {
    place.end = index_[next / kEntriesPerPage];
  } else {
    VECSTORE_TRY(stream.read_into(entry_at(next), entry));
    place.end = entry.first;
  }
  const bool begins_page = place.group % kEntriesPerPage == 0;
  const bool as_indexed = !begins_page || place.first == index_[place.group / kEntriesPerPage];
  const bool ascends = place.first < place.end && place.end <= header_->gaps.end;
  return ascends && as_indexed ? Status::ok() : stream.damaged(entry_at(place.group));
}

Status Directory::locate(Stream& stream, RowId row, GroupPlace& place) const {
  VECSTORE_CHECK(row.value < header_->gaps.end);
  const std::uint64_t first = header_->attributes.first;
  std::uint64_t group = 0;
  if (row.value >= first && header_->has_gaps()) {
    const auto* after = std::upper_bound(index_.begin(), index_.end(), row.value);
    VECSTORE_TRY(find_in_page(stream, static_cast<std::uint64_t>(after - index_.begin()) - 1, row, group));
  } else if (row.value >= first) {
    group = (row.value - first) / header_->attributes.group_rows;
  }
  VECSTORE_TRY(place_of(stream, group, place));
  // Entries that do not ascend lead anywhere.
  const bool found = row.value < place.end && (row.value >= place.first || group == 0);
  return found ? Status::ok() : stream.damaged(entry_at(group));
}

Status Directory::find_in_page(Stream& stream, std::uint64_t page, RowId row, std::uint64_t& group) const {
  group = page * kEntriesPerPage;
  std::uint64_t end = std::min(group + kEntriesPerPage, header_->gaps.groups);
  while (end - group > 1) {
    const std::uint64_t middle = group + (end - group) / 2;
    DirectoryEntry entry;
    VECSTORE_TRY(stream.read_into(entry_at(middle), entry));
    (entry.first <= row.value ? group : end) = middle;
  }
  return Status::ok();
}

Status Directory::verify_index(Stream& stream, std::uint64_t directory_page) const {
  std::uint64_t stored = 0;
  VECSTORE_TRY(stream.read_into(index_entry_at(directory_page), stored));
  DirectoryEntry entry;
  VECSTORE_TRY(stream.read_into(entry_at(directory_page * kEntriesPerPage), entry));
  return stored == entry.first ? Status::ok() : stream.damaged(index_entry_at(directory_page));
}

}  // namespace vecstore::rows
