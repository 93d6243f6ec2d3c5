// SPDX-License-Identifier: Apache-2.0
#include "graph/order.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/sums.h"
#include "compress/kernels/kernels.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kSampleRows = 256;  // rows that 2-means looks at in one split
constexpr std::uint32_t kMeansIterations = 6;
constexpr std::size_t kSumParts = 16;  // what a distance is summed in, so that a processor adds several at once
constexpr std::uint32_t kSwapPasses = 10;
constexpr std::size_t kProjectRows = 1024;  // rows projected by one kernel call

constexpr std::size_t kPlaceGrain = 16384;

struct Range {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

struct Gain {
  std::int32_t gain = 0;  // edges that stop being cut when the row changes sides
  std::uint32_t row = 0;
};

float norm2_of(const float* vector, std::uint32_t dim) {
  return sum_in_parts<kSumParts, float>(dim, [&](std::size_t d) { return vector[d] * vector[d]; });
}

// The arrays of all splits of one level; ranges are disjoint, so each split owns its part.
class Bisection {
 public:
  static Result<Bisection> create(const QuantizedRows& rows, const AffinityGraph& graph, const OrderOptions& options,
                                  MemoryBudget& budget, std::span<std::uint32_t> order) {
    Bisection bisection(rows, graph, options, order);
    VECSTORE_ASSIGN(bisection.place_, Buffer<std::uint32_t>::allocate(budget, order.size()));
    VECSTORE_ASSIGN(bisection.side_, Buffer<std::uint8_t>::allocate(budget, order.size()));
    VECSTORE_ASSIGN(bisection.score_, Buffer<float>::allocate(budget, order.size()));
    VECSTORE_ASSIGN(bisection.gains_, Buffer<Gain>::allocate(budget, order.size()));
    bisection.renew_places(0, order.size());
    return bisection;
  }

  // Splits `range` in two along pages and returns where.
  std::uint32_t split(Range range);
  // After a whole level: splits of other ranges read the places of this one.
  void renew_places(std::size_t begin, std::size_t end);
  void finish(Range range) { std::sort(order_.begin() + range.begin, order_.begin() + range.end); }

 private:
  Bisection(const QuantizedRows& rows, const AffinityGraph& graph, const OrderOptions& options,
            std::span<std::uint32_t> order)
      : rows_(&rows), graph_(&graph), options_(options), order_(order) {}

  std::vector<float> direction(Range range) const;
  void divide_by_means(Range range, std::uint32_t middle);
  std::uint32_t turn(Range range, std::uint32_t middle);
  std::uint32_t rotate(Range range, std::uint32_t middle);
  double mean_row(Range range) const;
  bool swap_pass(Range range);
  std::int32_t gain_of(std::uint32_t row, Range range) const;

