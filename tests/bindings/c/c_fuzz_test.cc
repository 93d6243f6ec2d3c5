// SPDX-License-Identifier: Apache-2.0
//
// Sequences of calls, right and wrong ones, in any order: whatever came before, right calls give what the model of the
// store says, and wrong ones end with a code. VECSTORE_FUZZ_SECONDS says for how long; else there are some thousand.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>

#include "base/random.h"
#include "tests/bindings/c/c_store.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint32_t kDim = 8;
constexpr std::uint64_t kKeys = 60;
constexpr std::uint64_t kPool = 300;

// Handles may be closed, freed and opened again; the directory has what the model says.
class Fuzz {
 public:
  explicit Fuzz(std::uint64_t seed)
      : random_(seed),
        kind_(static_cast<std::uint32_t>(random_.below(2))),
        dtype_(static_cast<DType>(random_.below(4))),
        pool_(recut(dtype_, kDim, kPool)) {}

  void step() {
    switch (random_.below(14)) {
      case 0:
        return open();
      case 1:
        return close();
      case 2:
      case 3:
      case 4:
        return put();
      case 5:
        return erase();
      case 6:
      case 7:
        return search();
      case 8:
        return get();
      case 9:
        return scan();
      case 10:
        return compact();
      case 11:
        return keep();
      case 12:
        return look();
      default:
        return misuse();
    }
  }

 private:
  // Keys of a batch, of which some may be the same or of the wrong kind.
  struct Batch {
    Batch(Fuzz& fuzz, std::size_t count) {
      std::vector<std::string> texts;
      for (std::size_t i = 0; i < count; ++i) {
        numbers.push_back(fuzz.random_.below(kKeys));
        texts.push_back("key " + std::to_string(numbers.back()));
      }
      data.emplace(texts);
      if (fuzz.kind_ == VECSTORE_KEY_NUMBER) {
        keys = test::numbers(numbers);
      } else {
        keys = names(*data);
      }
    }
    std::vector<std::uint64_t> numbers;
    std::optional<TextData> data;
    vecstore_keys keys{};
  };

  std::string path() const { return directory_.path("s"); }
  void want(std::int32_t code, std::int32_t expected, const char* what) {
    BOOST_REQUIRE_MESSAGE(code == expected, what << ": " << vecstore_code_name(code) << " for "
                                                 << vecstore_code_name(expected) << ": " << error_.message);
    BOOST_REQUIRE(error_.code == code);
  }
  std::int32_t writes() const {
    return store_ == nullptr ? VECSTORE_INVALID_ARGUMENT : is_closed_ ? VECSTORE_CLOSED : VECSTORE_OK;
  }
  std::int32_t reads() const { return store_ == nullptr ? VECSTORE_INVALID_ARGUMENT : VECSTORE_OK; }

  void open() {
    if (store_ != nullptr && random_.below(3) != 0) {
      vecstore_store* second = nullptr;
      const vecstore_open_options options = creating(kDim, static_cast<std::uint32_t>(dtype_), kind_);
      const std::int32_t code = vecstore_open(path().c_str(), &options, &second, &error_);
      want(code, is_closed_ ? VECSTORE_OK : VECSTORE_BUSY, "a second writer");
      vecstore_free(second);
      return;
    }
    scan_.reset();
    store_.reset();
    vecstore_open_options options = creating(kDim, static_cast<std::uint32_t>(dtype_), kind_);
    options.sync = VECSTORE_SYNC_NONE;
    options.cache = static_cast<std::uint32_t>(random_.below(3));
    options.cache_bytes = 1u << 20;
    options.cache_fraction = 1;
    vecstore_store* store = nullptr;
    want(vecstore_open(path().c_str(), &options, &store, &error_), VECSTORE_OK, "open");
    store_.reset(store);
    is_closed_ = false;
  }

  void close() {
    if (random_.below(3) != 0) return;
    want(vecstore_close(store_.get(), &error_), reads(), "close");
    is_closed_ = store_ != nullptr;
  }

