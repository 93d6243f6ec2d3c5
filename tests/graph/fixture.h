// SPDX-License-Identifier: Apache-2.0
//
// What the tests of graph share: prefixes of the shipped real data, the exact answers, and an index built from them
// into a real page file.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "compress/block_codes.h"
#include "compress/neighbour_list.h"
#include "engine/thread_pool.h"
#include "graph/build.h"
#include "graph/order.h"
#include "graph/pack.h"
#include "graph/search.h"
#include "tests/compress/code_cases.h"
#include "tests/test_util.h"

namespace vecstore::test {

// A matrix that owns its elements.
struct Matrix {
  DType dtype = DType::kU8;
  std::uint32_t dim = 0;
  std::vector<std::uint8_t> bytes;

  std::uint64_t rows() const { return bytes.size() / (dim * element_bytes(dtype)); }
  VectorView view() const { return {bytes.data(), dtype, rows(), dim, 0}; }
  Matrix first(std::uint64_t count) const {
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(count * dim * element_bytes(dtype));
    return {dtype, dim, {bytes.begin(), end}};
  }
};

// The first `rows` rows of a shipped file.
inline Matrix shipped_rows(const std::string& name, DType dtype, std::uint64_t rows) {
  std::ifstream in(shipped_data(name), std::ios::binary);
  std::uint32_t header[2] = {};
  in.read(reinterpret_cast<char*>(header), sizeof(header));
  BOOST_REQUIRE_MESSAGE(in.good() && header[0] >= rows, name << " has fewer than " << rows << " rows");
  Matrix matrix{dtype, header[1], std::vector<std::uint8_t>(rows * header[1] * element_bytes(dtype))};
  in.read(reinterpret_cast<char*>(matrix.bytes.data()), static_cast<std::streamsize>(matrix.bytes.size()));
  BOOST_REQUIRE(in.good());
  return matrix;
}
inline Matrix csift_rows(std::uint64_t rows) { return shipped_rows("csift55k.base.u8bin", DType::kU8, rows); }
inline Matrix csift_queries(std::uint64_t rows) { return shipped_rows("csift55k.query.u8bin", DType::kU8, rows); }
inline Matrix win384_rows(std::uint64_t rows) { return shipped_rows("win384-8k.base.f16bin", DType::kF16, rows); }
inline Matrix win384_queries(std::uint64_t rows) { return shipped_rows("win384-8k.query.f16bin", DType::kF16, rows); }

// The same values less 128: every L2 distance stays.
inline Matrix as_i8(Matrix matrix) {
  for (std::uint8_t& byte : matrix.bytes) byte ^= 0x80u;
  matrix.dtype = DType::kI8;
  return matrix;
}

inline Matrix random_bytes(std::uint64_t rows, std::uint32_t dim, std::uint32_t values, std::uint64_t seed) {
  Random random(seed);
  Matrix matrix{DType::kU8, dim, std::vector<std::uint8_t>(rows * dim)};
  for (std::uint8_t& byte : matrix.bytes) byte = static_cast<std::uint8_t>(random.below(values));
  return matrix;
}

// Row by row as floats, normalised under cosine. [rows × dim]
inline std::vector<float> as_floats(const Matrix& matrix, Metric metric) {
  std::vector<float> floats(matrix.rows() * matrix.dim);
  for (std::uint64_t row = 0; row < matrix.rows(); ++row) {
    float* out = floats.data() + row * matrix.dim;
    widen_row(matrix.view(), row, out);
    if (metric != Metric::kCosine) continue;
    double norm2 = 0;
    for (std::uint32_t i = 0; i < matrix.dim; ++i) norm2 += double{out[i]} * out[i];
    for (std::uint32_t i = 0; i < matrix.dim; ++i) out[i] = static_cast<float>(out[i] / std::sqrt(norm2));
  }
  return floats;
}

// The distance as FoundRow::distance has it. Exact for integers: floats hold the sum of 64 products of bytes.
inline float distance_of(const float* query, const float* row, std::size_t dim, Metric metric) {
  double sum = 0;
  for (std::size_t begin = 0; begin < dim; begin += 64) {
    float part = 0;
    const std::size_t end = std::min(dim, begin + 64);
    if (metric == Metric::kInnerProduct) {
      for (std::size_t i = begin; i < end; ++i) part -= 2 * query[i] * row[i];
    } else {
      for (std::size_t i = begin; i < end; ++i) part += (query[i] - row[i]) * (query[i] - row[i]);
    }
    sum += double{part};
  }
  return static_cast<float>(sum);
}

// For each query its k nearest rows, nearest first, by looking at all of them.
inline std::vector<std::vector<Candidate>> exact_nearest(const Matrix& base, const Matrix& queries, Metric metric,
                                                         std::size_t k) {
  const std::vector<float> rows = as_floats(base, metric);
  const std::vector<float> from = as_floats(queries, metric);
  std::vector<std::vector<Candidate>> answers(queries.rows());
  std::vector<Candidate> all(base.rows());
  for (std::size_t q = 0; q < answers.size(); ++q) {
    for (std::uint32_t row = 0; row < all.size(); ++row) {
      const float* x = rows.data() + std::size_t{row} * base.dim;
      all[row] = {distance_of(from.data() + q * base.dim, x, base.dim, metric), row};
    }
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(k, all.size()));
    std::partial_sort(all.begin(), end, all.end());
    answers[q].assign(all.begin(), end);
  }
  return answers;
}

