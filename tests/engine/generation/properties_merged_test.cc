// SPDX-License-Identifier: Apache-2.0
//
// Version 6 of the properties: where RowIds go on behind gaps, and what the store was built by.
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "engine/generation/properties.h"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;

namespace {

StoreProperties plain_properties() {
  StoreProperties properties;
  properties.metric = Metric::kInnerProduct;
  properties.dtype = DType::kI8;
  properties.dim = 96;
  properties.rows = 12345;
  properties.row_end = 12345;
  properties.keys = KeyKind::kBytes;
  properties.has_log = true;
  properties.rows_extents = 1;
  properties.calibrated_on = CalibratedOn::kOwnRows;
  properties.width_recall = {.875, .99609375};
  properties.copies_share = .625f;
  properties.calibration = {{10, .9, .91, 20, 40, 2.0f, 11.5, 23}, {10, .95, .96, 30, 40, 2.0f, 17.5, 33}};
  return properties;
}

StoreProperties merged_properties() {
  StoreProperties properties = plain_properties();
  properties.row_end = 99999;
  properties.rows_changed = 777;
  properties.trained_error = 2.5f;
  properties.choices = {Codec::kPq, false, 48, 16, 8192, 40, 77, 1.5f, 123456789};
  return properties;
}

// As README says, with nothing of the code under test.
std::vector<std::byte> slow_encoding(const StoreProperties& properties, std::uint16_t version) {
  ByteWriter out;
  out.write(version);
  out.write(std::uint8_t{1});
  out.write(std::uint8_t{3});
  out.write(std::uint32_t{96});
  out.write(std::uint64_t{12345});
  for (int flag = 0; flag < 4; ++flag) out.write(std::uint8_t{1});
  out.write(std::uint32_t{2});
  for (const CalibrationPoint& point : properties.calibration) {
    out.write(point.k);
    out.write(point.search_list);
    out.write(point.blocks);
    out.write(point.bound);
    out.write(point.recall_target);
    out.write(point.recall);
    out.write(point.reads_per_query);
    out.write(point.memory_list);
  }
  out.write(.875);
  out.write(.99609375);
  out.write(.625f);
  out.write(std::uint8_t{1});
  if (version == 5) return std::move(out).take();
  out.write(std::uint64_t{99999});
  out.write(std::uint64_t{777});
  out.write(2.5f);
  out.write(static_cast<std::uint8_t>(Codec::kPq));
  out.write(std::uint8_t{0});
  for (const std::uint32_t value : {48u, 16u, 8192u, 40u, 77u}) out.write(value);
  out.write(1.5f);
  out.write(std::uint64_t{123456789});
  return std::move(out).take();
}

constexpr std::size_t kBytesOfSix = 8 + 8 + 4 + 2 + 5 * 4 + 4 + 8;  // what version 6 added at the end
constexpr std::size_t kCodecFromEnd = kBytesOfSix - 20;

}  // namespace

BOOST_AUTO_TEST_SUITE(properties_merged)

BOOST_AUTO_TEST_CASE(what_a_merge_needs_is_read_as_it_was_written) {
  const StoreProperties written = merged_properties();
  const auto bytes = encode_properties(written);
  BOOST_TEST((bytes == slow_encoding(written, 6)));
  const auto read = decode_properties(bytes);
  REQUIRE_OK(read);
  BOOST_TEST(read->row_end == 99999u);
  BOOST_CHECK(read->choices == written.choices);
  BOOST_TEST(read->rows == written.rows);
  BOOST_REQUIRE_EQUAL(read->calibration.size(), 2u);
  BOOST_TEST((encode_properties(*read) == bytes));
}

BOOST_AUTO_TEST_CASE(a_store_without_gaps_and_choices_is_written_as_before) {
  const StoreProperties written = plain_properties();
  BOOST_TEST((encode_properties(written) == slow_encoding(written, 5)));
  StoreProperties unset = written;
  unset.row_end = 0;  // who builds need not say where RowIds end
  BOOST_TEST((encode_properties(unset) == slow_encoding(written, 5)));
  const auto read = decode_properties(encode_properties(unset));
  REQUIRE_OK(read);
  BOOST_TEST(read->row_end == written.rows);
  BOOST_CHECK(read->choices == BuildChoices{});
}

BOOST_AUTO_TEST_CASE(whatever_differs_by_itself_is_written) {
  const std::vector<std::function<void(StoreProperties&)>> changes = {
      [](StoreProperties& p) { p.row_end = p.rows + 1; },
      [](StoreProperties& p) { p.choices.codec = Codec::kPq; },
      [](StoreProperties& p) { p.choices.calibrate = false; },
      [](StoreProperties& p) { p.choices.code_bytes = 1; },
      [](StoreProperties& p) { p.choices.vector_bits = 8; },
      [](StoreProperties& p) { p.choices.page_bytes = 4096; },
      [](StoreProperties& p) { p.choices.max_degree = 33; },
      [](StoreProperties& p) { p.choices.build_list = 34; },
      [](StoreProperties& p) { p.choices.alpha = 1.25f; },
      [](StoreProperties& p) { p.choices.search_ram_bytes = 1; },
  };
  for (const auto& change : changes) {
    StoreProperties written = plain_properties();
    change(written);
    const auto bytes = encode_properties(written);
    BOOST_TEST((bytes[0] == std::byte{6}));
    const auto read = decode_properties(bytes);
    REQUIRE_OK(read);
    BOOST_TEST(read->row_end == written.row_end);
    BOOST_CHECK(read->choices == written.choices);
  }
}

