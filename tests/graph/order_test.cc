// SPDX-License-Identifier: Apache-2.0
#include "graph/order.h"

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

AffinityGraph affinity_of(const GraphBuilder& graph, MemoryBudget& budget) {
  auto affinity = affinity_graph(graph.nearest(), budget);
  REQUIRE_OK(affinity);
  return std::move(affinity).value();
}

// No edges: what is left of the order is bisection by 2-means.
AffinityGraph no_affinity(std::uint64_t rows, MemoryBudget& budget) {
  AffinityGraph graph;
  auto offsets = Buffer<std::uint64_t>::allocate(budget, rows + 1);
  REQUIRE_OK(offsets);
  graph.offsets = std::move(offsets).value();
  return graph;
}

void require_permutation(std::vector<std::uint32_t> order) {
  std::sort(order.begin(), order.end());
  for (std::uint32_t i = 0; i < order.size(); ++i) BOOST_REQUIRE(order[i] == i);
}

// Pages on which the true ten of held-out queries lie, for real rows.
struct PageCounts {
  double input_order = 0;
  double two_means = 0;
  double affinity = 0;
};

PageCounts pages_of_true_ten(const Matrix& base, const Matrix& queries, Metric metric, std::uint32_t rows_per_page) {
  MemoryBudget budget;
  const auto executor = make_executor(2);
  const QuantizedRows rows = test::quantized(base, metric, budget);
  const GraphBuilder graph = test::built_graph(rows, {}, *executor, budget);
  const AffinityGraph affinity = affinity_of(graph, budget);
  const AffinityGraph none = no_affinity(rows.rows(), budget);
  const auto answers = test::exact_nearest(base, queries, metric, 10);
  std::vector<std::uint32_t> input(rows.rows());
  std::iota(input.begin(), input.end(), 0u);
  const auto count = [&](const std::vector<std::uint32_t>& order) {
    return test::pages_of_answers(answers, order, rows_per_page);
  };
  const PageCounts counts{count(input), count(test::ordered(rows, none, rows_per_page, *executor, budget)),
                          count(test::ordered(rows, affinity, rows_per_page, *executor, budget))};
  BOOST_TEST_MESSAGE("pages of the true 10: input order " << counts.input_order << ", 2-means " << counts.two_means
                                                          << ", affinity " << counts.affinity);
  return counts;
}

BOOST_AUTO_TEST_SUITE(order)

BOOST_AUTO_TEST_CASE(affinity_names_each_edge_once_at_both_ends) {
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(test::csift_rows(800), Metric::kL2, budget);
  const GraphBuilder graph = test::built_graph(rows, {}, executor, budget);
  std::set<std::pair<std::uint32_t, std::uint32_t>> expected;
  for (std::uint32_t row = 0; row < 800; ++row) {
    for (const std::uint32_t other : graph.nearest(row)) {
      expected.insert({row, other});
      expected.insert({other, row});
    }
  }
  const std::uint64_t before = budget.used_bytes();
  const AffinityGraph affinity = affinity_of(graph, budget);
  BOOST_TEST(budget.used_bytes() - before <= predict_affinity_bytes(800));
  std::set<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t row = 0; row < 800; ++row)
    for (std::uint64_t e = affinity.offsets[row]; e < affinity.offsets[row + 1]; ++e)
      BOOST_REQUIRE(edges.insert({row, affinity.targets[e]}).second);
  BOOST_TEST((edges == expected));
}

BOOST_AUTO_TEST_CASE(is_a_permutation_with_ascending_pages_and_the_same_for_any_thread_count) {
  MemoryBudget budget;
  SerialExecutor serial;
  const QuantizedRows rows = test::quantized(test::csift_rows(1003), Metric::kL2, budget);
  const GraphBuilder graph = test::built_graph(rows, {}, serial, budget);
  const AffinityGraph affinity = affinity_of(graph, budget);
  for (const std::uint32_t rows_per_page : {1u, 2u, 19u, 500u, 1003u, 5000u}) {
    const auto order = test::ordered(rows, affinity, rows_per_page, serial, budget);
    require_permutation(order);
    for (std::size_t i = 1; i < order.size(); ++i)
      if (i % rows_per_page != 0) BOOST_REQUIRE(order[i - 1] < order[i]);
    for (const unsigned threads : {2u, 3u}) {
      const auto pool = make_executor(threads);
      test::ThreadsExecutor plain(threads);
      BOOST_TEST((test::ordered(rows, affinity, rows_per_page, *pool, budget) == order));
      BOOST_TEST((test::ordered(rows, affinity, rows_per_page, plain, budget) == order));
    }
  }
}

