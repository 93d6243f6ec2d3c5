// SPDX-License-Identifier: Apache-2.0
//
// Operations on a key are linearizable beside merges: threads put, erase, get and search a few keys while the store
// merges again and again, and an order must explain what each of them was answered. VECSTORE_MERGES=<n> has each case
// merge so often.
#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/engine/store/linearizability.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kKeys = 6;
constexpr std::uint64_t kPairedFrom = 4;  // keys from here on are put together, and never erased
constexpr std::uint32_t kDim = 8;
constexpr std::size_t kWriters = 3;  // threads, which begin first
using Vector = std::array<std::uint8_t, kDim>;

struct Setting {
  KeyKind keys = KeyKind::kNumber;
  SyncMode sync = SyncMode::kNone;
  MergePolicy merge = MergePolicy::kManual;
  bool has_follower = false;  // reads through a second object, which refreshes before it looks
  std::size_t document_bytes = 0;
  int merges = 0;
};

int merges_or(int few) {
  const char* asked = std::getenv("VECSTORE_MERGES");
  return asked == nullptr ? few : std::atoi(asked);
}

// A value is a number. Vector and document both tell it, so that neither may come with another's.
Vector vector_of(std::uint64_t key, std::uint64_t value) {
  Vector vector{static_cast<std::uint8_t>(key + 1)};
  for (std::size_t i = 0; i < 4; ++i) vector[1 + i] = static_cast<std::uint8_t>(value >> (8 * i));
  return vector;
}
std::string name_of(std::uint64_t key) { return "key " + std::to_string(key); }

// What one thread did, by key.
class Record {
 public:
  explicit Record(std::atomic<std::uint64_t>& clock) : clock_(clock) {}

  std::uint64_t stamp() { return ++clock_; }
  void add(std::uint64_t key, Operation::Kind kind, std::uint64_t value, std::uint64_t called, std::uint64_t answered) {
    of_key_[key].push_back({kind, value, called, answered});
  }
  const std::vector<Operation>& of_key(std::uint64_t key) const { return of_key_[key]; }

 private:
  std::atomic<std::uint64_t>& clock_;
  std::array<std::vector<Operation>, kKeys> of_key_;
};

// The store, and the threads that use it. Their faults are told once all have ended.
class Contest {
 public:
  explicit Contest(const Setting& setting) : setting_(setting) {
    for (std::uint64_t key = 0; key < kKeys; ++key) names_[key] = name_of(key);
    REQUIRE_OK(Store::create(path_, {.dim = kDim, .dtype = DType::kU8, .keys = setting.keys}));
    OpenOptions options;
    options.access = Access::kReadWrite;
    options.sync = setting.sync;
    options.merge = setting.merge;
    options.searchers = 2;
    options.delta_bytes = 1u << 20;
    if (setting.merge == MergePolicy::kAutomatic) options.log_bytes = 4u << 20;  // so that merges are due soon
    options.full_wait_ms = 600'000;
    options.merge_wait_ms = 600'000;
    options.merge_write_bytes = 0;
    auto opened = Store::open(path_, options);
    REQUIRE_OK(opened);
    store_.emplace(std::move(*opened));
    if (!setting.has_follower) return;
    auto reader = Store::open(path_);
    REQUIRE_OK(reader);
    reader_.emplace(std::move(*reader));
  }

  void run() {
    {
      std::vector<std::jthread> threads;
      for (std::size_t writer = 0; writer < kWriters; ++writer) start(threads, &Contest::write);
      for (int reader = 0; reader < 2; ++reader) start(threads, &Contest::get);
      start(threads, &Contest::search_all);
      if (setting_.has_follower) start(threads, &Contest::follow);
      const Ending ending(ends_);
      merge_all_the_time();
    }
    BOOST_REQUIRE_MESSAGE(fault_.empty(), fault_);
    check_orders();
  }

 private:
  using Turn = void (Contest::*)(Record&, Random&);
  // Threads end, whatever is thrown here.
  struct Ending {
    explicit Ending(std::atomic<bool>& ends) : ends_(ends) {}
    ~Ending() { ends_ = true; }
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    std::atomic<bool>& ends_;
  };

