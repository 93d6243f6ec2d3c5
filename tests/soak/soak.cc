// SPDX-License-Identifier: Apache-2.0
//
// A week in an hour: one process writes, searches, snapshots and copies within a memory limit of the system, another
// reads behind it, and both are killed and started again; now and then the disk is full. Every answer is checked
// against an oracle that outlives them, and nothing may grow but what should.
//
//   vecstore_soak --base FILE.u8bin [--seconds 3600] [--ram 64MiB] [--work DIR] [--seed N]
//
// Exit codes: 0 it held, 1 a fault was found, 2 it could not be run.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/soak/lives.h"

namespace vecstore::soak {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kBeyondBudget = 16u << 20;  // of the process, beside what its store may take
constexpr double kGrowthMost = 1.25;                // of the second half of the lives against the first
constexpr std::uint64_t kLivesToCompare = 8;
constexpr double kMissedMost = .001, kMissedFew = 3;  // of searches for a row by its own vector
constexpr std::uint64_t kDiskBytes = 768u << 20;
constexpr int kFullDiskEach = 5;                    // lives
constexpr double kLifeLeast = 3, kLifeVaries = 17;  // seconds

struct Settings {
  std::string base;
  std::string work = "/tmp/vecstore-soak";
  double seconds = 3600;
  std::uint64_t ram_bytes = 64u << 20;
  std::uint64_t seed = 1;
};

int shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); }

// A file system of its own, which may be filled; none where this machine does not let one be mounted.
class Disk {
 public:
  explicit Disk(const std::string& work) : image_(work + "/disk"), path_(work + "/mounted") {
    fs::create_directories(path_);
    std::ofstream(image_).put(0);
    fs::resize_file(image_, kDiskBytes);
    is_mounted_ = ::geteuid() == 0 && shell("mkfs.ext4 -q -F " + image_) == 0 &&
                  shell("mount -o loop " + image_ + " " + path_) == 0;
    if (!is_mounted_) fmt::print("skipped: a full disk (root, loop devices and mkfs.ext4 are needed)\n");
  }
  ~Disk() {
    // Rings of processes that have ended may hold its files for a moment.
    for (int left = 50; is_mounted_ && shell("umount " + path_) != 0 && left != 0; --left)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::error_code ignored;
    fs::remove(image_, ignored);
  }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  const std::string& path() const { return path_; }
  bool can_be_full() const { return is_mounted_; }
  // What is free goes to a file, but for so much.
  void fill(std::uint64_t but) const {
    const std::uint64_t free = fs::space(path_).available;
    const int file = ::open(filler().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0) return;
    if (free > but) static_cast<void>(::posix_fallocate(file, 0, static_cast<off_t>(free - but)));
    ::close(file);
  }
  void empty() const { ::unlink(filler().c_str()); }

 private:
  std::string filler() const { return path_ + "/filler"; }
  std::string image_, path_;
  bool is_mounted_ = false;
};

