// SPDX-License-Identifier: Apache-2.0
//
// Readers that stay while the store merges ten times: another object that was opened for reading, and calls of the
// writer's own object that have begun. Each goes on answering from the moment that it began with. What they keep is
// told, and may be bounded.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

constexpr int kSwitches = 10;
constexpr std::uint64_t kKeys = kInstrumented ? 80 : 300;
constexpr std::uint64_t kBuilt = kKeys / 2;
constexpr std::uint64_t kWrites = kInstrumented ? 30 : 120;  // between two merges

// What a store must hold: by key, the place of its vector in the pool. Documents tell it too.
using Kept = std::map<std::uint64_t, std::uint64_t>;

// Of what was put; rows of the build have none.
std::string document_of(std::uint64_t place) {
  return place < kBuilt ? "" : "a document of place " + std::to_string(place);
}

// A store that is written to at random and merged, and what it holds.
class Merged {
 public:
  explicit Merged(std::uint64_t reader_bytes_max = 0) {
    REQUIRE_OK(Store::build(path(), *view_source({pool_.bytes.data(), pool_.dtype, kBuilt, pool_.dim, 0}),
                            build_options(Metric::kL2)));
    for (std::uint64_t row = 0; row < kBuilt; ++row) kept_[row] = row;
    OpenOptions options;
    options.access = Access::kReadWrite;
    options.merge = MergePolicy::kManual;
    options.sync = SyncMode::kNone;
    options.searchers = 2;
    options.reader_bytes_max = reader_bytes_max;
    auto opened = Store::open(path(), options);
    REQUIRE_OK(opened);
    store_.emplace(std::move(*opened));
    write();
  }

  void write(std::uint64_t writes = kWrites) {
    for (std::uint64_t i = 0; i < writes; ++i) {
      const std::uint64_t key = random_.below(kKeys);
      if (random_.below(4) == 0) {
        REQUIRE_OK(store_->erase(key));
        kept_.erase(key);
        continue;
      }
      const std::uint64_t place = next_++;
      BOOST_REQUIRE(place < pool_.rows());
      REQUIRE_OK(store_->put(key, pool_.row(place), document_of(place)));
      kept_[key] = place;
    }
  }
  // Some is written meanwhile, which goes on behind the switch.
  void merge() {
    const std::uint32_t before = store_->info().generation;
    CompactOptions options;
    options.progress = [this](const Progress&) { write(kWrites / 20); };
    const auto report = store_->compact(options);
    REQUIRE_OK(report);
    BOOST_REQUIRE(report->generation == before + 1);
    BOOST_TEST(store_->stats().delta_rows + store_->stats().deleted_rows > 0u);
  }

  Store& store() { return *store_; }
  const Kept& kept() const { return kept_; }
  const Matrix& pool() const { return pool_; }
  std::string path(const std::string& name = "store") const { return directory_.path(name); }

 private:
  const TemporaryDirectory directory_;
  const Matrix pool_ = csift(4000);
  Random random_{11};
  std::optional<Store> store_;
  Kept kept_;
  std::uint64_t next_ = kBuilt;
};

double distance_between(const Matrix& pool, std::uint64_t a, std::uint64_t b) {
  const auto* left = reinterpret_cast<const std::uint8_t*>(pool.row(a).row(0));
  const auto* right = reinterpret_cast<const std::uint8_t*>(pool.row(b).row(0));
  double sum = 0;
  for (std::uint32_t d = 0; d < pool.dim; ++d)
    sum += (double{1} * left[d] - right[d]) * (double{1} * left[d] - right[d]);
  return sum;
}

// What is wrong with answers, asked for by any thread; empty: nothing.
std::string wrong_item(const Store& store, const Matrix& pool, std::uint64_t key, std::uint64_t place) {
  const auto item = store.get(key);
  if (!item) return "key " + std::to_string(key) + ": " + item.error().message();
  const VectorView expected = pool.row(place);
  if (!std::ranges::equal(item->vector, std::span(expected.row(0), pool.row_bytes())))
    return "key " + std::to_string(key) + " has another vector";
  return item->document == document_of(place) ? "" : "key " + std::to_string(key) + " has another document";
}

