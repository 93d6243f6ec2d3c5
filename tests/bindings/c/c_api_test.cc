// SPDX-License-Identifier: Apache-2.0
//
// What vecstore.h says of each call: what it gives, where it goes, and how it ends.
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>
#include <vector>

#include "tests/bindings/c/c_store.h"

namespace vecstore {
namespace {

using namespace test;
namespace fs = std::filesystem;

constexpr std::uint64_t kRows = 500;
constexpr std::uint32_t kDim = 24;

// A store of numbers with a graph of kRows rows, and what it was made of.
struct Built {
  explicit Built(DType dtype = DType::kF32) : rows(recut(dtype, kDim, kRows)) {
    vecstore_source source = {};
    source.struct_size = sizeof(source);
    source.vectors = vectors_of(rows.view());
    REQUIRE_C(vecstore_build(directory.path("s").c_str(), &source, nullptr, &error));
    store = open_c(directory.path("s"), creating(kDim, static_cast<std::uint32_t>(dtype)));
  }
  TemporaryDirectory directory;
  Matrix rows;
  vecstore_error error;
  Handle<vecstore_store> store;
};

BOOST_AUTO_TEST_SUITE(c_api)

BOOST_AUTO_TEST_CASE(the_library_says_what_it_is) {
  BOOST_TEST(vecstore_version_number() == VECSTORE_VERSION_NUMBER);
  BOOST_TEST(std::string(vecstore_version()) == "0.1.0");
  BOOST_TEST(std::string(vecstore_code_name(VECSTORE_BUSY)) == "VECSTORE_BUSY");
  BOOST_TEST(std::string(vecstore_code_name(VECSTORE_FORKED)) == "VECSTORE_FORKED");
  for (const std::int32_t code : {-1, VECSTORE_FORKED + 1, std::numeric_limits<std::int32_t>::max()})
    BOOST_TEST(std::string(vecstore_code_name(code)).empty());
  BOOST_TEST(sizeof(vecstore_error) == 512u);
}

BOOST_AUTO_TEST_CASE(a_store_lives_through_its_calls) {
  vecstore_error error;
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kU8, kDim, 100);
  const auto store = open_c(directory.path("s"), creating(0, VECSTORE_U8));
  std::vector<std::uint64_t> keys(100);
  for (std::uint64_t i = 0; i < keys.size(); ++i) keys[i] = 1000 + i;
  const vecstore_keys given = numbers(keys);
  const vecstore_vectors vectors = vectors_of(rows.view());
  vecstore_receipt receipt = {};
  receipt.struct_size = sizeof(receipt);
  REQUIRE_C(vecstore_put(store.get(), &given, &vectors, nullptr, &receipt, &error));
  BOOST_TEST(receipt.rows == 100u);
  BOOST_TEST(receipt.replaced == 0u);
  BOOST_TEST(receipt.durable_lsn >= receipt.lsn);
  BOOST_TEST(error.code == VECSTORE_OK);
  BOOST_TEST(std::string(error.message) == "ok");

  const vecstore_vectors query = vectors_of(rows.row(7));
  const vecstore_search_options options = asking_for(150);  // more than there are
  HitData found(1, 150);
  REQUIRE_C(vecstore_search(store.get(), &query, &options, &found.hits, &error));
  BOOST_TEST(found.counts[0] == 100u);
  BOOST_TEST(found.keys[0] == 1007u);
  BOOST_TEST(found.distances[0] == 0.0f);
  for (std::size_t i = 100; i < 150; ++i) {
    BOOST_TEST(found.keys[i] == std::numeric_limits<std::uint64_t>::max());
    BOOST_TEST(found.scores[i] == -std::numeric_limits<float>::infinity());
    BOOST_TEST(found.distances[i] == std::numeric_limits<float>::infinity());
  }
  const auto texts = strings_of(found.texts);
  BOOST_REQUIRE(texts.size() == 100u);
  BOOST_TEST(texts[0] == "1007");
  BOOST_TEST(found.stats[0].exact_distances == 100u);

