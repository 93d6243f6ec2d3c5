// SPDX-License-Identifier: Apache-2.0
//
// Stores that VecStore 0.1 of 2026-11-23 wrote, whose pages hold rows relative to the origin and whose superblock slots
// differ: they open, answer as that version did, and take writes.
#include <filesystem>

#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

struct Golden {
  const char* name;
  const char* queries;
  Metric metric;
  std::uint64_t rows;
};

constexpr Golden kStores[] = {{"f32-l2", "queries.fbin", Metric::kL2, 330},
                              {"f32-cosine", "queries.fbin", Metric::kCosine, 330},
                              {"f32-cosine-log", "queries.fbin", Metric::kCosine, 336},
                              {"f32-ip", "queries.fbin", Metric::kInnerProduct, 330},
                              {"u8-l2", "queries.u8bin", Metric::kL2, 330}};

std::string golden(const std::string& name) { return test::shipped_data("golden-0.1/" + name); }

// A copy that may be written to.
std::string copy_of(const Golden& store, const test::TemporaryDirectory& directory) {
  std::filesystem::copy(golden(store.name), directory.path(store.name), std::filesystem::copy_options::recursive);
  return directory.path(store.name);
}

// Rows that are put are ranked by what they were put as now, and no longer by 8 bits.
double tolerance(const Golden& store, std::uint64_t key) { return key >= store.rows ? 1e-2 : 1e-5; }

void require_same_answers(const Store& store, const Golden& expected) {
  const auto answers = read_neighbours(golden(std::string(expected.name) + ".answers"));
  REQUIRE_OK(answers);
  const test::Matrix queries = test::load_rows(golden(expected.queries), 0, answers->queries);
  const auto results = store.search(queries.view(), {.k = answers->k});
  REQUIRE_OK(results);
  for (std::size_t query = 0; query < answers->queries; ++query) {
    BOOST_REQUIRE((*results)[query].size() == answers->k);
    for (std::size_t i = 0; i < answers->k; ++i) {
      const Hit& hit = (*results)[query][i];
      const std::size_t at = query * answers->k + i;
      BOOST_TEST_CONTEXT(expected.name << ", query " << query << ", answer " << i) {
        BOOST_TEST(hit.key == answers->rows[at]);
        const double scale = std::max(1.0, std::abs(double{answers->distances[at]}));
        BOOST_TEST(std::abs(double{hit.distance} - double{answers->distances[at]}) <=
                   tolerance(expected, hit.key) * scale);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden_stores)

BOOST_AUTO_TEST_CASE(stores_of_the_first_version_answer_as_they_did_and_name_their_format) {
  for (const Golden& expected : kStores) {
    const auto store = Store::open(golden(expected.name));
    REQUIRE_OK(store);
    BOOST_TEST(store->size() == expected.rows);
    BOOST_TEST(store->info().format_major == 1);
    BOOST_TEST(store->info().format_minor == 0);
    BOOST_TEST(store->info().vector_bits == 8u);
    require_same_answers(*store, expected);
    const auto report = store->verify({.deep = true});
    REQUIRE_OK(report);
    BOOST_TEST(report->damage_total == 0u);
  }
}

BOOST_AUTO_TEST_CASE(stores_of_the_first_version_answer_the_same_with_every_page_in_memory) {
  for (const Golden& expected : kStores) {
    const auto store = Store::open(golden(expected.name), {.cache_fraction = 1.0});
    REQUIRE_OK(store);
    require_same_answers(*store, expected);
  }
}

BOOST_AUTO_TEST_CASE(full_precision_ranks_rows_of_the_first_version_exactly) {
  const auto store = Store::open(golden("f32-l2"));
  REQUIRE_OK(store);
  const test::Matrix queries = test::load_rows(golden("queries.fbin"), 0, 12);
  const auto truth =
      exact_search(**open_vector_file(golden("rows.fbin")), *view_source(queries.view()), 10, Metric::kL2, 1);
  REQUIRE_OK(truth);
  const auto results = store->search(queries.view(), {.k = 10, .search_list = 400, .full_precision = true});
  REQUIRE_OK(results);
  for (std::size_t query = 0; query < queries.rows(); ++query)
    for (std::size_t i = 0; i < 10; ++i) BOOST_TEST((*results)[query][i].row.value == truth->rows[query * 10 + i]);
}

BOOST_AUTO_TEST_CASE(stores_of_the_first_version_take_writes) {
  const test::TemporaryDirectory directory;
  for (const Golden& expected : kStores) {
    if (expected.queries == std::string("queries.u8bin") || expected.name == std::string("f32-l2")) continue;
    const std::string path = copy_of(expected, directory);
    const test::Matrix rows = test::load_rows(golden("more.fbin"), 0, 3);
    {
      auto store = Store::open(path, {.access = Access::kReadWrite});
      REQUIRE_OK(store);
      for (std::uint64_t i = 0; i < rows.rows(); ++i) REQUIRE_OK(store->put(5000 + i, rows.row(i)));
      REQUIRE_OK(store->erase(7));
    }
    const auto store = Store::open(path);
    REQUIRE_OK(store);
    BOOST_TEST(store->size() == expected.rows + 2);
    BOOST_TEST(store->info().format_minor == 1);  // both slots of its superblock say the same now
    const auto found = store->search(rows.view(), {.k = 1});
    REQUIRE_OK(found);
    const bool by_direction = expected.metric == Metric::kCosine;
    for (std::uint64_t i = 0; by_direction && i < rows.rows(); ++i) {
      const std::uint64_t key = (*found)[i][0].key;
      BOOST_TEST((key == 5000 + i || key == 1000 + i));  // the log of one store holds the same rows as 1000, 1001, …
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore
