// SPDX-License-Identifier: Apache-2.0
#include "engine/store/merger.h"

#include <atomic>
#include <functional>
#include <stdexcept>
#include <thread>

#include "base/mutex.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

constexpr MergeLoad kNothing{.delta_bytes_max = 1000, .log_bytes_max = 8000};

MergeLoad load_with(const std::function<void(MergeLoad&)>& change) {
  MergeLoad load = kNothing;
  change(load);
  return load;
}

// A load that is due at once, and merges that wait until they are let go.
class Merges {
 public:
  Merger::Calls calls() {
    return {[this] {
              const MutexLock guard(mutex_);
              return load_;
            },
            [this](const CancelToken& cancel) { return merge(cancel); }};
  }
  void set_load(const MergeLoad& load) {
    const MutexLock guard(mutex_);
    load_ = load;
  }
  // What the next merges say when they are let go.
  void say(const Status& outcome) {
    const MutexLock guard(mutex_);
    outcome_ = outcome;
  }
  void hold() {
    const MutexLock guard(mutex_);
    is_held_ = true;
  }
  void let_go() {
    const MutexLock guard(mutex_);
    is_held_ = false;
    changed_.notify_all();
  }
  void wait_for_begun(int merges) {
    MutexLock guard(mutex_);
    while (begun_ < merges) changed_.wait(guard);
  }
  int begun() {
    const MutexLock guard(mutex_);
    return begun_;
  }
  int cancelled() {
    const MutexLock guard(mutex_);
    return cancelled_;
  }

 private:
  Status merge(const CancelToken& cancel) {
    MutexLock guard(mutex_);
    ++begun_;
    changed_.notify_all();
    while (is_held_ && !cancel.is_cancelled()) changed_.wait_until(guard, std::chrono::steady_clock::now() + kLook);
    if (cancel.is_cancelled()) {
      ++cancelled_;
      return {Code::kCancelled, "it was cancelled"};
    }
    load_ = kNothing;
    return outcome_;
  }

  static constexpr std::chrono::milliseconds kLook{1};
  Mutex mutex_;
  CondVar changed_;
  MergeLoad load_ = kNothing;
  Status outcome_;
  bool is_held_ = false;
  int begun_ = 0;
  int cancelled_ = 0;
};

