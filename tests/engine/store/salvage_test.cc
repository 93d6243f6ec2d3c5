// SPDX-License-Identifier: Apache-2.0
//
// What is salvaged appears whole or not at all, and in no larger a log than it was put with.
#include <filesystem>

#include "engine/store/environment.h"
#include "tests/engine/stores.h"
#include "tests/pagestore/faulty_io.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kRows = 3000;

// A store of rows that were put in batches, each of which lies in few blocks of the log.
void write_store(const std::string& path, std::uint64_t rows) {
  const Matrix base = csift(rows);
  REQUIRE_OK(Store::create(path, {.dtype = DType::kU8}));
  auto store = Store::open(path, {.access = Access::kReadWrite, .sync = SyncMode::kNone});
  REQUIRE_OK(store);
  for (std::uint64_t first = 0; first < rows; first += 500) {
    std::vector<Key> keys;
    for (std::uint64_t row = first; row < first + 500; ++row) keys.emplace_back(row);
    const VectorView some{base.bytes.data() + first * base.dim, base.dtype, 500, base.dim};
    REQUIRE_OK(store->put_batch(keys, some));
  }
  REQUIRE_OK(store->erase(17));
  REQUIRE_OK(store->close());
}

BOOST_AUTO_TEST_SUITE(salvage)

BOOST_AUTO_TEST_CASE(rows_share_groups_of_the_log_again) {
  const TemporaryDirectory directory;
  write_store(directory.path("s"), kRows);
  const auto report = Store::salvage(directory.path("s"), directory.path("saved"));
  REQUIRE_OK(report);
  BOOST_TEST(report->records == kRows + 1);
  const auto before = Store::open(directory.path("s"));
  const auto saved = Store::open(directory.path("saved"));
  REQUIRE_OK(before);
  REQUIRE_OK(saved);
  BOOST_TEST(saved->size() == kRows - 1);
  BOOST_TEST(!saved->contains(17).value());
  BOOST_TEST(saved->stats().wal_bytes <= before->stats().wal_bytes);
  for (const std::uint64_t key : {0u, 499u, 500u, 2999u})
    BOOST_TEST((saved->get(key)->vector == before->get(key)->vector));
}

BOOST_AUTO_TEST_CASE(one_that_fails_leaves_nothing_and_an_empty_directory_is_taken) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("s");
  write_store(path, 500);
  const TemporaryDirectory target;
  const std::string to = target.path("saved");
  for (std::uint64_t call = 0;; ++call) {
    Faults faults{.first = call, .for_good = false};
    FaultyFileSystem files(faults);
    StoreEnvironment environment;
    environment.file_system = &files;
    environment.log_background = false;
    const auto report = StoreFactory::salvage(path, to, environment, nullptr);
    if (faults.calls <= call) {
      REQUIRE_OK(report);
      BOOST_TEST(report->rows == 499u);
      BOOST_TEST(call > 30u);
      break;
    }
    if (!report) BOOST_TEST(message_of(report).find(".partial-") == std::string::npos, message_of(report));
    // Some calls may fail, and an error after the renaming is told of a store that is there, and whole.
    BOOST_REQUIRE(!report || std::filesystem::exists(to));
    const bool is_there = std::filesystem::exists(to);
    BOOST_REQUIRE_MESSAGE(is_there || std::filesystem::is_empty(target.path("")), "call " << call);
    if (!is_there) continue;
    const auto store = Store::open(to);
    REQUIRE_OK(store);
    BOOST_TEST(store->size() == 499u);
    std::filesystem::remove_all(to);
  }
  BOOST_CHECK(code_of(Store::salvage(path, to)) == Code::kExists);
  std::filesystem::remove_all(to);
  std::filesystem::create_directory(to);
  REQUIRE_OK(Store::salvage(path, to + "/"));
  REQUIRE_OK(Store::open(to));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