  const std::vector<std::uint64_t> gone{1007, 5};
  const vecstore_keys erased = numbers(gone);
  REQUIRE_C(vecstore_erase(store.get(), &erased, &receipt, &error));
  BOOST_TEST(receipt.rows == 1u);
  std::vector<std::uint8_t> is_there(100);
  std::vector<std::uint8_t> got(100 * kDim, 77);
  REQUIRE_C(vecstore_get(store.get(), &given, is_there.data(), got.data(), got.size(), nullptr, &error));
  for (std::size_t i = 0; i < 100; ++i) {
    BOOST_TEST(is_there[i] == (i == 7 ? 0 : 1));
    const std::vector<std::uint8_t> zeros(kDim);
    const void* expected = i == 7 ? zeros.data() : rows.row(i).data;
    BOOST_TEST(std::memcmp(got.data() + i * kDim, expected, kDim) == 0);
  }
  REQUIRE_C(vecstore_compact(store.get(), nullptr, &error));
  vecstore_stats stats = {};
  stats.struct_size = sizeof(stats);
  REQUIRE_C(vecstore_get_stats(store.get(), &stats, &error));
  BOOST_TEST(stats.rows == 99u);
  BOOST_TEST(stats.delta_rows == 0u);
  BOOST_TEST(stats.dim == kDim);
  BOOST_TEST(stats.merges == 1u);
  REQUIRE_C(vecstore_flush(store.get(), &error));
  REQUIRE_C(vecstore_refresh(store.get(), &error));
  REQUIRE_C(vecstore_close(store.get(), &error));
  REQUIRE_C(vecstore_close(store.get(), &error));  // again
  CHECK_C(VECSTORE_CLOSED, vecstore_put(store.get(), &given, &vectors, nullptr, nullptr, &error));
  CHECK_C(VECSTORE_CLOSED, vecstore_erase(store.get(), &given, nullptr, &error));
  CHECK_C(VECSTORE_CLOSED, vecstore_flush(store.get(), &error));
  CHECK_C(VECSTORE_CLOSED, vecstore_compact(store.get(), nullptr, &error));
  CHECK_C(VECSTORE_CLOSED, vecstore_snapshot(store.get(), "late", 0, nullptr, &error));
  REQUIRE_C(vecstore_search(store.get(), &query, &options, &found.hits, &error));  // reading goes on
  BOOST_TEST(found.counts[0] == 99u);
  const auto another = open_c(directory.path("s"), creating(kDim, VECSTORE_U8));  // the lock is free
}

BOOST_AUTO_TEST_CASE(keys_and_documents_are_any_bytes) {
  vecstore_error error;
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kF16, kDim, 3);
  const auto store = open_c(directory.path("s"), creating(kDim, VECSTORE_F16, VECSTORE_KEY_BYTES));
  const std::vector<std::string> key_texts{std::string("a\0b", 3), "\xff\n", std::string(480, 'k')};
  const std::vector<std::string> document_texts{"", std::string("nul\0inside", 10), std::string(65536, 'd')};
  const TextData keys(key_texts), documents(document_texts);
  const vecstore_keys given = names(keys);
  const vecstore_vectors vectors = vectors_of(rows.view());
  vecstore_put_options options = {};
  options.struct_size = sizeof(options);
  options.documents = &documents.texts;
  REQUIRE_C(vecstore_put(store.get(), &given, &vectors, &options, nullptr, &error));
  Handle<vecstore_bytes> read(vecstore_bytes_new());
  std::vector<std::uint8_t> found(3);
  REQUIRE_C(vecstore_get(store.get(), &given, found.data(), nullptr, 0, read.get(), &error));
  BOOST_TEST(strings_of(read) == document_texts);
  const vecstore_vectors query = vectors_of(rows.view());
  const vecstore_search_options asked = asking_for(3);
  HitData hits(3, 3);
  REQUIRE_C(vecstore_search(store.get(), &query, &asked, &hits.hits, &error));
  const auto hit_keys = strings_of(hits.texts);
  const auto hit_documents = strings_of(hits.documents);
  BOOST_REQUIRE(hit_keys.size() == 9u);
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(hit_keys[3 * i] == key_texts[i]);
    BOOST_TEST(hit_documents[3 * i] == document_texts[i]);
  }
  // What is there is refused or skipped.
  options.if_there = VECSTORE_FAIL_IF_THERE;
  CHECK_C(VECSTORE_EXISTS, vecstore_put(store.get(), &given, &vectors, &options, nullptr, &error));
  BOOST_TEST((error.detail == VECSTORE_DETAIL_ROW && error.number == 0));
  options.if_there = VECSTORE_SKIP_IF_THERE;
  vecstore_receipt receipt = {};
  receipt.struct_size = sizeof(receipt);
  REQUIRE_C(vecstore_put(store.get(), &given, &vectors, &options, &receipt, &error));
  BOOST_TEST(receipt.rows == 0u);
  // A message is one line of UTF-8, whatever the key is.
  const TextData odd(std::vector<std::string>{"\xff\n\xc3\xa4"});
  const vecstore_keys missing = names(odd);
  CHECK_C(VECSTORE_NOT_FOUND, vecstore_search_by_key(store.get(), &missing, &asked, &hits.hits, &error));
  BOOST_TEST(std::string(error.message).find("??\xc3\xa4") != std::string::npos, error.message);
  BOOST_TEST(std::string(error.message).find('\n') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(searches_say_the_same_as_those_of_cpp) {
  Built built;
  const auto cpp = Store::open(built.directory.path("s"));
  REQUIRE_OK(cpp);
  vecstore_error error;
  const vecstore_vectors queries = vectors_of(built.rows.view());
  vecstore_search_options options = asking_for(10);
  options.threads = 2;
  const std::vector<std::uint64_t> seen{3, 4, 5};
  const vecstore_keys exclude = numbers(seen);
  const std::vector<Key> cpp_seen{3, 4, 5};
  for (const bool full : {false, true})
    for (const bool within : {false, true}) {
      options.full_precision = full ? 1 : 0;
      options.exclude = within ? &exclude : nullptr;
      options.has_radius = within ? 1 : 0;
      options.radius = 1.5f;
      SearchOptions same;
      same.full_precision = full;
      if (within) same.exclude = cpp_seen;
      if (within) same.radius = 1.5f;
      HitData found(kRows, 10);
      REQUIRE_C(vecstore_search(built.store.get(), &queries, &options, &found.hits, &error));
      const SearchResults expected = search(*cpp, built.rows.view(), same);
      for (std::size_t q = 0; q < kRows; ++q) {
        BOOST_REQUIRE(found.counts[q] == expected[q].size());
        for (std::size_t i = 0; i < expected[q].size(); ++i) {
          BOOST_REQUIRE(found.keys[q * 10 + i] == expected[q][i].key);
          BOOST_REQUIRE(found.scores[q * 10 + i] == expected[q][i].score);
          BOOST_REQUIRE(found.distances[q * 10 + i] == expected[q][i].distance);
        }
      }
    }
  // By key, each column on its own.
  const std::vector<std::uint64_t> like{0, 17};
  const vecstore_keys keys = numbers(like);
  const std::vector<Key> cpp_like{0, 17};
  const auto expected = cpp->search_by_key(cpp_like);
  REQUIRE_OK(expected);
  options = asking_for(10);
  HitData found(2, 10);
  vecstore_hits only = {};
  only.struct_size = sizeof(only);
  only.keys = found.keys.data();
  REQUIRE_C(vecstore_search_by_key(built.store.get(), &keys, &options, &only, &error));
  for (std::size_t q = 0; q < 2; ++q)
    for (std::size_t i = 0; i < 10; ++i) BOOST_TEST(found.keys[q * 10 + i] == (*expected)[q][i].key);
  BOOST_TEST(found.scores[0] == 12345.0f);  // was not asked for
}

BOOST_AUTO_TEST_CASE(a_scan_has_the_columns_of_its_moment) {
  for (const std::uint32_t kind : {VECSTORE_KEY_NUMBER, VECSTORE_KEY_BYTES}) {
    vecstore_error error;
    const TemporaryDirectory directory;
    const Matrix rows = recut(DType::kF32, kDim, 60);
    auto store = open_c(directory.path("s"), creating(kDim, VECSTORE_F32, kind));
    std::vector<std::uint64_t> number_keys;
    std::vector<std::string> text_keys, texts;
    for (std::uint64_t i = 0; i < 60; ++i) {
      number_keys.push_back(i * 10);
      text_keys.push_back("key " + std::to_string(i));
      texts.push_back("document " + std::to_string(i));
    }
    const TextData key_data(text_keys), documents(texts);
    const vecstore_keys keys = kind == VECSTORE_KEY_NUMBER ? numbers(number_keys) : names(key_data);
    const vecstore_vectors vectors = vectors_of(rows.view());
    vecstore_put_options options = {};
    options.struct_size = sizeof(options);
    options.documents = &documents.texts;
    REQUIRE_C(vecstore_put(store.get(), &keys, &vectors, &options, nullptr, &error));
    vecstore_scan* opened = nullptr;
    REQUIRE_C(vecstore_scan_open(store.get(), nullptr, &opened, &error));
    const Handle<vecstore_scan> scan(opened);
    REQUIRE_C(vecstore_erase(store.get(), &keys, nullptr, &error));  // of a later moment
    store.reset();                                                   // the scan keeps it alive, and another may write
    store = open_c(directory.path("s"), creating(kDim, VECSTORE_F32, kind));
    vecstore_rows batch = {};
    batch.struct_size = sizeof(batch);
    std::uint64_t seen = 0;
    REQUIRE_C(vecstore_scan_next(scan.get(), 7, &batch, &error));
    while (batch.count != 0) {
      BOOST_REQUIRE(batch.keys.count == batch.count);
      BOOST_REQUIRE(batch.vectors.rows == batch.count);
      BOOST_REQUIRE(batch.documents.count == batch.count);
      for (std::uint64_t i = 0; i < batch.count; ++i, ++seen) {
        if (kind == VECSTORE_KEY_NUMBER) BOOST_TEST(batch.keys.numbers[i] == seen * 10);
        if (kind == VECSTORE_KEY_BYTES) BOOST_TEST(strings_of(*batch.keys.texts)[i] == text_keys[seen]);
        BOOST_TEST(strings_of(batch.documents)[i] == texts[seen]);
        const auto* vector = static_cast<const float*>(batch.vectors.data) + i * kDim;
        BOOST_TEST(std::memcmp(vector, rows.row(seen).data, kDim * sizeof(float)) == 0);
      }
      REQUIRE_C(vecstore_scan_next(scan.get(), 7, &batch, &error));
    }
    BOOST_TEST(seen == 60u);
    CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_scan_next(scan.get(), 0, &batch, &error));
  }
}

