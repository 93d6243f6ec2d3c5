// SPDX-License-Identifier: Apache-2.0
//
// A writer within little memory that begins with nothing: what waits to be merged is bounded so that its merge fits,
// however fast rows come, while the graph grows far beyond the first one, and while rows are erased.
#include "base/random.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kBatch = 100;
constexpr std::uint64_t kErasedOfBatch = 30;
constexpr std::uint32_t kManyThreads = 64;  // for whose buffers there is no room

struct Grown {
  explicit Grown(const Matrix& rows, std::uint32_t dim, std::uint64_t ram_bytes) : base(rows) {
    REQUIRE_OK(Store::create(path, {dim, base.dtype, Metric::kL2, KeyKind::kNumber}));
    options.access = Access::kReadWrite;
    options.sync = SyncMode::kNone;
    options.ram_bytes = ram_bytes;
    options.delta_bytes = ram_bytes / 3;
    options.merge_wait_ms = 600'000;
    options.merge_write_bytes = 0;
  }
  void put(Store& store, std::uint64_t first, std::uint64_t count) {
    std::vector<Key> keys;
    for (std::uint64_t row = first; row < first + count; ++row) keys.emplace_back(row);
    REQUIRE_OK(store.put_batch(keys, {base.row(first).data, base.dtype, count, base.dim}));
    live.insert(live.end(), count, true);
  }
  void erase(Store& store, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t row = first; row < first + count; ++row) {
      REQUIRE_OK(store.erase(row));
      live[row] = false;
    }
  }
  // Those that live are there, and are found.
  void check(const Store& store) const {
    std::uint64_t rows = 0, found = 0, asked = 0;
    for (std::uint64_t row = 0; row < live.size(); ++row) {
      rows += live[row] ? 1 : 0;
      if (row % 97 != 0) continue;
      BOOST_TEST(store.contains(row).value() == live[row]);
      if (!live[row]) continue;
      ++asked;
      const auto hits = store.search(base.row(row), {.k = 1});
      REQUIRE_OK(hits);
      BOOST_REQUIRE((*hits)[0].size() == 1u);
      found += (*hits)[0][0].key == row || (*hits)[0][0].distance == 0 ? 1 : 0;
    }
    BOOST_TEST(store.size() == rows);
    BOOST_TEST(static_cast<double>(found) >= .99 * static_cast<double>(asked));
    BOOST_TEST(store.info().ram_peak_bytes <= options.ram_bytes);
  }

  const Matrix& base;
  TemporaryDirectory directory;
  std::string path = directory.path("s");
  OpenOptions options;
  std::vector<bool> live;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(little_memory)

// 57,000 rows of 128 bytes came in before the first graph of 10,000 was there, and then no merge had room: every put
// was refused.
BOOST_AUTO_TEST_CASE(a_store_that_grows_from_nothing_takes_every_row) {
  const std::uint64_t rows = kInstrumented ? 6'000 : 24'000;
  const Matrix bytes = csift(rows), floats = widened(csift(rows / 2));
  for (const Matrix* base : {&bytes, &floats})
    for (const bool is_dim_known : {true, false}) {
      // Floats have originals in rows/, for whose groups a merge takes 24 MiB.
      Grown grown(*base, is_dim_known ? base->dim : 0, (base == &bytes ? 40u : 72u) << 20);
      auto store = Store::open(grown.path, grown.options);
      REQUIRE_OK(store);
      for (std::uint64_t first = 0; first < base->rows(); first += kBatch) {
        grown.put(*store, first, kBatch);
        grown.erase(*store, first, kErasedOfBatch);
      }
      grown.check(*store);
      REQUIRE_OK(store->compact({.threads = kManyThreads}));
      BOOST_TEST(store->stats().merge_failure.empty(), store->stats().merge_failure);
      grown.check(*store);
      REQUIRE_OK(store->close());
      auto again = Store::open(grown.path, grown.options);
      REQUIRE_OK(again);
      grown.check(*again);
    }
}

// A sample asked for more than 8 bits a value, which the first merge had no room for though the budget had.
BOOST_AUTO_TEST_CASE(values_that_need_more_bits_are_merged_too) {
  constexpr std::uint32_t kDim = 24, kClusters = 5;
  const std::uint64_t rows = kInstrumented ? 3'000 : 12'000;
  Random random(3);
  std::vector<float> values(rows * kDim);
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    const bool is_far = i / kDim % kClusters == i % kDim % kClusters;
    values[i] = static_cast<float>(.01 * random.unit() + (is_far ? 1e4 : 0));
  }
  const Matrix base = matrix_of(kDim, DType::kF32, values);
  Grown grown(base, 0, 64u << 20);
  auto store = Store::open(grown.path, grown.options);
  REQUIRE_OK(store);
  for (std::uint64_t first = 0; first < rows; first += kBatch) grown.put(*store, first, kBatch);
  REQUIRE_OK(store->compact());
  BOOST_TEST(store->info().vector_bits > 8u);
  grown.check(*store);
}

// Of the rows that a merge finds there are more than the graph has, and no memory for a build of all: then it goes on
// from the graph.
BOOST_AUTO_TEST_CASE(a_merge_without_memory_for_a_build_goes_on_from_the_graph) {
  const std::uint64_t first = kInstrumented ? 600 : 2'000, rows = kInstrumented ? 4'000 : 30'000;
  const Matrix base = csift(rows);
  Grown grown(base, base.dim, 0);
  grown.options.delta_bytes = 64u << 20;
  grown.options.merge = MergePolicy::kManual;
  auto store = Store::open(grown.path, grown.options);
  REQUIRE_OK(store);
  for (std::uint64_t row = 0; row < first; row += kBatch) grown.put(*store, row, kBatch);
  REQUIRE_OK(store->compact());
  for (std::uint64_t row = first; row < rows; row += kBatch) grown.put(*store, row, kBatch);
  REQUIRE_OK(store->close());
  // The least that opens it with a delta as large as what waits, and then has room for a merge in passes alone.
  std::uint64_t refused = 0, in_passes = 0;
  for (std::uint64_t megabytes = 16; in_passes == 0; ++megabytes) {
    BOOST_REQUIRE(megabytes < 128u);
    grown.options.ram_bytes = megabytes << 20;
    grown.options.delta_bytes = 1u << 20;
    auto small = Store::open(grown.path, grown.options);
    if (!small) continue;
    const auto merged = small->compact();
    if (merged) {
      in_passes = megabytes;
      BOOST_TEST(merged->rows == rows);
      grown.check(*small);
    } else {
      BOOST_TEST((code_of(merged) == Code::kMemoryBudget));
      ++refused;
    }
  }
  BOOST_TEST_MESSAGE("merged within " << in_passes << " MiB, refused within " << refused << " budgets below");
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace vecstore
