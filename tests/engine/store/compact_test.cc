// SPDX-License-Identifier: Apache-2.0
//
// Store::compact(): what was put and erased goes into a graph on disk. The store holds the same rows under the same
// RowIds and keys before and after, here, for readers that follow, and when it is opened again.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <map>
#include <thread>

#include "base/random.h"
#include "tests/engine/written.h"

namespace vecstore {
namespace {

using namespace test;

struct Shape {
  DType dtype;
  std::uint32_t dim;
  Metric metric;
  KeyKind keys;
  bool documents;
  bool builds;  // else the store begins empty
};

void merge_again_and_again(const std::string& directory, const Shape& shape, std::uint64_t seed) {
  Written written(directory + "/store-" + std::to_string(seed), recut(shape.dtype, shape.dim, 900), shape.keys,
                  shape.metric, shape.documents);
  if (shape.builds) {
    written.build(200, directory);
  } else {
    written.create();
  }
  Random random(seed);
  for (int round = 0; round < 4; ++round) {
    Store store = open_for_writing(written.path());
    for (int merge = 0; merge < 2; ++merge) {
      written.write(store, random, 120, 300);
      const auto reader = Store::open(written.path());
      REQUIRE_OK(reader);
      const auto report = store.compact();
      REQUIRE_OK(report);
      BOOST_TEST(report->was_needed);
      BOOST_TEST(report->rows == written.kept().size());
      BOOST_TEST(store.stats().delta_rows == 0u);
      BOOST_TEST(store.stats().deleted_rows == 0u);
      written.check(store);
      written.check(*reader);  // goes on with what it had
    }
    written.write(store, random, 30, 300);
    written.check(store);
    REQUIRE_OK(store.close());
    const auto reader = Store::open(written.path());
    REQUIRE_OK(reader);
    written.check(*reader);
    const auto verified = reader->verify({.deep = true});
    REQUIRE_OK(verified);
    for (const Status& finding : verified->damage) BOOST_TEST_MESSAGE(finding.message());
    BOOST_TEST(verified->damage_total == 0u);
  }
}

BOOST_AUTO_TEST_SUITE(compact)

BOOST_AUTO_TEST_CASE(stores_of_every_shape_hold_the_same_after_each_merge) {
  const TemporaryDirectory directory;
  const std::vector<Shape> shapes = {
      {DType::kU8, 32, Metric::kL2, KeyKind::kNumber, false, true},
      {DType::kU8, 16, Metric::kL2, KeyKind::kNumber, true, false},
      {DType::kI8, 24, Metric::kInnerProduct, KeyKind::kBytes, true, true},
      {DType::kF16, 48, Metric::kCosine, KeyKind::kBytes, false, true},
      {DType::kF32, 20, Metric::kL2, KeyKind::kNumber, true, true},
      {DType::kF32, 20, Metric::kInnerProduct, KeyKind::kNumber, false, false},
      {DType::kF32, 3, Metric::kInnerProduct, KeyKind::kBytes, true, false},
      {DType::kF16, 1, Metric::kL2, KeyKind::kBytes, false, false},
  };
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (kInstrumented && i % 3 != 0) continue;
    BOOST_TEST_CONTEXT("shape " << i) merge_again_and_again(directory.path(), shapes[i], i);
  }
}

// A large store goes through its graph in passes.
BOOST_AUTO_TEST_CASE(large_stores_of_every_shape_hold_the_same_after_each_merge) {
  const TemporaryDirectory directory;
  const std::vector<Shape> shapes = {
      {DType::kU8, 16, Metric::kL2, KeyKind::kNumber, true, true},
      {DType::kI8, 24, Metric::kInnerProduct, KeyKind::kBytes, false, true},
      {DType::kF16, 32, Metric::kCosine, KeyKind::kBytes, true, true},
      {DType::kF32, 20, Metric::kInnerProduct, KeyKind::kNumber, false, true},
      {DType::kF32, 1, Metric::kL2, KeyKind::kNumber, false, true},
  };
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (kInstrumented && i % 3 != 0) continue;
    const Shape& shape = shapes[i];
    BOOST_TEST_CONTEXT("shape " << i) {
      Written written(directory.path("large-" + std::to_string(i)), recut(shape.dtype, shape.dim, 6400), shape.keys,
                      shape.metric, shape.documents);
      written.build(5200, directory.path());
      Random random(i);
      Store store = open_for_writing(written.path());
      for (int merge = 0; merge < 2; ++merge) {
        written.write(store, random, 700, 5600);
        const auto report = store.compact();
        REQUIRE_OK(report);
        BOOST_TEST(report->rows == written.kept().size());
      }
      written.write(store, random, 30, 5600);
      written.check(store);
      const auto verified = store.verify({.deep = true});
      REQUIRE_OK(verified);
      for (const Status& finding : verified->damage) BOOST_TEST_MESSAGE(finding.message());
      BOOST_TEST(verified->damage_total == 0u);
      BOOST_TEST(verified->unreachable_rows == 0u);
    }
  }
}

