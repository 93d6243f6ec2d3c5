// SPDX-License-Identifier: Apache-2.0
//
// A store that merges by itself: no put is refused, however little memory and log there are, and what was put is there
// while it merges, afterwards, and when the store is opened again.
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "base/random.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

constexpr int kScale = kInstrumented ? 10 : 1;

// Bytes that no packer makes fewer of.
std::string noise(std::uint64_t seed, std::size_t bytes) {
  Random random(seed);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

// A store under little memory and log, and what it must hold: by key, the number of the put that it came by.
class Automatic {
 public:
  explicit Automatic(KeyKind keys = KeyKind::kNumber) : kind_(keys) {
    options.access = Access::kReadWrite;
    options.sync = SyncMode::kNone;
    options.delta_bytes = 1u << 20;
    options.log_bytes = 4u << 20;
    options.full_wait_ms = 1;
    options.merge_wait_ms = 600'000;
    options.merge_write_bytes = 0;
    options.searchers = 2;
  }
  void create() {
    REQUIRE_OK(Store::create(path_, {.dtype = pool_.dtype, .metric = Metric::kL2, .keys = kind_}));
    open();
  }
  void open() {
    auto opened = Store::open(path_, options);
    REQUIRE_OK(opened);
    store.emplace(std::move(*opened));
  }
  Status put(std::uint64_t key) {
    const std::string name = name_of(key);
    const auto receipt = store->put(key_of(key, name), pool_.row(puts_ % pool_.rows()), document_of(puts_));
    if (!receipt) {
      tell(receipt.error());
      return receipt.error();
    }
    kept_[key] = puts_++;
    return Status::ok();
  }
  Status erase(std::uint64_t key) {
    const std::string name = name_of(key);
    const auto receipt = store->erase(key_of(key, name));
    if (!receipt) {
      tell(receipt.error());
      return receipt.error();
    }
    kept_.erase(key);
    return Status::ok();
  }

  void check_key(const Store& of, std::uint64_t key) const {
    const std::string name = name_of(key);
    const auto item = of.get(key_of(key, name));
    const auto expected = kept_.find(key);
    if (expected == kept_.end()) {
      BOOST_REQUIRE(code_of(item) == Code::kNotFound);
      return;
    }
    BOOST_REQUIRE_MESSAGE(item.has_value(), name << ": " << message_of(item));
    const VectorView vector = pool_.row(expected->second % pool_.rows());
    BOOST_REQUIRE(std::ranges::equal(item->vector, std::span(vector.row(0), pool_.row_bytes())));
    BOOST_REQUIRE(item->document == document_of(expected->second));
  }
  // Every key, and that there is no other.
  void check(const Store& of) const {
    BOOST_REQUIRE(of.size() == kept_.size());
    std::size_t seen = 0;
    REQUIRE_OK(of.for_each_key([&](const Key&, RowId) {
      ++seen;
      return true;
    }));
    BOOST_REQUIRE(seen == kept_.size());
    for (const auto& [key, put] : kept_) check_key(of, key);
  }
  void check_reopened() {
    check(*store);
    REQUIRE_OK(store->close());
    store.reset();
    const auto reader = Store::open(path_);
    REQUIRE_OK(reader);
    check(*reader);
    const auto verified = reader->verify({.deep = true});
    REQUIRE_OK(verified);
    for (const Status& finding : verified->damage) BOOST_TEST_MESSAGE(finding.message());
    BOOST_TEST(verified->damage_total == 0u);
    open();
    check(*store);
  }

  const std::string& path() const { return path_; }
  const Matrix& pool() const { return pool_; }
  std::uint64_t live_rows() const { return kept_.size(); }

  OpenOptions options;
  std::optional<Store> store;
  std::size_t document_bytes = 600;

 private:
  void tell(const Status& refused) const {
    if (std::this_thread::get_id() != owner_) return;  // the test's log is its own
    const StoreStats stats = store->stats();
    BOOST_TEST_MESSAGE("refused: " << refused.message() << "; put " << puts_ << ", merges " << stats.merges
                                   << ", delta rows " << stats.delta_rows << ", delta bytes " << stats.delta_bytes
                                   << ", log bytes " << stats.wal_bytes << ", last merge: " << stats.merge_failure);
  }
  std::string name_of(std::uint64_t key) const {
    return kind_ == KeyKind::kNumber ? std::to_string(key) : "key " + std::to_string(key);
  }
  Key key_of(std::uint64_t key, const std::string& name) const {
    return kind_ == KeyKind::kNumber ? Key(key) : Key(name);
  }
  std::string document_of(std::uint64_t put) const { return noise(put, document_bytes); }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path("store");
  const KeyKind kind_;
  const Matrix pool_ = csift(1000);
  const std::thread::id owner_ = std::this_thread::get_id();
  std::uint64_t puts_ = 0;
  std::map<std::uint64_t, std::uint64_t> kept_;
};

// A merge is under way that lasts: what it writes comes slowly, until it is cancelled.
void begin_slow_merge(Automatic& automatic) {
  automatic.options.merge_write_bytes = 100'000;
  automatic.create();
  for (std::uint64_t key = 0; !automatic.store->stats().is_merging; ++key) REQUIRE_OK(automatic.put(key % 3000));
}

BOOST_AUTO_TEST_SUITE(merging)

BOOST_AUTO_TEST_CASE(one_key_put_again_and_again_is_never_refused) {
  Automatic automatic;
  automatic.create();
  for (int i = 0; i < 6000 / kScale; ++i) {
    REQUIRE_OK(automatic.put(7));
    if (i % 100 == 0) automatic.check(*automatic.store);
    BOOST_REQUIRE(automatic.store->stats().wal_bytes <= automatic.options.log_bytes);
  }
  if (!kInstrumented) BOOST_TEST(automatic.store->stats().merges >= 4u);  // 24 MiB of log, of which 4 fit
  BOOST_TEST(automatic.store->stats().merge_failure == "");
  automatic.check_reopened();
}

BOOST_AUTO_TEST_CASE(many_keys_are_never_refused) {
  for (const KeyKind keys : {KeyKind::kNumber, KeyKind::kBytes}) {
    Automatic automatic(keys);
    automatic.create();
    Random random(3);
    const int writes = 4000 / kScale;
    for (int i = 0; i < writes; ++i) {
      const std::uint64_t key = random.below(2000);
      REQUIRE_OK(random.below(4) == 0 ? automatic.erase(key) : automatic.put(key));
      if (i % 10 == 0) automatic.check_key(*automatic.store, random.below(2000));
      if (i % (writes / 5) == 0) automatic.check(*automatic.store);
      BOOST_REQUIRE(automatic.store->stats().delta_bytes <= automatic.options.delta_bytes);
    }
    if (!kInstrumented) BOOST_TEST(automatic.store->stats().merges > 0u);  // 16 MiB of log, of which 4 fit
    BOOST_TEST(automatic.store->stats().merge_failure == "");
    automatic.check_reopened();
  }
}

// Whatever ended gives its memory back at once, and its log only with a merge.
BOOST_AUTO_TEST_CASE(a_store_that_is_emptied_again_and_again_is_never_refused) {
  Automatic automatic;
  automatic.create();
  for (std::uint64_t i = 0; i < 2500; ++i) {
    REQUIRE_OK(automatic.put(i));
    REQUIRE_OK(automatic.erase(i));
  }
  BOOST_TEST(automatic.store->stats().wal_bytes <= automatic.options.log_bytes);
  automatic.check_reopened();
}

// As above, by who merges himself.
BOOST_AUTO_TEST_CASE(a_full_log_of_rows_that_ended_is_given_back_by_compact) {
  Automatic automatic;
  automatic.options.merge = MergePolicy::kManual;
  automatic.create();
  Status outcome;
  for (std::uint64_t i = 0; outcome.is_ok(); ++i) {
    outcome = automatic.put(i);
    if (outcome.is_ok()) REQUIRE_OK(automatic.erase(i));
  }
  BOOST_TEST((outcome.code() == Code::kNoSpace), outcome.message());
  REQUIRE_OK(automatic.store->compact());
  REQUIRE_OK(automatic.put(1));
  automatic.check_reopened();
}

// The dictionary that is logged behind the moment of a merge must have room in a log that has none for puts.
BOOST_AUTO_TEST_CASE(a_full_log_with_a_dictionary_can_be_merged) {
  Automatic automatic;
  automatic.options.merge = MergePolicy::kManual;
  automatic.create();
  const std::string text = "a document of which many are alike, so that a dictionary pays, number ";
  for (std::uint64_t i = 0; !automatic.store->stats().has_dictionary; ++i) {
    BOOST_REQUIRE(i < 20'000);
    REQUIRE_OK(
        automatic.store->put(1, automatic.pool().row(0), text + std::to_string(i) + std::string(400 + i % 90, 'd')));
  }
  Status outcome;
  while (outcome.is_ok()) outcome = automatic.put(1);
  BOOST_TEST((outcome.code() == Code::kNoSpace), outcome.message());
  REQUIRE_OK(automatic.store->compact());
  REQUIRE_OK(automatic.put(2));
  automatic.check_reopened();
}

BOOST_AUTO_TEST_CASE(readers_of_other_threads_find_what_was_put_while_it_merges) {
  Automatic automatic;
  automatic.create();
  constexpr std::uint64_t kKeys = 900 / kScale;
  constexpr std::uint64_t kHot = 5;
  std::atomic<std::uint64_t> known = 0;  // keys below are there
  std::atomic<bool> ends = false;
  std::atomic<int> not_got = 0;
  std::atomic<int> not_found = 0;
  std::atomic<int> too_few = 0;
  {
    std::vector<std::jthread> readers;
    for (std::uint64_t reader = 0; reader < 2; ++reader)
      readers.emplace_back([&, reader] {
        Random random(reader + 1);
        while (!ends) {
          const std::uint64_t least = known;
          if (least == 0) continue;
          const std::uint64_t key = random.below(least);
          if (!automatic.store->get(key)) ++not_got;
          const auto found = automatic.store->search(automatic.pool().row(key), {.k = 1, .search_list = 50});
          if (!found || (*found)[0].size() != 1) ++not_found;
          if (automatic.store->size() < least) ++too_few;
          std::this_thread::sleep_for(std::chrono::milliseconds(2));  // a merge gets what others leave
        }
      });
    for (std::uint64_t i = 0; i < 3000 / kScale; ++i) {
      REQUIRE_OK(automatic.put(i < kKeys ? i : i % kHot));
      if (i < kKeys) known = i + 1;
    }
    ends = true;
  }
  BOOST_TEST(not_got == 0);
  BOOST_TEST(not_found == 0);
  BOOST_TEST(too_few == 0);
  BOOST_TEST(automatic.live_rows() == kKeys);
  automatic.check_reopened();
}

BOOST_AUTO_TEST_CASE(closing_ends_a_merge_that_is_under_way) {
  for (const bool closes : {true, false}) {
    Automatic automatic;
    begin_slow_merge(automatic);
    automatic.check(*automatic.store);
    if (closes) {
      REQUIRE_OK(automatic.store->close());
      BOOST_TEST(!automatic.store->stats().is_merging);
      BOOST_TEST(automatic.store->stats().merges == 0u);
      BOOST_TEST((automatic.put(1).code() != Code::kOk));
    }
    automatic.store.reset();
    automatic.open();
    automatic.check(*automatic.store);
    BOOST_TEST(automatic.store->info().generation == 0u);
    automatic.check_reopened();
  }
}

// Who waits for room learns that none comes any more, or that the store was closed.
BOOST_AUTO_TEST_CASE(closing_wakes_a_put_that_waits_for_a_merge) {
  Automatic automatic;
  begin_slow_merge(automatic);
  std::atomic<std::uint64_t> taken = 0;
  Status outcome;
  std::jthread writer([&] {
    while (outcome.is_ok()) {
      outcome = automatic.put(taken % 3000);
      if (outcome.is_ok()) ++taken;
    }
  });
  for (std::uint64_t before = 0; before == 0 || taken != before;) {
    before = taken;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  REQUIRE_OK(automatic.store->close());
  writer.join();
  BOOST_TEST((outcome.code() == Code::kInvalidArgument || outcome.code() == Code::kNoSpace), outcome.message());
  automatic.store.reset();
  automatic.open();
  automatic.check(*automatic.store);
}

BOOST_AUTO_TEST_CASE(stats_tell_of_merges) {
  Automatic automatic;
  automatic.create();
  StoreStats stats = automatic.store->stats();
  BOOST_TEST(stats.merges == 0u);
  BOOST_TEST(!stats.is_merging);
  for (std::uint64_t key = 0; stats.merges < 2; ++key) {
    REQUIRE_OK(automatic.put(key % 2000));
    stats = automatic.store->stats();
  }
  BOOST_TEST(stats.merge_failure == "");
  BOOST_TEST(automatic.store->info().generation >= 2u);
  REQUIRE_OK(automatic.store->compact());  // waits for one that is under way
  BOOST_TEST(automatic.store->stats().merges >= 2u);
  automatic.check(*automatic.store);
}

BOOST_AUTO_TEST_CASE(stats_tell_how_far_a_merge_is) {
  Automatic automatic;
  automatic.options.merge = MergePolicy::kManual;
  automatic.create();
  for (std::uint64_t key = 0; key < 300; ++key) REQUIRE_OK(automatic.put(key));
  CompactOptions how;
  std::size_t told = 0;
  how.progress = [&](const Progress& progress) {
    const StoreStats stats = automatic.store->stats();
    BOOST_TEST(stats.is_merging);
    BOOST_CHECK(stats.merge_progress.phase == progress.phase);
    BOOST_TEST(stats.merge_progress.done == progress.done);
    BOOST_TEST(stats.merge_progress.total == progress.total);
    BOOST_TEST(automatic.store->metrics().merging == 1u);
    ++told;
  };
  REQUIRE_OK(automatic.store->compact(how));
  BOOST_TEST(told > 3u);
  const Metrics metrics = automatic.store->metrics();
  BOOST_TEST(metrics.merges == 1u);
  BOOST_TEST(metrics.merges_failed == 0u);
  BOOST_TEST(metrics.merging == 0u);
  BOOST_TEST(automatic.store->stats().merge_progress.total == 0u);
  REQUIRE_OK(automatic.put(7));
  CancelToken cancel;
  cancel.cancel();
  how.cancel = &cancel;
  BOOST_CHECK(code_of(automatic.store->compact(how)) == Code::kCancelled);
  BOOST_TEST(automatic.store->metrics().merges_failed == 1u);
}

// Segments of the log are twice as large as the one before. What a merge leaves of them is the least that there is.
BOOST_AUTO_TEST_CASE(a_merge_leaves_a_small_log) {
  Automatic automatic;
  automatic.options.merge = MergePolicy::kManual;
  automatic.options.log_bytes = 64u << 20;
  automatic.options.delta_bytes = 16u << 20;
  automatic.create();
  for (std::uint64_t key = 0; key < 3000; ++key) REQUIRE_OK(automatic.put(key));
  BOOST_TEST(automatic.store->stats().wal_bytes >= 3u << 20);
  REQUIRE_OK(automatic.store->compact());
  BOOST_TEST(automatic.store->stats().wal_bytes == 1u << 20);
  for (std::uint64_t key = 2990; key < 3010; ++key) REQUIRE_OK(automatic.put(key));
  automatic.check_reopened();
}

BOOST_AUTO_TEST_CASE(a_store_that_is_merged_by_hand_alone_never_merges_itself) {
  Automatic automatic;
  automatic.options.merge = MergePolicy::kManual;
  automatic.options.log_bytes = 64u << 20;  // so that the delta is full first
  automatic.create();
  Status outcome;
  for (std::uint64_t key = 0; outcome.is_ok(); ++key) outcome = automatic.put(key);
  BOOST_TEST((outcome.code() == Code::kMemoryBudget));
  BOOST_TEST(automatic.store->stats().merges == 0u);
  REQUIRE_OK(automatic.store->compact());
  REQUIRE_OK(automatic.put(1));
  BOOST_TEST(automatic.store->stats().merges == 1u);
  automatic.check_reopened();
}

// A merge builds in what ram_bytes leaves, which is next to nothing here.
BOOST_AUTO_TEST_CASE(a_merge_without_memory_is_put_off_and_says_why) {
  Automatic automatic;
  automatic.options.log_bytes = 64u << 20;  // so that the delta is full first
  automatic.create();
  automatic.store.reset();
  automatic.options.ram_bytes = 1;
  const auto least = Store::open(automatic.path(), automatic.options);
  BOOST_REQUIRE((code_of(least) == Code::kMemoryBudget));
  automatic.options.ram_bytes = least.error().number() + (64u << 10);
  automatic.open();
  Status outcome;
  for (std::uint64_t key = 0; outcome.is_ok(); ++key) outcome = automatic.put(key);
  BOOST_TEST((outcome.code() == Code::kMemoryBudget), outcome.message());
  BOOST_TEST(outcome.message().find("delta_bytes") != std::string::npos, outcome.message());
  BOOST_TEST(outcome.number() == automatic.options.delta_bytes);
  const StoreStats stats = automatic.store->stats();
  BOOST_TEST(stats.merges == 0u);
  BOOST_TEST(!stats.is_merging);
  BOOST_TEST(stats.merge_failure.find("memory budget") != std::string::npos, stats.merge_failure);
  BOOST_TEST_MESSAGE(stats.merge_failure);
  automatic.check(*automatic.store);
  BOOST_TEST(automatic.store->info().ram_peak_bytes <= automatic.options.ram_bytes);
  REQUIRE_OK(automatic.store->close());
  // Given more it merges, and goes on.
  automatic.options.ram_bytes = 0;
  automatic.open();
  for (std::uint64_t key = 0; automatic.store->stats().merges == 0; ++key) REQUIRE_OK(automatic.put(key % 1000));
  BOOST_TEST(automatic.store->stats().merge_failure == "");
  automatic.check_reopened();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