  void start(std::vector<std::jthread>& threads, Turn turn) {
    records_.emplace_back(std::make_unique<Record>(clock_));
    Record& record = *records_.back();
    threads.emplace_back([this, turn, &record, seed = threads.size() + 1] {
      Random random(seed);
      while (!ends_) {
        (this->*turn)(record, random);
        ++turns_;
        std::this_thread::sleep_for(std::chrono::microseconds(100));  // a merge takes far longer than an operation
      }
    });
  }
  // Between two merges others come to do something, too.
  void merge_all_the_time() {
    if (setting_.merge == MergePolicy::kAutomatic) {
      while (store_->stats().merges < static_cast<std::uint64_t>(setting_.merges) && !has_fault_)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return;
    }
    for (int merge = 0; merge < setting_.merges && !has_fault_; ++merge) {
      const std::uint64_t before = turns_;
      while (turns_ < before + 8 && !has_fault_) std::this_thread::yield();
      REQUIRE_OK(store_->compact());
    }
  }

  Key key_of(std::uint64_t key) const { return setting_.keys == KeyKind::kNumber ? Key(key) : Key(names_[key]); }
  std::string document_of(std::uint64_t value) const {
    std::string text = std::to_string(value) + ' ';
    Random random(value);
    while (text.size() < setting_.document_bytes) text += static_cast<char>(random.next());
    return text;
  }

  void write(Record& record, Random& random) {
    const std::uint64_t what = random.below(8);
    const std::uint64_t key = random.below(kPairedFrom);
    if (what == 0) return put_pair(record);
    if (what > 2) return put(record, key);
    const std::uint64_t called = record.stamp();
    const auto receipt = store_->erase(key_of(key));
    if (!receipt) return fail("erase: " + receipt.error().message());
    record.add(key, Operation::Kind::kErase, receipt->rows, called, record.stamp());
  }
  void put(Record& record, std::uint64_t key) {
    const std::uint64_t value = ++values_;
    const Vector vector = vector_of(key, value);
    const std::string document = document_of(value);
    const std::uint64_t called = record.stamp();
    const auto receipt = store_->put(key_of(key), {vector.data(), DType::kU8, 1, kDim}, document);
    if (!receipt) return fail("put: " + receipt.error().message());
    record.add(key, Operation::Kind::kPut, value, called, record.stamp());
  }
  // A batch is there wholly or not at all: both keys have the same value at every moment.
  void put_pair(Record& record) {
    const std::uint64_t value = ++values_;
    std::vector<Key> keys;
    std::vector<std::uint8_t> vectors;
    for (std::uint64_t key = kPairedFrom; key < kKeys; ++key) {
      keys.push_back(key_of(key));
      const Vector vector = vector_of(key, value);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    const std::string text = document_of(value);
    const std::vector<std::string_view> documents(keys.size(), text);
    const std::uint64_t called = record.stamp();
    const auto receipt = store_->put_batch(keys, {vectors.data(), DType::kU8, keys.size(), kDim}, documents);
    if (!receipt) return fail("put_batch: " + receipt.error().message());
    const std::uint64_t answered = record.stamp();
    for (std::uint64_t key = kPairedFrom; key < kKeys; ++key)
      record.add(key, Operation::Kind::kPut, value, called, answered);
  }

  void get(Record& record, Random& random) {
    const std::uint64_t key = random.below(kKeys);
    const std::uint64_t called = record.stamp();
    if (random.below(4) == 0) {
      const auto found = store_->contains(key_of(key));
      if (!found) return fail("contains: " + found.error().message());
      return record.add(key, Operation::Kind::kContains, *found ? 1 : 0, called, record.stamp());
    }
    const auto item = store_->get(key_of(key));
    const std::uint64_t answered = record.stamp();
    if (!item && item.error().code() != Code::kNotFound) return fail("get: " + item.error().message());
    const std::uint64_t value = item ? value_of(item->document) : 0;
    if (item) {
      const Vector expected = vector_of(key, value);
      if (item->vector.size() != kDim || std::memcmp(item->vector.data(), expected.data(), kDim) != 0)
        fail("the document of value " + std::to_string(value) + " came with another vector");
    }
    record.add(key, Operation::Kind::kRead, value, called, answered);
  }
  std::uint64_t value_of(std::string_view document) {
    std::uint64_t value = 0;
    std::from_chars(document.data(), document.data() + document.size(), value);
    if (document != document_of(value)) fail("a document is not one that was put");
    return value;
  }

  void search_all(Record& record, Random&) { search_in(*store_, record, record.stamp()); }
  void follow(Record& record, Random&) {
    const std::uint64_t called = record.stamp();
    const Status refreshed = reader_->refresh();
    if (!refreshed.is_ok()) return fail("refresh: " + refreshed.message());
    search_in(*reader_, record, called);
  }
  // A search reads all keys at one moment.
  void search_in(const Store& store, Record& record, std::uint64_t called) {
    const Vector query{};
    SearchOptions options = exhaustive(kKeys);
    options.texts = HitTexts::kKeysAndDocuments;
    const auto results = store.search({query.data(), DType::kU8, 1, kDim}, options);
    const std::uint64_t answered = record.stamp();
    if (!results) return fail("search: " + results.error().message());
    std::array<std::uint64_t, kKeys> values{};
    for (std::size_t i = 0; i < (*results)[0].size(); ++i) {
      const std::string_view name = results->key(0, i);
      const std::uint64_t key = static_cast<std::uint64_t>(name.back() - '0');
      if (key >= kKeys || values[key] != 0)
        return fail("a search found key " + std::string(name) + " twice, or a wrong one");
      values[key] = value_of(results->document(0, i));
      double distance = 0;
      for (const std::uint8_t element : vector_of(key, values[key])) distance += double{1} * element * element;
      if (double{(*results)[0][i].distance} != distance) fail("a search found key " + std::string(name) + " elsewhere");
    }
    for (std::uint64_t key = 0; key < kKeys; ++key)
      record.add(key, Operation::Kind::kRead, values[key], called, answered);
    for (std::uint64_t key = kPairedFrom; key < kKeys; ++key)
      if (values[key] != values[kPairedFrom]) fail("a search saw a part of a batch");
  }

  // A reader that follows may see a write of the log before the writer's own readers do, which wait until it is safe.
  // So an order must explain the writes with what is read here, and one the writes with what is read there.
  void check_orders() const {
    std::size_t operations = 0;
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      std::vector<Operation> here;
      std::vector<Operation> there;
      for (std::size_t thread = 0; thread < records_.size(); ++thread) {
        const std::vector<Operation>& of_key = records_[thread]->of_key(key);
        operations += of_key.size();
        const bool follows = setting_.has_follower && thread + 1 == records_.size();
        if (!follows) here.insert(here.end(), of_key.begin(), of_key.end());
        if (follows || thread < kWriters) there.insert(there.end(), of_key.begin(), of_key.end());
      }
      check_order(here, key);
      if (setting_.has_follower) check_order(there, key);
    }
    BOOST_TEST(operations > 0u);
    BOOST_TEST_MESSAGE(operations << " operations beside " << store_->stats().merges << " merges");
  }
  static void check_order(const std::vector<Operation>& history, std::uint64_t key) {
    const auto unexplained = OrderSearch(history).run();
    if (!unexplained) return;
    std::ostringstream around;
    for (const Operation& operation : history)
      if (operation.answered + 30 > unexplained->called && operation.called < unexplained->answered)
        around << '\n' << operation;
    BOOST_ERROR("no order explains " << *unexplained << " of key " << key << " among" << around.str());
  }