// Queries are vectors of the store, so that each is answered with ten rows, which a pass over all tells.
constexpr std::size_t kNearest = 10;
constexpr std::size_t kQueries = 12;
struct Queries {
  Queries(const Matrix& pool, const Kept& kept) : matrix{{}, pool.dtype, pool.dim} {
    for (const auto& [key, place] : kept) {
      if (places.size() == kQueries) break;
      places.push_back(place);
      const VectorView row = pool.row(place);
      matrix.bytes.insert(matrix.bytes.end(), row.row(0), row.row(0) + pool.row_bytes());
    }
  }
  std::vector<std::uint64_t> places;
  Matrix matrix;
};
std::string wrong_hits(const SearchResults& found, const Matrix& pool, const Queries& queries, const Kept& kept) {
  for (std::size_t query = 0; query < queries.places.size(); ++query) {
    std::vector<double> distances;
    for (const auto& [key, place] : kept) distances.push_back(distance_between(pool, queries.places[query], place));
    std::ranges::sort(distances);
    if (found[query].size() != kNearest) return "a search found too few rows";
    for (std::size_t i = 0; i < kNearest; ++i) {
      const Hit& hit = found[query][i];
      const std::string name = "a search found key " + std::to_string(hit.key);
      const auto item = kept.find(hit.key);
      if (item == kept.end()) return name + ", which was not there";
      const double distance = distance_between(pool, queries.places[query], item->second);
      if (double{hit.distance} != distances[i] || distance != distances[i]) return name + " at another distance";
      if (found.document(query, i) != document_of(item->second)) return name + " with another document";
    }
  }
  return "";
}
SearchOptions nearest() {
  SearchOptions options = exhaustive(kNearest);
  options.texts = HitTexts::kKeysAndDocuments;
  return options;
}

std::string wrong_store(const Store& store, const Matrix& pool, const Kept& kept) {
  if (store.size() != kept.size()) return "its size is " + std::to_string(store.size());
  std::size_t rows = 0;
  bool has_others = false;
  const Status visited = store.for_each_key([&](const Key& key, RowId) {
    ++rows;
    has_others = has_others || !kept.contains(key.number());
    return true;
  });
  if (!visited.is_ok()) return visited.message();
  if (has_others || rows != kept.size()) return "it has other keys, " + std::to_string(rows) + " of them";
  for (const auto& [key, place] : kept)
    if (std::string wrong = wrong_item(store, pool, key, place); !wrong.empty()) return wrong;
  const Queries queries(pool, kept);
  const auto found = store.search(queries.matrix.view(), nearest());
  return found ? wrong_hits(*found, pool, queries, kept) : found.error().message();
}

// Where calls stay until they are let go.
class Gate {
 public:
  void stay() {
    std::unique_lock guard(lock_);
    if (has_come_) return;  // a call passes here again and again
    has_come_ = true;
    changed_.notify_all();
    while (!is_open_) changed_.wait(guard);
  }
  void pass() {  // it ended before it came to stay()
    const std::scoped_lock guard(lock_);
    has_come_ = true;
    changed_.notify_all();
  }
  void wait_until_somebody_stays() {
    std::unique_lock guard(lock_);
    while (!has_come_) changed_.wait(guard);
  }
  void open() {
    const std::scoped_lock guard(lock_);
    is_open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool has_come_ = false;
  bool is_open_ = false;
};

// A call on a thread of its own that stays within, and what the store held as it began.
class Staying {
 public:
  Staying(const Merged& merged, std::function<std::string(Gate&, const Kept&)> call)
      : kept_(merged.kept()), thread_([this, call = std::move(call)] {
          wrong_ = call(gate_, kept_);
          gate_.pass();
        }) {
    gate_.wait_until_somebody_stays();
  }
  ~Staying() { gate_.open(); }
  Staying(const Staying&) = delete;
  Staying& operator=(const Staying&) = delete;

  std::string leave() {
    gate_.open();
    thread_.join();
    return wrong_;
  }

