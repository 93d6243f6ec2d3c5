// SPDX-License-Identifier: Apache-2.0
#include "engine/generation.h"
#include "engine/vecstore.hpp"
#include "tests/test_util.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRows = 300;
constexpr std::uint32_t kDim = 128;

// The first rows of the shipped SIFT descriptors, known by `prefix` and their number.
void build_with_keys(const std::string& path, const std::string& keys_path, const std::string& prefix) {
  const auto file = open_vector_file(test::shipped_data("csift55k.base.u8bin"));
  REQUIRE_OK(file);
  std::vector<std::uint8_t> rows(kRows * kDim);
  REQUIRE_OK((*file)->read(0, kRows, rows.data()));
  std::string keys;
  for (std::uint64_t row = 0; row < kRows; ++row) keys += prefix + std::to_string(row) + "\n";
  test::write_file(keys_path, {keys.begin(), keys.end()});
  BuildOptions options;
  options.calibrate = false;
  options.keys_path = keys_path;
  REQUIRE_OK(Store::build(path, *view_source({rows.data(), DType::kU8, kRows, kDim, 0}), options));
}

// A build over a store writes its catalog before it publishes. Killed in between, it left the old rows with the new
// keys; and both builds have the same uuid, since they have the same vectors and options.
BOOST_AUTO_TEST_CASE(catalog_of_a_build_that_never_published_is_not_believed) {
  const test::TemporaryDirectory directory;
  build_with_keys(directory.path("old"), directory.path("old.txt"), "old-");
  build_with_keys(directory.path("new"), directory.path("new.txt"), "new-");
  for (const char* name : {"catalog/data.mdb", "catalog/data.sums"})
    test::write_file(directory.path("old/") + name, test::read_file(directory.path("new/") + name));
  const auto store = Store::open(directory.path("old"));
  REQUIRE_OK(store);
  BOOST_TEST((test::code_of(store->find("new-7")) == Code::kNotFound));
  const auto found = store->find("old-7");
  REQUIRE_OK(found);
  BOOST_TEST(found->value == 7u);
  const auto other = Store::open(directory.path("new"));
  REQUIRE_OK(other);
  BOOST_TEST(store->info().uuid == other->info().uuid);  // or the copy would have proved nothing
}

}  // namespace
}  // namespace vecstore
