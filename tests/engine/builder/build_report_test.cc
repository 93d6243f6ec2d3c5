// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/build_report.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/generation/file_names.h"
#include "engine/vecstore.hpp"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kRows = 3000;
constexpr std::uint32_t kDim = 128;

// The first rows of the shipped SIFT descriptors.
class SomeRows {
 public:
  SomeRows() : bytes_(kRows * kDim) {
    const auto file = open_vector_file(test::shipped_data("csift55k.base.u8bin"));
    REQUIRE_OK(file);
    REQUIRE_OK((*file)->read(0, kRows, bytes_.data()));
    source_ = view_source({bytes_.data(), DType::kU8, kRows, kDim, 0});
  }
  const VectorSource& source() const { return *source_; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::unique_ptr<VectorSource> source_;
};

Json report_of(const std::string& store) {
  const auto text = test::read_file(store + "/" + kBuildReportName);
  return Json::parse(text.begin(), text.end());
}

BOOST_AUTO_TEST_CASE(a_build_says_beside_its_store_what_it_took) {
  const test::TemporaryDirectory directory;
  const SomeRows rows;
  BuildOptions options;
  options.ram_bytes = 64u << 20;
  options.threads = 2;
  REQUIRE_OK(Store::build(directory.path("s"), rows.source(), options));
  const Json report = report_of(directory.path("s"));
  const auto store = Store::open(directory.path("s"));
  REQUIRE_OK(store);
  BOOST_TEST(report["uuid"].get<std::string>() == store->info().uuid);
  BOOST_TEST(report["generation"].get<std::uint32_t>() == 1u);
  BOOST_TEST(report["input"].get<std::string>() == rows.source().name());
  BOOST_TEST(report["n"].get<std::uint64_t>() == kRows);
  BOOST_TEST(report["dim"].get<std::uint32_t>() == kDim);
  BOOST_TEST(report["threads"].get<std::uint32_t>() == 2u);
  BOOST_TEST(report["memory_peak_bytes"].get<std::uint64_t>() <= options.ram_bytes);
  BOOST_TEST(report["memory_peak_bytes"].get<std::uint64_t>() >= kRows * kDim);
  std::vector<std::string> steps;
  double seconds = 0;
  std::uint64_t peak = 0;
  for (const Json& step : report["steps"]) {
    steps.push_back(step["step"]);
    seconds += step["seconds"].get<double>();
    BOOST_TEST(step["memory_peak_bytes"].get<std::uint64_t>() >= peak);
    peak = step["memory_peak_bytes"];
  }
  const std::vector<std::string> expected{"hold_out",  "values",        "read",  "link", "order",
                                          "calibrate", "link_held_out", "write", "rows", "publish"};
  BOOST_TEST(steps == expected, boost::test_tools::per_element());
  BOOST_TEST(seconds == report["seconds"].get<double>(), boost::test_tools::tolerance(0.1));
  BOOST_TEST(peak == report["memory_peak_bytes"].get<std::uint64_t>());
}

BOOST_AUTO_TEST_CASE(a_build_over_a_store_replaces_the_report) {
  const test::TemporaryDirectory directory;
  const SomeRows rows;
  BuildOptions options;
  options.calibrate = false;
  REQUIRE_OK(Store::build(directory.path("s"), rows.source(), options));
  BOOST_TEST((Store::build(directory.path("s"), rows.source(), options).code() == Code::kExists));
  BOOST_TEST(report_of(directory.path("s"))["generation"].get<std::uint32_t>() == 1u);
  options.overwrite = true;
  REQUIRE_OK(Store::build(directory.path("s"), rows.source(), options));
  BOOST_TEST(report_of(directory.path("s"))["generation"].get<std::uint32_t>() == 2u);
  BOOST_TEST(!std::filesystem::exists(directory.path("s/tmp/build.json")));
}

BOOST_AUTO_TEST_CASE(a_report_that_cannot_be_written_fails_no_build) {
  const test::TemporaryDirectory directory;
  const SomeRows rows;
  BuildOptions options;
  options.calibrate = false;
  const std::string in_the_way = directory.path("s/tmp/") + kBuildReportName;
  options.progress = [&](const Progress& at) {
    if (at.phase == Phase::kPublish) std::filesystem::create_directories(in_the_way);
  };
  REQUIRE_OK(Store::build(directory.path("s"), rows.source(), options));
  BOOST_TEST(!std::filesystem::exists(directory.path("s/") + kBuildReportName));
  const auto store = Store::open(directory.path("s"));
  REQUIRE_OK(store);
  BOOST_TEST(store->info().rows == kRows);
}

BOOST_AUTO_TEST_CASE(an_input_name_that_is_no_text_leaves_the_report_readable) {
  BuildReport report;
  report.finish_step("read", 1);
  const std::string text = report.to_json({"caf\xe9 \"1\"\n.u8bin", "00", 1, 0}, BuildPlan{});
  BOOST_TEST(Json::parse(text)["input"].get<std::string>() == "caf\xef\xbf\xbd \"1\"\n.u8bin");
}

}  // namespace
}  // namespace vecstore
