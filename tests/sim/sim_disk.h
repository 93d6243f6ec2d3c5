// SPDX-License-Identifier: Apache-2.0
//
// A file system in memory whose machine can lose power. When it does, what was written and not synced is kept, dropped,
// torn at 512 bytes or replaced by garbage. So are directory entries that were not synced. Each call can be the one at
// which the power goes or which fails. Everything follows from one seed.
//
// After the power went every call fails until reboot(). Thread-safe by one lock; crashes are meant for one thread.
#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/random.h"

namespace vecstore::test {

enum class Fault : std::uint8_t {
  kIo,        // the call fails and does nothing, or half of it; what a failed sync should have synced is lost
  kNoSpace,   // a write, truncate, open or rename fails
  kShort,     // a write leaves half of itself and fails
  kLate,      // a write succeeds, and the next sync of its file fails and has lost what it should have synced
  kRot,       // a write succeeds, and one bit of it is another
  kPowerCut,  // the machine is gone
};

class SimDisk final : public FileSystem {
 public:
  static constexpr std::size_t kSectorBytes = 512;

  // The call of this number, counted from the last set_fault() on, fails; `sticky`: and all later ones.
  void set_fault(Fault fault, std::uint64_t call, bool sticky = false) {
    const Inside inside(mutex_);
    fault_ = fault;
    fault_at_ = call;
    sticky_ = sticky;
    calls_ = 0;
  }
  void clear_fault() { set_fault(Fault::kIo, ~std::uint64_t{0}); }
  std::uint64_t calls() const { return calls_; }
  bool has_struck() const { return calls_ > fault_at_; }
  bool is_off() const { return off_; }
  // What the program slept on this machine: nobody waits for it.
  std::chrono::nanoseconds slept() const { return clock_.now().time_since_epoch(); }
  void cut_power() { off_ = true; }

  // What is on the disk when the machine starts again.
  void reboot(Random& random);

  // The machine ran on, only the process was killed: everything that was written is there, synced or not.
  void restart();

  // From here on a copy of the disk goes into `states` before each call that finds it changed: what a power cut at that
  // call would meet. nullptr: no more copies.
  void keep_states(std::vector<std::unique_ptr<SimDisk>>* states) {
    const Inside inside(mutex_);
    states_ = states;
    has_changed_ = true;
  }

  // Two disks of the same content behave the same from here on.
  std::unique_ptr<SimDisk> clone() const;
  // Flips one bit of a file. False: there is no such file or byte.
  bool flip_bit(const std::string& path, std::uint64_t byte, unsigned bit);
  std::vector<std::string> files() const;
  std::uint64_t bytes_of(const std::string& path) const;
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }

  // Whether this thread is in one of the calls below: what they allocate is the machine's, not the program's.
  static bool is_inside();

  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status rename_to_new(const std::string& from, const std::string& to) override;
  Status link(const std::string& from, const std::string& to) override;
  Result<FileUse> use_of(const std::string& path) override;
  Status unlink(const std::string& path) override;
  Status remove_directory(const std::string& path) override;
  Status make_directory(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
  Result<EntryKind> kind_of(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
  Clock& clock() override { return clock_; }

 private:
  friend class SimFile;

  class Inside {
   public:
    explicit Inside(std::mutex& mutex);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    std::lock_guard<std::mutex> guard_;
  };
  struct Inode {
    std::vector<std::byte> live;
    std::vector<std::byte> durable;
    std::set<std::uint64_t> dirty;  // sectors that differ, or may
    bool size_dirty = false;
    bool fails_late = false;
    std::uint64_t locked_by = 0;  // a handle
  };
  // Time passes while the program sleeps, and at no other moment.
  class SimClock final : public Clock {
   public:
    TimePoint now() const override { return TimePoint(std::chrono::nanoseconds(passed_.load())); }
    void sleep_for(std::chrono::nanoseconds time) override { passed_ += time.count(); }

   private:
    std::atomic<std::int64_t> passed_ = 0;
  };
  enum class Change : std::uint8_t { kLink, kUnlink, kRename };
  struct DirectoryChange {
    Change change = Change::kLink;
    std::string name;
    std::string from;  // old name of a rename, in the same directory
    std::shared_ptr<Inode> inode;
  };
  struct Directory {
    std::map<std::string, std::shared_ptr<Inode>> live;
    std::map<std::string, std::shared_ptr<Inode>> durable;
    std::vector<DirectoryChange> changes;  // since the last sync
  };

  std::unique_ptr<SimDisk> copy() const;  // with the lock
  static std::string directory_of(const std::string& path);
  static std::string name_of(const std::string& path);
  bool strikes_next() const { return sticky_ ? calls_ >= fault_at_ : calls_ == fault_at_; }
  Status strike(const std::string& path, bool writes);
  std::shared_ptr<Inode> find(const std::string& path) const;
  Status move(const std::string& from, const std::string& to);
  static void apply(std::map<std::string, std::shared_ptr<Inode>>& entries, const DirectoryChange& change);
  static void settle(Inode& inode, Random& random);
  std::uint64_t used_bytes() const;

  mutable std::mutex mutex_;
  std::map<std::string, Directory> directories_;
  std::uint64_t capacity_ = std::uint64_t{1} << 40;
  Fault fault_ = Fault::kIo;
  std::uint64_t fault_at_ = ~std::uint64_t{0};
  bool sticky_ = false;
  std::uint64_t calls_ = 0;
  bool off_ = false;
  std::uint64_t handles_ = 0;
  std::vector<std::unique_ptr<SimDisk>>* states_ = nullptr;
  bool has_changed_ = false;  // since a copy went there
  SimClock clock_;
};

}  // namespace vecstore::test
