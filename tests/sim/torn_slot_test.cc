// SPDX-License-Identifier: Apache-2.0
//
// The power goes while a slot of the superblock is written, and again while the next writer mends that slot. The
// sectors that the first left and those that the second wrote were a whole slot together, whose manifest was gone.
#include "tests/sim/store_model.h"

namespace vecstore {
namespace {

using namespace test;

// As many calls until its first publish is behind it.
std::uint64_t calls_of_opening() {
  SimDisk disk;
  REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, 1)));
  disk.clear_fault();
  const auto store = open_sim(disk, 1, Access::kReadWrite);
  REQUIRE_OK(store);
  return disk.calls();
}

void open_with_power_until(SimDisk& disk, std::uint64_t call, Random& random) {
  disk.set_fault(Fault::kPowerCut, call);
  static_cast<void>(open_sim(disk, 1, Access::kReadWrite));
  disk.cut_power();
  disk.reboot(random);
}

BOOST_AUTO_TEST_SUITE(torn_slot)

BOOST_AUTO_TEST_CASE(one_that_is_mended_never_names_what_was_removed) {
  constexpr std::uint64_t kLast = 12;  // calls in which the publish ends
  const std::uint64_t calls = calls_of_opening();
  BOOST_REQUIRE(calls > kLast);
  for (std::uint64_t seed = 0; seed < (kInstrumented ? 20u : 400u); ++seed)
    for (std::uint64_t first = calls - kLast; first < calls; ++first) {
      SimDisk torn;
      Random random(seed * 7919 + first);
      REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(torn, 1)));
      open_with_power_until(torn, first, random);
      for (std::uint64_t second = 15; second < 32; ++second) {
        const auto disk = torn.clone();
        open_with_power_until(*disk, second, random);
        const auto store = open_sim(*disk, 1, Access::kReadWrite);
        BOOST_REQUIRE_MESSAGE(store.has_value(),
                              "seed " << seed << " calls " << first << ", " << second << ": " << message_of(store));
      }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
