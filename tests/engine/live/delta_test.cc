// SPDX-License-Identifier: Apache-2.0
#include "engine/live/delta.h"

#include <algorithm>
#include <cmath>
#include <memory>
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
  Filled(const Rows& source, std::uint64_t count) {
    auto made = Delta::create({source.dim, source.dtype, Metric::kL2, KeyKind::kBytes}, RowId{kFirst}, budget);
    REQUIRE_OK(made);
    delta = std::move(*made);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string key = "key " + std::to_string(i % 50);  // each put again and again
      PutRecord put;
      put.row = delta->next();
      put.key = Key(key);
      put.vector = source.row(i);
      REQUIRE_OK(delta->reserve(1, key.size(), {}));
      if (const auto before = rows().find(put.key, Lsn{i})) delta->end(*before, Lsn{i + 1});
      delta->append(put, Lsn{i + 1});
    }
  }
  const DeltaRows& rows() const { return *delta->rows(); }

  MemoryBudget budget;
  std::unique_ptr<Delta> delta;
};

BOOST_AUTO_TEST_SUITE(delta)

BOOST_AUTO_TEST_CASE(a_key_names_the_row_of_each_moment) {
  const Rows rows(DType::kU8, 5, 700, 0);
  const Filled filled(rows, 700);
  const DeltaRows& delta = filled.rows();
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
    REQUIRE_OK((*delta)->reserve(1, key.size(), {}));
    (*delta)->append(put, Lsn{i + 1});
    BOOST_REQUIRE(((*delta)->rows()->find(Key(key_of(i / 2)), Lsn{i + 1}) == RowId{kFirst + i / 2}));
  }
  for (std::uint64_t i = 0; i < kCount; ++i)
    BOOST_REQUIRE(((*delta)->rows()->find(Key(key_of(i)), Lsn{kCount}) == RowId{kFirst + i}));
  BOOST_TEST(!(*delta)->rows()->find(Key(key_of(kCount)), Lsn{kCount}).has_value());
}

BOOST_AUTO_TEST_CASE(vectors_come_back_as_they_were_put) {
  for (const DType dtype : {DType::kU8, DType::kI8, DType::kF32}) {
    for (const std::uint32_t dim : {1u, 4u, 7u, 33u}) {
      const Rows rows(dtype, dim, 300, 1000);
      const Filled filled(rows, 300);
      std::vector<std::byte> out(rows.row_bytes());
      for (std::uint64_t i = 0; i < 300; ++i) {
        filled.rows().copy_vector({kFirst + i}, out.data());
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
        (*searcher)->search(filled.rows(), queries, 0, 16, {kNearest, Lsn{moment}}, nullptr, found.data());
        for (std::uint64_t query = 0; query < 16; ++query) {
          std::vector<std::pair<double, std::uint64_t>> truth;
          for (std::uint64_t i = 0; i < kCount; ++i)
            if (filled.rows().is_live({kFirst + i}, Lsn{moment}))
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
  REQUIRE_OK(filled.delta->reserve(200, 200 * 6, {}));
  filled.delta->charge_to(none);
  BOOST_CHECK(filled.delta->reserve(100000, 0, {}).code() == Code::kMemoryBudget);
  for (std::uint64_t i = 10; i < 210; ++i) {
    PutRecord put;
    put.row = filled.delta->next();
    const std::string key = "n" + std::to_string(i);
    put.key = Key(key);
    put.vector = rows.row(i);
    filled.delta->append(put, Lsn{i + 1});
  }
  BOOST_TEST(filled.rows().rows() == 210u);
  BOOST_TEST((filled.rows().find(Key("n209"), Lsn{210}) == std::optional(RowId{kFirst + 209})));
}

// What a delta of these rows has of a moment: key and row, vector and document.
std::vector<std::string> content_of(const DeltaRows& delta, Lsn moment) {
  std::vector<std::string> content;
  const Status all = delta.for_each_live(moment, [&](RowId row) {
    std::string vector(delta.shape().row_bytes(), '\0');
    delta.copy_vector(row, reinterpret_cast<std::byte*>(vector.data()));
    const std::string key = delta.key(row).to_string();
    BOOST_REQUIRE((delta.find(Key(key), moment) == std::optional(row)));
    content.push_back(std::to_string(row.value) + " " + key + " " + vector + " " +
                      std::string(delta.document(row).kept));
    return Status::ok();
  });
  REQUIRE_OK(all);
  return content;
}

// Keys are put and erased in no order, while somebody looks at a moment that moves on. A delta that forgets and one
// that does not have the same rows at every moment since.
// What a refused batch is told would do is what reserving it takes.
BOOST_AUTO_TEST_CASE(what_a_reservation_takes_is_known_before) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kU8, DType::kI8})
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine})
      for (const std::uint64_t rows : {1u, 17u, 300u, 2000u})
        for (const std::uint64_t text_bytes : {0u, 500u, 100000u}) {
          const DeltaShape shape{13, dtype, metric, KeyKind::kBytes};
          MemoryBudget budget;
          const auto delta = Delta::create(shape, RowId{5}, budget);
          REQUIRE_OK(delta);
          REQUIRE_OK((*delta)->reserve(rows, text_bytes, Lsn{0}));
          BOOST_TEST(budget.used_bytes() == Delta::bytes_alone(shape, rows, text_bytes));
          BOOST_TEST((*delta)->bytes_for(rows, text_bytes) == 0u);
          const std::uint64_t more = (*delta)->bytes_for(3 * rows + 1000, text_bytes + 1);
          const std::uint64_t used = budget.used_bytes();
          REQUIRE_OK((*delta)->reserve(3 * rows + 1000, text_bytes + 1, Lsn{0}));
          BOOST_TEST(budget.peak_bytes() == used + more);
        }
}