// A limit of the system for the processes that join it, of version 2 or 1; none where this machine does not let one be
// made.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::uint64_t bytes) {
    for (const auto& [root, limit, peak] : kVersions) {
      const std::string path = root + std::string("/vecstore-soak-") + std::to_string(::getpid());
      if (::mkdir(path.c_str(), 0755) != 0) continue;
      path_ = path;
      peak_ = peak;
      // A directory that is no cgroup has no such files.
      if (fs::exists(path_ + "/" + limit) && write(limit, std::to_string(bytes))) return;
      leave();
    }
    fmt::print("skipped: a limit of the system on memory (a cgroup that may be written to is needed)\n");
  }
  ~MemoryLimit() { leave(); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

  void join() const {
    if (!path_.empty() && !write("cgroup.procs", std::to_string(::getpid()))) ::_exit(3);
  }
  std::uint64_t most_used() const {
    std::uint64_t bytes = 0;
    if (!path_.empty()) std::ifstream(path_ + "/" + peak_) >> bytes;
    return bytes;
  }

 private:
  struct Version {
    const char *root, *limit, *peak;
  };
  static constexpr Version kVersions[] = {
      {"/sys/fs/cgroup", "memory.max", "memory.peak"},
      {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"}};
  bool write(const char* file, const std::string& text) const {
    std::ofstream out(path_ + "/" + file);
    out << text;
    out.close();
    return !out.fail();
  }
  void leave() {
    if (!path_.empty()) ::rmdir(path_.c_str());
    path_.clear();
  }
  std::string path_, peak_;
};

// What may grow, at one moment.
struct Grown {
  std::uint64_t directory = 0;  // bytes of files, each once whatever names it has
  std::uint64_t memory = 0;     // the greatest of the process so far
  std::uint64_t descriptors = 0;
  std::uint64_t threads = 0;

  void take_greater(const Grown& other) {
    directory = std::max(directory, other.directory);
    memory = std::max(memory, other.memory);
    descriptors = std::max(descriptors, other.descriptors);
    threads = std::max(threads, other.threads);
  }
};

std::uint64_t status_of(pid_t process, const std::string& field) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoull(line.substr(field.size()));
  return 0;
}

Grown look_at(pid_t writer, const std::string& store) {
  Grown now;
  std::error_code gone;
  std::set<ino_t> seen;
  for (auto at = fs::recursive_directory_iterator(store, gone); !gone && at != fs::recursive_directory_iterator();
       at.increment(gone)) {
    struct stat file{};
    if (::stat(at->path().c_str(), &file) == 0 && S_ISREG(file.st_mode) && seen.insert(file.st_ino).second)
      now.directory += static_cast<std::uint64_t>(file.st_size);
  }
  now.memory = status_of(writer, "VmHWM:") * 1024;
  now.threads = status_of(writer, "Threads:");
  for (auto at = fs::directory_iterator(fmt::format("/proc/{}/fd", writer), gone);
       !gone && at != fs::directory_iterator(); at.increment(gone))
    ++now.descriptors;
  return now;
}

class Soak {
 public:
  Soak(const Settings& settings, const VectorView& base)
      : settings_(settings), disk_(settings.work), limit_(settings.ram_bytes + kBeyondBudget), random_(settings.seed) {
    place_ = {disk_.path() + "/store", disk_.path() + "/copies", settings.ram_bytes, base};
    fs::remove_all(place_.store);
    fs::remove_all(place_.copies);
    fs::create_directories(place_.copies);
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    shared_ = new (memory) Shared;
  }

  bool run() {
    const Status made = Store::create(place_.store, {place_.base.dim, DType::kU8, Metric::kL2, KeyKind::kNumber});
    if (!made.is_ok()) {
      note_fault(*shared_, made.message());
      return false;
    }
    const auto end = Clock::now() + std::chrono::duration<double>(settings_.seconds);
    pid_t reader = 0;
    for (int life = 0; Clock::now() < end && shared_->faults == 0; ++life) {
      const pid_t writer = begin(live_as_writer, true);
      if (reader == 0) reader = begin(live_as_reader, false);
      const bool is_full = disk_.can_be_full() && life % kFullDiskEach == kFullDiskEach - 1;
      pass(writer, kLifeLeast + kLifeVaries * random_.unit(), is_full);
      const bool closes = random_.below(4) == 0;
      end_writer(writer, closes);
      // One that reads lives through several writers.
      if (random_.below(3) == 0) {
        end_reader(reader, random_.below(2) == 0);
        reader = 0;
      }
      print(life);
    }
    if (reader != 0) end_reader(reader, false);
    return shared_->faults == 0 && judge() && last_look();
  }
  const Shared& shared() const { return *shared_; }

 private:
  pid_t begin(int (*live)(Shared&, const Place&, std::uint64_t), bool is_limited) {
    const std::uint64_t seed = random_.next();
    const pid_t child = ::fork();
    if (child != 0) return child;
    if (is_limited) limit_.join();
    ::_exit(live(*shared_, place_, seed));
  }

  // Looks at the writer until its time is over, or it has ended by itself. The disk may be full for half of that.
  void pass(pid_t writer, double seconds, bool is_full) {
    const auto began = Clock::now();
    const std::chrono::duration<double> time(seconds);
    bool filled = false;
    while (Clock::now() - began < time && shared_->faults == 0) {
      if (is_full && !filled && Clock::now() - began > time / 4) {
        disk_.fill(random_.below(4u << 20));
        filled = true;
      }
      if (filled && Clock::now() - began > 3 * time / 4) disk_.empty();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (shared_->lives > 0) last_.take_greater(look_at(writer, place_.store));
      siginfo_t ended{};
      if (::waitid(P_PID, static_cast<id_t>(writer), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0)
        break;
    }
    disk_.empty();
    lives_.push_back(std::exchange(last_, {}));
  }

  void end_writer(pid_t writer, bool closes) {
    if (closes) {
      shared_->stops = true;
    } else {
      ::kill(writer, SIGKILL);
    }
    int status = 0;
    ::waitpid(writer, &status, 0);
    shared_->stops = false;
    const bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !closes;
    const bool has_ended = WIFEXITED(status) && WEXITSTATUS(status) != 1 && WEXITSTATUS(status) != 3;
    if (!is_killed && !has_ended)
      note_fault(*shared_, fmt::format("the writer ended by itself: {} {}", WIFSIGNALED(status) ? "signal" : "exit",
                                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
  }

  void end_reader(pid_t reader, bool is_killed) {
    if (is_killed) {
      ::kill(reader, SIGKILL);
    } else {
      shared_->reader_stops = true;
    }
    int status = 0;
    ::waitpid(reader, &status, 0);
    shared_->reader_stops = false;
    if (!(is_killed && WIFSIGNALED(status)) && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
      note_fault(*shared_, "the reader ended by itself");
  }

  void print(int life) const {
    const Shared& s = *shared_;
    const Grown& now = lives_.back();
    fmt::print(
        "life {}: {} rows; {} batches, {} put, {} erased, {} refused ({} by the disk), {} merges; {} searches, {} "
        "hits, {} gets; {} snapshots, {} copies; directory {:.1f} MB, memory {:.1f} MB, {} descriptors, {} threads\n",
        life, s.oracle.live(), s.batches.load(), s.rows_put.load(), s.rows_erased.load(), s.refused.load(),
        s.refused_for_disk.load(), s.merges.load(), s.searches.load(), s.hits.load(), s.gets.load(), s.snapshots.load(),
        s.copies.load(), static_cast<double>(now.directory) / 1e6, static_cast<double>(now.memory) / 1e6,
        now.descriptors, now.threads);
  }

  // The greatest of each half of the lives behind the first third.
  bool judge() {
    const std::uint64_t most = limit_.most_used();
    fmt::print("the group's greatest use of memory: {:.1f} MB of {:.1f}\n", static_cast<double>(most) / 1e6,
               static_cast<double>(settings_.ram_bytes + kBeyondBudget) / 1e6);
    const Shared& s = *shared_;
    fmt::print("{} of {} rows not found by their own vector; {} answers about keys that changed too often\n",
               s.self_missed.load(), s.self_asked.load(), s.forgotten.load());
    if (static_cast<double>(s.self_missed) > kMissedFew + kMissedMost * static_cast<double>(s.self_asked))
      note_fault(*shared_, "too many rows are not found by their own vector");
    if (lives_.size() < kLivesToCompare) return s.faults == 0;
    Grown halves[2];
    const std::size_t filled = lives_.size() / 3;  // the first ones fill the store
    for (std::size_t life = filled; life < lives_.size(); ++life)
      halves[life < (filled + lives_.size()) / 2 ? 0 : 1].take_greater(lives_[life]);
    const auto compare = [&](const char* what, std::uint64_t first, std::uint64_t second) {
      fmt::print("{}: {} in the first half, {} in the second\n", what, first, second);
      if (static_cast<double>(second) > kGrowthMost * static_cast<double>(first) + 2)
        note_fault(*shared_, fmt::format("{} grew from {} to {}", what, first, second));
    };
    compare("bytes of the directory", halves[0].directory, halves[1].directory);
    compare("bytes of memory", halves[0].memory, halves[1].memory);
    compare("descriptors", halves[0].descriptors, halves[1].descriptors);
    compare("threads", halves[0].threads, halves[1].threads);
    return shared_->faults == 0;
  }

  // Nobody writes any more: the store is sound, and compact.
  bool last_look() {
    const pid_t child = ::fork();
    if (child == 0) {
      limit_.join();
      ::_exit(close_down() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) note_fault(*shared_, "the last look ended by itself");
    return shared_->faults == 0;
  }
  bool close_down() {
    auto store = Store::open(place_.store, writer_options(place_));
    if (!store) return say("open", store.error());
    const auto merged = store->compact();
    if (!merged) return say("compact", merged.error());
    const auto sound = store->verify({.deep = true});
    if (!sound) return say("verify", sound.error());
    if (sound->damage_total != 0) return say("verify", sound->damage[0]);
    fmt::print("in the end: {} rows, {} pages sound\n", store->size(), sound->pages_checked);
    return true;
  }
  bool say(const char* what, const Status& status) {
    note_fault(*shared_, fmt::format("{}: {}", what, status.message()));
    return false;
  }

  const Settings settings_;
  Disk disk_;
  MemoryLimit limit_;
  Random random_;
  Place place_;
  Shared* shared_ = nullptr;
  Grown last_;
  std::vector<Grown> lives_;
};

int run(const Settings& settings) {
  const auto source = open_vector_file(settings.base);
  if (!source || (*source)->dtype() != DType::kU8) {
    fmt::print(stderr, "vecstore_soak: {}: a u8bin or bvecs file is needed\n", settings.base);
    return 2;
  }
  std::vector<std::byte> bytes((*source)->rows() * (*source)->dim());
  if (!(*source)->read(0, (*source)->rows(), bytes.data()).is_ok()) return 2;
  fs::create_directories(settings.work);
  Soak soak(settings, {bytes.data(), DType::kU8, (*source)->rows(), (*source)->dim()});
  const bool held = soak.run();
  const Shared& s = soak.shared();
  fmt::print(
      "{} lives, {} merges ({} put off or failed), {} searches and {} hits, {} gets, {} refreshes, {} snapshots, {} "
      "copies; of batches that a kill broke off {} came through and {} did not\n",
      s.lives.load(), s.merges.load(), s.merge_failures.load(), s.searches.load(), s.hits.load(), s.gets.load(),
      s.refreshes.load(), s.snapshots.load(), s.copies.load(), s.pending_kept.load(), s.pending_lost.load());
  fmt::print("{}\n", held ? "it held" : fmt::format("FAULT: {}", s.fault.data()));
  return held ? 0 : 1;
}

}  // namespace
}  // namespace vecstore::soak

int main(int count, char** arguments) try {
  vecstore::soak::Settings settings;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  CLI::App app("Writes, searches, kills and fills a store for long, and checks every answer.", "vecstore_soak");
  app.add_option("--base", settings.base, "u8 vectors that are put")->required();
  app.add_option("--seconds", settings.seconds, "how long [3600]");
  app.add_option("--ram", settings.ram_bytes, "bound of the writer's memory [64MiB]")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--work", settings.work, "where the store is made [/tmp/vecstore-soak]");
  app.add_option("--seed", settings.seed, "[1]");
  CLI11_PARSE(app, count, arguments);
  return vecstore::soak::run(settings);
} catch (const std::exception& failure) {
  fmt::print(stderr, "vecstore_soak: {}\n", failure.what());
  return 2;
}
