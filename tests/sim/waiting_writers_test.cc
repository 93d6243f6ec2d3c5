// SPDX-License-Identifier: Apache-2.0
//
// What writers are told while another's sync is under way, which then fails.
#include <atomic>
#include <chrono>
#include <thread>

#include "base/forwarding_files.h"
#include "tests/sim/store_model.h"

namespace vecstore {
namespace {

using namespace test;

// Syncs of files wait at it while it is closed. Those that waited fail.
class Gate {
 public:
  Status pass(File& file) {
    if (!closed_) return file.sync();
    ++waiting_;
    while (closed_) std::this_thread::yield();
    return errno_status(EIO, "injected", "the gate");
  }
  void close() { closed_ = true; }
  void open() { closed_ = false; }
  int waiting() const { return waiting_; }

 private:
  std::atomic<bool> closed_{false};
  std::atomic<int> waiting_{0};
};

class GatedFile final : public File {
 public:
  GatedFile(std::unique_ptr<File> file, Gate& gate) : file_(std::move(file)), gate_(gate) {}
  Result<std::size_t> read_at(std::span<std::byte> into, std::uint64_t offset) const override {
    return file_->read_at(into, offset);
  }
  Status write_at(std::span<const std::byte> bytes, std::uint64_t offset) override {
    return file_->write_at(bytes, offset);
  }
  Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  Status sync() override { return gate_.pass(*file_); }
  Result<std::uint64_t> size() const override { return file_->size(); }
  Result<bool> try_lock() override { return file_->try_lock(); }
  int descriptor() const override { return -1; }
  bool direct() const override { return file_->direct(); }

 private:
  std::unique_ptr<File> file_;
  Gate& gate_;
};

class GatedDisk final : public ForwardingFiles {
 public:
  explicit GatedDisk(SimDisk& disk) : ForwardingFiles(disk) {}
  Gate& gate() { return gate_; }
  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override {
    VECSTORE_ASSIGN(auto file, ForwardingFiles::open(path, options));
    return std::unique_ptr<File>(std::make_unique<GatedFile>(std::move(file), gate_));
  }

 private:
  Gate gate_;
};

struct Waiting {
  Waiting() {
    StoreEnvironment environment = environment_on(simulated, 7);
    environment.file_system = &disk;
    OpenOptions options;
    options.access = Access::kReadWrite;
    options.delta_bytes = 8u << 20;
    options.log_bytes = 4u << 20;
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment));
    auto opened = StoreFactory::open(kSimPath, options, environment);
    REQUIRE_OK(opened);
    store.emplace(std::move(*opened));
    REQUIRE_OK(write_to(*store, {{1}, {{std::vector<std::uint8_t>(kSimDim, 9), "one"}}}));
  }
  // What `second` is told while the sync of `first` is under way, of which it must not hear before it has failed.
  Code told(const ModelWrite& first, const ModelWrite& second) {
    disk.gate().close();
    std::thread writer([&] { static_cast<void>(write_to(*store, first)); });
    while (disk.gate().waiting() == 0) std::this_thread::yield();
    std::atomic<bool> returned = false;
    Code code = Code::kOk;
    std::thread other([&] {
      code = code_of(write_to(*store, second));
      returned = true;
    });
    // One that does not wait has returned by then.
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    while (!returned && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    BOOST_TEST(!returned);
    seen = store->find(1).has_value();
    disk.gate().open();
    writer.join();
    other.join();
    return code;
  }

  SimDisk simulated;
  GatedDisk disk{simulated};
  std::optional<Store> store;
  bool seen = false;  // the row of key 1, while the sync was under way
};

BOOST_AUTO_TEST_SUITE(waiting_writers)

BOOST_FIXTURE_TEST_CASE(erasing_what_is_erased_already_waits_for_that_to_be_safe, Waiting) {
  BOOST_TEST((told({{1}, {}}, {{1}, {}}) == Code::kIo));
  BOOST_TEST(seen);  // an erasure that is not safe has no effect yet
}

BOOST_FIXTURE_TEST_CASE(a_second_put_of_a_key_waits_for_a_sync_of_its_own, Waiting) {
  const ModelItem item{std::vector<std::uint8_t>(kSimDim, 3), "two"};
  BOOST_TEST((told({{1}, {item}}, {{1}, {item}}) == Code::kIo));
  BOOST_TEST(seen);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
