// SPDX-License-Identifier: Apache-2.0
//
// Merges in passes whose pool does not hold all pages: they read more, and are as good.
#include <map>

#include "base/random.h"
#include "engine/store/environment.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kBuilt = 5000, kRounds = 2, kPutEach = 600, kGoneEach = 200;

// A store after merges that had so much room for pages, and what it must hold.
class Grown {
 public:
  explicit Grown(std::uint64_t pool_bytes) : environment_{} {
    environment_.merge_pool_bytes = pool_bytes;
    BuildOptions build = build_options(Metric::kCosine);
    build.vector_bits = 16;
    build.page_bytes = 4096;  // of four rows, so that pages are many
    REQUIRE_OK(Store::build(path_, *view_source({base_.bytes.data(), base_.dtype, kBuilt, base_.dim, 0}), build));
    for (std::uint64_t row = 0; row < kBuilt; ++row) place_of_key_[row] = row;
    for (std::uint64_t round = 0; round < kRounds; ++round) merge();
  }

  const Store& store() const { return *store_; }
  const Matrix& base() const { return base_; }
  const std::map<std::uint64_t, std::uint64_t>& place_of_key() const { return place_of_key_; }
  Matrix live() const {
    Matrix live{{}, base_.dtype, base_.dim};
    for (const auto& [key, place] : place_of_key_) {
      const auto* row = static_cast<const std::byte*>(base_.row(place).row(0));
      live.bytes.insert(live.bytes.end(), row, row + live.row_bytes());
    }
    return live;
  }

 private:
  void merge() {
    store_.reset();
    OpenOptions how;
    how.access = Access::kReadWrite;
    how.merge = MergePolicy::kManual;
    how.sync = SyncMode::kNone;
    auto opened = StoreFactory::open(path_, how, environment_);
    REQUIRE_OK(opened);
    store_.emplace(std::move(*opened));
    for (std::uint64_t i = 0; i < kPutEach; ++i, ++next_) {
      const std::uint64_t key = random_.below(3) == 0 ? random_.below(kBuilt) : next_;
      REQUIRE_OK(store_->put(key, base_.row(next_)));
      place_of_key_[key] = next_;
    }
    for (std::uint64_t i = 0; i < kGoneEach; ++i) {
      const std::uint64_t key = random_.below(kBuilt);
      REQUIRE_OK(store_->erase(key));
      place_of_key_.erase(key);
    }
    const auto report = store_->compact();
    REQUIRE_OK(report);
    BOOST_TEST(report->rows == place_of_key_.size());
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path("s");
  const Matrix base_ = win384(kBuilt + kRounds * kPutEach);
  StoreEnvironment environment_;
  std::map<std::uint64_t, std::uint64_t> place_of_key_;
  std::uint64_t next_ = kBuilt;
  Random random_{5};
  std::optional<Store> store_;
};

double recall_of(const Grown& grown) {
  const Matrix queries = win384_queries(200);
  const ExactNeighbours truth = exact(grown.live(), queries, 10, Metric::kCosine);
  const SearchResults found = search(grown.store(), queries.view(), {.k = 10, .search_list = 10});
  double matches = 0;
  for (std::uint64_t query = 0; query < queries.rows(); ++query)
    for (const Hit& hit : found[query]) matches += hit.distance <= truth.distances[query * 10 + 9] + 1e-5f ? 1 : 0;
  return matches / static_cast<double>(10 * queries.rows());
}

BOOST_AUTO_TEST_SUITE(small_pool)

BOOST_AUTO_TEST_CASE(merges_are_as_good_with_room_for_few_pages) {
  const Grown all(StoreEnvironment{}.merge_pool_bytes);
  const double recall_of_all = recall_of(all);
  BOOST_TEST_MESSAGE("all pages: recall " << recall_of_all << ", degree " << all.store().info().mean_degree << ", "
                                          << all.store().info().pages << " pages");
  BOOST_TEST(all.store().info().pages > 1300u);  // or the pools below would hold them all
  // The least that there is, and one that has room for pages around a window too.
  for (const std::uint64_t pool_bytes : {std::uint64_t{1}, std::uint64_t{4'000'000}}) {
    const Grown grown(pool_bytes);
    BOOST_TEST_CONTEXT("pool of " << pool_bytes << " bytes") {
      BOOST_TEST_MESSAGE("recall " << recall_of(grown) << ", degree " << grown.store().info().mean_degree);
      BOOST_TEST(recall_of(grown) >= recall_of_all - .01);
      BOOST_TEST(grown.store().info().mean_degree >= .95 * all.store().info().mean_degree);
      const auto verified = grown.store().verify({.deep = true});
      REQUIRE_OK(verified);
      BOOST_TEST(verified->damage_total == 0u);
      BOOST_TEST(verified->unreachable_rows == 0u);
      std::uint64_t lost = 0;
      for (const auto& [key, place] : grown.place_of_key()) {
        const SearchResults found = search(grown.store(), grown.base().row(place), {.k = 1, .search_list = 200});
        lost += found[0][0].distance <= 1e-3f ? 0 : 1;
      }
      BOOST_TEST(lost == 0u);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
