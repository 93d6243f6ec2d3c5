// SPDX-License-Identifier: Apache-2.0
//
// Metrics of an open store: what is known to have been called is counted, to the last row and from any number of
// threads.
#include "engine/metrics.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/engine/child.h"
#include "tests/engine/stores.h"
#include "tests/prometheus_text.h"

using namespace vecstore;
using test::code_of;

namespace {

// What the results of searches say, added up.
struct Added {
  std::uint64_t queries = 0, requests = 0, bytes = 0, from_cache = 0;
  std::uint64_t latency_us = 0;  // each cut to whole microseconds
  double reads = 0;

  void add(const SearchResults& results) {
    for (std::size_t query = 0; query < results.size(); ++query) {
      const QueryStats& stats = results.stats(query);
      ++queries;
      requests += stats.requests;
      bytes += stats.bytes;
      from_cache += stats.pages_from_cache;
      latency_us += stats.latency_us;
      reads += reads_of_4k(stats.requests, stats.bytes);
    }
  }
};

void check_searches(const Metrics& metrics, const Added& added, std::uint64_t batches) {
  BOOST_TEST(metrics.search_batches == batches);
  BOOST_TEST(metrics.queries == added.queries);
  BOOST_TEST(metrics.query_latency.count() == added.queries);
  BOOST_TEST(metrics.query_latency.sum_ns / 1000 >= added.latency_us);
  BOOST_TEST(metrics.query_latency.sum_ns / 1000 <= added.latency_us + added.queries);
  BOOST_TEST(metrics.read_requests == added.requests);
  BOOST_TEST(metrics.read_bytes == added.bytes);
  BOOST_TEST(metrics.pages_from_cache == added.from_cache);
  BOOST_TEST(metrics.reads_of_4k() == added.reads, boost::test_tools::tolerance(1e-9));
}

void check_writes(const Metrics::Writes& writes, const Metrics::Writes& expected) {
  BOOST_TEST(writes.batches == expected.batches);
  BOOST_TEST(writes.rows == expected.rows);
  BOOST_TEST(writes.refused == expected.refused);
}

void check_state(const Store& store) {
  const Metrics metrics = store.metrics();
  const StoreStats stats = store.stats();
  const StoreInfo info = store.info();
  BOOST_TEST(metrics.rows == stats.rows);
  BOOST_TEST(metrics.delta_rows == stats.delta_rows);
  BOOST_TEST(metrics.delta_bytes == stats.delta_bytes);
  BOOST_TEST(metrics.log_bytes == stats.wal_bytes);
  BOOST_TEST(metrics.log_syncs == stats.syncs);
  BOOST_TEST(metrics.log_sync_latency.count() == stats.syncs);
  BOOST_TEST(metrics.last_lsn == stats.last_lsn);
  BOOST_TEST(metrics.durable_lsn == stats.durable_lsn);
  BOOST_TEST(metrics.memory_limit_bytes == info.ram_budget_bytes);
  BOOST_TEST(metrics.memory_used_bytes == info.ram_used_bytes);
  BOOST_TEST(metrics.memory_peak_bytes == info.ram_peak_bytes);
  BOOST_TEST(metrics.pages_cached == info.pages_cached);
  BOOST_TEST(metrics.pages_replaced == info.pages_replaced);
}

struct Made {
  explicit Made(const OpenOptions& more = {}) {
    REQUIRE_OK(Store::create(path, {base.dim, base.dtype, Metric::kL2, KeyKind::kNumber}));
    OpenOptions options = more;
    options.access = Access::kReadWrite;
    auto opened = Store::open(path, options);
    REQUIRE_OK(opened);
    store = std::make_unique<Store>(std::move(*opened));
  }
  Status put(std::uint64_t key, std::uint64_t rows = 1) const {
    std::vector<Key> keys;
    for (std::uint64_t i = 0; i < rows; ++i) keys.emplace_back(key + i);
    const auto receipt = store->put_batch(keys, {base.row(0).data, base.dtype, rows, base.dim, 0});
    return receipt ? Status::ok() : receipt.error();
  }

