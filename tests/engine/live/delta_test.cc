// SPDX-License-Identifier: Apache-2.0
#include "engine/live/delta.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/live/delta_search.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

// Rows of floats or bytes that a delta has been given, and a search of them in double.
struct Rows {
  Rows(DType type, std::uint32_t width, std::uint64_t count, double offset) : dtype(type), dim(width) {
    Random random(count + dim);
    for (std::uint64_t i = 0; i < count * dim; ++i) {
      const double value =
          dtype == DType::kF32 ? offset + 4 * random.unit() - 2 : static_cast<double>(random.next() % 256);
      if (dtype == DType::kF32) {
        const auto element = static_cast<float>(value);
        const auto* from = reinterpret_cast<const std::byte*>(&element);
        bytes.insert(bytes.end(), from, from + sizeof element);
      } else {
        bytes.push_back(static_cast<std::byte>(static_cast<int>(value)));
      }
    }
  }
  std::size_t row_bytes() const { return dim * element_bytes(dtype); }
  std::span<const std::byte> row(std::uint64_t i) const {
    return std::span(bytes).subspan(i * row_bytes(), row_bytes());
  }
  VectorView view(std::uint64_t i) const { return {row(i).data(), dtype, 1, dim, 0}; }
  double distance(std::uint64_t a, std::uint64_t b) const {
    std::vector<float> x(dim);
    std::vector<float> y(dim);
    widen_row(view(a), 0, x.data());
    widen_row(view(b), 0, y.data());
    double sum = 0;
    for (std::uint32_t i = 0; i < dim; ++i) sum += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
    return sum;
  }

  DType dtype;
  std::uint32_t dim;
  std::vector<std::byte> bytes;
};

constexpr std::uint64_t kFirst = 40;

struct Filled {
  Filled(const Rows& rows, std::uint64_t count) {
    auto made = Delta::create({rows.dim, rows.dtype, Metric::kL2, KeyKind::kBytes}, RowId{kFirst}, budget);
    REQUIRE_OK(made);
    delta = std::move(*made);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string key = "key " + std::to_string(i % 50);  // each put again and again
      PutRecord put;
      put.row = delta->next();
      put.key = Key(key);
      put.vector = rows.row(i);
      REQUIRE_OK(delta->reserve(1, key.size()));
      if (const auto before = delta->find(put.key, Lsn{i})) delta->end(*before, Lsn{i + 1});
      delta->append(put, Lsn{i + 1});
    }
  }
  MemoryBudget budget;
  std::unique_ptr<Delta> delta;
};

BOOST_AUTO_TEST_SUITE(delta)

BOOST_AUTO_TEST_CASE(a_key_names_the_row_of_each_moment) {
  const Rows rows(DType::kU8, 5, 700, 0);
  const Filled filled(rows, 700);
  const Delta& delta = *filled.delta;
  BOOST_TEST(!delta.find(Key("key 0"), Lsn{0}).has_value());
  BOOST_TEST(!delta.find(Key("key 50"), Lsn{700}).has_value());
  for (std::uint64_t moment = 1; moment <= 700; moment += 33) {
    for (std::uint64_t k = 0; k < 50 && k < moment; ++k) {
      const std::uint64_t newest = (moment - 1 - k) / 50 * 50 + k;  // index of the last row with the key by then
      const auto row = delta.find(Key("key " + std::to_string(k)), Lsn{moment});
      BOOST_REQUIRE(row.has_value());
      BOOST_REQUIRE(row->value == kFirst + newest);
      BOOST_REQUIRE(delta.is_live(*row, Lsn{moment}));
      if (newest >= 50) BOOST_REQUIRE(!delta.is_live({row->value - 50}, Lsn{moment}));
    }
  }
}

