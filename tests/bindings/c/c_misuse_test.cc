// SPDX-License-Identifier: Apache-2.0
//
// Misuse that can be seen ends with a code and a line that says what to do. The store stays usable.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/check.h"
#include "tests/bindings/c/c_store.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint32_t kDim = 16;

// Two rows of numbers, and everything that a call of put, get or search takes.
struct Calls {
  explicit Calls(std::uint32_t kind = VECSTORE_KEY_NUMBER)
      : rows(recut(DType::kF32, kDim, 2)), store(open_c(directory.path("s"), creating(kDim, VECSTORE_F32, kind))) {
    if (kind == VECSTORE_KEY_BYTES) keys = names(text_keys);
    REQUIRE_C(put());
  }
  std::int32_t put() { return vecstore_put(store.get(), &keys, &vectors, &options, nullptr, &error); }
  std::int32_t look() { return vecstore_search(store.get(), &vectors, &asked, &found.hits, &error); }
  std::int32_t get() {
    return vecstore_get(store.get(), &keys, found_keys.data(), read.data(), read.size() * sizeof(float), nullptr,
                        &error);
  }
  // Everything still works.
  void check() {
    REQUIRE_C(put());
    REQUIRE_C(look());
    BOOST_TEST(found.counts[0] == 2u);
    REQUIRE_C(get());
  }

  TemporaryDirectory directory;
  Matrix rows;
  vecstore_error error{};
  Handle<vecstore_store> store;
  std::vector<std::uint64_t> own{1, 2};
  TextData text_keys{{"one", "two"}};
  vecstore_keys keys = numbers(own);
  vecstore_vectors vectors = vectors_of(rows.view());
  vecstore_put_options options{sizeof(vecstore_put_options), 0, nullptr, nullptr};
  vecstore_search_options asked = asking_for(5);
  HitData found{2, 5};
  std::vector<std::uint8_t> found_keys = std::vector<std::uint8_t>(2);
  std::vector<float> read = std::vector<float>(2 * kDim);
};

BOOST_AUTO_TEST_SUITE(c_misuse)

