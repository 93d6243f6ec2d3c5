// SPDX-License-Identifier: Apache-2.0
#include <sstream>

#include "tests/test_util.h"
#include "tools/document_text.h"
#include "tools/exit_codes.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/size_text.h"

using namespace vecstore;
using namespace vecstore::tools;

BOOST_AUTO_TEST_SUITE(tools_text)

BOOST_AUTO_TEST_CASE(sizes_are_read_as_written) {
  const std::vector<std::pair<std::string, std::uint64_t>> sizes = {{"0", 0},
                                                                    {"4096", 4096},
                                                                    {"12B", 12},
                                                                    {"512KiB", 524288},
                                                                    {"64MiB", 67108864},
                                                                    {"64MB", 64000000},
                                                                    {"1.5GiB", 1610612736},
                                                                    {"2 kB", 2000},
                                                                    {"1GB", 1000000000},
                                                                    {"0.5KiB", 512},
                                                                    {"1TiB", 1099511627776}};
  for (const auto& [text, bytes] : sizes) {
    const auto size = parse_size(text);
    REQUIRE_OK(size);
    BOOST_TEST(*size == bytes, text);
  }
  for (const std::string text : {"", "x", "-1", "+1", " 1", "MiB", "1Q", "1mib", "1MiBs", "10%", "inf", "nan", "0x10",
                                 "1e3", "99999TiB", "1..5"})
    BOOST_TEST((test::code_of(parse_size(text)) == Code::kInvalidArgument), text);
}

BOOST_AUTO_TEST_CASE(a_cache_is_a_size_or_a_share) {
  BOOST_TEST(parse_cache_size("10%")->fraction.value() == 0.1);
  BOOST_TEST(parse_cache_size("100%")->fraction.value() == 1.0);
  BOOST_TEST(parse_cache_size("0")->bytes.value() == 0u);
  BOOST_TEST(!parse_cache_size("0")->fraction.has_value());
  BOOST_TEST(parse_cache_size("64MiB")->bytes.value() == 67108864u);
  for (const std::string text : {"101%", "-1%", "%", "10%%", "ten"})
    BOOST_TEST(!parse_cache_size(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(sizes_are_shown_with_one_decimal) {
  BOOST_TEST(format_size(0) == "0 B");
  BOOST_TEST(format_size(1023) == "1023 B");
  BOOST_TEST(format_size(1536) == "1.5 KiB");
  BOOST_TEST(format_size(1048575) == "1.0 MiB");
}

BOOST_AUTO_TEST_CASE(text_is_wrapped_between_words_and_characters) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "wörter ";
  text += std::string(250, 'x');
  std::istringstream lines(wrap_text(text, 4));
  std::string together;
  for (std::string line; std::getline(lines, line);) {
    const auto columns = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
    BOOST_TEST(columns <= 100);
    BOOST_TEST(line.starts_with("    "));
    BOOST_TEST((static_cast<unsigned char>(line.back()) & 0xC0u) != 0xC0u);
    together += line.substr(4) + " ";
  }
  BOOST_TEST(std::count(together.begin(), together.end(), 'x') == 250);
  BOOST_TEST(together.starts_with("wörter wörter "));
  BOOST_TEST(wrap_text("", 4).empty());
}

BOOST_AUTO_TEST_CASE(documents_cannot_drive_the_terminal) {
  const std::string shown = format_document(
      "a\x1b[31mred\x07 \xc2\x9b"
      "31m b",
      0);
  for (const char c : shown) BOOST_TEST((static_cast<unsigned char>(c) >= 0x20u || c == '\n'));
  BOOST_TEST(shown.find("\xc2\x9b") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(json_documents_show_their_fields) {
  BOOST_TEST(format_document(R"({"text":"body","title":"Title","heading":"Head","page":7})", 2) ==
             "  Title\n  Head\n  body\n  page: 7\n");
  BOOST_TEST(format_document("[1, 2]", 0) == "[1, 2]\n");
  BOOST_TEST(format_document("{broken", 0) == "{broken\n");
}

BOOST_AUTO_TEST_CASE(progress_says_share_rate_and_what_is_left) {
  BOOST_TEST(describe_progress("graph", 30, 120, 10, 2097152) == "graph 25% (30/120) 10/s, 9 s left, 2.0 MiB");
  BOOST_TEST(describe_progress("replay", 17, 0, 0, 0) == "replay 17");
  BOOST_TEST(describe_progress("read", 1500000, 1500000, 1.5e6, 0) == "read 100% (1500000/1500000) 1.5M/s");
}

BOOST_AUTO_TEST_CASE(statuses_become_the_documented_exit_codes) {
  BOOST_TEST(exit_code_of(Code::kOk) == 0);
  BOOST_TEST(exit_code_of(Code::kInvalidArgument) == 2);
  BOOST_TEST(exit_code_of(Code::kCorrupt) == 3);
  BOOST_TEST(exit_code_of(Code::kBusy) == 4);
  BOOST_TEST(exit_code_of(Code::kNewerFormat) == 5);
  for (const Code code : {Code::kInvalidInput, Code::kNotFound, Code::kExists, Code::kPermission, Code::kIo,
                          Code::kNoSpace, Code::kMemoryBudget, Code::kUnsupported})
    BOOST_TEST(exit_code_of(code) == 1);
}

BOOST_AUTO_TEST_CASE(the_peak_of_memory_is_known) { BOOST_TEST(rss_peak_bytes() > 1000000u); }

BOOST_AUTO_TEST_SUITE_END()
