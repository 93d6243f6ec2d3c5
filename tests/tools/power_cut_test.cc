// SPDX-License-Identifier: Apache-2.0
//
// The promise when the machine goes down, on a real file system: an ext4 of its own on a loop device is shut down while
// the program writes to a store there, and mounted again. What the kernel had not been told to sync is lost with it.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/tools/inserting.h"

namespace vecstore {
namespace {

using namespace test;

// <linux/fs.h> has no name for it in the headers of older systems.
constexpr unsigned long kShutdown = _IOR('X', 125, std::uint32_t);  // EXT4_IOC_SHUTDOWN
constexpr std::uint32_t kWithoutFlush = 2;                          // not even the journal's buffers reach the disk

int shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); }

// A file system that loses power. Nothing is mounted where this machine does not allow it.
class Machine {
 public:
  explicit Machine(const TemporaryDirectory& directory)
      : image_(directory.path("disk")), mount_(directory.path("mounted")) {
    write_file(image_, {});
    std::filesystem::resize_file(image_, 256u << 20);
    std::filesystem::create_directory(mount_);
    if (::geteuid() == 0 && shell("mkfs.ext4 -q -F " + image_) == 0) mount();
  }
  ~Machine() {
    if (runs_) shell("umount " + mount_);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  bool runs() const { return runs_; }
  std::string path(const std::string& name) const { return mount_ + "/" + name; }

  // False: this file system cannot be shut down.
  bool lose_power() const {
    const int descriptor = ::open(mount_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    std::uint32_t how = kWithoutFlush;
    const bool down = ::ioctl(descriptor, kShutdown, &how) == 0;
    ::close(descriptor);
    return down;
  }
  void restart() {
    BOOST_REQUIRE(shell("umount " + mount_) == 0);
    runs_ = false;
    mount();
    BOOST_REQUIRE(runs_);
  }

 private:
  void mount() { runs_ = shell("mount -o loop " + image_ + " " + mount_) == 0; }

  std::string image_;
  std::string mount_;
  bool runs_ = false;
};

// The program, inserting from the row `first` on, its acknowledgements in the file `out`.
pid_t start_inserting(const std::string& store, std::uint64_t first, const std::string& out, const char* sync) {
  write_file(out, {});
  const pid_t child = ::fork();
  if (child != 0) return child;
  const std::string input = shipped_data("csift55k.base.u8bin");
  const std::string from = std::to_string(first);
  if (std::freopen(out.c_str(), "w", stdout) == nullptr || std::freopen("/dev/null", "w", stderr) == nullptr)
    ::_exit(1);
  ::execl(VECSTORE_CLI, VECSTORE_CLI, "insert", store.c_str(), "--input", input.c_str(), "--skip", from.c_str(),
          "--first-key", from.c_str(), "--batch", "7", "--sync", sync, "--sync-interval", "3", "--ack",
          static_cast<char*>(nullptr));
  ::_exit(127);
}

BOOST_AUTO_TEST_SUITE(power_cut)

BOOST_AUTO_TEST_CASE(what_was_acknowledged_survives_on_a_real_file_system) {
  constexpr int kCycles = 24;
  const TemporaryDirectory directory;
  Machine machine(directory);
  if (!machine.runs()) {
    BOOST_TEST_MESSAGE("skipped: no file system can be mounted here (root, loop devices and mkfs.ext4 are needed)");
    return;
  }
  const std::string path = machine.path("s");
  REQUIRE_OK(Store::create(path, {.dtype = DType::kU8}));
  const auto base = open_vector_file(shipped_data("csift55k.base.u8bin"));
  REQUIRE_OK(base);
  Random random(23);
  std::uint64_t least = 0;  // rows that must be there
  std::uint64_t promised = 0;
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    const bool always = cycle % 3 != 0;
    const std::string out = directory.path("out" + std::to_string(cycle));
    const pid_t child = start_inserting(path, least, out, always ? "always" : "interval");
    BOOST_REQUIRE(child > 0);
    std::this_thread::sleep_for(std::chrono::microseconds(5000 + random.below(60000)));
    const bool down = machine.lose_power();
    ::kill(child, SIGKILL);
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    if (!down) {
      BOOST_TEST_MESSAGE("skipped: the file system here cannot be shut down");
      return;
    }
    machine.restart();
    const std::uint64_t acknowledged = acknowledged_in(out);
    promised += acknowledged;
    least += acknowledged;
    const auto store = Store::open(path);
    BOOST_REQUIRE_MESSAGE(store.has_value(), "cycle " << cycle << ": " << message_of(store));
    const std::uint64_t there = store->size();
    BOOST_REQUIRE_MESSAGE(there >= least, "cycle " << cycle << ": " << there << " rows, acknowledged " << least);
    BOOST_REQUIRE((there - (least - acknowledged)) % 7 == 0);  // whole batches
    check_some_rows(*store, **base, random);
    least = there;
  }
  BOOST_TEST_MESSAGE(kCycles << " power cuts, " << promised << " rows acknowledged");
  BOOST_TEST(promised > 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
