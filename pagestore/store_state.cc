// SPDX-License-Identifier: Apache-2.0
#include "pagestore/store_state.h"

#include <algorithm>

#include "pagestore/manifest_format.h"
#include "pagestore/store_files.h"

namespace vecstore {
namespace {

constexpr const char* kManifestMissing =
    "the manifest that the superblock names is missing; restore it, salvage what is left, or rebuild";
constexpr const char* kManifestIsAnother =
    "the manifest is not the one that was published; restore it, salvage what is left, or rebuild";

Result<Manifest> load_manifest(FileSystem& file_system, const std::string& directory, const Slot& slot) {
  const std::string path = directory + "/" + slot.manifest_name;
  const auto opened = file_system.open(path, {OpenMode::kRead, false});
  if (!opened && opened.error().code() == Code::kNotFound) return Status(Code::kCorrupt, kManifestMissing).about(path);
  if (!opened) return opened.error();
  const File& file = **opened;
  VECSTORE_ASSIGN(const std::uint64_t size, file.size());
  const Status mismatch = Status(Code::kCorrupt, kManifestIsAnother).about(path);
  if (size != slot.manifest_bytes) return mismatch;
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  VECSTORE_ASSIGN(const std::size_t got, file.read_at(bytes, 0));
  if (got != bytes.size() || hash128(bytes) != slot.manifest_hash) return mismatch;
  VECSTORE_ASSIGN(auto manifest, decode_manifest(bytes, path));
  if (manifest.store != slot.store || manifest.sequence != slot.sequence || manifest.applied_lsn != slot.applied_lsn)
    return mismatch;
  return manifest;
}

Status read_slots(FileSystem& file_system, const std::string& path, StoreState& state) {
  VECSTORE_ASSIGN(const auto file, file_system.open(path, {OpenMode::kRead, true}));
  alignas(kDirectAlignment) std::array<std::byte, kSuperblockBytes> bytes;
  VECSTORE_ASSIGN(const std::size_t got, file->read_at(bytes, 0));
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    const std::size_t begin = std::min<std::size_t>(i * kSlotBytes, got);
    const auto decoded = decode_slot(std::span(bytes).subspan(begin, std::min(kSlotBytes, got - begin)), i);
    state.slots[i].state = decoded.state;
    state.slots[i].slot = decoded.slot;
    if (decoded.state == SlotState::kNewer)
      return Status(Code::kNewerFormat, "the index was written by a newer VecStore; upgrade to read it").about(path);
  }
  return Status::ok();
}

// The intact slot with the greatest sequence.
Status choose_slot(const std::string& path, StoreState& state) {
  const auto rank = [](const LoadedSlot& one) { return one.state == SlotState::kIntact ? one.slot.sequence : 0; };
  state.current = rank(state.slots[1]) > rank(state.slots[0]) ? 1 : 0;
  if (state.content().state != SlotState::kIntact)
    return Status(Code::kCorrupt,
                  "neither slot of the superblock is intact; restore it, salvage what is left, or rebuild")
        .about(path);
  Slot same = state.other().slot;
  same.mirrored = state.content().slot.mirrored;  // a writer was killed while it brought the store to this format
  const bool contradicts =
      state.other().state == SlotState::kIntact && same.sequence == state.sequence() && same != state.content().slot;
  if (contradicts)
    return Status(Code::kCorrupt,
                  "the slots of the superblock contradict each other; restore it, salvage what is left, or rebuild")
        .about(path);
  return Status::ok();
}

// nullopt: it is damaged, or a file of it is not there.
Result<std::optional<Manifest>> whole_manifest(FileSystem& file_system, const std::string& directory,
                                               const std::string& name) {
  VECSTORE_ASSIGN(const auto file, file_system.open(directory + "/" + name, {OpenMode::kRead, false}));
  VECSTORE_ASSIGN(const std::uint64_t size, file->size());
  if (size > kManifestBytesMax) return std::optional<Manifest>();
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  VECSTORE_ASSIGN(const std::size_t got, file->read_at(bytes, 0));
  auto manifest = decode_manifest(std::span(bytes).first(got), directory + "/" + name);
  if (!manifest || manifest_name(manifest->sequence) != name) return std::optional<Manifest>();
  for (const ManifestFile& expected : manifest->files) {
    const auto needed = file_system.open(directory + "/" + expected.name, {OpenMode::kRead, false});
    if (!needed && needed.error().code() == Code::kNotFound) return std::optional<Manifest>();
    if (!needed) return needed.error();
    VECSTORE_ASSIGN(const std::uint64_t found, (*needed)->size());
    if (found != expected.bytes) return std::optional<Manifest>();
  }
  return std::optional(std::move(*manifest));
}

}  // namespace