// From some size on a merge goes on from the graph that is there. Recall, reads and degrees stay near those of a store
// that is built of the same rows.
BOOST_AUTO_TEST_CASE(a_large_store_that_is_merged_again_and_again_stays_as_good_as_one_built_anew) {
  const TemporaryDirectory directory;
  const Matrix base = csift(kInstrumented ? 6600 : 12000);
  const Matrix queries = csift_queries(200);
  const std::uint64_t built = kInstrumented ? 5000 : 6000;
  std::map<std::uint64_t, std::uint64_t> place_of_key;
  REQUIRE_OK(Store::build(directory.path("s"), *view_source({base.bytes.data(), base.dtype, built, base.dim, 0}),
                          build_options(Metric::kL2, true)));
  for (std::uint64_t row = 0; row < built; ++row) place_of_key[row] = row;
  Store store = open_for_writing(directory.path("s"));
  Random random(1);
  std::uint64_t place = built;
  while (place < base.rows()) {
    for (int i = 0; i < 500 && place < base.rows(); ++i, ++place) {
      const std::uint64_t key = random.below(3) == 0 ? random.below(built) : 10000 + place;
      REQUIRE_OK(store.put(key, base.row(place)));
      place_of_key[key] = place;
      const std::uint64_t gone = random.below(4) == 0 ? random.below(built) : ~std::uint64_t{0};
      REQUIRE_OK(store.erase(gone));
      place_of_key.erase(gone);
    }
    const auto report = store.compact();
    REQUIRE_OK(report);
    BOOST_TEST(report->rows == place_of_key.size());
  }
  const auto verified = store.verify({.deep = true});
  REQUIRE_OK(verified);
  BOOST_TEST(verified->damage_total == 0u);
  BOOST_TEST(verified->unreachable_rows == 0u);

  Matrix left{{}, base.dtype, base.dim};
  for (const auto& [key, at] : place_of_key) {
    const auto item = store.get(key);
    REQUIRE_OK(item);
    const VectorView row = base.row(at);
    BOOST_REQUIRE(std::equal(item->vector.begin(), item->vector.end(), static_cast<const std::byte*>(row.row(0))));
    left.bytes.insert(left.bytes.end(), item->vector.begin(), item->vector.end());
    const auto found = search(store, row, {.k = 1, .search_list = 200});
    BOOST_TEST(found[0][0].distance == 0.0f);
  }
  const Store fresh = build_and_open(directory.path("fresh"), left, build_options(Metric::kL2, true));
  BOOST_TEST(store.info().mean_degree >= .9 * fresh.info().mean_degree);
  SearchOptions options;
  options.search_list = 20;
  const ExactNeighbours truth = exact(left, queries, 10, Metric::kL2);
  const SearchResults grown = search(store, queries.view(), options);
  const SearchResults anew = search(fresh, queries.view(), options);
  // By distances, because the two number their rows differently.
  const auto recall_of = [&](const SearchResults& results) {
    double found = 0;
    for (std::size_t query = 0; query < queries.rows(); ++query)
      for (const Hit& hit : results[query]) found += hit.distance <= truth.distances[query * 10 + 9] ? 1 : 0;
    return found / static_cast<double>(10 * queries.rows());
  };
  BOOST_TEST_MESSAGE("recall " << recall_of(grown) << ", anew " << recall_of(anew) << "; requests "
                               << mean(grown, &QueryStats::requests) << ", anew " << mean(anew, &QueryStats::requests));
  BOOST_TEST(recall_of(grown) >= recall_of(anew) - .02);
  BOOST_TEST(mean(grown, &QueryStats::requests) <= 1.15 * mean(anew, &QueryStats::requests));
}