  const QuantizedRows* rows_;
  const AffinityGraph* graph_;
  OrderOptions options_;
  std::span<std::uint32_t> order_;
  Buffer<std::uint32_t> place_;  // [rows] index in order_, as of the level's start
  Buffer<std::uint8_t> side_;    // [rows] 0 left, 1 right
  Buffer<float> score_;          // by place
  Buffer<Gain> gains_;           // by place
};

// From the mean of one cluster to that of the other (Lloyd on a sample, seeded by the range).
std::vector<float> Bisection::direction(Range range) const {
  const std::uint32_t dim = rows_->dim();
  const std::uint32_t count = range.end - range.begin;
  const std::uint32_t sample = std::min(count, kSampleRows);
  std::vector<float> points(std::size_t{sample} * dim);
  for (std::uint32_t i = 0; i < sample; ++i)
    rows_->decode(order_[range.begin + static_cast<std::uint32_t>(std::uint64_t{i} * count / sample)],
                  &points[std::size_t{i} * dim]);
  // Seeds: a random point, from which all are measured, and the point farthest from it.
  Random random(options_.seed, (std::uint64_t{range.begin} << 32) | range.end);
  const float* first = &points[random.below(sample) * dim];
  std::vector<float> centre[2] = {{first, first + dim}, std::vector<float>(dim)};
  float farthest = -1;
  for (std::uint32_t i = 0; i < sample; ++i) {
    float* point = &points[std::size_t{i} * dim];
    for (std::uint32_t d = 0; d < dim; ++d) point[d] -= centre[0][d];
    const float distance = norm2_of(point, dim);
    if (!(distance > farthest)) continue;
    farthest = distance;
    std::copy_n(point, dim, centre[1].begin());
  }
  std::ranges::fill(centre[0], 0.0f);
  // A point is nearer to the second centre when it lies beyond the middle, seen along the line between the two.
  std::vector<float> sum[2] = {std::vector<float>(dim), std::vector<float>(dim)};
  std::uint32_t members[2] = {0, 0};
  std::array<std::uint8_t, kSampleRows> cluster{};
  std::array<float, kSampleRows> along{};
  std::vector<float> line(dim);
  const auto move = [&](std::uint32_t point, std::uint8_t side, float sign) {
    for (std::uint32_t d = 0; d < dim; ++d) sum[side][d] += sign * points[std::size_t{point} * dim + d];
  };
  for (std::uint32_t iteration = 0; iteration < kMeansIterations; ++iteration) {
    for (std::uint32_t d = 0; d < dim; ++d) line[d] = centre[1][d] - centre[0][d];
    const float middle = (norm2_of(centre[1].data(), dim) - norm2_of(centre[0].data(), dim)) / 2;
    kernels().dot_f32(line.data(), Rows{points.data(), dim * sizeof(float), nullptr, sample}, dim, along.data());
    bool has_changed = false;
    for (std::uint32_t i = 0; i < sample; ++i) {
      const std::uint8_t nearer = along[i] > middle ? 1 : 0;
      if (iteration != 0 && nearer == cluster[i]) continue;
      has_changed = true;
      if (iteration != 0) {
        move(i, cluster[i], -1);
        --members[cluster[i]];
      }
      cluster[i] = nearer;
      move(i, nearer, 1);
      ++members[nearer];
    }
    if (!has_changed || members[0] == 0 || members[1] == 0) break;
    for (int c = 0; c < 2; ++c)
      for (std::uint32_t d = 0; d < dim; ++d) centre[c][d] = sum[c][d] / static_cast<float>(members[c]);
  }
  for (std::uint32_t d = 0; d < dim; ++d) line[d] = centre[1][d] - centre[0][d];
  return line;
}

void Bisection::divide_by_means(Range range, std::uint32_t middle) {
  const std::vector<float> towards = direction(range);
  for (std::size_t at = range.begin; at < range.end; at += kProjectRows)
    rows_->project(towards.data(), &order_[at], std::min<std::size_t>(kProjectRows, range.end - at), &score_[at]);
  // Sort by score through the place of each row; equal scores keep the smaller row left.
  auto* low = order_.data() + range.begin;
  std::nth_element(low, order_.data() + middle, order_.data() + range.end, [this](std::uint32_t a, std::uint32_t b) {
    const float x = score_[place_[a]];
    const float y = score_[place_[b]];
    return x != y ? x < y : a < b;
  });
  for (std::uint32_t i = range.begin; i < range.end; ++i) side_[order_[i]] = i < middle ? 0 : 1;
}

std::int32_t Bisection::gain_of(std::uint32_t row, Range range) const {
  std::int32_t gain = 0;
  for (std::uint64_t e = graph_->offsets[row]; e < graph_->offsets[row + 1]; ++e) {
    const std::uint32_t other = graph_->targets[e];
    const std::uint32_t place = place_[other];
    if (place < range.begin || place >= range.end) continue;
    gain += side_[other] != side_[row] ? 1 : -1;
  }
  return gain;
}

// Swaps rows of the two sides, best first, as long as each swap cuts fewer edges than before. False: nothing was
// gained.
bool Bisection::swap_pass(Range range) {
  Gain* left = gains_.data() + range.begin;
  Gain* left_end = left;
  Gain* right_begin = gains_.data() + range.end;
  for (std::uint32_t i = range.begin; i < range.end; ++i) {
    const Gain gain{gain_of(order_[i], range), order_[i]};
    if (side_[gain.row] == 0) {
      *left_end++ = gain;
    } else {
      *--right_begin = gain;
    }
  }
  Gain* right_end = gains_.data() + range.end;
  if (left == left_end || right_begin == right_end) return false;
  const auto better = [](const Gain& a, const Gain& b) { return a.gain != b.gain ? a.gain > b.gain : a.row < b.row; };
  // What is not swapped even with the best of the other side need not be sorted.
  const std::int32_t best_left = std::min_element(left, left_end, better)->gain;
  const std::int32_t best_right = std::min_element(right_begin, right_end, better)->gain;
  left_end = std::partition(left, left_end, [&](const Gain& one) { return one.gain + best_right > 0; });
  right_end = std::partition(right_begin, right_end, [&](const Gain& one) { return one.gain + best_left > 0; });
  std::sort(left, left_end, better);
  std::sort(right_begin, right_end, better);
  bool swapped = false;
  const auto pairs = std::min(left_end - left, right_end - right_begin);
  for (std::ptrdiff_t i = 0; i < pairs; ++i) {
    const std::uint32_t a = left[i].row;
    const std::uint32_t b = right_begin[i].row;
    if (left[i].gain + right_begin[i].gain <= 0) break;
    // Earlier swaps of this pass may have changed both; an edge between the two stays cut.
    side_[a] = 1;
    const std::int32_t after_a = -gain_of(a, range);
    const std::int32_t gain_b = gain_of(b, range);
    if (after_a + gain_b <= 0) {
      side_[a] = 0;
      continue;
    }
    side_[b] = 0;
    swapped = true;
  }
  return swapped;
}

std::uint32_t Bisection::split(Range range) {
  const std::uint32_t page = options_.rows_per_page;
  const std::uint32_t pages = (range.end - range.begin + page - 1) / page;
  const std::uint32_t middle = range.begin + pages / 2 * page;
  divide_by_means(range, middle);
  for (std::uint32_t pass = 0; pass < kSwapPasses && swap_pass(range); ++pass) {
  }
  std::partition(order_.begin() + range.begin, order_.begin() + range.end,
                 [this](std::uint32_t row) { return side_[row] == 0; });
  return turn(range, middle);
}

// Exchanges the halves when that brings them nearer to what they have edges to in the ranges on either side. Returns
// where they meet.
std::uint32_t Bisection::turn(Range range, std::uint32_t middle) {
  const std::uint32_t width = range.end - range.begin;
  if (width % options_.rows_per_page != 0) return middle;  // the last page of all is not full and stays the last
  if (options_.keeps_direction)
    return mean_row({range.begin, middle}) <= mean_row({middle, range.end}) ? middle : rotate(range, middle);
  std::int64_t gain = 0;  // gain of not turning: edges of the left half to the left, and of the right one to the right
  for (std::uint32_t i = range.begin; i < range.end; ++i) {
    const std::uint32_t row = order_[i];
    std::int64_t leftward = 0;
    for (std::uint64_t e = graph_->offsets[row]; e < graph_->offsets[row + 1]; ++e) {
      const std::uint32_t place = place_[graph_->targets[e]];
      if (place < range.begin && range.begin - place <= width) ++leftward;
      if (place >= range.end && place - range.end < width) --leftward;
    }
    gain += i < middle ? leftward : -leftward;
  }
  return gain >= 0 ? middle : rotate(range, middle);
}

std::uint32_t Bisection::rotate(Range range, std::uint32_t middle) {
  std::rotate(order_.begin() + range.begin, order_.begin() + middle, order_.begin() + range.end);
  return range.begin + (range.end - middle);
}

double Bisection::mean_row(Range range) const {
  std::uint64_t sum = 0;
  for (std::uint32_t i = range.begin; i < range.end; ++i) sum += order_[i];
  return static_cast<double>(sum) / (range.end - range.begin);
}

void Bisection::renew_places(std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) place_[order_[i]] = static_cast<std::uint32_t>(i);
}

}  // namespace

