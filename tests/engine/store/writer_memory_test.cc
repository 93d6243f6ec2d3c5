// SPDX-License-Identifier: Apache-2.0
//
// What a writer sets aside of its budget: no more than its parts may use, and all of it given back in the end.
#include "engine/store/writer_memory.h"

#include "tests/test_util.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kBuffers = 3u << 20;
constexpr std::uint64_t kWhole = 64u << 20;

struct Set {
  explicit Set(std::uint64_t delta_bytes, std::uint64_t replayed = 0) {
    if (replayed != 0) {
      auto bytes = Buffer<std::byte>::allocate(rows, replayed);
      REQUIRE_OK(bytes);
      held = std::move(*bytes);
    }
    auto taken = WriterMemory::take(whole, rows, delta_bytes, kBuffers);
    REQUIRE_OK(taken);
    memory = std::move(*taken);
  }
  // The whole is charged with what the parts may take, which never use more.
  void check(std::uint64_t delta_bytes) const {
    BOOST_TEST(memory->delta_bytes_max() == delta_bytes);
    BOOST_TEST(whole.used_bytes() == delta_bytes + kBuffers);
    BOOST_TEST(memory->delta_bytes() <= delta_bytes);
  }

  MemoryBudget whole{kWhole};
  MemoryBudget rows{whole, Inheritance::kShared};
  Buffer<std::byte> held;
  std::unique_ptr<WriterMemory> memory;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(writer_memory)

BOOST_AUTO_TEST_CASE(what_is_allowed_is_set_aside_and_given_back) {
  MemoryBudget* whole = nullptr;
  Set set(8u << 20);
  whole = &set.whole;
  set.check(8u << 20);
  REQUIRE_OK(set.memory->allow(16u << 20));
  set.check(16u << 20);
  REQUIRE_OK(set.memory->allow(4u << 20));
  set.check(4u << 20);
  BOOST_TEST((set.memory->allow(kWhole).code() == Code::kMemoryBudget));
  set.check(4u << 20);
  REQUIRE_OK(set.memory->raise_buffers(2 * kBuffers));
  BOOST_TEST(whole->used_bytes() == (4u << 20) + 2 * kBuffers);
  set.memory.reset();
  BOOST_TEST(whole->used_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_used_beyond_goes_once_it_is_free) {
  Set set(8u << 20);
  auto used = Buffer<std::byte>::allocate(set.rows, 6u << 20);
  REQUIRE_OK(used);
  REQUIRE_OK(set.memory->allow(2u << 20));
  BOOST_TEST(set.memory->delta_bytes_max() == (6u << 20) + (256u << 10));  // an eighth for erasing
  BOOST_TEST((code_of(Buffer<std::byte>::allocate(set.rows, 1)) == Code::kMemoryBudget));
  used->reset();
  BOOST_TEST(set.memory->delta_bytes_max() == (6u << 20) + (256u << 10));
  set.memory->settle();
  set.check(2u << 20);
}

BOOST_AUTO_TEST_CASE(what_was_replayed_stays_until_it_goes) {
  constexpr std::uint64_t kReplayed = 5u << 20;
  Set set(2u << 20, kReplayed);
  BOOST_TEST(set.memory->delta_bytes_max() == kReplayed + (256u << 10));
  BOOST_TEST(set.whole.used_bytes() == kReplayed + (256u << 10) + kBuffers);
  set.held.reset();
  set.memory->settle();
  set.check(2u << 20);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace vecstore
