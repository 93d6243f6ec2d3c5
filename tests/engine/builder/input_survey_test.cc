// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/input_survey.h"

#include <filesystem>
#include <limits>
#include <string>

#include "base/random.h"
#include "engine/vector_source.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kTextBudgetBytes = std::uint64_t{28} << 20;  // what the least prediction of a build has for it

void write_lines(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).append("\n");
  write_file(path, {text.begin(), text.end()});
}

struct Survey {
  TemporaryDirectory directory;
  BuildOptions options;

  explicit Survey(const std::vector<std::string>& keys) {
    options.keys_path = directory.path("keys.txt");
    write_lines(options.keys_path, keys);
  }
  Result<InputSurvey> run(std::uint64_t rows, MemoryBudget& budget) const {
    return survey_input(FileSystem::posix(), options, rows, directory.path("spill"), budget);
  }
};

std::vector<std::string> long_keys(std::size_t count, std::size_t bytes) {
  Random random(3);
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < count; ++i) {
    keys.push_back(std::to_string(random.next()) + "-" + std::to_string(i));
    keys.back().resize(bytes, 'k');
  }
  return keys;
}

BOOST_AUTO_TEST_CASE(a_key_of_two_lines_is_refused_with_its_file_and_both_lines) {
  MemoryBudget budget;
  for (const auto& [first, second] : {std::pair(0, 4), std::pair(2, 3)}) {
    std::vector<std::string> keys{"a", "b", "c", "d", "e"};
    keys[static_cast<std::size_t>(first)] = keys[static_cast<std::size_t>(second)] = "tw\tice";
    const Survey survey(keys);
    const auto found = survey.run(5, budget);
    BOOST_REQUIRE((code_of(found) == Code::kExists));
    const std::string text = message_of(found);
    BOOST_TEST(text.find("keys.txt") != std::string::npos);
    BOOST_TEST(text.find("\"tw?ice\", first in line " + std::to_string(first + 1) + ")") != std::string::npos);
    BOOST_TEST(text.find("line " + std::to_string(second + 1) + ":") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(keys_beyond_the_memory_are_compared_all_the_same_and_nothing_is_left) {
  std::vector<std::string> keys = long_keys(60000, 480);  // 29 MB
  for (const bool twice : {false, true}) {
    if (twice) keys[59000] = keys[17];
    const Survey survey(keys);
    MemoryBudget budget(kTextBudgetBytes);
    const auto found = survey.run(keys.size(), budget);
    BOOST_TEST((code_of(found) == (twice ? Code::kExists : Code::kOk)));
    if (twice) BOOST_TEST(message_of(found).find("first in line 18)") != std::string::npos);
    BOOST_TEST(budget.peak_bytes() > (std::uint64_t{8} << 20));
    BOOST_TEST(!std::filesystem::exists(survey.directory.path("spill")));
  }
}

// So that its memory does not depend on how much there is.
BOOST_AUTO_TEST_CASE(a_survey_without_a_bound_takes_what_builds_are_predicted_to_take) {
  const Survey survey(long_keys(1000, 20));
  MemoryBudget budget;
  REQUIRE_OK(survey.run(1000, budget));
  BOOST_TEST(budget.peak_bytes() <= kTextBudgetBytes);
}

BOOST_AUTO_TEST_CASE(an_empty_key_and_a_wrong_number_of_keys_are_refused) {
  MemoryBudget budget;
  const Survey survey({"a", "", "c"});
  const auto empty = survey.run(3, budget);
  BOOST_REQUIRE((code_of(empty) == Code::kInvalidInput));
  BOOST_TEST(message_of(empty).find("line 2:") != std::string::npos);
  const Survey three({"a", "b", "c"});
  for (const std::uint64_t rows : {2u, 4u}) BOOST_TEST((code_of(three.run(rows, budget)) == Code::kInvalidInput));
  REQUIRE_OK(three.run(3, budget));
}

BOOST_AUTO_TEST_CASE(keys_take_room_on_the_disk_beside_what_the_plan_has) {
  MemoryBudget budget;
  const Survey survey(long_keys(1000, 480));
  const auto found = survey.run(1000, budget);
  REQUIRE_OK(found);
  BOOST_TEST(found->key_disk_bytes >= 2u * 1000u * 480u);
}

BOOST_AUTO_TEST_CASE(a_query_that_no_search_takes_is_refused) {
  MemoryBudget budget;
  std::vector<float> values(300, 1.0f);
  values[299] = std::numeric_limits<float>::quiet_NaN();
  const Matrix matrix = matrix_of(3, DType::kF32, values);
  const auto source = view_source(matrix.view());
  BuildOptions options;
  options.calibration_queries = source.get();
  const auto survey = [&] { return survey_input(FileSystem::posix(), options, 10, "none", budget); };
  const auto refused = survey();
  BOOST_REQUIRE((code_of(refused) == Code::kInvalidInput));
  BOOST_TEST(refused.error().number() == 99u);
  options.calibrate = false;
  REQUIRE_OK(survey());
}

}  // namespace
}  // namespace vecstore
