// SPDX-License-Identifier: Apache-2.0
//
// Putting, erasing and getting by key, on real files.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <thread>

#include "base/random.h"
#include "engine/store/impl.h"
#include "engine/truth.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::code_of;

namespace {

OpenOptions writing() {
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.merge = MergePolicy::kManual;
  return options;
}

VectorView one(const std::vector<float>& vector) {
  return {vector.data(), DType::kF32, 1, static_cast<std::uint32_t>(vector.size())};
}

std::vector<float> random_vector(Random& random, std::uint32_t dim) {
  std::vector<float> vector(dim);
  for (float& x : vector) x = static_cast<float>(random.unit() * 2 - 1);
  return vector;
}

Store open_for_writing(const std::string& path, OpenOptions options = writing()) {
  auto store = Store::open(path, options);
  REQUIRE_OK(store);
  return std::move(*store);
}

std::set<std::string> keys_of_hits(const Store& store, std::span<const Hit> hits) {
  std::set<std::string> keys;
  for (const Hit& hit : hits) {
    const auto key = store.key(hit.row);
    REQUIRE_OK(key);
    keys.insert(*key);
  }
  return keys;
}

// A small store built from real rows, whose keys are their numbers.
struct Built {
  explicit Built(std::uint64_t rows) : base(test::csift(rows)) {
    REQUIRE_OK(Store::build(directory.path("idx"), *view_source(base.view()), test::build_options(Metric::kL2)));
  }
  VectorView row(std::uint64_t i) const { return {base.view().row(i), DType::kU8, 1, base.view().dim}; }
  std::string path() const { return directory.path("idx"); }

  test::TemporaryDirectory directory;
  test::Matrix base;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(store_write)

BOOST_AUTO_TEST_CASE(an_empty_store_takes_rows_at_once) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path));
  BOOST_CHECK(Store::create(path).code() == Code::kExists);
  {
    Store store = open_for_writing(path);
    BOOST_TEST(store.size() == 0u);
    const std::vector<float> query = {1, 2, 3};
    auto none = store.search(one(query));
    REQUIRE_OK(none);
    BOOST_TEST((*none)[0].empty());
    const auto receipt = store.put(17, one({1, 2, 3}), "first");
    REQUIRE_OK(receipt);
    BOOST_TEST(receipt->lsn == 1u);
    BOOST_TEST(receipt->durable_lsn == 1u);
    REQUIRE_OK(store.put(18, one({4, 5, 6.5})));
    const auto found = store.search(one(query), {.k = 5});
    REQUIRE_OK(found);
    BOOST_REQUIRE((*found)[0].size() == 2u);
    BOOST_TEST(store.key((*found)[0][0].row).value() == "17");
    BOOST_TEST((*found)[0][0].distance < 1e-3f);
    REQUIRE_OK(store.put(17, one({-1, -2, -3}), "second"));
    BOOST_TEST(store.size() == 2u);
    const auto erased = store.erase(18);
    REQUIRE_OK(erased);
    BOOST_TEST(erased->rows == 1u);
    BOOST_TEST(store.erase(18)->rows == 0u);
    REQUIRE_OK(store.close());
  }
  const auto store = Store::open(path);
  REQUIRE_OK(store);
  BOOST_TEST(store->size() == 1u);
  BOOST_TEST(store->info().dim == 3u);
  const auto item = store->get(17);
  REQUIRE_OK(item);
  BOOST_TEST(item->document == "second");
  const std::vector<float> expected = {-1, -2, -3};
  BOOST_REQUIRE(item->vector.size() == 12u);
  BOOST_TEST(std::ranges::equal(item->vector, std::as_bytes(std::span(expected))));
  BOOST_CHECK(code_of(store->get(18)) == Code::kNotFound);
  BOOST_TEST(store->contains(17).value());
  BOOST_TEST(!store->contains(18).value());
}

