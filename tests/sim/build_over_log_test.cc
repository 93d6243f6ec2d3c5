// SPDX-License-Identifier: Apache-2.0
//
// A store that is built over one with a log: what it takes then is its own, and nothing of the log before comes back.
#include <algorithm>

#include "engine/vector_source.h"
#include "tests/sim/store_model.h"

namespace vecstore {
namespace {

using namespace test;

BOOST_AUTO_TEST_CASE(a_store_built_over_one_with_a_log_keeps_its_own_writes_alone) {
  SimDisk disk;
  Random random(3);
  REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, 5)));
  {
    auto store = open_sim(disk, 7, Access::kReadWrite);
    REQUIRE_OK(store);
    for (int i = 0; i < 200; ++i) REQUIRE_OK(write_to(*store, random_write(random)));
    REQUIRE_OK(store->close());
  }
  const auto segments = disk.files();
  BOOST_REQUIRE(std::ranges::count_if(
                    segments, [](const std::string& file) { return file.find("/log-") != std::string::npos; }) > 2);
  Model model;
  std::vector<std::byte> rows;
  for (std::uint64_t key = 0; key < 16; ++key) {
    ModelItem& item = model[key];
    for (std::uint32_t d = 0; d < kSimDim; ++d) item.vector.push_back(static_cast<std::uint8_t>(random.next()));
    const auto elements = elements_of(item.vector, DType::kU8);
    rows.insert(rows.end(), elements.begin(), elements.end());
  }
  BuildOptions options;
  options.overwrite = true;
  options.threads = 1;
  const VectorView view{rows.data(), DType::kU8, model.size(), kSimDim, 0};
  REQUIRE_OK(StoreFactory::build(kSimPath, *view_source(view), options, environment_on(disk, 1)));
  for (std::uint64_t session = 0; session < 3; ++session) {
    auto store = open_sim(disk, 20 + session, Access::kReadWrite);
    REQUIRE_OK(store);
    BOOST_REQUIRE((content_of(*store) == model));
    const ModelWrite write = random_write(random);
    REQUIRE_OK(write_to(*store, write));
    write.apply(model);
    REQUIRE_OK(store->close());
  }
  const auto reader = open_sim(disk, 30, Access::kRead);
  REQUIRE_OK(reader);
  BOOST_TEST((content_of(*reader) == model));
}

}  // namespace
}  // namespace vecstore
