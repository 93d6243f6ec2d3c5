// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace vecstore::test {
namespace {

thread_local int depth = 0;

}  // namespace

SimDisk::Inside::Inside(std::mutex& mutex) : guard_(mutex) { ++depth; }
SimDisk::Inside::~Inside() { --depth; }
bool SimDisk::is_inside() { return depth != 0; }

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Inode> inode, std::string path, bool direct, std::uint64_t handle)
      : disk_(disk), inode_(std::move(inode)), path_(std::move(path)), direct_(direct), handle_(handle) {}
  ~SimFile() override {
    const SimDisk::Inside inside(disk_.mutex_);
    if (inode_->locked_by == handle_) inode_->locked_by = 0;
  }

  Result<std::size_t> read_at(std::span<std::byte> into, std::uint64_t offset) const override {
    const SimDisk::Inside inside(disk_.mutex_);
    VECSTORE_TRY(disk_.strike(path_, false));
    check_alignment(into.data(), into.size(), offset);
    const auto& bytes = inode_->live;
    if (offset >= bytes.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(into.size(), bytes.size() - offset);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, into.begin());
    return count;
  }

  Status write_at(std::span<const std::byte> bytes, std::uint64_t offset) override {
    const SimDisk::Inside inside(disk_.mutex_);
    check_alignment(bytes.data(), bytes.size(), offset);
    if (disk_.fault_ == Fault::kLate && disk_.strikes_next()) inode_->fails_late = true;
    const bool rots = disk_.fault_ == Fault::kRot && disk_.strikes_next() && !bytes.empty();
    const Status struck = disk_.strike(path_, true);
    if (!struck.is_ok()) {
      // The disk was at it when the power went, or had begun when it failed.
      const bool begun = disk_.fault_ == Fault::kPowerCut || disk_.fault_ == Fault::kShort;
      if (begun && disk_.calls_ == disk_.fault_at_ + 1) {
        const std::size_t part = disk_.fault_ == Fault::kShort
                                     ? bytes.size() / 2 / SimDisk::kSectorBytes * SimDisk::kSectorBytes
                                     : bytes.size();
        put(bytes.first(part), offset);
      }
      return struck;
    }
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t grows = end > inode_->live.size() ? end - inode_->live.size() : 0;
    if (grows != 0 && disk_.used_bytes() + grows > disk_.capacity_)
      return errno_status(ENOSPC, "the simulated disk is full", path_);
    put(bytes, offset);
    if (rots) inode_->live[offset + disk_.calls_ * 7919 % bytes.size()] ^= std::byte{1};
    return Status::ok();
  }

  Status truncate(std::uint64_t bytes) override {
    const SimDisk::Inside inside(disk_.mutex_);
    VECSTORE_TRY(disk_.strike(path_, true));
    inode_->live.resize(bytes);
    inode_->size_dirty = true;
    disk_.has_changed_ = true;
    return Status::ok();
  }

  Status sync() override {
    const SimDisk::Inside inside(disk_.mutex_);
    Status struck = disk_.strike(path_, false);
    if (std::exchange(inode_->fails_late, false) && struck.is_ok())
      struck = errno_status(EIO, "injected: a write before could not be completed", path_);
    if (!struck.is_ok()) {
      // Linux forgets what could not be written, and the next sync succeeds.
      if (!disk_.off_) {
        Random random(disk_.calls_);
        SimDisk::settle(*inode_, random);
      }
      return struck;
    }
    disk_.has_changed_ |= inode_->size_dirty || !inode_->dirty.empty();
    inode_->durable = inode_->live;
    inode_->dirty.clear();
    inode_->size_dirty = false;
    return Status::ok();
  }

  Result<std::uint64_t> size() const override {
    const SimDisk::Inside inside(disk_.mutex_);
    VECSTORE_TRY(disk_.strike(path_, false));
    return std::uint64_t{inode_->live.size()};
  }

  Result<bool> try_lock() override {
    const SimDisk::Inside inside(disk_.mutex_);
    VECSTORE_TRY(disk_.strike(path_, false));
    if (inode_->locked_by != 0 && inode_->locked_by != handle_) return false;
    inode_->locked_by = handle_;
    return true;
  }

  int descriptor() const override { return -1; }
  bool direct() const override { return direct_; }

 private:
  void check_alignment(const void* data, std::size_t size, std::uint64_t offset) const {
    const auto address = reinterpret_cast<std::uintptr_t>(data);
    VECSTORE_CHECK(!direct_ || (address | size | offset) % kDirectAlignment == 0);
  }
  void put(std::span<const std::byte> bytes, std::uint64_t offset) const {
    const std::uint64_t end = offset + bytes.size();
    disk_.has_changed_ = true;
    if (end > inode_->live.size()) {
      inode_->live.resize(end);
      inode_->size_dirty = true;
    }
    std::copy(bytes.begin(), bytes.end(), inode_->live.begin() + static_cast<std::ptrdiff_t>(offset));
    for (std::uint64_t sector = offset / SimDisk::kSectorBytes; sector * SimDisk::kSectorBytes < end; ++sector)
      inode_->dirty.insert(sector);
  }

  SimDisk& disk_;
  std::shared_ptr<SimDisk::Inode> inode_;
  std::string path_;
  bool direct_;
  std::uint64_t handle_;
};

std::string SimDisk::directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}
std::string SimDisk::name_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// Counts the call; an error when it is to fail.
Status SimDisk::strike(const std::string& path, bool writes) {
  if (states_ != nullptr && std::exchange(has_changed_, false)) states_->push_back(copy());
  const bool strikes = strikes_next();
  ++calls_;
  if (off_) return errno_status(EIO, "the simulated machine is off", path);
  if (!strikes) return Status::ok();
  switch (fault_) {
    case Fault::kPowerCut:
      off_ = true;
      return errno_status(EIO, "the simulated machine lost power", path);
    case Fault::kNoSpace:
      return writes ? errno_status(ENOSPC, "injected", path) : Status::ok();
    case Fault::kShort:
      return writes ? errno_status(EIO, "injected", path) : Status::ok();
    case Fault::kLate:
    case Fault::kRot:
      return Status::ok();
    case Fault::kIo:
      break;
  }
  return errno_status(EIO, "injected", path);
}

std::shared_ptr<SimDisk::Inode> SimDisk::find(const std::string& path) const {
  const auto directory = directories_.find(directory_of(path));
  if (directory == directories_.end()) return nullptr;
  const auto entry = directory->second.live.find(name_of(path));
  return entry == directory->second.live.end() ? nullptr : entry->second;
}

void SimDisk::apply(std::map<std::string, std::shared_ptr<Inode>>& entries, const DirectoryChange& change) {
  if (change.change == Change::kUnlink) entries.erase(change.name);
  if (change.change == Change::kLink) entries[change.name] = change.inode;
  if (change.change != Change::kRename) return;
  // Without the entry that it moves, a rename that was kept has nothing to move.
  const auto from = entries.find(change.from);
  if (from == entries.end()) return;
  entries[change.name] = from->second;
  entries.erase(change.from);
}

// Decides sector by sector what becomes of that which was never synced.
void SimDisk::settle(Inode& inode, Random& random) {
  if (inode.dirty.empty() && !inode.size_dirty) return;
  enum class Manner : std::uint8_t { kKeep, kDrop, kMix, kGarbage, kCount };
  const auto manner = static_cast<Manner>(random.below(static_cast<std::uint64_t>(Manner::kCount)));
  const bool keeps_size = manner == Manner::kKeep || (manner != Manner::kDrop && random.below(2) == 0);
  std::vector<std::byte> settled = inode.durable;
  if (keeps_size) settled.resize(inode.live.size());
  for (const std::uint64_t sector : inode.dirty) {
    const std::uint64_t begin = sector * kSectorBytes;
    const bool kept = manner == Manner::kKeep || (manner != Manner::kDrop && random.below(2) == 0);
    const bool garbage = manner == Manner::kGarbage && !kept && random.below(4) == 0;
    for (std::uint64_t at = begin; at < std::min<std::uint64_t>(begin + kSectorBytes, settled.size()); ++at) {
      if (garbage) {
        settled[at] = static_cast<std::byte>(random.next());
      } else if (kept && at < inode.live.size()) {
        settled[at] = inode.live[at];
      }
    }
  }
  inode.live = settled;
  inode.durable = std::move(settled);
  inode.dirty.clear();
  inode.size_dirty = false;
}

