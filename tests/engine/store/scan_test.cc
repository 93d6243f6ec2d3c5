// SPDX-License-Identifier: Apache-2.0
//
// A scan has every row of its moment once, with what was put, whatever is written and merged meanwhile; and many keys
// are got at once.
#include <atomic>
#include <map>
#include <optional>
#include <thread>

#include "tests/engine/specimen.h"
#include "tests/engine/written.h"

namespace vecstore {
namespace {

using namespace test;

struct Shape {
  DType dtype;
  KeyKind keys;
  bool has_documents;
};

constexpr Shape kShapes[] = {
    {DType::kU8, KeyKind::kNumber, false},   // rows/ keeps nothing
    {DType::kI8, KeyKind::kBytes, false},    // keys alone
    {DType::kU8, KeyKind::kNumber, true},    // documents without keys
    {DType::kF16, KeyKind::kNumber, false},  // originals alone
    {DType::kF32, KeyKind::kBytes, true},    // all of it
};

// With a graph, rows that are gone of it, and rows in the delta.
Written made(const TemporaryDirectory& directory, const Shape& shape) {
  Written written(directory.path("s"), recut(shape.dtype, 24, 900), shape.keys, Metric::kL2, shape.has_documents);
  written.build(300, directory.path());
  return written;
}

// Whether there is another batch.
bool next(Scan& scan, ScanBatch& batch, std::size_t rows_max) {
  REQUIRE_OK(scan.next(batch, rows_max));
  return batch.size() != 0;
}

// In batches of `rows_max`, against what must be there.
void check_scan(Scan scan, const Written& written, std::size_t rows_max, bool vectors = true, bool documents = true) {
  std::map<std::string, Kept> left = written.kept();
  RowId last{0};
  bool is_first = true;
  ScanBatch batch;
  while (next(scan, batch, rows_max)) {
    BOOST_REQUIRE(batch.size() <= rows_max);
    BOOST_TEST(batch.documents.size() == (documents ? batch.size() : 0u));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      BOOST_REQUIRE(is_first || last < batch.rows[i]);
      is_first = false;
      last = batch.rows[i];
      const auto found = left.find(batch.key(i).to_string());
      BOOST_REQUIRE_MESSAGE(found != left.end(), "a row twice, or one that is gone: " << batch.key(i).to_string());
      const VectorView vector = batch.vector(i);
      BOOST_REQUIRE(vector.rows == (vectors ? 1u : 0u));
      const std::size_t bytes = written.pool().row_bytes();
      if (vectors)
        BOOST_REQUIRE(std::memcmp(vector.data, written.pool().bytes.data() + found->second.place * bytes, bytes) == 0);
      BOOST_REQUIRE(batch.document(i) == (documents ? found->second.document : ""));
      left.erase(found);
    }
  }
  BOOST_TEST(left.empty(), left.size() << " rows are missing");
  BOOST_TEST(!next(scan, batch, rows_max));  // the end stays the end
}

Scan scan_of(const Store& store, const ScanOptions& options = {}) {
  auto scan = store.scan(options);
  REQUIRE_OK(scan);
  return std::move(*scan);
}

BOOST_AUTO_TEST_SUITE(scans)

BOOST_AUTO_TEST_CASE(every_row_comes_once_with_what_was_put) {
  for (const Shape& shape : kShapes) {
    const TemporaryDirectory directory;
    Written written = made(directory, shape);
    Store store = open_for_writing(written.path());
    Random random(1);
    const auto check = [&] {
      for (const std::size_t rows : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}})
        check_scan(scan_of(store), written, rows);
      check_scan(scan_of(store, {.vectors = false}), written, 50, false);
      check_scan(scan_of(store, {.documents = false}), written, 50, true, false);
      check_scan(scan_of(store, {.vectors = false, .documents = false}), written, 50, false, false);
    };
    check();  // as it was built
    written.write(store, random, 80, 400);
    check();  // with a delta
    REQUIRE_OK(store.compact());
    written.write(store, random, 80, 400);
    check();  // several extents, rows that have gaps
    REQUIRE_OK(store.close());
    const auto reader = Store::open(written.path());
    REQUIRE_OK(reader);
    check_scan(scan_of(*reader), written, 64);
  }
}

BOOST_AUTO_TEST_CASE(a_store_without_rows_has_none) {
  const TemporaryDirectory directory;
  Written written(directory.path("s"), recut(DType::kF32, 8, 10), KeyKind::kBytes, Metric::kCosine, true);
  written.create();
  Store store = open_for_writing(written.path());
  check_scan(scan_of(store), written, 10);
  written.put(store, 1);
  check_scan(scan_of(store), written, 10);
  written.erase(store, 1);
  check_scan(scan_of(store), written, 10);
}

BOOST_AUTO_TEST_CASE(a_moment_stays_through_writes_merges_and_moves_of_the_store) {
  for (const Shape& shape : kShapes) {
    const TemporaryDirectory directory;
    Written written = made(directory, shape);
    std::optional<Store> moved;  // outlives the scans
    Store store = open_for_writing(written.path());
    Random random(2);
    written.write(store, random, 60, 400);
    const Written before = written;
    Scan scan = scan_of(store);
    ScanBatch batch;
    REQUIRE_OK(scan.next(batch, 10));
    BOOST_TEST(batch.size() == 10u);
    Scan another = scan_of(store);
    for (int round = 0; round < 3; ++round) {
      written.write(store, random, 60, 400);
      REQUIRE_OK(store.compact());
    }
    BOOST_TEST(store.stats().old_generations >= 1u);
    moved.emplace(std::move(store));
    check_scan(std::move(another), before, 33);
    std::size_t rest = 0;
    while (next(scan, batch, 50)) rest += batch.size();
    BOOST_TEST(rest >= before.kept().size() - 60);
    written.check(*moved);
  }
}

