// SPDX-License-Identifier: Apache-2.0
//
// The choice of the table. The choice is made once per process, so each case asks a process of its own: this program,
// run again with VECSTORE_KERNELS set and with the one test that prints what was chosen. A program for another
// processor is run by the emulator that VECSTORE_TEST_RUNNER names.
#include "compress/kernels/kernels.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include "tests/compress/kernel_cases.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

// What report_the_choice prints in a process whose VECSTORE_KERNELS is `value`.
std::string choice_under(const std::string& value) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  const char* runner = std::getenv("VECSTORE_TEST_RUNNER");
  const std::string command = "VECSTORE_KERNELS='" + value + "' VECSTORE_REPORT_CHOICE=1 " +
                              (runner != nullptr ? runner : "") + " '" + suite.argv[0] + "'" +
                              " --run_test=kernels_choice/report_the_choice --log_level=nothing --report_level=no";
  std::FILE* output = ::popen(command.c_str(), "r");
  BOOST_REQUIRE(output != nullptr);
  std::string text;
  std::array<char, 256> part{};
  while (std::fgets(part.data(), static_cast<int>(part.size()), output) != nullptr) text += part.data();
  BOOST_REQUIRE_EQUAL(::pclose(output), 0);
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_choice)

BOOST_AUTO_TEST_CASE(report_the_choice) {
  if (std::getenv("VECSTORE_REPORT_CHOICE") == nullptr) return;
  std::printf("%s|%s\n", kernels().name, kernels_status().message().c_str());
}

BOOST_AUTO_TEST_CASE(each_level_of_the_processor_can_be_forced) {
  for (const Kernels* level : levels()) BOOST_TEST(choice_under(level->name) == std::string(level->name) + "|ok\n");
}

BOOST_AUTO_TEST_CASE(a_level_the_processor_lacks_is_an_error_that_names_it) {
  for (const auto level : {KernelLevel::kAvx2, KernelLevel::kAvx512, KernelLevel::kNeon}) {
    const auto table = kernels_of(level);
    if (table.has_value()) continue;
    BOOST_TEST((table.error().code() == Code::kUnsupported));
    const std::string choice = choice_under(std::string(name_of(level)));
    BOOST_TEST(choice.starts_with("scalar|" + std::string(name_of(level)) + ": "));
    BOOST_TEST(choice.find("lacks") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_level_is_an_error_that_lists_the_levels) {
  for (const std::string value : {"sse9", "", "AVX2"}) {
    const std::string choice = choice_under(value);
    BOOST_TEST(choice.starts_with("scalar|"));
    BOOST_TEST(choice.find("must be scalar, avx2, avx512 or neon") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(each_table_says_its_level) {
  BOOST_TEST(&scalar() == levels().front());
  for (const Kernels* level : levels()) BOOST_TEST(name_of(level->level) == level->name);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore::test
