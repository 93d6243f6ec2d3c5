// SPDX-License-Identifier: Apache-2.0
//
// Searches that leave rows out: those beyond a radius, those of given keys, and the row that is searched with. Compared
// with exact search in double precision.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/random.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kRows = kInstrumented ? 1500 : 6000;
constexpr std::uint64_t kInGraph = kRows * 3 / 4;  // the others are in the delta
constexpr std::uint64_t kQueries = 40;

struct Kind {
  DType dtype;
  Metric metric;
  double cache;  // share of pages
};

constexpr Kind kKinds[] = {
    {DType::kU8, Metric::kL2, 0},      {DType::kU8, Metric::kL2, 1},      {DType::kI8, Metric::kInnerProduct, 0},
    {DType::kF16, Metric::kCosine, 0}, {DType::kF16, Metric::kCosine, 1}, {DType::kF32, Metric::kInnerProduct, .5},
    {DType::kF32, Metric::kL2, 0},
};

double exact_distance(Metric metric, const float* q, const float* x, std::uint32_t dim) {
  double l2 = 0, dot = 0, a = 0, b = 0;
  for (std::uint32_t d = 0; d < dim; ++d) {
    l2 += (double{q[d]} - x[d]) * (double{q[d]} - x[d]);
    dot += double{q[d]} * x[d];
    a += double{q[d]} * q[d];
    b += double{x[d]} * x[d];
  }
  return metric == Metric::kL2 ? l2 : metric == Metric::kInnerProduct ? -dot : 1 - dot / std::sqrt(a * b);
}

// A store of a graph and a delta, some rows of both erased; and where all rows lie from each query, nearest first.
struct Near {
  explicit Near(const Kind& kind) : base(rows_of(kind.dtype, 0, kRows)), queries(rows_of(kind.dtype, kRows, kQueries)) {
    const VectorView first{base.bytes.data(), base.dtype, kInGraph, base.dim, 0};
    REQUIRE_OK(Store::build(directory.path("s"), *view_source(first), build_options(kind.metric, true)));
    OpenOptions options;
    options.access = Access::kReadWrite;
    options.sync = SyncMode::kNone;
    options.merge = MergePolicy::kManual;
    options.cache_fraction = kind.cache;
    auto opened = Store::open(directory.path("s"), options);
    REQUIRE_OK(opened);
    store.emplace(std::move(*opened));
    std::vector<Key> keys;
    for (std::uint64_t row = kInGraph; row < kRows; ++row) keys.emplace_back(row);
    REQUIRE_OK(store->put_batch(keys, {base.row(kInGraph).data, base.dtype, kRows - kInGraph, base.dim, 0}));
    std::vector<Key> gone;
    for (std::uint64_t row = 5; row < kRows; row += 17) gone.emplace_back(row);
    REQUIRE_OK(store->erase_batch(gone));
    std::vector<float> query(base.dim), row(base.dim);
    truth.resize(kQueries);
    for (std::uint64_t q = 0; q < kQueries; ++q) {
      widen_row(queries.view(), q, query.data());
      for (std::uint64_t r = 0; r < kRows; ++r) {
        if (r % 17 == 5) continue;
        widen_row(base.view(), r, row.data());
        truth[q].emplace_back(exact_distance(kind.metric, query.data(), row.data(), base.dim), r);
      }
      std::ranges::sort(truth[q]);
    }
  }
  static Matrix rows_of(DType dtype, std::uint64_t first, std::uint64_t count) {
    Matrix matrix = is_integer(dtype) ? csift(count, first) : win384(count, first);
    if (dtype == DType::kI8) matrix = shifted(std::move(matrix));
    if (dtype == DType::kF32) matrix = widened(matrix);
    return matrix;
  }

  TemporaryDirectory directory;
  Matrix base;
  Matrix queries;
  std::optional<Store> store;
  std::vector<std::vector<std::pair<double, std::uint64_t>>> truth;
};

template <typename Check>
void for_each_kind(const Check& check) {
  for (const Kind& kind : kKinds) {
    if (kInstrumented && kind.cache == .5) continue;
    BOOST_TEST_CONTEXT(name_of(kind.dtype) << ", " << name_of(kind.metric) << ", cache " << kind.cache) {
      const Near near(kind);
      check(near);
    }
  }
}