BOOST_AUTO_TEST_CASE(nothing_that_waits_is_no_reason_to_build) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(300), KeyKind::kNumber, Metric::kL2, false);
  written.build(100, directory.path());
  Store store = open_for_writing(written.path());
  for (int i = 0; i < 2; ++i) {
    const auto report = store.compact();
    REQUIRE_OK(report);
    BOOST_TEST(!report->was_needed);
    BOOST_TEST(report->generation == 1u);
  }
  written.put(store, 3);
  REQUIRE_OK(store.compact());
  const auto again = store.compact();
  REQUIRE_OK(again);
  BOOST_TEST(!again->was_needed);
  BOOST_TEST(again->generation == 2u);
  BOOST_TEST(std::filesystem::exists(written.path() + "/graph-2"));
  BOOST_TEST(!std::filesystem::exists(written.path() + "/graph-1"));
  written.check(store);
}

BOOST_AUTO_TEST_CASE(who_asks_for_a_build_has_one_though_nothing_waits) {
  for (const KeyKind keys : {KeyKind::kNumber, KeyKind::kBytes}) {
    const TemporaryDirectory directory;
    Written written(directory.path("s"), recut(DType::kF32, 24, 900), keys, Metric::kL2, true);
    written.build(300, directory.path());
    Store store = open_for_writing(written.path());
    for (std::uint32_t generation = 2; generation < 4; ++generation) {
      const auto report = store.compact({.rebuild = true});
      REQUIRE_OK(report);
      BOOST_TEST(report->was_needed);
      BOOST_TEST(report->generation == generation);
      written.check(store);
    }
    const auto verified = store.verify({.deep = true});
    REQUIRE_OK(verified);
    BOOST_TEST(verified->damage_total == 0u);
    REQUIRE_OK(store.close());
    written.check(open_for_writing(written.path()));
  }
  const TemporaryDirectory directory;
  Written none(directory.path("s"), recut(DType::kF32, 24, 9), KeyKind::kNumber, Metric::kL2, false);
  none.create();
  Store store = open_for_writing(none.path());
  const auto report = store.compact({.rebuild = true});
  REQUIRE_OK(report);
  BOOST_TEST(!report->was_needed);  // there is no graph to build anew
}

BOOST_AUTO_TEST_CASE(a_store_without_any_row_left_takes_rows_again) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(300), KeyKind::kBytes, Metric::kL2, true);
  written.build(40, directory.path());
  Store store = open_for_writing(written.path());
  for (std::uint64_t key = 0; key < 40; ++key) written.erase(store, key);
  REQUIRE_OK(store.compact());
  written.check(store);
  BOOST_TEST(store.size() == 0u);
  for (std::uint64_t key = 0; key < 40; ++key) written.put(store, key);
  written.check(store);
  REQUIRE_OK(store.compact());
  written.check(store);
  REQUIRE_OK(store.close());
  written.check(open_for_writing(written.path()));
}

// RowIds go on, whatever is gone.
BOOST_AUTO_TEST_CASE(row_ids_are_never_used_twice) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(300), KeyKind::kNumber, Metric::kL2, false);
  written.create();
  RowId greatest{0};
  for (int round = 0; round < 4; ++round) {
    Store store = open_for_writing(written.path());
    written.put(store, 7);
    const auto row = store.find(7);
    REQUIRE_OK(row);
    BOOST_TEST((round == 0 || greatest < *row));
    greatest = *row;
    if (round % 2 == 0) written.erase(store, 7);
    REQUIRE_OK(store.compact());
    BOOST_TEST((store.vector(RowId{greatest.value + 1}, {}).code() == Code::kNotFound));
    written.check(store);
    REQUIRE_OK(store.close());
  }
}

