// SPDX-License-Identifier: Apache-2.0
#include "compress/block_codes.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "compress/code_scorer.h"
#include "compress/codec_model.h"
#include "tests/compress/code_cases.h"

namespace vecstore {
namespace {

struct Case {
  std::uint64_t rows;
  std::uint32_t dim;
  std::uint32_t code_bytes;
  Codec kind;
  Metric metric;
};

CodecOptions options_of(const Case& c) {
  CodecOptions options;
  options.kind = c.kind;
  options.code_bytes = c.code_bytes;
  options.metric = c.metric;
  options.sample_rows = 4096;
  return options;
}

void check_estimates(const Case& c) {
  BOOST_TEST_CONTEXT("rows " << c.rows << " dim " << c.dim << " code bytes " << c.code_bytes << " kind "
                             << static_cast<int>(c.kind) << " metric " << name_of(c.metric)) {
    const test::MemoryRows rows = test::walking_rows(c.rows, c.dim, c.rows + c.dim, c.metric == Metric::kCosine);
    SerialExecutor executor;
    MemoryBudget budget;
    const auto codes = encode_blocks(rows, options_of(c), nullptr, executor, budget);
    REQUIRE_OK(codes);
    std::vector<Pos> positions(std::min<std::uint64_t>(c.rows, 700));
    Random random(7);
    for (Pos& position : positions) position = static_cast<Pos>(random.below(c.rows));
    auto scorer = CodeScorer::create(*codes, budget);
    auto scratch = ScorerScratch::create(*codes, budget);
    REQUIRE_OK(scorer);
    REQUIRE_OK(scratch);
    for (const std::uint64_t query_row : {std::uint64_t{0}, c.rows / 2, c.rows - 1}) {
      std::vector<float> query(rows.row(query_row), rows.row(query_row) + c.dim);
      for (float& value : query) value += 0.05f * static_cast<float>(random.unit());
      scorer->prepare(query.data(), *scratch);
      double scale = 0;
      for (const float value : query) scale += static_cast<double>(value) * static_cast<double>(value);
      const double bound = 1.001 * test::rounding_bound(*codes, query.data()) + 3e-6 * scale;
      std::vector<float> run(c.rows);
      scorer->score_run(0, run.size(), run.data());
      std::vector<float> picked(positions.size());
      scorer->score_positions(positions.data(), positions.size(), picked.data());
      for (std::size_t i = 0; i < positions.size(); ++i) {
        const Pos position = positions[i];
        BOOST_REQUIRE(picked[i] == run[position]);
        const double exact = test::exact_estimate(*codes, position, query.data(), rows.row(position)) +
                             test::beyond_key(*codes, query.data());
        BOOST_REQUIRE_SMALL(static_cast<double>(picked[i]) - exact, bound);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(estimates_are_those_of_the_decoded_row_within_the_rounding_of_the_tables) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    for (const Codec kind : {Codec::kPq, Codec::kOpq}) {
      check_estimates({1500, 40, 10, kind, metric});
      check_estimates({1100, 37, 9, kind, metric});
    }
  }
  check_estimates({900, 130, 64, Codec::kOpq, Metric::kL2});
}

BOOST_AUTO_TEST_CASE(rabitq_estimates_are_those_of_its_formula_in_every_dimension_width_and_metric) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    for (const std::uint32_t code_bytes : {5u, 10u, 20u})
      check_estimates({1100, 40, code_bytes, Codec::kRabitq, metric});
  }
  for (const std::uint32_t dim : {1u, 3u, 100u, 384u, 1000u}) {
    for (const std::uint32_t bits : {1u, 2u, 4u})
      check_estimates({300, dim, (dim * bits + 7) / 8, Codec::kRabitq, Metric::kL2});
  }
  check_estimates({20, 4096, 512, Codec::kRabitq, Metric::kCosine});
  check_estimates({20, 4096, 2048, Codec::kRabitq, Metric::kL2});
}

BOOST_AUTO_TEST_CASE(the_smallest_shapes_work) {
  for (const std::uint64_t rows : {1u, 2u, 255u, 256u, 257u}) {
    check_estimates({rows, 1, 1, Codec::kOpq, Metric::kL2});
    check_estimates({rows, 5, 5, Codec::kOpq, Metric::kInnerProduct});
    check_estimates({rows, 17, 4, Codec::kOpq, Metric::kCosine});
    check_estimates({rows, 17, 4, Codec::kRabitq, Metric::kCosine});
  }
}

BOOST_AUTO_TEST_CASE(runs_may_begin_and_end_anywhere) {
  const test::MemoryRows rows = test::walking_rows(1000, 16, 3);
  SerialExecutor executor;
  MemoryBudget budget;
  const auto codes =
      encode_blocks(rows, options_of({1000, 16, 4, Codec::kOpq, Metric::kL2}), nullptr, executor, budget);
  REQUIRE_OK(codes);
  const std::vector<float> all = test::estimates(*codes, rows.row(9), budget);
  auto scorer = CodeScorer::create(*codes, budget);
  auto scratch = ScorerScratch::create(*codes, budget);
  REQUIRE_OK(scorer);
  REQUIRE_OK(scratch);
  scorer->prepare(rows.row(9), *scratch);
  BOOST_TEST(scorer->block_keys().size() == 4u);
  for (const auto& [first, count] :
       std::vector<std::pair<Pos, std::size_t>>{{0, 1}, {250, 10}, {255, 258}, {999, 1}, {1000, 0}}) {
    std::vector<float> part(count);
    scorer->score_run(first, count, part.data());
    BOOST_TEST(std::equal(part.begin(), part.end(), all.begin() + first));
  }
}

// What lies in dimensions that are left out counts as an error of coding, and so into the correction: estimates stay
// right in the mean.
BOOST_AUTO_TEST_CASE(dimensions_that_hardly_vary_are_left_out_and_estimates_stay_right) {
  const test::MemoryRows rows = test::flat_rows(4000, 24, 6);
  SerialExecutor executor;
  MemoryBudget budget;
  const auto codes =
      encode_blocks(rows, options_of({4000, 24, 4, Codec::kOpq, Metric::kL2}), nullptr, executor, budget);
  REQUIRE_OK(codes);
  BOOST_TEST(codes->model.rotated_dims() >= 6u);
  BOOST_TEST(codes->model.rotated_dims() <= 12u);
  BOOST_TEST(codes->fixed_bytes() < predict_fixed_bytes(4000, 24, options_of({4000, 24, 4, Codec::kOpq, Metric::kL2})));
  double difference = 0;
  double size = 0;
  for (std::size_t query = 0; query < 10; ++query) {
    const float* q = rows.row(query * 397);
    const std::vector<float> estimates = test::estimates(*codes, q, budget);
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      double key = test::beyond_key(*codes, q);
      for (std::size_t k = 0; k < 24; ++k) {
        const double x = rows.row(i)[k];
        key += x * x - 2 * x * static_cast<double>(q[k]);
      }
      difference += static_cast<double>(estimates[i]) - key;
      size += std::abs(key);
    }
  }
  BOOST_TEST(std::abs(difference) < 0.01 * size);
}

BOOST_AUTO_TEST_CASE(block_keys_are_those_of_the_decoded_centroids) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
    const test::MemoryRows rows = test::walking_rows(2000, 33, 4);
    SerialExecutor executor;
    MemoryBudget budget;
    const auto codes = encode_blocks(rows, options_of({2000, 33, 8, Codec::kOpq, metric}), nullptr, executor, budget);
    REQUIRE_OK(codes);
    auto scorer = CodeScorer::create(*codes, budget);
    auto scratch = ScorerScratch::create(*codes, budget);
    REQUIRE_OK(scorer);
    REQUIRE_OK(scratch);
    scorer->prepare(rows.row(77), *scratch);
    for (std::size_t block = 0; block < codes->blocks.count(); ++block) {
      std::vector<float> centroid(33);
      codes->centroids.decode(block, 33, centroid.data());
      double key = test::beyond_key(*codes, rows.row(77));
      double size = 0;
      for (std::size_t k = 0; k < 33; ++k) {
        const auto c = static_cast<double>(centroid[k]);
        key += (metric == Metric::kL2 ? c * c : 0.0) - 2 * c * static_cast<double>(rows.row(77)[k]);
        size += c * c;
        double mean = 0;
        const std::size_t count = std::min<std::size_t>(256, 2000 - block * 256);
        for (std::size_t i = 0; i < count; ++i) mean += static_cast<double>(rows.row(block * 256 + i)[k]);
        BOOST_REQUIRE_SMALL(mean / static_cast<double>(count) - c,
                            0.51 * static_cast<double>(codes->centroids.scale[block]) + 1e-6);
      }
      BOOST_REQUIRE_SMALL(static_cast<double>(scorer->block_keys()[block]) - key, 1e-5 * size);
    }
  }
}

