// SPDX-License-Identifier: Apache-2.0
//
// Brute force. The base is streamed in blocks; within a block, tiles that fit the second-level cache meet a group of
// queries. A kernel gives the key of every pair; pairs whose key does not rule them out become candidates.
//
// For integers under l2 and ip the key is the exact distance. Otherwise it only filters, and what it lets pass is
// ranked by its distance in double. Key and distance differ by rounding. With u = 2^-24, n dimensions and any order of
// adding (N. Higham, Accuracy and Stability of Numerical Algorithms, 2002, 3.1), a float
//   l2     Σ (q - x)² errs by at most (n + 3) u of itself: it is a sum of squares of differences, none negative;
//   ip     Σ q x errs by at most (n + 1) u Σ |q x| <= (n + 1) u |q| |x|, so every row has a bound of its own;
//   cosine the same of rows at length one, whose elements were rounded too: at most (n + 3) u.
// Bounds are taken with n + 8 for n, which covers the terms of second order, the rounding of double and that of the
// bounds themselves. A square or product that underflows errs by 2^-150 more. What lies within the bound of the k-th
// distance passes, so that no neighbour is lost, whatever the offset or the scale of the vectors.
#include "engine/truth/exact_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/limits.h"
#include "base/memory.h"
#include "base/thrown.h"
#include "compress/kernels/kernels.h"
#include "engine/cancellable_executor.h"
#include "engine/thread_pool.h"
#include "engine/truth/prepared_rows.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kSpareMin = 64;  // candidates are put in order again after k more, or these
constexpr std::uint64_t kBlockBytes = 12u << 20;
constexpr std::uint64_t kTileBytes = 128 * 1024;
constexpr std::uint64_t kGroupBytes = 12u << 20;  // queries and candidates held at once
constexpr std::size_t kQueriesPerRange = 32;

struct Candidate {
  double distance;
  std::uint32_t row;
  bool operator<(const Candidate& other) const {
    return distance < other.distance || (distance == other.distance && row < other.row);
  }
};

// Raw results of the kernels per element type. The unsigned results fit int32 up to kDimMax.
static_assert(std::uint64_t{kDimMax} * 255 * 255 < (std::uint64_t{1} << 31));
struct FloatOps {
  using Element = float;
  using Raw = float;
  static void dot(const float* q, const Rows& rows, std::size_t dim, float* out) {
    kernels().dot_f32(q, rows, dim, out);
  }
  static void l2(const float* q, const Rows& rows, std::size_t dim, float* out) { kernels().l2_f32(q, rows, dim, out); }
};
struct U8Ops {
  using Element = std::uint8_t;
  using Raw = std::int32_t;
  static void dot(const std::uint8_t* q, const Rows& rows, std::size_t dim, std::int32_t* out) {
    kernels().dot_u8(q, rows, dim, reinterpret_cast<std::uint32_t*>(out));
  }
  static void l2(const std::uint8_t* q, const Rows& rows, std::size_t dim, std::int32_t* out) {
    kernels().l2_u8(q, rows, dim, reinterpret_cast<std::uint32_t*>(out));
  }
};
struct I8Ops {
  using Element = std::int8_t;
  using Raw = std::int32_t;
  static void dot(const std::int8_t* q, const Rows& rows, std::size_t dim, std::int32_t* out) {
    kernels().dot_i8(q, rows, dim, out);
  }
  static void l2(const std::int8_t* q, const Rows& rows, std::size_t dim, std::int32_t* out) {
    kernels().l2_i8(q, rows, dim, reinterpret_cast<std::uint32_t*>(out));
  }
};

double rounding_of(std::size_t dim) { return static_cast<double>(dim + 8) * 0x1p-24 * (1.0 + 0x1p-10); }
double underflow_of(std::size_t dim) { return static_cast<double>(dim + 8) * 0x1p-149; }