BOOST_AUTO_TEST_CASE(the_log_gives_back_its_space) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(2000), KeyKind::kNumber, Metric::kL2, true);
  written.create();
  OpenOptions options = writing();
  options.log_bytes = 4u << 20;
  auto store = Store::open(written.path(), options);
  REQUIRE_OK(store);
  std::uint64_t most = 0;
  for (int round = 0; round < (kInstrumented ? 2 : 12); ++round) {
    for (std::uint64_t key = 0; key < 500; ++key) written.put(*store, key % 200);
    most = std::max(most, store->stats().wal_bytes);
    REQUIRE_OK(store->compact());
  }
  BOOST_TEST(most <= options.log_bytes);  // 2 MiB of log come between two merges
  written.check(*store);
  REQUIRE_OK(store->close());
  written.check(open_for_writing(written.path()));
}

// One behind each merge, and of all at once.
BOOST_AUTO_TEST_CASE(a_reader_follows_through_merges) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(900), KeyKind::kBytes, Metric::kL2, true);
  written.build(100, directory.path());
  Store store = open_for_writing(written.path());
  auto close_by = Store::open(written.path());
  auto far_behind = Store::open(written.path());
  REQUIRE_OK(close_by);
  REQUIRE_OK(far_behind);
  Random random(5);
  for (int round = 0; round < 5; ++round) {
    written.write(store, random, 60, 200);
    REQUIRE_OK(close_by->refresh());
    written.check(*close_by);
    REQUIRE_OK(store.compact());
    REQUIRE_OK(close_by->refresh());
    written.check(*close_by);
    BOOST_TEST(close_by->info().generation == store.info().generation);
    written.write(store, random, 20, 200);
    REQUIRE_OK(close_by->refresh());
    written.check(*close_by);
  }
  REQUIRE_OK(far_behind->refresh());
  written.check(*far_behind);
  const auto verified = close_by->verify({.deep = true});
  REQUIRE_OK(verified);
  BOOST_TEST(verified->damage_total == 0u);
}

// What is put and erased while a graph is built belongs to the store all the same.
BOOST_AUTO_TEST_CASE(writes_go_on_while_it_merges) {
  const TemporaryDirectory directory;
  for (const KeyKind keys : {KeyKind::kNumber, KeyKind::kBytes}) {
    Written written(directory.path(keys == KeyKind::kNumber ? "numbers" : "bytes"), win384(kInstrumented ? 400 : 1500),
                    keys, Metric::kInnerProduct, true);
    written.create();
    Store store = open_for_writing(written.path());
    Random random(9);
    for (int round = 0; round < 3; ++round) {
      written.write(store, random, kInstrumented ? 60 : 300, 250);
      std::uint64_t writes = 0;
      CompactOptions options;
      options.progress = [&](const Progress&) {  // of the thread that merges, at every step that is told
        written.write(store, random, 7, 250);
        ++writes;
      };
      REQUIRE_OK(store.compact(options));
      BOOST_TEST(writes > 3u);
      BOOST_TEST(store.stats().delta_rows > 0u);
      written.check(store);
    }
    REQUIRE_OK(store.close());
    Store again = open_for_writing(written.path());
    written.check(again);
    REQUIRE_OK(again.compact());
    written.check(again);
  }
}

// Whether a reader finds a key by its vector and by itself, and no fewer rows than were acknowledged before.
bool finds(const Store& store, const Matrix& pool, std::uint64_t key, std::uint64_t known) {
  const auto found = store.search(pool.row(key), {.k = 1, .search_list = 100});
  if (!found || (*found)[0].size() != 1 || (*found)[0][0].distance != 0.0f) return false;
  return store.size() >= known && store.get(key).has_value();
}

