// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/page_stream.h"

#include <numeric>

#include "base/random.h"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;

namespace {

constexpr FileIdentity kIdentity{{}, FileKind::kCodes, 3};
constexpr std::uint32_t kPageBytes = 4096;

std::vector<std::byte> some_bytes(std::size_t size) {
  Random random(size);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

// Written in parts of all sizes.
PageFile write_stream(const std::string& path, std::span<const std::byte> bytes, MemoryBudget& budget) {
  auto file = PageFileWriter::create(FileSystem::posix(), path, {kIdentity, kPageBytes}, budget);
  REQUIRE_OK(file);
  PageStreamWriter stream(*file);
  Random random(bytes.size() + 1);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t part = std::min<std::size_t>(bytes.size() - at, random.below(9000));
    REQUIRE_OK(stream.write(bytes.subspan(at, part)));
    at += part;
  }
  BOOST_TEST(stream.written() == bytes.size());
  REQUIRE_OK(stream.flush());
  REQUIRE_OK(stream.flush());  // nothing is left: no page more
  REQUIRE_OK(file->finish({}));
  auto opened = PageFile::open(FileSystem::posix(), path, kIdentity);
  REQUIRE_OK(opened);
  return std::move(*opened);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(page_stream)

BOOST_AUTO_TEST_CASE(streams_of_any_size_come_back) {
  const test::TemporaryDirectory directory;
  MemoryBudget budget;
  const std::size_t payload = page_payload_bytes(kPageBytes);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, payload - 1, payload, payload + 1, 2 * payload,
                                 3 * payload + 17, std::size_t{50000}}) {
    const auto bytes = some_bytes(size);
    const PageFile file = write_stream(directory.path(std::to_string(size)), bytes, budget);
    BOOST_TEST(file.page_count() == (size + payload - 1) / payload);
    auto reader = PageStreamReader::create(file, size, budget);
    REQUIRE_OK(reader);
    BOOST_TEST(reader->size() == size);
    std::vector<std::byte> read(size);
    REQUIRE_OK(reader->read(read));
    BOOST_TEST((read == bytes));
    std::byte more{};
    BOOST_CHECK(reader->read({&more, 1}).code() == Code::kCorrupt);
    BOOST_CHECK(code_of(PageStreamReader::create(file, file.page_count() * payload + 1, budget)) == Code::kCorrupt);
  }
}

BOOST_AUTO_TEST_CASE(skipping_and_reading_agree_with_memory) {
  const test::TemporaryDirectory directory;
  MemoryBudget budget;
  const auto bytes = some_bytes(60001);
  const PageFile file = write_stream(directory.path("stream"), bytes, budget);
  const std::size_t payload = page_payload_bytes(kPageBytes);
  Random random(5);
  for (int trial = 0; trial < 300; ++trial) {
    auto reader = PageStreamReader::create(file, bytes.size(), budget);
    REQUIRE_OK(reader);
    for (std::size_t at = 0;;) {
      // Steps that end on the borders of pages are the ones that go wrong.
      std::size_t step = random.below(3) == 0 ? payload - at % payload : random.below(3 * payload);
      step = std::min(step, bytes.size() - at);
      if (random.below(2) == 0) {
        REQUIRE_OK(reader->skip(step));
      } else {
        std::vector<std::byte> read(step);
        REQUIRE_OK(reader->read(read));
        BOOST_REQUIRE(std::equal(read.begin(), read.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at)));
      }
      at += step;
      if (at == bytes.size()) break;
    }
    std::byte more{};
    BOOST_REQUIRE(reader->read({&more, 1}).code() == Code::kCorrupt);
  }
}

BOOST_AUTO_TEST_CASE(skipping_past_the_end_is_an_error) {
  const test::TemporaryDirectory directory;
  MemoryBudget budget;
  const PageFile file = write_stream(directory.path("stream"), some_bytes(10000), budget);
  auto reader = PageStreamReader::create(file, 10000, budget);
  REQUIRE_OK(reader);
  BOOST_CHECK(reader->skip(10001).code() == Code::kCorrupt);
  auto far = PageStreamReader::create(file, 10000, budget);
  REQUIRE_OK(far);
  BOOST_CHECK(far->skip(std::uint64_t{1} << 60).code() == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(a_damaged_page_is_reported_when_it_is_reached) {
  const test::TemporaryDirectory directory;
  MemoryBudget budget;
  const auto bytes = some_bytes(30000);
  const std::string path = directory.path("stream");
  write_stream(path, bytes, budget);
  auto raw = test::read_file(path);
  raw[3 * kPageBytes + 100] = static_cast<char>(raw[3 * kPageBytes + 100] ^ 1);
  test::write_file(path, raw);
  const auto file = PageFile::open(FileSystem::posix(), path, kIdentity);
  REQUIRE_OK(file);
  auto reader = PageStreamReader::create(*file, bytes.size(), budget);
  REQUIRE_OK(reader);
  std::vector<std::byte> read(2 * page_payload_bytes(kPageBytes));
  REQUIRE_OK(reader->read(read));
  const Status damaged = reader->read(read);
  BOOST_CHECK(damaged.code() == Code::kCorrupt);
  BOOST_TEST(damaged.number() == 3u);
  // Who passes over the page does not see it.
  auto other = PageStreamReader::create(*file, bytes.size(), budget);
  REQUIRE_OK(other);
  REQUIRE_OK(other->skip(4 * page_payload_bytes(kPageBytes)));
  REQUIRE_OK(other->read(std::span(read).first(100)));
}

BOOST_AUTO_TEST_SUITE_END()