float float_above(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

// 1 - cos of floats as half the squared distance of the rows at length one. 1 less the cosine would lose, of rows at
// an angle of 1e-6, all digits but three.
double cosine_distance(const float* q, double q_norm, const float* x, double x_norm, std::size_t dim) {
  const double q_shrink = 1.0 / q_norm;
  const double x_shrink = 1.0 / x_norm;
  return std::min(2.0, 0.5 * sum_of(q, x, dim, [=](double a, double b) {
                         const double difference = a * q_shrink - b * x_shrink;
                         return difference * difference;
                       }));
}

// 1 - cos of integers by the square of the sine, whose numerator and denominator are exact: |q|² |x|² < 2^56. Rows in
// the same direction have the very same distance.
static_assert(std::uint64_t{kDimMax} * 255 * 255 < (std::uint64_t{1} << 28));
template <typename T>
double cosine_distance(const T* q, const T* x, std::size_t dim) {
  const auto whole = [dim](const T* a, const T* b) { return std::llround(dot_in_double(a, b, dim)); };
  const long long dot = whole(q, x);
  const long long squares = whole(q, q) * whole(x, x);
  const double sine2 = static_cast<double>(squares - dot * dot) / static_cast<double>(squares);
  const double cosine = std::sqrt(1.0 - sine2);
  return dot < 0 ? 1.0 + cosine : sine2 / (1.0 + cosine);
}

// The nearest rows of a group of queries so far.
template <typename Ops, Metric metric>
class GroupSearch {
  using Element = typename Ops::Element;
  using Raw = typename Ops::Raw;
  using Key = std::conditional_t<metric == Metric::kCosine, float, Raw>;
  static constexpr bool kKeyIsExact = std::is_integral_v<Key>;
  static constexpr bool kIntegers = std::is_integral_v<Raw>;

 public:
  GroupSearch(const PreparedRows& queries, std::size_t dim, std::uint32_t k)
      : queries_(queries), dim_(dim), k_(k), capacity_(capacity(k)) {
    tile_rows_ = std::clamp<std::size_t>(kTileBytes / (dim * sizeof(Element)) / 64 * 64, 64, 4096);
  }

  static std::uint32_t capacity(std::uint32_t k) { return k + std::max(k, kSpareMin); }

  Status allocate(MemoryBudget& budget, unsigned workers) {
    const std::size_t queries = queries_.count();
    VECSTORE_ASSIGN(candidates_, Buffer<Candidate>::allocate(budget, queries * capacity_));
    VECSTORE_ASSIGN(sizes_, Buffer<std::uint32_t>::allocate(budget, queries));
    VECSTORE_ASSIGN(thresholds_, Buffer<Key>::allocate(budget, queries));
    VECSTORE_ASSIGN(worsts_, Buffer<double>::allocate(budget, queries));
    VECSTORE_ASSIGN(raw_, Buffer<Raw>::allocate(budget, workers * tile_rows_));
    VECSTORE_ASSIGN(keys_, Buffer<Key>::allocate(budget, workers * tile_rows_));
    std::fill(thresholds_.begin(), thresholds_.end(), accept_all());
    std::fill(worsts_.begin(), worsts_.end(), std::numeric_limits<double>::infinity());
    return {};
  }

  void scan(Executor& executor, const PreparedRows& base) {
    executor.parallel_for(queries_.count(), kQueriesPerRange, [&](std::size_t begin, std::size_t end, unsigned worker) {
      for (std::size_t tile = 0; tile < base.count(); tile += tile_rows_)
        for (std::size_t query = begin; query < end; ++query)
          scan_tile(query, base, tile, std::min<std::size_t>(tile_rows_, base.count() - tile), worker);
    });
  }

  void finish(std::uint64_t first_query, ExactNeighbours& out) {
    for (std::size_t query = 0; query < queries_.count(); ++query) {
      Candidate* items = candidates_.data() + query * capacity_;
      const std::size_t found = std::min<std::size_t>(sizes_[query], k_);
      std::partial_sort(items, items + found, items + sizes_[query]);
      for (std::size_t i = 0; i < found; ++i) {
        out.rows[(first_query + query) * k_ + i] = items[i].row;
        out.distances[(first_query + query) * k_ + i] = static_cast<float>(items[i].distance + 0.0);  // no −0
      }
    }
  }

 private:
  static constexpr Key accept_all() {
    return kKeyIsExact ? std::numeric_limits<Key>::max() : std::numeric_limits<Key>::infinity();
  }

  // Rows come in order, so one at the k-th distance is behind those that have it already. A key that only filters may
  // be at the threshold although the distance is below.
  static bool passes(Key key, Key threshold) {
    if constexpr (kKeyIsExact) return key < threshold;
    return key <= threshold;
  }

  void keys_of_tile(std::size_t query, const PreparedRows& base, std::size_t first, std::size_t count, Raw* raw,
                    Key* keys) const {
    const Element* vector = queries_.kernel_row<Element>(query);
    const Rows rows{base.kernel_row<Element>(first), dim_ * sizeof(Element), nullptr, count};
    if constexpr (metric == Metric::kL2) {
      Ops::l2(vector, rows, dim_, keys);
      return;
    }
    Ops::dot(vector, rows, dim_, raw);
    if constexpr (metric == Metric::kCosine && kIntegers) {
      for (std::size_t i = 0; i < count; ++i)
        keys[i] = static_cast<float>(-static_cast<double>(raw[i]) / base.norm(first + i));
    } else if constexpr (metric == Metric::kInnerProduct && !kIntegers) {
      // The least that the distance may be: each row has its own bound, or a single long one would widen that of all.
      const float rounding = float_above(rounding_of(dim_) * queries_.norm(query));
      const float* norms = base.norms_above() + first;
      for (std::size_t i = 0; i < count; ++i) keys[i] = -raw[i] - rounding * norms[i];
    } else {
      for (std::size_t i = 0; i < count; ++i) keys[i] = static_cast<Key>(-raw[i]);
    }
  }

  // No row whose distance is below `distance` has a key above this one.
  Key threshold_of(std::size_t query, double distance) const {
    if constexpr (kKeyIsExact) {
      return static_cast<Key>(distance);
    } else if constexpr (metric == Metric::kL2) {
      return float_above(distance * (1.0 + rounding_of(dim_)) + underflow_of(dim_));
    } else if constexpr (metric == Metric::kInnerProduct) {
      return float_above(distance + underflow_of(dim_));
    } else if constexpr (kIntegers) {
      constexpr double kRounding = 0x1p-22;  // an exact product, divided and rounded once
      return float_above((distance - 1.0 + kRounding) * queries_.norm(query));
    } else {
      return float_above(distance - 1.0 + rounding_of(dim_));
    }
  }

  void scan_tile(std::size_t query, const PreparedRows& base, std::size_t first, std::size_t count, unsigned worker) {
    Key* keys = keys_.data() + worker * tile_rows_;
    keys_of_tile(query, base, first, count, raw_.data() + worker * tile_rows_, keys);
    // Few pairs pass once the thresholds have settled, so runs of 16 are ruled out by one vectorised test.
    constexpr std::size_t kRun = 16;
    for (std::size_t i = 0; i < count; i += kRun) {
      const std::size_t end = std::min(i + kRun, count);
      const Key threshold = thresholds_[query];
      int passing = 0;
      for (std::size_t j = i; j < end; ++j) passing |= static_cast<int>(passes(keys[j], threshold));
      for (std::size_t j = i; passing != 0 && j < end; ++j)
        if (passes(keys[j], thresholds_[query])) push(query, base, first + j, keys[j]);
    }
  }

  double exact_distance(std::size_t query, const PreparedRows& base, std::size_t row, Key key) const {
    if constexpr (kKeyIsExact) return static_cast<double>(key);
    const Element* q = queries_.row<Element>(query);
    const Element* x = base.row<Element>(row);
    if constexpr (metric == Metric::kL2)
      return sum_of(q, x, dim_, [](double a, double b) { return (a - b) * (a - b); });
    if constexpr (metric == Metric::kInnerProduct) return -dot_in_double(q, x, dim_);
    if constexpr (kIntegers) {
      return cosine_distance(q, x, dim_);
    } else {
      return cosine_distance(q, queries_.norm(query), x, base.norm(row), dim_);
    }
  }

  void push(std::size_t query, const PreparedRows& base, std::size_t row, Key key) {
    const double distance = exact_distance(query, base, row, key);
    if (distance >= worsts_[query]) return;
    Candidate* items = candidates_.data() + query * capacity_;
    std::uint32_t& size = sizes_[query];
    items[size++] = {distance, static_cast<std::uint32_t>(base.first() + row)};
    if (size < capacity_) return;
    std::nth_element(items, items + k_ - 1, items + size);
    size = k_;
    worsts_[query] = items[k_ - 1].distance;
    thresholds_[query] = threshold_of(query, worsts_[query]);
  }

  const PreparedRows& queries_;
  const std::size_t dim_;
  const std::uint32_t k_, capacity_;
  std::size_t tile_rows_ = 64;
  Buffer<Candidate> candidates_;  // [queries × capacity]
  Buffer<std::uint32_t> sizes_;
  Buffer<Key> thresholds_;  // of keys,
  Buffer<double> worsts_;   // from these: the k-th distances, of k candidates and more
  Buffer<Raw> raw_;         // [workers × tile_rows]
  Buffer<Key> keys_;
};

template <typename Ops, Metric metric>
Status search_all(Executor& executor, const VectorSource& base, const VectorSource& queries, ExactNeighbours& out) {
  using Search = GroupSearch<Ops, metric>;
  const std::uint64_t query_bytes =
      PreparedRows::row_bytes(queries, metric) + std::uint64_t{Search::capacity(out.k)} * sizeof(Candidate);
  const std::uint64_t group_rows =
      std::clamp<std::uint64_t>(kGroupBytes / query_bytes, 1, std::max<std::uint64_t>(1, out.queries));
  const std::uint64_t block_rows = std::max<std::uint64_t>(1, kBlockBytes / PreparedRows::row_bytes(base, metric));
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto block, PreparedRows::allocate(budget, base, metric, std::min(block_rows, base.rows())));
  VECSTORE_ASSIGN(auto group, PreparedRows::allocate(budget, queries, metric, group_rows));
  for (std::uint64_t first_query = 0; first_query < out.queries; first_query += group_rows) {
    VECSTORE_TRY(group.load(executor, first_query, std::min<std::uint64_t>(group_rows, out.queries - first_query)));
    Search search(group, base.dim(), out.k);
    VECSTORE_TRY(search.allocate(budget, executor.thread_count()));
    for (std::uint64_t first = 0; first < base.rows(); first += block_rows) {
      VECSTORE_TRY(block.load(executor, first, std::min(block_rows, base.rows() - first)));
      search.scan(executor, block);
    }
    search.finish(first_query, out);
  }
  return {};
}