// The next version's structs are longer; those of a caller that was never initialised are of any length.
template <typename T>
struct Longer {
  T known;
  std::uint64_t later[2];
};

BOOST_AUTO_TEST_CASE(structs_of_other_versions) {
  vecstore_error error;
  const TemporaryDirectory directory;
  Longer<vecstore_open_options> options = {};
  vecstore_init(&options, sizeof(options));
  BOOST_TEST(options.known.struct_size == sizeof(options));
  options.known.access = VECSTORE_CREATE;
  options.known.dtype = VECSTORE_U8;
  vecstore_store* opened = nullptr;
  REQUIRE_C(vecstore_open(directory.path("s").c_str(), &options.known, &opened, &error));
  const Handle<vecstore_store> store(opened);
  options.later[1] = 1;
  opened = store.get();
  CHECK_C(VECSTORE_UNSUPPORTED, vecstore_open(directory.path("t").c_str(), &options.known, &opened, &error));
  BOOST_TEST(opened == nullptr);
  BOOST_TEST(error.number == sizeof(vecstore_open_options) + 8);
  for (const std::uint32_t size : {0u, 4u, std::uint32_t{sizeof(vecstore_open_options)} - 1, 5000u, UINT32_MAX}) {
    options.known.struct_size = size;
    CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_open(directory.path("t").c_str(), &options.known, &opened, &error));
  }
  BOOST_TEST(!fs::exists(directory.path("t")));

  Longer<vecstore_stats> stats = {};
  std::memset(&stats, 0xee, sizeof(stats));
  stats.known.struct_size = sizeof(stats);
  REQUIRE_C(vecstore_get_stats(store.get(), &stats.known, &error));
  BOOST_TEST(stats.known.struct_size == sizeof(stats));
  BOOST_TEST(stats.later[0] == 0u);  // nobody knows it, so it is 0
  BOOST_TEST(stats.later[1] == 0u);
  stats.known.struct_size = 8;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_get_stats(store.get(), &stats.known, &error));

  // An array goes by the size of its first element.
  const Matrix rows = recut(DType::kU8, kDim, 2);
  const std::vector<std::uint64_t> two{1, 2};
  const vecstore_keys keys = numbers(two);
  const vecstore_vectors vectors = vectors_of(rows.view());
  REQUIRE_C(vecstore_put(store.get(), &keys, &vectors, nullptr, nullptr, &error));
  std::vector<Longer<vecstore_query_stats>> many(2);
  many[0].known.struct_size = sizeof(many[0]);
  vecstore_hits hits = {};
  hits.struct_size = sizeof(hits);
  hits.stats = &many[0].known;
  const vecstore_search_options asked = asking_for(1);
  REQUIRE_C(vecstore_search(store.get(), &vectors, &asked, &hits, &error));
  for (const auto& one : many) {
    BOOST_TEST(one.known.struct_size == sizeof(one));
    BOOST_TEST(one.known.exact_distances == 2u);
    BOOST_TEST(one.later[0] == 0u);
  }
  vecstore_init(nullptr, 100);
  std::uint32_t small = 7;
  vecstore_init(&small, 3);
  BOOST_TEST(small == 7u);
}

