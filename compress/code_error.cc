// SPDX-License-Identifier: Apache-2.0
#include "compress/code_error.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/limits.h"
#include "base/sums.h"
#include "compress/code_scorer.h"
#include "compress/far_rows.h"

namespace vecstore {
namespace {

constexpr std::size_t kQueries = 256;
constexpr std::size_t kBlocksScanned = 64;
constexpr std::size_t kCandidates = 256;  // best estimates whose true distance is computed
static_assert(kCandidates <= FloatRows::kExpectedMost);
constexpr std::size_t kNeighbours = 50;  // the truly nearest of these
constexpr double kPairsMin = 1000;       // fewer do not tell a bias from chance
constexpr double kSpreadMin = 1e-6;      // share of squares; less is rounding

struct Candidate {
  float estimate;
  Pos position;
};

struct Pair {
  double distance2;
  double error;   // estimate − key
  double scale;   // error_scale() of the row
  double coding;  // |r − r̂|²
};

// Over pairs, e the error of the estimate and c that of the coding.
struct Sums {
  double count = 0;
  double e = 0;
  double c = 0;
  double ee = 0;
  double ec = 0;
  double cc = 0;
  double scale2 = 0;
  double table2 = 0;  // squares of the error that the steps of the tables cause

  Sums& operator+=(const Sums& other) {
    count += other.count;
    e += other.e;
    c += other.c;
    ee += other.ee;
    ec += other.ec;
    cc += other.cc;
    scale2 += other.scale2;
    table2 += other.table2;
    return *this;
  }

  // Where pairs are few, none.
  void fit(CodeError& error) const {
    if (count < kPairsMin) return;
    const double spread = cc - c * c / count;
    const double slope = spread > kSpreadMin * cc ? std::clamp((ec - e * c / count) / spread, 0.0, 1.0) : 0.0;
    error.bias_offset = static_cast<float>((e - slope * c) / count);
    error.bias_per_error2 = static_cast<float>(slope);
  }

  // Σ (e − bias)²
  double residual2(const CodeError& error) const {
    const auto a = static_cast<double>(error.bias_offset);
    const auto b = static_cast<double>(error.bias_per_error2);
    return std::max(0.0, ee - 2 * a * e - 2 * b * ec + a * a * count + 2 * a * b * c + b * b * cc);
  }
};

std::size_t scanned_rows_max(std::uint64_t rows) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(rows, kBlocksScanned * kBlockRows));
}

double dot_in_double(const float* a, const float* b, std::size_t dim) {
  return sum_in_parts<1>(dim, [&](std::size_t i) { return static_cast<double>(a[i]) * static_cast<double>(b[i]); });
}

// One worker's view: a scorer and scratch.
struct Worker {
  CodeScorer scorer;
  ScorerScratch scratch;
  Buffer<float> query;           // [dim]
  Buffer<float> row;             // [dim]
  Buffer<std::uint32_t> blocks;  // [blocks]
  Buffer<float> estimates;       // [kBlockRows]
  Buffer<Candidate> candidates;  // [scanned_rows_max]

  static Result<Worker> create(const BlockCodes& codes, MemoryBudget& budget) {
    VECSTORE_ASSIGN(auto scorer, CodeScorer::create(codes, budget));
    VECSTORE_ASSIGN(auto scratch, ScorerScratch::create(codes, budget));
    Worker worker{std::move(scorer), std::move(scratch), {}, {}, {}, {}, {}};
    VECSTORE_ASSIGN(worker.query, Buffer<float>::allocate(budget, codes.model.dim));
    VECSTORE_ASSIGN(worker.row, Buffer<float>::allocate(budget, codes.model.dim));
    VECSTORE_ASSIGN(worker.blocks, Buffer<std::uint32_t>::allocate(budget, codes.blocks.count()));
    VECSTORE_ASSIGN(worker.estimates, Buffer<float>::allocate(budget, kBlockRows));
    VECSTORE_ASSIGN(worker.candidates, Buffer<Candidate>::allocate(budget, scanned_rows_max(codes.rows)));
    return worker;
  }

  // The kCandidates best estimates in the nearest blocks, `self` left out.
  std::span<const Candidate> rank(const BlockCodes& codes, Pos self) {
    const auto keys = scorer.block_keys();
    std::iota(blocks.begin(), blocks.end(), 0u);
    const std::size_t scanned = std::min(kBlocksScanned, blocks.size());
    std::partial_sort(blocks.begin(), blocks.begin() + scanned, blocks.end(),
                      [&](std::uint32_t a, std::uint32_t b) { return keys[a] != keys[b] ? keys[a] < keys[b] : a < b; });
    std::size_t found = 0;
    for (std::size_t b = 0; b < scanned; ++b) {
      const Pos first = codes.blocks.begin(blocks[b]);
      const std::size_t count = codes.blocks.rows(blocks[b]);
      scorer.score_run(first, count, estimates.data());
      for (std::size_t i = 0; i < count; ++i) {
        const Pos position = first + static_cast<Pos>(i);
        if (position != self) candidates[found++] = {estimates[i], position};
      }
    }
    const std::size_t kept = std::min(kCandidates, found);
    std::partial_sort(candidates.begin(), candidates.begin() + kept, candidates.begin() + found,
                      [](const Candidate& a, const Candidate& b) {
                        return a.estimate != b.estimate ? a.estimate < b.estimate : a.position < b.position;
                      });
    return candidates.span().first(kept);
  }