 private:
  Gate gate_;
  const Kept kept_;
  std::string wrong_;
  std::jthread thread_;
};

std::unique_ptr<Staying> stay_in_a_scan(Merged& merged) {
  return std::make_unique<Staying>(merged, [&store = merged.store()](Gate& gate, const Kept& kept) -> std::string {
    Kept seen;
    const Status visited = store.for_each_key([&](const Key& key, RowId row) {
      gate.stay();
      seen[key.number()] = row.value;
      return true;
    });
    if (!visited.is_ok()) return visited.message();
    const bool same_keys = std::ranges::equal(std::views::keys(seen), std::views::keys(kept));
    return same_keys ? "" : "a scan saw other keys, " + std::to_string(seen.size()) + " of them";
  });
}
std::unique_ptr<Staying> stay_in_a_search(Merged& merged) {
  return std::make_unique<Staying>(merged, [&merged](Gate& gate, const Kept& kept) -> std::string {
    const Queries queries(merged.pool(), kept);
    SearchOptions options = nearest();
    options.progress = [&](const Progress&) { gate.stay(); };
    const auto found = merged.store().search(queries.matrix.view(), options);
    return found ? wrong_hits(*found, merged.pool(), queries, kept) : found.error().message();
  });
}
std::string wrong_export(const ExportFiles& files, const Matrix& pool, const Kept& kept) {
  const auto lines_of = [](const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  };
  const std::vector<std::string> keys = lines_of(files.keys);
  const std::vector<std::string> documents = lines_of(files.documents);
  const auto vectors = open_vector_file(files.vectors);
  if (!vectors) return vectors.error().message();
  if (keys.size() != kept.size() || documents.size() != kept.size() || (*vectors)->rows() != kept.size())
    return "an export wrote " + std::to_string(keys.size()) + " rows";
  std::vector<std::byte> vector(pool.row_bytes());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto item = kept.find(std::stoull(keys[i]));
    if (item == kept.end()) return "an export wrote key " + keys[i];
    if (documents[i] != document_of(item->second)) return "an export wrote another document of key " + keys[i];
    if (const Status read = (*vectors)->read(i, 1, vector.data()); !read.is_ok()) return read.message();
    if (!std::ranges::equal(vector, std::span(pool.row(item->second).row(0), pool.row_bytes())))
      return "an export wrote another vector of key " + keys[i];
  }
  return "";
}
std::unique_ptr<Staying> stay_in_an_export(Merged& merged, const std::string& name) {
  return std::make_unique<Staying>(merged, [&merged, name](Gate& gate, const Kept& kept) -> std::string {
    const ExportFiles files{merged.path(name + ".u8bin"), merged.path(name + ".keys"),
                            merged.path(name + ".documents")};
    ExportOptions options;
    options.progress = [&](const Progress&) { gate.stay(); };
    const Status exported = merged.store().export_to(files, options);
    return exported.is_ok() ? wrong_export(files, merged.pool(), kept) : exported.message();
  });
}

BOOST_AUTO_TEST_SUITE(pinned_readers)

BOOST_AUTO_TEST_CASE(a_reader_answers_as_before_across_ten_switches_and_then_as_the_newest) {
  Merged merged;
  const Kept at_first = merged.kept();
  auto reader = Store::open(merged.path(), {.searchers = 2});
  REQUIRE_OK(reader);
  struct Opened {
    Store store;
    Kept kept;
  };
  std::vector<Opened> later;  // one for each generation
  std::atomic<int> rounds = 0;
  std::atomic<bool> ends = false;
  std::string wrong;
  const auto ask = [&] {
    while (!ends && wrong.empty()) {
      wrong = wrong_store(*reader, merged.pool(), at_first);
      ++rounds;
    }
    ends = true;
  };
  {
    const std::jthread asking(ask);
    const std::unique_ptr<std::atomic<bool>, void (*)(std::atomic<bool>*)> ending(
        &ends, [](std::atomic<bool>* flag) { *flag = true; });  // whatever is thrown here
    for (int merge = 0; merge < kSwitches; ++merge) {
      merged.merge();
      merged.write();
      auto opened = Store::open(merged.path());
      REQUIRE_OK(opened);
      later.push_back({std::move(*opened), merged.kept()});
      for (const int before = rounds; rounds < before + 2 && !ends;) std::this_thread::yield();
    }
  }
  BOOST_TEST(wrong == "");
  BOOST_TEST(wrong_store(*reader, merged.pool(), at_first) == "");
  BOOST_TEST(reader->info().generation == 1u);
  for (Opened& opened : later) BOOST_TEST(wrong_store(opened.store, merged.pool(), opened.kept) == "");
  later.push_back({std::move(*reader), at_first});
  for (Opened& opened : later) {
    REQUIRE_OK(opened.store.refresh());
    BOOST_TEST(wrong_store(opened.store, merged.pool(), merged.kept()) == "");
    BOOST_TEST(opened.store.info().generation == 1u + kSwitches);
  }
}