inline QuantizedRows quantized(const Matrix& matrix, Metric metric, MemoryBudget& budget,
                               std::uint32_t value_bits = kValueBitsMin, Centre centre = {}) {
  auto rows = QuantizedRows::create(matrix.rows(), {matrix.dim, matrix.dtype, metric, value_bits, centre}, budget);
  REQUIRE_OK(rows);
  rows->fill(0, matrix.view());
  rows->finish();
  return std::move(rows).value();
}

inline GraphBuilder empty_builder(const QuantizedRows& rows, const GraphBuildOptions& options, Executor& executor,
                                  MemoryBudget& budget) {
  auto builder = GraphBuilder::create(rows, options, executor, budget);
  REQUIRE_OK(builder);
  return std::move(builder).value();
}

// All rows linked, trimmed and connected.
inline GraphBuilder built_graph(const QuantizedRows& rows, const GraphBuildOptions& options, Executor& executor,
                                MemoryBudget& budget) {
  GraphBuilder builder = empty_builder(rows, options, executor, budget);
  const auto order = builder.insertion_order(budget);
  REQUIRE_OK(order);
  builder.insert(order->span(), {});
  builder.trim();
  builder.connect();
  builder.check_invariants();
  return builder;
}

// How many rows a walk from the entry meets.
inline std::uint64_t reachable_rows(const GraphBuilder& graph, std::uint64_t rows) {
  if (graph.entry() == kNoPos) return 0;
  std::vector<bool> met(rows);
  std::vector<std::uint32_t> frontier{graph.entry()};
  met[graph.entry()] = true;
  std::uint64_t count = 1;
  while (!frontier.empty()) {
    const std::uint32_t row = frontier.back();
    frontier.pop_back();
    for (const std::uint32_t neighbour : graph.neighbours(row)) {
      if (met[neighbour]) continue;
      met[neighbour] = true;
      ++count;
      frontier.push_back(neighbour);
    }
  }
  return count;
}

inline std::vector<std::uint32_t> ordered(const QuantizedRows& rows, const AffinityGraph& affinity,
                                          std::uint32_t rows_per_page, Executor& executor, MemoryBudget& budget) {
  std::vector<std::uint32_t> order(rows.rows());
  REQUIRE_OK(order_rows(rows, affinity, {rows_per_page, 1}, executor, budget, order, {}));
  return order;
}

inline FileIdentity graph_identity() {
  FileIdentity identity;
  identity.store.fill(0x5A);
  identity.kind = FileKind::kGraph;
  identity.generation = 3;
  return identity;
}

inline GraphLayout layout_for(const QuantizedRows& rows, std::uint32_t page_bytes = 4096) {
  GraphLayout layout;
  layout.rows = rows.rows();
  layout.dim = rows.dim();
  layout.page_bytes = page_bytes;
  layout.value_bits = rows.shape().value_bits;
  layout.row_params = rows.shape().has_params();
  layout.metric = rows.shape().metric;
  layout.dtype = rows.shape().dtype;
  return layout;
}

// Pages of `order` that hold the rows of `answers`, mean over the queries.
inline double pages_of_answers(const std::vector<std::vector<Candidate>>& answers, std::span<const std::uint32_t> order,
                               std::uint32_t rows_per_page) {
  std::vector<Pos> place(order.size());
  invert_order(order, place);
  double pages = 0;
  for (const auto& answer : answers) {
    std::set<std::uint32_t> distinct;
    for (const Candidate& candidate : answer) distinct.insert(place[candidate.row] / rows_per_page);
    pages += static_cast<double>(distinct.size()) / static_cast<double>(answers.size());
  }
  return pages;
}

struct IndexOptions {
  GraphBuildOptions graph;
  std::uint32_t code_bytes = 32;
  std::uint32_t page_bytes = 4096;
  std::uint32_t value_bits = kValueBitsMin;
  std::uint32_t row_id_bytes = 4;
  std::uint32_t key_bytes = 0;
  std::vector<std::uint64_t> row_ids = {};  // [rows] as PackInput has them
  std::vector<std::uint64_t> keys = {};
};

