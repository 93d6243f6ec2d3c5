// SPDX-License-Identifier: Apache-2.0
//
// On a disk in memory, whose clock tells what was slept and moves for nothing else.
#include "engine/merge/slow_files.h"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/sim/sim_disk.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using test::SimDisk;

constexpr std::uint64_t kRate = 1000;  // bytes a second

struct Slow {
  explicit Slow(std::uint64_t rate = kRate) : files(disk, rate, nullptr) { REQUIRE_OK(disk.make_directory("d")); }
  std::unique_ptr<File> make(const std::string& path) {
    auto file = files.open(path, {OpenMode::kCreateNew, false});
    REQUIRE_OK(file);
    return std::move(*file);
  }

  SimDisk disk;
  SlowFiles files;
};

std::vector<std::byte> bytes_of(std::size_t count, unsigned value = 7) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

BOOST_AUTO_TEST_SUITE(slow_files)

BOOST_AUTO_TEST_CASE(what_was_written_waits_for_its_time_before_more_is) {
  Slow slow;
  const auto file = slow.make("d/f");
  REQUIRE_OK(file->write_at(bytes_of(500), 0));
  BOOST_CHECK(slow.disk.slept() == seconds(0));  // nothing was written before it
  REQUIRE_OK(file->write_at(bytes_of(2000), 500));
  BOOST_CHECK(slow.disk.slept() == milliseconds(500));
  REQUIRE_OK(file->write_at(bytes_of(1), 2500));
  BOOST_CHECK(slow.disk.slept() == milliseconds(2500));
}

BOOST_AUTO_TEST_CASE(many_bytes_take_as_long_as_the_rate_says) {
  for (const std::uint64_t rate : {3u, 1000u, 40'000'000u}) {
    Slow slow(rate);
    Random random(rate);
    const auto file = slow.make("d/f");
    std::uint64_t written = 0;
    std::uint64_t last = 0;
    for (int i = 0; i < 300; ++i) {
      last = random.below(5000);
      REQUIRE_OK(file->write_at(bytes_of(last), written));
      written += last;
    }
    const double expected = static_cast<double>(written - last) / static_cast<double>(rate);
    const double slept = std::chrono::duration<double>(slow.disk.slept()).count();
    BOOST_TEST(slept <= expected);
    BOOST_TEST(slept >= expected - 300 * 1e-9);  // each write is rounded down to a nanosecond
  }
}

BOOST_AUTO_TEST_CASE(a_pause_of_who_writes_is_not_waited_for_again) {
  Slow slow;
  const auto file = slow.make("d/f");
  REQUIRE_OK(file->write_at(bytes_of(1000), 0));
  slow.disk.clock().sleep_for(seconds(60));
  REQUIRE_OK(file->write_at(bytes_of(1000), 1000));
  BOOST_CHECK(slow.disk.slept() == seconds(60));
  REQUIRE_OK(file->write_at(bytes_of(1000), 2000));  // nor is it saved up
  BOOST_CHECK(slow.disk.slept() == seconds(61));
}

BOOST_AUTO_TEST_CASE(all_files_share_the_rate) {
  Slow slow;
  const auto one = slow.make("d/one");
  const auto two = slow.make("d/two");
  REQUIRE_OK(one->write_at(bytes_of(1000), 0));
  REQUIRE_OK(two->write_at(bytes_of(1000), 0));
  REQUIRE_OK(one->write_at(bytes_of(1000), 1000));
  BOOST_CHECK(slow.disk.slept() == seconds(2));
}

BOOST_AUTO_TEST_CASE(threads_share_the_rate) {
  constexpr int kThreads = 4;
  constexpr int kWrites = 50;
  Slow slow;
  std::vector<std::unique_ptr<File>> files;
  files.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) files.push_back(slow.make("d/f" + std::to_string(i)));
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&failed, &file = *files[static_cast<std::size_t>(i)]] {
        for (std::uint64_t write = 0; write < kWrites; ++write)
          if (!file.write_at(bytes_of(100), write * 100).is_ok()) ++failed;
      });
  }
  BOOST_TEST(failed == 0);
  // Sleeps add up on this clock, so that more may be slept, but no less.
  BOOST_CHECK(slow.disk.slept() >= milliseconds((kThreads * kWrites - 1) * 100));
}

BOOST_AUTO_TEST_CASE(everything_but_writing_goes_through_at_once) {
  Slow slow;
  const std::vector<std::byte> bytes = bytes_of(700, 9);
  {
    const auto file = slow.make("d/f");
    REQUIRE_OK(file->write_at(bytes, 0));
    REQUIRE_OK(file->sync());
    REQUIRE_OK(file->truncate(600));
    BOOST_TEST(file->size().value() == 600u);
    std::vector<std::byte> read(700);
    BOOST_TEST(file->read_at(read, 0).value() == 600u);
    BOOST_CHECK(std::equal(read.begin(), read.begin() + 600, bytes.begin()));
    BOOST_TEST(file->try_lock().value());
    BOOST_TEST(file->direct() == slow.disk.open("d/f", {OpenMode::kRead, false}).value()->direct());
  }
  REQUIRE_OK(slow.files.sync_directory("d"));
  REQUIRE_OK(slow.files.make_directory("d/e"));
  BOOST_CHECK(slow.files.kind_of("d/e").value() == EntryKind::kDirectory);
  REQUIRE_OK(slow.files.remove_directory("d/e"));
  REQUIRE_OK(slow.files.rename("d/f", "d/g"));
  REQUIRE_OK(slow.files.rename_to_new("d/g", "d/h"));
  BOOST_TEST(slow.files.list("d").value().size() == 1u);
  BOOST_TEST(slow.files.free_bytes("d").value() == slow.disk.free_bytes("d").value());
  const auto file = slow.files.open("d/h", {OpenMode::kRead, false});
  REQUIRE_OK(file);
  BOOST_TEST((*file)->size().value() == 600u);
  REQUIRE_OK(slow.files.unlink("d/h"));
  BOOST_TEST(slow.files.list("d").value().empty());
  BOOST_TEST(&slow.files.clock() == &slow.disk.clock());
  BOOST_CHECK(slow.disk.slept() == seconds(0));
}

BOOST_AUTO_TEST_CASE(errors_of_the_files_come_back) {
  Slow slow;
  BOOST_TEST((test::code_of(slow.files.open("d/none", {OpenMode::kRead, false})) == Code::kNotFound));
  BOOST_TEST((test::code_of(slow.files.open("d/none", {OpenMode::kReadWrite, false})) == Code::kNotFound));
  const auto file = slow.make("d/f");
  slow.disk.set_fault(test::Fault::kNoSpace, 0);
  BOOST_TEST((file->write_at(bytes_of(1), 0).code() == Code::kNoSpace));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
