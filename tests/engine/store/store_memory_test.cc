// SPDX-License-Identifier: Apache-2.0
//
// Memory as promised: budgets of builds and of open stores, and the figures that are given for them.
#include <filesystem>

#include "tests/engine/stores.h"
#include "tests/engine/text_input.h"

using namespace vecstore;
using test::build_options;
using test::code_of;
using test::Matrix;
using test::search;

namespace {

const std::string& shared_path() {
  static const test::TemporaryDirectory directory;
  static const std::string path = [] {
    const std::string at = directory.path("idx");
    const Matrix base = test::csift(4000);
    REQUIRE_OK(Store::build(at, *view_source(base.view()), build_options(Metric::kL2)));
    return at;
  }();
  return path;
}

Store open(const OpenOptions& options) {
  auto store = Store::open(shared_path(), options);
  REQUIRE_OK(store);
  return std::move(*store);
}

// The prediction of a build is refused one byte below, and enough as it is.
void check_prediction(const Matrix& base, BuildOptions options) {
  const test::TemporaryDirectory directory;
  const auto source = view_source(base.view());
  const auto prediction = predict_build(*source, options);
  REQUIRE_OK(prediction);
  options.ram_bytes = prediction->memory_peak_bytes;
  std::uint64_t used = 0;
  options.progress = [&](const Progress& at) { used = std::max(used, at.memory_bytes); };
  REQUIRE_OK(Store::build(directory.path("idx"), *source, options));
  BOOST_TEST(used <= options.ram_bytes);
  BOOST_TEST(used > 0u);
  std::uint64_t disk_bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path("idx")))
    if (entry.is_regular_file()) disk_bytes += entry.file_size();
  BOOST_TEST(disk_bytes <= prediction->disk_bytes);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(store_memory)

BOOST_AUTO_TEST_CASE(the_least_that_is_named_really_does) {
  for (const auto& [searchers, lanes] : {std::pair{1u, 0u}, {4u, 0u}, {1u, 9u}})
    for (const std::uint64_t ram_bytes : {1ull, 65536ull, 200000ull, 300000ull}) {
      OpenOptions options;
      options.ram_bytes = ram_bytes;
      options.searchers = searchers;
      options.lanes = lanes;
      if (lanes != 0) options.cache_fraction = 0.0;  // all of so small a graph would take less than nine lanes
      const auto refused = Store::open(shared_path(), options);
      BOOST_REQUIRE(code_of(refused) == Code::kMemoryBudget);
      BOOST_CHECK(refused.error().detail() == Detail::kBytes);
      BOOST_TEST(refused.error().number() > ram_bytes);
      options.ram_bytes = refused.error().number();
      const Store store = open(options);
      BOOST_TEST(store.info().ram_peak_bytes <= options.ram_bytes);
      // It is the least but for a little.
      BOOST_TEST(store.info().ram_peak_bytes + 150000 * searchers > options.ram_bytes);
      BOOST_TEST(search(store, test::csift_queries(20).view(), {})[0].size() == 10u);
    }
}

