// SPDX-License-Identifier: Apache-2.0
//
// Codes whose model was trained on other data: what becomes of estimates when the data drifts.
//
// A set is divided by its labels into two kinds, A and B: csift by the category of the photograph, mdn256 into English
// and other locales. The rows of B stand in the order of an index of the whole set. They are encoded with a model
// trained on themselves and with one trained on A, at equal bytes a vector. Printed is the standard error of an
// estimate over |q - x| for near pairs, the slope that a search bounds its reads with. The mean square error of coding
// is printed too.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "bench/measured_index.h"
#include "compress/block_codes.h"
#include "engine/generation/file_names.h"
#include "engine/generation/generation.h"
#include "engine/thread_pool.h"
#include "pagestore/publish.h"

namespace vecstore::bench {
namespace {

template <typename T>
T need(Result<T> result) {
  if (result) return std::move(result).value();
  fmt::print(stderr, "bench_drift: {}\n", result.error().message());
  std::exit(1);
}

struct Kind {
  const char* set;
  const char* base;
  const char* labels;
  Metric metric;
  bool (*is_a)(const std::string& label);
};

constexpr Kind kKinds[] = {
    {"csift", "csift.base.u8bin", "csift.base.labels.txt", Metric::kL2,
     [](const std::string& label) { return std::stoi(label) % 2 == 0; }},
    {"mdn256", "mdn256.base.fbin", "mdn256.base.labels.jsonl", Metric::kCosine,
     [](const std::string& label) { return label.find("\"loc\":\"en-us\"") != std::string::npos; }},
};

// Some rows of a file, in the order of an index.
class OrderedRows final : public FloatRows {
 public:
  OrderedRows(const VectorView& vectors, Metric metric, std::vector<std::uint64_t> rows)
      : vectors_(vectors), metric_(metric), rows_(std::move(rows)) {}
  std::uint64_t rows() const override { return rows_.size(); }
  std::uint32_t dim() const override { return vectors_.dim; }
  void read(Pos position, float* out) const override {
    widen_row(vectors_, rows_[position], out);
    if (metric_ != Metric::kCosine) return;
    double norm2 = 0;
    for (std::uint32_t i = 0; i < vectors_.dim; ++i) norm2 += double{out[i]} * out[i];
    const auto inverse = static_cast<float>(1 / std::sqrt(norm2));
    for (std::uint32_t i = 0; i < vectors_.dim; ++i) out[i] *= inverse;
  }

 private:
  VectorView vectors_;
  Metric metric_;
  std::vector<std::uint64_t> rows_;
};

// Row numbers by position.
std::vector<std::uint64_t> order_of(const std::string& index) {
  MemoryBudget budget;
  const StoreDirectory directory =
      need(StoreDirectory::open(FileSystem::posix(), kStoreNames, index, LockMode::kShared));
  const std::uint32_t number = directory.manifest()->generation;
  const auto path = [&](FileKind kind) { return directory.file_path(file_name(kind, number)); };
  const auto generation = need(
      Generation::open(FileSystem::posix(), {path(FileKind::kGraph), path(FileKind::kCodes), path(FileKind::kRowMap)},
                       directory.manifest()->store, number, budget));
  std::vector<std::uint64_t> order(generation->layout().rows);
  for (std::uint64_t row = 0; row < order.size(); ++row) order[need(generation->position_of(RowId{row}, budget))] = row;
  return order;
}

void measure(const Kind& kind, const std::string& data, const std::string& work) {
  IndexRequest request;
  request.name = std::string(kind.set) + "-drift";
  request.input = data + "/" + kind.base;
  request.work = work;
  request.options.metric = kind.metric;
  request.options.page_bytes = 4096;
  request.options.calibrate = false;
  const MeasuredIndex index = need(measure_build(request));
  const LoadedVectors vectors = need(load_vectors(request.input, 0));
  std::vector<bool> is_a;
  std::ifstream labels(data + "/" + kind.labels);
  for (std::string label; std::getline(labels, label);) is_a.push_back(kind.is_a(label));
  if (is_a.size() != vectors.view.rows) {
    fmt::print(stderr, "bench_drift: SKIPPED {}: {} labels for {} rows\n", kind.set, is_a.size(), vectors.view.rows);
    return;
  }
  std::vector<std::uint64_t> a, b;
  for (const std::uint64_t row : order_of(index.path)) (is_a[row] ? a : b).push_back(row);
  const OrderedRows rows_a(vectors.view, kind.metric, std::move(a));
  const OrderedRows rows_b(vectors.view, kind.metric, std::move(b));
  const auto executor = make_executor(0);
  fmt::print("{}: {} rows of kind A, {} of kind B\n", kind.set, rows_a.rows(), rows_b.rows());
  fmt::print("{:>8} {:>5} {:>14} {:>12} {:>8} {:>12} {:>12} {:>8}\n", "codec", "bytes", "slope: own", "trained on A",
             "ratio", "error: own", "trained on A", "ratio");
  // RaBitQ keeps two bytes more a row, its factor.
  const std::uint32_t one_bit = vectors.view.dim / 8;
  for (const std::uint32_t bits : {1u, 2u}) {
    for (const Codec codec : {Codec::kOpq, Codec::kRabitq}) {
      MemoryBudget budget;
      CodecOptions options;
      options.kind = codec;
      options.metric = kind.metric;
      options.code_bytes = one_bit * bits + (codec == Codec::kOpq ? 2 : 0);
      const BlockCodes codes_a = need(encode_blocks(rows_a, options, nullptr, *executor, budget));
      const BlockCodes own = need(encode_blocks(rows_b, options, nullptr, *executor, budget));
      const BlockCodes drifted = need(encode_blocks(rows_b, options, &codes_a.model, *executor, budget));
      const auto ratio = [](float now, float before) { return double{now} / double{before}; };
      fmt::print("{:>8} {:>5} {:>14.4g} {:>12.4g} {:>8.3f} {:>12.4g} {:>12.4g} {:>8.3f}\n",
                 codec == Codec::kOpq ? "opq" : "rabitq", options.code_bytes, own.model.error_slope,
                 drifted.model.error_slope, ratio(drifted.model.error_slope, own.model.error_slope),
                 own.model.mean_square_error, drifted.model.mean_square_error,
                 ratio(drifted.model.mean_square_error, own.model.mean_square_error));
    }
  }
}

}  // namespace
}  // namespace vecstore::bench

int main(int argc, char** argv) {
  CLI::App app("Codes under drift: OPQ against RaBitQ at equal bytes.");
  const char* from_environment = std::getenv("VECSTORE_DATA");
  std::string data = from_environment != nullptr ? from_environment : "../shared/data";
  std::string work = "build/bench-work";
  app.add_option("--data", data, "where the data sets are");
  app.add_option("--work", work, "where indices are kept for the next run");
  CLI11_PARSE(app, argc, argv);
  for (const auto& kind : vecstore::bench::kKinds) vecstore::bench::measure(kind, data, work);
  return 0;
}
