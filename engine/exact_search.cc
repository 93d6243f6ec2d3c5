// SPDX-License-Identifier: Apache-2.0
//
// Brute force. The base is streamed in blocks; within a block, tiles that fit the second-level cache meet a group of
// queries. A kernel gives the key of every pair; pairs whose key beats the query's threshold become candidates.
// For integers the key is the exact distance. For floats the key only filters: a candidate's distance is computed in
// double, and kFilterSlack more candidates than asked for are kept so that the rounding of keys cannot lose one.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include "compress/kernels.h"
#include "engine/base/limits.h"
#include "engine/base/memory.h"
#include "engine/base/thrown.h"
#include "engine/thread_pool.h"
#include "engine/validate.h"
#include "engine/vecstore.hpp"

namespace vecstore {
namespace {

constexpr std::uint32_t kFilterSlack = 64;
constexpr std::uint64_t kBlockBytes = 8u << 20;
constexpr std::uint64_t kTileBytes = 128 * 1024;
constexpr std::uint64_t kGroupBytes = 256u << 20;  // queries and candidates held at once
constexpr std::size_t kQueriesPerRange = 32;
constexpr std::size_t kRowsPerRange = 2048;

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

// Independent partial sums, so that the compiler may vectorise without changing the result from machine to machine.
template <typename T, typename Term>
double sum_of(const T* a, const T* b, std::size_t dim, Term term) {
  std::array<double, 8> part{};
  std::size_t i = 0;
  for (; i + part.size() <= dim; i += part.size())
    for (std::size_t j = 0; j < part.size(); ++j)
      part[j] += term(static_cast<double>(a[i + j]), static_cast<double>(b[i + j]));
  for (; i < dim; ++i) part[i % part.size()] += term(static_cast<double>(a[i]), static_cast<double>(b[i]));
  return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}
template <typename T>
double dot_in_double(const T* a, const T* b, std::size_t dim) {
  return sum_of(a, b, dim, [](double x, double y) { return x * y; });
}

// Rows of a source as the kernels take them: validated, f16 widened to f32, norms beside them under cosine.
class PreparedRows {
 public:
  static Result<PreparedRows> allocate(MemoryBudget& budget, const VectorSource& source, Metric metric,
                                       std::uint64_t rows) {
    PreparedRows prepared(source, metric);
    const std::size_t values = static_cast<std::size_t>(rows) * source.dim();
    const std::size_t source_bytes = element_bytes(source.dtype());
    const bool widens = source.dtype() == DType::kF16;
    VECSTORE_ASSIGN(prepared.rows_,
                    Buffer<std::byte>::allocate(budget, values * (widens ? sizeof(float) : source_bytes)));
    VECSTORE_ASSIGN(prepared.halves_, Buffer<std::byte>::allocate(budget, widens ? values * source_bytes : 0));
    VECSTORE_ASSIGN(prepared.norms_, Buffer<double>::allocate(budget, metric == Metric::kCosine ? rows : 0));
    return prepared;
  }

  // Errors: as of VectorSource::read, kInvalidInput of check_vectors.
  Status load(Executor& executor, std::uint64_t first, std::uint64_t count) {
    std::byte* raw = halves_.empty() ? rows_.data() : halves_.data();
    VECSTORE_TRY(source_->read(first, count, raw));
    first_ = first;
    count_ = count;
    std::vector<Status> faults((count + kRowsPerRange - 1) / kRowsPerRange);
    executor.parallel_for(count, kRowsPerRange, [&](std::size_t begin, std::size_t end, unsigned) {
      faults[begin / kRowsPerRange] = prepare(raw, begin, end);
    });
    for (const Status& fault : faults) VECSTORE_TRY(fault);
    return {};
  }

  template <typename T>
  const T* row(std::uint64_t i) const {
    return reinterpret_cast<const T*>(rows_.data()) + i * source_->dim();
  }
  double norm(std::uint64_t i) const { return norms_[i]; }  // cosine only
  std::uint64_t first() const { return first_; }
  std::uint64_t count() const { return count_; }

 private:
  PreparedRows(const VectorSource& source, Metric metric) : source_(&source), metric_(metric) {}

