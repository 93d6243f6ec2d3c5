// SPDX-License-Identifier: Apache-2.0
//
// A disk without any room: nothing more is put, what is kept for erasing takes erasures, and writers and readers open.
#include "tests/sim/store_model.h"

namespace vecstore {
namespace {

using namespace test;

// From now on there is room for nothing new.
void fill(SimDisk& disk) {
  const auto free = disk.free_bytes(kSimPath);
  REQUIRE_OK(free);
  constexpr std::uint64_t kAmple = std::uint64_t{1} << 40;
  disk.set_capacity(kAmple - *free);
}

ModelWrite put_of(std::uint64_t key) {
  return {{key}, {{std::vector<std::uint8_t>(kSimDim, static_cast<std::uint8_t>(key + 1)), "a document"}}};
}

BOOST_AUTO_TEST_SUITE(full_disk)

BOOST_AUTO_TEST_CASE(erasing_goes_on_and_writers_open_whatever_ended_the_one_before) {
  for (const bool killed : {false, true}) {
    SimDisk disk;
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, 1)));
    Model model;
    {
      auto store = open_sim(disk, 2, Access::kReadWrite);
      REQUIRE_OK(store);
      for (std::uint64_t key = 0; key < 6; ++key) {
        REQUIRE_OK(StoreWrite(put_of(key))(*store));
        put_of(key).apply(model);
      }
      fill(disk);
      const auto refused = StoreWrite(put_of(100))(*store);
      BOOST_TEST((code_of(refused) == Code::kNoSpace), message_of(refused));
      BOOST_TEST((content_of(*store) == model));
    }
    std::uint64_t erased = 0;
    for (std::uint64_t session = 0; session < 6; ++session) {
      auto store = open_sim(disk, 10 + session, Access::kReadWrite);
      REQUIRE_OK(store);
      BOOST_TEST((content_of(*store) == model));
      const auto receipt = store->erase(session);
      if (receipt) {
        model.erase(session);
        ++erased;
      } else {
        BOOST_TEST((code_of(receipt) == Code::kNoSpace), message_of(receipt));
      }
      const auto reader = open_sim(disk, 1, Access::kRead);
      REQUIRE_OK(reader);
      BOOST_TEST((content_of(*reader) == model));
      if (killed) {
        disk.cut_power();
        store = Status(Code::kNotFound, "gone");
        disk.restart();
      }
    }
    BOOST_TEST(erased >= 2u);
    disk.set_capacity(std::uint64_t{1} << 40);
    auto store = open_sim(disk, 50, Access::kReadWrite);
    REQUIRE_OK(store);
    REQUIRE_OK(StoreWrite(put_of(100))(*store));
    put_of(100).apply(model);
    BOOST_TEST((content_of(*store) == model));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
