// SPDX-License-Identifier: Apache-2.0
#include "compress/frames.h"

#include <algorithm>

#include "base/memory.h"
#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using test::code_of;

std::vector<std::byte> text(std::size_t size) {
  Random random(size);
  std::vector<std::byte> bytes(size);
  for (std::byte& value : bytes) value = static_cast<std::byte>('a' + random.below(4));
  return bytes;
}

std::vector<std::byte> frame_of(std::span<const std::byte> bytes) {
  MemoryBudget budget;
  const auto packer = FramePacker::create(nullptr, budget);
  REQUIRE_OK(packer);
  std::vector<std::byte> room(bytes.size() + 1000);
  const auto frame = (*packer)->pack(bytes, room);
  REQUIRE_OK(frame);
  return {frame->begin(), frame->end()};
}

BOOST_AUTO_TEST_CASE(frames_come_back) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, FramePacker::kBytesMax}) {
    const std::vector<std::byte> bytes = text(size);
    const std::vector<std::byte> frame = frame_of(bytes);
    if (size > 100) BOOST_TEST(frame.size() < size / 2);
    std::vector<std::byte> back(size);
    REQUIRE_OK(decompress_frame(frame, back));
    BOOST_TEST((back == bytes));
  }
}

BOOST_AUTO_TEST_CASE(a_frame_of_another_size_or_with_more_behind_it_is_damage) {
  const std::vector<std::byte> frame = frame_of(text(1000));
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
  const std::vector<std::byte> frame = frame_of(text(500));
  for (std::size_t bit = 0; bit < 8 * frame.size(); ++bit) {
    std::vector<std::byte> damaged = frame;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    if (bit % 3 == 0) damaged.resize(bit / 8);
    std::vector<std::byte> back(500);
    const Status status = decompress_frame(damaged, back);
    BOOST_TEST((status.is_ok() || status.code() == Code::kCorrupt));
  }
}

std::vector<std::byte> record(std::uint64_t number) {
  const std::string text = R"({"title":"Function )" + std::to_string(number * 7919 % 1000) +
                           R"(","library":"kernel32.lib","header":"winbase.h","text":"Retrieves the )" +
                           std::to_string(number) + R"(th handle of the calling process."})";
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> trained() {
  std::vector<std::byte> samples;
  std::vector<std::size_t> sizes;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::vector<std::byte> one = record(i);
    samples.insert(samples.end(), one.begin(), one.end());
    sizes.push_back(one.size());
  }
  return train_dictionary(samples, sizes);
}

BOOST_AUTO_TEST_CASE(a_dictionary_makes_small_frames_smaller) {
  MemoryBudget budget;
  const auto dictionary = FrameDictionary::open(trained(), budget);
  REQUIRE_OK(dictionary);
  const auto alone = FramePacker::create(nullptr, budget);
  const auto with = FramePacker::create(dictionary->get(), budget);
  REQUIRE_OK(alone);
  REQUIRE_OK(with);
  std::size_t bytes_alone = 0;
  std::size_t bytes_with = 0;
  std::vector<std::byte> room(1000);
  for (std::uint64_t i = 2000; i < 2100; ++i) {
    const std::vector<std::byte> one = record(i);
    std::vector<std::byte> back(one.size());
    const auto frame = *(*alone)->pack(one, room);
    bytes_alone += frame.size();
    REQUIRE_OK(decompress_frame(frame, back, dictionary->get()));  // one made without is read with it
    BOOST_TEST((back == one));
    const auto small = *(*with)->pack(one, room);
    bytes_with += small.size();
    std::ranges::fill(back, std::byte{0});
    REQUIRE_OK(decompress_frame(small, back, dictionary->get()));
    BOOST_TEST((back == one));
    BOOST_TEST((decompress_frame(small, back).code() == Code::kCorrupt));  // but not the other way round
  }
  BOOST_TEST(bytes_with < bytes_alone / 2);
  const auto too_small = (*with)->pack(record(1), std::span(room).first(4));
  REQUIRE_OK(too_small);
  BOOST_TEST(too_small->empty());
}

BOOST_AUTO_TEST_CASE(no_flipped_bit_makes_a_frame_with_a_dictionary_leave_its_bounds) {
  MemoryBudget budget;
  const auto dictionary = FrameDictionary::open(trained(), budget);
  REQUIRE_OK(dictionary);
  const auto packer = FramePacker::create(dictionary->get(), budget);
  REQUIRE_OK(packer);
  const std::vector<std::byte> one = record(5000);
  std::vector<std::byte> room(1000);
  const auto frame = *(*packer)->pack(one, room);
  for (std::size_t bit = 0; bit < 8 * frame.size(); ++bit) {
    std::vector<std::byte> damaged(frame.begin(), frame.end());
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    std::vector<std::byte> back(one.size());
    const Status status = decompress_frame(damaged, back, dictionary->get());
    BOOST_TEST((status.is_ok() || status.code() == Code::kCorrupt));
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_dictionary_is_told) {
  MemoryBudget budget;
  const std::vector<std::byte> whole = trained();
  BOOST_TEST((code_of(FrameDictionary::open({}, budget)) == Code::kCorrupt));
  BOOST_TEST((code_of(FrameDictionary::open(text(1000), budget)) == Code::kCorrupt));
  BOOST_TEST((code_of(FrameDictionary::open(std::span(whole).first(20), budget)) == Code::kCorrupt));
  std::vector<std::byte> large = whole;
  large.resize(FrameDictionary::kBytesMax + 1);
  BOOST_TEST((code_of(FrameDictionary::open(large, budget)) == Code::kCorrupt));
  for (std::size_t bit = 0; bit < std::size_t{8} * 300; ++bit) {
    std::vector<std::byte> damaged = whole;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const auto opened = FrameDictionary::open(damaged, budget);
    BOOST_TEST((opened.has_value() || opened.error().code() == Code::kCorrupt));
  }
  MemoryBudget small(1000);
  BOOST_TEST((code_of(FrameDictionary::open(whole, small)) == Code::kMemoryBudget));
  BOOST_TEST((code_of(FramePacker::create(nullptr, small)) == Code::kMemoryBudget));
}

BOOST_AUTO_TEST_CASE(too_few_samples_make_no_dictionary) {
  const std::vector<std::byte> one = record(1);
  const std::vector<std::size_t> sizes = {one.size()};
  BOOST_TEST(train_dictionary(one, sizes).empty());
  BOOST_TEST(train_dictionary({}, {}).empty());
}

}  // namespace
}  // namespace vecstore
