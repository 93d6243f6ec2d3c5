// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/value_width.h"

#include <filesystem>
#include <map>

#include "bench/hard_data_sets.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::build_options;
using test::Matrix;

namespace {

constexpr std::uint64_t kRows = 2000;

Matrix hard_rows(const std::string& name, std::uint64_t rows = kRows) {
  const bench::HardSet set = bench::make_hard_set(name, {rows, 10, 1});
  BOOST_REQUIRE_EQUAL(set.rows(), rows);
  return {bench::encode_values(set.base, set.dtype), set.dtype, set.dim};
}

StoreInfo info_of(const Matrix& base, const BuildOptions& options) {
  const test::TemporaryDirectory directory;
  return test::build_and_open(directory.path("idx"), base, options).info();
}

std::map<std::string, std::vector<char>> contents(const std::string& path) {
  std::map<std::string, std::vector<char>> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = std::filesystem::relative(entry.path(), path).string();
    if (!entry.is_regular_file() || name == "LOCK" || name == "build.json" || name.starts_with("catalog")) continue;
    files.emplace(name, test::read_file(entry.path().string()));
  }
  return files;
}

// Mean |distance − truth| ÷ truth of the hits of some queries, none of which is a row.
double distance_error(const Store& store, const bench::HardSet& set) {
  const Matrix queries{bench::encode_values(set.queries, set.dtype), set.dtype, set.dim};
  const auto results = test::search(store, queries.view(), test::exhaustive(10));
  double error = 0, hits = 0;
  for (std::size_t query = 0; query < results.size(); ++query) {
    for (const Hit& hit : results[query]) {
      const double exact = bench::double_distance(Metric::kL2, set.query(query), set.row(hit.key));
      error += std::abs(double{hit.distance} - exact) / exact;
      ++hits;
    }
  }
  return error / hits;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(value_width)

BOOST_AUTO_TEST_CASE(a_store_has_the_least_width_that_ranks_its_rows_and_says_why) {
  const std::vector<std::pair<std::string, std::uint32_t>> kinds = {{"control", 8},           {"town", 8},
                                                                    {"unix_time", 8},         {"gaussian_2d", 8},
                                                                    {"far_clusters_100", 16}, {"near_copies_1e-3", 32}};
  for (const auto& [name, bits] : kinds) {
    for (const bool calibrate : {false, true}) {
      if (calibrate && bits == 8) continue;
      BOOST_TEST_CONTEXT(name << (calibrate ? ", calibrated" : "")) {
        const StoreInfo info = info_of(hard_rows(name), build_options(Metric::kL2, calibrate));
        BOOST_TEST(info.vector_bits == bits);
        BOOST_TEST((info.recall_of_8_bits >= kWidthRecall) == (bits == 8));
        BOOST_TEST((info.recall_of_16_bits >= kWidthRecall) == (bits == 16));
        BOOST_TEST((info.recall_of_16_bits == -1) == (bits == 8));
        BOOST_TEST(info.recall_of_8_bits >= 0);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(real_embeddings_stay_at_8_bits) {
  const Matrix base = test::win384(test::kInstrumented ? 1000 : 8192);
  BuildOptions options = build_options(Metric::kCosine);
  options.build_list = 32;  // the graph does not matter here
  const StoreInfo info = info_of(base, options);
  BOOST_TEST(info.vector_bits == 8u);
  BOOST_TEST(info.recall_of_8_bits >= kWidthRecall);
  BOOST_TEST(info_of(test::csift(300), build_options(Metric::kL2)).recall_of_8_bits == -1);
}

BOOST_AUTO_TEST_CASE(a_width_that_is_asked_for_is_taken) {
  const bench::HardSet set = bench::make_hard_set("control", {1000, 20, 1});
  const Matrix base{bench::encode_values(set.base, set.dtype), set.dtype, set.dim};
  double last_error = 1;
  std::uint64_t last_disk = 0;
  std::vector<std::string> uuids;
  for (const std::uint32_t bits : {8u, 16u, 32u}) {
    const test::TemporaryDirectory directory;
    BuildOptions options = build_options(Metric::kL2);
    options.vector_bits = bits;
    const auto prediction = predict_build(*view_source(base.view()), options);
    REQUIRE_OK(prediction);
    BOOST_TEST(prediction->vector_bits == bits);
    const Store store = test::build_and_open(directory.path("idx"), base, options);
    const StoreInfo info = store.info();
    BOOST_TEST(info.vector_bits == bits);
    BOOST_TEST((info.recall_of_8_bits > .9) == (bits == 8));
    BOOST_TEST((info.recall_of_16_bits > .9) == (bits == 16));
    const double error = distance_error(store, set);
    const double most = bits == 8 ? 1e-2 : bits == 16 ? 1e-4 : 1e-6;
    BOOST_TEST(error <= most, bits << " bits: " << error);
    BOOST_TEST(error < last_error);
    BOOST_TEST(info.disk_bytes > last_disk);
    last_error = error;
    last_disk = info.disk_bytes;
    uuids.push_back(info.uuid);
  }
  BOOST_TEST((uuids[0] != uuids[1] && uuids[1] != uuids[2] && uuids[0] != uuids[2]));
}

BOOST_AUTO_TEST_CASE(integers_take_8_bits_and_no_store_takes_another_width) {
  const test::TemporaryDirectory directory;
  const auto code_of = [&](const Matrix& base, std::uint32_t bits) {
    BuildOptions options = build_options(Metric::kL2);
    options.vector_bits = bits;
    options.overwrite = true;
    const Status status = Store::build(directory.path("idx"), *view_source(base.view()), options);
    BOOST_TEST(status.is_ok() == std::filesystem::exists(directory.path("idx")));
    std::filesystem::remove_all(directory.path("idx"));
    return status.code();
  };
  const Matrix integers = test::csift(100), floats = test::widened(integers);
  for (const Matrix& base : {integers, test::shifted(integers)}) {
    BOOST_CHECK(code_of(base, 8) == Code::kOk);
    BOOST_CHECK(code_of(base, 16) == Code::kInvalidArgument);
    BOOST_CHECK(code_of(base, 32) == Code::kInvalidArgument);
  }
  for (const std::uint32_t bits : {1u, 4u, 12u, 24u, 64u}) {
    BOOST_CHECK(code_of(floats, bits) == Code::kInvalidArgument);
    BOOST_CHECK(code_of(integers, bits) == Code::kInvalidArgument);
  }
}

BOOST_AUTO_TEST_CASE(the_centre_is_a_median_that_few_rows_do_not_move) {
  std::vector<float> values(500 * 3);
  for (std::size_t row = 0; row < 500; ++row) {
    const bool far = row % 10 == 0;
    values[3 * row] = far ? 1e9f : 100.0f + static_cast<float>(row % 7);
    values[3 * row + 1] = static_cast<float>(row % 2);
    values[3 * row + 2] = -5.0f;
  }
  MemoryBudget budget;
  const Matrix base = test::matrix_of(3, DType::kF32, values);
  const auto centre = find_centre(*view_source(base.view()), Metric::kL2, budget);
  REQUIRE_OK(centre);
  BOOST_REQUIRE_EQUAL(centre->size(), 3u);
  BOOST_TEST(((*centre)[0] >= 100.0f && (*centre)[0] <= 106.0f));
  BOOST_TEST(((*centre)[1] == 0.0f || (*centre)[1] == 1.0f));
  BOOST_TEST((*centre)[2] == -5.0f);
  const auto of_directions = find_centre(*view_source(base.view()), Metric::kCosine, budget);
  REQUIRE_OK(of_directions);
  BOOST_TEST((*of_directions)[0] > .99f);
  BOOST_TEST((*of_directions)[0] <= 1.0f);
  for (const Matrix& none : {test::csift(20), Matrix{{}, DType::kF32, 4}}) {
    const auto empty = find_centre(*view_source(none.view()), Metric::kL2, budget);
    REQUIRE_OK(empty);
    BOOST_TEST(empty->empty());
  }
}

BOOST_AUTO_TEST_CASE(any_number_of_threads_writes_the_same_bytes_of_any_width) {
  for (const auto& [name, bits] : {std::pair<const char*, std::uint32_t>{"far_clusters_100", 16},
                                   std::pair<const char*, std::uint32_t>{"near_copies_1e-3", 32}}) {
    const Matrix base = hard_rows(name, 1500);
    const test::TemporaryDirectory directory;
    std::map<std::string, std::vector<char>> first;
    for (const std::uint32_t threads : {1u, 2u, 4u}) {
      BuildOptions options = build_options(Metric::kL2, true);
      options.threads = threads;
      const std::string path = directory.path(name + std::to_string(threads));
      const Store store = test::build_and_open(path, base, options);
      BOOST_TEST(store.info().vector_bits == bits);
      const auto files = contents(path);
      BOOST_TEST(files.size() >= 5u);
      if (first.empty()) first = files;
      BOOST_TEST((files == first), name << " with " << threads << " threads");
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