namespace {

struct WrittenStore {
  const char* name;
  DType dtype = DType::kU8;
  bool has_graph = false;
  bool has_keys = false;
  std::uint64_t puts = 0;
  std::uint64_t keys = 0;    // of which the puts are; fewer: rows are replaced
  std::uint64_t erased = 0;  // of these keys
  std::uint32_t document_bytes = 0;
};

// The keys of the store's kind; those of the graph come first.
class KeyTexts {
 public:
  KeyTexts(std::uint64_t count, bool are_bytes) : are_bytes_(are_bytes) {
    for (std::uint64_t i = 0; i < count; ++i) texts_.push_back("key " + std::to_string(i));
  }
  Key operator[](std::uint64_t i) const { return are_bytes_ ? Key(texts_[i]) : Key(i); }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  bool are_bytes_;
  std::vector<std::string> texts_;
};

void write_store(const std::string& path, const test::TemporaryDirectory& directory, const WrittenStore& how) {
  constexpr std::uint64_t kGraphRows = 3000;
  const Matrix base = how.dtype == DType::kF32 ? test::widened(test::csift(5000)) : test::csift(5000);
  const KeyTexts keys(std::max(how.keys, kGraphRows), how.has_keys);
  if (how.has_graph) {
    BuildOptions options = build_options(Metric::kL2);
    if (how.has_keys) {
      options.keys_path = directory.path("keys");
      test::write_lines(options.keys_path, {keys.texts().begin(), keys.texts().begin() + kGraphRows});
    }
    const VectorView rows{base.bytes.data(), base.dtype, kGraphRows, base.dim, 0};
    REQUIRE_OK(Store::build(path, *view_source(rows), options));
  } else {
    REQUIRE_OK(Store::create(path, {.dtype = how.dtype, .keys = how.has_keys ? KeyKind::kBytes : KeyKind::kNumber}));
  }
  if (how.puts == 0) return;
  auto store = Store::open(path, {.access = Access::kReadWrite, .sync = SyncMode::kNone});
  REQUIRE_OK(store);
  for (std::uint64_t i = 0; i < how.puts; ++i) {
    const std::string document(how.document_bytes, static_cast<char>('a' + i % 26));
    REQUIRE_OK(store->put(keys[i % how.keys], base.row(i % base.rows()), document));
  }
  for (std::uint64_t i = 0; i < how.erased; ++i) REQUIRE_OK(store->erase(keys[i]));
  REQUIRE_OK(store->close());
}

// By trying, to a hundredth. enough: opens it.
std::uint64_t least_that_opens(const std::string& path, OpenOptions options, std::uint64_t enough) {
  std::uint64_t too_little = 0;
  while (enough - too_little > enough / 100) {
    options.ram_bytes = too_little + (enough - too_little) / 2;
    (Store::open(path, options) ? enough : too_little) = options.ram_bytes;
  }
  return enough;
}

bool mentions(const std::string& text, const char* words) { return text.find(words) != std::string::npos; }

}  // namespace

// For a store with a log it was the size of the log's files, and a writer's memory beside what was replayed.
BOOST_AUTO_TEST_CASE(the_least_that_is_named_is_the_least_whatever_was_written) {
  const WrittenStore all[] = {
      {"empty"},
      {.name = "graph", .has_graph = true},
      {.name = "keys", .has_graph = true, .has_keys = true},
      {.name = "log", .puts = 12000, .keys = 12000},
      {.name = "floats", .dtype = DType::kF32, .puts = 6000, .keys = 6000, .document_bytes = 200},
      {.name = "log of keys", .has_keys = true, .puts = 8000, .keys = 8000, .erased = 3000},
      {.name = "replaced", .puts = 20000, .keys = 1500},
      {.name = "both", .has_graph = true, .puts = 9000, .keys = 7000, .erased = 500},
      {.name = "all",
       .dtype = DType::kF32,
       .has_graph = true,
       .has_keys = true,
       .puts = 6000,
       .keys = 5000,
       .erased = 100,
       .document_bytes = 90}};
  int exact = 0;
  for (const WrittenStore& how : all) {
    const test::TemporaryDirectory directory;
    const std::string path = directory.path("s");
    write_store(path, directory, how);
    for (const Access access : {Access::kRead, Access::kReadWrite})
      for (const std::uint32_t searchers : {1u, 5u})
        for (const bool is_cached : {false, true}) {
          if (is_cached && !how.has_graph) continue;
          OpenOptions options;
          options.access = access;
          options.searchers = searchers;
          options.delta_bytes = 2u << 20;
          options.merge = MergePolicy::kManual;
          if (is_cached) options.cache_fraction = 0.5;
          options.ram_bytes = 1;
          const auto refused = Store::open(path, options);
          if (how.puts == 0 && !how.has_graph && access == Access::kRead) {  // there is nothing to load
            REQUIRE_OK(refused);
            continue;
          }
          BOOST_REQUIRE((code_of(refused) == Code::kMemoryBudget));
          const std::uint64_t does = refused.error().number();
          const std::uint64_t least = least_that_opens(path, options, does);
          BOOST_TEST_CONTEXT(how.name << (access == Access::kRead ? ", reader, " : ", writer, ") << searchers
                                      << (is_cached ? " searchers, cached: " : " searchers: ") << least << " of "
                                      << does) {
            // A byte is too little by the log alone, which is only counted then.
            BOOST_TEST(does >= least);
            BOOST_TEST(does <= (how.puts == 0 ? least * 103 / 100 : 4 * least + (4u << 20)));
            options.ram_bytes = least * 97 / 100;
            const auto too_little = Store::open(path, options);
            BOOST_TEST((code_of(too_little) == Code::kMemoryBudget));
            if (!too_little && mentions(too_little.error().message(), "needs at least")) {
              ++exact;
              BOOST_TEST(too_little.error().number() >= least * 99 / 100);
              BOOST_TEST(too_little.error().number() <= least * 103 / 100);
            }
            options.ram_bytes = least;
            const auto store = Store::open(path, options);
            REQUIRE_OK(store);
            BOOST_TEST(store->info().ram_peak_bytes <= least);
            const Matrix queries =
                how.dtype == DType::kF32 ? test::widened(test::csift_queries(3)) : test::csift_queries(3);
            if (store->size() != 0) BOOST_TEST(search(*store, queries.view(), {})[0].size() == 10u);
          }
        }
  }
  BOOST_TEST(exact > 20);
}