std::uint64_t predict_affinity_bytes(std::uint64_t rows) { return (rows + 1) * 8 + rows * 2 * kNearestKept * 4; }
std::uint64_t predict_order_bytes(std::uint64_t rows) { return rows * (4 + 1 + 4 + sizeof(Gain)); }

Result<AffinityGraph> affinity_graph(std::span<const std::uint32_t> nearest, MemoryBudget& budget) {
  const std::uint64_t rows = nearest.size() / kNearestKept;
  AffinityGraph graph;
  VECSTORE_ASSIGN(graph.offsets, Buffer<std::uint64_t>::allocate(budget, rows + 1));
  const auto list_of = [nearest](std::uint32_t row) {
    const auto list = nearest.subspan(std::size_t{row} * kNearestKept, kNearestKept);
    return list.first(static_cast<std::size_t>(std::find(list.begin(), list.end(), kNoPos) - list.begin()));
  };
  const auto names = [&](std::uint32_t row, std::uint32_t other) {
    const auto list = list_of(row);
    return std::find(list.begin(), list.end(), other) != list.end();
  };
  // An edge that both ends name is stored once on each side.
  const auto for_each_edge = [&](const std::function<void(std::uint32_t, std::uint32_t)>& visit) {
    for (std::uint32_t row = 0; row < rows; ++row) {
      for (const std::uint32_t other : list_of(row)) {
        visit(row, other);
        if (!names(other, row)) visit(other, row);
      }
    }
  };
  for_each_edge([&](std::uint32_t from, std::uint32_t) { ++graph.offsets[from + 1]; });
  std::partial_sum(graph.offsets.begin(), graph.offsets.end(), graph.offsets.begin());
  VECSTORE_ASSIGN(graph.targets, Buffer<std::uint32_t>::allocate(budget, graph.offsets[rows]));
  for_each_edge([&](std::uint32_t from, std::uint32_t to) { graph.targets[graph.offsets[from]++] = to; });
  for (std::uint64_t row = rows; row > 0; --row) graph.offsets[row] = graph.offsets[row - 1];
  if (rows > 0) graph.offsets[0] = 0;
  return graph;
}

