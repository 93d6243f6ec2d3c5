// SPDX-License-Identifier: Apache-2.0
//
// Options that mean nothing are refused by name, at once: a bound that is NaN made a search that never ended.
#include "engine/check_options.h"

#include <limits>

#include "base/limits.h"
#include "engine/vecstore.hpp"
#include "tests/test_util.h"

using namespace vecstore;
using test::TemporaryDirectory;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

template <typename Options>
void refused(const Options& options, const std::string& name) {
  const Status status = check_options(options);
  BOOST_TEST((status.code() == Code::kInvalidArgument), name);
  BOOST_TEST(status.message().find(name) != std::string::npos, status.message());
}

template <typename Value>
BuildOptions build_with(Value BuildOptions::* member, Value value) {
  BuildOptions options;
  options.*member = value;
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(check_options_)

BOOST_AUTO_TEST_CASE(what_the_defaults_say_is_taken) {
  REQUIRE_OK(check_options(SearchOptions{}));
  REQUIRE_OK(check_options(OpenOptions{}));
  REQUIRE_OK(check_options(OpenOptions{.access = Access::kReadWrite}));
  REQUIRE_OK(check_options(BuildOptions{}));
}

BOOST_AUTO_TEST_CASE(numbers_that_are_none_and_those_out_of_range_are_refused_by_name) {
  for (const double bad : {kNan, kInfinite, -kInfinite, 1.1e6})
    refused(SearchOptions{.bound = static_cast<float>(bad)}, "the bound must be");
  for (const float good : {-1.0f, -0.5f, -0.0f, 0.0f, 2.5f, 1e6f})
    REQUIRE_OK(check_options(SearchOptions{.bound = good}));
  for (const double bad : {kNan, kInfinite, -kInfinite, 0.0, -0.5, 1.0001})
    refused(SearchOptions{.recall_target = bad}, "recall target must be");
  for (const double bad : {kNan, kInfinite, -kInfinite, -0.1, 1.0001})
    refused(OpenOptions{.cache_fraction = bad}, "the share of pages to cache must be");
  for (const double good : {0.0, 0.5, 1.0}) REQUIRE_OK(check_options(OpenOptions{.cache_fraction = good}));
  for (const double bad : {kNan, kInfinite, -kInfinite, 0.0, 0.99, 4.01, -1.2})
    refused(build_with(&BuildOptions::alpha, static_cast<float>(bad)), "alpha must be");
  for (const float good : {1.0f, 4.0f}) REQUIRE_OK(check_options(build_with(&BuildOptions::alpha, good)));
  refused(SearchOptions{.k = 0}, "k must be");
  refused(SearchOptions{.k = 1001}, "1000");
  refused(SearchOptions{.search_list = 4097}, "4096");
  refused(OpenOptions{.searchers = 0}, "searchers");
  refused(OpenOptions{.lanes = 33}, "32");
  refused(build_with(&BuildOptions::page_bytes, 5000u), "page size");
  refused(build_with(&BuildOptions::max_degree, 256u), "degree");
  refused(build_with(&BuildOptions::threads, 257u), "256");
}

BOOST_AUTO_TEST_CASE(no_call_goes_on_with_them) {
  const TemporaryDirectory directory;
  std::vector<float> rows(500 * 8);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i * 7919 % 1000);
  const VectorView view{rows.data(), DType::kF32, 500, 8};
  const auto nan = static_cast<float>(kNan);
  BuildOptions build;
  build.alpha = nan;
  BOOST_TEST((Store::build(directory.path("s"), *view_source(view), build).code() == Code::kInvalidArgument));
  BOOST_TEST((predict_build(*view_source(view), build).error().code() == Code::kInvalidArgument));
  build.alpha = 1.2f;
  REQUIRE_OK(Store::build(directory.path("s"), *view_source(view), build));
  BOOST_TEST((Store::open(directory.path("s"), {.cache_fraction = kNan}).error().code() == Code::kInvalidArgument));
  const auto store = Store::open(directory.path("s"));
  REQUIRE_OK(store);
  for (const float bad : {nan, static_cast<float>(kInfinite), -static_cast<float>(kInfinite)})
    BOOST_TEST((store->search(view, {.bound = bad}).error().code() == Code::kInvalidArgument));
  BOOST_TEST((store->search(view, {.recall_target = kNan}).error().code() == Code::kInvalidArgument));
  const auto hits = store->search(view, {.k = 3, .bound = kBoundMax});
  REQUIRE_OK(hits);
  BOOST_TEST((*hits)[0].size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