BOOST_AUTO_TEST_CASE(merged_properties_that_are_cut_or_longer_are_refused) {
  auto bytes = encode_properties(merged_properties());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    BOOST_REQUIRE(code_of(decode_properties(std::span(bytes).first(size))) == Code::kCorrupt);
  bytes.push_back(std::byte{0});
  BOOST_CHECK(code_of(decode_properties(bytes)) == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(versions_are_not_taken_for_one_another) {
  auto merged = encode_properties(merged_properties());
  merged[0] = std::byte{5};
  BOOST_CHECK(code_of(decode_properties(merged)) == Code::kCorrupt);
  auto plain = encode_properties(plain_properties());
  plain[0] = std::byte{6};
  BOOST_CHECK(code_of(decode_properties(plain)) == Code::kCorrupt);
  plain[0] = std::byte{7};
  BOOST_CHECK(code_of(decode_properties(plain)) == Code::kCorrupt);
  plain[0] = std::byte{8};
  BOOST_CHECK(code_of(decode_properties(plain)) == Code::kNewerFormat);
}

// Who knows one extent alone must not open such a store.
BOOST_AUTO_TEST_CASE(extents_of_generations_before_take_a_version_of_their_own) {
  for (const std::uint32_t extents : {1u, 2u, 17u}) {
    StoreProperties written = merged_properties();
    written.rows_extents = extents;
    written.keeps_extents = true;
    const auto bytes = encode_properties(written);
    BOOST_TEST((bytes[0] == std::byte{7}));
    const auto read = decode_properties(bytes);
    REQUIRE_OK(read);
    BOOST_TEST(read->rows_extents == extents);
    BOOST_TEST(read->keeps_extents);
    BOOST_TEST((encode_properties(*read) == bytes));
    auto none = bytes;
    std::fill(none.end() - 4, none.end(), std::byte{0});
    BOOST_CHECK(code_of(decode_properties(none)) == Code::kCorrupt);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      BOOST_REQUIRE(code_of(decode_properties(std::span(bytes).first(size))) == Code::kCorrupt);
  }
}

// Every value of every byte: refused, or properties within the limits, which read the same when they are written.
BOOST_AUTO_TEST_CASE(a_changed_byte_is_refused_or_harmless) {
  const auto bytes = encode_properties(merged_properties());
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (unsigned value = 0; value < 256; ++value) {
      auto changed = bytes;
      changed[at] = static_cast<std::byte>(value);
      const auto read = decode_properties(changed);
      if (!read) {
        BOOST_REQUIRE(read.error().code() == Code::kCorrupt || read.error().code() == Code::kNewerFormat);
        continue;
      }
      BOOST_REQUIRE(read->row_end >= read->rows);
      BOOST_REQUIRE(read->rows <= kRowsMax);
      BOOST_REQUIRE(read->choices.codec <= Codec::kAutomatic);
      const auto again = encode_properties(*read);
      const auto reread = decode_properties(again);
      REQUIRE_OK(reread);
      BOOST_REQUIRE(encode_properties(*reread) == again);
    }
}

BOOST_AUTO_TEST_CASE(row_ids_that_end_before_the_rows_do_are_refused) {
  auto bytes = encode_properties(merged_properties());
  std::byte* const row_end = bytes.data() + bytes.size() - kBytesOfSix;
  const auto code_with = [&](std::uint64_t end) {
    std::memcpy(row_end, &end, sizeof end);
    return code_of(decode_properties(bytes));
  };
  BOOST_CHECK(code_with(12345) == Code::kOk);
  BOOST_CHECK(code_with(12344) == Code::kCorrupt);
  BOOST_CHECK(code_with(0) == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(a_codec_that_nobody_knows_is_refused) {
  auto bytes = encode_properties(merged_properties());
  std::byte& codec = bytes[bytes.size() - kCodecFromEnd];
  BOOST_REQUIRE(codec == static_cast<std::byte>(Codec::kPq));
  for (unsigned value = 0; value < 256; ++value) {
    codec = static_cast<std::byte>(value);
    const bool is_known = value <= static_cast<unsigned>(Codec::kAutomatic);
    BOOST_REQUIRE(code_of(decode_properties(bytes)) == (is_known ? Code::kOk : Code::kCorrupt));
  }
}

BOOST_AUTO_TEST_SUITE_END()