BOOST_AUTO_TEST_CASE(null_handles_and_places) {
  Calls calls;
  vecstore_error& error = calls.error;
  vecstore_store* out = calls.store.get();
  vecstore_store* const none = nullptr;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_open(nullptr, nullptr, &out, &error));
  BOOST_TEST(out == nullptr);
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_open("", nullptr, &out, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_open("s", nullptr, nullptr, &error));
  CHECK_C(VECSTORE_NOT_FOUND, vecstore_open("/nowhere/at/all", nullptr, &out, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_close(none, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_refresh(none, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_flush(none, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_put(none, &calls.keys, &calls.vectors, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT,
          vecstore_put(calls.store.get(), nullptr, &calls.vectors, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_put(calls.store.get(), &calls.keys, nullptr, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_erase(none, &calls.keys, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_erase(calls.store.get(), nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_raise_delta_bytes(none, 1, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_compact(none, nullptr, &error));
  vecstore_free(nullptr);
  vecstore_scan_free(nullptr);
  vecstore_bytes_free(nullptr);
  vecstore_cancel_free(nullptr);
  vecstore_cancel_now(nullptr);
  vecstore_cancel_reset(nullptr);
  BOOST_TEST(vecstore_bytes_view(nullptr).count == 0u);
  BOOST_TEST(vecstore_put(none, nullptr, nullptr, nullptr, nullptr, nullptr) == VECSTORE_INVALID_ARGUMENT);
  calls.check();
}

BOOST_AUTO_TEST_CASE(null_handles_and_places_of_reading) {
  Calls calls;
  vecstore_error& error = calls.error;
  vecstore_store* const none = nullptr;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_search(none, &calls.vectors, &calls.asked, &calls.found.hits, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT,
          vecstore_search(calls.store.get(), nullptr, &calls.asked, &calls.found.hits, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_search(calls.store.get(), &calls.vectors, &calls.asked, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT,
          vecstore_search(calls.store.get(), &calls.vectors, nullptr, &calls.found.hits, &error));  // k is 0
  CHECK_C(VECSTORE_INVALID_ARGUMENT,
          vecstore_search_by_key(none, &calls.keys, &calls.asked, &calls.found.hits, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT,
          vecstore_search_by_key(calls.store.get(), nullptr, &calls.asked, &calls.found.hits, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_get(none, &calls.keys, nullptr, nullptr, 0, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_get(calls.store.get(), nullptr, nullptr, nullptr, 0, nullptr, &error));
  vecstore_scan* scan = nullptr;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_scan_open(none, nullptr, &scan, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_scan_open(calls.store.get(), nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_scan_next(nullptr, 1, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_build("b", nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_get_stats(calls.store.get(), nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_get_stats(none, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_info_json(calls.store.get(), nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_metrics_text(none, nullptr, &error));
  calls.check();
}

BOOST_AUTO_TEST_CASE(null_handles_and_places_of_building_and_upkeep) {
  Calls calls;
  vecstore_error& error = calls.error;
  vecstore_store* const none = nullptr;
  vecstore_source source{};
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_build("b", &source, nullptr, &error));  // has no size
  source.struct_size = sizeof(source);
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_build(nullptr, &source, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_build("b", &source, nullptr, &error));  // no dimension
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_predict_build(&source, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_snapshot(calls.store.get(), nullptr, 0, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_snapshot(none, "a", 0, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_snapshots(nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_snapshots("s", nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_remove_snapshot("s", nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_copy(nullptr, "t", nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_copy("s", nullptr, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_salvage(nullptr, "t", nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_verify(none, 0, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_export(calls.store.get(), nullptr, "k", nullptr, 0, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_export(none, "v.fbin", "k", nullptr, 0, nullptr, &error));
  calls.check();
}

// Each changes one thing of calls that are right.
BOOST_AUTO_TEST_CASE(vectors_that_cannot_be) {
  struct Wrong {
    const char* what;
    std::int32_t code;
    std::function<void(Calls&)> change;
  };
  const std::vector<Wrong> all = {
      {"dtype", VECSTORE_INVALID_ARGUMENT, [](Calls& c) { c.vectors.dtype = 4; }},
      {"another dtype", VECSTORE_INVALID_ARGUMENT, [](Calls& c) { c.vectors.dtype = VECSTORE_U8; }},
      {"no data", VECSTORE_INVALID_ARGUMENT, [](Calls& c) { c.vectors.data = nullptr; }},
      {"misaligned", VECSTORE_INVALID_ARGUMENT,
       [](Calls& c) { c.vectors.data = static_cast<const char*>(c.vectors.data) + 1; }},
      {"short stride", VECSTORE_INVALID_ARGUMENT, [](Calls& c) { c.vectors.stride = kDim * 4 - 4; }},
      {"odd stride", VECSTORE_INVALID_ARGUMENT, [](Calls& c) { c.vectors.stride = kDim * 4 + 2; }},
      {"dimension", VECSTORE_INVALID_INPUT, [](Calls& c) { c.vectors.dim = kDim - 1; }},
      {"no dimension", VECSTORE_INVALID_INPUT, [](Calls& c) { c.vectors.dim = 0; }},
      {"NaN", VECSTORE_INVALID_INPUT,
       [](Calls& c) {
         const float nan = std::numeric_limits<float>::quiet_NaN();
         std::memcpy(c.rows.bytes.data() + std::size_t{kDim} * 4, &nan, sizeof(nan));
       }},
  };
  for (const Wrong& wrong : all) BOOST_TEST_CONTEXT(wrong.what) {
      Calls calls;
      vecstore_error& error = calls.error;
      const vecstore_vectors right = calls.vectors;
      const std::vector<std::byte> bytes = calls.rows.bytes;
      wrong.change(calls);
      CHECK_C(wrong.code, calls.put());
      CHECK_C(wrong.code, calls.look());
      if (std::string(wrong.what) == "dimension") BOOST_TEST((error.expected == kDim && error.actual == kDim - 1));
      if (std::string(wrong.what) == "NaN") BOOST_TEST((error.detail == VECSTORE_DETAIL_ROW && error.number == 1));
      calls.vectors = right;
      std::copy(bytes.begin(), bytes.end(), calls.rows.bytes.begin());
      calls.check();
    }
  Calls strided;  // one row of the two, twice as far from the next
  strided.vectors.stride = kDim * 8;
  strided.vectors.rows = 1;
  strided.keys.count = 1;
  vecstore_error& error = strided.error;
  REQUIRE_C(strided.put());
}

BOOST_AUTO_TEST_CASE(keys_and_texts_that_cannot_be) {
  Calls calls;
  vecstore_error& error = calls.error;
  const vecstore_keys right = calls.keys;
  const auto refused = [&](const vecstore_keys& keys, std::int32_t code = VECSTORE_INVALID_ARGUMENT) {
    calls.keys = keys;
    CHECK_C(code, calls.put());
    CHECK_C(code, calls.get());
    CHECK_C(code, vecstore_erase(calls.store.get(), &calls.keys, nullptr, &error));
    calls.asked.exclude = &calls.keys;
    CHECK_C(code, calls.look());
    calls.asked.exclude = nullptr;
    calls.keys = right;
  };
  refused({nullptr, nullptr, 2});
  refused({calls.own.data(), &calls.text_keys.texts, 2});
  refused(names(calls.text_keys));  // of the other kind
  vecstore_texts texts = calls.text_keys.texts;
  texts.count = 1;
  refused({nullptr, &texts, 2});
  BOOST_TEST((error.expected == 2 && error.actual == 1));
  texts = calls.text_keys.texts;
  const std::vector<std::uint64_t> descending{0, 5, 3};
  texts.offsets = descending.data();
  refused({nullptr, &texts, 2});
  BOOST_TEST((error.detail == VECSTORE_DETAIL_ROW && error.number == 1));
  texts.offsets = nullptr;
  refused({nullptr, &texts, 2});
  texts = calls.text_keys.texts;
  texts.bytes = nullptr;
  refused({nullptr, &texts, 2});
  calls.keys.count = 1;  // fewer than vectors
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.put());
  BOOST_TEST((error.expected == 2 && error.actual == 1));
  calls.keys = right;
  texts = calls.text_keys.texts;
  texts.count = 1;
  calls.options.documents = &texts;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.put());
  calls.options.documents = nullptr;
  calls.options.if_there = 3;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.put());
  calls.options.if_there = 0;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_get(calls.store.get(), &calls.keys, nullptr, calls.read.data(),
                                                  calls.read.size() * sizeof(float) - 1, nullptr, &error));
  BOOST_TEST(error.expected == 2 * kDim * sizeof(float));
  calls.check();

  Calls of_texts(VECSTORE_KEY_BYTES);
  for (const std::string& text : {std::string(), std::string(481, 'k')}) {
    const TextData wrong(std::vector<std::string>{"one", text});
    const vecstore_keys bad = names(wrong);
    BOOST_TEST(vecstore_put(of_texts.store.get(), &bad, &of_texts.vectors, nullptr, nullptr, &error) ==
               VECSTORE_INVALID_ARGUMENT);
  }
  of_texts.check();
}

BOOST_AUTO_TEST_CASE(counts_beyond_all_memory) {
  Calls calls;
  vecstore_error& error = calls.error;
  const vecstore_keys right = calls.keys;
  for (const std::uint64_t count : {std::uint64_t{1} << 60, std::uint64_t{1} << 32, std::uint64_t{3}}) {
    calls.keys.count = count;
    CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.put());  // as many as vectors, and no more is looked at
    BOOST_TEST((error.expected == 2 && error.actual == count));
    CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.get());
  }
  calls.keys.count = std::uint64_t{1} << 60;
  CHECK_C(VECSTORE_MEMORY_BUDGET, vecstore_erase(calls.store.get(), &calls.keys, nullptr, &error));
  CHECK_C(VECSTORE_MEMORY_BUDGET, vecstore_get(calls.store.get(), &calls.keys, nullptr, nullptr, 0, nullptr, &error));
  calls.keys.count = (std::uint64_t{1} << 24) + 1;
  CHECK_C(VECSTORE_INVALID_ARGUMENT,
          vecstore_search_by_key(calls.store.get(), &calls.keys, &calls.asked, &calls.found.hits, &error));
  calls.keys = right;
  vecstore_texts texts = calls.text_keys.texts;
  texts.count = std::uint64_t{1} << 60;
  calls.options.documents = &texts;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.put());
  calls.options.documents = nullptr;
  calls.vectors.stride = std::uint64_t{1} << 63;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.put());
  calls.vectors.stride = 0;
  calls.vectors.rows = std::uint64_t{1} << 60;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.put());
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.look());
  calls.vectors.rows = 2;
  vecstore_open_options options = creating(kDim, VECSTORE_F32);
  options.delta_bytes = UINT64_MAX;
  vecstore_store* store = nullptr;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_open(calls.directory.path("t").c_str(), &options, &store, &error));
  calls.asked.reserved = 1;
  CHECK_C(VECSTORE_UNSUPPORTED, calls.look());
  calls.asked.reserved = 0;
  calls.check();
}

// Whoever goes on with what a call brought gives the next one what the last has filled.
BOOST_AUTO_TEST_CASE(what_a_call_filled_may_go_into_the_next) {
  Calls calls(VECSTORE_KEY_BYTES);
  vecstore_error& error = calls.error;
  calls.vectors.rows = 1;
  calls.asked.k = 1;
  REQUIRE_C(calls.look());
  vecstore_texts seen = vecstore_bytes_view(calls.found.texts.get());
  const std::string first(seen.bytes, seen.offsets[1]);
  const vecstore_keys exclude = {nullptr, &seen, seen.count};
  calls.asked.exclude = &exclude;
  REQUIRE_C(calls.look());
  seen = vecstore_bytes_view(calls.found.texts.get());
  BOOST_TEST(first != std::string(seen.bytes, seen.offsets[1]));
  const vecstore_keys keys = {nullptr, &seen, seen.count};
  REQUIRE_C(vecstore_get(calls.store.get(), &keys, nullptr, nullptr, 0, calls.found.texts.get(), &error));
  calls.found.hits.documents = calls.found.texts.get();
  calls.asked.exclude = nullptr;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.look());
}

BOOST_AUTO_TEST_CASE(nothing_at_all_is_a_batch_too) {
  Calls calls;
  vecstore_error& error = calls.error;
  const vecstore_keys none = {nullptr, nullptr, 0};
  const vecstore_vectors no_rows = {nullptr, 0, 0, kDim, VECSTORE_F32};
  vecstore_receipt receipt = {};
  receipt.struct_size = sizeof(receipt);
  REQUIRE_C(vecstore_put(calls.store.get(), &none, &no_rows, nullptr, &receipt, &error));
  BOOST_TEST(receipt.rows == 0u);
  REQUIRE_C(vecstore_erase(calls.store.get(), &none, &receipt, &error));
  REQUIRE_C(vecstore_get(calls.store.get(), &none, nullptr, nullptr, 0, nullptr, &error));
  REQUIRE_C(vecstore_search(calls.store.get(), &no_rows, &calls.asked, &calls.found.hits, &error));
  REQUIRE_C(vecstore_search_by_key(calls.store.get(), &none, &calls.asked, &calls.found.hits, &error));
  vecstore_hits nothing = {};
  nothing.struct_size = sizeof(nothing);
  REQUIRE_C(vecstore_search(calls.store.get(), &calls.vectors, &calls.asked, &nothing, &error));
  calls.check();
}

BOOST_AUTO_TEST_CASE(options_out_of_their_range) {
  Calls calls;
  vecstore_error& error = calls.error;
  const vecstore_search_options right = calls.asked;
  const auto refused = [&](const std::function<void(vecstore_search_options&)>& change) {
    calls.asked = right;
    change(calls.asked);
    CHECK_C(VECSTORE_INVALID_ARGUMENT, calls.look());
    calls.asked = right;
  };
  refused([](auto& o) { o.k = 0; });
  refused([](auto& o) { o.k = 1001; });
  refused([](auto& o) { o.k = UINT32_MAX; });
  refused([](auto& o) { o.recall_target = -1; });
  refused([](auto& o) { o.recall_target = std::numeric_limits<double>::quiet_NaN(); });
  refused([](auto& o) { o.search_list = 5000; });
  refused([](auto& o) { o.bound = std::numeric_limits<float>::infinity(); });
  refused([](auto& o) { o.threads = 257; });
  refused([](auto& o) { o.full_precision = 2; });
  refused([](auto& o) { o.has_radius = 2; });
  refused([](auto& o) { o.has_radius = 1, o.radius = std::numeric_limits<float>::quiet_NaN(); });
  const auto not_opened = [&](const std::function<void(vecstore_open_options&)>& change) {
    vecstore_open_options options = creating(kDim, VECSTORE_F32);
    change(options);
    vecstore_store* store = nullptr;
    CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_open(calls.directory.path("new").c_str(), &options, &store, &error));
    BOOST_TEST(store == nullptr);
  };
  not_opened([](auto& o) { o.access = 3; });
  not_opened([](auto& o) { o.dtype = 4; });
  not_opened([](auto& o) { o.metric = 3; });
  not_opened([](auto& o) { o.keys = 2; });
  not_opened([](auto& o) { o.dim = 4097; });
  not_opened([](auto& o) { o.cache = 3; });
  not_opened([](auto& o) { o.cache = VECSTORE_CACHE_FRACTION, o.cache_fraction = 1.5; });
  not_opened([](auto& o) { o.searchers = 5000; });
  not_opened([](auto& o) { o.lanes = 33; });
  not_opened([](auto& o) { o.backend = 9; });
  not_opened([](auto& o) { o.sync = 3; });
  not_opened([](auto& o) { o.merge = 2; });
  not_opened([](auto& o) { o.log_bytes = 1; });
  vecstore_open_options other = creating(kDim + 1, VECSTORE_F32);
  vecstore_store* store = nullptr;
  BOOST_TEST(vecstore_open(calls.directory.path("s").c_str(), &other, &store, &error) == VECSTORE_BUSY);
  calls.store.reset();
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_open(calls.directory.path("s").c_str(), &other, &store, &error));
}

BOOST_AUTO_TEST_CASE(two_writers_and_a_reader_that_writes) {
  Calls calls;
  vecstore_error& error = calls.error;
  const vecstore_open_options options = creating(kDim, VECSTORE_F32);
  vecstore_store* second = nullptr;
  CHECK_C(VECSTORE_BUSY, vecstore_open(calls.directory.path("s").c_str(), &options, &second, &error));
  BOOST_TEST(second == nullptr);
  vecstore_open_options reading = {};
  reading.struct_size = sizeof(reading);
  const auto reader = open_c(calls.directory.path("s"), reading);
  CHECK_C(VECSTORE_PERMISSION, vecstore_put(reader.get(), &calls.keys, &calls.vectors, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_PERMISSION, vecstore_erase(reader.get(), &calls.keys, nullptr, &error));
  CHECK_C(VECSTORE_PERMISSION, vecstore_flush(reader.get(), &error));
  REQUIRE_C(vecstore_close(reader.get(), &error));  // is nothing to a reader
  REQUIRE_C(vecstore_refresh(reader.get(), &error));
  REQUIRE_C(vecstore_search(reader.get(), &calls.vectors, &calls.asked, &calls.found.hits, &error));
  BOOST_TEST(calls.found.counts[0] == 2u);
  calls.check();
}

// {io_uring, pread, cached} × {a child reads, drops a writer, both}: no abort, no hang, no false report of damage.
BOOST_AUTO_TEST_CASE(handles_in_a_child_of_fork) {
  struct Way {
    std::uint32_t backend;
    std::uint32_t cache;
  };
  for (const Way way : {Way{VECSTORE_BACKEND_AUTO, 0}, Way{VECSTORE_BACKEND_PREAD, 0}, Way{VECSTORE_BACKEND_AUTO, 1}})
    for (const int what : {1, 2, 3}) {
      const TemporaryDirectory directory;
      vecstore_error error;
      const Matrix rows = recut(DType::kF32, kDim, 300);
      vecstore_source source = {};
      source.struct_size = sizeof(source);
      source.vectors = vectors_of(rows.view());
      REQUIRE_C(vecstore_build(directory.path("s").c_str(), &source, nullptr, &error));
      vecstore_open_options options = creating(kDim, VECSTORE_F32);
      options.backend = way.backend;
      options.cache = way.cache == 1 ? VECSTORE_CACHE_FRACTION : VECSTORE_CACHE_AUTO;
      options.cache_fraction = 1;
      auto store = open_c(directory.path("s"), options);
      vecstore_scan* opened = nullptr;
      REQUIRE_C(vecstore_scan_open(store.get(), nullptr, &opened, &error));
      Handle<vecstore_scan> scan(opened);
      const std::vector<std::uint64_t> own{1, 2};
      const vecstore_keys keys = numbers(own);
      const vecstore_vectors vectors = vectors_of({rows.bytes.data(), DType::kF32, 2, kDim, 0});
      const vecstore_search_options asked = asking_for(3);
      HitData found(2, 3);
      const pid_t child = ::fork();
      BOOST_REQUIRE(child >= 0);
      if (child == 0) {
        int wrong = 0;
        const auto expect = [&wrong](std::int32_t code) { wrong += code == VECSTORE_FORKED ? 0 : 1; };
        vecstore_rows batch = {};
        batch.struct_size = sizeof(batch);
        if ((what & 1) != 0) {
          expect(vecstore_search(store.get(), &vectors, &asked, &found.hits, nullptr));
          expect(vecstore_get(store.get(), &keys, nullptr, nullptr, 0, nullptr, nullptr));
          expect(vecstore_put(store.get(), &keys, &vectors, nullptr, nullptr, nullptr));
          expect(vecstore_verify(store.get(), 0, nullptr, nullptr, nullptr));
          expect(vecstore_close(store.get(), nullptr));
          expect(vecstore_scan_next(scan.get(), 1, &batch, nullptr));
          vecstore_store* again = nullptr;  // reads it through a handle of its own
          if (vecstore_open(directory.path("s").c_str(), nullptr, &again, nullptr) != VECSTORE_OK) ++wrong;
          if (vecstore_search(again, &vectors, &asked, &found.hits, nullptr) != VECSTORE_OK) ++wrong;
          vecstore_free(again);
        }
        if ((what & 2) != 0) {
          scan.reset();
          store.reset();
        }
        ::_exit(wrong);
      }
      int status = 0;
      BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
      BOOST_TEST(WIFEXITED(status));
      BOOST_TEST(WEXITSTATUS(status) == 0);
      REQUIRE_C(vecstore_put(store.get(), &keys, &vectors, nullptr, nullptr, &error));
      REQUIRE_C(vecstore_search(store.get(), &vectors, &asked, &found.hits, &error));
      vecstore_rows batch = {};
      batch.struct_size = sizeof(batch);
      REQUIRE_C(vecstore_scan_next(scan.get(), 1000, &batch, &error));
      BOOST_TEST(batch.count == 300u);
      REQUIRE_C(vecstore_verify(store.get(), 1, nullptr, nullptr, &error));
    }
}

// A bug of ours is told before the process ends.
BOOST_AUTO_TEST_CASE(a_broken_invariant_is_told_to_the_panic_hook) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);  // the test's own handler is not for children
    vecstore_set_panic(
        [](void* context, const char* line) {
          const int out = *static_cast<int*>(context);
          static_cast<void>(!::write(out, line, std::strlen(line)));
        },
        &ends[1]);
    VECSTORE_CHECK(ends[0] < 0);
    ::_exit(0);
  }
  ::close(ends[1]);
  char line[500] = {};
  BOOST_TEST(::read(ends[0], line, sizeof(line) - 1) > 0);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
  BOOST_TEST(std::string(line).find("broken invariant: ends[0] < 0") != std::string::npos, line);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