BOOST_AUTO_TEST_CASE(builds_from_memory_and_functions) {
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kF32, kDim, kRows);
  vecstore_error error;
  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i < kRows; ++i) texts.push_back("text " + std::to_string(i));
  const TextData data(texts);
  const vecstore_keys keys = names(data);
  struct Reader {
    const Matrix& rows;
    std::int32_t fails = 0;
    static std::int32_t read(void* context, std::uint64_t first, std::uint64_t count, void* out) {
      const auto& self = *static_cast<Reader*>(context);
      if (self.fails != 0) return self.fails;
      std::memcpy(out, self.rows.row(first).data, count * self.rows.row_bytes());
      return 0;
    }
  } reader{rows};
  vecstore_source source = {};
  source.struct_size = sizeof(source);
  source.read = Reader::read;
  source.context = &reader;
  source.vectors = vectors_of({nullptr, DType::kF32, kRows, kDim, 0});
  source.keys = &keys;
  source.documents = &data.texts;
  vecstore_build_options options = {};
  options.struct_size = sizeof(options);
  options.metric = VECSTORE_COSINE;
  vecstore_prediction prediction = {};
  prediction.struct_size = sizeof(prediction);
  REQUIRE_C(vecstore_predict_build(&source, &options, &prediction, &error));
  BOOST_TEST(prediction.memory_peak_bytes > kRows * kDim);
  const std::string path = directory.path("s");
  for (const std::int32_t code : {std::int32_t{VECSTORE_NO_SPACE}, std::int32_t{-7}, std::int32_t{1000}}) {
    reader.fails = code;
    const std::int32_t expected = code == VECSTORE_NO_SPACE ? VECSTORE_NO_SPACE : VECSTORE_IO;
    CHECK_C(expected, vecstore_build(path.c_str(), &source, &options, &error));
    BOOST_TEST(!fs::exists(path));
  }
  reader.fails = 0;
  REQUIRE_C(vecstore_build(path.c_str(), &source, &options, &error));
  CHECK_C(VECSTORE_EXISTS, vecstore_build(path.c_str(), &source, &options, &error));
  options.overwrite = 1;
  REQUIRE_C(vecstore_build(path.c_str(), &source, &options, &error));
  vecstore_open_options opening = creating(kDim, VECSTORE_F32, VECSTORE_KEY_BYTES);
  opening.metric = VECSTORE_COSINE;
  const auto store = open_c(path, opening);
  Handle<vecstore_bytes> documents(vecstore_bytes_new());
  REQUIRE_C(vecstore_get(store.get(), &keys, nullptr, nullptr, 0, documents.get(), &error));
  BOOST_TEST(strings_of(documents) == texts);

  // From memory, with numbers.
  std::vector<std::uint64_t> own(kRows);
  for (std::uint64_t i = 0; i < kRows; ++i) own[i] = 7 * i + 1;
  const vecstore_keys number_keys = numbers(own);
  source = {};
  source.struct_size = sizeof(source);
  source.vectors = vectors_of(rows.view());
  source.keys = &number_keys;
  REQUIRE_C(vecstore_build(directory.path("n").c_str(), &source, nullptr, &error));
  own[3] = own[2];
  CHECK_C(VECSTORE_EXISTS, vecstore_build(directory.path("m").c_str(), &source, nullptr, &error));
  BOOST_TEST((error.detail == VECSTORE_DETAIL_ROW && error.number == 3));
  const vecstore_keys fewer = {own.data(), nullptr, kRows - 1};
  source.keys = &fewer;
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_build(directory.path("m").c_str(), &source, nullptr, &error));
  BOOST_TEST((error.expected == kRows && error.actual == kRows - 1));
  source.path = "/nowhere/at.fbin";
  CHECK_C(VECSTORE_NOT_FOUND, vecstore_build(directory.path("m").c_str(), &source, nullptr, &error));
}

