// SPDX-License-Identifier: Apache-2.0
//
// What a put takes beside rows of the store's own dtype: nothing, and floats of the other width.
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/half.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::code_of;

namespace {

VectorView one(const std::vector<float>& vector) {
  return {reinterpret_cast<const std::byte*>(vector.data()), DType::kF32, 1, static_cast<std::uint32_t>(vector.size())};
}

Store open_for_writing(const std::string& path) {
  auto store = Store::open(path, {.access = Access::kReadWrite});
  REQUIRE_OK(store);
  return std::move(*store);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(put_shapes)

BOOST_AUTO_TEST_CASE(an_empty_batch_is_done) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.metric = Metric::kL2}));
  Store store = open_for_writing(path);
  const auto nothing = store.put_batch({}, {});
  REQUIRE_OK(nothing);
  BOOST_TEST(nothing->rows == 0u);
  BOOST_TEST(store.erase_batch({})->rows == 0u);
  const auto first = store.put(1, one({1, 0}));
  REQUIRE_OK(first);
  BOOST_TEST(store.put_batch({}, {})->lsn == first->lsn);
  const std::string_view document = "of no row";
  BOOST_CHECK(code_of(store.put_batch({}, {}, {&document, 1})) == Code::kInvalidArgument);
  BOOST_TEST(store.size() == 1u);
}

// Floats of the other width are taken row by row: f16 exactly, f32 as the nearest f16, and what no f16 holds is
// refused.
BOOST_AUTO_TEST_CASE(f16_and_f32_mix) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {2, DType::kF16, Metric::kCosine, KeyKind::kNumber}));
  Store store = open_for_writing(path);
  REQUIRE_OK(store.put(1, one({0.1f, -2.5f})));
  std::array<std::uint16_t, 2> kept;
  REQUIRE_OK(store.vector(*store.find(1), std::as_writable_bytes(std::span(kept))));
  BOOST_TEST((kept == std::array{float_to_half(0.1f), float_to_half(-2.5f)}));
  const Status beyond = store.put(2, one({70000, 1})).error();
  BOOST_CHECK(beyond.code() == Code::kInvalidInput);
  BOOST_TEST(beyond.message().find("65504") != std::string::npos, beyond.message());
  BOOST_CHECK(code_of(store.put(2, one({1e-9f, 0}))) == Code::kInvalidInput);  // zeros, as f16
  BOOST_CHECK(code_of(store.put(2, one({NAN, 1}))) == Code::kInvalidInput);
  BOOST_TEST(store.size() == 1u);

  const std::string wide = directory.path("wide");
  REQUIRE_OK(Store::create(wide, {2, DType::kF32, Metric::kL2, KeyKind::kNumber}));
  Store floats = open_for_writing(wide);
  REQUIRE_OK(floats.put(1, {reinterpret_cast<const std::byte*>(kept.data()), DType::kF16, 1, 2}));
  std::array<float, 2> widened;
  REQUIRE_OK(floats.vector(*floats.find(1), std::as_writable_bytes(std::span(widened))));
  BOOST_TEST((widened == std::array{half_to_float(kept[0]), -2.5f}));
}

BOOST_AUTO_TEST_SUITE_END()
