// SPDX-License-Identifier: Apache-2.0
//
// The truth that follows a store, which the figures of bench/streaming rest on, against one that is computed anew.
#include "bench/streaming/moving_truth.h"

#include <algorithm>
#include <map>

#include "base/random.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

// What lives, as a map says it.
class Both {
 public:
  Both(const Matrix& base, const Matrix& queries, std::uint32_t keys)
      : base_(base), queries_(queries), truth_(base.view(), queries.view(), Metric::kL2, keys) {}
  void put(const std::vector<std::uint32_t>& keys, const std::vector<std::uint32_t>& rows) {
    truth_.put(keys, rows);
    for (std::size_t i = 0; i < keys.size(); ++i) row_of_[keys[i]] = rows[i];
  }
  void erase(const std::vector<std::uint32_t>& keys) {
    truth_.erase(keys);
    for (const std::uint32_t key : keys) row_of_.erase(key);
  }
  std::vector<std::uint32_t> some_keys(Random& random, std::size_t count) const {
    std::vector<std::uint32_t> keys;
    for (const auto& [key, row] : row_of_) keys.push_back(key);
    for (std::size_t i = 0; i + 1 < keys.size(); ++i) std::swap(keys[i], keys[i + random.below(keys.size() - i)]);
    keys.resize(std::min(count, keys.size()));
    return keys;
  }
  void check() {
    const ExactNeighbours now = truth_.now();
    std::vector<std::uint32_t> keys, rows;
    for (const auto& [key, row] : row_of_) {
      keys.push_back(key);
      rows.push_back(row);
    }
    BOOST_TEST(truth_.live_keys() == keys);
    BOOST_TEST(truth_.live_rows() == rows);
    if (keys.empty()) {
      BOOST_TEST(std::ranges::all_of(now.rows, [](std::uint32_t row) { return row == 0xFFFFFFFF; }));
      return;
    }
    const bench::LoadedVectors live = bench::gather(base_.view(), rows);
    const auto expected = exact_search(*view_source(live.view), *view_source(queries_.view()), now.k, Metric::kL2);
    REQUIRE_OK(expected);
    BOOST_TEST(now.distances == expected->distances);
    for (std::size_t i = 0; i < now.rows.size(); ++i) {
      const bool is_there = expected->rows[i] != 0xFFFFFFFF;
      BOOST_REQUIRE((now.rows[i] != 0xFFFFFFFF) == is_there);
      // Of equal distances either may come first.
      if (is_there) BOOST_TEST(row_of_.contains(now.rows[i]));
    }
  }

 private:
  const Matrix& base_;
  const Matrix& queries_;
  bench::MovingTruth truth_;
  std::map<std::uint32_t, std::uint32_t> row_of_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(moving_truth)

BOOST_AUTO_TEST_CASE(it_is_what_a_search_of_all_rows_finds) {
  constexpr std::uint32_t kKeys = 1500;
  const Matrix base = csift(3000), queries = csift_queries(20);
  Both both(base, queries, kKeys);
  both.check();
  Random random(5);
  std::uint32_t next = 0;
  for (int step = 0; step < 60; ++step) {
    std::vector<std::uint32_t> keys, rows;
    if (step % 3 == 0) {
      both.erase(both.some_keys(random, random.below(step % 2 == 0 ? 400 : 20)));
    } else {
      for (std::uint32_t i = 0; i < 1 + random.below(150); ++i) {
        keys.push_back(next++ % kKeys);  // those that live get another row
        rows.push_back(static_cast<std::uint32_t>(random.below(3000)));
      }
      both.put(keys, rows);
    }
    both.check();
  }
  both.erase(both.some_keys(random, kKeys));
  both.check();
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace vecstore
