// SPDX-License-Identifier: Apache-2.0
#include "graph/prune.h"

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

float squared_distance(const Matrix& matrix, std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < matrix.dim; ++i) {
    const int difference =
        matrix.bytes[std::size_t{a} * matrix.dim + i] - matrix.bytes[std::size_t{b} * matrix.dim + i];
    sum += static_cast<std::uint32_t>(difference * difference);
  }
  return static_cast<float>(sum);
}

// All other rows as candidates of `node`.
std::vector<Candidate> candidates_of(const Matrix& matrix, std::uint32_t node) {
  std::vector<Candidate> candidates;
  for (std::uint32_t row = 0; row < matrix.rows(); ++row)
    if (row != node) candidates.push_back({squared_distance(matrix, node, row), row});
  std::sort(candidates.begin(), candidates.end());
  return candidates;
}

// Algorithm 2 of the paper, once with alpha 1 and once more over what is left: a candidate stays unless a nearer one
// that was kept is closer to it, by the factor, than the node is.
std::vector<std::uint32_t> naive_prune(const Matrix& matrix, const std::vector<Candidate>& candidates, float alpha,
                                       std::uint32_t degree) {
  std::vector<bool> kept(candidates.size());
  std::vector<std::uint32_t> rows;
  for (const float slack : {1.0f, std::max(1.0f, alpha)}) {
    for (std::size_t i = 0; i < candidates.size() && rows.size() < degree; ++i) {
      if (kept[i]) continue;
      bool occluded = false;
      for (std::size_t j = 0; j < i && !occluded; ++j) {
        if (!kept[j]) continue;
        const float between = squared_distance(matrix, candidates[i].row, candidates[j].row);
        occluded = between == 0.0f || candidates[i].distance / between > slack;
      }
      kept[i] = !occluded;
      if (!occluded) rows.push_back(candidates[i].row);
    }
  }
  return rows;
}

void compare_with_oracle(const Matrix& matrix, std::uint32_t nodes) {
  MemoryBudget budget;
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  for (const float alpha : {1.0f, 1.2f, 2.0f}) {
    Pruner pruner(rows, alpha);
    for (std::uint32_t node = 0; node < nodes; ++node) {
      const std::vector<Candidate> candidates = candidates_of(matrix, node);
      for (const std::uint32_t degree : {1u, 7u, 48u}) {
        const auto kept = pruner.prune(candidates, degree);
        const auto expected = naive_prune(matrix, candidates, alpha, degree);
        BOOST_REQUIRE_EQUAL_COLLECTIONS(kept.begin(), kept.end(), expected.begin(), expected.end());
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE(prune)

BOOST_AUTO_TEST_CASE(keeps_what_the_naive_algorithm_keeps_on_sift) { compare_with_oracle(test::csift_rows(300), 25); }

BOOST_AUTO_TEST_CASE(keeps_what_the_naive_algorithm_keeps_among_ties_and_duplicates) {
  compare_with_oracle(test::random_bytes(200, 2, 6, 1), 25);
  compare_with_oracle(test::random_bytes(120, 1, 5, 2), 25);
}

BOOST_AUTO_TEST_CASE(slack_adds_neighbours_and_never_takes_one_away) {
  const Matrix matrix = test::csift_rows(400);
  MemoryBudget budget;
  const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget);
  Pruner strict(rows, 1.0f);
  Pruner slack(rows, 1.5f);
  std::size_t added = 0;
  for (std::uint32_t node = 0; node < 20; ++node) {
    const std::vector<Candidate> candidates = candidates_of(matrix, node);
    const auto few = strict.prune(candidates, 100);
    const auto more = slack.prune(candidates, 100);
    BOOST_TEST(std::equal(few.begin(), few.end(), more.begin()));
    added += more.size() - few.size();
  }
  BOOST_TEST(added > 20u);
}

BOOST_AUTO_TEST_CASE(keeps_one_of_equal_rows_and_nothing_of_nothing) {
  Matrix equal{DType::kU8, 3, std::vector<std::uint8_t>(30, 9)};
  MemoryBudget budget;
  const QuantizedRows rows = test::quantized(equal, Metric::kL2, budget);
  Pruner pruner(rows, 1.2f);
  const auto kept = pruner.prune(candidates_of(equal, 4), 8);
  BOOST_REQUIRE(kept.size() == 1u);
  BOOST_TEST(kept[0] == 0u);
  BOOST_TEST(pruner.prune({}, 8).empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
