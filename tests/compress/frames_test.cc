// SPDX-License-Identifier: Apache-2.0
#include "compress/frames.h"

#include <algorithm>

#include "engine/base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

std::vector<std::byte> text(std::size_t size) {
  Random random(size);
  std::vector<std::byte> bytes(size);
  for (std::byte& value : bytes) value = static_cast<std::byte>('a' + random.below(4));
  return bytes;
}

BOOST_AUTO_TEST_CASE(frames_come_back_and_are_appended) {
  for (const std::size_t size : {0u, 1u, 1000u, 200000u}) {
    const std::vector<std::byte> bytes = text(size);
    std::vector<std::byte> out(3, std::byte{7});
    REQUIRE_OK(compress_frame(bytes, 3, out));
    BOOST_TEST((out[0] == std::byte{7} && out[2] == std::byte{7}));
    if (size > 100) BOOST_TEST(out.size() < size / 2);
    std::vector<std::byte> back(size);
    REQUIRE_OK(decompress_frame(std::span<const std::byte>(out).subspan(3), back));
    BOOST_TEST((back == bytes));
  }
}

BOOST_AUTO_TEST_CASE(a_frame_of_another_size_or_with_more_behind_it_is_damage) {
  std::vector<std::byte> frame;
  REQUIRE_OK(compress_frame(text(1000), 3, frame));
  for (const std::size_t size : {0u, 999u, 1001u}) {
    std::vector<std::byte> back(size);
    BOOST_TEST((decompress_frame(frame, back).code() == Code::kCorrupt));
  }
  std::vector<std::byte> back(2000);
  std::vector<std::byte> twice = frame;
  twice.insert(twice.end(), frame.begin(), frame.end());
  BOOST_TEST((decompress_frame(twice, back).code() == Code::kCorrupt));
  BOOST_TEST((decompress_frame({}, back).code() == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(no_flipped_bit_or_cut_makes_decompression_leave_its_bounds) {
  std::vector<std::byte> frame;
  REQUIRE_OK(compress_frame(text(500), 3, frame));
  for (std::size_t bit = 0; bit < 8 * frame.size(); ++bit) {
    std::vector<std::byte> damaged = frame;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    if (bit % 3 == 0) damaged.resize(bit / 8);
    std::vector<std::byte> back(500);
    const Status status = decompress_frame(damaged, back);
    BOOST_TEST((status.is_ok() || status.code() == Code::kCorrupt));
  }
}

}  // namespace
}  // namespace vecstore