void add_files_of(const Manifest& manifest, std::set<std::string>& names) {
  names.insert(manifest_name(manifest.sequence));
  for (const ManifestFile& file : manifest.files) names.insert(file.name);
}

std::set<std::string> StoreState::referenced() const {
  std::set<std::string> names;
  for (const LoadedSlot& one : slots) {
    if (!one.manifest) continue;
    names.insert(one.slot.manifest_name);
    add_files_of(*one.manifest, names);
  }
  return names;
}

Result<StoreState> load_state(FileSystem& file_system, const StoreNames& names, const std::string& directory) {
  const std::string path = directory + "/" + kSuperblockName;
  StoreState state;
  VECSTORE_TRY(read_slots(file_system, path, state));
  VECSTORE_TRY(choose_slot(path, state));
  LoadedSlot& content = state.slots[state.current];
  VECSTORE_ASSIGN(content.manifest, load_manifest(file_system, directory, content.slot));
  LoadedSlot& other = state.slots[1 - state.current];
  if (other.state == SlotState::kIntact && other.slot.sequence == content.slot.sequence) {
    other.manifest = content.manifest;
  } else if (other.state == SlotState::kIntact) {
    auto older = load_manifest(file_system, directory, other.slot);
    if (older) other.manifest = std::move(*older);
    if (!older) other.problem = older.error();  // nothing is served of it
  }
  if (other.state == SlotState::kIntact) return state;
  // A slot that was never written may have been wiped: then the manifest that it named lies there.
  const bool is_lost = state.has_lost_a_slot();
  VECSTORE_ASSIGN(const std::string newer,
                  is_lost ? unaccounted_file(file_system, names, directory, state)
                          : newer_file(file_system, names, directory, state.sequence(), ~std::uint32_t{0}));
  if (newer.empty()) return state;
  return Status(Code::kCorrupt,
                "a slot of the superblock is damaged and this file is newer than what the other one names; restore the "
                "superblock, or salvage")
      .about(directory + "/" + newer);
}

Result<std::string> unaccounted_file(FileSystem& file_system, const StoreNames& names, const std::string& directory,
                                     const StoreState& state) {
  if (!state.content().slot.mirrored && !state.has_lost_a_slot()) return std::string();
  VECSTORE_ASSIGN(std::string newer,
                  newer_file(file_system, names, directory, state.sequence(), state.content().manifest->generation));
  if (newer.empty()) return newer;
  VECSTORE_ASSIGN(const auto intent, read_intent(file_system, directory));
  return intent && intent->sequence == state.sequence() ? std::string() : newer;
}

Result<Manifest> newest_whole_manifest(FileSystem& file_system, const std::string& directory) {
  VECSTORE_ASSIGN(const auto entries, file_system.list(directory));
  std::optional<Manifest> newest;
  for (const DirectoryEntry& entry : entries) {
    const std::uint64_t sequence = entry.is_directory ? 0 : manifest_sequence(entry.name).value_or(0);
    if (sequence == 0 || (newest && newest->sequence >= sequence)) continue;
    VECSTORE_ASSIGN(auto manifest, whole_manifest(file_system, directory, entry.name));
    if (manifest) newest = std::move(manifest);
  }
  if (newest) return std::move(*newest);
  return Status(Code::kCorrupt, "no manifest of this index is whole; restore or rebuild it").about(directory);
}

}  // namespace vecstore