BOOST_AUTO_TEST_CASE(a_first_batch_that_is_refused_leaves_the_dimension_open) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path));
  OpenOptions options = writing();
  options.delta_bytes = 1u << 20;
  Store store = open_for_writing(path, options);
  const std::vector<float> many(4000 * 128, 1.0f);
  const std::vector<Key> keys(4000, Key(1));
  BOOST_CHECK(code_of(store.put_batch(keys, {many.data(), DType::kF32, 4000, 128})) == Code::kMemoryBudget);
  REQUIRE_OK(store.put(1, one({1, 2, 3})));
  const auto found = store.search(one({1, 2, 3}));
  REQUIRE_OK(found);
  BOOST_TEST((*found)[0].size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_was_put_is_searched_exactly_beside_the_graph) {
  const Built built(2000);
  const test::Matrix more = test::csift(3000);
  Store store = open_for_writing(built.path());
  // 1,000 new rows, every third row of the graph erased, every fifth replaced by another vector.
  std::map<std::uint64_t, std::uint64_t> row_of_key;  // the row of `more` that a key has
  for (std::uint64_t i = 0; i < 2000; ++i) row_of_key[i] = i;
  const auto put = [&](std::uint64_t key, std::uint64_t row) {
    REQUIRE_OK(store.put(key, {more.view().row(row), DType::kU8, 1, more.view().dim}));
    row_of_key[key] = row;
  };
  for (std::uint64_t i = 2000; i < 3000; ++i) put(i + 100000, i);
  for (std::uint64_t i = 0; i < 2000; i += 3) {
    BOOST_TEST(store.erase(i)->rows == 1u);
    row_of_key.erase(i);
  }
  for (std::uint64_t i = 0; i < 2000; i += 5) put(i, (i * 7 + 13) % 3000);
  for (std::uint64_t i = 100000 + 2000; i < 100000 + 2100; ++i) {
    BOOST_TEST(store.erase(i)->rows == 1u);
    row_of_key.erase(i);
  }
  const auto check = [&](const Store& opened) {
    BOOST_TEST(opened.size() == row_of_key.size());
    const test::Matrix queries = test::csift_queries(100);
    const auto results = opened.search(queries.view(), {.k = 10, .search_list = 200});
    REQUIRE_OK(results);
    std::uint64_t right = 0;
    for (std::uint64_t query = 0; query < 100; ++query) {
      std::vector<std::pair<std::uint32_t, std::uint64_t>> truth;
      const auto* q = reinterpret_cast<const std::uint8_t*>(queries.view().row(query));
      for (const auto& [key, row] : row_of_key) {
        const auto* x = reinterpret_cast<const std::uint8_t*>(more.view().row(row));
        std::uint32_t distance = 0;
        for (std::uint32_t d = 0; d < more.view().dim; ++d) distance += (q[d] - x[d]) * (q[d] - x[d]);
        truth.emplace_back(distance, key);
      }
      std::ranges::nth_element(truth, truth.begin() + 9);
      const std::uint32_t tenth = truth[9].first;
      BOOST_REQUIRE((*results)[query].size() == 10u);
      std::set<std::uint64_t> rows;
      for (const Hit& hit : (*results)[query]) {
        const auto key = opened.key(hit.row);
        REQUIRE_OK(key);
        BOOST_REQUIRE(row_of_key.contains(std::stoull(*key)));
        rows.insert(hit.row.value);
        if (hit.distance <= static_cast<float>(tenth)) ++right;
      }
      BOOST_TEST(rows.size() == 10u);
    }
    BOOST_TEST(right >= 985u);
  };
  check(store);
  REQUIRE_OK(store.close());
  const auto reader = Store::open(built.path());
  REQUIRE_OK(reader);
  check(*reader);
  BOOST_TEST(reader->stats().deleted_rows == 667u + 266u);
  // What lies on a page and what lies in memory come back alike.
  const test::Matrix all = test::csift(3000);
  for (const std::uint64_t key : {1ull, 10ull, 100000ull + 2500}) {
    const auto item = reader->get(key);
    REQUIRE_OK(item);
    BOOST_TEST(std::memcmp(item->vector.data(), all.view().row(row_of_key[key]), item->vector.size()) == 0);
  }
}

BOOST_AUTO_TEST_CASE(rows_that_are_gone_do_not_crowd_out_the_rest) {
  const Built built(2000);
  Store store = open_for_writing(built.path());
  // The 300 nearest of one row are erased: what is left is farther than any search would look at first.
  const auto near = store.search(built.row(7), {.k = 300, .search_list = 600});
  REQUIRE_OK(near);
  std::vector<Key> keys;
  for (const Hit& hit : (*near)[0]) keys.emplace_back(hit.row.value);
  const auto erased = store.erase_batch(keys);
  REQUIRE_OK(erased);
  BOOST_TEST(erased->rows == 300u);
  const auto left = store.search(built.row(7), {.k = 10});
  REQUIRE_OK(left);
  BOOST_TEST((*left)[0].size() == 10u);
  for (const Hit& hit : (*left)[0]) BOOST_TEST(hit.distance >= (*near)[0].back().distance);
}

