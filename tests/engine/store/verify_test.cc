// SPDX-License-Identifier: Apache-2.0
//
// What verify says of a store whose rows have gaps.
#include <filesystem>

#include "engine/generation/properties.h"
#include "pagestore/publish.h"
#include "tests/engine/generation/row_map_files.h"
#include "tests/engine/linked_rows.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRows = 1500;

// A store of integers; its second generation has the rows of the first under other RowIds and keys.
struct StoreWithGaps {
  explicit StoreWithGaps(std::uint64_t first_row_id = 100) {
    const test::Matrix base = test::csift(kRows);
    REQUIRE_OK(Store::build(path, *view_source(base.view()), test::build_options(Metric::kL2)));
    auto directory_of_store = StoreDirectory::open(FileSystem::posix(), kStoreNames, path, LockMode::kExclusive);
    REQUIRE_OK(directory_of_store);
    REQUIRE_OK(directory_of_store->begin_publish());
    Manifest manifest = *directory_of_store->manifest();
    manifest.generation = 2;
    numbers = {test::gapped_row_ids(kRows, first_row_id, 2), std::vector<std::uint64_t>(kRows, 77), 4};
    manifest.files =
        test::LinkedRows(base).write({path + "/graph-2", path + "/codes-2", row_map_path}, manifest.store, 2, numbers);
    auto properties = decode_properties(manifest.properties);
    REQUIRE_OK(properties);
    properties->row_end = numbers.row_ids.back() + 1;
    manifest.properties = encode_properties(*properties);
    REQUIRE_OK(directory_of_store->publish(manifest));
  }

  VerifyReport verify(bool deep) const {
    const auto store = Store::open(path);
    REQUIRE_OK(store);
    const auto report = store->verify({.deep = deep});
    REQUIRE_OK(report);
    return *report;
  }
  // What the one thing is that is wrong.
  std::string finding() const {
    const VerifyReport report = verify(false);
    BOOST_REQUIRE(!report.damage.empty());
    return report.damage[0].message();
  }

  test::TemporaryDirectory directory;
  std::string path = directory.path("store");
  std::string row_map_path = path + "/rowmap-2";
  test::RowNumbers numbers;
};

bool says(const std::string& finding, const std::string& what) { return finding.find(what) != std::string::npos; }

BOOST_AUTO_TEST_SUITE(verify)

BOOST_AUTO_TEST_CASE(a_whole_store_with_gaps_has_no_damage) {
  for (const std::uint64_t first : {std::uint64_t{100}, std::uint64_t{1} << 32}) {
    const StoreWithGaps store(first);
    const VerifyReport report = store.verify(true);
    for (const Status& finding : report.damage) BOOST_TEST_MESSAGE(finding.message());
    BOOST_TEST(report.damage_total == 0u);
    BOOST_TEST(report.rows_checked == kRows);
  }
}

BOOST_AUTO_TEST_CASE(positions_that_were_swapped_are_found) {
  const StoreWithGaps store;
  const std::vector<char> bytes = test::read_file(store.row_map_path);
  Pos positions[2];
  for (std::size_t i = 0; i < 2; ++i)
    std::memcpy(&positions[i], bytes.data() + kStreamPageBytes + kPageChecksumBytes + 8 * i + 4, sizeof(Pos));
  test::overwrite_stream(store.row_map_path, 4, positions[1]);
  test::overwrite_stream(store.row_map_path, 12, positions[0]);
  BOOST_TEST(says(store.finding(), "a row is not where the row map has it"));
}

BOOST_AUTO_TEST_CASE(two_rows_at_one_position_are_found) {
  const StoreWithGaps store;
  const std::vector<char> bytes = test::read_file(store.row_map_path);
  Pos position = kNoPos;
  std::memcpy(&position, bytes.data() + kStreamPageBytes + kPageChecksumBytes + 4, sizeof(Pos));
  test::overwrite_stream(store.row_map_path, 12, position);
  BOOST_TEST(says(store.finding(), "a row is not where the row map has it"));
}

BOOST_AUTO_TEST_CASE(another_row_id_is_found) {
  const StoreWithGaps store;
  const auto& row_ids = store.numbers.row_ids;
  std::size_t i = 1;
  while (row_ids[i] + 1 == row_ids[i + 1]) ++i;
  test::overwrite_stream(store.row_map_path, 8 * i, static_cast<std::uint32_t>(row_ids[i] + 1));
  BOOST_TEST(says(store.finding(), "a row is not where the row map has it"));
}

BOOST_AUTO_TEST_CASE(rows_out_of_order_are_found) {
  const StoreWithGaps store;
  test::overwrite_stream(store.row_map_path, 8 * 40, std::uint32_t{100});
  BOOST_TEST(says(store.finding(), "the rows of the row map are out of order"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