void SimDisk::reboot(Random& random) {
  const Inside inside(mutex_);
  enum class Manner : std::uint8_t { kKeep, kDrop, kPrefix, kAny, kCount };
  for (auto& [path, directory] : directories_) {
    const auto manner = static_cast<Manner>(random.below(static_cast<std::uint64_t>(Manner::kCount)));
    const std::uint64_t prefix = random.below(directory.changes.size() + 1);
    for (std::size_t i = 0; i < directory.changes.size(); ++i) {
      const bool kept = manner == Manner::kKeep || (manner == Manner::kPrefix && i < prefix) ||
                        (manner == Manner::kAny && random.below(2) == 0);
      if (kept) apply(directory.durable, directory.changes[i]);
    }
    directory.changes.clear();
    directory.live = directory.durable;
    for (auto& [name, inode] : directory.live) {
      settle(*inode, random);
      inode->locked_by = 0;
    }
  }
  off_ = false;
  fault_at_ = ~std::uint64_t{0};
  calls_ = 0;
}

void SimDisk::restart() {
  const Inside inside(mutex_);
  for (auto& [path, directory] : directories_)
    for (auto& [name, inode] : directory.live) inode->locked_by = 0;
  off_ = false;
  fault_at_ = ~std::uint64_t{0};
  calls_ = 0;
}

std::unique_ptr<SimDisk> SimDisk::clone() const {
  const Inside inside(mutex_);
  return copy();
}

std::unique_ptr<SimDisk> SimDisk::copy() const {
  auto copy = std::make_unique<SimDisk>();
  std::map<Inode*, std::shared_ptr<Inode>> copies;
  const auto copy_of = [&](const std::shared_ptr<Inode>& inode) {
    auto& to = copies[inode.get()];
    if (to == nullptr && inode != nullptr) to = std::make_shared<Inode>(*inode);
    return to;
  };
  for (const auto& [path, directory] : directories_) {
    Directory& to = copy->directories_[path];
    for (const auto& [name, inode] : directory.live) to.live[name] = copy_of(inode);
    for (const auto& [name, inode] : directory.durable) to.durable[name] = copy_of(inode);
    for (DirectoryChange change : directory.changes) {
      change.inode = copy_of(change.inode);
      to.changes.push_back(std::move(change));
    }
  }
  copy->capacity_ = capacity_;
  copy->off_ = off_;
  copy->handles_ = handles_;
  return copy;
}

bool SimDisk::flip_bit(const std::string& path, std::uint64_t byte, unsigned bit) {
  const Inside inside(mutex_);
  const auto inode = find(path);
  if (inode == nullptr || byte >= inode->live.size()) return false;
  inode->live[byte] ^= static_cast<std::byte>(1u << bit);
  if (byte < inode->durable.size()) inode->durable[byte] ^= static_cast<std::byte>(1u << bit);
  return true;
}

std::vector<std::string> SimDisk::files() const {
  const Inside inside(mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, directory] : directories_)
    for (const auto& [name, inode] : directory.live) paths.emplace_back(path).append("/").append(name);
  return paths;
}

std::uint64_t SimDisk::bytes_of(const std::string& path) const {
  const Inside inside(mutex_);
  const auto inode = find(path);
  return inode == nullptr ? 0 : inode->live.size();
}

std::uint64_t SimDisk::used_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [path, directory] : directories_)
    for (const auto& [name, inode] : directory.live) bytes += inode->live.size();
  return bytes;
}

Result<std::unique_ptr<File>> SimDisk::open(const std::string& path, const FileOptions& options) {
  const Inside inside(mutex_);
  const bool creates = options.mode == OpenMode::kCreateNew || options.mode == OpenMode::kReadWriteCreate;
  VECSTORE_TRY(strike(path, creates));
  const auto directory = directories_.find(directory_of(path));
  if (directory == directories_.end()) return errno_status(ENOENT, "cannot open", path);
  auto inode = find(path);
  if (inode == nullptr && !creates) return errno_status(ENOENT, "cannot open", path);
  if (inode != nullptr && options.mode == OpenMode::kCreateNew) return errno_status(EEXIST, "cannot create", path);
  if (inode == nullptr) {
    inode = std::make_shared<Inode>();
    const DirectoryChange change{Change::kLink, name_of(path), "", inode};
    apply(directory->second.live, change);
    directory->second.changes.push_back(change);
    has_changed_ = true;
  }
  return std::unique_ptr<File>(std::make_unique<SimFile>(*this, inode, path, options.direct, ++handles_));
}

Status SimDisk::rename(const std::string& from, const std::string& to) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(to, true));
  return move(from, to);
}

Status SimDisk::rename_to_new(const std::string& from, const std::string& to) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(to, true));
  return find(to) != nullptr ? errno_status(EEXIST, "cannot rename", to) : move(from, to);
}