  // Boost.Test is the main thread's.
  void fail(const std::string& what) {
    const std::scoped_lock guard(fault_lock_);
    if (fault_.empty()) fault_ = what;
    has_fault_ = true;
  }

  const Setting setting_;
  const TemporaryDirectory directory_;
  const std::string path_ = directory_.path("store");
  std::array<std::string, kKeys> names_;
  std::optional<Store> store_;
  std::optional<Store> reader_;
  std::atomic<std::uint64_t> clock_ = 0;
  std::atomic<std::uint64_t> values_ = 0;
  std::atomic<std::uint64_t> turns_ = 0;
  std::atomic<bool> ends_ = false;
  std::atomic<bool> has_fault_ = false;
  std::vector<std::unique_ptr<Record>> records_;
  std::mutex fault_lock_;
  std::string fault_;
};

BOOST_AUTO_TEST_SUITE(linearizable)

BOOST_AUTO_TEST_CASE(operations_and_a_reader_that_follows_beside_merges) {
  Contest({.sync = SyncMode::kAlways, .has_follower = true, .merges = merges_or(kInstrumented ? 15 : 60)}).run();
}

BOOST_AUTO_TEST_CASE(operations_on_keys_of_bytes_beside_merges) {
  Contest({.keys = KeyKind::kBytes, .merges = merges_or(kInstrumented ? 15 : 60)}).run();
}

// The documents fill the log, so that a merge is always due soon.
BOOST_AUTO_TEST_CASE(operations_beside_merges_in_the_background) {
  Contest({.merge = MergePolicy::kAutomatic, .document_bytes = 16u << 10, .merges = merges_or(kInstrumented ? 5 : 20)})
      .run();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