const MergeLoad kDue = load_with([](MergeLoad& load) { load.delta_rows = 10'000; });

// Where the outcome is told the merge is over, though not yet for who writes.
void wait_until_over(Merger& merger) {
  while (merger.want_room()) std::this_thread::yield();
}

BOOST_AUTO_TEST_SUITE(merger)

BOOST_AUTO_TEST_CASE(a_merge_is_due_when_enough_has_changed) {
  struct Row {
    MergeLoad load;
    std::uint64_t log_bytes_before;
    bool is_due;
  };
  // graph rows, dead rows, delta rows, delta bytes of, log bytes of
  const std::vector<Row> table = {
      {{0, 0, 0, 0, 1000, 0, 8000}, 0, false},
      {{0, 0, 1, 0, 1000, 0, 8000}, 0, false},
      // Rows: a twentieth of the graph's, and no fewer than 4,000; of the first graph 10,000.
      {{0, 0, 9'999, 0, 1000, 0, 8000}, 0, false},
      {{0, 0, 10'000, 0, 1000, 0, 8000}, 0, true},
      {{80'000, 0, 3'999, 0, 1000, 0, 8000}, 0, false},
      {{80'000, 0, 4'000, 0, 1000, 0, 8000}, 0, true},
      {{1'000'000, 0, 49'999, 0, 1000, 0, 8000}, 0, false},
      {{1'000'000, 0, 50'000, 0, 1000, 0, 8000}, 0, true},
      {{1'000'000, 49'999, 0, 0, 1000, 0, 8000}, 0, false},
      {{1'000'000, 50'000, 0, 0, 1000, 0, 8000}, 0, true},
      {{1'000'000, 49'999, 49'999, 0, 1000, 0, 8000}, 0, false},
      {{3'000, 3'000, 0, 0, 1000, 0, 8000}, 0, false},
      // Memory: half of the delta's.
      {{0, 0, 1, 499, 1000, 0, 8000}, 0, false},
      {{0, 0, 1, 500, 1000, 0, 8000}, 0, true},
      {{1'000'000, 1, 0, 500, 1000, 0, 8000}, 0, true},
      // The log: five eighths of it, where one came since.
      {{0, 0, 1, 0, 1000, 4999, 8000}, 0, false},
      {{0, 0, 1, 0, 1000, 5000, 8000}, 0, true},
      {{0, 0, 1, 0, 1000, 5000, 8000}, 4000, true},
      {{0, 0, 1, 0, 1000, 5000, 8000}, 4001, false},
      {{0, 0, 1, 0, 1000, 7999, 8000}, 7000, false},
      {{0, 0, 1, 0, 1000, 8000, 8000}, 7000, true},
  };
  for (std::size_t i = 0; i < table.size(); ++i)
    BOOST_TEST(is_merge_due(table[i].load, {table[i].log_bytes_before, 0}) == table[i].is_due, "row " << i);
}

// A reader that stays holds the rows that were merged, so that memory goes on being used. That is no reason to merge
// again for every row that is put.
BOOST_AUTO_TEST_CASE(memory_that_a_merge_did_not_free_is_no_reason_for_the_next) {
  const auto load = [](std::uint64_t delta_bytes) { return MergeLoad{0, 0, 1, delta_bytes, 1000, 0, 8000}; };
  BOOST_TEST(is_merge_due(load(600), {0, 0}));
  BOOST_TEST(!is_merge_due(load(600), {0, 600}));
  BOOST_TEST(!is_merge_due(load(849), {0, 600}));
  BOOST_TEST(is_merge_due(load(850), {0, 600}));
}

// Every row that was put has ended since. Only a merge gives back what they took of the log.
BOOST_AUTO_TEST_CASE(a_full_log_is_due_though_no_row_waits) {
  BOOST_TEST(is_merge_due(load_with([](MergeLoad& load) { load.log_bytes = 8000; }), {}));
}

BOOST_AUTO_TEST_CASE(it_merges_when_that_is_due_and_not_before) {
  Merges merges;
  Merger merger(merges.calls());
  for (int i = 0; i < 100; ++i) merger.wrote();
  BOOST_TEST(merges.begun() == 0);
  for (int merge = 1; merge <= 3; ++merge) {
    merges.set_load(kDue);
    merger.wrote();
    merges.wait_for_begun(merge);
    wait_until_over(merger);
    merger.wrote();
    BOOST_TEST(merges.begun() == merge);
  }
  REQUIRE_OK(merger.last_outcome());
  merger.stop();
  BOOST_TEST(merges.begun() == 3);
}

BOOST_AUTO_TEST_CASE(writes_beside_a_merge_begin_no_other) {
  Merges merges;
  merges.hold();
  Merger merger(merges.calls());
  merges.set_load(kDue);
  merger.wrote();
  merges.wait_for_begun(1);
  for (int i = 0; i < 100; ++i) merger.wrote();
  BOOST_TEST(merger.want_room());
  merges.let_go();
  wait_until_over(merger);
  merger.stop();
  BOOST_TEST(merges.begun() == 1);
}

// What still waits when a merge is over is taken up by the write that comes next.
BOOST_AUTO_TEST_CASE(the_next_write_begins_the_next_merge) {
  Merges merges;
  Merger merger(merges.calls());
  merges.set_load(kDue);
  merger.wrote();
  merges.wait_for_begun(1);
  wait_until_over(merger);
  merges.set_load(kDue);
  while (merges.begun() < 2) {
    merger.wrote();
    std::this_thread::yield();
  }
  merger.stop();
}

// The pause is half a minute, so that nothing comes of all these writes.
BOOST_AUTO_TEST_CASE(one_that_failed_is_not_tried_again_at_once) {
  Merges merges;
  merges.say({Code::kMemoryBudget, "no room"});
  Merger merger(merges.calls());
  BOOST_TEST(merger.last_outcome().is_ok());
  merges.set_load(kDue);
  merger.wrote();
  while (merger.last_outcome().is_ok()) std::this_thread::yield();
  BOOST_TEST((merger.last_outcome().code() == Code::kMemoryBudget));
  wait_until_over(merger);
  merges.set_load(kDue);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) merger.wrote();
  BOOST_TEST(!merger.want_room());
  if (std::chrono::steady_clock::now() - began < std::chrono::seconds(20)) BOOST_TEST(merges.begun() == 1);
  merger.stop();
}

BOOST_AUTO_TEST_CASE(what_a_merge_throws_is_its_outcome) {
  std::atomic<int> merges = 0;
  Merger merger({[] { return kDue; },
                 [&merges](const CancelToken&) -> Status {
                   ++merges;
                   throw std::bad_alloc();
                 }});
  merger.wrote();
  while (merger.last_outcome().is_ok()) std::this_thread::yield();
  BOOST_TEST((merger.last_outcome().code() == Code::kMemoryBudget));
  BOOST_TEST(merges == 1);
}

BOOST_AUTO_TEST_CASE(who_wants_room_begins_a_merge_that_is_not_due_yet) {
  // Of records of rows that have all ended nothing is left but the log that they fill.
  for (const bool has_dead_rows : {true, false}) {
    Merges merges;
    merges.hold();
    Merger merger(merges.calls());
    BOOST_TEST(!merger.want_room());  // there is nothing to merge
    merges.set_load(load_with([&](MergeLoad& load) { (has_dead_rows ? load.dead_rows : load.records) = 1; }));
    merger.wrote();
    BOOST_TEST(merges.begun() == 0);
    BOOST_TEST(merger.want_room());
    merges.wait_for_begun(1);
    BOOST_TEST(merger.want_room());
    merges.let_go();
    wait_until_over(merger);
    BOOST_TEST(merges.begun() == 1);
  }
}

BOOST_AUTO_TEST_CASE(stopping_cancels_what_is_under_way) {
  Merges merges;
  merges.hold();
  Merger merger(merges.calls());
  merges.set_load(kDue);
  merger.wrote();
  merges.wait_for_begun(1);
  merger.stop();
  BOOST_TEST(merges.cancelled() == 1);
  merger.wrote();
  BOOST_TEST(!merger.want_room());
  merger.stop();
  BOOST_TEST(merges.begun() == 1);
}

BOOST_AUTO_TEST_CASE(one_that_goes_stops_first) {
  Merges merges;
  merges.hold();
  {
    Merger merger(merges.calls());
    merges.set_load(kDue);
    merger.wrote();
    merges.wait_for_begun(1);
  }
  BOOST_TEST(merges.cancelled() == 1);
  const Merger idle(merges.calls());
}

BOOST_AUTO_TEST_CASE(work_in_the_background_is_waited_for_and_its_exceptions_come_out) {
  bool is_done = false;
  std::thread::id by;
  run_in_background([&] {
    is_done = true;
    by = std::this_thread::get_id();
  });
  BOOST_TEST(is_done);
  BOOST_CHECK(by != std::this_thread::get_id());
  BOOST_CHECK_THROW(run_in_background([] { throw std::runtime_error("enough"); }), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