template <typename Ops>
Status search_by(Metric metric, Executor& executor, const VectorSource& base, const VectorSource& queries,
                 ExactNeighbours& out) {
  switch (metric) {
    case Metric::kL2:
      return search_all<Ops, Metric::kL2>(executor, base, queries, out);
    case Metric::kInnerProduct:
      return search_all<Ops, Metric::kInnerProduct>(executor, base, queries, out);
    case Metric::kCosine:
      return search_all<Ops, Metric::kCosine>(executor, base, queries, out);
  }
  return Status(Code::kInvalidArgument, "unknown metric");
}

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16; }

Status check_arguments(const VectorSource& base, const VectorSource& queries, std::uint32_t k) {
  if (k == 0 || k > kResultsMax)
    return Status(Code::kInvalidArgument, "k must be from 1 to 1000").about("k = " + std::to_string(k));
  if (base.dim() == 0 || base.dim() > kDimMax)
    return Status(Code::kInvalidInput, "the dimension must be from 1 to 4096").about(base.name());
  if (base.dim() != queries.dim())
    return Status(Code::kInvalidInput, "the queries have another dimension than the base; they must be of one kind")
        .about(queries.name() + " (" + std::to_string(queries.dim()) + ", base " + std::to_string(base.dim()) + ")");
  if (base.dtype() != queries.dtype() && !(is_float(base.dtype()) && is_float(queries.dtype())))
    return Status(Code::kInvalidArgument, "the queries have another element type than the base; convert one of them")
        .about(queries.name() + " (" + std::string(name_of(queries.dtype())) + ", base " +
               std::string(name_of(base.dtype())) + ")");
  if (base.rows() > kRowsMax)
    return Status(Code::kInvalidInput, "more rows than 32-bit row numbers can name; cut the file with convert")
        .about(base.name());
  if (queries.rows() > kQueriesMax)
    return Status(Code::kInvalidInput, "more than 16777216 queries; cut the file with convert").about(queries.name());
  return {};
}

}  // namespace