  test::TemporaryDirectory directory;
  std::string path = directory.path("s");
  test::Matrix base = test::csift(1000);
  std::unique_ptr<Store> store;
};

// Some pages, each sixteenth behind the header.
void overwrite_pages(const std::string& path, std::uint64_t page_bytes) {
  const std::uint64_t bytes = std::filesystem::file_size(path);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (std::uint64_t at = page_bytes; at < bytes; at += 16 * page_bytes) {
    file.seekp(static_cast<std::streamoff>(at));
    file << std::string(page_bytes, 'x');
  }
  BOOST_REQUIRE(file.good());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(searches_are_counted_as_their_results_say) {
  const test::TemporaryDirectory directory;
  const Store store = test::build_and_open(directory.path("s"), test::csift(2000), test::build_options(Metric::kL2),
                                           {.cache_fraction = .2, .fixed_cache = true});
  const test::Matrix queries = test::csift_queries(14);
  Added added;
  check_searches(store.metrics(), added, 0);
  std::uint64_t batches = 0;
  for (const std::uint64_t size : {1, 5, 8}) {
    const VectorView some{queries.row(added.queries).data, queries.dtype, size, queries.dim, 0};
    added.add(test::search(store, some, {.k = 10}));
    check_searches(store.metrics(), added, ++batches);
  }
  added.add(test::search(store, {queries.bytes.data(), queries.dtype, 0, queries.dim, 0}, {.k = 10}));
  const Metrics metrics = store.metrics();
  check_searches(metrics, added, 4);
  BOOST_TEST(metrics.queries == 14u);
  BOOST_TEST(metrics.search_batches_failed == 0u);
  BOOST_TEST(metrics.read_requests > 0u);
  BOOST_TEST(metrics.pages_from_cache > 0u);
  BOOST_TEST(metrics.read_pages * store.info().page_bytes == metrics.read_bytes);
  check_state(store);
}

BOOST_AUTO_TEST_CASE(originals_that_full_precision_reads_are_pages_too) {
  const test::TemporaryDirectory directory;
  BuildOptions build = test::build_options(Metric::kCosine);
  build.page_bytes = 8192;
  build.vector_bits = 8;
  const Store store = test::build_and_open(directory.path("s"), test::win384(600), build);
  const test::Matrix queries = test::win384_queries(6);
  Added plain, full;
  plain.add(test::search(store, queries.view(), {.k = 10}));
  const std::uint64_t graph_pages = store.metrics().read_pages;
  BOOST_TEST(graph_pages * 8192 == plain.bytes);
  full.add(test::search(store, queries.view(), {.k = 10, .full_precision = true}));
  // Originals lie in pages of 4 KiB.
  BOOST_TEST(full.bytes > plain.bytes);
  const std::uint64_t originals = (full.bytes - plain.bytes) / 4096;
  BOOST_TEST(store.metrics().read_pages == 2 * graph_pages + originals);
}

BOOST_AUTO_TEST_CASE(a_search_that_fails_is_counted_as_failed_and_nothing_else) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  const Store store = test::build_and_open(path, test::csift(2000), test::build_options(Metric::kL2), {.lanes = 1});
  const test::Matrix queries = test::csift_queries(40);
  BOOST_TEST((code_of(store.search(test::win384_queries(1).view())) != Code::kOk));
  BOOST_TEST((code_of(store.search(queries.view(), {.k = 0})) != Code::kOk));
  BOOST_TEST((code_of(store.search(queries.view(), {.k = 10}, 0)) != Code::kOk));
  BOOST_TEST(store.metrics().search_batches_failed == 3u);
  check_searches(store.metrics(), {}, 0);
  Added added;
  added.add(test::search(store, queries.view(), {.k = 10}));
  check_searches(store.metrics(), added, 1);
  BOOST_TEST(store.metrics().search_batches_failed == 3u);
  overwrite_pages(path + "/graph-1", store.info().page_bytes);
  // One query that meets no damaged page, and behind it in the same batch one that does.
  const SearchOptions narrow{.k = 5, .search_list = 5, .blocks = 10};
  test::Matrix both{{}, queries.dtype, queries.dim};
  std::uint64_t batches = 1, failed = 3;
  for (std::uint64_t query = 0; query < queries.rows() && both.rows() < 2; ++query) {
    const auto results = store.search(queries.row(query), narrow);
    if (results) added.add(*results);
    ++(results ? batches : failed);
    if (results.has_value() != (both.rows() == 0)) continue;
    const auto* first = queries.bytes.data() + query * queries.row_bytes();
    both.bytes.insert(both.bytes.end(), first, first + queries.row_bytes());
  }
  BOOST_REQUIRE(both.rows() == 2u);
  BOOST_TEST((code_of(store.search(both.view(), narrow)) == Code::kCorrupt));
  check_searches(store.metrics(), added, batches);
  BOOST_TEST(store.metrics().search_batches_failed == failed + 1);
}

BOOST_AUTO_TEST_CASE(searches_of_several_threads_lose_nothing) {
  constexpr std::uint32_t kThreads = 4;
  constexpr int kEach = 40, kEachFailed = 1000;
  const test::TemporaryDirectory directory;
  const Store store = test::build_and_open(directory.path("s"), test::csift(1500), test::build_options(Metric::kL2),
                                           {.cache_fraction = .3, .searchers = kThreads});
  const test::Matrix queries = test::csift_queries(5);
  std::vector<Added> added(kThreads);
  std::atomic<std::uint64_t> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          const auto results = store.search(queries.view(), {.k = 5}, 1 + thread % 2);
          if (results) added[thread].add(*results);
        }
        for (int i = 0; i < kEachFailed; ++i)
          if (!store.search(queries.view(), {.k = 0})) ++failed;
      });
  }
  Added all;
  for (const Added& one : added) {
    all.queries += one.queries;
    all.requests += one.requests;
    all.bytes += one.bytes;
    all.from_cache += one.from_cache;
    all.latency_us += one.latency_us;
    all.reads += one.reads;
  }
  BOOST_TEST(all.queries == std::uint64_t{kThreads} * kEach * queries.rows());
  check_searches(store.metrics(), all, std::uint64_t{kThreads} * kEach);
  BOOST_TEST(store.metrics().search_batches_failed == failed);
  BOOST_TEST(failed == std::uint64_t{kThreads} * kEachFailed);
}