BOOST_AUTO_TEST_CASE(searches_and_writes_of_other_threads_go_on_while_it_merges) {
  const TemporaryDirectory directory;
  const Matrix pool = csift(2000);
  const std::string path = directory.path("store");
  REQUIRE_OK(Store::create(path, {.dtype = DType::kU8}));
  Store store = open_for_writing(path);
  std::atomic<bool> ends{false};
  std::atomic<std::uint64_t> acknowledged{0};  // keys below are there, with the vector of their number
  std::atomic<int> wrong{0};
  std::vector<std::jthread> threads;
  threads.emplace_back([&] {
    for (std::uint64_t key = 0; key < pool.rows() && !ends; ++key) {
      if (!store.put(key, pool.row(key))) ++wrong;
      acknowledged = key + 1;
    }
  });
  for (int reader = 0; reader < 2; ++reader)
    threads.emplace_back([&, reader] {
      Random random(static_cast<std::uint64_t>(reader) + 1);
      while (!ends) {
        const std::uint64_t known = acknowledged;
        if (known != 0 && !finds(store, pool, random.below(known), known)) ++wrong;
      }
    });
  for (int merge = 0; merge < (kInstrumented ? 3 : 10); ++merge) REQUIRE_OK(store.compact());
  ends = true;
  threads.clear();
  BOOST_TEST(wrong == 0);
  const std::uint64_t rows = acknowledged;
  BOOST_TEST(store.size() >= rows);
  REQUIRE_OK(store.close());
  const auto again = Store::open(path);
  REQUIRE_OK(again);
  for (std::uint64_t key = 0; key < rows; ++key) BOOST_REQUIRE(again->contains(key).value());
}

BOOST_AUTO_TEST_CASE(one_that_is_cancelled_leaves_all_as_it_was) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(900), KeyKind::kBytes, Metric::kL2, true);
  written.build(200, directory.path());
  Store store = open_for_writing(written.path());
  Random random(3);
  written.write(store, random, 200, 300);
  for (int step = 0; step < 12; ++step) {
    const auto files = [&] {
      std::vector<std::string> names;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(written.path()))
        if (const std::string path = entry.path().string(); path.find("/wal/") == std::string::npos)
          names.push_back(path);
      std::ranges::sort(names);
      return names;
    };
    const auto before = files();
    CancelToken cancel;
    int seen = 0;
    CompactOptions options;
    options.cancel = &cancel;
    options.progress = [&](const Progress&) {
      if (seen++ == step) cancel.cancel();
    };
    const auto report = store.compact(options);
    if (report) {
      BOOST_TEST(seen <= step + 1);
      break;
    }
    BOOST_TEST((code_of(report) == Code::kCancelled), message_of(report));
    BOOST_TEST(store.info().generation == 1u);
    BOOST_CHECK(files() == before);
    written.check(store);
    written.write(store, random, 5, 300);
  }
  // And what a progress function throws goes through it.
  CompactOptions options;
  options.progress = [](const Progress&) { throw std::string("enough"); };
  written.put(store, 1);
  BOOST_CHECK_THROW(static_cast<void>(store.compact(options)), std::string);
  written.check(store);
  REQUIRE_OK(store.compact());
  written.check(store);
}

// A merge that ends anywhere leaves nothing that the next one minds, nor a longer log.
BOOST_AUTO_TEST_CASE(any_number_of_cancelled_merges_leave_room_for_one_that_is_not) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(3000), KeyKind::kNumber, Metric::kL2, true);
  written.create();
  Store store = open_for_writing(written.path());
  for (std::uint64_t key = 0; key < (kInstrumented ? 600u : 2500u); ++key) written.put(store, key);
  const std::uint64_t last = store.stats().last_lsn;
  for (int at = 0; at < (kInstrumented ? 4 : 40); ++at) {
    CancelToken cancel;
    int seen = 0;
    CompactOptions options;
    options.cancel = &cancel;
    options.progress = [&](const Progress&) {
      if (++seen > at) cancel.cancel();
    };
    const auto report = store.compact(options);
    if (report) break;
    BOOST_TEST((code_of(report) == Code::kCancelled), message_of(report));
    BOOST_TEST(store.stats().last_lsn == last);
  }
  REQUIRE_OK(store.compact());
  written.check(store);
}

