// SPDX-License-Identifier: Apache-2.0
//
// Full precision over pages of 8 bits a value: where the search sees every row, the answer is that of double precision,
// however little the nearest rows differ. And what was put comes out again bit for bit.
#include <cmath>
#include <fstream>
#include <map>

#include "base/random.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::Matrix;

namespace {

constexpr std::uint32_t kDim = 24;
constexpr std::uint64_t kRows = 1000;
constexpr Metric kMetrics[] = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine};

// By key, as they were put.
using Model = std::map<std::uint64_t, std::vector<float>>;

std::vector<float> random_row(Random& random) {
  std::vector<float> row(kDim);
  for (float& value : row) value = static_cast<float>(3 + 2 * random.unit() - 1);
  return row;
}

std::vector<float> near_copy(const std::vector<float>& of, double distance, Random& random) {
  std::vector<float> row = of;
  for (float& value : row) value += static_cast<float>(distance * (2 * random.unit() - 1));
  return row;
}

// Forty rows, each among near copies of itself.
Model random_model() {
  Random random(1);
  Model model;
  for (std::uint64_t key = 0; key < kRows; ++key)
    model[key] = key < 40 ? random_row(random) : near_copy(model[key % 40], 1e-5, random);
  return model;
}

Matrix matrix_of(const Model& model) {
  std::vector<float> values;
  for (const auto& [key, row] : model) values.insert(values.end(), row.begin(), row.end());
  return test::matrix_of(kDim, DType::kF32, values);
}

// Near rows, at them, and away from all.
Matrix some_queries(const Model& model) {
  Random random(2);
  std::vector<float> values;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const std::vector<float>& row = model.at(i * 13 % kRows);
    const std::vector<float> query = i % 4 == 3   ? random_row(random)
                                     : i % 4 == 2 ? row
                                                  : near_copy(row, i % 4 == 1 ? 1e-5 : 1e-2, random);
    values.insert(values.end(), query.begin(), query.end());
  }
  return test::matrix_of(kDim, DType::kF32, values);
}

double true_distance(Metric metric, const float* q, const std::vector<float>& row) {
  double l2 = 0, product = 0, q2 = 0, x2 = 0;
  for (std::size_t i = 0; i < kDim; ++i) {
    const double a = double{q[i]}, b = double{row[i]};
    l2 += (a - b) * (a - b);
    product += a * b;
    q2 += a * a;
    x2 += b * b;
  }
  if (metric == Metric::kL2) return l2;
  if (metric == Metric::kInnerProduct) return -product;
  double half = 0;
  for (std::size_t i = 0; i < kDim; ++i) {
    const double difference = double{q[i]} / std::sqrt(q2) - double{row[i]} / std::sqrt(x2);
    half += difference * difference / 2;
  }
  return half;
}

// What double precision cannot tell apart either.
double slack_of(Metric metric, double distance) {
  return metric == Metric::kL2 ? 1e-14 * distance : 1e-15 + 1e-14 * std::abs(distance);
}

// Rows of the graph and rows that were put since are merged by the floats that hits have.
enum class Rows { kOfGraph, kMerged };

// The k nearest of the model are found, each by a hit that names its distance, in order.
void require_exact(const Store& store, const Model& model, const Matrix& queries, Metric metric, Rows rows,
                   std::uint32_t k) {
  SearchOptions options = test::exhaustive(k);
  options.full_precision = true;
  const auto results = test::search(store, queries.view(), options);
  for (std::size_t query = 0; query < queries.rows(); ++query) {
    const float* q = reinterpret_cast<const float*>(queries.bytes.data()) + query * kDim;
    std::vector<double> all;
    for (const auto& [key, row] : model) all.push_back(true_distance(metric, q, row));
    std::sort(all.begin(), all.end());
    BOOST_REQUIRE_EQUAL(results[query].size(), std::min<std::size_t>(k, model.size()));
    test::check_sorted(results[query]);
    for (std::size_t i = 0; i < results[query].size(); ++i) {
      const Hit& hit = results[query][i];
      BOOST_REQUIRE(model.contains(hit.key));
      const double exact = true_distance(metric, q, model.at(hit.key));
      const double slack = slack_of(metric, all[i]) + (rows == Rows::kMerged ? 1.2e-7 * std::abs(all[i]) : 0.0);
      BOOST_REQUIRE_MESSAGE(std::abs(exact - all[i]) <= slack, name_of(metric) << " query " << query << ": place " << i
                                                                               << " of " << k << " is taken by "
                                                                               << exact << ", not " << all[i]);
      BOOST_REQUIRE(std::abs(double{hit.distance} - exact) <= 1e-7 * std::abs(exact) + slack_of(metric, 0));
    }
  }
}

void require_exact(const Store& store, const Model& model, const Matrix& queries, Metric metric, Rows rows) {
  for (const std::uint32_t k : {1u, 10u, 100u}) require_exact(store, model, queries, metric, rows, k);
}

BuildOptions narrow_build(Metric metric) {
  BuildOptions options = test::build_options(metric);
  options.vector_bits = 8;
  return options;
}

OpenOptions cached(double share) {
  OpenOptions options;
  options.cache_fraction = share;
  return options;
}

