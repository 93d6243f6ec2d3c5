// SPDX-License-Identifier: Apache-2.0
#include "pagestore/manifest.h"

#include <cstring>

#include "pagestore/manifest_format.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using test::code_of;
using test::message_of;

constexpr const char* kPath = "store/manifest-9";
constexpr std::size_t kHashBytes = 16;
constexpr std::size_t kFilesAt = 48;
constexpr std::size_t kPropertiesAt = 52;
constexpr std::size_t kEntriesAt = 56;

Manifest example() {
  Manifest manifest;
  for (std::size_t i = 0; i < manifest.store.size(); ++i) manifest.store[i] = static_cast<std::uint8_t>(i + 1);
  manifest.sequence = 0x1122334455667788;
  manifest.generation = 0xA1B2C3D4;
  manifest.applied_lsn = 0x99AABBCCDDEEFF00;
  manifest.files = {{1, false, 7, "graph-7", 4096, 11, 12}, {4, true, 6, "rows/6-0", 8192, 13, 14}};
  manifest.properties = {std::byte{1}, std::byte{0}, std::byte{255}};
  return manifest;
}

std::vector<std::byte> bytes_of(const Manifest& manifest) {
  auto bytes = encode_manifest(manifest);
  REQUIRE_OK(bytes);
  return std::move(*bytes);
}

// With a checksum that holds, as somebody writes it who means harm.
std::vector<std::byte> sealed(std::vector<std::byte> bytes) {
  const std::size_t body = bytes.size() - kHashBytes;
  const Hash128 hash = hash128(std::span(bytes).first(body));
  std::memcpy(bytes.data() + body, &hash.low, 8);
  std::memcpy(bytes.data() + body + 8, &hash.high, 8);
  return bytes;
}

template <typename Number>
std::vector<std::byte> with(std::vector<std::byte> bytes, std::size_t at, Number number) {
  std::memcpy(bytes.data() + at, &number, sizeof(number));
  return sealed(std::move(bytes));
}

template <typename Number>
Number number_at(const std::vector<std::byte>& bytes, std::size_t at) {
  Number number{};
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

void check_same(const Manifest& a, const Manifest& b) {
  BOOST_TEST(a.store == b.store);
  BOOST_TEST(a.sequence == b.sequence);
  BOOST_TEST(a.generation == b.generation);
  BOOST_TEST(a.applied_lsn == b.applied_lsn);
  BOOST_TEST((a.properties == b.properties));
  BOOST_REQUIRE(a.files.size() == b.files.size());
  for (std::size_t i = 0; i < a.files.size(); ++i) {
    BOOST_TEST(a.files[i].kind == b.files[i].kind);
    BOOST_TEST(a.files[i].optional == b.files[i].optional);
    BOOST_TEST(a.files[i].generation == b.files[i].generation);
    BOOST_TEST(a.files[i].name == b.files[i].name);
    BOOST_TEST(a.files[i].bytes == b.files[i].bytes);
    BOOST_TEST(a.files[i].hash_low == b.files[i].hash_low);
    BOOST_TEST(a.files[i].hash_high == b.files[i].hash_high);
  }
}

BOOST_AUTO_TEST_SUITE(manifest_format)

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  for (const Manifest& manifest : {example(), Manifest{}}) {
    const auto read = decode_manifest(bytes_of(manifest), kPath);
    REQUIRE_OK(read);
    check_same(*read, manifest);
  }
}

// The layout of pagestore/README.md.
BOOST_AUTO_TEST_CASE(bytes_lie_where_the_format_says) {
  const Manifest manifest = example();
  const std::vector<std::byte> bytes = bytes_of(manifest);
  BOOST_TEST(std::memcmp(bytes.data(), "VECMANI\0", 8) == 0);
  BOOST_TEST(number_at<std::uint16_t>(bytes, 8) == 1u);
  BOOST_TEST(number_at<std::uint16_t>(bytes, 10) == 0u);
  BOOST_TEST(number_at<std::uint32_t>(bytes, 12) == manifest.generation);
  BOOST_TEST(std::memcmp(bytes.data() + 16, manifest.store.data(), 16) == 0);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 32) == manifest.sequence);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 40) == manifest.applied_lsn);
  BOOST_TEST(number_at<std::uint32_t>(bytes, kFilesAt) == 2u);
  BOOST_TEST(number_at<std::uint32_t>(bytes, kPropertiesAt) == 3u);
  BOOST_TEST(number_at<std::uint16_t>(bytes, kEntriesAt) == 1u);
  BOOST_TEST(number_at<std::uint16_t>(bytes, kEntriesAt + 2) == 0u);
  BOOST_TEST(number_at<std::uint32_t>(bytes, kEntriesAt + 4) == 7u);
  BOOST_TEST(number_at<std::uint32_t>(bytes, kEntriesAt + 8) == 7u);  // bytes of the name
  BOOST_TEST(std::memcmp(bytes.data() + kEntriesAt + 12, "graph-7", 7) == 0);
  BOOST_TEST(number_at<std::uint64_t>(bytes, kEntriesAt + 19) == 4096u);
  BOOST_TEST(number_at<std::uint64_t>(bytes, kEntriesAt + 27) == 11u);
  BOOST_TEST(number_at<std::uint64_t>(bytes, kEntriesAt + 35) == 12u);
  BOOST_TEST(number_at<std::uint16_t>(bytes, kEntriesAt + 43 + 2) == 1u);  // the second file is optional
  BOOST_TEST((sealed(bytes) == bytes));
}

