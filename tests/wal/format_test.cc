// SPDX-License-Identifier: Apache-2.0
#include "wal/format.h"

#include <array>

#include "tests/test_util.h"

namespace vecstore {
namespace {

SegmentHeader segment() {
  SegmentHeader header;
  header.store = {1, 2, 3};
  header.number = 7;
  header.salt = 0x1122334455667788ull;
  header.first_lsn = {1000};
  header.previous = 6;
  header.chain = 99;
  header.bytes = 1u << 20;
  return header;
}

GroupHeader group() {
  GroupHeader header;
  header.body_bytes = 5000;
  header.records = 12;
  header.first_lsn = {1001};
  header.salt = segment().salt;
  header.chain = 42;
  header.synced_lsn = {1000};
  header.body_hash = 5;
  return header;
}

BOOST_AUTO_TEST_SUITE(log_format)

BOOST_AUTO_TEST_CASE(headers_come_back_as_they_were_written) {
  std::vector<std::byte> block(kLogBlockBytes);
  const std::uint64_t hash = encode_segment_header(segment(), block);
  const auto decoded = decode_segment_header(block);
  BOOST_REQUIRE(decoded.has_value());
  BOOST_TEST(decoded->hash == hash);
  BOOST_TEST(decoded->header.number == 7u);
  BOOST_TEST(decoded->header.salt == segment().salt);
  BOOST_TEST(decoded->header.first_lsn.value == 1000u);
  BOOST_TEST(decoded->header.previous == 6u);
  BOOST_TEST(decoded->header.chain == 99u);
  BOOST_TEST(decoded->header.bytes == 1u << 20);
  BOOST_CHECK(decoded->header.store == segment().store);

  std::array<std::byte, kGroupHeaderBytes> bytes{};
  const std::uint64_t group_hash = encode_group_header(group(), bytes);
  const auto back = decode_group_header(bytes);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST(back->hash == group_hash);
  BOOST_TEST(back->header.body_bytes == 5000u);
  BOOST_TEST(back->header.records == 12u);
  BOOST_TEST(back->header.first_lsn.value == 1001u);
  BOOST_TEST(back->header.chain == 42u);
  BOOST_TEST(back->header.synced_lsn.value == 1000u);
  BOOST_TEST(back->header.body_hash == 5u);
}

BOOST_AUTO_TEST_CASE(no_header_with_a_flipped_bit_is_believed) {
  std::vector<std::byte> block(kLogBlockBytes);
  encode_segment_header(segment(), block);
  constexpr std::size_t kSegmentHeaderBytes = 88;
  for (std::size_t bit = 0; bit < kSegmentHeaderBytes * 8; ++bit) {
    auto damaged = block;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    BOOST_TEST(!decode_segment_header(damaged).has_value());
  }
  std::array<std::byte, kGroupHeaderBytes> bytes{};
  encode_group_header(group(), bytes);
  for (std::size_t bit = 0; bit < kGroupHeaderBytes * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    BOOST_TEST(!decode_group_header(damaged).has_value());
  }
}

BOOST_AUTO_TEST_CASE(headers_that_contradict_themselves_are_refused) {
  const auto refused = [](auto change) {
    GroupHeader header = group();
    change(header);
    std::array<std::byte, kGroupHeaderBytes> bytes{};
    encode_group_header(header, bytes);
    return !decode_group_header(bytes).has_value();
  };
  BOOST_TEST(refused([](GroupHeader& header) { header.body_bytes = kGroupBodyBytesMax + 1; }));
  BOOST_TEST(refused([](GroupHeader& header) { header.records = 0; }));
  BOOST_TEST(refused([](GroupHeader& header) { header.records = 1u << 30; }));
  BOOST_TEST(refused([](GroupHeader& header) { header.synced_lsn = {1001}; }));
  BOOST_TEST(refused([](GroupHeader& header) { header.type = GroupType::kSynced; }));
}

BOOST_AUTO_TEST_CASE(records_are_taken_off_a_body_and_nothing_beyond_it) {
  const std::array<std::byte, 5> payload{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}};
  std::vector<std::byte> body(record_bytes(payload.size()) + record_bytes(0));
  std::byte* at = body.data();
  append_record({3, 9, payload}, at);
  append_record({4, 0, {}}, at);
  BOOST_TEST(at == body.data() + body.size());

  std::span<const std::byte> left = body;
  LogRecord record;
  BOOST_REQUIRE(take_record(left, record));
  BOOST_TEST(record.type == 3u);
  BOOST_TEST(record.collection == 9u);
  BOOST_TEST(record.payload.size() == payload.size());
  BOOST_REQUIRE(take_record(left, record));
  BOOST_TEST(record.type == 4u);
  BOOST_TEST(record.payload.empty());
  BOOST_TEST(left.empty());
  BOOST_TEST(!take_record(left, record));

  for (std::size_t size = 1; size < record_bytes(payload.size()); ++size) {
    left = std::span<const std::byte>(body).first(size);
    BOOST_TEST(!take_record(left, record));
  }
}

BOOST_AUTO_TEST_CASE(a_segment_is_known_by_its_name) {
  BOOST_TEST(segment_name(17) == "log-17");
  BOOST_TEST(segment_number("log-17").value() == 17u);
  for (const char* name : {"log-", "log-0", "log-017", "log-1x", "torn-1", "log-99999999999999999999", "preparing"})
    BOOST_TEST(!segment_number(name).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
