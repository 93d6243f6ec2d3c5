// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/generation.h"

#include <numeric>

#include "engine/generation/file_names.h"
#include "engine/generation/page_stream.h"
#include "graph/search.h"
#include "pagestore/publish.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::code_of;

namespace {

// A store's directory and what its manifest says.
struct Files {
  test::TemporaryDirectory directory;
  std::string path = directory.path("idx");
  Uuid uuid{};
  MemoryBudget budget;

  explicit Files(std::uint64_t rows) {
    const test::Matrix base = test::csift(rows);
    REQUIRE_OK(Store::build(path, *view_source(base.view()), test::build_options(Metric::kL2)));
    const auto store = StoreDirectory::open(FileSystem::posix(), kStoreNames, path, LockMode::kShared);
    REQUIRE_OK(store);
    uuid = store->manifest()->store;
  }
  Generation::Paths paths() const { return {path + "/graph-1", path + "/codes-1", path + "/rowmap-1"}; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(generation)

BOOST_AUTO_TEST_CASE(files_are_named_by_kind_and_number) {
  BOOST_TEST(file_name(FileKind::kGraph, 7) == "graph-7");
  BOOST_TEST(file_name(FileKind::kCodes, 7) == "codes-7");
  BOOST_TEST(file_name(FileKind::kRowMap, 12) == "rowmap-12");
  BOOST_TEST(file_name(FileKind::kRows, 7) == "rows/7-0");
}

BOOST_AUTO_TEST_CASE(the_row_map_finds_every_row_on_its_page) {
  Files files(700);
  const auto opened = Generation::open(FileSystem::posix(), files.paths(), files.uuid, 1, files.budget);
  REQUIRE_OK(opened);
  const GraphLayout& layout = (*opened)->layout();
  std::vector<bool> taken(700);
  auto page = Buffer<std::byte>::allocate(files.budget, layout.page_bytes);
  REQUIRE_OK(page);
  for (std::uint64_t row = 0; row < 700; ++row) {
    const auto position = (*opened)->position_of(RowId{row}, files.budget);
    REQUIRE_OK(position);
    BOOST_REQUIRE(!taken[*position]);
    taken[*position] = true;
    REQUIRE_OK((*opened)->graph().read_page(layout.page_of(*position), page->span()));
    BOOST_REQUIRE_EQUAL(PageView(layout, page->data()).row_id(layout.slot_of(*position)).value, row);
  }
}

BOOST_AUTO_TEST_CASE(the_cache_holds_the_most_wanted_pages) {
  Files files(900);
  const auto opened = Generation::open(FileSystem::posix(), files.paths(), files.uuid, 1, files.budget);
  REQUIRE_OK(opened);
  const std::uint64_t pages = (*opened)->layout().pages();
  for (const std::uint64_t wanted : {std::uint64_t{5}, std::uint64_t{1}, pages, pages + 10, std::uint64_t{0}}) {
    REQUIRE_OK((*opened)->fill_cache(wanted, CachePolicy::kFixed, files.budget));
    BOOST_TEST((*opened)->cache().pages() == std::min(wanted, pages));
  }
}

BOOST_AUTO_TEST_CASE(files_of_another_store_or_generation_are_refused) {
  Files files(100);
  Files other(120);
  Uuid uuid = files.uuid;
  uuid[3] ^= 1;
  BOOST_CHECK(code_of(Generation::open(FileSystem::posix(), files.paths(), uuid, 1, files.budget)) == Code::kCorrupt);
  BOOST_CHECK(code_of(Generation::open(FileSystem::posix(), files.paths(), files.uuid, 2, files.budget)) ==
              Code::kCorrupt);
  Generation::Paths mixed = files.paths();
  mixed.codes = other.paths().codes;
  BOOST_CHECK(code_of(Generation::open(FileSystem::posix(), mixed, files.uuid, 1, files.budget)) == Code::kCorrupt);
  Generation::Paths missing = files.paths();
  missing.row_map += "0";
  BOOST_CHECK(code_of(Generation::open(FileSystem::posix(), missing, files.uuid, 1, files.budget)) == Code::kNotFound);
}

// Codes of the same store that are another graph's: as after a mix-up of files with intact checksums.
BOOST_AUTO_TEST_CASE(codes_that_do_not_fit_the_graph_are_refused) {
  Files files(100);
  const FileIdentity identity{files.uuid, FileKind::kCodes, 1};
  const auto opened = Generation::open(FileSystem::posix(), files.paths(), files.uuid, 1, files.budget);
  REQUIRE_OK(opened);
  std::vector<std::uint32_t> ranking((*opened)->layout().pages() + 1);
  std::iota(ranking.begin(), ranking.end(), 1u);
  Generation::Paths paths = files.paths();
  paths.codes = files.directory.path("codes");
  REQUIRE_OK(write_codes_file(FileSystem::posix(), paths.codes, identity, (*opened)->codes(), (*opened)->centre(),
                              ranking, files.budget));
  BOOST_CHECK(code_of(Generation::open(FileSystem::posix(), paths, files.uuid, 1, files.budget)) == Code::kCorrupt);
  // A ranking of pages that are not there is found when the cache fills.
  ranking.pop_back();
  ranking[2] = 1000000;
  paths.codes = files.directory.path("codes2");
  REQUIRE_OK(write_codes_file(FileSystem::posix(), paths.codes, identity, (*opened)->codes(), (*opened)->centre(),
                              ranking, files.budget));
  const auto wrong = Generation::open(FileSystem::posix(), paths, files.uuid, 1, files.budget);
  REQUIRE_OK(wrong);
  BOOST_CHECK((*wrong)->fill_cache(5, CachePolicy::kFixed, files.budget).code() == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(a_row_map_that_points_nowhere_is_reported) {
  Files files(100);
  Generation::Paths paths = files.paths();
  paths.row_map = files.directory.path("rowmap");
  const std::vector<Pos> positions(100, 100);
  REQUIRE_OK(
      write_row_map(FileSystem::posix(), paths.row_map, {files.uuid, FileKind::kRowMap, 1}, positions, files.budget));
  const auto opened = Generation::open(FileSystem::posix(), paths, files.uuid, 1, files.budget);
  REQUIRE_OK(opened);
  const auto position = (*opened)->position_of(RowId{42}, files.budget);
  BOOST_CHECK(code_of(position) == Code::kCorrupt);
  BOOST_TEST(position.error().number() == 42u);
}

BOOST_AUTO_TEST_CASE(memory_is_predicted_before_anything_is_loaded) {
  Files files(900);
  const auto needs = Generation::predict_open(FileSystem::posix(), files.paths(), files.uuid, 1);
  REQUIRE_OK(needs);
  const auto opened = Generation::open(FileSystem::posix(), files.paths(), files.uuid, 1, files.budget);
  REQUIRE_OK(opened);
  BOOST_TEST(needs->resident_bytes >= files.budget.used_bytes());
  BOOST_TEST(needs->resident_bytes < files.budget.used_bytes() + 1000);
  BOOST_TEST(needs->resident_bytes + needs->loading_bytes >= files.budget.peak_bytes());
  const std::uint64_t before = files.budget.used_bytes();
  const auto searcher = GraphSearcher::create((*opened)->search_index(), Backend::kAutomatic, 1, files.budget);
  REQUIRE_OK(searcher);
  BOOST_TEST(GraphSearcher::predict_bytes(needs->layout, needs->form, 1) >= files.budget.used_bytes() - before);
}

BOOST_AUTO_TEST_SUITE_END()