BOOST_AUTO_TEST_CASE(an_open_store_stays_within_its_budget) {
  const Matrix queries = test::csift_queries(100);
  for (const std::uint64_t ram_bytes : {800ull << 10, 1ull << 20, 2ull << 20}) {
    OpenOptions options;
    options.ram_bytes = ram_bytes;
    const Store store = open(options);
    search(store, queries.view(), {});
    std::vector<std::byte> vector(128);
    REQUIRE_OK(store.vector(RowId{5}, vector));
    const StoreInfo info = store.info();
    BOOST_TEST(info.ram_budget_bytes == ram_bytes);
    BOOST_TEST(info.ram_peak_bytes <= ram_bytes);
    BOOST_TEST(info.ram_used_bytes <= info.ram_peak_bytes);
    BOOST_TEST((info.pages_cached > 0 || info.lanes > 1));
    if (info.pages_cached < info.pages) BOOST_TEST(info.ram_used_bytes + (320u << 10) > ram_bytes);
  }
}

BOOST_AUTO_TEST_CASE(the_cache_is_as_large_as_asked) {
  const std::uint64_t pages = open({}).info().pages;
  BOOST_TEST(open({}).info().pages_cached == 0u);
  OpenOptions options;
  options.cache_fraction = 0.0;
  options.ram_bytes = 8 << 20;
  BOOST_TEST(open(options).info().pages_cached == 0u);
  options.ram_bytes = 0;
  options.cache_fraction = 0.25;
  BOOST_TEST(open(options).info().pages_cached == pages / 4);
  options.cache_fraction = 1.0;
  BOOST_TEST(open(options).info().pages_cached == pages);
  options.cache_fraction.reset();
  options.cache_bytes = 64 * 1024;
  const std::uint64_t cached = open(options).info().pages_cached;
  BOOST_TEST((cached >= 14 && cached <= 16));
  options.cache_bytes = 0;
  BOOST_TEST(open(options).info().pages_cached == 0u);
  options.cache_bytes = 4 << 20;
  options.ram_bytes = 1 << 20;
  const auto refused = Store::open(shared_path(), options);
  BOOST_REQUIRE(code_of(refused) == Code::kMemoryBudget);
  options.ram_bytes = refused.error().number();
  BOOST_TEST(open(options).info().ram_peak_bytes <= options.ram_bytes);
}

BOOST_AUTO_TEST_CASE(every_budget_from_the_least_on_opens_and_takes_as_many_lanes_as_fit) {
  OpenOptions options;
  options.cache_fraction = 0.0;
  options.searchers = 2;
  options.ram_bytes = 1 << 10;
  const auto refused = Store::open(shared_path(), options);
  BOOST_REQUIRE(code_of(refused) == Code::kMemoryBudget);
  std::uint32_t lanes = 0;
  for (options.ram_bytes = refused.error().number(); lanes < 16; options.ram_bytes += 4096) {
    const auto store = Store::open(shared_path(), options);
    REQUIRE_OK(store);
    BOOST_REQUIRE(store->info().lanes >= lanes);
    BOOST_REQUIRE(store->info().ram_peak_bytes <= options.ram_bytes);
    lanes = store->info().lanes;
  }
}

BOOST_AUTO_TEST_CASE(a_few_queries_under_way_come_before_the_cache) {
  constexpr std::uint64_t kLanePages = 40;  // about what one more takes
  OpenOptions options;
  options.ram_bytes = 1 << 10;
  const auto refused = Store::open(shared_path(), options);
  BOOST_REQUIRE(code_of(refused) == Code::kMemoryBudget);
  std::uint32_t most = 0;
  StoreInfo info;
  for (options.ram_bytes = refused.error().number(); info.pages_cached < info.pages || info.pages == 0;
       options.ram_bytes += 16384) {
    info = open(options).info();
    BOOST_REQUIRE(info.ram_peak_bytes <= options.ram_bytes);
    most = std::max(most, info.lanes);
    if (info.lanes < 4 && info.pages_cached < info.pages) BOOST_REQUIRE(info.pages_cached < kLanePages);
  }
  BOOST_TEST(most >= 4u);
}

BOOST_AUTO_TEST_CASE(the_cache_adapts_to_what_is_asked_for_unless_it_is_fixed) {
  const Matrix queries = test::csift_queries(2);
  for (const bool fixed : {false, true}) {
    OpenOptions options;
    options.cache_fraction = 0.25;
    options.fixed_cache = fixed;
    const Store store = open(options);
    const double first = test::mean(search(store, queries.view(), {}), &QueryStats::requests);
    for (int pass = 0; pass < 8; ++pass) search(store, queries.view(), {});
    const double last = test::mean(search(store, queries.view(), {}), &QueryStats::requests);
    if (fixed) {
      BOOST_TEST(last == first);
    } else {
      BOOST_TEST(last < 0.5 * first);
    }
    BOOST_TEST((store.info().pages_replaced == 0) == fixed);
  }
}

BOOST_AUTO_TEST_CASE(what_is_said_of_the_memory_adds_up) {
  for (const double share : {0.0, 0.1, 1.0}) {
    OpenOptions options;
    options.cache_fraction = share;
    options.searchers = 3;
    const StoreInfo info = open(options).info();
    BOOST_TEST(info.codes_bytes + info.fixed_ram_bytes + info.searchers_bytes + info.cache_bytes ==
               info.ram_used_bytes);
    BOOST_TEST(info.searchers == 3u);
    BOOST_TEST((info.lanes == 0) == (share == 1.0));
    BOOST_TEST(static_cast<double>(info.codes_bytes) == info.ram_bytes_per_row * static_cast<double>(info.rows),
               boost::test_tools::tolerance(1e-9));
  }
}

