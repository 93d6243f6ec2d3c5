// SPDX-License-Identifier: Apache-2.0
#include "engine/live/live_state.h"

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/engine/live/records.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using test::erase_record;
using test::put_record;

constexpr std::uint64_t kBaseRows = 100;
constexpr std::uint32_t kDim = 8;

DeltaShape shape(std::uint32_t dim = kDim) { return {dim, DType::kU8, Metric::kL2, KeyKind::kNumber}; }

struct State {
  MemoryBudget budget;
  LiveState live{{shape(), kBaseRows, kBaseRows, {5}}, budget};
};

bool is_live(const LiveState& live, RowId row, Lsn moment) {
  if (row.value < live.row_end()) return !live.tombstones().gone(row, moment);
  const auto delta = live.delta();
  return delta != nullptr && delta->is_live(row, moment);
}

BOOST_AUTO_TEST_SUITE(live_state)

BOOST_AUTO_TEST_CASE(what_is_applied_is_seen_once_it_is_safe) {
  State s;
  BOOST_TEST(s.live.snapshot().value == 5u);
  REQUIRE_OK(s.live.apply({6}, put_record({100}, 1000, 3, kDim).record()));
  s.live.applied({6});
  BOOST_TEST(s.live.snapshot().value == 5u);
  BOOST_TEST(!is_live(s.live, {100}, s.live.snapshot()));
  s.live.safe({6});
  BOOST_TEST(s.live.snapshot().value == 6u);
  BOOST_TEST(is_live(s.live, {100}, s.live.snapshot()));
  // And the other way round: safe before it is applied.
  s.live.safe({7});
  BOOST_TEST(s.live.snapshot().value == 6u);
  REQUIRE_OK(s.live.apply({7}, erase_record({100}).record()));
  s.live.applied({7});
  BOOST_TEST(s.live.snapshot().value == 7u);
  BOOST_TEST(!is_live(s.live, {100}, {7}));
  BOOST_TEST(is_live(s.live, {100}, {6}));
}

BOOST_AUTO_TEST_CASE(rows_are_counted_and_replaced) {
  State s;
  REQUIRE_OK(
      s.live.apply({6}, put_record({100}, 7, 1, kDim, RowId{7}).record()));  // in the place of a row of the graph
  REQUIRE_OK(s.live.apply({7}, put_record({101}, 7, 2, kDim, RowId{100}).record()));
  REQUIRE_OK(s.live.apply({8}, erase_record({3}).record()));
  s.live.applied({8});
  s.live.safe({8});
  BOOST_TEST(s.live.live_rows() == kBaseRows - 1);
  BOOST_TEST(s.live.live_delta_rows() == 1u);
  BOOST_TEST(s.live.tombstones().size() == 2u);
  BOOST_TEST(s.live.next_row().value == 102u);
  BOOST_TEST(!is_live(s.live, {7}, {8}));
  BOOST_TEST(!is_live(s.live, {3}, {8}));
  BOOST_TEST(is_live(s.live, {101}, {8}));
  BOOST_TEST(is_live(s.live, {100}, {6}));
  BOOST_TEST((s.live.find(7, {6}) == std::optional(RowId{100})));
  BOOST_TEST((s.live.find(7, {8}) == std::optional(RowId{101})));
}

