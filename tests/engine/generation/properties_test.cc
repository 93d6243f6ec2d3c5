// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/properties.h"

#include <limits>

#include "base/limits.h"
#include "base/random.h"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;

namespace {

CalibrationPoint point(std::uint32_t k, double target, std::uint32_t search_list) {
  return {k, target, target + 0.001, search_list, 40, 2.5f, 1.5 * search_list, search_list + 3};
}

StoreProperties some_properties() {
  StoreProperties properties;
  properties.metric = Metric::kCosine;
  properties.dtype = DType::kF16;
  properties.dim = 384;
  properties.rows = 100000;
  properties.rows_extents = 1;
  properties.keys = KeyKind::kBytes;
  properties.has_log = true;
  properties.calibrated_on = CalibratedOn::kGivenQueries;
  properties.width_recall = {.97, .995};
  properties.copies_share = .25f;
  properties.walks_in_memory = false;
  properties.calibration = {point(1, .8, 2),     point(1, .9, 4),     point(1, .99, 10),
                            point(10, .8, 12),   point(10, .9, 20),   point(10, .99, 60),
                            point(100, .8, 110), point(100, .9, 150), point(100, .99, 400)};
  return properties;
}

// Properties as versions up to 4 wrote them: without the recalls of widths and the share of copies.
std::vector<std::byte> of_version(std::uint8_t version, const StoreProperties& properties) {
  auto bytes = encode_properties(properties);
  bytes[0] = std::byte{version};
  constexpr std::size_t kAdded = 2 * sizeof(double) + sizeof(float) + 1;
  BOOST_REQUIRE(bytes.size() > kAdded);
  bytes.erase(bytes.end() - kAdded, bytes.end());
  return bytes;
}

// The rule in words: the least k that is enough, else the greatest; of its points the first that is enough, else the
// last.
const CalibrationPoint* slow_choice(const StoreProperties& properties, std::uint32_t k, double target) {
  std::uint32_t chosen_k = 0;
  for (const CalibrationPoint& each : properties.calibration) {
    if (chosen_k >= k) break;
    chosen_k = each.k;
  }
  const CalibrationPoint* chosen = nullptr;
  for (const CalibrationPoint& each : properties.calibration) {
    if (each.k != chosen_k || (chosen != nullptr && chosen->recall_target >= target)) continue;
    chosen = &each;
  }
  return chosen;
}

SearchOptions wish(std::uint32_t k, double target) {
  SearchOptions options;
  options.k = k;
  options.recall_target = target;
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(properties)

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  const StoreProperties written = some_properties();
  const auto read = decode_properties(encode_properties(written));
  REQUIRE_OK(read);
  BOOST_TEST((read->metric == written.metric && read->dtype == written.dtype));
  BOOST_TEST(read->dim == written.dim);
  BOOST_TEST(read->rows == written.rows);
  BOOST_TEST(read->rows_extents == 1u);
  BOOST_TEST((read->keys == KeyKind::kBytes));
  BOOST_TEST(read->has_log);
  BOOST_TEST(read->width_recall.bits8 == .97);
  BOOST_TEST(read->width_recall.bits16 == .995);
  BOOST_TEST(read->copies_share == .25f);
  BOOST_TEST(!read->walks_in_memory);
  BOOST_TEST((read->calibrated_on == written.calibrated_on));
  BOOST_REQUIRE_EQUAL(read->calibration.size(), written.calibration.size());
  for (std::size_t i = 0; i < written.calibration.size(); ++i) {
    BOOST_TEST(read->calibration[i].k == written.calibration[i].k);
    BOOST_TEST(read->calibration[i].search_list == written.calibration[i].search_list);
    BOOST_TEST(read->calibration[i].recall_target == written.calibration[i].recall_target);
    BOOST_TEST(read->calibration[i].reads_per_query == written.calibration[i].reads_per_query);
    BOOST_TEST(read->calibration[i].memory_list == written.calibration[i].memory_list);
  }
}

BOOST_AUTO_TEST_CASE(cut_or_longer_bytes_are_refused) {
  auto bytes = encode_properties(some_properties());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    BOOST_REQUIRE(code_of(decode_properties(std::span(bytes).first(size))) == Code::kCorrupt);
  bytes.push_back(std::byte{0});
  BOOST_CHECK(code_of(decode_properties(bytes)) == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(a_newer_version_is_told_from_damage) {
  auto bytes = encode_properties(some_properties());
  bytes[0] = std::byte{8};
  BOOST_CHECK(code_of(decode_properties(bytes)) == Code::kNewerFormat);
}

BOOST_AUTO_TEST_CASE(the_first_version_is_read) {
  const StoreProperties written = some_properties();
  auto bytes = of_version(1, written);
  // Its points ended before the list length of a search in memory.
  for (std::size_t i = written.calibration.size(); i-- > 0;) {
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(24 + (i + 1) * 44);
    bytes.erase(end - 4, end);
  }
  bytes.erase(bytes.begin() + 18, bytes.begin() + 20);  // nor did it know of kinds of keys, and of a log
  const auto read = decode_properties(bytes);
  REQUIRE_OK(read);
  BOOST_REQUIRE_EQUAL(read->calibration.size(), written.calibration.size());
  for (std::size_t i = 0; i < read->calibration.size(); ++i) {
    BOOST_TEST(read->calibration[i].search_list == written.calibration[i].search_list);
    BOOST_TEST(read->calibration[i].reads_per_query == written.calibration[i].reads_per_query);
    BOOST_TEST(read->calibration[i].memory_list == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_list_in_memory_of_the_third_version_was_never_below_k) {
  StoreProperties written = some_properties();
  for (CalibrationPoint& each : written.calibration) each.memory_list = 0;
  written.calibration[3].memory_list = 2;
  written.calibration[4].memory_list = 20;
  const auto read = decode_properties(of_version(3, written));
  REQUIRE_OK(read);
  BOOST_TEST(read->calibration[0].memory_list == 0u);
  BOOST_TEST(read->calibration[3].memory_list == 10u);
  BOOST_TEST(read->calibration[4].memory_list == 20u);
}

BOOST_AUTO_TEST_CASE(a_search_in_memory_takes_the_list_length_of_its_own) {
  StoreProperties properties = some_properties();
  for (CalibrationPoint& point : properties.calibration) point.memory_list = 0;
  const std::uint32_t on_disk = resolve_options(properties, wish(10, .95), false).search_list;
  BOOST_TEST(resolve_options(properties, wish(10, .95), true).search_list == on_disk * 3 / 2);
  properties.calibration[3].search_list = 4;  // k 10, as short as a disk may need
  BOOST_TEST(resolve_options(properties, wish(10, .8), true).search_list == 10u);
  for (CalibrationPoint& point : properties.calibration) point.memory_list = 7;
  BOOST_TEST(resolve_options(properties, wish(10, .95), true).search_list == 7u);
  BOOST_TEST(resolve_options(properties, wish(10, .95), false).search_list == on_disk);
  SearchOptions own = wish(10, .95);
  own.search_list = 99;
  BOOST_TEST(resolve_options(properties, own, true).search_list == 99u);
}

BOOST_AUTO_TEST_CASE(values_out_of_range_are_refused) {
  const auto refused = [](const auto& change) {
    StoreProperties properties = some_properties();
    change(properties);
    return code_of(decode_properties(encode_properties(properties))) == Code::kCorrupt;
  };
  BOOST_TEST(refused([](StoreProperties& p) { p.metric = static_cast<Metric>(3); }));
  BOOST_TEST(refused([](StoreProperties& p) { p.dtype = static_cast<DType>(4); }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibrated_on = static_cast<CalibratedOn>(3); }));
  BOOST_TEST(refused([](StoreProperties& p) { p.dim = 0; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.dim = kDimMax + 1; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.rows = kRowsMax + 1; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration[2].k = 0; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration[2].k = kResultsMax + 1; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration[2].search_list = 0; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration[2].search_list = kSearchListMax + 1; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration[2].blocks = 0; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration[2].bound = -1.0f; }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration[2].bound = std::numeric_limits<float>::quiet_NaN(); }));
  BOOST_TEST(refused([](StoreProperties& p) { p.calibration.resize(1001, p.calibration[0]); }));
}

// Whatever the bytes are, the answer is a Status or properties within the limits.
BOOST_AUTO_TEST_CASE(hostile_bytes_are_survived) {
  const auto bytes = encode_properties(some_properties());
  Random random(11);
  for (int trial = 0; trial < 20000; ++trial) {
    auto changed = bytes;
    const std::uint64_t changes = 1 + random.below(4);
    for (std::uint64_t i = 0; i < changes; ++i)
      changed[random.below(changed.size())] = static_cast<std::byte>(random.next());
    const auto read = decode_properties(changed);
    if (!read) continue;
    BOOST_REQUIRE(read->dim >= 1 && read->dim <= kDimMax && read->rows <= kRowsMax);
    const SearchOptions resolved = resolve_options(*read, wish(10, .95), false);
    BOOST_REQUIRE(resolved.search_list >= 1 && resolved.search_list <= kSearchListMax);
    BOOST_REQUIRE(resolved.bound >= 0);
  }
}

BOOST_AUTO_TEST_CASE(the_next_greater_point_is_taken) {
  const StoreProperties properties = some_properties();
  for (const std::uint32_t k : {1u, 2u, 5u, 10u, 11u, 64u, 100u})
    for (const double target : {.5, .8, .81, .9, .95, .99, .995, 1.0}) {
      const SearchOptions resolved = resolve_options(properties, wish(k, target), false);
      const CalibrationPoint* expected = slow_choice(properties, k, target);
      BOOST_TEST_CONTEXT("k " << k << " target " << target) {
        BOOST_TEST(resolved.search_list == expected->search_list);
        BOOST_TEST(resolved.blocks == expected->blocks);
        BOOST_TEST(resolved.bound == expected->bound);
        BOOST_TEST((resolved.k == k && resolved.recall_target == target));
      }
    }
}

BOOST_AUTO_TEST_CASE(beyond_the_greatest_k_the_list_grows_in_proportion) {
  const StoreProperties properties = some_properties();
  BOOST_TEST(resolve_options(properties, wish(200, .9), false).search_list == 300u);
  BOOST_TEST(resolve_options(properties, wish(1000, .8), false).search_list == 1100u);
  BOOST_TEST(resolve_options(properties, wish(150, .99), false).search_list == 600u);
  BOOST_TEST(resolve_options(properties, wish(1000, .99), false).search_list == 4000u);
  StoreProperties wide = properties;
  wide.calibration.back().search_list = 512;
  BOOST_TEST(resolve_options(wide, wish(1000, 1.0), false).search_list == kSearchListMax);
}

// Else a long list would find no more than the longest that was calibrated: the bound would keep it from reading.
BOOST_AUTO_TEST_CASE(a_list_longer_than_any_calibrated_looks_at_more) {
  const StoreProperties properties = some_properties();
  const SearchOptions longest = resolve_options(properties, wish(10, .99), false);
  SearchOptions options = wish(10, .9);
  const SearchOptions calibrated = resolve_options(properties, options, false);
  options.search_list = longest.search_list;
  SearchOptions resolved = resolve_options(properties, options, false);
  BOOST_TEST((resolved.blocks == calibrated.blocks && resolved.bound == calibrated.bound));
  options.search_list = 4 * longest.search_list;
  resolved = resolve_options(properties, options, false);
  BOOST_TEST(resolved.blocks == 2 * calibrated.blocks);
  BOOST_TEST(resolved.bound == calibrated.bound + 1);
  options.blocks = 7;
  options.bound = 1;
  resolved = resolve_options(properties, options, false);
  BOOST_TEST((resolved.blocks == 7 && resolved.bound == 1));
  // Nor where what was calibrated is very long itself.
  StoreProperties odd = properties;
  for (CalibrationPoint& point : odd.calibration) point.search_list = 400;
  options = wish(10, .9);
  options.search_list = 1000;
  BOOST_TEST(resolve_options(odd, options, false).bound > calibrated.bound + 1.5f);
  const SearchOptions by_default = resolve_options({}, wish(10, .9), false);
  options = wish(10, .9);
  options.search_list = 2 * by_default.search_list;
  resolved = resolve_options({}, options, false);
  BOOST_TEST(resolved.blocks > by_default.blocks);
  BOOST_TEST(resolved.bound > by_default.bound);
}

BOOST_AUTO_TEST_CASE(what_is_given_is_kept) {
  SearchOptions options = wish(10, .9);
  options.search_list = 7;
  SearchOptions resolved = resolve_options(some_properties(), options, false);
  BOOST_TEST((resolved.search_list == 7 && resolved.blocks == 40 && resolved.bound == 2.5f));
  options.blocks = 3;
  options.bound = 0.0f;
  options.full_precision = true;
  resolved = resolve_options(some_properties(), options, false);
  BOOST_TEST((resolved.search_list == 7 && resolved.blocks == 3 && resolved.bound == 0.0f && resolved.full_precision));
}

BOOST_AUTO_TEST_CASE(without_calibration_there_are_defaults) {
  const SearchOptions resolved = resolve_options({}, wish(10, .95), false);
  BOOST_TEST(resolved.search_list >= 10u);
  BOOST_TEST(resolved.blocks >= 1u);
  BOOST_TEST(resolved.bound > 0);
  BOOST_TEST(resolve_options({}, wish(1000, .95), false).search_list >= 1000u);
}

BOOST_AUTO_TEST_SUITE_END()