// With the lock.
Status SimDisk::move(const std::string& from, const std::string& to) {
  const auto inode = find(from);
  if (inode == nullptr) return errno_status(ENOENT, "cannot rename", from);
  has_changed_ = true;
  Directory& directory = directories_[directory_of(to)];
  if (directory_of(from) != directory_of(to)) {
    // Whether the new name is there after a power cut is its directory's business; the old one stays until its own is
    // synced.
    const DirectoryChange link{Change::kLink, name_of(to), "", inode};
    apply(directory.live, link);
    directory.changes.push_back(link);
    directories_[directory_of(from)].live.erase(name_of(from));
    return Status::ok();
  }
  const DirectoryChange change{Change::kRename, name_of(to), name_of(from), inode};
  apply(directory.live, change);
  directory.changes.push_back(change);
  return Status::ok();
}

Status SimDisk::link(const std::string& from, const std::string& to) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(to, true));
  const auto inode = find(from);
  if (inode == nullptr) return errno_status(ENOENT, "cannot link", from);
  if (find(to) != nullptr) return errno_status(EEXIST, "cannot link", to);
  has_changed_ = true;
  Directory& directory = directories_[directory_of(to)];
  const DirectoryChange change{Change::kLink, name_of(to), "", inode};
  apply(directory.live, change);
  directory.changes.push_back(change);
  return Status::ok();
}

Result<FileUse> SimDisk::use_of(const std::string& path) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(path, false));
  const auto inode = find(path);
  if (inode == nullptr) return errno_status(ENOENT, "cannot look at", path);
  std::uint64_t names = 0;
  for (const auto& [directory, entries] : directories_)
    names += static_cast<std::uint64_t>(
        std::ranges::count_if(entries.live, [&](const auto& entry) { return entry.second == inode; }));
  return FileUse{names, inode->live.size()};
}

Status SimDisk::unlink(const std::string& path) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(path, false));
  if (find(path) == nullptr) return errno_status(ENOENT, "cannot remove", path);
  has_changed_ = true;
  Directory& directory = directories_[directory_of(path)];
  const DirectoryChange change{Change::kUnlink, name_of(path), "", nullptr};
  apply(directory.live, change);
  directory.changes.push_back(change);
  return Status::ok();
}

Status SimDisk::remove_directory(const std::string& path) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(path, false));
  const auto directory = directories_.find(path);
  if (directory == directories_.end()) return errno_status(ENOENT, "cannot remove", path);
  if (!directory->second.live.empty()) return errno_status(ENOTEMPTY, "cannot remove", path);
  directories_.erase(directory);
  has_changed_ = true;
  return Status::ok();
}

// Directories themselves are made for good at once: a store makes each of them before anything depends on it.
Status SimDisk::make_directory(const std::string& path) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(path, true));
  if (directories_.contains(path)) return Status(Code::kExists, "something is there already").about(path);
  directories_[path];
  has_changed_ = true;
  return Status::ok();
}

Status SimDisk::sync_directory(const std::string& path) {
  const Inside inside(mutex_);
  const Status struck = strike(path, false);
  if (!struck.is_ok()) return struck;
  const auto directory = directories_.find(path);
  if (directory == directories_.end()) return Status::ok();
  has_changed_ |= !directory->second.changes.empty();
  directory->second.durable = directory->second.live;
  directory->second.changes.clear();
  return Status::ok();
}

Result<std::vector<DirectoryEntry>> SimDisk::list(const std::string& path) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(path, false));
  const auto directory = directories_.find(path);
  if (directory == directories_.end()) return errno_status(ENOENT, "cannot list", path);
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, inode] : directory->second.live) entries.push_back({name, false});
  const std::string prefix = path + "/";
  for (const auto& [name, child] : directories_)
    if (name.starts_with(prefix) && name.find('/', prefix.size()) == std::string::npos)
      entries.push_back({name.substr(prefix.size()), true});
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

Result<EntryKind> SimDisk::kind_of(const std::string& path) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(path, false));
  if (directories_.contains(path)) return EntryKind::kDirectory;
  return find(path) != nullptr ? EntryKind::kFile : EntryKind::kNone;
}

Result<std::uint64_t> SimDisk::free_bytes(const std::string& path) {
  const Inside inside(mutex_);
  VECSTORE_TRY(strike(path, false));
  const std::uint64_t used = used_bytes();
  return used < capacity_ ? capacity_ - used : 0;
}

}  // namespace vecstore::test