BOOST_AUTO_TEST_CASE(no_key_is_lost_as_they_become_many) {
  constexpr std::uint64_t kCount = 3000;
  const Rows rows(DType::kU8, 2, kCount, 0);
  MemoryBudget budget;
  auto delta = Delta::create({2, DType::kU8, Metric::kL2, KeyKind::kBytes}, {kFirst}, budget);
  REQUIRE_OK(delta);
  const auto key_of = [](std::uint64_t i) { return "key " + std::to_string(i); };
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const std::string key = key_of(i);
    PutRecord put;
    put.row = (*delta)->next();
    put.key = Key(key);
    put.vector = rows.row(i);
    REQUIRE_OK((*delta)->reserve(1, key.size()));
    (*delta)->append(put, Lsn{i + 1});
    BOOST_REQUIRE(((*delta)->find(Key(key_of(i / 2)), Lsn{i + 1}) == RowId{kFirst + i / 2}));
  }
  for (std::uint64_t i = 0; i < kCount; ++i)
    BOOST_REQUIRE(((*delta)->find(Key(key_of(i)), Lsn{kCount}) == RowId{kFirst + i}));
  BOOST_TEST(!(*delta)->find(Key(key_of(kCount)), Lsn{kCount}).has_value());
}

BOOST_AUTO_TEST_CASE(vectors_come_back_as_they_were_put) {
  for (const DType dtype : {DType::kU8, DType::kI8, DType::kF32}) {
    for (const std::uint32_t dim : {1u, 4u, 7u, 33u}) {
      const Rows rows(dtype, dim, 300, 1000);
      const Filled filled(rows, 300);
      std::vector<std::byte> out(rows.row_bytes());
      for (std::uint64_t i = 0; i < 300; ++i) {
        filled.delta->copy_vector({kFirst + i}, out.data());
        BOOST_REQUIRE(std::ranges::equal(out, rows.row(i)));
      }
    }
  }
}

// Far from the origin too: the answers are those of a search in double over the rows that are live at the moment.
BOOST_AUTO_TEST_CASE(searches_find_the_live_rows_of_a_moment) {
  constexpr std::uint64_t kCount = 600;
  constexpr std::uint32_t kNearest = 12;
  for (const DType dtype : {DType::kU8, DType::kF32}) {
    for (const double offset : {0.0, 1e5}) {
      const Rows rows(dtype, 9, kCount, offset);
      const Filled filled(rows, kCount);
      MemoryBudget budget;
      const auto searcher = DeltaSearcher::create(filled.delta->shape(), budget);
      REQUIRE_OK(searcher);
      BOOST_TEST(budget.used_bytes() <= DeltaSearcher::predict_bytes(9));
      const VectorView queries{rows.bytes.data(), dtype, 16, 9, 0};
      for (const std::uint64_t moment : {1ull, 49ull, 333ull, 600ull}) {
        std::vector<std::vector<FoundRow>> found(16);
        (*searcher)->search(*filled.delta, queries, 0, 16, kNearest, Lsn{moment}, found.data());
        for (std::uint64_t query = 0; query < 16; ++query) {
          std::vector<std::pair<double, std::uint64_t>> truth;
          for (std::uint64_t i = 0; i < kCount; ++i)
            if (filled.delta->is_live({kFirst + i}, Lsn{moment}))
              truth.emplace_back(rows.distance(query, i), kFirst + i);
          std::sort(truth.begin(), truth.end());
          truth.resize(std::min<std::size_t>(truth.size(), kNearest));
          BOOST_REQUIRE(found[query].size() == truth.size());
          for (std::size_t i = 0; i < truth.size(); ++i) BOOST_REQUIRE(found[query][i].row.value == truth[i].second);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_was_reserved_cannot_fail_and_without_memory_nothing_changes) {
  const Rows rows(DType::kU8, 16, 300, 0);
  Filled filled(rows, 10);
  MemoryBudget none(0);
  REQUIRE_OK(filled.delta->reserve(200, 200 * 6));
  filled.delta->charge_to(none);
  BOOST_CHECK(filled.delta->reserve(100000, 0).code() == Code::kMemoryBudget);
  for (std::uint64_t i = 10; i < 210; ++i) {
    PutRecord put;
    put.row = filled.delta->next();
    const std::string key = "n" + std::to_string(i);
    put.key = Key(key);
    put.vector = rows.row(i);
    filled.delta->append(put, Lsn{i + 1});
  }
  BOOST_TEST(filled.delta->rows() == 210u);
  BOOST_TEST((filled.delta->find(Key("n209"), Lsn{210}) == std::optional(RowId{kFirst + 209})));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
