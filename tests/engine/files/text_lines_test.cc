// SPDX-License-Identifier: Apache-2.0
#include "engine/files/text_lines.h"

#include <zstd.h>

#include "base/random.h"
#include "tests/test_util.h"

using namespace vecstore;

namespace {

using Lines = std::vector<std::string>;

std::vector<char> joined(const Lines& lines, bool last_newline) {
  std::vector<char> bytes;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    bytes.insert(bytes.end(), lines[i].begin(), lines[i].end());
    if (i + 1 < lines.size() || last_newline) bytes.push_back('\n');
  }
  return bytes;
}

std::vector<char> zstd_frame(const std::vector<char>& bytes) {
  std::vector<char> packed(ZSTD_compressBound(bytes.size()));
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 3));
  return packed;
}

Result<Lines> read_lines(const std::string& path, std::size_t line_bytes_max = kDocumentBytesMax) {
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto reader, TextLines::open(path, budget, line_bytes_max));
  Lines lines;
  std::string_view line;
  while (true) {
    VECSTORE_ASSIGN(const bool more, reader.next(line));
    if (!more) return lines;
    lines.emplace_back(line);
  }
}

Lines lines_of_sizes(const std::vector<std::size_t>& sizes) {
  Random random(7);
  Lines lines;
  for (const std::size_t size : sizes) {
    std::string& line = lines.emplace_back(size, ' ');
    for (char& c : line) {
      c = static_cast<char>(random.below(256));
      if (c == '\n') c = '\0';
    }
    if (line.ends_with('\r')) line.back() = 'r';
  }
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_CASE(text_lines_come_back_byte_for_byte_plain_and_compressed) {
  const test::TemporaryDirectory directory;
  const Lines lines = lines_of_sizes({0, 1, 5, 65535, 65536, 0, 0, 65534, 3, 65536, 65536, 40000, 40000, 1});
  for (const bool last_newline : {true, false}) {
    const auto bytes = joined(lines, last_newline);
    test::write_file(directory.path("plain"), bytes);
    test::write_file(directory.path("packed"), zstd_frame(bytes));
    // Two frames, as `cat a.zst b.zst` gives them, cut in the middle of a line.
    auto two = zstd_frame({bytes.begin(), bytes.begin() + 70000});
    const auto second = zstd_frame({bytes.begin() + 70000, bytes.end()});
    two.insert(two.end(), second.begin(), second.end());
    test::write_file(directory.path("two"), two);
    for (const char* name : {"plain", "packed", "two"}) {
      const auto found = read_lines(directory.path(name));
      REQUIRE_OK(found);
      BOOST_TEST((*found == lines), name << " last newline " << last_newline);
    }
  }
}

// Keys of Windows had the carriage return, and the first one the mark, as a part of them.
BOOST_AUTO_TEST_CASE(text_lines_of_windows_are_the_same_lines) {
  const test::TemporaryDirectory directory;
  const std::string longest(480, 'k'), mark = "\xEF\xBB\xBF";
  const std::vector<std::pair<std::string, Lines>> texts = {
      {"a0\r\na1\r\n", {"a0", "a1"}},
      {mark + "a0\r\na1", {"a0", "a1"}},
      {mark + "a0\na1\r", {"a0", "a1"}},
      {mark, {}},
      {mark + "\r\n\r\n", {"", ""}},
      {mark + mark + "a\n" + mark + "b\n", {mark + "a", mark + "b"}},
      {"\xEF\xBB\n", {"\xEF\xBB"}},
      {"\ra\rb\r\r\n", {"\ra\rb\r"}},
      {mark + longest + "\r\n" + longest + "\r\n" + longest, {longest, longest, longest}}};
  for (const auto& [text, lines] : texts) {
    const std::vector<char> bytes(text.begin(), text.end());
    test::write_file(directory.path("plain"), bytes);
    test::write_file(directory.path("packed"), zstd_frame(bytes));
    std::vector<char> frames;  // one byte each, as a pipe may give them
    for (const char byte : bytes) {
      const auto frame = zstd_frame({byte});
      frames.insert(frames.end(), frame.begin(), frame.end());
    }
    test::write_file(directory.path("frames"), frames);
    for (const char* name : {"plain", "packed", "frames"}) {
      const auto found = read_lines(directory.path(name), kKeyBytesMax);
      REQUIRE_OK(found);
      BOOST_TEST(*found == lines, name << " of " << text);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_carriage_return_may_lie_in_the_next_buffer) {
  const test::TemporaryDirectory directory;
  for (std::size_t size = 65530; size <= 65536; ++size) {
    const Lines lines = {std::string(size, 'x'), "y", std::string(65536, 'z')};
    std::string text;
    for (const std::string& line : lines) text += line + "\r\n";
    test::write_file(directory.path("text"), {text.begin(), text.end()});
    const auto found = read_lines(directory.path("text"));
    REQUIRE_OK(found);
    BOOST_TEST((*found == lines), size);
  }
}

BOOST_AUTO_TEST_CASE(text_of_two_bytes_a_character_is_refused) {
  const test::TemporaryDirectory directory;
  const std::string little(
      "\xFF\xFE"
      "a\0\r\0\n\0",
      8),
      big("\xFE\xFF\0a\0\r\0\n", 8);
  for (const std::string& text : {little, big, std::string("\xFF\xFE"), "\xFF\xFE" + std::string(99999, 'x')})
    for (const bool packed : {false, true}) {
      const std::vector<char> bytes(text.begin(), text.end());
      test::write_file(directory.path("text"), packed ? zstd_frame(bytes) : bytes);
      const auto found = read_lines(directory.path("text"), kKeyBytesMax);
      BOOST_TEST((test::code_of(found) == Code::kInvalidInput));
      BOOST_TEST(test::message_of(found).find("iconv -f UTF-16 -t UTF-8") != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(an_empty_file_has_no_line_and_a_lone_newline_one) {
  const test::TemporaryDirectory directory;
  test::write_file(directory.path("empty"), {});
  test::write_file(directory.path("newline"), {'\n'});
  test::write_file(directory.path("packed"), zstd_frame({}));
  BOOST_TEST(read_lines(directory.path("empty"))->empty());
  BOOST_TEST(read_lines(directory.path("packed"))->empty());
  BOOST_TEST((*read_lines(directory.path("newline")) == Lines{""}));
}

BOOST_AUTO_TEST_CASE(a_line_that_is_too_long_is_refused_by_its_number) {
  const test::TemporaryDirectory directory;
  for (const bool last_newline : {true, false}) {
    test::write_file(directory.path("long"), joined(lines_of_sizes({3, 65536, 65537}), last_newline));
    const auto found = read_lines(directory.path("long"));
    BOOST_TEST((test::code_of(found) == Code::kInvalidInput));
    BOOST_TEST((found.error().detail() == Detail::kLine));
    BOOST_TEST(found.error().number() == 3u);
  }
  test::write_file(directory.path("keys"), joined(lines_of_sizes({480, 481}), true));
  const auto keys = read_lines(directory.path("keys"), kKeyBytesMax);
  BOOST_TEST((test::code_of(keys) == Code::kInvalidInput));
  BOOST_TEST(keys.error().number() == 2u);
}

BOOST_AUTO_TEST_CASE(a_wrong_number_of_lines_names_both_numbers) {
  const test::TemporaryDirectory directory;
  test::write_file(directory.path("five"), joined({"a", "b", "c", "d", "e"}, false));
  MemoryBudget budget;
  std::string_view line;
  for (const std::uint64_t rows : {4u, 5u, 6u}) {
    auto reader = TextLines::open(directory.path("five"), budget);
    REQUIRE_OK(reader);
    Status outcome;
    for (std::uint64_t row = 0; row < rows && outcome.is_ok(); ++row) outcome = reader->expect_line(rows, line);
    if (outcome.is_ok()) outcome = reader->expect_end(rows);
    BOOST_TEST((outcome.is_ok() == (rows == 5)));
    if (rows == 5) continue;
    BOOST_TEST((outcome.code() == Code::kInvalidInput));
    const std::string numbers = "(5 lines, " + std::to_string(rows) + " rows)";
    BOOST_TEST(outcome.message().find(numbers) != std::string::npos, outcome.message());
  }
}

BOOST_AUTO_TEST_CASE(truncated_or_damaged_zstd_is_refused) {
  const test::TemporaryDirectory directory;
  const auto packed = zstd_frame(joined(lines_of_sizes({1000, 2000, 30000}), true));
  for (std::size_t size = 4; size < packed.size(); size += 997) {
    test::write_file(directory.path("cut"), {packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size)});
    BOOST_TEST((test::code_of(read_lines(directory.path("cut"))) == Code::kInvalidInput), size);
  }
  auto damaged = packed;
  damaged[5] = static_cast<char>(damaged[5] ^ 0x08);
  test::write_file(directory.path("damaged"), damaged);
  const auto found = read_lines(directory.path("damaged"));
  BOOST_TEST((!found || found->size() != 3));
}

BOOST_AUTO_TEST_CASE(a_missing_file_and_a_small_budget_say_so) {
  const test::TemporaryDirectory directory;
  BOOST_TEST((test::code_of(read_lines(directory.path("none"))) == Code::kNotFound));
  test::write_file(directory.path("packed"), zstd_frame({'a', '\n'}));
  MemoryBudget small(std::uint64_t{1} << 20);
  BOOST_TEST((test::code_of(TextLines::open(directory.path("packed"), small)) == Code::kMemoryBudget));
  BOOST_TEST(small.used_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(real_documents_are_read_within_nine_mebibytes) {
  const std::string path = test::large_data("win384.base.text.jsonl.zst");
  if (path.empty()) {
    BOOST_TEST_MESSAGE("SKIPPED: win384.base.text.jsonl.zst is not on this machine");
    return;
  }
  MemoryBudget budget(std::uint64_t{9} << 20);
  auto reader = TextLines::open(path, budget);
  REQUIRE_OK(reader);
  std::string_view line;
  std::uint64_t broken = 0;
  for (std::uint64_t row = 0; row < 100000; ++row) {
    REQUIRE_OK(reader->expect_line(100000, line));
    broken += line.starts_with("{\"title\":") && line.ends_with("}") ? 0 : 1;
  }
  BOOST_TEST(broken == 0u);
  REQUIRE_OK(reader->expect_end(100000));
}