BOOST_AUTO_TEST_CASE(records_that_contradict_what_is_there_are_refused_by_their_number) {
  State s;
  const auto refused = [&](const test::OwnedRecord& record) {
    const Status status = s.live.apply({6}, record.record());
    BOOST_CHECK(status.code() == Code::kCorrupt);
    BOOST_CHECK(status.detail() == Detail::kLsn);
    BOOST_TEST(status.number() == 6u);
    BOOST_TEST(status.message().find("record 6 of the log") != std::string::npos);
  };
  refused(put_record({101}, 1, 1, kDim));              // not the next row
  refused(put_record({100}, "bytes", 1, kDim));        // a key of the other kind
  refused(put_record({100}, 1, 1, kDim + 1));          // another dimension
  refused(put_record({100}, 1, 1, kDim, RowId{200}));  // replaces what is not there
  refused(erase_record({150}));
  test::OwnedRecord cut = put_record({100}, 1, 1, kDim);
  cut.payload.resize(cut.payload.size() - 1);
  refused(cut);
  REQUIRE_OK(s.live.apply({6}, erase_record({4}).record()));
  BOOST_CHECK(s.live.apply({7}, erase_record({4}).record()).code() == Code::kCorrupt);  // gone already
  test::OwnedRecord unknown = erase_record({5});
  unknown.type = 99;
  BOOST_CHECK(s.live.apply({8}, unknown.record()).code() == Code::kNewerFormat);
}

