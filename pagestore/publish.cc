// SPDX-License-Identifier: Apache-2.0
#include "pagestore/publish.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "engine/base/check.h"
#include "engine/base/thrown.h"
#include "pagestore/store_files.h"
#include "pagestore/store_lock.h"
#include "pagestore/superblock.h"

namespace vecstore {
namespace {

// A reader that meets a publish half-way reads the superblock again; two publishes within one such pause are unheard
// of.
constexpr int kReadAttempts = 5;
constexpr std::chrono::milliseconds kReadPause{20};

// What a slot of the superblock says, and the manifest that it names.
struct LoadedSlot {
  SlotState state = SlotState::kEmpty;
  Slot slot;
  std::optional<Manifest> manifest;
  Status problem;  // why an intact slot has no manifest
};

struct Superblock {
  std::array<LoadedSlot, kSlots> slots;
  std::size_t current = 0;

  std::uint64_t sequence_max() const {
    std::uint64_t newest = 0;
    for (const LoadedSlot& one : slots)
      if (one.state == SlotState::kIntact) newest = std::max(newest, one.slot.sequence);
    return newest;
  }
  // False where a slot, or what it names, is lost: then nobody can tell which files it needed.
  bool is_whole() const {
    return std::ranges::all_of(
        slots, [](const LoadedSlot& one) { return one.state == SlotState::kEmpty || one.manifest.has_value(); });
  }
  std::set<std::string> referenced() const {
    std::set<std::string> names;
    for (const LoadedSlot& one : slots) {
      if (!one.manifest) continue;
      names.insert(one.slot.manifest_name);
      for (const ManifestFile& file : one.manifest->files) names.insert(file.name);
    }
    return names;
  }
};

Result<Manifest> load_manifest(FileSystem& file_system, const std::string& directory, const Slot& slot) {
  const std::string path = directory + "/" + slot.manifest_name;
  VECSTORE_ASSIGN(const auto file, file_system.open(path, {OpenMode::kRead, false}));
  VECSTORE_ASSIGN(const std::uint64_t size, file->size());
  const Status mismatch =
      Status(Code::kCorrupt, "the manifest is not the one that was published; restore or rebuild the index")
          .about(path);
  if (size != slot.manifest_bytes) return mismatch;
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  VECSTORE_ASSIGN(const std::size_t got, file->read_at(bytes, 0));
  if (got != bytes.size() || hash128(bytes) != slot.manifest_hash) return mismatch;
  VECSTORE_ASSIGN(auto manifest, decode_manifest(bytes, path));
  if (manifest.store != slot.store || manifest.sequence != slot.sequence || manifest.applied_lsn != slot.applied_lsn)
    return mismatch;
  return manifest;
}

Result<Superblock> load_superblock(FileSystem& file_system, const std::string& directory) {
  const std::string path = directory + "/" + kSuperblockName;
  VECSTORE_ASSIGN(const auto file, file_system.open(path, {OpenMode::kRead, true}));
  alignas(kDirectAlignment) std::array<std::byte, kSuperblockBytes> bytes;
  VECSTORE_ASSIGN(const std::size_t got, file->read_at(bytes, 0));
  Superblock superblock;
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    const std::size_t begin = std::min<std::size_t>(i * kSlotBytes, got);
    const auto decoded = decode_slot(std::span(bytes).subspan(begin, std::min(kSlotBytes, got - begin)), i);
    LoadedSlot& loaded = superblock.slots[i];
    loaded.state = decoded.state;
    loaded.slot = decoded.slot;
    if (decoded.state == SlotState::kNewer)
      return Status(Code::kNewerFormat, "the index was written by a newer VecStore; upgrade to read it").about(path);
    if (decoded.state != SlotState::kIntact) continue;
    auto manifest = load_manifest(file_system, directory, decoded.slot);
    if (manifest) {
      loaded.manifest = std::move(*manifest);
    } else if (manifest.error().code() == Code::kNotFound || manifest.error().code() == Code::kCorrupt) {
      loaded.problem = manifest.error();
    } else {
      return manifest.error();  // it may well be good: falling back to older content would be a wrong answer
    }
  }
  auto& slots = superblock.slots;
  const auto rank = [](const LoadedSlot& one) { return one.manifest ? one.slot.sequence : 0; };
  superblock.current = rank(slots[1]) > rank(slots[0]) ? 1 : 0;
  if (slots[superblock.current].manifest) return superblock;
  for (const LoadedSlot& one : slots)
    if (!one.problem.is_ok())
      return Status(Code::kCorrupt,
                    one.problem.code() == Code::kNotFound
                        ? "the manifest that the superblock names is missing; restore or rebuild the index"
                        : one.problem.text())
          .about(one.problem.subject());
  return Status(Code::kCorrupt, "neither slot of the superblock is intact; restore or rebuild the index").about(path);
}

// Tells a missing directory, a file, and a directory that is no index apart.
Status check_is_index(FileSystem& file_system, const std::string& path) {
  const auto entries = file_system.list(path);
  if (!entries && entries.error().error_number() == ENOTDIR)
    return Status(Code::kInvalidInput, "not a VecStore index: it is a file, not a directory").about(path);
  if (!entries) return entries.error();
  for (const DirectoryEntry& entry : *entries)
    if (entry.name == kSuperblockName && !entry.is_directory) return Status::ok();
  return Status(Code::kInvalidInput, "not a VecStore index: the directory has no superblock").about(path);
}

std::string parent_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

struct StoreDirectory::Impl {
  Impl(FileSystem& system, std::string directory) : file_system(system), path(std::move(directory)) {}