BOOST_AUTO_TEST_CASE(writes_are_counted_by_call_row_and_refusal) {
  const Made made;
  Store& store = *made.store;
  REQUIRE_OK(store.put(1, made.base.row(0)));
  REQUIRE_OK(made.put(10, 7));
  REQUIRE_OK(store.put_batch({}, VectorView{nullptr, made.base.dtype, 0, made.base.dim, 0}));
  REQUIRE_OK(store.put(10, made.base.row(3)));  // in the place of another
  check_writes(store.metrics().puts, {4, 9, 0});
  BOOST_TEST(!store.put("text", made.base.row(0)).has_value());
  BOOST_TEST(!store.put(2, test::win384(1).view()).has_value());
  BOOST_TEST(!store.put_batch({}, made.base.view()).has_value());
  check_writes(store.metrics().puts, {4, 9, 3});
  REQUIRE_OK(store.erase(11));
  const std::vector<Key> keys = {Key(12), Key(99), Key(13), Key(12)};
  REQUIRE_OK(store.erase_batch(keys));
  REQUIRE_OK(store.erase(98));
  BOOST_TEST(!store.erase("text").has_value());
  const Metrics metrics = store.metrics();
  check_writes(metrics.puts, {4, 9, 3});
  check_writes(metrics.erasures, {3, 3, 1});
  BOOST_TEST(metrics.write_latency.count() == metrics.puts.batches + metrics.erasures.batches);
  BOOST_TEST(metrics.rows == 5u);
  BOOST_TEST(metrics.log_syncs == 5u);  // one for each write that had something to log
  check_state(store);
  REQUIRE_OK(store.close());
  BOOST_TEST(!store.put(3, made.base.row(0)).has_value());
  BOOST_TEST(!store.erase(1).has_value());
  check_writes(store.metrics().puts, {4, 9, 4});
  check_writes(store.metrics().erasures, {3, 3, 2});
}

BOOST_AUTO_TEST_CASE(puts_that_find_the_delta_full_are_refused) {
  const Made made({.delta_bytes = 1u << 20, .full_wait_ms = 0, .merge = MergePolicy::kManual});
  std::uint64_t batches = 0;
  while (batches < 100 && made.put(batches * 500, 500).is_ok()) ++batches;
  BOOST_REQUIRE(batches > 0u);
  BOOST_REQUIRE(batches < 100u);
  check_writes(made.store->metrics().puts, {batches, 500 * batches, 1});
  BOOST_TEST(made.store->metrics().rows == 500 * batches);
  BOOST_TEST(made.store->metrics().delta_bytes > 0u);
  check_state(*made.store);
}

BOOST_AUTO_TEST_CASE(writes_of_several_threads_lose_nothing_and_no_count_goes_back) {
  constexpr std::uint64_t kThreads = 4, kEach = 30, kRows = 3, kEachRefused = 1000;
  const Made made({.sync = SyncMode::kNone});
  Store& store = *made.store;
  std::atomic<int> failures = 0, steps_back = 0;
  {
    std::jthread watcher([&](const std::stop_token& stop) {
      for (Metrics before; !stop.stop_requested();) {
        const Metrics now = store.metrics();
        const bool grows = now.puts.rows >= before.puts.rows && now.erasures.rows >= before.erasures.rows &&
                           now.write_latency.count() >= before.write_latency.count() &&
                           now.last_lsn >= before.last_lsn && now.durable_lsn <= now.last_lsn;
        if (!grows) ++steps_back;
        before = now;
      }
    });
    std::vector<std::jthread> threads;
    for (std::uint64_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        for (std::uint64_t i = 0; i < kEach; ++i) {
          const std::uint64_t key = (thread * kEach + i) * kRows;
          if (!made.put(key, kRows).is_ok() || !store.erase(key)) ++failures;
        }
        for (std::uint64_t i = 0; i < kEachRefused; ++i)
          if (store.put("text", made.base.row(0))) ++failures;
      });
  }
  BOOST_TEST(failures == 0);
  BOOST_TEST(steps_back == 0);
  const Metrics metrics = store.metrics();
  check_writes(metrics.puts, {kThreads * kEach, kThreads * kEach * kRows, kThreads * kEachRefused});
  check_writes(metrics.erasures, {kThreads * kEach, kThreads * kEach, 0});
  BOOST_TEST(metrics.write_latency.count() == 2 * kThreads * kEach);
  check_state(store);
}