BOOST_AUTO_TEST_CASE(pages_stand_beside_those_that_they_have_edges_to) {
  // Points of a line, in no order, each with edges to the three on either side: the pages should follow the line.
  constexpr std::uint32_t kRows = 256;
  constexpr std::uint32_t kPageRows = 8;
  const auto point_of = [](std::uint32_t row) { return row * 77 % kRows; };
  Matrix matrix{DType::kU8, 2, {}};
  std::vector<std::uint32_t> row_at(kRows);
  for (std::uint32_t row = 0; row < kRows; ++row) {
    row_at[point_of(row)] = row;
    matrix.bytes.push_back(static_cast<std::uint8_t>(point_of(row)));
    matrix.bytes.push_back(0);
  }
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  AffinityGraph affinity = no_affinity(kRows, budget);
  auto targets = Buffer<std::uint32_t>::allocate(budget, kRows * 6);
  REQUIRE_OK(targets);
  affinity.targets = std::move(targets).value();
  std::size_t at = 0;
  for (std::uint32_t row = 0; row < kRows; ++row) {
    const std::uint32_t point = point_of(row);
    for (std::uint32_t other = point - std::min(point, 3u); other < std::min(kRows, point + 4); ++other)
      if (other != point) affinity.targets[at++] = row_at[other];
    affinity.offsets[row + 1] = at;
  }
  const auto order = test::ordered(rows, affinity, kPageRows, executor, budget);
  std::size_t jumps = 0;  // pages whose neighbour on disk is not their neighbour on the line
  for (std::size_t i = kPageRows; i < kRows; i += kPageRows) {
    const auto page_of = [&](std::size_t place) { return static_cast<int>(point_of(order[place]) / kPageRows); };
    jumps += std::abs(page_of(i) - page_of(i - kPageRows)) > 1 ? 1 : 0;
  }
  BOOST_TEST(jumps == 0u);
}

BOOST_AUTO_TEST_CASE(rows_that_belong_together_share_a_page) {
  // 40 groups of 8 equal rows, dealt round: a page of 8 rows should hold one group.
  constexpr std::uint32_t kGroups = 40;
  Matrix matrix{DType::kU8, 2, {}};
  for (std::uint32_t row = 0; row < 8 * kGroups; ++row) {
    matrix.bytes.push_back(static_cast<std::uint8_t>(row % kGroups * 6));
    matrix.bytes.push_back(static_cast<std::uint8_t>(row % kGroups * 97 % 251));
  }
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  AffinityGraph affinity = no_affinity(rows.rows(), budget);
  auto targets = Buffer<std::uint32_t>::allocate(budget, rows.rows() * 7);
  REQUIRE_OK(targets);
  affinity.targets = std::move(targets).value();
  std::size_t at = 0;
  for (std::uint32_t row = 0; row < rows.rows(); ++row) {
    for (std::uint32_t other = row % kGroups; other < rows.rows(); other += kGroups)
      if (other != row) affinity.targets[at++] = other;
    affinity.offsets[row + 1] = at;
  }
  const auto order = test::ordered(rows, affinity, 8, executor, budget);
  std::size_t whole = 0;
  for (std::size_t page = 0; page < kGroups; ++page) {
    bool same = true;
    for (std::size_t slot = 1; slot < 8; ++slot)
      same = same && order[page * 8 + slot] % kGroups == order[page * 8] % kGroups;
    whole += same ? 1 : 0;
  }
  BOOST_TEST(whole == kGroups);
}

BOOST_AUTO_TEST_CASE(equal_rows_few_rows_and_none_are_ordered_too) {
  MemoryBudget budget;
  SerialExecutor executor;
  for (const std::uint64_t count : {0u, 1u, 2u, 3u, 300u}) {
    const Matrix equal{DType::kU8, 3, std::vector<std::uint8_t>(count * 3, 200)};
    const QuantizedRows rows = test::quantized(equal, Metric::kL2, budget);
    const GraphBuilder graph = test::built_graph(rows, {}, executor, budget);
    const AffinityGraph affinity = affinity_of(graph, budget);
    for (const std::uint32_t rows_per_page : {1u, 4u}) {
      const auto order = test::ordered(rows, affinity, rows_per_page, executor, budget);
      BOOST_TEST(order.size() == count);
      require_permutation(order);
    }
  }
}

BOOST_AUTO_TEST_CASE(needs_the_predicted_memory_and_says_when_it_is_refused) {
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(test::csift_rows(600), Metric::kL2, budget);
  const AffinityGraph none = no_affinity(600, budget);
  std::vector<std::uint32_t> order(600);
  MemoryBudget enough(predict_order_bytes(600));
  std::uint64_t told = 0;
  REQUIRE_OK(order_rows(rows, none, {19, 1}, executor, enough, order, [&](std::uint64_t done) { told = done; }));
  BOOST_TEST(told == 600u);
  MemoryBudget short_of(predict_order_bytes(600) - 1);
  BOOST_TEST((order_rows(rows, none, {19, 1}, executor, short_of, order, {}).code() == Code::kMemoryBudget));
}

BOOST_AUTO_TEST_CASE(the_true_ten_lie_on_few_pages_of_sift) {
  const PageCounts counts = pages_of_true_ten(test::csift_rows(10000), test::csift_queries(200), Metric::kL2, 19);
  BOOST_TEST(counts.affinity < counts.two_means);
  BOOST_TEST(counts.affinity < 0.8 * counts.input_order);
  BOOST_TEST(counts.affinity < 6.9);
}

BOOST_AUTO_TEST_CASE(the_true_ten_lie_on_few_pages_of_text_embeddings) {
  const PageCounts counts = pages_of_true_ten(test::win384_rows(5000), test::win384_queries(100), Metric::kCosine, 8);
  BOOST_TEST(counts.affinity < counts.two_means);
  BOOST_TEST(counts.affinity < 0.8 * counts.input_order);
  BOOST_TEST(counts.affinity < 6.5);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