BOOST_AUTO_TEST_CASE(calls_are_watched_and_stopped) {
  Built built;
  vecstore_error error;
  const Handle<vecstore_cancel> cancel(vecstore_cancel_new());
  vecstore_hooks hooks = {};
  hooks.struct_size = sizeof(hooks);
  hooks.cancel = cancel.get();
  vecstore_cancel_now(cancel.get());
  const vecstore_vectors queries = vectors_of(built.rows.view());
  vecstore_search_options options = asking_for(10);
  options.hooks = &hooks;
  HitData found(kRows, 10);
  CHECK_C(VECSTORE_CANCELLED, vecstore_search(built.store.get(), &queries, &options, &found.hits, &error));
  BOOST_TEST(found.counts[0] == 0u);
  BOOST_TEST(found.keys[0] == std::numeric_limits<std::uint64_t>::max());
  vecstore_compact_options compacting = {};
  compacting.struct_size = sizeof(compacting);
  compacting.rebuild = 1;
  compacting.hooks = &hooks;
  CHECK_C(VECSTORE_CANCELLED, vecstore_compact(built.store.get(), &compacting, &error));
  CHECK_C(VECSTORE_CANCELLED, vecstore_verify(built.store.get(), 1, nullptr, &hooks, &error));
  CHECK_C(VECSTORE_CANCELLED,
          vecstore_copy(built.directory.path("s").c_str(), built.directory.path("c").c_str(), nullptr, &hooks, &error));
  BOOST_TEST(!fs::exists(built.directory.path("c")));
  vecstore_cancel_reset(cancel.get());
  REQUIRE_C(vecstore_search(built.store.get(), &queries, &options, &found.hits, &error));

  struct Told {
    int calls = 0;
    int most = 0;
    std::uint32_t phase = 999;
    static std::int32_t progress(void* context, const vecstore_progress* progress) {
      auto& self = *static_cast<Told*>(context);
      self.phase = progress->phase;
      return ++self.calls > self.most ? 1 : 0;
    }
  } told;
  hooks.progress = Told::progress;
  hooks.context = &told;
  CHECK_C(VECSTORE_CANCELLED, vecstore_compact(built.store.get(), &compacting, &error));
  BOOST_TEST(told.calls == 1);
  told.most = 1'000'000;
  REQUIRE_C(vecstore_compact(built.store.get(), &compacting, &error));  // though nothing was written
  BOOST_TEST(told.calls > 2);
  REQUIRE_C(vecstore_verify(built.store.get(), 1, nullptr, &hooks, &error));
  BOOST_TEST(told.phase == std::uint32_t{VECSTORE_PHASE_VERIFY});
}