BOOST_AUTO_TEST_CASE(a_reader_tells_what_it_follows_and_counts_its_own_calls) {
  const Made made;
  REQUIRE_OK(made.put(1, 20));
  auto reader = Store::open(made.path);
  REQUIRE_OK(reader);
  BOOST_TEST(reader->metrics().rows == 20u);
  REQUIRE_OK(made.store->erase(4));
  BOOST_TEST(reader->metrics().rows == 20u);
  REQUIRE_OK(reader->refresh());
  Added added;
  added.add(test::search(*reader, made.base.row(2), {.k = 3}));
  BOOST_TEST((code_of(reader->put(5, made.base.row(0))) == Code::kPermission));
  BOOST_TEST((code_of(reader->erase(5)) == Code::kPermission));
  const Metrics metrics = reader->metrics();
  check_searches(metrics, added, 1);
  check_writes(metrics.puts, {0, 0, 1});
  check_writes(metrics.erasures, {0, 0, 1});
  BOOST_TEST(metrics.rows == 19u);
  BOOST_TEST(metrics.last_lsn == 21u);
  BOOST_TEST(metrics.log_syncs == 0u);
  BOOST_TEST(metrics.log_bytes > 0u);
  check_state(*reader);
  BOOST_TEST(made.store->metrics().search_batches == 0u);
}

BOOST_AUTO_TEST_CASE(memory_and_cache_are_those_of_the_budget) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  const test::Matrix base = test::csift(3000);
  const Store store =
      test::build_and_open(path, base, test::build_options(Metric::kL2), {.ram_bytes = 4u << 20, .cache_fraction = .1});
  for (std::uint64_t first = 0; first < 3000; first += 500)
    test::search(store, {base.row(first).data, base.dtype, 500, base.dim, 0}, {.k = 10});
  const Metrics metrics = store.metrics();
  BOOST_TEST(metrics.memory_limit_bytes == 4u << 20);
  BOOST_TEST(metrics.memory_used_bytes > 0u);
  BOOST_TEST(metrics.memory_used_bytes <= metrics.memory_peak_bytes);
  BOOST_TEST(metrics.memory_peak_bytes <= metrics.memory_limit_bytes);
  BOOST_TEST(metrics.pages_cached > 0u);
  BOOST_TEST(metrics.pages_replaced > 0u);
  check_state(store);
  const auto unbounded = Store::open(path);
  REQUIRE_OK(unbounded);
  BOOST_TEST(unbounded->metrics().memory_limit_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(a_child_of_fork_sees_nothing) {
  const Made made;
  REQUIRE_OK(made.put(1, 20));
  test::search(*made.store, made.base.row(2), {.k = 3});
  const std::string nothing = to_prometheus({});
  BOOST_TEST(to_prometheus(made.store->metrics()) != nothing);
  const test::Said said = test::in_child([&] {
    static_cast<void>(made.store->put(1, made.base.row(0)));
    static_cast<void>(made.store->search(made.base.row(0)));
    return to_prometheus(made.store->metrics()) == nothing ? Status::ok() : Status(Code::kIo, "it sees something");
  });
  BOOST_TEST((said.code == Code::kOk), said.message);
  const Metrics metrics = made.store->metrics();
  check_writes(metrics.puts, {1, 20, 0});
  BOOST_TEST(metrics.search_batches == 1u);
  BOOST_TEST(metrics.search_batches_failed == 0u);
}

BOOST_AUTO_TEST_CASE(the_metrics_of_a_store_in_use_are_sound_text) {
  const Made made;
  REQUIRE_OK(made.put(1, 20));
  test::search(*made.store, made.base.row(2), {.k = 3});
  const test::PrometheusText text(to_prometheus(made.store->metrics()));
  BOOST_TEST(text.fault() == "");
  BOOST_TEST(text.value("vecstore_put_rows_total") == 20);
  BOOST_TEST(text.value("vecstore_write_latency_seconds_count") == 1);
  BOOST_TEST(text.value("vecstore_query_latency_seconds_count") == 1);
}

BOOST_AUTO_TEST_SUITE_END()
