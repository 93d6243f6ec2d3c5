// SPDX-License-Identifier: Apache-2.0
//
// Searches of pages that are all in memory, compared with exact answers.
#include "graph/memory_search.h"

#include "graph/search.h"
#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;
using test::TestIndex;

SearchParams params_of(std::uint32_t k, std::uint32_t search_list) {
  SearchParams params;
  params.k = k;
  params.search_list = search_list;
  return params;
}

std::unique_ptr<GraphSearcher> in_memory(TestIndex& index) {
  index.use_cache(1.0);
  return index.searcher();
}

// Mean recall of the nearest k; checks that nothing was read and that distances are those of the rows.
double recall_of(TestIndex& index, const Matrix& base, const Matrix& queries, Metric metric,
                 const SearchParams& params) {
  const auto exact = test::exact_nearest(base, queries, metric, params.k);
  const auto searcher = in_memory(index);
  double hits = 0;
  for (std::uint64_t q = 0; q < queries.rows(); ++q) {
    QueryStats stats;
    const auto found = searcher->search(queries.view(), q, params, stats);
    REQUIRE_OK(found);
    BOOST_REQUIRE(found->size() == params.k);
    BOOST_TEST(std::is_sorted(found->begin(), found->end()));
    for (const FoundRow& row : *found)
      for (const Candidate& true_row : exact[q]) {
        if (row.row.value != true_row.row) continue;
        ++hits;
        if (metric == Metric::kL2) BOOST_TEST(row.distance == true_row.distance);
      }
    BOOST_TEST(stats.requests == 0u);
    BOOST_TEST(stats.exact_distances > 0u);
  }
  BOOST_TEST(searcher->reader().requests_submitted() == 0u);
  return hits / static_cast<double>(queries.rows() * params.k);
}

BOOST_AUTO_TEST_SUITE(memory_search)

BOOST_AUTO_TEST_CASE(real_vectors_are_found) {
  const Matrix base = test::csift_rows(8000);
  TestIndex index(base, Metric::kL2);
  const double recall = recall_of(index, base, test::csift_queries(200), Metric::kL2, params_of(10, 40));
  BOOST_TEST_MESSAGE("csift 8k u8 l2 in memory, L 40: recall " << recall);
  BOOST_TEST(recall > .985);
  const Matrix texts = test::win384_rows(4000);
  TestIndex text_index(texts, Metric::kCosine);
  const double text_recall =
      recall_of(text_index, texts, test::win384_queries(100), Metric::kCosine, params_of(10, 60));
  BOOST_TEST_MESSAGE("win384 4k f16 cosine in memory, L 60: recall " << text_recall);
  BOOST_TEST(text_recall > .97);
  TestIndex product_index(base, Metric::kInnerProduct);
  BOOST_TEST(recall_of(product_index, base, test::csift_queries(100), Metric::kInnerProduct, params_of(10, 100)) > .95);
}

BOOST_AUTO_TEST_CASE(a_list_as_long_as_the_set_finds_everything) {
  const Matrix queries = test::csift_queries(10);
  for (const std::uint64_t rows : {1u, 2u, 3u, 17u, 300u, 1500u}) {
    const Matrix base = test::csift_rows(rows);
    TestIndex index(base, Metric::kL2);
    const auto k = static_cast<std::uint32_t>(std::min<std::uint64_t>(rows, 50));
    BOOST_TEST(recall_of(index, base, queries, Metric::kL2, params_of(k, 2000)) == 1.0);
  }
}

BOOST_AUTO_TEST_CASE(k_rows_come_back_however_short_the_list) {
  TestIndex index(test::csift_rows(2000), Metric::kL2);
  const auto searcher = in_memory(index);
  const Matrix queries = test::csift_queries(5);
  QueryStats stats;
  for (const std::uint32_t k : {1u, 10u, 150u, kResultsMax}) {
    for (std::uint64_t q = 0; q < 5; ++q) {
      const auto found = searcher->search(queries.view(), q, params_of(k, 1), stats);
      REQUIRE_OK(found);
      BOOST_TEST(found->size() == k);
    }
  }
  TestIndex equal(Matrix{DType::kU8, 128, std::vector<std::uint8_t>(128 * 200, 3)}, Metric::kL2);
  const auto found = in_memory(equal)->search(queries.view(), 0, params_of(500, 1), stats);
  REQUIRE_OK(found);
  BOOST_TEST(found->size() == 200u);
}

