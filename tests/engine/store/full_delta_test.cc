// SPDX-License-Identifier: Apache-2.0
//
// The memory of what is not merged yet is used up: a put waits for a while, and is refused when no room comes.
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/engine/stores.h"

using namespace vecstore;
using test::code_of;

namespace {

struct FullDelta {
  explicit FullDelta(std::uint32_t wait_ms) {
    REQUIRE_OK(Store::create(path, {base.dim, base.dtype, Metric::kL2, KeyKind::kNumber}));
    options.access = Access::kReadWrite;
    options.sync = SyncMode::kNone;
    options.delta_bytes = 1u << 20;
    options.ram_bytes = 32u << 20;
    options.full_wait_ms = wait_ms;
    options.merge = MergePolicy::kManual;
  }
  Store open() const {
    auto store = Store::open(path, options);
    REQUIRE_OK(store);
    return std::move(*store);
  }
  Status put(Store& store, std::uint64_t key) const {
    const auto receipt = store.put(key, base.row(key % base.rows()));
    return receipt ? Status::ok() : receipt.error();
  }

  test::TemporaryDirectory directory;
  std::string path = directory.path("s");
  test::Matrix base = test::csift(1000);
  OpenOptions options;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(full_delta)

BOOST_AUTO_TEST_CASE(a_put_waits_and_goes_on_when_there_is_room) {
  constexpr std::uint64_t kRows = 20000;        // rows of 128 bytes and what is kept beside them: several MiB
  constexpr std::uint64_t kEnough = 16u << 20;  // for all of them
  constexpr auto kStill = std::chrono::milliseconds(20);
  const FullDelta full(30000);
  Store store = full.open();
  std::atomic<bool> done = false;
  Status outcome;
  std::jthread writer([&] {
    for (std::uint64_t key = 0; key < kRows && outcome.is_ok(); ++key) outcome = full.put(store, key);
    done = true;
  });
  std::uint64_t given = full.options.delta_bytes;
  std::uint64_t erased = 0;
  int raised = 0;
  while (!done) {
    const std::uint64_t before = store.size() + erased;
    std::this_thread::sleep_for(kStill);
    // The one that waits holds nobody up.
    if (store.contains(erased).value()) {
      const auto receipt = store.erase(erased);
      REQUIRE_OK(receipt);
      erased += receipt->rows;
    }
    REQUIRE_OK(store.search(full.base.row(3)));
    if (before == 0 || done || store.size() + erased != before || given == kEnough) continue;
    BOOST_TEST(before < kRows);
    given += 512u << 10;
    ++raised;
    REQUIRE_OK(store.raise_delta_bytes(given));
  }
  writer.join();
  REQUIRE_OK(outcome);
  BOOST_TEST(raised > 0);
  BOOST_TEST(store.size() == kRows - erased);
  BOOST_TEST(store.stats().delta_bytes > full.options.delta_bytes);
  BOOST_TEST(store.stats().delta_bytes <= given);
  BOOST_TEST(store.info().ram_peak_bytes <= full.options.ram_bytes);
}

// Closing the store ends the waiting, and gives its own reason.
BOOST_AUTO_TEST_CASE(closing_wakes_a_put_that_waits) {
  const FullDelta full(30000);
  Store store = full.open();
  std::atomic<std::uint64_t> taken = 0;
  Status outcome;
  std::jthread writer([&] {
    for (std::uint64_t key = 0; outcome.is_ok(); ++key) {
      outcome = full.put(store, key);
      ++taken;
    }
  });
  for (std::uint64_t before = 0; before == 0 || taken != before;) {
    before = taken;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  REQUIRE_OK(store.close());
  writer.join();
  BOOST_TEST((outcome.code() == Code::kInvalidArgument), outcome.message());
  BOOST_TEST(store.size() == taken - 1);
}

// What a reopened store holds counts against what it is given.
BOOST_AUTO_TEST_CASE(what_was_replayed_counts) {
  FullDelta full(1);
  full.options.delta_bytes = 16u << 20;
  std::uint64_t bytes = 0;
  {
    Store store = full.open();
    for (std::uint64_t key = 0; key < 20000; ++key) REQUIRE_OK(full.put(store, key));
    bytes = store.stats().delta_bytes;
    REQUIRE_OK(store.close());
  }
  full.options.delta_bytes = 1u << 20;
  Store store = full.open();
  std::uint64_t key = 30000;
  const auto fill = [&] {  // what the pieces that replay allocated have left, and then no more
    Status outcome;
    for (; outcome.is_ok(); ++key) outcome = full.put(store, key);
    BOOST_TEST((outcome.code() == Code::kMemoryBudget), outcome.message());
    return store.size();
  };
  const std::uint64_t filled = fill();
  REQUIRE_OK(store.raise_delta_bytes(2u << 20));
  BOOST_TEST(fill() == filled);
  const std::uint64_t given = bytes + (2u << 20);
  REQUIRE_OK(store.raise_delta_bytes(given));
  BOOST_TEST(fill() > filled);
  BOOST_TEST(store.stats().delta_bytes <= given);
}

BOOST_AUTO_TEST_CASE(a_put_is_refused_when_no_room_comes) {
  constexpr std::uint32_t kWaitMs = 40;
  const FullDelta full(kWaitMs);
  {
    Store store = full.open();
    Status outcome;
    std::uint64_t key = 0;
    auto started = std::chrono::steady_clock::now();
    for (; outcome.is_ok(); ++key) {
      started = std::chrono::steady_clock::now();
      outcome = full.put(store, key);
    }
    BOOST_TEST((std::chrono::steady_clock::now() - started >= std::chrono::milliseconds(kWaitMs)));
    BOOST_TEST((outcome.code() == Code::kMemoryBudget));
    BOOST_TEST(outcome.number() == full.options.delta_bytes);
    BOOST_TEST(store.size() == key - 1);
    BOOST_TEST(store.erase(3)->rows == 1u);
    REQUIRE_OK(store.search(full.base.row(3)));

    BOOST_TEST((store.raise_delta_bytes(full.options.delta_bytes - 1).code() == Code::kInvalidArgument));
    BOOST_TEST((store.raise_delta_bytes(full.options.ram_bytes * 2).code() == Code::kMemoryBudget));
    BOOST_TEST((full.put(store, key).code() == Code::kMemoryBudget));
    REQUIRE_OK(store.raise_delta_bytes(full.options.delta_bytes * 2));
    REQUIRE_OK(full.put(store, key));
    REQUIRE_OK(store.close());
  }
  auto reader = Store::open(full.path);
  REQUIRE_OK(reader);
  BOOST_TEST((reader->raise_delta_bytes(64u << 20).code() == Code::kPermission));
}

// It waited for room that cannot come, and was told nothing that would help.
BOOST_AUTO_TEST_CASE(a_batch_that_never_fits_is_refused_at_once_and_told_what_would_do) {
  constexpr std::uint32_t kWaitMs = 60000;
  constexpr std::uint64_t kRows = 8000;
  for (const std::uint64_t ram_bytes : {std::uint64_t{0}, std::uint64_t{64} << 20})
    for (const bool is_empty : {true, false}) {
      FullDelta full(kWaitMs);
      full.options.ram_bytes = ram_bytes;
      const auto put = [&](Store& store, std::uint64_t rows) {
        std::vector<Key> keys;
        std::vector<std::byte> vectors;
        for (std::uint64_t i = 0; i < rows; ++i) {
          keys.emplace_back(1000 + i);
          const VectorView row = full.base.row(i % full.base.rows());
          vectors.insert(vectors.end(), row.row(0), row.row(0) + full.base.dim);
        }
        const auto receipt = store.put_batch(keys, {vectors.data(), full.base.dtype, rows, full.base.dim});
        return receipt ? Status::ok() : receipt.error();
      };
      Store store = full.open();
      for (std::uint64_t key = 0; !is_empty && key < 1000; ++key) REQUIRE_OK(full.put(store, key));
      const auto started = std::chrono::steady_clock::now();
      const Status refused = put(store, kRows);
      BOOST_TEST((std::chrono::steady_clock::now() - started < std::chrono::milliseconds(kWaitMs / 4)));
      BOOST_TEST((refused.code() == Code::kMemoryBudget));
      BOOST_TEST_MESSAGE(refused.message());
      const std::string message = refused.message();
      const std::size_t at = message.find("of which ");
      BOOST_REQUIRE_MESSAGE(at != std::string::npos, message);
      const std::uint64_t fit = std::stoull(message.substr(at + 9));
      BOOST_TEST(fit > kRows / 4);
      BOOST_TEST((put(store, fit + 1).code() == Code::kMemoryBudget));
      BOOST_TEST(store.size() == (is_empty ? 0u : 1000u));
      REQUIRE_OK(store.close());
      FullDelta empty(kWaitMs);
      Store other = empty.open();
      REQUIRE_OK(put(other, fit));

      full.options.delta_bytes = refused.number();
      Store larger = full.open();
      REQUIRE_OK(put(larger, kRows));
    }
}

// What is replaced makes room for what replaces it: a store is as full as its live rows are many, also after it was
// opened again.
BOOST_AUTO_TEST_CASE(one_key_put_again_and_again_never_fills_the_delta) {
  FullDelta full(1);
  for (int session = 0; session < 3; ++session) {
    Store store = full.open();
    for (std::uint64_t i = 0; i < 12000; ++i) {
      const auto receipt = store.put(7, full.base.row((i + session) % full.base.rows()));
      REQUIRE_OK(receipt);
    }
    BOOST_TEST(store.size() == 1u);
    BOOST_TEST(store.stats().delta_bytes < full.options.delta_bytes / 2);
    std::vector<std::byte> vector(full.base.dim);
    REQUIRE_OK(store.vector(*store.find(7), vector));
    const VectorView last = full.base.row((11999 + session) % full.base.rows());
    BOOST_TEST(std::ranges::equal(vector, std::span(last.row(0), vector.size())));
    BOOST_TEST(store.search(last)->operator[](0)[0].distance == 0.0f);
    REQUIRE_OK(store.close());
  }
  const auto reader = Store::open(full.path);
  REQUIRE_OK(reader);
  BOOST_TEST(reader->size() == 1u);
  BOOST_TEST(reader->stats().delta_bytes < full.options.delta_bytes / 2);
}

// Every row of a full delta is replaced or erased, one after the other; what is left is found and nothing else.
BOOST_AUTO_TEST_CASE(a_delta_that_was_full_takes_as_much_again) {
  FullDelta full(1);
  Store store = full.open();
  std::uint64_t first = 0;
  std::uint64_t next = 0;
  Status outcome;
  for (; outcome.is_ok(); ++next) outcome = full.put(store, next);
  const std::uint64_t fits = --next;
  for (std::uint64_t i = 0; i < 3 * fits; ++i) {
    for (int erased = 0; erased < 2 && first < next; ++first, ++erased) REQUIRE_OK(store.erase(first));
    while (next - first < fits / 2) REQUIRE_OK(full.put(store, next++));
  }
  BOOST_TEST(store.size() == next - first);
  for (std::uint64_t key = first > 20 ? first - 20 : 0; key < next; ++key)
    BOOST_REQUIRE(store.contains(key).value() == (key >= first));
  BOOST_TEST(store.stats().delta_bytes <= full.options.delta_bytes);
}

BOOST_AUTO_TEST_SUITE_END()