BOOST_AUTO_TEST_CASE(byte_strings_name_rows_of_graph_and_memory) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("idx");
  const test::Matrix base = test::csift(50);
  std::string keys;
  for (int i = 0; i < 50; ++i) keys += "row " + std::to_string(i) + "\n";
  test::write_file(directory.path("keys"), {keys.begin(), keys.end()});
  BuildOptions options = test::build_options(Metric::kL2);
  options.keys_path = directory.path("keys");
  REQUIRE_OK(Store::build(path, *view_source(base.view()), options));
  Store store = open_for_writing(path);
  const auto row = [&](std::uint64_t i) { return VectorView{base.view().row(i), DType::kU8, 1, base.view().dim}; };
  REQUIRE_OK(store.put("row 3", row(40), "replaced"));
  REQUIRE_OK(store.put("new", row(41)));
  BOOST_TEST(store.erase("row 4")->rows == 1u);
  BOOST_TEST(store.size() == 50u);
  BOOST_TEST(store.get("row 3")->document == "replaced");
  BOOST_TEST(!store.contains("row 4").value());
  BOOST_CHECK(code_of(store.put(3, row(1))) == Code::kInvalidArgument);
  BOOST_CHECK(code_of(store.put("", row(1))) == Code::kInvalidArgument);
  BOOST_CHECK(code_of(store.put(std::string(481, 'k'), row(1))) == Code::kInvalidArgument);
  REQUIRE_OK(store.put(std::string(480, 'k'), row(1)));
  std::set<std::string> seen;
  REQUIRE_OK(store.for_each_key([&](const Key& key, RowId) { return seen.insert(key.to_string()).second; }));
  BOOST_TEST(seen.size() == 51u);
  BOOST_TEST(seen.contains("new"));
  BOOST_TEST(!seen.contains("row 4"));
  REQUIRE_OK(
      store.export_to({directory.path("out.u8bin"), directory.path("out.keys"), directory.path("out.documents")}));
  const auto out = open_vector_file(directory.path("out.u8bin"));
  REQUIRE_OK(out);
  BOOST_TEST((*out)->rows() == 51u);
  const std::vector<char> documents = test::read_file(directory.path("out.documents"));
  BOOST_TEST(std::ranges::count(documents, '\n') == 51);
  BOOST_TEST(std::string_view(documents.data(), documents.size()).find("\nreplaced\n") != std::string_view::npos);
  BOOST_CHECK(store.export_to({directory.path("out.fbin"), directory.path("other"), {}}).code() == Code::kUnsupported);
  BOOST_CHECK(store.export_to({directory.path("out.u8bin"), directory.path("other"), {}}).code() == Code::kExists);
}

BOOST_AUTO_TEST_CASE(a_batch_is_taken_in_order_and_wholly) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.dim = 2}));
  Store store = open_for_writing(path);
  const std::vector<float> vectors = {1, 1, 2, 2, 3, 3};
  const std::vector<Key> keys = {5, 6, 5};
  REQUIRE_OK(store.put_batch(keys, {vectors.data(), DType::kF32, 3, 2}));
  BOOST_TEST(store.size() == 2u);
  const auto item = store.get(5);
  REQUIRE_OK(item);
  float first = 0;
  std::memcpy(&first, item->vector.data(), sizeof first);
  BOOST_TEST(first == 3.0f);
  // One bad row, and nothing of the batch is taken.
  std::vector<float> bad = vectors;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  BOOST_CHECK(code_of(store.put_batch(std::vector<Key>{7, 8, 9}, {bad.data(), DType::kF32, 3, 2})) ==
              Code::kInvalidInput);
  BOOST_TEST(store.size() == 2u);
  BOOST_TEST(store.erase_batch(std::vector<Key>{5, 5, 77, 6})->rows == 2u);
  BOOST_TEST(store.size() == 0u);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_taken_is_refused_and_loses_nothing) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  BOOST_CHECK(Store::create(path, {.dim = 5000}).code() == Code::kInvalidArgument);
  REQUIRE_OK(Store::create(path, {.metric = Metric::kCosine}));
  Store store = open_for_writing(path);
  REQUIRE_OK(store.put(1, one({1, 0})));
  const std::vector<std::uint8_t> bytes = {1, 2};
  BOOST_CHECK(code_of(store.put(2, one({1, 0, 0}))) == Code::kInvalidInput);
  BOOST_CHECK(code_of(store.put(2, one({0, 0}))) == Code::kInvalidInput);
  BOOST_CHECK(code_of(store.put(2, one({INFINITY, 0}))) == Code::kInvalidInput);
  BOOST_CHECK(code_of(store.put(2, {bytes.data(), DType::kU8, 1, 2})) == Code::kInvalidArgument);
  BOOST_CHECK(code_of(store.put("two", one({1, 0}))) == Code::kInvalidArgument);
  BOOST_CHECK(code_of(store.erase("two")) == Code::kInvalidArgument);
  BOOST_CHECK(code_of(store.get("two")) == Code::kInvalidArgument);
  BOOST_CHECK(code_of(store.put(2, one({1, 0}), std::string(65537, 'd'))) == Code::kInvalidArgument);
  BOOST_CHECK(code_of(store.put_batch({}, one({1, 0}))) == Code::kInvalidArgument);
  BOOST_TEST(store.put(2, one({1, 0, 0})).error().message().find("3, store 2") != std::string::npos);
  REQUIRE_OK(store.put(2, one({0, 1}), std::string(65536, 'd')));
  BOOST_TEST(store.size() == 2u);
  BOOST_TEST(store.get(2)->document.size() == 65536u);

  OpenOptions reading;
  auto reader = Store::open(path, reading);
  REQUIRE_OK(reader);
  BOOST_CHECK(code_of(reader->put(3, one({1, 0}))) == Code::kPermission);
  const auto second = Store::open(path, writing());
  BOOST_CHECK(code_of(second) == Code::kBusy);
  BOOST_TEST(second.error().message().find("process " + std::to_string(::getpid())) != std::string::npos);
  BOOST_TEST(second.error().message().find("held by") != std::string::npos);
  REQUIRE_OK(store.close());
  BOOST_CHECK(code_of(store.put(3, one({1, 0}))) != Code::kOk);
}

