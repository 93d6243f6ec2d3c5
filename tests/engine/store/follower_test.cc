// SPDX-License-Identifier: Apache-2.0
#include "engine/store/follower.h"

#include "tests/engine/live/records.h"
#include "tests/test_util.h"
#include "wal/log.h"

using namespace vecstore;

namespace {

constexpr Uuid kStore{4, 2};

// What replaying these records says.
Status replayed(const std::vector<test::OwnedRecord>& records, const std::string& directory) {
  MemoryBudget budget;
  LogOptions options;
  options.store = kStore;
  options.background = false;
  const auto log = Log::open(FileSystem::posix(), directory, {}, options, budget);
  REQUIRE_OK(log);
  for (const test::OwnedRecord& record : records) {
    const LogRecord one = record.record();
    const auto lsn = (*log)->enqueue({&one, 1});
    REQUIRE_OK(lsn);
    REQUIRE_OK((*log)->commit(*lsn));
  }
  REQUIRE_OK((*log)->close());
  LiveState live({{4, DType::kU8, Metric::kL2, KeyKind::kNumber}, 100, 100, Lsn{0}}, budget);
  Follower follower(FileSystem::posix(), directory, kStore, Lsn{0}, live, budget);
  const auto outcome = follower.replay(nullptr);
  return outcome ? Status::ok() : outcome.error();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(follower)

// Its number was once told as that of a row.
BOOST_AUTO_TEST_CASE(a_record_that_is_refused_is_named_by_its_number_and_its_log) {
  test::OwnedRecord newer = test::erase_record({3});
  newer.type = 77;
  const std::vector<std::pair<test::OwnedRecord, Code>> wrong = {
      {test::erase_record({500}), Code::kCorrupt},       // there is no such row
      {test::put_record({7}, 1, 1, 4), Code::kCorrupt},  // not the next row
      {newer, Code::kNewerFormat}};
  for (const auto& [record, code] : wrong) {
    const test::TemporaryDirectory directory;
    REQUIRE_OK(replayed({test::erase_record({1}), test::erase_record({2})}, directory.path()));
    const test::TemporaryDirectory other;
    const Status refused = replayed({test::erase_record({1}), test::erase_record({2}), record}, other.path());
    BOOST_TEST((refused.code() == code), refused.message());
    BOOST_TEST((refused.detail() == Detail::kLsn));
    BOOST_TEST(refused.message().starts_with(other.path() + ": record 3 of the log: "), refused.message());
  }
}

BOOST_AUTO_TEST_SUITE_END()