BOOST_AUTO_TEST_CASE(scans_beside_a_writer_see_whole_batches) {
  const TemporaryDirectory directory;
  const Matrix pool = recut(DType::kU8, 16, 64);
  OpenOptions options = writing();
  options.create = CreateOptions{.dtype = DType::kU8};
  options.sync = SyncMode::kNone;
  auto store = Store::open(directory.path("s"), options);
  REQUIRE_OK(store);
  constexpr std::uint64_t kBatch = 8;
  const std::uint64_t batches = kInstrumented ? 40 : 200;
  std::atomic<bool> is_failed{false};  // Boost.Test is for one thread
  std::jthread writer([&] {
    for (std::uint64_t i = 0; i < batches; ++i) {
      std::vector<Key> keys;
      for (std::uint64_t j = 0; j < kBatch; ++j) keys.emplace_back(i * kBatch + j);
      if (!store->put_batch(keys, {pool.bytes.data(), DType::kU8, kBatch, 16, 0})) is_failed = true;
      if (i % 50 == 49 && !store->compact()) is_failed = true;
    }
  });
  std::uint64_t last = 0;
  while (last < batches * kBatch) {
    BOOST_REQUIRE(!is_failed);
    Scan scan = scan_of(*store);
    std::uint64_t rows = 0;
    ScanBatch batch;
    while (next(scan, batch, 100)) rows += batch.size();
    BOOST_REQUIRE(rows % kBatch == 0);
    BOOST_REQUIRE(rows >= last);
    last = rows;
  }
}

// Rows that were replaced leave parts of the delta nearly empty.
BOOST_AUTO_TEST_CASE(a_delta_with_gaps_is_whole) {
  const TemporaryDirectory directory;
  Written written(directory.path("s"), recut(DType::kF32, 8, 2000), KeyKind::kNumber, Metric::kL2, false);
  written.create();
  OpenOptions options = writing();
  options.sync = SyncMode::kNone;
  options.merge = MergePolicy::kManual;
  auto store = Store::open(written.path(), options);
  REQUIRE_OK(store);
  for (std::uint64_t key = 0; key < 2000; ++key) written.put(*store, key);
  Random random(5);
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t first = random.below(1900);
    for (std::uint64_t key = first; key < first + 100; ++key) written.put(*store, key);
    if (round % 4 == 3) check_scan(scan_of(*store), written, 333);
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_said) {
  const TemporaryDirectory directory;
  Written written = made(directory, kShapes[4]);
  Store store = open_for_writing(written.path());
  CancelToken cancel;
  Scan scan = scan_of(store, {.cancel = &cancel});
  ScanBatch batch;
  REQUIRE_OK(scan.next(batch, 10));
  BOOST_TEST((scan.next(batch, 0).code() == Code::kInvalidArgument));
  BOOST_TEST(batch.size() == 0u);
  REQUIRE_OK(scan.next(batch, 10));
  cancel.cancel();
  BOOST_TEST((scan.next(batch, 10).code() == Code::kCancelled));
  BOOST_TEST(batch.size() == 0u);
  BOOST_TEST((scan.next(batch, 10).code() == Code::kCancelled));
}

BOOST_AUTO_TEST_CASE(many_keys_are_got_at_once) {
  for (const Shape& shape : kShapes) {
    const TemporaryDirectory directory;
    Written written = made(directory, shape);
    Store store = open_for_writing(written.path());
    Random random(3);
    written.write(store, random, 80, 400);
    std::vector<std::string> names;
    for (std::uint64_t key = 0; key < 420; ++key)
      names.push_back(shape.keys == KeyKind::kNumber ? std::to_string(key) : "key-" + std::to_string(key));
    std::vector<Key> keys;
    for (std::uint64_t key = 0; key < names.size(); ++key)
      keys.push_back(shape.keys == KeyKind::kNumber ? Key(key) : Key(names[key]));
    const auto items = store.get_batch(keys);
    REQUIRE_OK(items);
    BOOST_REQUIRE(items->size() == keys.size());
    const std::size_t bytes = written.pool().row_bytes();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto kept = written.kept().find(names[i]);
      BOOST_REQUIRE((*items)[i].has_value() == (kept != written.kept().end()));
      if (!(*items)[i]) continue;
      const auto first = written.pool().bytes.begin() + static_cast<std::ptrdiff_t>(kept->second.place * bytes);
      BOOST_REQUIRE(std::equal((*items)[i]->vector.begin(), (*items)[i]->vector.end(), first,
                               first + static_cast<std::ptrdiff_t>(bytes)));
      BOOST_REQUIRE((*items)[i]->document == kept->second.document);
    }
    const auto without = store.get_batch(keys, {.vectors = false, .documents = false});
    REQUIRE_OK(without);
    for (std::size_t i = 0; i < keys.size(); ++i)
      if ((*without)[i]) BOOST_TEST(((*without)[i]->vector.empty() && (*without)[i]->document.empty()));
    const Key wrong = shape.keys == KeyKind::kNumber ? Key("text") : Key(7);
    BOOST_TEST((code_of(store.get_batch({&wrong, 1})) == Code::kInvalidArgument));
    REQUIRE_OK(store.get_batch({}));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