// Vectors that export_to() writes are those of the model, in order of `keys`.
void require_exported(const Store& store, const Model& model, const std::string& directory) {
  const ExportFiles files{directory + "/out.fbin", directory + "/keys", {}};
  REQUIRE_OK(store.export_to(files, true));
  const auto source = open_vector_file(files.vectors);
  REQUIRE_OK(source);
  BOOST_REQUIRE_EQUAL((*source)->rows(), model.size());
  std::ifstream keys(files.keys);
  std::vector<float> row(kDim);
  std::uint64_t key = 0, rows = 0;
  for (; keys >> key; ++rows) {
    REQUIRE_OK((*source)->read(rows, 1, row.data()));
    BOOST_REQUIRE(model.contains(key));
    BOOST_REQUIRE(std::memcmp(row.data(), model.at(key).data(), kDim * sizeof(float)) == 0);
  }
  BOOST_REQUIRE_EQUAL(rows, model.size());
}

// Overwrites, adds and erases, in store and model.
void change(Store& store, Model& model) {
  Random random(5);
  for (std::uint64_t i = 0; i < 60; ++i) {
    const std::uint64_t key = i % 3 == 0 ? kRows + i : i * 11;
    const std::vector<float> row = near_copy(model.at(i % 40), i % 2 == 0 ? 1e-5 : 1e-2, random);
    REQUIRE_OK(store.put(Key(key), VectorView{row.data(), DType::kF32, 1, kDim}));
    model[key] = row;
  }
  for (std::uint64_t i = 0; i < 50; ++i) {
    const std::uint64_t key = 300 + 7 * i;
    REQUIRE_OK(store.erase(Key(key)));
    model.erase(key);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(full_precision)

BOOST_AUTO_TEST_CASE(what_is_found_is_what_double_precision_finds) {
  const Model model = random_model();
  const Matrix queries = some_queries(model);
  for (const Metric metric : kMetrics) {
    const test::TemporaryDirectory directory;
    REQUIRE_OK(Store::build(directory.path("idx"), *view_source(matrix_of(model).view()), narrow_build(metric)));
    for (const double share : {0.0, 0.3, 1.0}) {
      const auto store = Store::open(directory.path("idx"), cached(share));
      REQUIRE_OK(store);
      BOOST_REQUIRE_EQUAL(store->info().vector_bits, 8u);
      require_exact(*store, model, queries, metric, Rows::kOfGraph);
    }
  }
}

BOOST_AUTO_TEST_CASE(pages_alone_do_not_tell_near_copies_apart) {
  const Model model = random_model();
  const Matrix queries = some_queries(model);
  const test::TemporaryDirectory directory;
  const Store store = test::build_and_open(directory.path("idx"), matrix_of(model), narrow_build(Metric::kL2));
  const auto truth = test::exact(matrix_of(model), queries, 20, Metric::kL2);
  BOOST_TEST(test::recall(test::search(store, queries.view(), test::exhaustive(10)), truth, 10) < .9);
}

BOOST_AUTO_TEST_CASE(rows_that_were_put_and_erased_since_make_no_difference) {
  const Matrix queries = some_queries(random_model());
  for (const Metric metric : kMetrics) {
    for (const double share : {0.0, 1.0}) {
      Model model = random_model();
      const test::TemporaryDirectory directory;
      REQUIRE_OK(Store::build(directory.path("idx"), *view_source(matrix_of(model).view()), narrow_build(metric)));
      OpenOptions options = cached(share);
      options.access = Access::kReadWrite;
      options.sync = SyncMode::kNone;
      {
        auto store = Store::open(directory.path("idx"), options);
        REQUIRE_OK(store);
        change(*store, model);
        BOOST_TEST(store->size() == model.size());
        require_exact(*store, model, queries, metric, Rows::kMerged);
        if (metric == Metric::kL2) require_exported(*store, model, directory.path());
      }
      const auto reader = Store::open(directory.path("idx"), cached(share));
      REQUIRE_OK(reader);
      require_exact(*reader, model, queries, metric, Rows::kMerged);
      if (metric == Metric::kL2) require_exported(*reader, model, directory.path());
    }
  }
}

// Not the pages' values, nor those less the centre and back.
BOOST_AUTO_TEST_CASE(vectors_come_out_bit_for_bit_whatever_pages_keep) {
  Model model = random_model();
  Random random(7);
  for (std::uint64_t key = 0; key < 200; ++key)  // rows of scales and signs that no common centre is good for
    for (float& value : model[key]) value *= static_cast<float>(std::pow(10.0, 12 * random.unit() - 8) - 1e-3);
  model[5][3] = 0.0f;
  model[5][4] = -0.0f;
  model[5][5] = 1e-42f;  // subnormal
  for (const Metric metric : kMetrics) {
    for (const std::uint32_t bits : {0u, 8u, 16u, 32u}) {
      if (bits == 0 && metric != Metric::kL2) continue;
      const test::TemporaryDirectory directory;
      BuildOptions build = test::build_options(metric);
      build.vector_bits = bits;
      const Store store = test::build_and_open(directory.path("idx"), matrix_of(model), build);
      require_exported(store, model, directory.path());
      for (const std::uint64_t key : {0u, 5u, 999u}) {
        const auto item = store.get(Key(key));
        REQUIRE_OK(item);
        BOOST_REQUIRE_EQUAL(item->vector.size(), kDim * sizeof(float));
        BOOST_REQUIRE(std::memcmp(item->vector.data(), model[key].data(), item->vector.size()) == 0);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