void check_equal_rows(Codec kind, float square_error_max) {
  SerialExecutor executor;
  MemoryBudget budget;
  std::vector<float> values(600 * 24);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 24);
  const test::MemoryRows rows(24, std::move(values));
  const auto codes = encode_blocks(rows, options_of({600, 24, 6, kind, Metric::kL2}), nullptr, executor, budget);
  REQUIRE_OK(codes);
  BOOST_TEST(codes->model.mean_square_error <= square_error_max);
  BOOST_TEST(codes->model.error_slope == 0.0f);
  for (const float estimate : test::estimates(*codes, rows.row(3), budget))
    BOOST_TEST(std::abs(estimate + 4324.0f) <= 0.05f);  // −Σ k²: key(x) of the query itself
}

// What the 8 bits of a centroid leave of rows that are its like: PQ has a codeword for it, RaBitQ codes it as any
// other.
BOOST_AUTO_TEST_CASE(equal_rows_are_coded_without_error) {
  check_equal_rows(Codec::kOpq, 1e-6f);
  check_equal_rows(Codec::kRabitq, 0.01f);
}

BOOST_AUTO_TEST_CASE(few_distinct_rows_are_coded_without_error) {
  SerialExecutor executor;
  MemoryBudget budget;
  Random random(5);
  std::vector<float> kinds(7 * 12);
  for (float& value : kinds) value = static_cast<float>(random.unit());
  std::vector<float> values;
  for (std::size_t i = 0; i < 256; ++i) {
    const auto kind = kinds.begin() + static_cast<std::ptrdiff_t>(12 * random.below(7));
    values.insert(values.end(), kind, kind + 12);
  }
  const test::MemoryRows rows(12, std::move(values));
  const auto codes = encode_blocks(rows, options_of({256, 12, 3, Codec::kPq, Metric::kL2}), nullptr, executor, budget);
  REQUIRE_OK(codes);
  BOOST_TEST(codes->model.mean_square_error <= 1e-9f);
}

