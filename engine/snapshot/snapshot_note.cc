// SPDX-License-Identifier: Apache-2.0
#include "engine/snapshot/snapshot_note.h"

#include <array>

#include "base/bytes.h"
#include "engine/generation/file_names.h"
#include "pagestore/manifest_format.h"

namespace vecstore {
namespace {

constexpr std::array<char, 8> kMagic = {'V', 'E', 'C', 'S', 'N', 'A', 'P', 'S'};
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHashAt = 40;
constexpr std::size_t kNoteBytes = kHashAt + sizeof(Hash128);

std::string path_of(const std::string& directory) { return directory + "/" + kSnapshotNoteName; }

}  // namespace

Status write_snapshot_note(FileSystem& file_system, const std::string& directory, const SnapshotNote& note) {
  ByteWriter out;
  out.write(kMagic);
  out.write(kVersion);
  out.write(std::array<std::byte, 6>{});
  out.write(note.made_at);
  out.write(note.rows);
  out.write(note.lsn.value);
  const Hash128 hash = hash128(out.bytes());
  out.write(hash.low);
  out.write(hash.high);
  VECSTORE_ASSIGN(const auto file, file_system.open(path_of(directory), {OpenMode::kCreateNew, false}));
  VECSTORE_TRY(file->write_at(out.bytes(), 0));
  return file->sync();
}

Result<SnapshotNote> read_snapshot_note(FileSystem& file_system, const std::string& directory) {
  VECSTORE_ASSIGN(const auto file, file_system.open(path_of(directory), {OpenMode::kRead, false}));
  std::array<std::byte, kNoteBytes> bytes{};
  VECSTORE_ASSIGN(const std::size_t got, file->read_at(bytes, 0));
  ByteReader in(bytes);
  const auto magic = in.read<std::array<char, 8>>();
  const auto version = in.read<std::uint16_t>();
  in.read<std::array<std::byte, 6>>();
  SnapshotNote note;
  note.made_at = in.read<std::int64_t>();
  note.rows = in.read<std::uint64_t>();
  note.lsn = {in.read<std::uint64_t>()};
  const Hash128 stored{in.read<std::uint64_t>(), in.read<std::uint64_t>()};
  const bool is_whole = got == bytes.size() && magic == kMagic && stored == hash128(std::span(bytes).first(kHashAt));
  if (!is_whole)
    return Status(Code::kCorrupt, "the note of a snapshot is damaged; what the snapshot holds can be restored still")
        .about(path_of(directory));
  if (version > kVersion)
    return Status(Code::kNewerFormat, "the snapshot was made by a newer VecStore; upgrade to read it")
        .about(path_of(directory));
  return note;
}

}  // namespace vecstore