  Status prepare(const std::byte* raw, std::size_t begin, std::size_t end) {
    const std::size_t dim = source_->dim();
    const DType dtype = source_->dtype();
    const VectorView view{raw + begin * dim * element_bytes(dtype), dtype, end - begin, source_->dim()};
    VECSTORE_TRY(check_vectors(view, metric_, source_->name(), first_ + begin));
    if (dtype == DType::kF16)
      kernels().widen_f16(reinterpret_cast<const std::uint16_t*>(raw) + begin * dim,
                          reinterpret_cast<float*>(rows_.data()) + begin * dim, (end - begin) * dim);
    for (std::size_t i = begin; metric_ == Metric::kCosine && i < end; ++i) norms_[i] = norm_of(i);
    return {};
  }

  double norm_of(std::size_t i) const {
    const std::size_t dim = source_->dim();
    switch (source_->dtype()) {
      case DType::kU8:
        return std::sqrt(dot_in_double(row<std::uint8_t>(i), row<std::uint8_t>(i), dim));
      case DType::kI8:
        return std::sqrt(dot_in_double(row<std::int8_t>(i), row<std::int8_t>(i), dim));
      default:
        return std::sqrt(dot_in_double(row<float>(i), row<float>(i), dim));
    }
  }

  const VectorSource* source_;
  Metric metric_;
  std::uint64_t first_ = 0, count_ = 0;
  Buffer<std::byte> rows_, halves_;
  Buffer<double> norms_;
};

// The nearest rows of a group of queries so far.
template <typename Ops, Metric metric>
class GroupSearch {
  using Element = typename Ops::Element;
  using Raw = typename Ops::Raw;
  // Cosine divides the dot product by the row's norm; the query's norm does not change the order.
  using Key = std::conditional_t<metric == Metric::kCosine, float, Raw>;
  static constexpr bool kKeyIsExact = std::is_integral_v<Key>;

 public:
  GroupSearch(const PreparedRows& queries, std::size_t dim, std::uint32_t k)
      : queries_(queries), dim_(dim), k_(k), capacity_(kKeyIsExact ? k : k + kFilterSlack) {
    tile_rows_ = std::clamp<std::size_t>(kTileBytes / (dim * sizeof(Element)) / 64 * 64, 64, 4096);
  }

  Status allocate(MemoryBudget& budget, unsigned workers) {
    const std::size_t queries = queries_.count();
    VECSTORE_ASSIGN(candidates_, Buffer<Candidate>::allocate(budget, queries * 2 * capacity_));
    VECSTORE_ASSIGN(sizes_, Buffer<std::uint32_t>::allocate(budget, queries));
    VECSTORE_ASSIGN(thresholds_, Buffer<Key>::allocate(budget, queries));
    VECSTORE_ASSIGN(raw_, Buffer<Raw>::allocate(budget, workers * tile_rows_));
    VECSTORE_ASSIGN(keys_, Buffer<Key>::allocate(budget, workers * tile_rows_));
    std::fill(thresholds_.begin(), thresholds_.end(), accept_all());
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
      Candidate* items = candidates_.data() + query * 2 * capacity_;
      const std::size_t found = std::min<std::size_t>(sizes_[query], k_);
      std::partial_sort(items, items + found, items + sizes_[query]);
      for (std::size_t i = 0; i < found; ++i) {
        out.rows[(first_query + query) * k_ + i] = items[i].row;
        out.distances[(first_query + query) * k_ + i] = static_cast<float>(items[i].distance + 0.0);  // no −0
      }
    }
  }

 private:
  // Not a number beats no comparison, so `!(key >= threshold)` accepts all until a query has enough candidates.
  static constexpr Key accept_all() {
    return kKeyIsExact ? std::numeric_limits<Key>::max() : std::numeric_limits<Key>::quiet_NaN();
  }

  void scan_tile(std::size_t query, const PreparedRows& base, std::size_t first, std::size_t count, unsigned worker) {
    const Element* vector = queries_.row<Element>(query);
    Raw* raw = raw_.data() + worker * tile_rows_;
    Key* keys = keys_.data() + worker * tile_rows_;
    const Rows rows{base.row<Element>(first), dim_ * sizeof(Element), nullptr, count};
    if constexpr (metric == Metric::kL2) {
      Ops::l2(vector, rows, dim_, keys);
    } else {
      Ops::dot(vector, rows, dim_, raw);
      for (std::size_t i = 0; i < count; ++i) {
        if constexpr (metric == Metric::kCosine) {
          keys[i] = static_cast<float>(-static_cast<double>(raw[i]) / base.norm(first + i));
        } else {
          keys[i] = -raw[i];
        }
      }
    }
    // Few pairs pass once the thresholds have settled, so runs of 16 are ruled out by one vectorised test.
    constexpr std::size_t kRun = 16;
    for (std::size_t i = 0; i < count; i += kRun) {
      const std::size_t end = std::min(i + kRun, count);
      const Key threshold = thresholds_[query];
      int passing = 0;
      for (std::size_t j = i; j < end; ++j) passing |= static_cast<int>(!(keys[j] >= threshold));
      for (std::size_t j = i; passing != 0 && j < end; ++j)
        if (!(keys[j] >= thresholds_[query])) push(query, base, first + j, keys[j]);
    }
  }