  void put() {
    const Batch batch(*this, random_.below(6));
    const std::size_t count = batch.numbers.size();
    const std::uint64_t place = random_.below(kPool - 6);
    const vecstore_vectors vectors = vectors_of({pool_.row(place).data, dtype_, count, kDim, 0});
    vecstore_put_options options{sizeof(vecstore_put_options), static_cast<std::uint32_t>(random_.below(3)), nullptr,
                                 nullptr};
    vecstore_receipt receipt = {};
    receipt.struct_size = sizeof(receipt);
    std::map<std::uint64_t, std::uint64_t> after = model_;
    bool is_refused = false;
    std::uint64_t rows = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const bool is_there = after.contains(batch.numbers[i]);
      is_refused = is_refused || (is_there && options.if_there == VECSTORE_FAIL_IF_THERE);
      if (is_there && options.if_there == VECSTORE_SKIP_IF_THERE) continue;
      after[batch.numbers[i]] = place + i;
      ++rows;
    }
    const std::int32_t expected = writes() != VECSTORE_OK ? writes() : is_refused ? VECSTORE_EXISTS : VECSTORE_OK;
    want(vecstore_put(store_.get(), &batch.keys, &vectors, &options, &receipt, &error_), expected, "put");
    if (expected != VECSTORE_OK) return;
    BOOST_REQUIRE(receipt.rows == rows);
    model_ = std::move(after);
  }

  void erase() {
    const Batch batch(*this, random_.below(4));
    want(vecstore_erase(store_.get(), &batch.keys, nullptr, &error_), writes(), "erase");
    if (writes() == VECSTORE_OK)
      for (const std::uint64_t key : batch.numbers) model_.erase(key);
  }

  void search() {
    const std::uint64_t place = random_.below(kPool);
    const vecstore_vectors query = vectors_of(pool_.row(place));
    vecstore_search_options options = asking_for(static_cast<std::uint32_t>(1 + random_.below(2 * kKeys)));
    options.search_list = 4096;
    options.blocks = 1u << 20;
    options.bound = 100;
    HitData found(1, options.k);
    want(vecstore_search(store_.get(), &query, &options, &found.hits, &error_), reads(), "search");
    if (reads() != VECSTORE_OK) return;
    BOOST_REQUIRE(found.counts[0] == std::min<std::size_t>(options.k, model_.size()));
    const auto keys = strings_of(found.texts);
    for (std::uint32_t i = 0; i < found.counts[0]; ++i) {
      const std::string digits = kind_ == VECSTORE_KEY_NUMBER ? keys[i] : keys[i].substr(4);
      BOOST_REQUIRE(model_.contains(std::stoull(digits)));
    }
    const Batch like(*this, 1);
    const bool is_there = model_.contains(like.numbers[0]);
    want(vecstore_search_by_key(store_.get(), &like.keys, &options, &found.hits, &error_),
         is_there ? VECSTORE_OK : VECSTORE_NOT_FOUND, "search by key");
    BOOST_REQUIRE(found.counts[0] == (is_there ? std::min<std::size_t>(options.k, model_.size() - 1) : 0));
  }

  void get() {
    const Batch batch(*this, random_.below(8));
    const std::size_t count = batch.numbers.size();
    std::vector<std::uint8_t> found(count + 1);
    std::vector<std::byte> vectors(count * pool_.row_bytes());
    // Until the first row of all the store may not know its dimension; here it was told.
    want(vecstore_get(store_.get(), &batch.keys, found.data(), vectors.data(), vectors.size(), nullptr, &error_),
         reads(), "get");
    for (std::size_t i = 0; i < count && reads() == VECSTORE_OK; ++i) {
      const auto kept = model_.find(batch.numbers[i]);
      BOOST_REQUIRE(found[i] == (kept == model_.end() ? 0 : 1));
      if (kept == model_.end()) continue;
      BOOST_REQUIRE(
          std::memcmp(vectors.data() + i * pool_.row_bytes(), pool_.row(kept->second).data, pool_.row_bytes()) == 0);
    }
  }

  void scan() {
    if (scan_ == nullptr) {
      vecstore_scan* scan = nullptr;
      want(vecstore_scan_open(store_.get(), nullptr, &scan, &error_), reads(), "scan");
      scan_.reset(scan);
      scanned_ = model_.size();
      return;
    }
    vecstore_rows rows = {};
    rows.struct_size = sizeof(rows);
    want(vecstore_scan_next(scan_.get(), 1 + random_.below(20), &rows, &error_), VECSTORE_OK, "next");
    BOOST_REQUIRE(rows.count <= scanned_);
    scanned_ -= rows.count;
    if (rows.count != 0) return;
    BOOST_REQUIRE(scanned_ == 0);
    scan_.reset();
  }

  void compact() {
    if (random_.below(4) != 0) return;
    vecstore_compact_options options = {};
    options.struct_size = sizeof(options);
    options.rebuild = static_cast<std::uint32_t>(random_.below(2));
    options.threads = 1;
    want(vecstore_compact(store_.get(), &options, &error_), writes(), "compact");
  }

  void keep() {
    const std::int32_t made = vecstore_snapshot(store_.get(), "one", 0, nullptr, &error_);
    want(made, writes() != VECSTORE_OK ? writes() : has_snapshot_ ? VECSTORE_EXISTS : VECSTORE_OK, "snapshot");
    if (made == VECSTORE_OK) {
      has_snapshot_ = true;
      kept_ = model_.size();
    }
    if (!has_snapshot_ || random_.below(2) != 0) return;
    vecstore_store* snapshot = nullptr;
    want(vecstore_open((path() + "/snapshots/one").c_str(), nullptr, &snapshot, &error_), VECSTORE_OK, "its snapshot");
    vecstore_stats stats = {};
    stats.struct_size = sizeof(stats);
    want(vecstore_get_stats(snapshot, &stats, &error_), VECSTORE_OK, "stats");
    BOOST_REQUIRE(stats.rows == kept_);
    vecstore_free(snapshot);
    want(vecstore_remove_snapshot(path().c_str(), "one", &error_), VECSTORE_OK, "remove");
    has_snapshot_ = false;
  }

  void look() {
    vecstore_stats stats = {};
    stats.struct_size = sizeof(stats);
    want(vecstore_get_stats(store_.get(), &stats, &error_), reads(), "stats");
    if (reads() == VECSTORE_OK) BOOST_REQUIRE(stats.rows == model_.size());
    Handle<vecstore_bytes> text(vecstore_bytes_new());
    want(vecstore_info_json(store_.get(), text.get(), &error_), reads(), "info");
    want(vecstore_metrics_text(store_.get(), text.get(), &error_), reads(), "metrics");
    if (random_.below(8) == 0) want(vecstore_verify(store_.get(), 1, nullptr, nullptr, &error_), reads(), "verify");
    want(vecstore_refresh(store_.get(), &error_), reads(), "refresh");
    want(vecstore_flush(store_.get(), &error_), writes(), "flush");
  }

  // One thing of a call is wrong, whatever the state is.
  void misuse() {
    const Batch batch(*this, 2);
    vecstore_keys keys = batch.keys;
    vecstore_vectors vectors = vectors_of({pool_.row(0).data, dtype_, 2, kDim, 0});
    vecstore_search_options options = asking_for(5);
    HitData found(2, 5);
    vecstore_hits hits = found.hits;
    switch (random_.below(9)) {
      case 0:
        keys.numbers = nullptr, keys.texts = nullptr;
        break;
      case 1:
        vectors.data = nullptr;
        break;
      case 2:
        vectors.dim = kDim + 1 + static_cast<std::uint32_t>(random_.below(9));
        break;
      case 3:
        vectors.dtype = 4 + static_cast<std::uint32_t>(random_.next() >> 33);
        break;
      case 4:
        vectors.stride = 1 + random_.below(kDim - 1);
        break;
      case 5:
        keys.count = 3 + random_.below(5), keys.texts = nullptr, keys.numbers = nullptr;
        break;
      case 6:
        options.k = 0;
        break;
      case 7:
        options.struct_size = static_cast<std::uint32_t>(random_.below(sizeof(options)));
        break;
      default:
        hits.struct_size = 5000;
        break;
    }
    const bool is_of_search = options.k == 0 || options.struct_size != sizeof(options) || hits.struct_size == 5000;
    const bool is_of_keys = keys.numbers == nullptr && keys.texts == nullptr;
    if (is_of_search) {
      BOOST_REQUIRE(vecstore_search(store_.get(), &vectors, &options, &hits, &error_) == VECSTORE_INVALID_ARGUMENT);
    } else {
      const std::int32_t code = vecstore_put(store_.get(), &keys, &vectors, nullptr, nullptr, &error_);
      BOOST_REQUIRE(code != VECSTORE_OK);
      if (!is_of_keys) BOOST_REQUIRE(vecstore_search(store_.get(), &vectors, &options, &hits, &error_) != VECSTORE_OK);
    }
    BOOST_REQUIRE(error_.message[0] != '\0');
  }

  Random random_;
  const TemporaryDirectory directory_;
  const std::uint32_t kind_;
  const DType dtype_;
  const Matrix pool_;
  vecstore_error error_{};
  Handle<vecstore_store> store_;
  Handle<vecstore_scan> scan_;
  std::uint64_t scanned_ = 0;  // rows that it has yet to bring
  bool is_closed_ = false;
  bool has_snapshot_ = false;
  std::size_t kept_ = 0;                          // rows of the snapshot
  std::map<std::uint64_t, std::uint64_t> model_;  // by key: place in the pool
};

BOOST_AUTO_TEST_SUITE(c_fuzz)

BOOST_AUTO_TEST_CASE(any_sequence_of_calls) {
  const char* seconds = std::getenv("VECSTORE_FUZZ_SECONDS");
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
  constexpr std::uint64_t kSequences = kInstrumented ? 8 : 24;
  constexpr std::uint64_t kSteps = 150;
  std::uint64_t seed = 1;
  for (; seed <= kSequences || std::chrono::steady_clock::now() < until; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      Fuzz fuzz(seed);
      for (std::uint64_t i = 0; i < kSteps; ++i) fuzz.step();
    }
  }
  BOOST_TEST_MESSAGE(seed - 1 << " sequences of " << kSteps << " calls");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
