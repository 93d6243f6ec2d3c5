// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/lives.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/random.h"

namespace vecstore::soak {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::uint32_t kK = 10;
constexpr int kTriesToOpen = 200;        // a killed process may hold its locks for a moment
constexpr std::uint64_t kChecked = 300;  // keys, after every opening and of every snapshot
constexpr auto kBetweenSnapshots = milliseconds(3000);
constexpr auto kBetweenSearches = std::chrono::microseconds(500);  // so that merges, which give way, get on
constexpr std::size_t kSnapshotsKept = 2;
constexpr std::uint64_t kSnapshotsForEachCopy = 2;

struct Asked {
  Shared& shared;
  const Place& place;
  const Oracle& oracle = shared.oracle;

  VectorView row(std::uint64_t row) const { return {place.base.row(row), place.base.dtype, 1, place.base.dim}; }

  // Keys change by a cube, so that some are hot.
  static std::uint64_t key_of(Random& random) {
    const double share = static_cast<double>(random.below(1u << 30)) / (1u << 30);
    return std::min(kKeys - 1, static_cast<std::uint64_t>(std::pow(share, 3) * kKeys));
  }

  bool check_get(const Store& store, std::uint64_t key, std::optional<std::uint64_t> from = {}) {
    const std::uint64_t before = from.value_or(oracle.before());
    const auto item = store.get(key);
    const std::uint64_t after = oracle.after();
    ++shared.gets;
    if (!item && item.error().code() != Code::kNotFound) return fault("get: " + item.error().message());
    const Oracle::Possible possible = oracle.possible(key, before, after);
    if (possible.count == 0) {
      ++shared.forgotten;
      return true;
    }
    for (const std::uint64_t version : std::span(possible.versions).first(possible.count)) {
      if (!item && version == 0) return true;
      if (!item || version == 0) continue;
      const VectorView expected = row(row_of(key, version, place.base.rows));
      if (std::memcmp(item->vector.data(), expected.data, item->vector.size()) == 0 &&
          item->document == document_of(key, version))
        return true;
    }
    return fault("get: key " + std::to_string(key) + " " + (item ? "holds '" + item->document + "'" : "is gone") +
                 ", which it did not between batches " + std::to_string(before) + " and " + std::to_string(after));
  }

  // Every hit was there, at that distance, at some moment of the search.
  bool check_search(const Store& store, std::uint64_t query, std::optional<std::uint64_t> from = {}) {
    const std::uint64_t before = from.value_or(oracle.before());
    const auto results = store.search(row(query), {.k = kK});
    const std::uint64_t after = oracle.after();
    ++shared.searches;
    if (!results) return fault("search: " + results.error().message());
    std::unordered_set<std::uint64_t> seen;
    float last = 0;
    for (const Hit& hit : (*results)[0]) {
      ++shared.hits;
      if (hit.key >= kKeys || !seen.insert(hit.key).second || hit.distance < last)
        return fault("search: key " + std::to_string(hit.key) + " is none, twice there or out of order");
      last = hit.distance;
      if (!check_hit(hit, query, before, after)) return false;
    }
    return true;
  }

  bool check_hit(const Hit& hit, std::uint64_t query, std::uint64_t before, std::uint64_t after) {
    const Oracle::Possible possible = oracle.possible(hit.key, before, after);
    if (possible.count == 0) {
      ++shared.forgotten;
      return true;
    }
    for (const std::uint64_t version : std::span(possible.versions).first(possible.count))
      if (version != 0 && hit.distance == squared_distance(place.base, row_of(hit.key, version, place.base.rows),
                                                           place.base.row(query)))
        return true;
    return fault("search: key " + std::to_string(hit.key) + " at " + std::to_string(hit.distance) +
                 ", which it was not between batches " + std::to_string(before) + " and " + std::to_string(after));
  }