BOOST_AUTO_TEST_CASE(a_child_of_fork_may_not_write) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path));
  Store store = open_for_writing(path);
  REQUIRE_OK(store.put(1, one({1, 0})));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(code_of(store.put(2, one({1, 0}))) == Code::kUnsupported ? 0 : 1);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  REQUIRE_OK(store.put(2, one({1, 0})));
}

BOOST_AUTO_TEST_CASE(a_full_delta_and_a_full_log_refuse_and_the_rest_goes_on) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.dim = 64}));
  OpenOptions options = writing();
  options.delta_bytes = 2u << 20;
  options.ram_bytes = 24u << 20;
  Random random(1);
  Store store = open_for_writing(path, options);
  std::uint64_t taken = 0;
  Status outcome;
  for (; outcome.is_ok() && taken < 100000; ++taken) {
    std::vector<float> vectors;
    std::vector<Key> keys;
    for (std::uint64_t i = 0; i < 64; ++i) {
      const std::vector<float> vector = random_vector(random, 64);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
      keys.emplace_back(taken * 64 + i);
    }
    const auto receipt = store.put_batch(keys, {vectors.data(), DType::kF32, 64, 64});
    if (!receipt) outcome = receipt.error();
  }
  BOOST_CHECK(outcome.code() == Code::kMemoryBudget);
  BOOST_TEST(store.size() == (taken - 1) * 64);
  BOOST_TEST(store.size() >= 3000u);
  BOOST_TEST(store.stats().delta_bytes <= options.delta_bytes);
  BOOST_TEST(store.info().ram_peak_bytes <= options.ram_bytes);
  BOOST_TEST(store.erase(5)->rows == 1u);
  REQUIRE_OK(store.search(one(random_vector(random, 64))));
  REQUIRE_OK(store.close());

  options.delta_bytes = 8u << 20;
  options.log_bytes = 4u << 20;
  Store again = open_for_writing(path, options);
  BOOST_TEST(again.size() == (taken - 1) * 64 - 1);
  outcome = Status::ok();
  for (std::uint64_t key = 1u << 30; outcome.is_ok(); ++key) {
    const auto receipt = again.put(key, one(random_vector(random, 64)));
    if (!receipt) outcome = receipt.error();
  }
  BOOST_CHECK(outcome.code() == Code::kNoSpace);
  BOOST_TEST(again.stats().wal_bytes <= options.log_bytes);
  REQUIRE_OK(again.search(one(random_vector(random, 64))));
}

