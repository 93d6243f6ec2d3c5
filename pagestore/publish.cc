// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/thrown.h"
#include "pagestore/manifest_format.h"
#include "pagestore/publish_impl.h"
#include "pagestore/store_files.h"
#include "pagestore/store_lock.h"

namespace vecstore {
namespace {

// A reader that meets a publish half-way reads the superblock again, until it finds the same damage twice. Two
// publishes within one such pause are unheard of.
constexpr int kReadAttempts = 5;
constexpr std::chrono::milliseconds kReadPause{20};

}  // namespace

// Of a writer: what it found is there for good before it builds on it. Whoever wrote it may have been killed before
// the sync, and then one torn write more would leave neither slot whole.
Status StoreDirectory::Impl::take_over() {
  VECSTORE_ASSIGN(superblock_file, lock_superblock(file_system, path));
  VECSTORE_TRY(load());
  VECSTORE_TRY(superblock_file->sync());
  VECSTORE_ASSIGN(const std::string foreign, unaccounted_file(file_system, names, path, *state));
  if (!foreign.empty())
    return Status(Code::kCorrupt,
                  "this file is newer than what the superblock names, and nothing tells that it was never published; "
                  "restore the superblock, or salvage")
        .about(path + "/" + foreign);
  VECSTORE_ASSIGN(const std::string newer,
                  newer_file(file_system, names, path, state->sequence(), current->generation));
  // A slot that a power cut tore is made whole first. Were mending it torn too, both together might be what the first
  // had been about to name, which then must be there.
  VECSTORE_TRY(mirror());
  if (newer.empty()) {
    collect();
  } else {
    VECSTORE_TRY(remove_newer(state->referenced()));
  }
  // Its publisher may have been killed before the superblock's first name was there for good; then its intent still is.
  VECSTORE_ASSIGN(const bool was_left, has_intent(file_system, path));
  if (was_left) VECSTORE_TRY(file_system.sync_directory(path));
  return clear_temporary(file_system, path);
}

// Where there is no superblock: only what a first publish that failed is known to have left may go.
Status StoreDirectory::Impl::take_over_leftovers() {
  VECSTORE_ASSIGN(const std::string found, newer_file(file_system, names, path, 0, 0));
  if (!found.empty()) {
    VECSTORE_ASSIGN(const auto intent, read_intent(file_system, path));
    if (!intent || intent->sequence != 0)
      return Status(Code::kCorrupt,
                    "this file is of an index whose superblock is missing; restore the superblock, salvage, or remove "
                    "the directory")
          .about(path + "/" + found);
    VECSTORE_TRY(remove_newer({}));
  }
  return clear_temporary(file_system, path);
}

// For good: where they came back later, nothing would account for them any more.
Status StoreDirectory::Impl::remove_newer(const std::set<std::string>& referenced) const {
  VECSTORE_TRY(collect_garbage(file_system, names, path, referenced));
  VECSTORE_TRY(file_system.sync_directory(path));
  for (const std::string_view extents : names.extent_directories)
    if (const Status synced = file_system.sync_directory(path + "/" + std::string(extents));
        synced.code() != Code::kNotFound)
      VECSTORE_TRY(synced);
  return Status::ok();
}

// Both slots name the content afterwards. What one of them has lost, the files that lie there have shown to be nothing
// newer, or load() would have refused.
Status StoreDirectory::Impl::mirror() {
  if (state->is_mirrored()) return Status::ok();
  if (const Manifest* previous = state->previous(); previous != nullptr) superseded = *previous;
  LoadedSlot whole = state->content();
  whole.slot.mirrored = true;
  const std::size_t other = 1 - state->current;
  for (const std::size_t index : {other, state->current}) {
    if (state->slots[index].state == SlotState::kIntact && state->slots[index].slot == whole.slot) continue;
    VECSTORE_TRY(write_slot(whole.slot, index));
    VECSTORE_TRY(superblock_file->sync());
  }
  state->slots[other] = whole;
  state->slots[state->current] = std::move(whole);
  return Status::ok();
}

Status StoreDirectory::Impl::check_going_on() const {
  if (failure.is_ok()) return failure;
  return Status(failure.code(), "an earlier publish failed half-way; open the store again").about(path);
}

// Before anything newer than the content is written.
Status StoreDirectory::Impl::announce() {
  if (announced) return Status::ok();
  if (const Status written = write_intent(file_system, path, {state ? state->sequence() : 0}); !written.is_ok()) {
    static_cast<void>(remove_intent(file_system, path));  // half of one accounts for nothing
    return written;
  }
  announced = true;
  return Status::ok();
}

// The files are gone for good before the intent is: nothing would account for one that came back.
Status StoreDirectory::Impl::withdraw() {
  if (!announced || !state || !failure.is_ok()) return Status::ok();
  std::set<std::string> needed = state->referenced();
  if (superseded) add_files_of(*superseded, needed);
  VECSTORE_TRY(remove_newer(needed));
  announced = false;
  return remove_intent(file_system, path);
}

StoreDirectory::StoreDirectory(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StoreDirectory::StoreDirectory(StoreDirectory&&) noexcept = default;
StoreDirectory& StoreDirectory::operator=(StoreDirectory&&) noexcept = default;
StoreDirectory::~StoreDirectory() = default;

Result<StoreDirectory> StoreDirectory::open(FileSystem& file_system, const StoreNames& names, const std::string& path,
                                            LockMode mode) {
  VECSTORE_TRY(check_is_index(file_system, path));
  auto impl = std::make_unique<Impl>(file_system, names, path);
  if (mode == LockMode::kExclusive) {
    VECSTORE_ASSIGN(impl->lock, lock_store(file_system, path));
    VECSTORE_TRY(impl->take_over());
    return StoreDirectory(std::move(impl));
  }
  Status loaded = impl->load();
  bool is_certain = false;
  for (int attempt = 1; loaded.code() == Code::kCorrupt && !is_certain && attempt < kReadAttempts; ++attempt) {
    file_system.clock().sleep_for(kReadPause);
    const std::string before = loaded.message();
    loaded = impl->load();
    is_certain = loaded.message() == before;
  }
  VECSTORE_TRY(loaded);
  return StoreDirectory(std::move(impl));
}

Status StoreDirectory::begin_publish() {
  VECSTORE_CHECK(impl_->lock != nullptr);
  VECSTORE_TRY(impl_->check_going_on());
  return impl_->announce();
}

void StoreDirectory::withdraw_publish() {
  VECSTORE_CHECK(impl_->lock != nullptr);
  static_cast<void>(without_throwing([this] { return impl_->withdraw(); }));
}

void StoreDirectory::drop_superseded() {
  VECSTORE_CHECK(impl_->lock != nullptr);
  if (has_failed()) return;
  impl_->superseded.reset();
  impl_->collect();
}

bool StoreDirectory::has_failed() const { return !impl_->failure.is_ok(); }

Result<StoreDirectory> StoreDirectory::open_what_is_left(FileSystem& file_system, const StoreNames& names,
                                                         const std::string& path) {
  auto whole = open(file_system, names, path, LockMode::kShared);
  const Code code = whole ? Code::kOk : whole.error().code();
  if (code != Code::kCorrupt && code != Code::kInvalidInput) return whole;
  auto impl = std::make_unique<Impl>(file_system, names, path);
  auto manifest = newest_whole_manifest(file_system, path);
  if (!manifest) return whole;  // names the damage itself
  impl->current = std::move(*manifest);
  impl->salvaged_from = whole.error();
  return StoreDirectory(std::move(impl));
}

const std::string& StoreDirectory::path() const { return impl_->path; }
const std::optional<Manifest>& StoreDirectory::manifest() const { return impl_->current; }

const Manifest* StoreDirectory::previous() const { return impl_->state ? impl_->state->previous() : nullptr; }

std::uint16_t StoreDirectory::format_minor() const {
  return impl_->state && impl_->state->content().slot.mirrored ? kSlotMinorMirrored : 0;
}

bool StoreDirectory::has_unfinished_publish() const {
  if (!impl_->state) return false;
  const std::uint64_t sequence = impl_->state->sequence();
  const auto intent = read_intent(impl_->file_system, impl_->path);
  return intent && *intent && ((*intent)->sequence == sequence || (*intent)->sequence + 1 == sequence);
}

std::vector<Status> StoreDirectory::damage() const {
  std::vector<Status> found;
  if (!impl_->salvaged_from.is_ok()) found.push_back(impl_->salvaged_from);
  if (!impl_->state) return found;
  const StoreState& state = *impl_->state;
  // What a publish that died has torn is no damage.
  if (state.has_lost_a_slot() && !has_unfinished_publish())
    found.push_back(Status(Code::kCorrupt,
                           "a slot of the superblock is damaged; the other one names the content, and the next writer "
                           "renews it")
                        .about(file_path(kSuperblockName))
                        .at(Detail::kOffset, (1 - state.current) * kSlotBytes));
  if (!state.other().problem.is_ok()) found.push_back(state.other().problem);
  const auto newer = unaccounted_file(impl_->file_system, impl_->names, impl_->path, state);
  if (!newer || newer->empty()) return found;
  // Unless a writer has published meanwhile.
  const auto now = load_state(impl_->file_system, impl_->names, impl_->path);
  if (!now || now->sequence() == state.sequence())
    found.push_back(Status(Code::kCorrupt,
                           "this file is newer than what the superblock names, and nothing tells that it was never "
                           "published; restore the superblock, or salvage")
                        .about(file_path(*newer)));
  return found;
}

std::string StoreDirectory::file_path(const std::string& name) const { return impl_->path + "/" + name; }
std::string StoreDirectory::temporary_path(const std::string& name) const {
  return impl_->path + "/" + kTemporaryName + "/" + name;
}
Status StoreDirectory::about_store(const Status& status) const { return of_store(status, impl_->path); }
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
  if (written.is_ok()) written = check_holds(target, 0, bytes);
  if (!written.is_ok()) static_cast<void>(file_system.unlink(target));
  return written;
}

// Read from the disk again, because what it replaces goes.
Status StoreDirectory::Impl::check_holds(const std::string& file_path, std::uint64_t offset,
                                         std::span<const std::byte> bytes) const {
  VECSTORE_ASSIGN(const auto file, file_system.open(file_path, {.mode = OpenMode::kRead, .direct = true}));
  std::vector<SlotBytes> room((bytes.size() + kSlotBytes - 1) / kSlotBytes);  // aligned
  const auto into = std::as_writable_bytes(std::span(room));
  VECSTORE_ASSIGN(const std::size_t read, file->read_at(into, offset));
  if (read >= bytes.size() && std::ranges::equal(into.first(bytes.size()), bytes)) return Status::ok();
  return Status(Code::kIo, "the disk does not hold what was just written; check the disk; nothing was replaced")
      .about(file_path)
      .at(Detail::kOffset, offset);
}

Status StoreDirectory::Impl::write_slot(const Slot& slot, std::size_t index) const {
  SlotBytes bytes;
  encode_slot(slot, static_cast<std::uint32_t>(index), bytes);
  return superblock_file->write_at(bytes.bytes, index * kSlotBytes);
}

// One slot, then the other: the first is the commit, and until the disk holds it the other one names the old content.
// The first superblock ever comes by rename, so that none is ever seen without an intact slot.
Status StoreDirectory::Impl::commit(const Slot& slot) {
  if (state) {
    const std::size_t first = 1 - state->current;
    VECSTORE_TRY(write_slot(slot, first));
    VECSTORE_TRY(superblock_file->sync());
    SlotBytes bytes;
    encode_slot(slot, static_cast<std::uint32_t>(first), bytes);
    VECSTORE_TRY(check_holds(path + "/" + kSuperblockName, first * kSlotBytes, bytes.bytes));
    VECSTORE_TRY(write_slot(slot, 1 - first));
    return superblock_file->sync();
  }
  return of_store(commit_first(slot), path);
}

Status StoreDirectory::Impl::commit_first(const Slot& slot) {
  const std::string temporary = path + "/" + kTemporaryName + "/" + kSuperblockName;
  VECSTORE_ASSIGN(superblock_file,
                  file_system.open(temporary, {.mode = OpenMode::kCreateNew, .direct = true, .to_lock = true}));
  static_cast<void>(superblock_file->try_lock());  // nobody else has it
  for (std::size_t index = 0; index < kSlots; ++index) VECSTORE_TRY(write_slot(slot, index));
  VECSTORE_TRY(superblock_file->sync());
  VECSTORE_TRY(file_system.rename(temporary, path + "/" + kSuperblockName));
  return file_system.sync_directory(path);
}

Status StoreDirectory::publish(Manifest manifest) {
  VECSTORE_CHECK(impl_->lock != nullptr);
  VECSTORE_TRY(impl_->check_going_on());
  manifest.sequence = (impl_->state ? impl_->state->sequence() : 0) + 1;
  VECSTORE_ASSIGN(const auto bytes, encode_manifest(manifest));
  VECSTORE_TRY(impl_->check_files(manifest));
  VECSTORE_TRY(impl_->announce());
  const std::string name = manifest_name(manifest.sequence);
  VECSTORE_TRY(impl_->write_manifest(name, bytes));
  // Whatever needs memory comes before the commit, so that what is known here is what is there.
  const Slot slot{manifest.sequence, manifest.store, manifest.applied_lsn, 0, 0, name, bytes.size(), hash128(bytes)};
  const LoadedSlot loaded{SlotState::kIntact, slot, manifest, Status::ok()};
  StoreState next{{loaded, loaded}, 0};
  std::optional<Manifest> superseded = impl_->current;
  // From here on a failure leaves open what the disk holds, so nothing is cleaned up and nothing is tried again.
  impl_->failure = without_throwing([&]() -> Status {
    VECSTORE_TRY(impl_->sync_directories(manifest));
    return impl_->commit(slot);
  });
  VECSTORE_TRY(impl_->failure);

  impl_->state = std::move(next);
  impl_->superseded = std::move(superseded);
  impl_->current = std::move(manifest);
  // Where it stays, it is of an older content and accounts for nothing.
  static_cast<void>(without_throwing([this] { return remove_intent(impl_->file_system, impl_->path); }));
  impl_->announced = false;
  impl_->collect();
  return Status::ok();
}

}  // namespace vecstore