// The dictionary of the documents has to be logged again behind a merge; a full log is no reason not to merge.
BOOST_AUTO_TEST_CASE(a_log_that_is_full_of_documents_is_merged_and_goes_on) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("store");
  const Matrix base = csift(1000);
  REQUIRE_OK(Store::create(path, {.dtype = DType::kU8}));
  OpenOptions options = writing();
  options.log_bytes = 4u << 20;
  options.sync = SyncMode::kNone;
  options.merge = MergePolicy::kManual;
  std::map<std::uint64_t, std::string> kept;
  for (int session = 0; session < 2; ++session) {
    auto store = Store::open(path, options);
    REQUIRE_OK(store);
    for (int round = 0; round < (kInstrumented ? 2 : 4); ++round) {
      for (std::uint64_t key = 0;; ++key) {
        std::string document;
        for (int word = 0; word < 150; ++word) document += "word" + std::to_string((key * 31 + word * 17) % 997) + " ";
        const auto put = store->put(key % 1000, base.row(key % 1000), document);
        if (!put) {
          BOOST_TEST((code_of(put) == Code::kNoSpace), message_of(put));
          break;
        }
        kept[key % 1000] = document;
      }
      BOOST_TEST(store->stats().has_dictionary);
      REQUIRE_OK(store->compact());
      for (const auto& [key, document] : kept) {
        const auto item = store->get(key);
        REQUIRE_OK(item);
        BOOST_REQUIRE(item->document == document);
      }
    }
    REQUIRE_OK(store->close());
  }
}

BOOST_AUTO_TEST_CASE(erasing_waits_for_a_merge_that_makes_room_in_the_log) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(3000), KeyKind::kNumber, Metric::kL2, false);
  written.build(3000, directory.path());
  OpenOptions options = writing();
  options.log_bytes = 4u << 20;
  options.sync = SyncMode::kNone;
  auto store = Store::open(written.path(), options);
  REQUIRE_OK(store);
  for (std::uint64_t key = 0; key < 2900; ++key) written.erase(*store, key);
  written.check(*store);
}

// It looks at a moment of its own, and waits for no merge; so it can be called while one is told how far it is.
BOOST_AUTO_TEST_CASE(a_store_is_verified_while_it_merges) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(3000), KeyKind::kBytes, Metric::kL2, true);
  written.build(2000, directory.path());
  Store store = open_for_writing(written.path());
  Random random(4);
  written.write(store, random, 50, 2500);
  int verified = 0;
  CompactOptions options;
  options.progress = [&](const Progress&) {
    if (verified++ % 8 != 0) return;
    const auto report = store.verify({.deep = true});
    REQUIRE_OK(report);
    BOOST_TEST(report->damage_total == 0u);
  };
  REQUIRE_OK(store.compact(options));
  BOOST_TEST(verified > 0);
}

BOOST_AUTO_TEST_CASE(close_ends_a_merge_of_another_thread) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(4000), KeyKind::kNumber, Metric::kL2, false);
  written.build(3900, directory.path());
  Store store = open_for_writing(written.path());
  written.put(store, 1);
  std::atomic<bool> has_begun{false};
  Status outcome;
  CompactOptions options;
  options.rebuild = true;
  options.progress = [&](const Progress&) { has_begun = true; };
  {
    const std::jthread other([&] {
      const auto report = store.compact(options);
      outcome = report ? Status::ok() : report.error();
    });
    while (!has_begun) std::this_thread::yield();
    REQUIRE_OK(store.close());
  }
  const bool was_ended = outcome.code() == Code::kCancelled || outcome.code() == Code::kInvalidArgument;
  BOOST_TEST((was_ended || outcome.is_ok()), outcome.message());
  written.check(store);
}