// What is at the rim may round to either side.
double slack(double radius) { return 1e-5 * (1 + std::abs(radius)); }

BOOST_AUTO_TEST_SUITE(search_within)

BOOST_AUTO_TEST_CASE(all_within_a_radius_come_and_nothing_beyond) {
  for_each_kind([](const Near& near) {
    std::size_t due = 0, found = 0;
    for (std::uint64_t q = 0; q < kQueries; ++q) {
      // From none within the radius to hundreds.
      const std::size_t within = std::array<std::size_t, 5>{0, 1, 9, 60, 400}[q % 5];
      const double below = within == 0 ? near.truth[q][0].first - 1 : near.truth[q][within - 1].first;
      const auto radius = static_cast<float>((below + near.truth[q][within].first) / 2);
      SearchOptions options;
      options.k = 1000;
      options.recall_target = .99;
      options.full_precision = true;
      options.radius = radius;
      const SearchResults results = search(*near.store, near.queries.row(q), options);
      check_sorted(results[0]);
      std::set<std::uint64_t> rows;
      for (const Hit& hit : results[0]) {
        BOOST_REQUIRE(hit.distance <= radius);
        rows.insert(hit.row.value);
      }
      for (std::size_t i = 0; i < near.truth[q].size(); ++i) {
        const auto [distance, row] = near.truth[q][i];
        if (distance > radius + slack(radius))
          BOOST_REQUIRE_MESSAGE(!rows.contains(row), "row " << row << " is beyond");
        if (distance >= radius - slack(radius)) continue;
        ++due;
        found += rows.contains(row) ? 1 : 0;
      }
    }
    BOOST_TEST(static_cast<double>(found) >= .97 * static_cast<double>(due), found << " of " << due);
  });
}

BOOST_AUTO_TEST_CASE(k_bounds_what_comes_and_a_wide_radius_changes_nothing) {
  for_each_kind([](const Near& near) {
    SearchOptions options = exhaustive(10);
    const SearchResults plain = search(*near.store, near.queries.view(), options);
    options.radius = std::numeric_limits<float>::infinity();
    const SearchResults wide = search(*near.store, near.queries.view(), options);
    options.radius = std::numeric_limits<float>::max();
    const SearchResults finite = search(*near.store, near.queries.view(), options);
    for (std::size_t q = 0; q < kQueries; ++q) {
      BOOST_REQUIRE(wide[q].size() == 10u);
      BOOST_REQUIRE(finite[q].size() == 10u);
      for (std::size_t i = 0; i < 10; ++i) {
        BOOST_TEST(plain[q][i].row.value == wide[q][i].row.value);
        BOOST_TEST(plain[q][i].row.value == finite[q][i].row.value);
      }
    }
    options.radius = std::numeric_limits<float>::lowest();
    for (const std::uint32_t k : {1u, 1000u}) {
      options.k = k;
      const SearchResults none = search(*near.store, near.queries.view(), options);
      for (std::size_t q = 0; q < kQueries; ++q) BOOST_TEST(none[q].empty());
    }
    options.radius = std::numeric_limits<float>::quiet_NaN();
    BOOST_TEST((code_of(near.store->search(near.queries.view(), options)) == Code::kInvalidArgument));
  });
}

