// SPDX-License-Identifier: Apache-2.0
//
// Stores of a version that did not note what their build was asked for: merges keep to what their graph tells of it.
#include "engine/merge/old_choices.h"

#include "engine/generation/file_names.h"
#include "pagestore/publish.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

Result<StoreDirectory> directory_of(const std::string& path, LockMode mode) {
  return StoreDirectory::open(FileSystem::posix(), kStoreNames, path, mode);
}

BuildChoices choices_at(const std::string& path) {
  const auto directory = directory_of(path, LockMode::kShared);
  REQUIRE_OK(directory);
  MemoryBudget budget;
  const auto content = Content::open(FileSystem::posix(), *directory, budget, nullptr);
  REQUIRE_OK(content);
  return choices_of(**content);
}

// As a version of before would have published it: properties of version 5.
void forget_choices(const std::string& path) {
  auto directory = directory_of(path, LockMode::kExclusive);
  REQUIRE_OK(directory);
  Manifest manifest = *directory->manifest();
  auto properties = decode_properties(manifest.properties);
  REQUIRE_OK(properties);
  properties->choices = {};
  manifest.properties = encode_properties(*properties);
  BOOST_REQUIRE(manifest.properties[0] == std::byte{5});
  REQUIRE_OK(directory->publish(std::move(manifest)));
}

// Puts the first row again, and merges; returns what the graph is then.
StoreInfo merged(const std::string& path, const Matrix& base) {
  auto store = Store::open(path, {.access = Access::kReadWrite, .merge = MergePolicy::kManual});
  REQUIRE_OK(store);
  REQUIRE_OK(store->put(base.rows() + 1, base.row(0)));
  REQUIRE_OK(store->compact());
  return store->info();
}

void check_same_shape(const StoreInfo& before, const StoreInfo& after) {
  BOOST_TEST(after.generation > before.generation);
  BOOST_TEST(after.page_bytes == before.page_bytes);
  BOOST_TEST(after.vector_bits == before.vector_bits);
  BOOST_TEST(after.codec == before.codec);
  BOOST_TEST(after.code_bytes == before.code_bytes);
}

StoreInfo info_of(const std::string& path) {
  const auto store = Store::open(path);
  REQUIRE_OK(store);
  return store->info();
}

BOOST_AUTO_TEST_SUITE(old_choices)

BOOST_AUTO_TEST_CASE(what_was_asked_for_is_told_from_the_graph) {
  const TemporaryDirectory directory;
  const Matrix bytes = csift(1500);
  BuildOptions options = build_options(Metric::kL2);
  options.max_degree = 16;
  options.page_bytes = 8192;
  options.code_bytes = 16;
  options.codec = Codec::kRabitq;
  const std::string path = directory.path("bytes");
  REQUIRE_OK(Store::build(path, *view_source(bytes.view()), options));
  forget_choices(path);
  const StoreInfo before = info_of(path);
  const BuildChoices told = choices_at(path);
  BOOST_TEST(told.page_bytes == 8192u);
  BOOST_TEST(told.code_bytes == before.code_bytes);
  BOOST_TEST((told.codec == Codec::kRabitq));
  BOOST_TEST(told.max_degree == before.max_degree);
  BOOST_TEST(told.vector_bits == 0u);  // bytes have no other width
  for (int merge = 0; merge < 2; ++merge) {
    const StoreInfo after = merged(path, bytes);
    check_same_shape(before, after);
    BOOST_TEST(after.max_degree <= before.max_degree + 1);
  }
}

BOOST_AUTO_TEST_CASE(the_width_of_values_that_was_asked_for_stays) {
  for (const std::uint32_t bits : {8u, 16u, 32u}) {
    const TemporaryDirectory directory;
    const Matrix floats = recut(DType::kF32, 24, 400);
    BuildOptions options = build_options(Metric::kL2);
    options.vector_bits = bits;
    const std::string path = directory.path("floats");
    REQUIRE_OK(Store::build(path, *view_source(floats.view()), options));
    forget_choices(path);
    const StoreInfo before = info_of(path);
    BOOST_TEST(before.vector_bits == bits);
    if (bits != 8) BOOST_TEST(choices_at(path).vector_bits == bits);  // those are what is measured to be enough
    check_same_shape(before, merged(path, floats));
  }
}

// Nothing is taken for a choice that was none: as the store grows, the default may become another.
BOOST_AUTO_TEST_CASE(what_was_left_open_stays_open) {
  struct Shape {
    DType dtype;
    std::uint32_t dim;
    Metric metric;
    std::uint64_t rows;
  };
  const std::vector<Shape> shapes = {
      {DType::kU8, 128, Metric::kL2, 1500},          {DType::kU8, 128, Metric::kL2, 20},
      {DType::kI8, 24, Metric::kCosine, 300},        {DType::kF16, 384, Metric::kCosine, 600},
      {DType::kF32, 20, Metric::kInnerProduct, 300}, {DType::kF32, 3, Metric::kL2, 40},
      {DType::kF32, 700, Metric::kL2, 200},          {DType::kU8, 1000, Metric::kL2, 100}};
  for (const Shape& shape : shapes)
    BOOST_TEST_CONTEXT(name_of(shape.dtype) << ", " << shape.dim << " dimensions, " << shape.rows << " rows") {
      const TemporaryDirectory directory;
      const std::string path = directory.path("store");
      const Matrix base = recut(shape.dtype, shape.dim, shape.rows);
      BuildOptions options = build_options(shape.metric);
      options.calibrate = true;  // as by default
      REQUIRE_OK(Store::build(path, *view_source(base.view()), options));
      BOOST_TEST((choices_at(path) == BuildChoices{}));
      static_cast<void>(merged(path, base));
      BOOST_TEST((choices_at(path) == BuildChoices{}));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
