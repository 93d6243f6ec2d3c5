// SPDX-License-Identifier: Apache-2.0
//
// Block codes on real vectors, ordered so that a block holds similar rows, as an index orders them: floors that a fault
// in training or scoring breaks.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <tuple>

#include "compress/block_codes.h"
#include "tests/compress/code_cases.h"

namespace vecstore {
namespace {

constexpr std::size_t kQueries = 100;

struct Set {
  std::uint32_t dim = 0;
  std::vector<float> rows;
  std::vector<float> queries;
};

std::vector<float> read_u8bin(const std::string& path, std::size_t rows, std::uint32_t& dim) {
  std::ifstream in(path, std::ios::binary);
  std::uint32_t header[2] = {};
  in.read(reinterpret_cast<char*>(header), sizeof header);
  dim = header[1];
  std::vector<unsigned char> bytes(rows * dim);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  BOOST_REQUIRE(in.good());
  return {bytes.begin(), bytes.end()};
}

// Orders positions[0 .. count) by halving: projected onto the line through the means of the two halves, three times
// over.
void order_by_halves(const std::vector<float>& rows, std::size_t dim, std::size_t* positions, std::size_t count) {
  if (count <= kBlockRows) return;
  const std::size_t half = std::max<std::size_t>(count / 2 / kBlockRows, 1) * kBlockRows;
  std::vector<std::pair<float, std::size_t>> projected(count);
  for (int round = 0; round < 3; ++round) {
    std::vector<float> line(dim);
    for (std::size_t i = 0; i < count; ++i) {
      const float weight = i < half ? -1.0f / static_cast<float>(half) : 1.0f / static_cast<float>(count - half);
      for (std::size_t k = 0; k < dim; ++k) line[k] += weight * rows[positions[i] * dim + k];
    }
    for (std::size_t i = 0; i < count; ++i)
      projected[i] = {std::inner_product(line.begin(), line.end(), &rows[positions[i] * dim], 0.0f), positions[i]};
    std::nth_element(projected.begin(), projected.begin() + static_cast<std::ptrdiff_t>(half), projected.end());
    for (std::size_t i = 0; i < count; ++i) positions[i] = projected[i].second;
  }
  order_by_halves(rows, dim, positions, half);
  order_by_halves(rows, dim, positions + half, count - half);
}

void order_by_halves(std::vector<float>& rows, std::size_t dim) {
  std::vector<std::size_t> positions(rows.size() / dim);
  std::iota(positions.begin(), positions.end(), std::size_t{0});
  order_by_halves(rows, dim, positions.data(), positions.size());
  std::vector<float> ordered(rows.size());
  for (std::size_t i = 0; i < positions.size(); ++i) std::copy_n(&rows[positions[i] * dim], dim, &ordered[i * dim]);
  rows = std::move(ordered);
}

// False, and said so, when this machine does not have the set.
bool read_set(const std::string& name, std::size_t rows, Set& set) {
  const std::string base = test::large_data(name + ".base.u8bin");
  const std::string queries = test::large_data(name + ".query.u8bin");
  if (base.empty() || queries.empty()) {
    BOOST_TEST_MESSAGE("SKIPPED: " << name << " is not on this machine (set VECSTORE_DATA)");
    return false;
  }
  set.rows = read_u8bin(base, rows, set.dim);
  set.queries = read_u8bin(queries, kQueries, set.dim);
  order_by_halves(set.rows, set.dim);
  return true;
}

BlockCodes encoded(const Set& set, Codec kind, std::uint32_t code_bytes, MemoryBudget& budget) {
  SerialExecutor executor;
  CodecOptions options;
  options.kind = kind;
  options.code_bytes = code_bytes;
  auto codes = encode_blocks(test::MemoryRows(set.dim, set.rows), options, nullptr, executor, budget);
  REQUIRE_OK(codes);
  return std::move(codes).value();
}

std::vector<std::size_t> best(std::vector<double> keys, std::size_t count) {
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  order.resize(count);
  return order;
}

struct Quality {
  double recall = 0;     // share of the true 10 among the best 20 by code alone
  double slope = 0;      // root of Σ error² / Σ (error scale · |q − x|)² over the true 10
  double bias = 0;       // Σ error / Σ |q − x|² over all rows
  double near_bias = 0;  // the same over the true 10
  double within = 0;  // share of the rows whose error is at most 3 of the standard errors that the stored slope gives
};

Quality quality(const Set& set, const BlockCodes& codes, MemoryBudget& budget) {
  Quality quality;
  const std::size_t rows = set.rows.size() / set.dim;
  double error2 = 0;
  double near2 = 0;
  double error = 0;
  double all2 = 0;
  double near_error = 0;
  double near_all2 = 0;
  for (std::size_t q = 0; q < kQueries; ++q) {
    const float* query = &set.queries[q * set.dim];
    const std::vector<float> estimated = test::estimates(codes, query, budget);
    std::vector<double> truth(rows);
    double norm2 = 0;
    for (std::size_t k = 0; k < set.dim; ++k) norm2 += static_cast<double>(query[k] * query[k]);
    for (std::size_t i = 0; i < rows; ++i) {
      float distance2 = 0;  // exact: sums of squares of bytes
      for (std::size_t k = 0; k < set.dim; ++k) {
        const float difference = query[k] - set.rows[i * set.dim + k];
        distance2 += difference * difference;
      }
      truth[i] = static_cast<double>(distance2);
      const double of_row = static_cast<double>(estimated[i]) + norm2 - truth[i];
      error += of_row;
      all2 += truth[i];
      const auto scale = static_cast<double>(codes.error_scale(static_cast<Pos>(i)));
      const double bound = 3 * static_cast<double>(codes.model.error_slope) * scale * std::sqrt(truth[i]);
      quality.within += std::abs(of_row) <= bound ? 1.0 / static_cast<double>(kQueries * rows) : 0.0;
    }
    const std::vector<std::size_t> near = best(truth, 10);
    const std::vector<std::size_t> found = best({estimated.begin(), estimated.end()}, 20);
    for (const std::size_t i : near) {
      quality.recall += std::find(found.begin(), found.end(), i) != found.end() ? 0.1 / kQueries : 0.0;
      const double of_row = static_cast<double>(estimated[i]) + norm2 - truth[i];
      error2 += of_row * of_row;
      near_error += of_row;
      near_all2 += truth[i];
      const auto scale = static_cast<double>(codes.error_scale(static_cast<Pos>(i)));
      near2 += scale * scale * truth[i];
    }
  }
  quality.slope = std::sqrt(error2 / near2);
  quality.bias = error / all2;
  quality.near_bias = near_error / near_all2;
  return quality;
}

BOOST_AUTO_TEST_CASE(true_neighbours_of_sift_rank_high_by_code_alone) {
  Set set;
  if (!read_set("csift", 20000, set)) return;
  MemoryBudget budget;
  const BlockCodes codes = encoded(set, Codec::kOpq, 32, budget);
  const Quality measured = quality(set, codes, budget);
  BOOST_TEST_MESSAGE("csift 20k, 32 bytes: recall of 10 among 20 "
                     << measured.recall << ", bias near " << measured.near_bias << " and over all " << measured.bias
                     << ", slope " << measured.slope << " against stored " << codes.model.error_slope);
  BOOST_TEST(measured.recall >= 0.985);
  BOOST_TEST(std::abs(measured.near_bias) < 0.02, "where a search compares estimates with distances, they agree");
  BOOST_TEST(static_cast<double>(codes.model.error_slope) > measured.slope / 1.25);
  BOOST_TEST(static_cast<double>(codes.model.error_slope) < measured.slope * 1.25);
}

// Without training, and with a bound that holds: for 99.7 % of normal errors it would be three standard errors.
BOOST_AUTO_TEST_CASE(rabitq_has_no_bias_and_keeps_its_bound_on_real_data) {
  for (const auto& [name, rows, code_bytes, recall] :
       {std::tuple{"csift", std::size_t{20000}, 16u, 0.75}, std::tuple{"csift", std::size_t{20000}, 32u, 0.97},
        std::tuple{"csift", std::size_t{20000}, 64u, 0.995},
        std::tuple{"fashion-mnist", std::size_t{6000}, 98u, 0.9}}) {
    Set set;
    if (!read_set(name, rows, set)) continue;
    MemoryBudget budget;
    const BlockCodes codes = encoded(set, Codec::kRabitq, code_bytes, budget);
    const Quality measured = quality(set, codes, budget);
    BOOST_TEST_MESSAGE(name << ", " << code_bytes << " bytes: recall of 10 among 20 " << measured.recall << ", bias "
                            << measured.bias << ", slope " << measured.slope << " against stored "
                            << codes.model.error_slope << ", within 3 standard errors " << measured.within);
    BOOST_TEST(measured.recall >= recall);
    BOOST_TEST(std::abs(measured.bias) < 0.003);
    BOOST_TEST(measured.within >= 0.99);
    BOOST_TEST(static_cast<double>(codes.model.error_slope) > measured.slope / 1.25);
    BOOST_TEST(static_cast<double>(codes.model.error_slope) < measured.slope * 1.25);
  }
}

BOOST_AUTO_TEST_CASE(the_rotation_lowers_the_error_on_real_data) {
  Set set;
  if (read_set("csift", 20000, set)) {
    MemoryBudget budget;
    const float rotated = encoded(set, Codec::kOpq, 32, budget).model.error_slope;
    const float plain = encoded(set, Codec::kPq, 32, budget).model.error_slope;
    BOOST_TEST_MESSAGE("csift 20k: slope of the error " << rotated << " rotated, " << plain << " plain");
    BOOST_TEST(rotated < plain);
  }
  if (read_set("fashion-mnist", 6000, set)) {
    MemoryBudget budget;
    const float rotated = encoded(set, Codec::kOpq, 49, budget).model.error_slope;
    const float plain = encoded(set, Codec::kPq, 49, budget).model.error_slope;
    BOOST_TEST_MESSAGE("fashion-mnist 6k: slope of the error " << rotated << " rotated, " << plain << " plain");
    BOOST_TEST(rotated < 0.85f * plain);
  }
}

}  // namespace
}  // namespace vecstore