  bool fault(const std::string& words) const {
    note_fault(shared, words);
    return false;
  }
};

std::optional<Store> open(Shared& shared, const Place& place, const OpenOptions& options) {
  for (int left = kTriesToOpen;; --left) {
    auto store = Store::open(place.store, options);
    if (store) return std::move(*store);
    const bool may_pass = store.error().code() == Code::kBusy || store.error().code() == Code::kNotFound;
    if (!may_pass || left == 0) {
      note_fault(shared, "open: " + store.error().message());
      return std::nullopt;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
}

// The batch that a crash broke off came through as a whole, or not at all.
bool settle_pending(Asked& asked, const Store& store) {
  Oracle& oracle = asked.shared.oracle;
  if (!oracle.is_pending()) return true;
  const std::uint64_t batch = oracle.begun.load();
  std::uint64_t kept = 0, lost = 0;
  for (const std::uint64_t key : std::span(oracle.pending_keys).first(oracle.pending.load())) {
    const KeyHistory& history = oracle.keys[key];
    const std::uint64_t count = history.count.load();
    const std::uint64_t version = count == 0 ? 0 : history.versions[(count - 1) % KeyHistory::kKept].load();
    if (version >> 1 != batch) {
      ++lost;  // it was not even noted
      continue;
    }
    const auto item = store.get(key);
    if (!item && item.error().code() != Code::kNotFound) return asked.fault("get: " + item.error().message());
    const bool erases = (version & 1) != 0;
    if (erases) {
      // That it is gone says nothing where it was gone before.
      const bool was_live = count > 1 && (history.versions[(count - 2) % KeyHistory::kKept].load() & 1) == 0;
      if (was_live) ++(item ? lost : kept);
    } else {
      ++(item && item->document == document_of(key, batch) ? kept : lost);
    }
  }
  if (kept != 0 && lost != 0)
    return asked.fault("batch " + std::to_string(batch) + " came through in part: " + std::to_string(kept) + " of " +
                       std::to_string(kept + lost));
  ++(lost == 0 ? asked.shared.pending_kept : asked.shared.pending_lost);
  lost == 0 ? oracle.acknowledge() : oracle.withdraw();
  return true;
}

bool check_whole(Asked& asked, const Store& store, Random& random) {
  if (store.size() != asked.oracle.live())
    return asked.fault("the store has " + std::to_string(store.size()) + " rows, and should have " +
                       std::to_string(asked.oracle.live()));
  for (std::uint64_t i = 0; i < kChecked; ++i)
    if (!asked.check_get(store, random.below(kKeys))) return false;
  for (std::uint64_t i = 0; i < kChecked; ++i) {
    const std::uint64_t key = random.below(kKeys);
    const Oracle::Possible now = asked.oracle.possible(key, asked.oracle.before(), asked.oracle.after());
    if (now.count != 1 || now.versions[0] == 0) continue;
    const std::uint64_t row = row_of(key, now.versions[0], asked.place.base.rows);
    const auto hits = store.search(asked.row(row), {.k = 1});
    if (!hits) return asked.fault("search: " + hits.error().message());
    ++asked.shared.self_asked;
    if ((*hits)[0].empty() || (*hits)[0][0].distance != 0) ++asked.shared.self_missed;
  }
  return true;
}

// Puts and erases until it is told to stop. False: a fault.
bool write(Asked& asked, Store& store, Random& random, bool& goes_on) {
  Oracle& oracle = asked.shared.oracle;
  std::vector<std::uint64_t> numbers;
  while (numbers.size() < 1 + random.below(kBatchMost)) {
    const std::uint64_t key = Asked::key_of(random);
    if (std::ranges::find(numbers, key) == numbers.end()) numbers.push_back(key);
  }
  const bool erases = random.below(5) == 0;
  const std::uint64_t batch = oracle.begin(numbers, erases);
  std::vector<Key> keys(numbers.begin(), numbers.end());
  std::vector<std::byte> vectors;
  std::vector<std::string> texts;
  std::vector<std::string_view> documents;
  for (const std::uint64_t key : numbers) {
    const VectorView row = asked.row(row_of(key, batch, asked.place.base.rows));
    const auto* values = static_cast<const std::byte*>(row.data);
    vectors.insert(vectors.end(), values, values + row.dim);
    texts.push_back(document_of(key, batch));
  }
  documents.assign(texts.begin(), texts.end());
  const auto receipt =
      erases ? store.erase_batch(keys)
             : store.put_batch(keys, {vectors.data(), DType::kU8, keys.size(), asked.place.base.dim}, documents);
  if (receipt) {
    oracle.acknowledge();
    ++asked.shared.batches;
    (erases ? asked.shared.rows_erased : asked.shared.rows_put) += receipt->rows;
    return true;
  }
  const Code code = receipt.error().code();
  if (code == Code::kIo) {  // its outcome is known once the store is opened again
    goes_on = false;
    return true;
  }
  oracle.withdraw();
  ++asked.shared.refused;
  if (code == Code::kNoSpace) ++asked.shared.refused_for_disk;
  if (code != Code::kNoSpace && code != Code::kMemoryBudget)
    return asked.fault("a write was refused: " + receipt.error().message());
  std::this_thread::sleep_for(milliseconds(20));
  return true;
}

bool check_snapshot(Asked& asked, const std::string& path, std::uint64_t before, std::uint64_t after, Random& random) {
  const auto store = Store::open(path, {.ram_bytes = asked.place.ram_bytes});
  if (!store) return asked.fault("a snapshot does not open: " + store.error().message());
  for (std::uint64_t i = 0; i < kChecked; ++i) {
    const std::uint64_t key = random.below(kKeys);
    const auto item = store->get(key);
    if (!item && item.error().code() != Code::kNotFound) return asked.fault("snapshot: " + item.error().message());
    const Oracle::Possible possible = asked.oracle.possible(key, before, after);
    const auto versions = std::span(possible.versions).first(possible.count);
    const auto is_it = [&](std::uint64_t version) {
      return version == 0 ? !item.has_value() : item && item->document == document_of(key, version);
    };
    if (versions.empty() ? false : std::ranges::none_of(versions, is_it))
      return asked.fault("a snapshot holds of key " + std::to_string(key) + " what the store did not");
  }
  return true;
}

// One snapshot, which is checked; older ones go. Every few a copy, verified.
bool take_snapshot(Asked& asked, Store& store, std::uint64_t number, Random& random) {
  const std::uint64_t before = asked.oracle.before();
  const std::string name = "soak-" + std::to_string(before) + "-" + std::to_string(number);
  const auto taken = store.snapshot(name);
  const std::uint64_t after = asked.oracle.after();
  if (!taken) {
    // A full disk, or a store that is closed or takes no more writes.
    const Code code = taken.error().code();
    const bool may_be = code == Code::kNoSpace || code == Code::kIo || code == Code::kCancelled ||
                        code == Code::kMemoryBudget || code == Code::kInvalidArgument;
    return may_be || asked.fault("snapshot: " + taken.error().message());
  }
  ++asked.shared.snapshots;
  if (!check_snapshot(asked, taken->path, before, after, random)) return false;
  auto all = Store::snapshots(asked.place.store);
  if (!all) return asked.fault("snapshots: " + all.error().message());
  std::ranges::sort(*all, {}, &SnapshotInfo::lsn);
  for (std::size_t i = 0; i + kSnapshotsKept < all->size(); ++i)
    if (const Status gone = Store::remove_snapshot(asked.place.store, (*all)[i].name); !gone.is_ok())
      return asked.fault("a snapshot does not go: " + gone.message());
  if (number % kSnapshotsForEachCopy != 0) return true;
  const std::string to = asked.place.copies + "/" + name;
  const auto copied = Store::copy(taken->path, to);
  std::error_code ignored;
  fs::remove_all(to, ignored);
  if (!copied && copied.error().code() != Code::kNoSpace && copied.error().code() != Code::kIo)
    return asked.fault("copy: " + copied.error().message());
  if (copied) ++asked.shared.copies;
  return true;
}

}  // namespace

void note_fault(Shared& shared, const std::string& words) {
  if (shared.faults++ != 0) return;
  const std::size_t bytes = std::min(words.size(), shared.fault.size() - 1);
  std::memcpy(shared.fault.data(), words.data(), bytes);
}

OpenOptions writer_options(const Place& place) {
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.ram_bytes = place.ram_bytes;
  options.delta_bytes = place.ram_bytes / 8;
  options.log_bytes = 16u << 20;
  options.searchers = 2;
  options.merge_wait_ms = 20'000;
  return options;
}

int live_as_writer(Shared& shared, const Place& place, std::uint64_t seed) {
  Random random(seed);
  Asked asked{shared, place};
  std::optional<Store> store = open(shared, place, writer_options(place));
  if (!store || !settle_pending(asked, *store) || !check_whole(asked, *store, random)) return 1;
  ++shared.lives;
  std::atomic<bool> ends = false;
  bool goes_on = true;
  {
    std::jthread searching([&] {
      Random own(seed + 1);
      while (!ends) {
        if (!asked.check_search(*store, own.below(place.base.rows))) ends = true;
        if (!asked.check_get(*store, Asked::key_of(own))) ends = true;
        std::this_thread::sleep_for(kBetweenSearches);
      }
    });
    std::jthread keeping([&] {
      Random own(seed + 2);
      auto due = std::chrono::steady_clock::now() + kBetweenSnapshots;
      for (std::uint64_t number = 1; !ends; std::this_thread::sleep_for(milliseconds(20))) {
        if (std::chrono::steady_clock::now() < due) continue;
        if (!take_snapshot(asked, *store, number++, own)) ends = true;
        due = std::chrono::steady_clock::now() + kBetweenSnapshots;
      }
    });
    while (goes_on && !ends && !shared.stops)
      if (!write(asked, *store, random, goes_on)) break;
    ends = true;
  }
  const StoreStats stats = store->stats();
  shared.merges += stats.merges;
  if (!stats.merge_failure.empty()) ++shared.merge_failures;
  if (shared.faults != 0) return 1;
  if (!goes_on) return 2;
  const Status closed = store->close();
  return closed.is_ok() || closed.code() == Code::kNoSpace ? 0 : (note_fault(shared, "close: " + closed.message()), 1);
}

int live_as_reader(Shared& shared, const Place& place, std::uint64_t seed) {
  Random random(seed);
  Asked asked{shared, place};
  OpenOptions options;
  options.ram_bytes = place.ram_bytes;
  std::optional<Store> store = open(shared, place, options);
  if (!store) return 1;
  while (!shared.reader_stops) {
    // What was acknowledged before a refresh is there behind it.
    const std::uint64_t before = asked.oracle.before();
    const Status moved = store->refresh();
    if (moved.code() == Code::kBusy) {  // a writer is just beginning
      std::this_thread::sleep_for(milliseconds(1));
      continue;
    }
    if (!moved.is_ok()) {
      note_fault(shared, "refresh: " + moved.message());
      return 1;
    }
    ++shared.refreshes;
    for (int i = 0; i < 20; ++i) {
      if (!asked.check_search(*store, random.below(place.base.rows), before)) return 1;
      if (!asked.check_get(*store, Asked::key_of(random), before)) return 1;
      ++shared.reader_searches;
      std::this_thread::sleep_for(kBetweenSearches);
    }
  }
  return 0;
}

}  // namespace vecstore::soak
