// SPDX-License-Identifier: Apache-2.0
//
// Properties as they were written before pages had widths, and why a recall is out of reach.
#include <cstring>

#include "engine/generation/properties.h"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;

namespace {

constexpr std::size_t kBytesOfFive = 20 + 1;  // what version 5 added at the end

StoreProperties some_properties() {
  StoreProperties properties;
  properties.metric = Metric::kInnerProduct;
  properties.dtype = DType::kF32;
  properties.dim = 96;
  properties.rows = 12345;
  properties.keys = KeyKind::kBytes;
  properties.rows_extents = 1;
  properties.calibrated_on = CalibratedOn::kOwnRows;
  properties.width_recall = {.875, .99609375};
  properties.copies_share = .625f;
  properties.calibration = {{10, .9, .91, 20, 40, 2.0f, 11.5, 23}, {10, .95, .96, 30, 40, 2.0f, 17.5, 33}};
  return properties;
}

GraphLayout layout_of(std::uint32_t bits) {
  GraphLayout layout;
  layout.value_bits = bits;
  return layout;
}

bool names(std::string_view reason, std::string_view word) { return reason.find(word) != std::string_view::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(properties_versions)

BOOST_AUTO_TEST_CASE(the_fifth_version_tells_of_widths_and_copies) {
  const StoreProperties written = some_properties();
  const auto bytes = encode_properties(written);
  BOOST_TEST((bytes[0] == std::byte{5} && bytes[1] == std::byte{0}));
  const auto read = decode_properties(bytes);
  REQUIRE_OK(read);
  BOOST_TEST(read->width_recall.bits8 == .875);
  BOOST_TEST(read->width_recall.bits16 == .99609375);
  BOOST_TEST(read->copies_share == .625f);
  BOOST_REQUIRE_EQUAL(read->calibration.size(), 2u);
  BOOST_TEST(read->calibration[1].memory_list == 33u);
  BOOST_TEST((encode_properties(*read) == bytes));
  double bits8 = 0;  // where README says they lie: last of all
  float copies = 0;
  std::memcpy(&bits8, bytes.data() + bytes.size() - kBytesOfFive, sizeof bits8);
  std::memcpy(&copies, bytes.data() + bytes.size() - 1 - sizeof copies, sizeof copies);
  BOOST_TEST(bits8 == .875);
  BOOST_TEST(copies == .625f);
}

BOOST_AUTO_TEST_CASE(the_fourth_version_knew_of_neither) {
  const StoreProperties written = some_properties();
  auto bytes = encode_properties(written);
  bytes[0] = std::byte{4};
  BOOST_TEST((code_of(decode_properties(bytes)) == Code::kCorrupt), "it is longer than that version is");
  bytes.resize(bytes.size() - kBytesOfFive);
  const auto read = decode_properties(bytes);
  REQUIRE_OK(read);
  BOOST_TEST(read->width_recall.bits8 == -1);
  BOOST_TEST(read->width_recall.bits16 == -1);
  BOOST_TEST(read->copies_share == 0.0f);
  BOOST_TEST(read->rows == written.rows);
  BOOST_REQUIRE_EQUAL(read->calibration.size(), 2u);
  BOOST_TEST(read->calibration[0].memory_list == 23u);
  bytes[0] = std::byte{5};
  BOOST_TEST((code_of(decode_properties(bytes)) == Code::kCorrupt), "it is shorter than that version is");
  bytes[0] = std::byte{6};
  BOOST_TEST((code_of(decode_properties(bytes)) == Code::kCorrupt), "it is shorter still than that version is");
}

BOOST_AUTO_TEST_CASE(why_a_target_is_missed_names_what_would_help) {
  StoreProperties properties = some_properties();
  properties.copies_share = .5f;
  BOOST_TEST(names(why_missed(properties, layout_of(8), .95), "--vectors"));  // .875 of pages
  BOOST_TEST(!names(why_missed(properties, layout_of(8), .8), "--vectors"));
  BOOST_TEST(names(why_missed(properties, layout_of(8), .8), "--code-bytes"));
  BOOST_TEST(!names(why_missed(properties, layout_of(16), .95), "--vectors"));
  BOOST_TEST(names(why_missed(properties, layout_of(16), .999), "--vectors"));
  BOOST_TEST(!names(why_missed(properties, layout_of(32), .999), "--vectors"));
  properties.width_recall = {};
  BOOST_TEST(!names(why_missed(properties, layout_of(8), .95), "--vectors"));
  properties.copies_share = .51f;
  BOOST_TEST(names(why_missed(properties, layout_of(8), .95), "copies"));
}

BOOST_AUTO_TEST_SUITE_END()