BOOST_AUTO_TEST_CASE(the_dictionary_of_the_documents_counts_as_memory) {
  constexpr std::uint64_t kRows = 2000;  // more than 1 MiB of texts
  const test::TemporaryDirectory directory;
  const auto texts = test::first_lines(test::shipped_data("win384-8k.base.text.jsonl.zst"), kRows);
  const Matrix base = test::csift(kRows);
  BuildOptions options = build_options(Metric::kL2);
  REQUIRE_OK(Store::build(directory.path("bare"), *view_source(base.view()), options));
  options.documents_path = directory.path("texts");
  test::write_lines(options.documents_path, texts);
  check_prediction(base, options);
  REQUIRE_OK(Store::build(directory.path("idx"), *view_source(base.view()), options));

  OpenOptions opening;
  opening.cache_fraction = 0.0;
  const auto bare = Store::open(directory.path("bare"), opening);
  REQUIRE_OK(bare);
  opening.ram_bytes = 1;
  const auto refused = Store::open(directory.path("idx"), opening);
  BOOST_REQUIRE(code_of(refused) == Code::kMemoryBudget);
  opening.ram_bytes = refused.error().number();
  const auto store = Store::open(directory.path("idx"), opening);
  REQUIRE_OK(store);
  const StoreInfo info = store->info();
  BOOST_TEST(info.codes_bytes + info.fixed_ram_bytes + info.dictionary_bytes + info.searchers_bytes +
                 info.cache_bytes ==
             info.ram_used_bytes);
  BOOST_TEST(info.dictionary_bytes > 2 * (16u << 10));
  BOOST_TEST(bare->info().dictionary_bytes == 0u);
  for (std::uint64_t row = 0; row < kRows; ++row) {
    const auto item = store->get(row);
    REQUIRE_OK(item);
    BOOST_REQUIRE(item->document == texts[row]);
  }
}

BOOST_AUTO_TEST_CASE(cached_pages_change_the_reads_and_not_the_answers) {
  const Matrix few = test::csift_queries(10);
  const Store bare = open({});
  OpenOptions options;
  options.cache_fraction = 1.0;
  const Store cached = open(options);
  const auto expected = search(bare, few.view(), test::exhaustive(10));
  const auto found = search(cached, few.view(), test::exhaustive(10));
  for (std::size_t query = 0; query < few.rows(); ++query) {
    BOOST_REQUIRE_EQUAL(found.stats(query).requests, 0u);
    BOOST_REQUIRE(found.stats(query).pages_from_cache > 0u);
    BOOST_REQUIRE(std::equal(found[query].begin(), found[query].end(), expected[query].begin(), expected[query].end(),
                             [](const Hit& a, const Hit& b) { return a.row == b.row && a.distance == b.distance; }));
  }
  options.cache_fraction = 0.25;
  const Store some = open(options);
  const Matrix queries = test::csift_queries(200);
  const double without = test::mean(search(bare, queries.view(), {}), &QueryStats::bytes);
  const double with = test::mean(search(some, queries.view(), {}), &QueryStats::bytes);
  BOOST_TEST(with < without * 0.9);
}

BOOST_AUTO_TEST_CASE(a_build_takes_no_more_than_predicted) {
  check_prediction(test::csift(3000), build_options(Metric::kL2, true));
  check_prediction(test::csift(1500), build_options(Metric::kInnerProduct, false));
  check_prediction(test::win384(1200), build_options(Metric::kCosine, true));
  check_prediction(test::widened(test::win384(1000)), build_options(Metric::kL2, true));
  check_prediction(test::csift(50), build_options(Metric::kL2, true));
  check_prediction(test::recut(DType::kU8, 4096, 30), build_options(Metric::kL2, true));
}

BOOST_AUTO_TEST_CASE(a_build_with_documents_takes_no_more_than_predicted) {
  BuildOptions options = build_options(Metric::kCosine, true);
  const test::TemporaryDirectory directory;
  options.documents_path = directory.path("documents.txt");
  options.keys_path = directory.path("keys.txt");
  std::string documents, keys;
  for (int row = 0; row < 1000; ++row) {
    documents += std::string(static_cast<std::size_t>(row % 700), static_cast<char>('a' + row % 26)) + "\n";
    keys += "https://example.org/" + std::to_string(row * 7919) + "\n";
  }
  test::write_file(options.documents_path, {documents.begin(), documents.end()});
  test::write_file(options.keys_path, {keys.begin(), keys.end()});
  check_prediction(test::win384(1000), options);
}

BOOST_AUTO_TEST_CASE(a_build_calibrated_on_given_queries_takes_no_more_than_predicted) {
  const Matrix queries = test::csift_queries(1000);
  const auto source = view_source(queries.view());
  BuildOptions options = build_options(Metric::kL2, true);
  options.calibration_queries = source.get();
  check_prediction(test::csift(2000), options);
}