BOOST_AUTO_TEST_CASE(a_name_leads_nowhere_else) {
  for (const char* name : {"graph-1", "rows/1-0", "a", "A_b.c-9", "a/b/c"}) BOOST_TEST(is_file_name(name), name);
  for (const char* name : {"", "/", "/graph-1", "graph-1/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a b", "a\nb",
                           "\xC3\xA4", "a\\b", "a:b"}) {
    BOOST_TEST(!is_file_name(name), name);
    Manifest manifest = example();
    manifest.files[0].name = name;
    BOOST_TEST((code_of(encode_manifest(manifest)) == Code::kInvalidArgument), name);
  }
  BOOST_TEST(is_file_name(std::string(kManifestNameBytesMax, 'n')));
  BOOST_TEST(!is_file_name(std::string(kManifestNameBytesMax + 1, 'n')));
  BOOST_TEST(!is_file_name(std::string_view("a\0b", 3)));
}

BOOST_AUTO_TEST_CASE(each_limit_is_taken_and_one_more_is_refused) {
  Manifest properties;
  properties.properties.resize(kManifestPropertiesBytesMax);
  REQUIRE_OK(decode_manifest(bytes_of(properties), kPath));
  properties.properties.emplace_back();
  BOOST_TEST((code_of(encode_manifest(properties)) == Code::kInvalidArgument));
  Manifest files;
  files.files.assign(kManifestFilesMax, {1, false, 1, "f", 1, 2, 3});
  const auto read = decode_manifest(bytes_of(files), kPath);
  REQUIRE_OK(read);
  BOOST_TEST(read->files.size() == kManifestFilesMax);
  files.files.push_back(files.files.back());
  BOOST_TEST((code_of(encode_manifest(files)) == Code::kInvalidArgument));
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_or_a_cut_is_damage) {
  const std::vector<std::byte> bytes = bytes_of(example());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<std::byte> damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    const auto read = decode_manifest(damaged, kPath);
    BOOST_REQUIRE(code_of(read) == Code::kCorrupt);
    BOOST_REQUIRE(message_of(read).find(kPath) != std::string::npos);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size)
    BOOST_REQUIRE(code_of(decode_manifest(std::span(bytes).first(size), kPath)) == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(a_newer_major_is_told_from_damage_and_a_newer_minor_is_read) {
  const std::vector<std::byte> bytes = bytes_of(example());
  BOOST_TEST((code_of(decode_manifest(with(bytes, 8, std::uint16_t{2}), kPath)) == Code::kNewerFormat));
  REQUIRE_OK(decode_manifest(with(bytes, 10, std::uint16_t{7}), kPath));
}

// No length is believed, although the checksum holds.
BOOST_AUTO_TEST_CASE(lengths_that_do_not_add_up_are_damage) {
  const std::vector<std::byte> bytes = bytes_of(example());
  for (const std::uint32_t files : {0u, 1u, 3u, 65'537u, 0xFFFFFFFFu})
    BOOST_TEST((code_of(decode_manifest(with(bytes, kFilesAt, files), kPath)) == Code::kCorrupt), files);
  for (const std::uint32_t size : {0u, 2u, 4u, (1u << 20) + 1, 0xFFFFFFFFu})
    BOOST_TEST((code_of(decode_manifest(with(bytes, kPropertiesAt, size), kPath)) == Code::kCorrupt), size);
  for (const std::uint32_t size : {0u, 6u, 8u, 129u, 0xFFFFFFFFu})
    BOOST_TEST((code_of(decode_manifest(with(bytes, kEntriesAt + 8, size), kPath)) == Code::kCorrupt), size);
  BOOST_TEST((code_of(decode_manifest(with(bytes, kEntriesAt + 12, '/'), kPath)) == Code::kCorrupt));
  BOOST_TEST((code_of(decode_manifest(with(bytes, 0, 'v'), kPath)) == Code::kCorrupt));
  std::vector<std::byte> longer = bytes;
  longer.insert(longer.end() - kHashBytes, std::byte{0});
  BOOST_TEST((code_of(decode_manifest(sealed(longer), kPath)) == Code::kCorrupt));
}

// Whatever byte is another: it is refused, or it is a manifest that can be written.
BOOST_AUTO_TEST_CASE(hostile_bytes_give_an_error_or_a_manifest_within_its_limits) {
  const std::vector<std::byte> bytes = bytes_of(example());
  std::size_t taken = 0;
  for (std::size_t at = 0; at + kHashBytes < bytes.size(); ++at)
    for (const unsigned value : {0u, 1u, 0x2Fu, 0x7Fu, 0x80u, 0xFFu}) {
      const auto read = decode_manifest(with(bytes, at, static_cast<std::uint8_t>(value)), kPath);
      if (read) {
        REQUIRE_OK(encode_manifest(*read));
        ++taken;
      } else {
        BOOST_REQUIRE(code_of(read) == Code::kCorrupt || code_of(read) == Code::kNewerFormat);
      }
    }
  BOOST_TEST(taken > 100u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