Result<ExactNeighbours> exact_search(const VectorSource& base, const VectorSource& queries, std::uint32_t k,
                                     Metric metric, std::uint32_t threads, const CancelToken* cancel) try {
  CancellableExecutor executor(make_executor(threads), cancel);
  return exact_search(base, queries, k, metric, executor);
} catch (...) {
  return status_of_exception();
}

Result<ExactNeighbours> exact_search(const VectorSource& base, const VectorSource& queries, std::uint32_t k,
                                     Metric metric, Executor& executor) try {
  VECSTORE_TRY(check_arguments(base, queries, k));
  ExactNeighbours out;
  out.queries = static_cast<std::uint32_t>(queries.rows());
  out.k = k;
  out.rows.assign(std::size_t{out.queries} * k, 0xFFFFFFFFu);
  out.distances.assign(std::size_t{out.queries} * k, std::numeric_limits<float>::infinity());
  switch (base.dtype()) {
    case DType::kF32:
    case DType::kF16:
      VECSTORE_TRY(search_by<FloatOps>(metric, executor, base, queries, out));
      break;
    case DType::kU8:
      VECSTORE_TRY(search_by<U8Ops>(metric, executor, base, queries, out));
      break;
    case DType::kI8:
      VECSTORE_TRY(search_by<I8Ops>(metric, executor, base, queries, out));
      break;
  }
  return out;
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