// What a writer needs is set aside before the cache takes the rest of the memory.
BOOST_AUTO_TEST_CASE(a_writer_within_a_budget_has_room_to_write) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("idx");
  const test::Matrix base = test::csift(20000);
  std::string keys;
  for (int i = 0; i < 20000; ++i) keys += "row " + std::to_string(i) + "\n";
  test::write_file(directory.path("keys"), {keys.begin(), keys.end()});
  BuildOptions how = test::build_options(Metric::kL2);
  how.keys_path = directory.path("keys");
  REQUIRE_OK(Store::build(path, *view_source(base.view()), how));
  OpenOptions options = writing();
  options.delta_bytes = 8u << 20;
  options.ram_bytes = 1u << 20;
  const auto least = Store::open(path, options);
  BOOST_REQUIRE(code_of(least) == Code::kMemoryBudget);
  options.ram_bytes = least.error().number() + (1u << 20);
  Store store = open_for_writing(path, options);
  for (std::uint64_t i = 0; i < 300; ++i) {
    REQUIRE_OK(store.put("row " + std::to_string(i * 7), {base.view().row(i), DType::kU8, 1, 128}));
    REQUIRE_OK(store.put("new " + std::to_string(i), {base.view().row(i), DType::kU8, 1, 128}));
  }
  REQUIRE_OK(store.erase("row 5"));
  REQUIRE_OK(store.get("row 6"));
  REQUIRE_OK(store.search({base.view().row(3), DType::kU8, 1, 128}));
  BOOST_TEST(store.size() == 20299u);
  BOOST_TEST(store.info().ram_peak_bytes <= options.ram_bytes);
  // More than such a writer may hold at once is refused by name, and nothing of it is taken.
  std::vector<Key> many;
  std::vector<std::string> names;
  many.reserve(20000);
  names.reserve(20000);
  for (std::uint64_t i = 0; i < 20000; ++i) names.push_back("batch " + std::to_string(i));
  for (const std::string& name : names) many.emplace_back(name);
  BOOST_CHECK(code_of(store.put_batch(many, base.view())) == Code::kInvalidArgument);
  BOOST_TEST(store.size() == 20299u);
}

// Where nothing more can be put, for want of memory or of room in the log, rows can still be erased: of the graph, of
// memory, and after the store was opened again.
BOOST_AUTO_TEST_CASE(erasing_goes_on_where_putting_has_ended) {
  for (const bool small_log : {false, true}) {
    const Built built(2000);
    OpenOptions options = writing();
    options.delta_bytes = small_log ? 64u << 20 : 2u << 20;
    options.log_bytes = small_log ? 8u << 20 : 64u << 20;
    const Code expected = small_log ? Code::kNoSpace : Code::kMemoryBudget;
    std::uint64_t put = 0;
    for (int session = 0; session < 2; ++session) {
      Store store = open_for_writing(built.path(), options);
      Status outcome;
      while (outcome.is_ok()) {
        const auto receipt = store.put(1000000 + put, built.row(put % 2000));
        if (receipt) ++put;
        if (!receipt) outcome = receipt.error();
      }
      BOOST_TEST((outcome.code() == expected), outcome.message());
      const std::uint64_t before = store.size();
      for (std::uint64_t i = 0; i < 25; ++i) {
        for (const std::uint64_t key : {session * 25 + i, 1000000 + session * 25 + i}) {
          const auto erased = store.erase(key);
          REQUIRE_OK(erased);
          BOOST_TEST(erased->rows == 1u);
        }
      }
      BOOST_TEST(store.size() == before - 50);
      REQUIRE_OK(store.close());
      BOOST_TEST(store.stats().wal_bytes <= options.log_bytes);
    }
    BOOST_TEST(put > 200u);
  }
}

// One group of the log is damaged: the store does not open, and what is salvaged lacks what that group did.
BOOST_AUTO_TEST_CASE(what_a_damaged_log_still_holds_can_be_salvaged) {
  const Built built(300);
  {
    Store store = open_for_writing(built.path());
    REQUIRE_OK(store.put(1000, built.row(1), "first"));
    REQUIRE_OK(store.put(5, built.row(2), "in the place of a row of the graph"));
    REQUIRE_OK(store.put(1001, built.row(3)));  // will be lost
    REQUIRE_OK(store.erase(7));
    REQUIRE_OK(store.erase(1000));
    REQUIRE_OK(store.erase(1001));  // erases a row that is lost
    REQUIRE_OK(store.put(1002, built.row(4)));
    REQUIRE_OK(store.close());
  }
  const std::string segment = built.path() + "/wal/log-1";
  std::vector<char> bytes = test::read_file(segment);
  bytes[3 * kLogBlockBytes + 100] = static_cast<char>(bytes[3 * kLogBlockBytes + 100] ^ 1);
  test::write_file(segment, bytes);
  const auto refused = Store::open(built.path());
  BOOST_REQUIRE(code_of(refused) == Code::kCorrupt);
  BOOST_TEST(test::message_of(refused).find("salvage") != std::string::npos);

  const std::string to = built.directory.path("salvaged");
  CancelToken token;
  token.cancel();
  BOOST_CHECK(code_of(Store::salvage(built.path(), to, &token)) == Code::kCancelled);
  BOOST_CHECK(!std::filesystem::exists(to));
  for (const auto& entry : std::filesystem::directory_iterator(built.directory.path("")))
    BOOST_CHECK(entry.path().filename().string().find(".partial-") == std::string::npos);
  const auto report = Store::salvage(built.path(), to);
  REQUIRE_OK(report);
  BOOST_TEST(report->rows == 300u);
  BOOST_TEST(report->records == 5u);
  BOOST_TEST(report->records_lost == 1u);
  BOOST_TEST(report->log_bytes_lost == kLogBlockBytes);
  BOOST_CHECK(code_of(Store::salvage(built.path(), to)) == Code::kExists);
  const auto store = Store::open(to);
  REQUIRE_OK(store);
  BOOST_TEST(store->size() == 300u);
  for (const std::uint64_t gone : {7u, 1000u, 1001u}) BOOST_TEST(!store->contains(gone).value());
  BOOST_TEST(store->contains(1002).value());
  BOOST_TEST(store->get(5)->document == "in the place of a row of the graph");
  const auto verified = store->verify({.deep = true});
  REQUIRE_OK(verified);
  BOOST_TEST(verified->damage_total == 0u);
  const auto found = store->search(built.row(4), {.k = 1});
  REQUIRE_OK(found);
  BOOST_TEST((*found)[0][0].distance == 0.0f);
}