// Where a page brings hundreds of near rows, or many are copies, short lists do for a k; a radius wants all of them.
BOOST_AUTO_TEST_CASE(of_one_dimension_and_of_copies_all_come) {
  Random random(3);
  for (const std::uint32_t dim : {1u, 2u, 32u}) {
    const std::uint64_t rows = 4000;
    std::vector<float> values(rows * dim);
    for (float& value : values) value = static_cast<float>(random.below(1u << 20)) / (1u << 18);
    if (dim == 32)  // 500 copies of one row
      for (std::uint64_t copy = 0; copy < 500; ++copy)
        std::copy_n(values.begin() + 8 * dim, dim, values.begin() + static_cast<std::ptrdiff_t>(copy * 8 * dim));
    const Matrix base = matrix_of(dim, DType::kF32, values);
    for (const double cache : {0.0, 1.0}) {
      const TemporaryDirectory directory;
      const Store store =
          build_and_open(directory.path("s"), base, build_options(Metric::kL2, true), {.cache_fraction = cache});
      for (const std::size_t within : {std::size_t{5}, std::size_t{300}, std::size_t{900}}) {
        std::size_t due = 0, found = 0;
        for (std::uint64_t q = 0; q < rows; q += 400) {
          std::vector<double> distances;
          for (std::uint64_t r = 0; r < rows; ++r)
            distances.push_back(exact_distance(Metric::kL2, values.data() + q * dim, values.data() + r * dim, dim));
          std::ranges::sort(distances);
          SearchOptions options;
          options.k = 1000;
          options.full_precision = true;
          options.radius = dim == 32 ? 1e-3f : std::nextafter(static_cast<float>(distances[within - 1]), 1e9f);
          due += static_cast<std::size_t>(std::ranges::upper_bound(distances, *options.radius) - distances.begin());
          found += search(store, base.row(q), options)[0].size();
        }
        BOOST_TEST(static_cast<double>(found) >= .93 * static_cast<double>(due),
                   dim << " dimensions, cache " << cache << ", " << within << ": " << found << " of " << due);
      }
    }
  }
}

// Under l2 a copy is at distance 0, and no farther than that.
BOOST_AUTO_TEST_CASE(a_radius_of_zero_finds_copies) {
  const Near near({DType::kU8, Metric::kL2, 0});
  SearchOptions options;
  options.radius = 0.0f;
  for (const std::uint64_t row : {std::uint64_t{0}, kInGraph + 1}) {
    const SearchResults results = search(*near.store, near.base.row(row), options);
    BOOST_REQUIRE(!results[0].empty());
    BOOST_TEST(std::ranges::any_of(results[0], [&](const Hit& hit) { return hit.row.value == row; }));
    for (const Hit& hit : results[0]) BOOST_TEST(hit.distance == 0.0f);
  }
}

BOOST_AUTO_TEST_CASE(a_small_radius_reads_little_whatever_k_is) {
  const Near near({DType::kU8, Metric::kL2, 0});
  SearchOptions plain;
  SearchOptions capped;
  capped.k = 1000;
  double of_ten = 0, of_radius = 0, of_all = 0;
  of_all = mean(search(*near.store, near.queries.view(), capped), &QueryStats::requests);
  of_ten = mean(search(*near.store, near.queries.view(), plain), &QueryStats::requests);
  for (std::uint64_t q = 0; q < kQueries; ++q) {
    capped.radius = static_cast<float>(near.truth[q][5].first);
    of_radius += search(*near.store, near.queries.row(q), capped).stats(0).requests / double{kQueries};
  }
  BOOST_TEST_MESSAGE("reads: k 10 " << of_ten << ", six within a radius " << of_radius << ", k 1000 " << of_all);
  BOOST_TEST(of_radius <= 1.5 * of_ten);
  BOOST_TEST(of_radius < of_all / 3);
}

BOOST_AUTO_TEST_CASE(excluded_keys_are_in_no_answer_and_the_next_ones_come) {
  for_each_kind([](const Near& near) {
    for (const std::size_t left_out : {std::size_t{1}, std::size_t{30}, std::size_t{700}}) {
      for (std::uint64_t q = 0; q < kQueries; q += 8) {
        std::vector<Key> keys;
        for (std::size_t i = 0; i < left_out; ++i) keys.emplace_back(near.truth[q][i].second);
        keys.emplace_back(5);                        // erased
        keys.emplace_back(kRows + 7);                // never there
        keys.emplace_back(near.truth[q][0].second);  // twice
        SearchOptions options = exhaustive(10);
        options.full_precision = true;
        options.exclude = keys;
        const SearchResults results = search(*near.store, near.queries.row(q), options);
        BOOST_REQUIRE(results[0].size() == 10u);
        for (std::size_t i = 0; i < 10; ++i) {
          const double expected = near.truth[q][left_out + i].first;
          BOOST_TEST(std::abs(double{results[0][i].distance} - expected) <= slack(expected));
          BOOST_REQUIRE(std::ranges::find(keys, Key(results[0][i].key)) == keys.end());
        }
      }
    }
    const Key text("a text");
    SearchOptions options;
    options.exclude = {&text, 1};
    BOOST_TEST((code_of(near.store->search(near.queries.view(), options)) == Code::kInvalidArgument));
  });
}