BOOST_AUTO_TEST_CASE(calls_that_stay_answer_from_their_own_moment_across_ten_switches) {
  Merged merged;
  std::vector<std::unique_ptr<Staying>> staying;
  for (int merge = 0; merge < kSwitches; ++merge) {
    staying.push_back(stay_in_a_scan(merged));
    staying.push_back(stay_in_a_search(merged));
    staying.push_back(stay_in_an_export(merged, "export-" + std::to_string(merge)));
    merged.write();
    merged.merge();
    merged.write();
    BOOST_TEST(wrong_store(merged.store(), merged.pool(), merged.kept()) == "");
  }
  // They leave in any order, between further merges.
  Random random(5);
  while (!staying.empty()) {
    const auto one = staying.begin() + static_cast<std::ptrdiff_t>(random.below(staying.size()));
    BOOST_TEST((*one)->leave() == "");
    staying.erase(one);
    if (staying.size() % 6 != 0) continue;
    merged.merge();
    merged.write();
    BOOST_TEST(wrong_store(merged.store(), merged.pool(), merged.kept()) == "");
  }
}

// Memory that is in use, of the budget and of what was put.
std::uint64_t memory_of(const Store& store) { return store.info().ram_used_bytes + store.stats().delta_bytes; }

BOOST_AUTO_TEST_CASE(what_calls_keep_is_told_until_they_end) {
  Merged merged;
  std::vector<std::unique_ptr<Staying>> staying;
  std::uint64_t disk_bytes = 0;
  for (std::uint64_t merge = 0; merge < 3; ++merge) {
    const StoreStats before = merged.store().stats();
    staying.push_back(merge == 1 ? stay_in_a_search(merged) : stay_in_a_scan(merged));
    BOOST_TEST(merged.store().stats().old_readers == merge);  // this one reads what is the newest yet
    disk_bytes += merged.store().info().disk_bytes;
    merged.merge();
    const StoreStats stats = merged.store().stats();
    BOOST_TEST(stats.old_generations == merge + 1);
    BOOST_TEST(stats.old_readers == merge + 1);
    BOOST_TEST(stats.old_disk_bytes == disk_bytes);
    BOOST_TEST(stats.old_memory_bytes > before.old_memory_bytes);
    const Metrics metrics = merged.store().metrics();
    BOOST_TEST(metrics.old_generations == stats.old_generations);
    BOOST_TEST(metrics.old_readers == stats.old_readers);
    BOOST_TEST(metrics.old_disk_bytes == stats.old_disk_bytes);
    BOOST_TEST(metrics.old_memory_bytes == stats.old_memory_bytes);
    BOOST_TEST(!std::filesystem::exists(merged.path("store/graph-" + std::to_string(merge + 1))));
  }
  const std::uint64_t told = merged.store().stats().old_memory_bytes;
  const std::uint64_t in_use = memory_of(merged.store());
  for (std::uint64_t left = 3; left-- > 0;) {
    BOOST_TEST(staying[left]->leave() == "");
    staying.pop_back();
    const StoreStats stats = merged.store().stats();
    BOOST_TEST(stats.old_generations == left);
    BOOST_TEST(stats.old_readers == left);
  }
  // But for small buffers, what they kept is what was told.
  const std::uint64_t freed = in_use - memory_of(merged.store());
  BOOST_TEST(freed >= told - told / 10);
  BOOST_TEST(freed <= told + told / 10);
  BOOST_TEST(merged.store().stats().old_memory_bytes == 0u);
  BOOST_TEST(merged.store().stats().old_disk_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(a_reader_that_refreshes_tells_what_its_own_calls_keep) {
  Merged merged;
  auto reader = Store::open(merged.path(), {.searchers = 2});
  REQUIRE_OK(reader);
  const std::uint64_t disk_bytes = reader->info().disk_bytes;
  Gate gate;
  std::jthread scanning([&] {
    static_cast<void>(reader->for_each_key([&](const Key&, RowId) {
      gate.stay();
      return true;
    }));
    gate.pass();
  });
  gate.wait_until_somebody_stays();
  merged.merge();
  const Status refreshed = reader->refresh();
  const StoreStats stats = reader->stats();
  gate.open();
  scanning.join();
  REQUIRE_OK(refreshed);
  BOOST_TEST(stats.old_generations == 1u);
  BOOST_TEST(stats.old_readers == 1u);
  BOOST_TEST(stats.old_disk_bytes == disk_bytes);
  BOOST_TEST(merged.store().stats().old_readers == 0u);  // another object's are not known here
  BOOST_TEST(reader->stats().old_generations == 0u);
}

// The reader is not broken, and the merge comes about once it has left.
BOOST_AUTO_TEST_CASE(a_merge_is_put_off_while_calls_keep_as_much_as_is_allowed) {
  Merged merged(1);
  const auto staying = stay_in_an_export(merged, "export");
  merged.merge();
  merged.write();
  const std::uint32_t generation = merged.store().info().generation;
  const auto refused = merged.store().compact();
  BOOST_REQUIRE((code_of(refused) == Code::kBusy));
  BOOST_TEST(refused.error().message().find("reader_bytes_max") != std::string::npos, message_of(refused));
  const StoreStats stats = merged.store().stats();
  BOOST_TEST(refused.error().number() == stats.old_memory_bytes + stats.old_disk_bytes);
  BOOST_TEST(merged.store().info().generation == generation);
  BOOST_TEST(!stats.is_merging);
  merged.write();
  BOOST_TEST(wrong_store(merged.store(), merged.pool(), merged.kept()) == "");
  BOOST_TEST(staying->leave() == "");
  merged.merge();
  BOOST_TEST(wrong_store(merged.store(), merged.pool(), merged.kept()) == "");
}

BOOST_AUTO_TEST_CASE(a_merge_in_the_background_that_is_put_off_says_why) {
  const TemporaryDirectory directory;
  const Matrix base = csift(100);
  REQUIRE_OK(Store::create(directory.path("store"), {.dtype = base.dtype}));
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;
  options.log_bytes = 4u << 20;
  options.full_wait_ms = 1;
  options.merge_wait_ms = 600'000;
  options.merge_write_bytes = 0;
  options.reader_bytes_max = 1;
  auto store = Store::open(directory.path("store"), options);
  REQUIRE_OK(store);
  REQUIRE_OK(store->put(0, base.row(0)));
  Gate gate;
  const std::jthread scanning([&] {
    static_cast<void>(store->for_each_key([&](const Key&, RowId) {
      gate.stay();
      return true;
    }));
    gate.pass();
  });
  gate.wait_until_somebody_stays();
  Status outcome;
  Random random(1);
  std::string document(30'000, '\0');
  for (std::uint64_t key = 0; outcome.is_ok(); ++key) {
    for (char& c : document) c = static_cast<char>(random.next());
    const auto put = store->put(key % 50, base.row(key % 100), document);
    if (!put) outcome = put.error();
  }
  const StoreStats stats = store->stats();
  gate.open();
  BOOST_TEST((outcome.code() == Code::kNoSpace), outcome.message());
  BOOST_TEST(outcome.message().find("reader_bytes_max") != std::string::npos, outcome.message());
  BOOST_TEST(stats.merge_failure.find("reader_bytes_max") != std::string::npos, stats.merge_failure);
  BOOST_TEST(stats.merges == 1u);
  BOOST_TEST(stats.old_readers == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