// What lies behind the rows that were erased around a query is found as well as anything.
BOOST_AUTO_TEST_CASE(recall_holds_among_erased_rows) {
  constexpr std::uint32_t kSeen = 200;
  const Built built(20000);
  const test::Matrix queries = test::csift_queries(60);
  const auto truth = exact_search(*view_source(built.base.view()), *view_source(queries.view()), kSeen, Metric::kL2);
  REQUIRE_OK(truth);
  for (const std::uint32_t near : {10u, 40u, 120u}) {
    std::set<std::uint32_t> gone;
    for (std::uint64_t query = 0; query < queries.rows(); ++query)
      gone.insert(&truth->rows[query * kSeen], &truth->rows[query * kSeen + near]);
    const std::vector<Key> keys(gone.begin(), gone.end());
    for (const double cached : {0.0, 1.0}) {
      OpenOptions options = writing();
      options.cache_fraction = cached;
      Store store = open_for_writing(built.path(), options);
      REQUIRE_OK(store.erase_batch(keys));
      const auto found = store.search(queries.view(), {.k = 10, .search_list = 14, .blocks = 40, .bound = 2});
      REQUIRE_OK(found);
      std::uint64_t right = 0;
      for (std::uint64_t query = 0; query < queries.rows(); ++query) {
        std::vector<std::uint64_t> nearest;
        for (std::uint32_t i = 0; i < kSeen && nearest.size() < 10; ++i)
          if (!gone.contains(truth->rows[query * kSeen + i])) nearest.push_back(truth->rows[query * kSeen + i]);
        BOOST_REQUIRE(nearest.size() == 10u);
        for (const Hit& hit : (*found)[query]) right += std::ranges::count(nearest, hit.key);
      }
      const double recall = static_cast<double>(right) / (10.0 * static_cast<double>(queries.rows()));
      BOOST_TEST_MESSAGE(near << " erased, " << cached << " cached: recall " << recall);
      BOOST_TEST(recall >= 0.97);
    }
  }
}

// However many rows around a query are gone, k come back while there are as many.
BOOST_AUTO_TEST_CASE(k_rows_come_back_behind_thousands_of_erased_ones) {
  for (const double cached : {0.0, 1.0}) {
    const Built built(6000);
    OpenOptions options = writing();
    options.cache_fraction = cached;
    Store store = open_for_writing(built.path(), options);
    const VectorView query = built.row(17);
    std::uint64_t left = 6000;
    while (left > 11) {  // the nearest go first, as the search itself finds them
      const auto nearest = store.search(query, {.k = 1000});
      REQUIRE_OK(nearest);
      BOOST_REQUIRE((*nearest)[0].size() == std::min<std::uint64_t>(1000, left));
      std::vector<Key> keys;
      for (const Hit& hit : (*nearest)[0])
        if (left - keys.size() > 11) keys.emplace_back(hit.key);
      const auto erased = store.erase_batch(keys);
      REQUIRE_OK(erased);
      BOOST_REQUIRE(erased->rows == keys.size());
      left -= keys.size();
      const auto found = store.search(query, {.k = 10});
      REQUIRE_OK(found);
      BOOST_TEST((*found)[0].size() == 10u);
      for (const Hit& hit : (*found)[0]) BOOST_TEST(store.contains(hit.key).value());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reader_is_told_what_memory_would_do) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.dim = 64}));
  {
    Store store = open_for_writing(path);
    Random random(5);
    std::vector<float> vectors;
    std::vector<Key> keys;
    for (std::uint64_t key = 0; key < 6000; ++key) {
      const std::vector<float> vector = random_vector(random, 64);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
      keys.emplace_back(key);
    }
    REQUIRE_OK(store.put_batch(keys, {vectors.data(), DType::kF32, 6000, 64}));
  }
  OpenOptions options;
  options.ram_bytes = 1u << 20;
  const auto refused = Store::open(path, options);
  BOOST_REQUIRE(code_of(refused) == Code::kMemoryBudget);
  options.ram_bytes = refused.error().number();
  const auto store = Store::open(path, options);
  REQUIRE_OK(store);
  BOOST_TEST(store->size() == 6000u);
}