BOOST_AUTO_TEST_CASE(a_reader_may_not_merge_and_a_closed_store_does_not) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(300), KeyKind::kNumber, Metric::kL2, false);
  written.build(100, directory.path());
  auto reader = Store::open(written.path());
  REQUIRE_OK(reader);
  BOOST_TEST((code_of(reader->compact()) == Code::kPermission));
  Store store = open_for_writing(written.path());
  written.put(store, 1);
  REQUIRE_OK(store.close());
  BOOST_TEST((code_of(store.compact()) == Code::kInvalidArgument));
  written.check(store);
}

BOOST_AUTO_TEST_CASE(too_little_memory_is_refused_with_what_would_do) {
  const TemporaryDirectory directory;
  Written written(directory.path("store"), csift(4000), KeyKind::kNumber, Metric::kL2, false);
  written.build(3000, directory.path());
  OpenOptions options = writing();
  options.delta_bytes = 1u << 20;
  options.cache_bytes = 0;
  options.ram_bytes = 20u << 20;
  std::uint64_t named = 0;
  {
    auto store = Store::open(written.path(), options);
    REQUIRE_OK(store);
    written.put(*store, 3001);
    const auto refused = store->compact();
    BOOST_REQUIRE((code_of(refused) == Code::kMemoryBudget));
    named = refused.error().number();
    BOOST_TEST(named > options.ram_bytes);
    written.put(*store, 3002);
    BOOST_TEST(store->size() == 3002u);
  }
  options.ram_bytes = named;
  auto store = Store::open(written.path(), options);
  REQUIRE_OK(store);
  const auto report = store->compact();
  REQUIRE_OK(report);
  BOOST_TEST(store->info().ram_peak_bytes <= named);
  BOOST_TEST(store->size() == 3002u);
}

// As the store was built: what was asked for then holds for every merge.
BOOST_AUTO_TEST_CASE(what_a_build_was_asked_for_is_asked_again) {
  const TemporaryDirectory directory;
  const Matrix base = csift(600);
  BuildOptions options = build_options(Metric::kL2);
  options.max_degree = 20;
  options.page_bytes = 8192;
  options.code_bytes = 16;
  options.codec = Codec::kRabitq;
  REQUIRE_OK(Store::build(directory.path("store"), *view_source(base.view()), options));
  Store store = open_for_writing(directory.path("store"));
  const StoreInfo before = store.info();
  REQUIRE_OK(store.put(5, base.row(9)));
  REQUIRE_OK(store.compact());
  const StoreInfo after = store.info();
  BOOST_TEST(after.generation == 2u);
  BOOST_TEST(after.uuid == before.uuid);
  BOOST_TEST(after.page_bytes == 8192u);
  BOOST_TEST(after.codec == before.codec);
  BOOST_TEST(after.code_bytes == before.code_bytes);
  BOOST_TEST(after.max_degree <= 20u);
}

// Copies of three rows make lists of all lengths; one of the greatest has no room for an edge more.
BOOST_AUTO_TEST_CASE(lists_of_the_greatest_length_go_through_a_merge) {
  const TemporaryDirectory directory;
  Matrix base = recut(DType::kU8, 16, 5600);
  for (std::size_t i = 0; i < base.bytes.size(); ++i) base.bytes[i] = static_cast<std::byte>(i / 16 / 1900 * 40);
  BuildOptions options = build_options(Metric::kL2);
  options.max_degree = 255;
  const VectorView built{base.bytes.data(), base.dtype, 5400, base.dim, 0};
  REQUIRE_OK(Store::build(directory.path("store"), *view_source(built), options));
  Store store = open_for_writing(directory.path("store"));
  BOOST_TEST(store.info().max_degree > 240u);
  for (std::uint64_t row = 5400; row < 5600; ++row) REQUIRE_OK(store.put(row, base.row(row)));
  REQUIRE_OK(store.compact());
  const auto verified = store.verify({.deep = true});
  REQUIRE_OK(verified);
  BOOST_TEST(verified->damage_total == 0u);
  BOOST_TEST(verified->unreachable_rows == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