BOOST_AUTO_TEST_CASE(no_rows_make_empty_codes) {
  SerialExecutor executor;
  MemoryBudget budget;
  const auto codes = encode_blocks(test::MemoryRows(8, {}), {}, nullptr, executor, budget);
  REQUIRE_OK(codes);
  BOOST_TEST(codes->blocks.count() == 0u);
  BOOST_TEST(codes->model.code_bytes == 8u);
  const float query[8] = {1};
  BOOST_TEST(test::estimates(*codes, query, budget).empty());
}

void check_same_bytes(Codec kind) {
  const test::MemoryRows rows = test::walking_rows(9000, 24, 6);
  const CodecOptions options = options_of({9000, 24, 6, kind, Metric::kL2});
  MemoryBudget budget;
  SerialExecutor serial;
  const auto one = encode_blocks(rows, options, nullptr, serial, budget);
  REQUIRE_OK(one);
  test::ThreadsExecutor threads(3);
  const auto three = encode_blocks(rows, options, nullptr, threads, budget);
  REQUIRE_OK(three);
  BOOST_TEST(test::same_codes(*one, *three));
  CodecOptions reseeded = options;
  reseeded.seed = 2;
  const auto other = encode_blocks(rows, reseeded, nullptr, serial, budget);
  REQUIRE_OK(other);
  BOOST_TEST(!test::same_codes(*one, *other));
}