BOOST_AUTO_TEST_CASE(a_reader_moves_on_when_it_is_told_to) {
  const Built built(300);
  auto reader = Store::open(built.path());
  REQUIRE_OK(reader);
  Store writer = open_for_writing(built.path());
  REQUIRE_OK(writer.put(1000, built.row(5)));
  REQUIRE_OK(writer.erase(0));
  BOOST_TEST(reader->size() == 300u);
  BOOST_TEST(reader->contains(0).value());
  REQUIRE_OK(reader->refresh());
  BOOST_TEST(reader->size() == 300u);
  BOOST_TEST(!reader->contains(0).value());
  BOOST_TEST(reader->contains(1000).value());
  const auto found = reader->search(built.row(5), {.k = 2});
  REQUIRE_OK(found);
  BOOST_CHECK((keys_of_hits(*reader, (*found)[0]) == std::set<std::string>{"5", "1000"}));
  REQUIRE_OK(writer.put(1001, built.row(5)));
  REQUIRE_OK(reader->refresh());
  BOOST_TEST(reader->size() == 301u);
  REQUIRE_OK(writer.close());
}

BOOST_AUTO_TEST_CASE(a_reader_without_room_stays_where_it_is) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.dim = 64}));
  Store writer = open_for_writing(path);
  Random random(5);
  const auto put = [&](std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t key = first; key < first + count; ++key)
      REQUIRE_OK(writer.put(key, one(random_vector(random, 64))));
  };
  put(0, 10);
  OpenOptions options;
  options.ram_bytes = 3u << 20;
  auto reader = Store::open(path, options);
  REQUIRE_OK(reader);
  put(10, 6000);
  for (int i = 0; i < 2; ++i) {
    BOOST_CHECK(reader->refresh().code() == Code::kMemoryBudget);
    BOOST_TEST(reader->contains(9).value());
    BOOST_TEST(!reader->contains(10).value());
    REQUIRE_OK(reader->search(one(random_vector(random, 64))));
  }
  BOOST_TEST(reader->info().ram_peak_bytes <= options.ram_bytes);
}

BOOST_AUTO_TEST_CASE(building_over_a_store_ends_what_was_written_to_it) {
  const Built built(300);
  {
    Store store = open_for_writing(built.path());
    REQUIRE_OK(store.put(1000, built.row(5)));
    REQUIRE_OK(store.erase(0));
    REQUIRE_OK(store.close());
  }
  BuildOptions options = test::build_options(Metric::kL2);
  options.overwrite = true;
  REQUIRE_OK(Store::build(built.path(), *view_source(built.base.view()), options));
  {
    const auto reader = Store::open(built.path());
    REQUIRE_OK(reader);
    BOOST_TEST(reader->size() == 300u);
    BOOST_TEST(reader->contains(0).value());
  }
  Store store = open_for_writing(built.path());
  BOOST_TEST(store.size() == 300u);
  REQUIRE_OK(store.put(7777, built.row(5)));
  REQUIRE_OK(store.close());
  BOOST_TEST(Store::open(built.path())->size() == 301u);
}

BOOST_AUTO_TEST_CASE(a_missing_log_is_reported) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path));
  {
    Store store = open_for_writing(path);
    REQUIRE_OK(store.put(1, one({1, 0})));
  }
  std::filesystem::remove_all(path + "/wal");
  for (const Access access : {Access::kRead, Access::kReadWrite}) {
    OpenOptions options;
    options.access = access;
    BOOST_CHECK(code_of(Store::open(path, options)) == Code::kCorrupt);
  }
}

