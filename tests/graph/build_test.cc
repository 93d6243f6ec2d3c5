// SPDX-License-Identifier: Apache-2.0
#include "graph/build.h"

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

GraphBuildOptions small_graph(std::uint32_t max_degree = 24) {
  GraphBuildOptions options;
  options.max_degree = max_degree;
  options.build_list = 40;
  return options;
}

std::vector<std::uint32_t> all_rows(std::uint64_t rows) {
  std::vector<std::uint32_t> ids(rows);
  std::iota(ids.begin(), ids.end(), 0u);
  return ids;
}

// Lists and nearest neighbours of every row, flat.
std::vector<std::uint32_t> everything(const GraphBuilder& graph, std::uint64_t rows) {
  std::vector<std::uint32_t> flat{graph.entry()};
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (const auto list : {graph.neighbours(row), graph.nearest(row)}) {
      flat.insert(flat.end(), list.begin(), list.end());
      flat.push_back(kNoPos);
    }
  }
  return flat;
}

// Builds, checks degrees and reachability; returns how many rows connect() had to attach.
std::uint64_t require_connected(const Matrix& matrix, Metric metric, const GraphBuildOptions& options) {
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(matrix, metric, budget);
  GraphBuilder graph = test::empty_builder(rows, options, executor, budget);
  const auto order = graph.insertion_order(budget);
  REQUIRE_OK(order);
  graph.insert(order->span(), {});
  graph.check_invariants();
  graph.trim();
  for (std::uint32_t row = 0; row < rows.rows(); ++row)
    BOOST_REQUIRE(graph.neighbours(row).size() <= graph.max_degree());
  const std::uint64_t attached = graph.connect();
  graph.check_invariants();
  for (std::uint32_t row = 0; row < rows.rows(); ++row) BOOST_REQUIRE(graph.neighbours(row).size() <= kDegreeMax);
  BOOST_REQUIRE(test::reachable_rows(graph, rows.rows()) == rows.rows());
  BOOST_TEST(graph.connect() == 0u);
  return attached;
}

// Share of the truly nearest `k` other rows that the builder remembers.
double nearest_found(const GraphBuilder& graph, const Matrix& matrix, std::uint32_t first, std::uint32_t last,
                     const Matrix& among, std::size_t k) {
  const auto exact = test::exact_nearest(among, matrix, Metric::kL2, k + 1);
  std::size_t found = 0;
  std::size_t wanted = 0;
  for (std::uint32_t row = first; row < last; ++row) {
    const auto nearest = graph.nearest(row);
    std::size_t taken = 0;
    for (const Candidate& candidate : exact[row]) {
      if (candidate.row == row || taken == k) continue;
      ++taken;
      found += std::find(nearest.begin(), nearest.end(), candidate.row) != nearest.end() ? 1 : 0;
    }
    wanted += taken;
  }
  return static_cast<double>(found) / static_cast<double>(wanted);
}

BOOST_AUTO_TEST_SUITE(build)

BOOST_AUTO_TEST_CASE(same_graph_for_any_number_of_threads_and_either_executor) {
  MemoryBudget budget;
  const Matrix matrix = test::csift_rows(1500);
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  SerialExecutor serial;
  const auto expected = everything(test::built_graph(rows, small_graph(), serial, budget), rows.rows());
  for (const unsigned threads : {2u, 3u}) {
    const auto pool = make_executor(threads);
    test::ThreadsExecutor plain(threads);
    for (Executor* executor : {pool.get(), static_cast<Executor*>(&plain)}) {
      const auto graph = everything(test::built_graph(rows, small_graph(), *executor, budget), rows.rows());
      BOOST_TEST((graph == expected), threads << " threads changed the graph");
    }
  }
}

BOOST_AUTO_TEST_CASE(every_row_is_reachable_whatever_the_rows_are) {
  require_connected(test::csift_rows(2000), Metric::kL2, small_graph());
  require_connected(test::csift_rows(1000), Metric::kInnerProduct, small_graph());
  require_connected(test::win384_rows(500), Metric::kCosine, small_graph());
  require_connected(test::as_i8(test::csift_rows(500)), Metric::kCosine, small_graph());
  require_connected(test::random_bytes(800, 1, 256, 3), Metric::kL2, small_graph());
  require_connected(test::random_bytes(2000, 2, 3, 4), Metric::kL2, small_graph());  // 9 distinct rows
  require_connected(test::random_bytes(300, 1, 256, 5), Metric::kL2, small_graph(1));
  for (const std::uint64_t rows : {1u, 2u, 3u}) require_connected(test::csift_rows(rows), Metric::kL2, small_graph());
}

BOOST_AUTO_TEST_CASE(equal_rows_are_all_attached) {
  for (const std::uint32_t max_degree : {1u, 8u, 48u}) {
    const Matrix equal{DType::kU8, 4, std::vector<std::uint8_t>(4 * 3000, 7)};
    BOOST_TEST(require_connected(equal, Metric::kL2, small_graph(max_degree)) > 0u);
  }
}

BOOST_AUTO_TEST_CASE(real_rows_written_twice_are_all_reachable) {
  Matrix twice = test::csift_rows(700);
  twice.bytes.insert(twice.bytes.end(), twice.bytes.begin(), twice.bytes.end());
  require_connected(twice, Metric::kL2, small_graph());
}

// A list of the builder may grow by a third before it is pruned; connect() once filled it that far, beyond what a
// searcher decodes.
BOOST_AUTO_TEST_CASE(the_largest_degree_leaves_lists_that_a_searcher_takes) {
  const Matrix equal{DType::kU8, 1, std::vector<std::uint8_t>(4000, 7)};
  for (const std::uint32_t max_degree : {200u, kDegreeMax}) {
    require_connected(equal, Metric::kL2, small_graph(max_degree));
    require_connected(test::random_bytes(600, 8, 256, 9), Metric::kL2, small_graph(max_degree));
  }
}