  // near2: of the pairs, the least distance that is one. Where estimates say nothing, most pairs are of rows far apart.
  Sums measure(const BlockCodes& codes, const FloatRows& rows, std::span<const float> errors2, Pos self,
               double& near2) {
    const std::size_t dim = codes.model.dim;
    const bool inner_product = codes.model.metric == Metric::kInnerProduct;
    rows.read(self, query.data());
    scorer.prepare(query.data(), scratch);
    const double norm2 = dot_in_double(query.data(), query.data(), dim);
    const double table_error = scorer.table_error();
    const double shift = codes.model.fine_tables ? 0.0 : norm2;  // keys lack this of squared distances
    std::vector<Pair> pairs;
    const std::span<const Candidate> ranked = rank(codes, self);
    std::array<Pos, kCandidates> positions;
    std::ranges::transform(ranked, positions.begin(), &Candidate::position);
    rows.expect(std::span(positions).first(ranked.size()));
    for (const Candidate& candidate : ranked) {
      rows.read(candidate.position, row.data());
      const double distance = inner_product ? -dot_in_double(query.data(), row.data(), dim)
                                            : squared_distance(query.data(), row.data(), dim);
      const double key = inner_product ? 2 * distance : distance - shift;
      pairs.push_back({distance, static_cast<double>(candidate.estimate) - key,
                       static_cast<double>(codes.error_scale(candidate.position)),
                       static_cast<double>(errors2[candidate.position])});
    }
    const std::size_t kept = std::min(kNeighbours, pairs.size());
    std::partial_sort(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(kept), pairs.end(),
                      [](const Pair& a, const Pair& b) {
                        if (a.distance2 != b.distance2) return a.distance2 < b.distance2;
                        return a.error != b.error ? a.error < b.error : a.scale < b.scale;
                      });
    const auto apart = std::find_if(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(kept),
                                    [](const Pair& pair) { return pair.distance2 != 0; });
    if (apart != pairs.end()) near2 = std::abs(apart->distance2);
    Sums sums;
    for (std::size_t i = 0; i < kept; ++i) {
      const Pair& pair = pairs[i];
      sums += {1,
               pair.error,
               pair.coding,
               pair.error * pair.error,
               pair.error * pair.coding,
               pair.coding * pair.coding,
               pair.scale * pair.scale * (inner_product ? norm2 : pair.distance2),
               pair.scale * pair.scale * table_error * table_error};
    }
    return sums;
  }
};

}  // namespace

Result<CodeError> measure_error(const BlockCodes& codes, const FloatRows& rows, std::span<const float> errors2,
                                Executor& executor, MemoryBudget& budget) {
  const auto queries = static_cast<std::size_t>(std::min<std::uint64_t>(kQueries, codes.rows));
  std::vector<Worker> workers;
  for (unsigned i = 0; i < executor.thread_count(); ++i) {
    VECSTORE_ASSIGN(auto worker, Worker::create(codes, budget));
    workers.push_back(std::move(worker));
  }
  const auto position_of = [&](std::size_t query) { return static_cast<Pos>(query * codes.rows / queries); };
  // Beside one far row the errors of all others would be nothing.
  std::vector<float> coding(queries);
  for (std::size_t query = 0; query < queries; ++query) coding[query] = errors2[position_of(query)];
  std::vector<float> scratch(queries);
  const float limit = rare_limit<float>(coding, scratch);
  std::vector<Sums> parts(queries);
  std::vector<double> near2(queries);
  executor.parallel_for(queries, 1, [&](std::size_t query, std::size_t, unsigned worker) {
    if (coding[query] > limit) return;
    parts[query] = workers[worker].measure(codes, rows, errors2, position_of(query), near2[query]);
  });
  Sums sums;
  for (const Sums& part : parts) sums += part;
  CodeError error;
  const bool biased = codes.factors.empty() && codes.model.metric != Metric::kInnerProduct;
  if (biased) sums.fit(error);
  std::erase(near2, 0.0);
  std::sort(near2.begin(), near2.end());
  if (!near2.empty()) error.near2 = near2[near2.size() / 2];
  if (sums.count > 0) error.table_error = std::sqrt(sums.table2 / sums.count);
  if (sums.residual2(error) > 0) error.table_share = sums.table2 / sums.residual2(error);
  if (sums.scale2 > 0) error.slope = static_cast<float>(std::sqrt(sums.residual2(error) / sums.scale2));
  return error;
}

std::uint64_t measure_error_bytes(std::uint64_t rows, std::uint32_t dim, std::uint32_t code_bytes,
                                  std::uint64_t threads) {
  constexpr bool kFine = true;  // at most
  const std::uint64_t blocks = blocks_max(rows, dim);
  const std::uint64_t floats = 2ull * dim + blocks + kBlockRows;
  return threads *
         (CodeScorer::predict_bytes(dim, {code_bytes, blocks, kFine}) + ScorerScratch::predict_bytes(dim, code_bytes) +
          sizeof(float) * floats + sizeof(Candidate) * scanned_rows_max(rows));
}

}  // namespace vecstore