  Status load() {
    VECSTORE_ASSIGN(superblock, load_superblock(file_system, path));
    current = superblock->slots[superblock->current].manifest;
    return Status::ok();
  }
  // Of a writer: what it found is there for good before it builds on it. Whoever wrote it may have been killed before
  // the sync, and then one torn write more would leave neither slot whole.
  Status load_for_good() {
    VECSTORE_ASSIGN(superblock_file, lock_superblock(file_system, path));
    VECSTORE_TRY(load());
    return superblock_file->sync();
  }
  // Garbage that cannot be removed now is removed after the next publish.
  void collect() {
    static_cast<void>(without_throwing([this] {
      return collect_garbage(file_system, path, superblock ? superblock->referenced() : std::set<std::string>{});
    }));
  }
  Status check_files(const Manifest& manifest) const;
  Status sync_directories(const Manifest& manifest) const;
  Status write_manifest(const std::string& name, std::span<const std::byte> bytes) const;
  Status commit(const Slot& slot, std::uint32_t index);

  FileSystem& file_system;
  const std::string path;
  std::unique_ptr<File> lock;             // of a writer
  std::unique_ptr<File> superblock_file;  // of a writer, locked too, once there is one
  std::optional<Superblock> superblock;   // none: nothing was ever published
  std::optional<Manifest> current;
  Status failure;  // of a commit or of a directory's sync: what is on the disk is not known any more
};

StoreDirectory::StoreDirectory(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StoreDirectory::StoreDirectory(StoreDirectory&&) noexcept = default;
StoreDirectory& StoreDirectory::operator=(StoreDirectory&&) noexcept = default;
StoreDirectory::~StoreDirectory() = default;

Result<StoreDirectory> StoreDirectory::open(const std::string& path, LockMode mode, FileSystem& file_system) {
  VECSTORE_TRY(check_is_index(file_system, path));
  auto impl = std::make_unique<Impl>(file_system, path);
  if (mode == LockMode::kExclusive) {
    VECSTORE_ASSIGN(impl->lock, lock_store(file_system, path));
    VECSTORE_TRY(impl->load_for_good());
    VECSTORE_TRY(clear_temporary(file_system, path));
    if (impl->superblock->is_whole()) impl->collect();
    return StoreDirectory(std::move(impl));
  }
  Status loaded = impl->load();
  for (int attempt = 1; loaded.code() == Code::kCorrupt && attempt < kReadAttempts; ++attempt) {
    std::this_thread::sleep_for(kReadPause);
    loaded = impl->load();
  }
  VECSTORE_TRY(loaded);
  return StoreDirectory(std::move(impl));
}

Result<StoreDirectory> StoreDirectory::create(const std::string& path, FileSystem& file_system) {
  Status made = file_system.make_directory(path);
  if (made.is_ok()) {
    VECSTORE_TRY(file_system.sync_directory(parent_of(path)));
  } else if (made.code() != Code::kExists) {
    return made;
  }
  auto foreign = foreign_entry(file_system, path);
  if (!foreign && foreign.error().code() == Code::kNotFound)
    return Status(Code::kExists, "a file is in the way; name a directory for the index").about(path);
  if (!foreign) return foreign.error();
  if (!foreign->empty())
    return Status(Code::kExists, "this is not part of an index; name an empty or a new directory")
        .about(path + "/" + *foreign);

  auto impl = std::make_unique<Impl>(file_system, path);
  VECSTORE_ASSIGN(impl->lock, lock_store(file_system, path));
  // Only now: a build that held the lock until a moment ago may have published.
  if (const Status index = check_is_index(file_system, path); index.is_ok()) {
    VECSTORE_TRY(impl->load_for_good());
  } else if (index.code() != Code::kInvalidInput) {
    return index;
  }
  VECSTORE_TRY(clear_temporary(file_system, path));
  impl->collect();
  return StoreDirectory(std::move(impl));
}

const std::string& StoreDirectory::path() const { return impl_->path; }
const std::optional<Manifest>& StoreDirectory::manifest() const { return impl_->current; }

const Manifest* StoreDirectory::previous() const {
  if (!impl_->superblock) return nullptr;
  const LoadedSlot& other = impl_->superblock->slots[1 - impl_->superblock->current];
  return other.manifest ? &*other.manifest : nullptr;
}

std::vector<Status> StoreDirectory::damage() const {
  std::vector<Status> found;
  for (std::size_t i = 0; impl_->superblock && i < kSlots; ++i) {
    const LoadedSlot& slot = impl_->superblock->slots[i];
    if (slot.state == SlotState::kDamaged)
      found.push_back(Status(Code::kCorrupt,
                             "a slot of the superblock is damaged, so what it held is lost; rebuild if that was newer")
                          .about(file_path(kSuperblockName))
                          .at(Detail::kOffset, i * kSlotBytes));
    if (!slot.problem.is_ok()) found.push_back(slot.problem);
  }
  return found;
}

std::string StoreDirectory::file_path(const std::string& name) const { return impl_->path + "/" + name; }
std::string StoreDirectory::temporary_path(const std::string& name) const {
  return impl_->path + "/" + kTemporaryName + "/" + name;
}
void StoreDirectory::unlock() {
  impl_->superblock_file.reset();
  impl_->lock.reset();
}
Result<std::uint64_t> StoreDirectory::free_bytes() const { return impl_->file_system.free_bytes(impl_->path); }

Status StoreDirectory::Impl::check_files(const Manifest& manifest) const {
  for (const ManifestFile& expected : manifest.files) {
    VECSTORE_ASSIGN(const auto file, file_system.open(path + "/" + expected.name, {OpenMode::kRead, false}));
    VECSTORE_ASSIGN(const std::uint64_t size, file->size());
    if (size != expected.bytes)
      return Status(Code::kInvalidArgument, "the file to be published does not have the size announced, in")
          .about(path + "/" + expected.name)
          .at(Detail::kBytes, size);
  }
  return Status::ok();
}

Status StoreDirectory::Impl::sync_directories(const Manifest& manifest) const {
  std::set<std::string> parents{path};
  for (const ManifestFile& file : manifest.files) parents.insert(parent_of(path + "/" + file.name));
  for (const std::string& parent : parents) VECSTORE_TRY(file_system.sync_directory(parent));
  return Status::ok();
}

Status StoreDirectory::Impl::write_manifest(const std::string& name, std::span<const std::byte> bytes) const {
  const std::string target = path + "/" + name;
  // A killed publish may have left one of this name; no slot names it, or the sequence would be higher.
  if (Status removed = file_system.unlink(target); !removed.is_ok() && removed.code() != Code::kNotFound)
    return removed;
  VECSTORE_ASSIGN(auto file, file_system.open(target, {OpenMode::kCreateNew, false}));
  Status written = file->write_at(bytes, 0);
  if (written.is_ok()) written = file->sync();
  if (!written.is_ok()) static_cast<void>(file_system.unlink(target));
  return written;
}

// Overwrites one slot in place; the first one ever comes with its file, by rename, so that no superblock is ever seen
// without an intact slot.
Status StoreDirectory::Impl::commit(const Slot& slot, std::uint32_t index) {
  const std::string target = path + "/" + kSuperblockName;
  SlotBytes bytes;
  encode_slot(slot, index, bytes);
  if (superblock) {
    VECSTORE_TRY(superblock_file->write_at(bytes.bytes, index * kSlotBytes));
    return superblock_file->sync();
  }
  const std::string temporary = path + "/" + kTemporaryName + "/" + kSuperblockName;
  VECSTORE_ASSIGN(superblock_file,
                  file_system.open(temporary, {.mode = OpenMode::kCreateNew, .direct = true, .to_lock = true}));
  static_cast<void>(superblock_file->try_lock());  // nobody else has it
  VECSTORE_TRY(superblock_file->write_at(bytes.bytes, index * kSlotBytes));
  VECSTORE_TRY(superblock_file->write_at(SlotBytes{}.bytes, (1 - index) * kSlotBytes));
  VECSTORE_TRY(superblock_file->sync());
  VECSTORE_TRY(file_system.rename(temporary, target));
  return file_system.sync_directory(path);
}

Status StoreDirectory::publish(Manifest manifest) {
  VECSTORE_CHECK(impl_->lock != nullptr);
  if (!impl_->failure.is_ok())
    return Status(impl_->failure.code(), "an earlier publish failed half-way; open the store again").about(impl_->path);
  manifest.sequence = (impl_->superblock ? impl_->superblock->sequence_max() : 0) + 1;
  VECSTORE_ASSIGN(const auto bytes, encode_manifest(manifest));
  VECSTORE_TRY(impl_->check_files(manifest));
  const std::string name = manifest_name(manifest.sequence);
  VECSTORE_TRY(impl_->write_manifest(name, bytes));
  // Whatever needs memory comes before the commit, so that what is known here is what is there.
  const Slot slot{manifest.sequence, manifest.store, manifest.applied_lsn, 0, 0, name, bytes.size(), hash128(bytes)};
  const std::size_t index = impl_->superblock ? 1 - impl_->superblock->current : 0;
  LoadedSlot loaded{SlotState::kIntact, slot, manifest, Status::ok()};
  // From here on a failure leaves open what the disk holds, so nothing is cleaned up and nothing is tried again.
  impl_->failure = without_throwing([&]() -> Status {
    VECSTORE_TRY(impl_->sync_directories(manifest));
    return impl_->commit(slot, static_cast<std::uint32_t>(index));
  });
  VECSTORE_TRY(impl_->failure);

  if (!impl_->superblock) impl_->superblock.emplace();
  impl_->superblock->slots[index] = std::move(loaded);
  impl_->superblock->current = index;
  impl_->current = std::move(manifest);
  impl_->collect();
  return Status::ok();
}

}  // namespace vecstore