BOOST_AUTO_TEST_CASE(a_build_that_would_not_fit_is_refused_before_anything_is_written) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(2000);
  const auto source = view_source(base.view());
  BuildOptions options = build_options(Metric::kL2, true);
  options.ram_bytes = 1 << 20;
  const Status refused = Store::build(directory.path("idx"), *source, options);
  BOOST_REQUIRE(refused.code() == Code::kMemoryBudget);
  BOOST_CHECK(refused.detail() == Detail::kBytes);
  BOOST_TEST(!std::filesystem::exists(directory.path("idx")));
  BOOST_CHECK(code_of(predict_build(*source, options)) == Code::kMemoryBudget);
  options.ram_bytes = refused.number() - 1;
  BOOST_CHECK(Store::build(directory.path("idx"), *source, options).code() == Code::kMemoryBudget);
  options.ram_bytes = refused.number();
  REQUIRE_OK(Store::build(directory.path("idx"), *source, options));
}

BOOST_AUTO_TEST_CASE(codes_fit_the_search_memory_they_were_built_for) {
  const Matrix base = test::csift(4000);
  std::vector<std::uint32_t> code_bytes;  // OPQ, RaBitQ, automatic, OPQ ...
  for (const std::uint64_t search_ram_bytes : {504ull << 10, 564ull << 10, 704ull << 10}) {
    const test::TemporaryDirectory directory;
    BuildOptions options = build_options(Metric::kL2);
    options.search_ram_bytes = search_ram_bytes;
    // The dictionary of the documents is part of it.
    options.documents_path = directory.path("texts");
    test::write_lines(options.documents_path,
                      test::first_lines(test::shipped_data("win384-8k.base.text.jsonl.zst"), 4000));
    for (const Codec codec : {Codec::kOpq, Codec::kRabitq, Codec::kAutomatic}) {
      options.codec = codec;
      options.overwrite = true;
      REQUIRE_OK(Store::build(directory.path("idx"), *view_source(base.view()), options));
      const auto store = Store::open(directory.path("idx"), {.ram_bytes = search_ram_bytes});
      REQUIRE_OK(store);
      REQUIRE_OK(store->search(test::csift_queries(20).view()));
      BOOST_TEST(store->info().ram_peak_bytes <= search_ram_bytes);
      BOOST_TEST(store->info().dictionary_bytes != 0u);
      code_bytes.push_back(store->info().code_bytes);
    }
  }
  // More memory, more code.
  BOOST_TEST(code_bytes[0] < code_bytes[3]);
  BOOST_TEST(code_bytes[3] < code_bytes[6]);
  BOOST_TEST(code_bytes[1] <= code_bytes[4]);
}

// A source of so many rows that nobody reads.
class Unread final : public VectorSource {
 public:
  Unread(std::uint64_t rows, std::uint32_t dim, DType dtype) : rows_(rows), dim_(dim), dtype_(dtype) {}
  DType dtype() const override { return dtype_; }
  std::uint64_t rows() const override { return rows_; }
  std::uint32_t dim() const override { return dim_; }
  const std::string& name() const override { return name_; }
  Status read(std::uint64_t, std::uint64_t, void*) const override {
    return Status(Code::kIo, "nobody was to read this");
  }

 private:
  std::uint64_t rows_;
  std::uint32_t dim_;
  DType dtype_;
  std::string name_ = "unread";
};

