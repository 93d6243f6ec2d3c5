// SPDX-License-Identifier: Apache-2.0
#include "compress/neighbour_list.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/limits.h"
#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

std::vector<Pos> random_list(Random& random, Pos self, Pos rows, std::size_t degree) {
  std::set<Pos> positions;
  while (positions.size() < degree) {
    const auto position = static_cast<Pos>(random.below(rows));
    if (position != self) positions.insert(position);
  }
  return {positions.begin(), positions.end()};
}

std::vector<std::byte> encoded(Pos self, const std::vector<Pos>& sorted) {
  std::vector<std::byte> bytes(neighbour_list_bytes(self, sorted) + 1, std::byte{0xEE});
  BOOST_REQUIRE(encode_neighbours(self, sorted, bytes.data()) == bytes.size() - 1);
  BOOST_REQUIRE(bytes.back() == std::byte{0xEE});
  bytes.pop_back();
  return bytes;
}

std::size_t decode(Pos self, const std::vector<std::byte>& bytes, Pos rows, std::vector<Pos>& out,
                   std::size_t capacity) {
  out.assign(capacity, kNoPos);
  const std::size_t degree = decode_neighbours(self, bytes, rows, out.data(), capacity);
  if (degree != kDamagedList) out.resize(degree);
  return degree;
}

BOOST_AUTO_TEST_CASE(random_lists_come_back) {
  Random random(1);
  std::vector<Pos> decoded;
  for (int round = 0; round < 3000; ++round) {
    const Pos rows = round % 3 == 0 ? 300u : round % 3 == 1 ? 1000000u : static_cast<Pos>(kRowsMax);
    const auto self = static_cast<Pos>(random.below(rows));
    const std::vector<Pos> sorted = random_list(random, self, rows, random.below(kDegreeMax + 1));
    const std::vector<std::byte> bytes = encoded(self, sorted);
    BOOST_REQUIRE(decode(self, bytes, rows, decoded, kDegreeMax) == sorted.size());
    BOOST_REQUIRE(decoded == sorted);
  }
}

BOOST_AUTO_TEST_CASE(the_extremes_of_the_position_space_come_back) {
  const auto rows = static_cast<Pos>(kRowsMax);
  const Pos last = rows - 1;
  std::vector<Pos> decoded;
  for (const Pos self : {Pos{0}, Pos{1}, last}) {
    for (const std::vector<Pos>& sorted :
         std::vector<std::vector<Pos>>{{}, {2}, {2, last - 1}, {last - 2, last - 1}, {2, 3, 4, 5}}) {
      BOOST_REQUIRE(decode(self, encoded(self, sorted), rows, decoded, 8) == sorted.size());
      BOOST_TEST(decoded == sorted);
    }
  }
}

BOOST_AUTO_TEST_CASE(close_neighbours_take_one_byte_each) {
  const std::vector<Pos> sorted = {1000, 1001, 1003, 1100};
  BOOST_TEST(encoded(1010, sorted).size() == 4u);
}

BOOST_AUTO_TEST_CASE(more_than_the_capacity_a_position_out_of_range_and_self_are_damage) {
  std::vector<Pos> decoded;
  const std::vector<std::byte> bytes = encoded(5, {3, 7, 9});
  BOOST_TEST(decode(5, bytes, 10, decoded, 3) == 3u);
  BOOST_TEST(decode(5, bytes, 10, decoded, 2) == kDamagedList);
  BOOST_TEST(decode(5, bytes, 9, decoded, 3) == kDamagedList);
  BOOST_TEST(decode(5, {std::byte{0}}, 10, decoded, 3) == kDamagedList);                // first == self
  BOOST_TEST(decode(5, {std::byte{1}, std::byte{0}}, 10, decoded, 3) == kDamagedList);  // 4, then self
  BOOST_TEST(decode(0, {std::byte{1}}, 10, decoded, 3) == kDamagedList);                // −1
}

BOOST_AUTO_TEST_CASE(a_varint_that_is_cut_off_or_padded_or_too_long_is_damage) {
  std::vector<Pos> decoded;
  BOOST_TEST(decode(5, {std::byte{0x82}}, 1000, decoded, 3) == kDamagedList);
  BOOST_TEST(decode(5, {std::byte{0x82}, std::byte{0}}, 1000, decoded, 3) == kDamagedList);
  const std::vector<std::byte> endless(6, std::byte{0x81});
  BOOST_TEST(decode(5, endless, 1000, decoded, 3) == kDamagedList);
}

// Each input lies in an allocation of its own exact size, so that the address sanitizer sees any step outside it.
BOOST_AUTO_TEST_CASE(no_bytes_make_the_decoder_leave_its_bounds_and_what_it_accepts_is_a_list) {
  Random random(2);
  std::size_t accepted = 0;
  for (int round = 0; round < 60000; ++round) {
    const auto rows = static_cast<Pos>(1 + random.below(round % 2 == 0 ? 5000 : kRowsMax));
    const auto self = static_cast<Pos>(random.below(rows));
    std::vector<std::byte> bytes;
    if (round % 4 < 2 && rows > 64) {
      bytes = encoded(self, random_list(random, self, rows, 1 + random.below(20)));
      bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1u << random.below(8));
      bytes.resize(random.below(bytes.size()) + 1);
    } else {
      bytes.resize(random.below(40));
      for (std::byte& value : bytes) value = static_cast<std::byte>(random.below(256));
    }
    bytes.shrink_to_fit();
    std::vector<Pos> decoded;
    const std::size_t degree = decode(self, bytes, rows, decoded, random.below(20));
    if (degree == kDamagedList) continue;
    ++accepted;
    for (std::size_t i = 0; i < degree; ++i) {
      BOOST_REQUIRE(decoded[i] < rows);
      BOOST_REQUIRE(decoded[i] != self);
      BOOST_REQUIRE((i == 0 || decoded[i] > decoded[i - 1]));
    }
    BOOST_REQUIRE(encoded(self, decoded) == bytes);
  }
  BOOST_TEST(accepted > 1000u);
}

}  // namespace
}  // namespace vecstore