BOOST_AUTO_TEST_CASE(the_first_row_tells_the_dimension) {
  MemoryBudget budget;
  LiveState live({shape(0), 0, 0, {0}}, budget);
  REQUIRE_OK(live.reserve({4, 1, 0}));
  REQUIRE_OK(live.reserve({6, 1, 0}));  // nobody has seen the other
  BOOST_TEST(live.delta() == nullptr);
  REQUIRE_OK(live.apply({1}, put_record({0}, 1, 1, 6).record()));
  BOOST_TEST(live.delta()->shape().dim == 6u);
  BOOST_CHECK(live.apply({2}, put_record({1}, 2, 1, 4).record()).code() == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(erasing_has_memory_of_its_own) {
  MemoryBudget none(0);
  MemoryBudget spare;
  State s;
  REQUIRE_OK(s.live.apply({6}, put_record({100}, 1, 1, kDim).record()));
  s.live.charge_to(none, spare, none);
  BOOST_CHECK(s.live.reserve({kDim, 1000, 0}).code() == Code::kMemoryBudget);
  LiveState::Needs needs;
  needs.graph_rows_ended = 50;
  REQUIRE_OK(s.live.reserve(needs));
  BOOST_TEST(spare.used_bytes() > 0u);
  needs.rows = 1;
  needs.dim = kDim;
  needs.graph_rows_ended = 5000;  // a put may not have it
  BOOST_CHECK(s.live.reserve(needs).code() == Code::kMemoryBudget);
}

// Each batch erases a row of the graph and puts one in its place, so that every moment has as many rows as any other.
BOOST_AUTO_TEST_CASE(readers_see_whole_batches) {
  constexpr std::uint64_t kRows = 2000;
  MemoryBudget budget;
  LiveState live({shape(), kRows, kRows, {0}}, budget);
  std::atomic<int> wrong = 0;
  std::atomic<bool> ended = false;
  {
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 2; ++reader)
      readers.emplace_back([&] {
        while (!ended) {
          const Lsn moment = live.snapshot();
          std::uint64_t rows = 0;
          for (std::uint64_t row = 0; row < 2 * kRows; row += 1) rows += is_live(live, {row}, moment) ? 1 : 0;
          if (rows != kRows) ++wrong;
        }
      });
    for (std::uint64_t i = 0; i < kRows; ++i) {
      REQUIRE_OK(live.apply({2 * i + 1}, erase_record({i}).record()));
      REQUIRE_OK(live.apply({2 * i + 2}, put_record({kRows + i}, i, 9, kDim).record()));
      live.safe({2 * i + 2});
      live.applied({2 * i + 2});
    }
    ended = true;
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(live.live_rows() == kRows);
}

// It was one too small for a moment, between the end of the old row and the beginning of the new.
BOOST_AUTO_TEST_CASE(no_row_is_missed_while_it_is_replaced) {
  constexpr std::uint64_t kRows = 3;
  constexpr std::uint64_t kPuts = 20000;
  MemoryBudget budget;
  LiveState live({shape(), kRows, kRows, {0}}, budget);
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<bool> ended = false;
  {
    const std::jthread reader([&] {
      bool has_delta = false;
      while (!ended) {
        const std::uint64_t delta_rows = live.live_delta_rows();
        if (live.live_rows() != kRows || delta_rows > 1 || (has_delta && delta_rows == 0)) ++wrong;
        has_delta = has_delta || delta_rows != 0;
      }
    });
    for (std::uint64_t i = 0; i < kPuts; ++i) {
      const RowId replaced{i == 0 ? 1 : kRows + i - 1};
      REQUIRE_OK(live.apply({i + 1}, put_record({kRows + i}, 1, 9, kDim, replaced).record()));
      live.safe({i + 1});
      live.applied({i + 1});
      live.forget();
    }
    ended = true;
  }
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(live.live_rows() == kRows);
  BOOST_TEST(live.live_delta_rows() == 1u);
}

// Readers pin moments while one key of ten is put again and again: each finds every key, with a vector that was put
// under it, and what they do not look at any more is given back.
BOOST_AUTO_TEST_CASE(what_is_pinned_stays_while_rows_are_replaced) {
  constexpr std::uint64_t kKeys = 10;
  constexpr std::uint64_t kPuts = 20000;
  MemoryBudget budget;
  std::atomic<int> wrong = 0;
  std::atomic<bool> ended = false;
  LiveState live({shape(), 0, 0, {0}}, budget);
  for (std::uint64_t key = 0; key < kKeys; ++key)
    REQUIRE_OK(live.apply({key + 1}, put_record({key}, key, static_cast<std::uint8_t>(key), kDim).record()));
  live.safe({kKeys});
  live.applied({kKeys});
  {
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 3; ++reader)
      readers.emplace_back([&] {
        std::shared_ptr<const LivePin> pin;
        while (!ended) {
          pin = live.pin();  // before the one before is given up
          std::uint64_t seen = 0;
          const Status all = pin->delta()->for_each_live(pin->moment(), [&](RowId row) {
            const std::uint64_t key = pin->delta()->key(row).number();
            std::array<std::byte, kDim> vector;
            pin->delta()->copy_vector(row, vector.data());
            if (vector[0] != std::byte{static_cast<unsigned char>(key)}) ++wrong;
            if (live.find(key, pin->moment()) != std::optional(row)) ++wrong;
            ++seen;
            return Status::ok();
          });
          if (!all.is_ok() || seen != kKeys) ++wrong;
        }
      });
    for (std::uint64_t i = kKeys; i < kPuts; ++i) {
      const std::uint64_t key = i % kKeys;
      const auto before = live.find(key, live.newest());
      BOOST_REQUIRE(before.has_value());
      REQUIRE_OK(live.apply({i + 1}, put_record({i}, key, static_cast<std::uint8_t>(key), kDim, *before).record()));
      live.safe({i + 1});
      live.applied({i + 1});
    }
    ended = true;
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(live.live_rows() == kKeys);
  live.forget();
  BOOST_TEST(live.delta()->rows() < 1000u);
}

BOOST_AUTO_TEST_CASE(a_moment_that_is_looked_at_is_not_forgotten) {
  MemoryBudget budget;
  LiveState live({shape(), 0, 0, {0}}, budget);
  REQUIRE_OK(live.apply({1}, put_record({0}, 7, 1, kDim).record()));
  live.safe({1});
  live.applied({1});
  auto pin = live.pin();
  for (std::uint64_t i = 1; i < 3000; ++i) {
    REQUIRE_OK(live.apply({i + 1}, put_record({i}, 7, 2, kDim, RowId{i - 1}).record()));
    live.safe({i + 1});
    live.applied({i + 1});
  }
  BOOST_TEST(live.delta()->rows() == 3000u);  // the pinned row ended first, and those after it wait behind it
  BOOST_TEST((live.find(7, pin->moment()) == std::optional(RowId{0})));
  pin.reset();
  live.forget();
  BOOST_TEST(live.delta()->rows() <= 512u);
  BOOST_TEST((live.find(7, live.snapshot()) == std::optional(RowId{2999})));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
