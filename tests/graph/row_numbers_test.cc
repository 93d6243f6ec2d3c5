// SPDX-License-Identifier: Apache-2.0
//
// Rows whose numbers are not their places in the build: answers name them by RowId and key, wherever pages come from.
#include <map>

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::IndexOptions;
using test::Matrix;
using test::TestIndex;

// Rows with gaps, half of them beyond 32 bits where `beyond`; keys that have nothing to do with them.
IndexOptions numbered(std::uint64_t rows, std::uint32_t key_bytes, bool beyond) {
  IndexOptions options;
  options.key_bytes = key_bytes;
  options.row_id_bytes = beyond ? 8 : 4;
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::uint64_t jump = beyond && row >= rows / 2 ? std::uint64_t{1} << 40 : 0;
    options.row_ids.push_back(7 + 3 * row + row % 3 + jump);
    options.keys.push_back((rows - row) * 1000003 + (key_bytes == 8 ? std::uint64_t{1} << 50 : 0));
  }
  return options;
}

// Where in the build a row is.
std::map<std::uint64_t, std::uint32_t> places_of(const IndexOptions& options) {
  std::map<std::uint64_t, std::uint32_t> places;
  for (const std::uint64_t row : options.row_ids) places.emplace(row, static_cast<std::uint32_t>(places.size()));
  return places;
}

// Every other row that the build has, by RowId.
class EveryOther final : public RowFilter {
 public:
  explicit EveryOther(const std::map<std::uint64_t, std::uint32_t>& places) : places_(places) {}
  bool admits(RowId row) const override { return places_.at(row.value) % 2 == 0; }
  std::uint64_t rows() const override { return (places_.size() + 1) / 2; }

 private:
  const std::map<std::uint64_t, std::uint32_t>& places_;
};

// Searches, and compares each row found with the row of the build that has its RowId.
void require_names(TestIndex& index, const IndexOptions& options, const Matrix& base, const Matrix& queries) {
  const auto places = places_of(options);
  const auto exact = test::exact_nearest(base, queries, Metric::kL2, 10);
  const EveryOther filter(places);
  const auto searcher = index.searcher();
  std::size_t right = 0;
  for (std::uint64_t query = 0; query < queries.rows(); ++query) {
    QueryStats stats;
    for (const RowFilter* only : {static_cast<const RowFilter*>(nullptr), static_cast<const RowFilter*>(&filter)}) {
      SearchParams params{10, 200, 40, 2.5f, only, false};
      const auto found = searcher->search(queries.view(), query, params, stats);
      REQUIRE_OK(found);
      BOOST_REQUIRE_EQUAL(found->size(), 10u);
      for (const FoundRow& row : *found) {
        const std::uint32_t place = places.at(row.row.value);
        BOOST_REQUIRE_EQUAL(index.order()[row.position], place);
        BOOST_REQUIRE_EQUAL(row.key, options.key_bytes == 0 ? row.row.value : options.keys[place]);
        if (only != nullptr) continue;
        right += std::ranges::count(exact[query], place, &Candidate::row);
      }
    }
  }
  BOOST_TEST(right >= 9 * queries.rows());
}

void require_names_everywhere(const Matrix& base, const Matrix& queries, std::uint32_t value_bits) {
  for (const std::uint32_t key_bytes : {0u, 4u, 8u}) {
    IndexOptions options = numbered(base.rows(), key_bytes, key_bytes != 4);
    options.value_bits = value_bits;
    TestIndex index(base, Metric::kL2, options);
    BOOST_TEST(index.summary().layout.key_bytes == key_bytes);
    for (const double cached : {0.0, 0.3, 1.0}) {
      index.use_cache(cached);
      require_names(index, options, base, queries);
    }
  }
}

BOOST_AUTO_TEST_SUITE(row_numbers)

BOOST_AUTO_TEST_CASE(integers_are_found_by_row_id_and_key) {
  require_names_everywhere(test::csift_rows(1200), test::csift_queries(12), 8);
}

BOOST_AUTO_TEST_CASE(floats_are_found_by_row_id_and_key) {
  const Matrix base = test::win384_rows(700);
  for (const std::uint32_t value_bits : {8u, 32u}) require_names_everywhere(base, test::win384_queries(8), value_bits);
}

BOOST_AUTO_TEST_CASE(contenders_bring_their_keys) {
  const Matrix base = test::win384_rows(500);
  const Matrix queries = test::win384_queries(5);
  const IndexOptions options = numbered(base.rows(), 8, true);
  const auto places = places_of(options);
  TestIndex index(base, Metric::kCosine, options);
  for (const double cached : {0.0, 1.0}) {
    index.use_cache(cached);
    const auto searcher = index.searcher();
    std::optional<std::uint64_t> query = 0;
    std::size_t seen = 0;
    const SearchParams params{10, 64, 40, 2.5f, nullptr, true};
    REQUIRE_OK(searcher->search_all(
        queries.view(), params,
        [&] {
          const auto next = query;
          query = next && *next + 1 < queries.rows() ? std::optional(*next + 1) : std::nullopt;
          return next;
        },
        [&](const GraphSearcher::Answer& answer) {
          for (const Contender& row : answer.contenders) {
            BOOST_REQUIRE_EQUAL(row.key, options.keys[places.at(row.row.value)]);
            ++seen;
          }
          return Status::ok();
        }));
    BOOST_TEST(seen >= 10 * queries.rows());
  }
}

// What every store of today has: pages without numbers of their own keep their bytes.
BOOST_AUTO_TEST_CASE(row_ids_without_gaps_leave_the_bytes_as_they_are) {
  const Matrix base = test::csift_rows(400);
  const TestIndex plain(base, Metric::kL2);
  IndexOptions options;
  options.row_ids.resize(base.rows());
  std::iota(options.row_ids.begin(), options.row_ids.end(), std::uint64_t{0});
  const TestIndex named(base, Metric::kL2, options);
  BOOST_CHECK(test::read_file(plain.path()) == test::read_file(named.path()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