// Everything a search needs, built from `base` in a directory of its own.
class TestIndex {
 public:
  TestIndex(const Matrix& base, Metric metric, const IndexOptions& options = {}) {
    const QuantizedRows rows = quantized(base, metric, budget_, options.value_bits);
    const GraphBuilder graph = built_graph(rows, options.graph, executor_, budget_);
    const auto affinity = affinity_graph(graph.nearest(), budget_);
    REQUIRE_OK(affinity);
    GraphLayout layout = layout_for(rows, options.page_bytes);
    layout.row_id_bytes = options.row_id_bytes;
    layout.key_bytes = options.key_bytes;
    layout.rows_per_page = std::max(1u, guess_rows_per_page(layout, options.graph.max_degree));
    order_ = ordered(rows, *affinity, layout.rows_per_page, executor_, budget_);
    std::vector<Pos> place(rows.rows());
    invert_order(order_, place);
    const PackInput input{&rows, &graph, order_, options.row_ids, options.keys};
    std::vector<std::uint16_t> list_bytes(rows.rows());
    measure_lists(input, place, executor_, list_bytes);
    std::uint64_t edges = 0;
    for (std::uint32_t row = 0; row < rows.rows(); ++row) edges += graph.neighbours(row).size();
    layout.rows_per_page = choose_rows_per_page(layout, list_bytes, edges);
    write(input, place, layout);
    encode(base, metric, options.code_bytes);
    reopen();
    use_cache(0.0);
  }

  // Caches that share of the pages.
  void use_cache(double share) {
    std::vector<std::uint32_t> ranking(file_->page_count());
    std::iota(ranking.begin(), ranking.end(), 1u);
    std::ranges::copy(ranking_, ranking.begin());
    const auto pages = static_cast<std::uint64_t>(share * static_cast<double>(ranking.size()));
    auto cache = PageCache::fill(*file_, ranking, pages, CachePolicy::kFixed, budget_);
    REQUIRE_OK(cache);
    cache_ = std::make_unique<PageCache>(std::move(cache).value());
  }
  void reopen() {
    auto file = PageFile::open(FileSystem::posix(), path(), graph_identity());
    REQUIRE_OK(file);
    file_ = std::make_unique<PageFile>(std::move(file).value());
    auto summary = decode_summary(file_->attributes());
    REQUIRE_OK(summary);
    summary_ = *summary;
  }

  std::unique_ptr<GraphSearcher> searcher(Backend backend = Backend::kAutomatic, std::uint32_t lanes = 1) {
    auto searcher = GraphSearcher::create(index(), backend, lanes, budget_);
    REQUIRE_OK(searcher);
    return std::move(searcher).value();
  }
  SearchIndex index() const { return {&summary_, file_.get(), &codes_, cache_.get()}; }
  std::string path() const { return directory_.path("graph"); }
  const GraphSummary& summary() const { return summary_; }
  const PageFile& file() const { return *file_; }
  const BlockCodes& codes() const { return codes_; }
  std::span<const std::uint32_t> order() const { return order_; }
  MemoryBudget& budget() { return budget_; }

 private:
  void write(const PackInput& input, std::span<const Pos> place, const GraphLayout& layout) {
    auto writer = PageFileWriter::create(FileSystem::posix(), path(), {graph_identity(), layout.page_bytes}, budget_);
    REQUIRE_OK(writer);
    auto summary = pack_graph(input, place, layout, budget_, *writer, {});
    REQUIRE_OK(summary);
    REQUIRE_OK(writer->finish(encode_summary(*summary)));
    const auto ranking = rank_pages(input, place, layout, budget_);
    REQUIRE_OK(ranking);
    ranking_.assign(ranking->begin(), ranking->end());
  }
  void encode(const Matrix& base, Metric metric, std::uint32_t code_bytes) {
    const std::vector<float> floats = as_floats(base, metric);
    std::vector<float> by_position(floats.size());
    for (std::size_t at = 0; at < order_.size(); ++at)
      std::copy_n(floats.data() + std::size_t{order_[at]} * base.dim, base.dim, by_position.data() + at * base.dim);
    CodecOptions options;
    options.code_bytes = code_bytes;
    options.metric = metric;
    auto codes = encode_blocks(MemoryRows(base.dim, std::move(by_position)), options, nullptr, executor_, budget_);
    REQUIRE_OK(codes);
    codes_ = std::move(codes).value();
  }

  TemporaryDirectory directory_;
  MemoryBudget budget_;
  SerialExecutor executor_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> ranking_;
  GraphSummary summary_;
  std::unique_ptr<PageFile> file_;
  BlockCodes codes_;
  std::unique_ptr<PageCache> cache_;
};

}  // namespace vecstore::test