BOOST_AUTO_TEST_CASE(keeping_checking_and_mending) {
  Built built;
  vecstore_error error;
  const std::string path = built.directory.path("s"), copy = built.directory.path("copy");
  REQUIRE_C(vecstore_snapshot(built.store.get(), "one", 0, nullptr, &error));
  CHECK_C(VECSTORE_EXISTS, vecstore_snapshot(built.store.get(), "one", 0, nullptr, &error));
  CHECK_C(VECSTORE_INVALID_ARGUMENT, vecstore_snapshot(built.store.get(), "../one", 0, nullptr, &error));
  Handle<vecstore_bytes> texts(vecstore_bytes_new());
  REQUIRE_C(vecstore_snapshots(path.c_str(), texts.get(), &error));
  BOOST_TEST(strings_of(texts) == std::vector<std::string>{"one"});
  REQUIRE_C(vecstore_copy((path + "/snapshots/one").c_str(), copy.c_str(), nullptr, nullptr, &error));
  CHECK_C(VECSTORE_EXISTS, vecstore_copy(path.c_str(), copy.c_str(), nullptr, nullptr, &error));
  REQUIRE_C(vecstore_copy(path.c_str(), built.directory.path("next").c_str(), copy.c_str(), nullptr, &error));
  REQUIRE_C(vecstore_remove_snapshot(path.c_str(), "one", &error));
  CHECK_C(VECSTORE_NOT_FOUND, vecstore_remove_snapshot(path.c_str(), "one", &error));
  REQUIRE_C(vecstore_verify(built.store.get(), 1, texts.get(), nullptr, &error));
  BOOST_TEST(strings_of(texts).empty());
  const std::string vectors = built.directory.path("v.fbin"), keys = built.directory.path("k.txt");
  REQUIRE_C(vecstore_export(built.store.get(), vectors.c_str(), keys.c_str(), nullptr, 0, nullptr, &error));
  CHECK_C(VECSTORE_EXISTS,
          vecstore_export(built.store.get(), vectors.c_str(), keys.c_str(), nullptr, 0, nullptr, &error));
  REQUIRE_C(vecstore_export(built.store.get(), vectors.c_str(), keys.c_str(), nullptr, 1, nullptr, &error));
  std::uint64_t rows = 0;
  REQUIRE_C(vecstore_salvage(copy.c_str(), built.directory.path("saved").c_str(), nullptr, &rows, &error));
  BOOST_TEST(rows == kRows);
  REQUIRE_C(vecstore_info_json(built.store.get(), texts.get(), &error));
  const std::string json(vecstore_bytes_view(texts.get()).bytes);  // one text alone is a C string
  BOOST_TEST(json.find("\"n\": 500") != std::string::npos, json);
  REQUIRE_C(vecstore_metrics_text(built.store.get(), texts.get(), &error));
  BOOST_TEST(std::string(vecstore_bytes_view(texts.get()).bytes).find("vecstore_rows 500") != std::string::npos);

  // A damaged page is found, and named.
  built.store.reset();
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.path().filename().string().starts_with("graph")) {
      auto bytes = read_file(entry.path());
      bytes[bytes.size() - 100] ^= 1;
      write_file(entry.path(), bytes);
    }
  vecstore_open_options reading = {};
  reading.struct_size = sizeof(reading);
  const auto damaged = open_c(path, reading);
  CHECK_C(VECSTORE_CORRUPT, vecstore_verify(damaged.get(), 1, texts.get(), nullptr, &error));
  BOOST_TEST(!strings_of(texts).empty());
  BOOST_TEST(strings_of(texts)[0] == error.message);
  CHECK_C(VECSTORE_PERMISSION, vecstore_snapshot(damaged.get(), "two", 0, nullptr, &error));
}

BOOST_AUTO_TEST_CASE(eight_threads_search_one_handle) {
  Built built(DType::kU8);
  std::vector<std::jthread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      HitData found(kRows, 1);
      const vecstore_vectors queries = vectors_of(built.rows.view());
      const vecstore_search_options options = asking_for(1);
      for (int round = 0; round < 3; ++round) {
        if (vecstore_search(built.store.get(), &queries, &options, &found.hits, nullptr) != VECSTORE_OK) ++wrong;
        for (const float distance : found.distances) wrong += distance == 0 ? 0 : 1;
      }
    });
  threads.clear();
  BOOST_TEST(wrong <= static_cast<int>(8 * 3 * kRows / 50));  // found by its own vector, at the calibrated list
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