BOOST_AUTO_TEST_CASE(search_memory_chooses_family_and_width_of_the_codes) {
  struct Case {
    std::uint64_t rows, search_ram_bytes;
    std::uint32_t dim;
    Codec expected;
    std::uint32_t least_code, greatest_code;
  };
  const Case cases[] = {
      {300000, 64 << 20, 128, Codec::kOpq, 33, 33},    // no wider than by default: the rest is page cache
      {300000, 10 << 20, 128, Codec::kOpq, 24, 29},    // codes, and room for queries under way
      {300000, 11'520'000, 128, Codec::kOpq, 29, 31},  // 33 would fit with room for one
      {60000, 4'704'000, 784, Codec::kOpq, 11, 12},    // 13 would; a tenth of the width is the most that is given up
      {100000, 64 << 20, 384, Codec::kOpq, 52, 52},
      {8000, 64 << 20, 384, Codec::kRabitq, 96, 96},  // the model of OPQ alone would take 123 bytes a row
      {8000, 1100 << 10, 384, Codec::kRabitq, 48, 96},
      {100, 64 << 20, 32, Codec::kPq, 30, 32},    // too few rows for a rotation
      {1000, 64 << 20, 32, Codec::kOpq, 32, 32},  // few dimensions
  };
  for (const Case& one : cases) {
    BuildOptions options;
    options.search_ram_bytes = one.search_ram_bytes;
    const auto plan = predict_build(Unread(one.rows, one.dim, DType::kU8), options);
    REQUIRE_OK(plan);
    BOOST_TEST_CONTEXT(one.rows << " rows, " << one.dim << " dimensions, " << one.search_ram_bytes << " bytes") {
      BOOST_TEST(name_of(plan->codec) == name_of(one.expected));
      BOOST_TEST(plan->code_bytes >= one.least_code);
      BOOST_TEST(plan->code_bytes <= one.greatest_code);
    }
    options.codec = Codec::kPq;  // what is asked for is not chosen otherwise
    BOOST_TEST(name_of(predict_build(Unread(one.rows, one.dim, DType::kU8), options)->codec) == "pq");
  }
}

BOOST_AUTO_TEST_CASE(too_little_search_memory_names_what_would_do) {
  const Matrix base = test::csift(4000);
  const auto source = view_source(base.view());
  for (const Codec codec : {Codec::kPq, Codec::kOpq, Codec::kRabitq, Codec::kAutomatic}) {
    BuildOptions options = build_options(Metric::kL2);
    options.codec = codec;
    options.search_ram_bytes = 1000;
    const auto refused = predict_build(*source, options);
    BOOST_REQUIRE(code_of(refused) == Code::kMemoryBudget);
    const std::uint64_t least = refused.error().number();
    options.search_ram_bytes = least - 1;
    BOOST_CHECK(code_of(predict_build(*source, options)) == Code::kMemoryBudget);
    options.search_ram_bytes = least;
    REQUIRE_OK(predict_build(*source, options));
  }
}

BOOST_AUTO_TEST_CASE(figures_of_a_store_agree_with_one_another) {
  const Store store = open({});
  const StoreInfo info = store.info();
  BOOST_TEST(info.rows == 4000u);
  BOOST_TEST(info.dim == 128u);
  BOOST_TEST(info.pages == (info.rows + info.rows_per_page - 1) / info.rows_per_page);
  BOOST_TEST((info.page_fill > 0.5 && info.page_fill <= 1.0));
  BOOST_TEST((info.mean_degree > 8 && info.mean_degree <= info.max_degree));
  BOOST_TEST((info.edges_dropped >= 0 && info.edges_dropped < 0.1));
  BOOST_TEST(info.ram_bytes_per_row >= info.code_bytes + 2.0);
  BOOST_TEST(info.ram_bytes_per_row <= 36.0);
  BOOST_TEST(info.code_error > 0);
  BOOST_TEST(info.uuid.size() == 32u);
  BOOST_TEST(info.calibrated_on == "none");
  BOOST_TEST(info.ram_budget_bytes == 0u);
  BOOST_TEST(info.disk_bytes >= (info.pages + 1) * info.page_bytes);
  std::uint64_t disk_bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(shared_path()))
    if (entry.is_regular_file()) disk_bytes += entry.file_size();
  BOOST_TEST(info.disk_bytes <= disk_bytes);
  BOOST_TEST(info.disk_bytes + (64u << 10) > disk_bytes);
}

BOOST_AUTO_TEST_SUITE_END()