BOOST_AUTO_TEST_CASE(any_thread_count_gives_the_same_bytes) {
  check_same_bytes(Codec::kOpq);
  check_same_bytes(Codec::kRabitq);
}

void check_model_used_again(Codec kind) {
  const test::MemoryRows rows = test::walking_rows(3000, 20, 8);
  const CodecOptions options = options_of({3000, 20, 5, kind, Metric::kL2});
  MemoryBudget budget;
  SerialExecutor executor;
  const auto first = encode_blocks(rows, options, nullptr, executor, budget);
  REQUIRE_OK(first);
  const auto second = encode_blocks(rows, options, &first->model, executor, budget);
  REQUIRE_OK(second);
  BOOST_TEST(test::same_codes(*first, *second));
  const auto copy = copy_model(first->model, budget);
  REQUIRE_OK(copy);
  BOOST_TEST(test::same_model(*copy, first->model));
}

BOOST_AUTO_TEST_CASE(a_model_used_again_gives_the_codes_it_gave) {
  check_model_used_again(Codec::kOpq);
  check_model_used_again(Codec::kRabitq);
}

void check_memory(Codec kind, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& forms) {
  for (const unsigned thread_count : {1u, 3u}) {
    for (const auto& [dim, code_bytes] : forms) {
      const test::MemoryRows rows = test::walking_rows(20000, dim, dim);
      CodecOptions options = options_of({20000, dim, code_bytes, kind, Metric::kL2});
      options.sample_rows = 8192;
      test::ThreadsExecutor executor(thread_count);
      MemoryBudget budget;
      const auto codes = encode_blocks(rows, options, nullptr, executor, budget);
      REQUIRE_OK(codes);
      const std::uint64_t predicted = predict_encode_bytes(20000, dim, options, thread_count);
      BOOST_TEST(budget.peak_bytes() <= predicted);
      BOOST_TEST(2 * budget.peak_bytes() >= predicted);
      BOOST_TEST(budget.used_bytes() <= predict_resident_bytes(20000, dim, options));
      BOOST_TEST(budget.used_bytes() == codes->bytes_per_row_total() + codes->fixed_bytes());
      // All but the dimensions that training leaves out.
      const std::uint64_t fixed = predict_fixed_bytes(20000, dim, options);
      if (codes->model.rotated_dims() == dim) {
        BOOST_TEST(codes->fixed_bytes() == fixed);
      } else {
        BOOST_TEST(codes->fixed_bytes() < fixed);
      }
      BOOST_TEST(codes->model.code_bytes == code_bytes);
      const std::uint64_t before = budget.used_bytes();
      const auto scorer = CodeScorer::create(*codes, budget);
      auto scratch = ScorerScratch::create(*codes, budget);
      REQUIRE_OK(scorer);
      REQUIRE_OK(scratch);
      BOOST_TEST(budget.used_bytes() - before ==
                 CodeScorer::predict_bytes(dim, codes->form()) + ScorerScratch::predict_bytes(dim, code_bytes));
      MemoryBudget small(predicted / 2);
      BOOST_TEST((test::code_of(encode_blocks(rows, options, nullptr, executor, small)) == Code::kMemoryBudget));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_memory_charged_is_the_memory_predicted) {
  check_memory(Codec::kOpq, {{48, 12}, {30, 7}});
  check_memory(Codec::kRabitq, {{48, 12}, {30, 4}});
}

BOOST_AUTO_TEST_CASE(values_whose_squares_overflow_are_refused) {
  test::MemoryRows rows(4, std::vector<float>(4 * 300, 1e30f));
  std::vector<float> values(4 * 300);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = (i * 2654435761u % 7) < 3 ? -1e30f : 1e30f;
  rows = test::MemoryRows(4, std::move(values));
  SerialExecutor executor;
  MemoryBudget budget;
  for (const Codec kind : {Codec::kPq, Codec::kOpq, Codec::kRabitq}) {
    const auto codes = encode_blocks(rows, options_of({300, 4, 2, kind, Metric::kL2}), nullptr, executor, budget);
    BOOST_TEST((test::code_of(codes) == Code::kInvalidInput));
  }
}

}  // namespace
}  // namespace vecstore