BOOST_AUTO_TEST_CASE(an_empty_build_is_an_empty_graph) {
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(Matrix{DType::kU8, 5, {}}, Metric::kL2, budget);
  GraphBuilder graph = test::built_graph(rows, small_graph(), executor, budget);
  BOOST_TEST(graph.entry() == kNoPos);
  graph.find_nearest({});
  BOOST_TEST(graph.connect() == 0u);
}

BOOST_AUTO_TEST_CASE(the_order_of_insertion_is_a_permutation_that_the_seed_decides) {
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(test::csift_rows(1000), Metric::kL2, budget);
  const auto order_of = [&](std::uint64_t seed) {
    GraphBuildOptions options = small_graph();
    options.seed = seed;
    const auto order = test::empty_builder(rows, options, executor, budget).insertion_order(budget);
    REQUIRE_OK(order);
    return std::vector<std::uint32_t>(order->begin(), order->end());
  };
  const auto order = order_of(1);
  BOOST_TEST((order_of(1) == order));
  BOOST_TEST((order_of(2) != order));
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  BOOST_TEST((sorted == all_rows(1000)));
  BOOST_TEST(order_of(2)[0] == order[0], "both begin with the row nearest to the mean of all");
}

BOOST_AUTO_TEST_CASE(rows_may_be_linked_later_and_again) {
  MemoryBudget budget;
  SerialExecutor executor;
  const Matrix matrix = test::csift_rows(1500);
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  GraphBuilder graph = test::empty_builder(rows, small_graph(), executor, budget);
  const auto ids = all_rows(1500);
  std::uint64_t told = 0;
  graph.insert(std::span(ids).first(1000), [&](std::uint64_t done) {
    BOOST_TEST(done > told);
    told = done;
  });
  BOOST_TEST(told == 1000u);
  for (std::uint32_t row = 1000; row < 1500; ++row) BOOST_REQUIRE(graph.neighbours(row).empty());
  graph.insert(std::span(ids).last(500), {});
  graph.insert(std::span(ids).first(700), {});  // a second pass over rows that are linked, the entry among them
  graph.trim();
  graph.connect();
  graph.check_invariants();
  BOOST_TEST(graph.entry() == 0u);
  BOOST_TEST(test::reachable_rows(graph, 1500) == 1500u);
  BOOST_TEST(nearest_found(graph, matrix, 0, 1500, matrix, 10) > 0.9);
}

BOOST_AUTO_TEST_CASE(one_pass_remembers_most_of_the_nearest_neighbours) {
  MemoryBudget budget;
  SerialExecutor executor;
  const Matrix matrix = test::csift_rows(3000);
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  const GraphBuilder graph = test::built_graph(rows, {}, executor, budget);
  const double share = nearest_found(graph, matrix, 0, 3000, matrix, 10);
  BOOST_TEST_MESSAGE("csift 3k: " << share << " of the true 10 nearest neighbours are remembered");
  // What is missing: a later row is offered only to those that it finds nearest itself.
  BOOST_TEST(share > 0.78);
}

BOOST_AUTO_TEST_CASE(nearest_neighbours_are_found_without_linking) {
  MemoryBudget budget;
  SerialExecutor executor;
  const Matrix matrix = test::csift_rows(2000);
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  GraphBuilder graph = test::empty_builder(rows, {}, executor, budget);
  const auto ids = all_rows(2000);
  graph.insert(std::span(ids).first(1500), {});
  std::vector<std::vector<std::uint32_t>> before;
  for (const std::uint32_t row : ids) before.emplace_back(graph.neighbours(row).begin(), graph.neighbours(row).end());
  graph.find_nearest(std::span(ids).last(500));
  graph.check_invariants();
  std::size_t newcomers_known = 0;
  for (const std::uint32_t row : ids) {
    const auto list = graph.neighbours(row);
    BOOST_REQUIRE(std::equal(list.begin(), list.end(), before[row].begin(), before[row].end()));
    for (const std::uint32_t other : graph.nearest(row)) newcomers_known += row < 1500 && other >= 1500 ? 1 : 0;
  }
  BOOST_TEST(newcomers_known > 500u, "linked rows should learn of near rows that are not linked");
  const double share = nearest_found(graph, matrix, 1500, 2000, matrix.first(1500), 10);
  BOOST_TEST_MESSAGE("csift 500 against 1,500 linked: " << share << " of the true 10 found");
  BOOST_TEST(share > 0.99);
}

BOOST_AUTO_TEST_CASE(a_build_stays_within_its_predicted_memory) {
  const Matrix matrix = test::csift_rows(1500);
  for (const std::uint32_t max_degree : {4u, 24u}) {
    for (const unsigned threads : {1u, 3u}) {
      MemoryBudget free_of_charge;
      const QuantizedRows rows = test::quantized(matrix, Metric::kL2, free_of_charge);
      const std::uint64_t predicted = GraphBuilder::predict_bytes(rows.rows(), small_graph(max_degree), threads);
      MemoryBudget budget(predicted);
      test::ThreadsExecutor executor(threads);
      test::built_graph(rows, small_graph(max_degree), executor, budget);
      BOOST_TEST(budget.peak_bytes() >= predicted * 9 / 10);
      MemoryBudget too_small(budget.peak_bytes() / 2);
      const auto refused = GraphBuilder::create(rows, small_graph(max_degree), executor, too_small);
      BOOST_TEST((test::code_of(refused) == Code::kMemoryBudget));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