  double exact_distance(std::size_t query, const PreparedRows& base, std::size_t row, Key key) const {
    if constexpr (kKeyIsExact) return static_cast<double>(key);
    const Element* q = queries_.row<Element>(query);
    const Element* x = base.row<Element>(row);
    if constexpr (metric == Metric::kL2)
      return sum_of(q, x, dim_, [](double a, double b) { return (a - b) * (a - b); });
    const double dot = dot_in_double(q, x, dim_);
    if constexpr (metric == Metric::kInnerProduct) return -dot;
    return std::clamp(1.0 - dot / (queries_.norm(query) * base.norm(row)), 0.0, 2.0);
  }

  void push(std::size_t query, const PreparedRows& base, std::size_t row, Key key) {
    Candidate* items = candidates_.data() + query * 2 * capacity_;
    std::uint32_t& size = sizes_[query];
    items[size++] = {exact_distance(query, base, row, key), static_cast<std::uint32_t>(base.first() + row)};
    if (size < 2 * capacity_) return;
    std::nth_element(items, items + capacity_ - 1, items + size);
    size = capacity_;
    const double worst = items[capacity_ - 1].distance;
    thresholds_[query] = static_cast<Key>(metric == Metric::kCosine ? (worst - 1.0) * queries_.norm(query) : worst);
  }

  const PreparedRows& queries_;
  const std::size_t dim_;
  const std::uint32_t k_, capacity_;
  std::size_t tile_rows_ = 64;
  Buffer<Candidate> candidates_;  // [queries × 2 · capacity]
  Buffer<std::uint32_t> sizes_;
  Buffer<Key> thresholds_;
  Buffer<Raw> raw_;  // [workers × tile_rows]
  Buffer<Key> keys_;
};

template <typename Ops, Metric metric>
Status search_all(Executor& executor, const VectorSource& base, const VectorSource& queries, ExactNeighbours& out) {
  const std::uint64_t query_bytes =
      queries.dim() * sizeof(float) + std::uint64_t{2} * (out.k + kFilterSlack) * sizeof(Candidate);
  const std::uint64_t group_rows =
      std::clamp<std::uint64_t>(kGroupBytes / query_bytes, 1, std::max<std::uint64_t>(1, out.queries));
  const std::uint64_t block_rows =
      std::max<std::uint64_t>(1, kBlockBytes / (base.dim() * sizeof(typename Ops::Element)));
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto block, PreparedRows::allocate(budget, base, metric, std::min(block_rows, base.rows())));
  VECSTORE_ASSIGN(auto group, PreparedRows::allocate(budget, queries, metric, group_rows));
  for (std::uint64_t first_query = 0; first_query < out.queries; first_query += group_rows) {
    VECSTORE_TRY(group.load(executor, first_query, std::min<std::uint64_t>(group_rows, out.queries - first_query)));
    GroupSearch<Ops, metric> search(group, base.dim(), out.k);
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
                                     Metric metric, std::uint32_t threads) try {
  VECSTORE_TRY(check_arguments(base, queries, k));
  ExactNeighbours out;
  out.queries = static_cast<std::uint32_t>(queries.rows());
  out.k = k;
  out.rows.assign(std::size_t{out.queries} * k, 0xFFFFFFFFu);
  out.distances.assign(std::size_t{out.queries} * k, std::numeric_limits<float>::infinity());
  const auto executor = make_executor(threads);
  switch (base.dtype()) {
    case DType::kF32:
    case DType::kF16:
      VECSTORE_TRY(search_by<FloatOps>(metric, *executor, base, queries, out));
      break;
    case DType::kU8:
      VECSTORE_TRY(search_by<U8Ops>(metric, *executor, base, queries, out));
      break;
    case DType::kI8:
      VECSTORE_TRY(search_by<I8Ops>(metric, *executor, base, queries, out));
      break;
  }
  return out;
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