// Level by level, down to one page.
Status order_rows(const QuantizedRows& rows, const AffinityGraph& graph, const OrderOptions& options,
                  Executor& executor, MemoryBudget& budget, std::span<std::uint32_t> order,
                  const RowProgress& progress) {
  VECSTORE_CHECK(order.size() <= rows.rows() && options.rows_per_page >= 1);
  std::iota(order.begin(), order.end(), 0u);
  std::vector<Range> ranges;
  if (!order.empty()) ranges.push_back({0, static_cast<std::uint32_t>(order.size())});
  VECSTORE_ASSIGN(auto bisection, Bisection::create(rows, graph, options, budget, order));
  std::uint64_t finished = 0;
  while (!ranges.empty()) {
    std::vector<std::uint32_t> middles(ranges.size());
    executor.parallel_for(ranges.size(), 1, [&](std::size_t begin, std::size_t end, unsigned) {
      for (std::size_t i = begin; i < end; ++i) {
        if (ranges[i].end - ranges[i].begin <= options.rows_per_page) {
          bisection.finish(ranges[i]);
        } else {
          middles[i] = bisection.split(ranges[i]);
        }
      }
    });
    executor.parallel_for(order.size(), kPlaceGrain,
                          [&](std::size_t begin, std::size_t end, unsigned) { bisection.renew_places(begin, end); });
    std::vector<Range> next;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const Range range = ranges[i];
      if (range.end - range.begin <= options.rows_per_page) {
        finished += range.end - range.begin;
        continue;
      }
      next.push_back({range.begin, middles[i]});
      next.push_back({middles[i], range.end});
    }
    if (progress) progress(finished);
    ranges = std::move(next);
  }
  return Status::ok();
}

}  // namespace vecstore