BOOST_AUTO_TEST_CASE(what_is_forgotten_is_what_nobody_can_ask_for) {
  for (const DType dtype : {DType::kU8, DType::kI8, DType::kF32}) {
    const Rows rows(dtype, 7, 4000, 3);
    MemoryBudget budget;
    MemoryBudget endless;
    const DeltaShape shape{7, dtype, Metric::kL2, KeyKind::kBytes};
    const auto forgets = Delta::create(shape, RowId{kFirst}, budget);
    const auto keeps = Delta::create(shape, RowId{kFirst}, endless);
    REQUIRE_OK(forgets);
    REQUIRE_OK(keeps);
    Random random(5);
    Lsn looked_at;
    std::uint64_t put = 0;
    for (std::uint64_t lsn = 1; put < 4000; ++lsn) {
      const std::string key = "k" + std::to_string(random.below(300));
      const auto before = (*keeps)->rows()->find(Key(key), Lsn{lsn});
      BOOST_REQUIRE(((*forgets)->rows()->find(Key(key), Lsn{lsn}) == before));
      const bool erases = random.below(3) == 0;
      if (erases && !before) continue;
      const std::string document(random.below(40), static_cast<char>('a' + lsn % 26));
      for (Delta* const delta : {forgets->get(), keeps->get()}) {
        const Lsn floor = delta == forgets->get() ? looked_at : Lsn{};
        REQUIRE_OK(delta->reserve(1, key.size() + document.size(), floor));
        if (before) delta->end(*before, Lsn{lsn});
        if (erases) continue;
        PutRecord record;
        record.row = delta->next();
        record.key = Key(key);
        record.vector = rows.row(put);
        record.document = document;
        record.document_bytes = static_cast<std::uint32_t>(document.size());
        delta->append(record, Lsn{lsn});
      }
      put += erases ? 0 : 1;
      if (random.below(50) == 0) looked_at = {lsn - random.below(std::min<std::uint64_t>(lsn, 20))};
      if (put % 500 != 0 || erases) continue;
      for (std::uint64_t moment = looked_at.value; moment <= lsn; moment += 7)
        BOOST_REQUIRE((content_of(*(*forgets)->rows(), {moment}) == content_of(*(*keeps)->rows(), {moment})));
    }
    BOOST_TEST((*keeps)->rows()->rows() == 4000u);
    // 300 keys at most are live: they lie in stripes that are half full at the least, two by two, beside the last one.
    BOOST_TEST((*forgets)->rows()->rows() < 1200u);
    BOOST_TEST(budget.used_bytes() < endless.used_bytes() / 2);
  }
}

// One row of 256 stays: without moving rows nothing could be given back.
BOOST_AUTO_TEST_CASE(a_row_among_many_that_ended_is_moved) {
  const Rows rows(DType::kF32, 33, 256 * 20, 0);
  MemoryBudget budget;
  const auto delta = Delta::create({33, DType::kF32, Metric::kL2, KeyKind::kNumber}, RowId{0}, budget);
  REQUIRE_OK(delta);
  std::uint64_t most = 0;
  for (std::uint64_t i = 0; i < 256 * 20; ++i) {
    PutRecord record;
    record.row = (*delta)->next();
    record.key = Key(i);
    record.vector = rows.row(i);
    REQUIRE_OK((*delta)->reserve(1, 0, {i}));
    (*delta)->append(record, {i + 1});
    if (i % 256 != 0) (*delta)->end({i}, {i + 1});
    most = std::max(most, budget.used_bytes());
  }
  BOOST_TEST((*delta)->rows()->rows() <= 3 * 256u);
  BOOST_TEST(most <= 6 * 256u * (33 * 5 + 100));
  std::vector<float> kept(33);
  for (std::uint64_t i = 0; i < 256 * 20; i += 256) {
    BOOST_REQUIRE(((*delta)->rows()->find(Key(i), {5120}) == std::optional(RowId{i})));
    (*delta)->rows()->copy_vector({i}, reinterpret_cast<std::byte*>(kept.data()));
    BOOST_TEST(std::ranges::equal(std::as_bytes(std::span(kept)), rows.row(i)));
  }
}

// A delta that is held by a reader keeps what it had.
BOOST_AUTO_TEST_CASE(rows_that_are_held_stay_when_they_are_forgotten) {
  const Rows rows(DType::kU8, 5, 1000, 0);
  Filled filled(rows, 600);
  const std::shared_ptr<const DeltaRows> held = filled.delta->rows();
  const std::uint64_t before = filled.budget.used_bytes();
  filled.delta->forget({600}, true);
  BOOST_TEST(held->rows() == 600u);
  BOOST_TEST(filled.rows().rows() < 300u);
  std::vector<std::byte> out(rows.row_bytes());
  for (std::uint64_t i = 0; i < 600; ++i) {
    held->copy_vector({kFirst + i}, out.data());
    BOOST_REQUIRE(std::ranges::equal(out, rows.row(i)));
    BOOST_REQUIRE(held->key({kFirst + i}).to_string() == "key " + std::to_string(i % 50));
  }
  BOOST_TEST(filled.budget.used_bytes() >= before);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