BOOST_AUTO_TEST_CASE(full_precision_ranks_rows_of_memory_too) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.dim = 32, .metric = Metric::kInnerProduct}));
  Store store = open_for_writing(path);
  Random random(3);
  std::vector<std::vector<float>> vectors;
  for (std::uint64_t i = 0; i < 700; ++i) {
    vectors.push_back(random_vector(random, 32));
    REQUIRE_OK(store.put(i, one(vectors.back())));
  }
  const std::vector<float> query = random_vector(random, 32);
  const auto found = store.search(one(query), {.k = 10, .full_precision = true});
  REQUIRE_OK(found);
  std::vector<std::pair<double, std::uint64_t>> truth;
  for (std::uint64_t i = 0; i < vectors.size(); ++i) {
    double dot = 0;
    for (std::size_t d = 0; d < 32; ++d) dot += double{query[d]} * vectors[i][d];
    truth.emplace_back(-dot, i);
  }
  std::ranges::sort(truth);
  for (std::size_t i = 0; i < 10; ++i) {
    BOOST_TEST((*found)[0][i].row.value == truth[i].second);
    BOOST_TEST(std::abs((*found)[0][i].distance - truth[i].first) < 1e-4);
  }
}

// Writers put pairs of equal vectors in batches, and replace them; readers must always find both halves of a pair, and
// what was erased never.
// What was acknowledged is there afterwards, what was refused is not.
BOOST_AUTO_TEST_CASE(a_store_can_be_closed_while_others_write_and_search) {
  constexpr std::uint64_t kWriters = 3;
  for (const SyncMode sync : {SyncMode::kAlways, SyncMode::kInterval}) {
    const Built built(300);
    OpenOptions options = writing();
    options.sync = sync;
    std::array<std::set<std::uint64_t>, kWriters> taken;
    std::array<Status, kWriters> outcomes;
    {
      Store store = open_for_writing(built.path(), options);
      std::atomic<std::uint64_t> puts = 0;
      std::atomic<bool> closed = false;
      std::vector<std::jthread> threads;
      threads.reserve(kWriters + 1);
      for (std::uint64_t writer = 0; writer < kWriters; ++writer)
        threads.emplace_back([&, writer] {
          for (std::uint64_t key = 1'000'000 * (writer + 1); outcomes[writer].is_ok(); ++key) {
            const auto receipt = store.put(key, built.row(key % 300));
            if (receipt) taken[writer].insert(key);
            if (!receipt) outcomes[writer] = receipt.error();
            ++puts;
          }
        });
      threads.emplace_back([&] {
        while (!closed)
          if (!store.search(built.row(1))) std::abort();
      });
      while (puts < 50) std::this_thread::yield();
      REQUIRE_OK(store.close());
      REQUIRE_OK(store.close());
      closed = true;
    }
    for (const Status& outcome : outcomes) BOOST_TEST((outcome.code() == Code::kInvalidArgument), outcome.message());
    const auto store = Store::open(built.path());
    REQUIRE_OK(store);
    std::uint64_t rows = 300;
    for (const auto& keys : taken) {
      rows += keys.size();
      for (const std::uint64_t key : keys) BOOST_TEST(store->contains(key).value());
    }
    BOOST_TEST(store->size() == rows);
  }
}

BOOST_AUTO_TEST_CASE(readers_see_batches_wholly_while_writers_work) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.dim = 8, .dtype = DType::kU8}));
  OpenOptions options = writing();
  options.sync = SyncMode::kNone;
  options.searchers = 2;
  Store store = open_for_writing(path, options);
  constexpr std::uint64_t kPairs = 16;
  const auto put_pair = [&](std::uint64_t pair, std::uint8_t version) {
    std::vector<std::uint8_t> vectors(16, static_cast<std::uint8_t>(pair));
    vectors[7] = vectors[15] = version;
    return store.put_batch(std::vector<Key>{2 * pair, 2 * pair + 1}, {vectors.data(), DType::kU8, 2, 8});
  };
  for (std::uint64_t pair = 0; pair < kPairs; ++pair) REQUIRE_OK(put_pair(pair, 0));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> searches{0};
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int writer = 0; writer < 2; ++writer)
      threads.emplace_back([&, writer] {
        Random random(writer);
        for (int i = 0; i < 400; ++i)
          if (!put_pair(random.below(kPairs), static_cast<std::uint8_t>(i))) ++wrong;
        stop = true;
      });
    for (int reader = 0; reader < 2; ++reader)
      threads.emplace_back([&] {
        const std::vector<std::uint8_t> query(8, 3);
        for (bool is_last = false; !is_last;) {
          is_last = stop;
          const auto found = store.search({query.data(), DType::kU8, 1, 8}, {.k = 2 * kPairs});
          if (!found || (*found)[0].size() != 2 * kPairs) {
            ++wrong;
            continue;
          }
          std::map<float, int> by_distance;
          for (const Hit& hit : (*found)[0]) ++by_distance[hit.distance];
          for (const auto& [distance, count] : by_distance)
            if (count % 2 != 0) ++wrong;
          ++searches;
        }
      });
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(searches > 0);
  BOOST_TEST(store.size() == 2 * kPairs);
}

BOOST_AUTO_TEST_SUITE_END()