BOOST_AUTO_TEST_CASE(everything_may_be_excluded) {
  const Near near({DType::kU8, Metric::kL2, 0});
  std::vector<Key> keys;
  for (std::uint64_t row = 0; row < kRows; ++row) keys.emplace_back(row);
  SearchOptions options;
  options.exclude = keys;
  const SearchResults none = search(*near.store, near.queries.view(), options);
  for (std::size_t q = 0; q < kQueries; ++q) BOOST_TEST(none[q].empty());
  options.exclude = std::span(keys).subspan(3);  // all but three
  const SearchResults three = search(*near.store, near.queries.view(), options);
  for (std::size_t q = 0; q < kQueries; ++q) BOOST_TEST(three[q].size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_search_by_key_is_that_of_its_vector_without_itself) {
  for_each_kind([](const Near& near) {
    const std::vector<Key> keys{0, 1, kInGraph - 1, kInGraph, kRows - 1};
    SearchOptions options = exhaustive(10);
    options.full_precision = true;
    const auto by_key = near.store->search_by_key(keys, options, 2);
    REQUIRE_OK(by_key);
    BOOST_REQUIRE(by_key->size() == keys.size());
    options.k = 11;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::uint64_t own = keys[i].number();
      const SearchResults by_vector = search(*near.store, near.base.row(own), options);
      std::vector<std::uint64_t> expected;
      for (const Hit& hit : by_vector[0])
        if (hit.row.value != own) expected.push_back(hit.row.value);
      BOOST_REQUIRE((*by_key)[i].size() == 10u);
      for (std::size_t j = 0; j < 10; ++j) BOOST_TEST((*by_key)[i][j].row.value == expected[j]);
    }
    const std::vector<Key> other{1, 5};  // 5 was erased
    const auto gone = near.store->search_by_key(other);
    BOOST_TEST((code_of(gone) == Code::kNotFound));
    BOOST_TEST(message_of(gone).find('5') != std::string::npos);
    options.k = 1000;
    BOOST_TEST((code_of(near.store->search_by_key(keys, options)) == Code::kInvalidArgument));
    options.k = 999;
    REQUIRE_OK(near.store->search_by_key(keys, options));
    const auto none = near.store->search_by_key({});
    REQUIRE_OK(none);
    BOOST_TEST(none->size() == 0u);
  });
}

// As a recommendation is asked for: like this one, none of those that were seen, and near enough.
BOOST_AUTO_TEST_CASE(all_of_it_at_once) {
  const Near near({DType::kF16, Metric::kCosine, 0});
  const Key like(0);
  SearchOptions options = exhaustive(20);
  const auto all = near.store->search_by_key({&like, 1}, options);
  REQUIRE_OK(all);
  std::vector<Key> seen;
  for (std::size_t i = 0; i < 5; ++i) seen.emplace_back((*all)[0][i].key);
  options.exclude = seen;
  options.radius = (*all)[0][12].distance;
  options.texts = HitTexts::kKeys;
  const auto some = near.store->search_by_key({&like, 1}, options);
  REQUIRE_OK(some);
  BOOST_REQUIRE((*some)[0].size() == 8u);
  for (std::size_t i = 0; i < 8; ++i) {
    BOOST_TEST((*some)[0][i].key == (*all)[0][5 + i].key);
    BOOST_TEST(some->key(0, i) == std::to_string((*all)[0][5 + i].key));
  }
}

BOOST_AUTO_TEST_CASE(a_store_that_was_never_written_to_has_no_such_key) {
  const TemporaryDirectory directory;
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.create = CreateOptions{};
  auto store = Store::open(directory.path("s"), options);
  REQUIRE_OK(store);
  const Key key(1);
  BOOST_TEST((code_of(store->search_by_key({&key, 1})) == Code::kNotFound));
  const float query[] = {1, 2};
  SearchOptions searching;
  searching.exclude = {&key, 1};
  searching.radius = 1.0f;
  const SearchResults none = search(*store, {query, DType::kF32, 1, 2}, searching);
  BOOST_TEST(none[0].empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