BOOST_AUTO_TEST_CASE(a_list_shorter_than_k_computes_less) {
  TestIndex index(test::csift_rows(3000), Metric::kL2);
  const auto searcher = in_memory(index);
  const Matrix queries = test::csift_queries(20);
  const auto distances = [&](std::uint32_t list) {
    std::uint64_t sum = 0;
    for (std::uint64_t q = 0; q < queries.rows(); ++q) {
      QueryStats stats;
      const auto found = searcher->search(queries.view(), q, params_of(10, list), stats);
      REQUIRE_OK(found);
      BOOST_TEST(found->size() == 10u);
      sum += stats.exact_distances;
    }
    return sum;
  };
  BOOST_TEST(distances(3) < distances(6));
  BOOST_TEST(distances(6) < distances(10));
}

class EverySeventh final : public RowFilter {
 public:
  explicit EverySeventh(std::uint64_t rows) : rows_(rows) {}
  bool admits(RowId row) const override { return row.value % 7 == 0; }
  std::uint64_t rows() const override { return (rows_ + 6) / 7; }

 private:
  std::uint64_t rows_;
};

BOOST_AUTO_TEST_CASE(under_a_filter_k_admitted_rows_come_back_however_short_the_list) {
  TestIndex index(test::csift_rows(2000), Metric::kL2);
  const auto searcher = in_memory(index);
  const Matrix queries = test::csift_queries(20);
  const EverySeventh filter(2000);
  for (const std::uint32_t list : {1u, 5u, 40u}) {
    for (std::uint64_t q = 0; q < queries.rows(); ++q) {
      SearchParams params = params_of(10, list);
      params.filter = &filter;
      QueryStats stats;
      const auto found = searcher->search(queries.view(), q, params, stats);
      REQUIRE_OK(found);
      BOOST_TEST(found->size() == 10u);
      for (const FoundRow& row : *found) BOOST_TEST(filter.admits(row.row));
    }
  }
}

BOOST_AUTO_TEST_CASE(one_query_leaves_no_trace_in_the_next) {
  TestIndex index(test::csift_rows(3000), Metric::kL2);
  const auto searcher = in_memory(index);
  const Matrix queries = test::csift_queries(30);
  const auto positions_of = [&](GraphSearcher& by, std::uint64_t query, std::uint32_t list) {
    QueryStats stats;
    const auto found = by.search(queries.view(), query, params_of(10, list), stats);
    REQUIRE_OK(found);
    std::vector<Pos> positions;
    for (const FoundRow& row : *found) positions.push_back(row.position);
    return positions;
  };
  std::vector<std::vector<Pos>> first;
  for (std::uint64_t q = 0; q < queries.rows(); ++q) first.push_back(positions_of(*searcher, q, 20));
  for (std::uint64_t q = queries.rows(); q-- > 0;) {
    positions_of(*searcher, q, 2500);  // visits all there is
    BOOST_TEST((positions_of(*searcher, q, 20) == first[q]));
    BOOST_TEST((positions_of(*index.searcher(), q, 20) == first[q]));
  }
}

BOOST_AUTO_TEST_CASE(it_holds_what_is_predicted) {
  TestIndex index(test::csift_rows(3000), Metric::kL2);
  index.use_cache(1.0);
  const std::uint64_t before = index.budget().used_bytes();
  const auto searcher = index.searcher();
  const std::uint64_t held = index.budget().used_bytes() - before;
  const std::uint64_t predicted = GraphSearcher::predict_bytes(index.summary().layout, index.codes().form(), 0);
  BOOST_TEST(held <= predicted);
  BOOST_TEST(static_cast<double>(held) > 0.75 * static_cast<double>(predicted));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
