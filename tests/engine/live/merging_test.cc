// SPDX-License-Identifier: Apache-2.0
//
// What was written goes on behind a merge: the delta is cut, rows before the cut go, and who pinned a moment finds what
// was there then.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "compress/frames.h"
#include "engine/live/delta_search.h"
#include "engine/live/live_state.h"
#include "tests/engine/live/records.h"
#include "tests/instrumented.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using test::kInstrumented;

constexpr std::uint64_t kNever = ~std::uint64_t{0};

struct Kind {
  DType dtype = DType::kU8;
  Metric metric = Metric::kL2;
  KeyKind keys = KeyKind::kBytes;
  bool has_centre = false;
  std::uint32_t dim = 6;
};

// A row that was ever put, and from when to when it lives.
struct ModelRow {
  std::string key;
  std::vector<std::byte> vector;
  std::string document;
  std::uint64_t born = 0;
  std::uint64_t died = kNever;

  bool is_live(std::uint64_t moment) const { return born <= moment && moment < died; }
};

// A live state through any number of merges, and all rows that were ever put, by RowId.
class Living {
 public:
  explicit Living(const Kind& kind, std::uint64_t seed = 1, std::uint64_t limit = MemoryBudget::kUnlimited)
      : budget(limit), kind_(kind), random_(seed), centre_(kind.has_centre ? kind.dim : 0, 3.5f) {
    live = std::make_shared<LiveState>(LiveState::Base{shape(), 0, 0, {0}}, budget);
  }

  DeltaShape shape() const {
    return {kind_.dim, kind_.dtype, kind_.metric, kind_.keys, {centre_.data(), centre_.size()}};
  }
  std::uint64_t now() const { return live->newest().value; }
  const std::vector<ModelRow>& rows() const { return rows_; }
  Random& random() { return random_; }

  std::string key_name(std::uint64_t key) const {
    return kind_.keys == KeyKind::kBytes ? "key " + std::to_string(key) : std::to_string(key);
  }
  Key key_of(const std::string& name) const {
    return kind_.keys == KeyKind::kBytes ? Key(name) : Key(std::stoull(name));
  }

  void put(std::uint64_t key, const std::string& document = {}) {
    ModelRow row{key_name(key), random_vector(), document, now() + 1};
    const auto before = newest_.find(row.key);
    PutRecord put;
    put.row = {rows_.size()};
    put.key = key_of(row.key);
    put.vector = row.vector;
    put.document = row.document;
    put.document_bytes = static_cast<std::uint32_t>(row.document.size());
    put.replaced = before == newest_.end() ? kNoRow : RowId{before->second};
    std::vector<std::byte> payload(encoded_bytes(put));
    encode(put, payload.data());
    apply({static_cast<std::uint16_t>(type_of(put)), 0, payload});
    if (before != newest_.end()) rows_[before->second].died = now();
    newest_[row.key] = rows_.size();
    rows_.push_back(std::move(row));
  }
  bool erase(std::uint64_t key) {
    const auto found = newest_.find(key_name(key));
    if (found == newest_.end()) return false;
    apply(test::erase_record({found->second}).record());
    rows_[found->second].died = now();
    newest_.erase(found);
    return true;
  }
  void write(std::uint64_t writes, std::uint64_t keys) {
    for (std::uint64_t i = 0; i < writes; ++i) {
      const std::uint64_t key = random_.below(keys);
      if (random_.below(4) != 0 || !erase(key))
        put(key, std::string(random_.below(3) == 0 ? random_.below(200) : 0, static_cast<char>('a' + key % 26)));
      if (random_.below(50) == 0) live->forget();
    }
  }

  // The steps of a merge.
  void begin() {
    merged_ = live->pin();
    row_end_ = live->next_row().value;
    live->cut();
  }
  LiveState::Base base() const {
    const auto graph = live_rows_at(merged_->moment().value, 0, row_end_);
    return {shape(), row_end_, graph.size(), merged_->moment()};
  }
  void switch_over() {
    auto successor = live->prepare_successor(base());
    REQUIRE_OK(successor);
    const std::uint64_t applied = merged_->moment().value;
    auto before = std::exchange(live, live->succeed(std::move(*successor)));
    merged_.reset();
    before.reset();  // unless somebody looks at it
    applied_ = applied;
  }
  void abandon() {
    live->mend();
    merged_.reset();
  }

  std::set<std::uint64_t> live_rows_at(std::uint64_t moment, std::uint64_t first, std::uint64_t end) const {
    std::set<std::uint64_t> found;
    for (std::uint64_t row = first; row < std::min<std::uint64_t>(end, rows_.size()); ++row)
      if (rows_[row].is_live(moment)) found.insert(row);
    return found;
  }
  std::uint64_t applied() const { return applied_; }
  std::uint64_t document_bytes(const std::set<std::uint64_t>& of) const {
    std::uint64_t bytes = 0;
    for (const std::uint64_t row : of) bytes += rows_[row].document.size();
    return bytes;
  }

  MemoryBudget budget;
  std::shared_ptr<LiveState> live;

 private:
  void apply(const LogRecord& record) {
    const Lsn lsn{now() + 1};
    REQUIRE_OK(live->apply(lsn, record));
    live->applied(lsn);
    live->safe(lsn);
  }
  std::vector<std::byte> random_vector() {
    std::vector<std::byte> vector;
    for (std::uint32_t d = 0; d < kind_.dim; ++d) {
      if (is_integer(kind_.dtype)) {
        vector.push_back(static_cast<std::byte>(random_.next()));
        continue;
      }
      const auto value = static_cast<float>(8 * random_.unit() - 1);
      const auto* from = reinterpret_cast<const std::byte*>(&value);
      vector.insert(vector.end(), from, from + sizeof value);
    }
    return vector;
  }

  Kind kind_;
  Random random_;
  std::vector<float> centre_;
  std::vector<ModelRow> rows_;
  std::map<std::string, std::uint64_t> newest_;  // live rows by key
  std::shared_ptr<const LivePin> merged_;
  std::uint64_t row_end_ = 0;
  std::uint64_t applied_ = 0;  // what the graph holds
};

// Somebody who looks at a moment, and what there must be to see.
struct Look {
  explicit Look(const Living& of) : live(of.live), pin(of.live->pin()), applied(of.applied()) {}
  std::shared_ptr<LiveState> live;
  std::shared_ptr<const LivePin> pin;
  std::uint64_t applied;  // of the graph beside it
};

void check_rows(const Living& living, const Look& look) {
  const std::uint64_t moment = look.pin->moment().value;
  const std::uint64_t row_end = look.live->row_end();
  const std::set<std::uint64_t> expected = living.live_rows_at(moment, row_end, kNever);
  std::set<std::uint64_t> found;
  if (look.pin->delta() != nullptr) {
    const DeltaRows& delta = *look.pin->delta();
    std::vector<std::byte> vector(delta.shape().row_bytes());
    REQUIRE_OK(delta.for_each_live(look.pin->moment(), [&](RowId row) {
      const ModelRow& model = living.rows()[row.value];
      delta.copy_vector(row, vector.data());
      BOOST_REQUIRE(vector == model.vector);
      BOOST_REQUIRE(delta.key(row).to_string() == model.key);
      BOOST_REQUIRE(delta.document(row).kept == model.document);
      found.insert(row.value);
      return Status::ok();
    }));
  }
  BOOST_REQUIRE(found == expected);
}

// By every key there ever was, and for every row of the graph.
void check_keys_and_tombstones(const Living& living, const Look& look) {
  const std::uint64_t moment = look.pin->moment().value;
  const std::uint64_t row_end = look.live->row_end();
  std::map<std::string, std::optional<RowId>> expected;
  for (std::uint64_t row = 0; row < living.rows().size(); ++row) {
    const ModelRow& model = living.rows()[row];
    auto& names = expected[model.key];
    if (row >= row_end && model.is_live(moment)) names = RowId{row};
    if (row < row_end && model.is_live(look.applied))
      BOOST_REQUIRE(look.live->tombstones().gone({row}, {moment}) == !model.is_live(moment));
  }
  for (const auto& [key, row] : expected) BOOST_REQUIRE(look.live->find(living.key_of(key), look.pin->moment()) == row);
}

void check_search(const Living& living, const Look& look, std::uint64_t query_row) {
  if (look.pin->delta() == nullptr) return;
  constexpr std::uint32_t kNearest = 7;
  const DeltaShape shape = living.shape();
  const VectorView query{living.rows()[query_row].vector.data(), shape.dtype, 1, shape.dim, 0};
  std::vector<float> wanted(shape.dim);
  std::vector<float> value(shape.dim);
  widen_row(query, 0, wanted.data());
  std::vector<std::pair<double, std::uint64_t>> truth;
  for (const std::uint64_t row : living.live_rows_at(look.pin->moment().value, look.live->row_end(), kNever)) {
    widen_row({living.rows()[row].vector.data(), shape.dtype, 1, shape.dim, 0}, 0, value.data());
    double distance = 0;
    for (std::uint32_t d = 0; d < shape.dim; ++d)
      distance += shape.metric == Metric::kInnerProduct
                      ? -double{wanted[d]} * value[d]
                      : (double{wanted[d]} - value[d]) * (double{wanted[d]} - value[d]);
    truth.emplace_back(distance, row);
  }
  std::ranges::sort(truth);
  truth.resize(std::min<std::size_t>(truth.size(), kNearest));
  MemoryBudget budget;
  const auto searcher = DeltaSearcher::create(look.pin->delta()->shape(), budget);
  REQUIRE_OK(searcher);
  std::vector<FoundRow> found;
  (*searcher)->search(*look.pin->delta(), query, 0, 1, {kNearest, look.pin->moment()}, nullptr, &found);
  BOOST_REQUIRE(found.size() == truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) BOOST_REQUIRE(found[i].row.value == truth[i].second);
}

void check(const Living& living, const Look& look) {
  check_rows(living, look);
  check_keys_and_tombstones(living, look);
  if (!living.rows().empty()) check_search(living, look, living.rows().size() / 2);
}
void check(const Living& living) {
  check(living, Look(living));
  const std::uint64_t now = living.now();
  const std::uint64_t row_end = living.live->row_end();
  BOOST_REQUIRE(living.live->live_rows() == living.live_rows_at(now, 0, kNever).size());
  BOOST_REQUIRE(living.live->live_delta_rows() == living.live_rows_at(now, row_end, kNever).size());
  BOOST_REQUIRE(living.live->next_row().value == living.rows().size());
}

BOOST_AUTO_TEST_SUITE(live_merging)

BOOST_AUTO_TEST_CASE(what_ended_since_the_moment_becomes_a_tombstone_and_nothing_else_does) {
  Living living({});
  for (std::uint64_t key = 0; key < 10; ++key) living.put(key);
  living.begin();
  living.switch_over();  // rows 0 to 9 are the graph's
  for (std::uint64_t key = 10; key < 16; ++key) living.put(key);
  living.erase(1);  // before the moment
  living.erase(10);
  living.put(11);   // row 16 in the place of row 11
  living.erase(2);  // at the moment
  living.begin();
  const std::uint64_t moment = living.now();
  living.erase(3);   // row 3, of the graph
  living.erase(12);  // row 12, which was put before the moment
  living.put(11);    // row 17 in the place of row 16
  living.put(20);
  living.erase(20);  // row 18, put and erased behind it
  living.put(4);     // row 19 in the place of row 4
  living.switch_over();
  const LiveState& live = *living.live;
  std::map<std::uint64_t, std::uint64_t> gone;
  live.tombstones().for_each([&](RowId row, Lsn died) { gone[row.value] = died.value; });
  const std::map<std::uint64_t, std::uint64_t> expected = {
      {3, moment + 1}, {12, moment + 2}, {16, moment + 3}, {4, moment + 6}};
  BOOST_CHECK(gone == expected);
  BOOST_TEST(live.row_end() == 17u);
  BOOST_TEST(live.live_delta_rows() == 2u);
  BOOST_TEST(live.delta()->has({17}));
  BOOST_TEST(!live.delta()->has({16}));
  check(living);
}

BOOST_AUTO_TEST_CASE(the_moments_before_and_at_a_tombstone_differ) {
  Living living({});
  living.put(1);
  living.begin();
  living.erase(1);
  living.switch_over();
  const std::uint64_t died = living.now();
  BOOST_TEST(!living.live->tombstones().gone({0}, {died - 1}));
  BOOST_TEST(living.live->tombstones().gone({0}, {died}));
}

BOOST_AUTO_TEST_CASE(a_merge_beside_which_nothing_is_written_leaves_nothing) {
  Living living({});
  for (std::uint64_t i = 0; i < 700; ++i) living.put(i % 300, "document");
  living.begin();
  living.switch_over();
  BOOST_TEST(living.live->delta() == nullptr);
  BOOST_TEST(living.live->tombstones().size() == 0u);
  BOOST_TEST(living.live->live_rows() == 300u);
  BOOST_TEST(living.budget.used_bytes() == 0u);
  check(living);
  living.put(7);
  BOOST_TEST(living.live->tombstones().size() == 1u);
  check(living);
}

BOOST_AUTO_TEST_CASE(a_state_without_any_row_is_cut_and_goes_on) {
  Living living({});
  for (int round = 0; round < 3; ++round) {
    living.begin();
    living.switch_over();
    BOOST_TEST(living.live->delta() == nullptr);
  }
  REQUIRE_OK(living.live->reserve({6, 100, 0}));  // for a batch that was refused
  living.begin();
  living.switch_over();
  BOOST_TEST(living.live->delta() == nullptr);
  BOOST_TEST(living.budget.used_bytes() == 0u);
  living.put(1);
  living.begin();
  living.put(2);
  living.switch_over();
  check(living);
}

// Keys lead from rows behind the cut to rows before it, and the other way round for who looks at an old moment.
BOOST_AUTO_TEST_CASE(keys_lead_across_the_cut_for_who_looks_at_a_moment_before) {
  Living living({});
  living.put(1);
  living.put(1);
  living.put(2);
  const Look before(living);
  living.begin();
  living.put(1);
  const Look between(living);
  living.put(1);
  living.erase(2);
  const Look after(living);
  living.switch_over();
  check(living);
  living.put(1);
  living.put(2);
  for (const Look* look : {&before, &between, &after}) check(living, *look);
  BOOST_CHECK(before.live->find(living.key_of("key 1"), before.pin->moment()) == std::optional(RowId{1}));
  BOOST_CHECK(between.live->find(living.key_of("key 1"), between.pin->moment()) == std::optional(RowId{3}));
  BOOST_CHECK(after.live->find(living.key_of("key 1"), after.pin->moment()) == std::optional(RowId{4}));
  BOOST_CHECK(!after.live->find(living.key_of("key 2"), after.pin->moment()).has_value());
  check(living);
}

BOOST_AUTO_TEST_CASE(one_that_is_abandoned_leaves_all_as_it_was) {
  Living living({});
  living.write(700, 100);
  const Look old(living);
  for (int round = 0; round < 5; ++round) {
    living.begin();
    living.write(100, 100);
    check(living);
    living.abandon();
    living.live->forget();
    living.write(100, 100);
    check(living);
  }
  check(living, old);
  living.begin();
  living.switch_over();
  check(living);
  check(living, old);
}

BOOST_AUTO_TEST_CASE(what_has_no_room_changes_nothing) {
  for (const bool has_tombstones : {false, true}) {
    Living living({});
    MemoryBudget none(0);
    living.write(600, 400);
    living.begin();
    if (has_tombstones) {
      for (std::uint64_t key = 0; key < 400; ++key) living.erase(key);
    } else {
      living.put(1000);  // a key of its own
    }
    const Look old(living);
    const std::uint64_t used = living.budget.used_bytes();
    living.live->charge_to(none, none, none);
    BOOST_TEST((test::code_of(living.live->prepare_successor(living.base())) == Code::kMemoryBudget));
    BOOST_TEST(living.budget.used_bytes() == used);
    BOOST_TEST(none.used_bytes() == 0u);
    check(living);
    living.live->charge_to(living.budget, living.budget, living.budget);
    living.abandon();
    living.write(100, 400);
    check(living);
    check(living, old);
    living.begin();
    living.write(100, 400);
    living.switch_over();
    check(living);
    check(living, old);
  }
}

// Erasures beside a merge once used up what is kept for them, and then no merge came to its end any more.
BOOST_AUTO_TEST_CASE(tombstones_may_take_what_is_kept_for_erasing_and_more_while_both_states_live) {
  for (const bool is_erasing_used_up : {false, true}) {
    Living living({});
    living.put(1);
    living.begin();
    living.erase(1);
    MemoryBudget none(0);
    MemoryBudget some;
    living.live->charge_to(none, is_erasing_used_up ? none : some, is_erasing_used_up ? some : none);
    const auto successor = living.live->prepare_successor(living.base());
    REQUIRE_OK(successor);
    BOOST_TEST(some.used_bytes() > 0u);
  }
}

// Both were written to the same way since, so that they take the same.
BOOST_AUTO_TEST_CASE(memory_is_what_a_new_state_of_the_same_rows_takes) {
  constexpr std::uint64_t kRows = 512;  // two stripes, filled to the end
  for (const DType dtype : {DType::kU8, DType::kF32}) {
    const Kind kind{dtype, Metric::kL2, KeyKind::kNumber};
    Living living(kind);
    for (std::uint64_t i = 0; i < 3000; ++i) living.put(i % 500);
    std::optional<Look> before(living);
    living.begin();
    std::optional<Look> between(living);
    for (std::uint64_t key = 0; key < kRows; ++key) living.put(10'000 + key);
    living.switch_over();
    const Look after(living);
    Living fresh(kind);
    for (std::uint64_t key = 0; key < kRows; ++key) fresh.put(10'000 + key);
    check(living, *before);
    before.reset();
    BOOST_TEST(living.budget.used_bytes() > fresh.budget.used_bytes());
    check(living, *between);
    between.reset();
    BOOST_TEST(living.budget.used_bytes() == fresh.budget.used_bytes());
    check(living, after);
  }
}

// The buffer that texts went to at the cut serves rows on both sides, and goes with the last of them.
BOOST_AUTO_TEST_CASE(texts_are_shared_across_the_cut) {
  Living living({});
  living.put(1, "before");
  living.begin();
  living.put(2, "behind");
  living.put(3, std::string(65'500, 'x'));  // a buffer of its own
  living.put(4, "last");
  const Look old(living);
  living.switch_over();
  check(living);
  check(living, old);
  const std::uint64_t used = living.budget.used_bytes();
  for (std::uint64_t i = 0; i < 300; ++i) living.put(5, "again and again");
  check(living);
  check(living, old);
  BOOST_TEST(living.live->delta()->document(RowId{1}).kept == "behind");
  for (const std::uint64_t key : {2u, 3u, 4u}) living.erase(key);
  living.begin();
  living.switch_over();
  BOOST_TEST(living.live->delta() == nullptr);
  BOOST_TEST(living.budget.used_bytes() <= used + (200u << 10));  // who looks still has them
  check(living, old);
}

BOOST_AUTO_TEST_CASE(documents_are_counted_by_the_rows_that_stay) {
  Living living({});
  living.put(1, std::string(100, 'a'));
  living.put(2, std::string(200, 'b'));
  living.put(2, std::string(300, 'c'));
  living.put(3, std::string(400, 'd'));
  living.erase(3);
  BOOST_TEST(living.live->delta()->document_bytes() == 1000u);
  living.live->forget();
  BOOST_TEST(living.live->delta()->document_bytes() == 400u);
  living.begin();
  living.erase(1);
  living.put(4, std::string(50, 'e'));
  living.put(4, std::string(60, 'f'));
  BOOST_TEST(living.live->delta()->document_bytes() == 510u);
  living.switch_over();
  BOOST_TEST(living.live->delta()->document_bytes() == 110u);
  BOOST_TEST(living.live->delta()->kept_document_bytes() == 110u);
  living.live->forget();
  BOOST_TEST(living.live->delta()->document_bytes() == 60u);
  living.erase(4);
  living.live->forget();
  BOOST_TEST(living.live->delta()->document_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_forgotten_beside_a_merge_ended_before_it) {
  Living living({});
  for (std::uint64_t i = 0; i < 2000; ++i) living.put(i % 20);
  living.begin();
  for (std::uint64_t i = 0; i < 2000; ++i) living.put(i % 20);
  living.live->forget();
  // All that ended since the moment is there, and little of what ended before.
  BOOST_TEST(living.live->delta()->rows() >= 2020u);
  BOOST_TEST(living.live->delta()->rows() <= 2020u + 512);
  living.switch_over();
  check(living);
  BOOST_TEST(living.live->tombstones().size() == 20u);
  living.live->forget();
  BOOST_TEST(living.live->delta()->rows() <= 512u);
  check(living);
}

// A moment before the merge holds back what ended since in the state that it was taken of, and nothing behind it.
BOOST_AUTO_TEST_CASE(an_old_moment_holds_back_nothing_of_what_comes_after) {
  Living living({});
  living.put(1);
  const Look old(living);
  living.begin();
  living.put(2);
  living.switch_over();
  for (std::uint64_t i = 0; i < 5000; ++i) living.put(2);
  living.live->forget();
  BOOST_TEST(living.live->delta()->rows() <= 512u);
  check(living, old);
  check(living);
}

BOOST_AUTO_TEST_CASE(a_dictionary_goes_on) {
  std::string samples;
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 300; ++i) {
    const std::string one = "sample " + std::to_string(i) + " of a document, " + std::string(i % 30u, 'd');
    samples += one;
    sizes.push_back(one.size());
  }
  const std::vector<std::byte> bytes = train_dictionary(std::as_bytes(std::span(samples)), sizes);
  BOOST_REQUIRE(!bytes.empty());
  MemoryBudget budget;
  auto live =
      std::make_shared<LiveState>(LiveState::Base{{6, DType::kU8, Metric::kL2, KeyKind::kNumber}, 0, 0, {0}}, budget);
  REQUIRE_OK(live->apply({1}, {static_cast<std::uint16_t>(RecordType::kDictionary), 0, bytes}));
  REQUIRE_OK(live->apply({2}, test::put_record({0}, 7, 1, 6).record()));
  const std::uint64_t since = live->bytes_since_dictionary();
  BOOST_TEST(since > 0u);
  live->cut();
  auto successor = live->prepare_successor({live->delta()->shape(), 1, 1, {2}});
  REQUIRE_OK(successor);
  const auto next = live->succeed(std::move(*successor));
  BOOST_TEST(next->dictionary() == live->dictionary());
  BOOST_TEST(next->bytes_since_dictionary() == since);
  live.reset();
  BOOST_CHECK(std::ranges::equal(next->dictionary()->bytes(), bytes));
  REQUIRE_OK(next->apply({3}, {static_cast<std::uint16_t>(RecordType::kDictionary), 0, bytes}));  // the same one again
  BOOST_TEST(next->bytes_since_dictionary() == 0u);
}

BOOST_AUTO_TEST_CASE(many_rounds_of_random_writes_and_merges_are_as_the_model_says) {
  const std::vector<Kind> kinds = {
      {DType::kU8, Metric::kL2, KeyKind::kBytes, false},
      {DType::kI8, Metric::kInnerProduct, KeyKind::kNumber, false},
      {DType::kF32, Metric::kL2, KeyKind::kBytes, false},
      {DType::kF32, Metric::kL2, KeyKind::kNumber, true},
      {DType::kF32, Metric::kInnerProduct, KeyKind::kBytes, true},
      {DType::kF32, Metric::kInnerProduct, KeyKind::kNumber, false},
      {DType::kU8, Metric::kL2, KeyKind::kNumber, false, 300},
  };
  for (std::uint64_t seed = 0; seed < (kInstrumented ? 7u : 35u); ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      Living living(kinds[seed % kinds.size()], seed);
      std::vector<std::unique_ptr<Look>> looks;
      const std::uint64_t keys = 1 + living.random().below(seed % 2 == 0 ? 20 : 400);
      for (int round = 0; round < 8; ++round) {
        const auto write = [&] {
          for (std::uint64_t pieces = living.random().below(3); pieces > 0; --pieces) {
            living.write(living.random().below(300), keys);
            if (living.random().below(2) == 0) looks.push_back(std::make_unique<Look>(living));
            if (looks.size() > 3) looks.erase(looks.begin() + static_cast<std::ptrdiff_t>(living.random().below(4)));
          }
          check(living);
          for (const auto& look : looks) check(living, *look);
        };
        write();
        living.begin();
        write();
        if (living.random().below(4) == 0) {
          living.abandon();
        } else {
          living.switch_over();
        }
        write();
      }
      looks.clear();
      living.live->forget();
      if (living.live->delta() != nullptr) {
        const auto rows = living.live_rows_at(living.now(), living.live->row_end(), kNever);
        BOOST_TEST(living.live->delta()->document_bytes() == living.document_bytes(rows));
      }
      living.begin();
      living.switch_over();
      BOOST_TEST(living.budget.used_bytes() == 0u);  // all of it is the graph's
    }
  }
}

// What readers of other threads see: a state, its pinned moment, and the rows of the graph beside it.
struct Shared {
  struct Now {
    std::shared_ptr<LiveState> live;
    std::vector<RowId> graph;
  };
  std::shared_ptr<const Now> get() const {
    const std::lock_guard guard(lock);
    return now;
  }
  void set(std::shared_ptr<const Now> next) {
    const std::lock_guard guard(lock);
    now.swap(next);
  }
  std::pair<std::shared_ptr<const Now>, std::shared_ptr<const LivePin>> pin() const {
    while (true) {
      auto seen = get();
      auto pinned = seen->live->pin();
      if (get() == seen) return {std::move(seen), std::move(pinned)};
    }
  }

  mutable std::mutex lock;
  std::shared_ptr<const Now> now;
};

constexpr std::uint64_t kKeys = 30;
constexpr std::uint32_t kDim = 4;

// Whether the moment that is seen has every key once, in graph or delta, with the vector of that key.
bool sees_every_key(const Shared& shared) {
  const auto [now, pin] = shared.pin();
  bool is_right = true;
  std::uint64_t seen = 0;
  for (const RowId row : now->graph) seen += now->live->tombstones().gone(row, pin->moment()) ? 0 : 1;
  if (pin->delta() != nullptr) {
    const Status all = pin->delta()->for_each_live(pin->moment(), [&, &at = *now, &of = *pin](RowId row) {
      const std::uint64_t key = of.delta()->key(row).number();
      std::array<std::byte, kDim> vector;
      of.delta()->copy_vector(row, vector.data());
      if (vector[0] != static_cast<std::byte>(key)) is_right = false;
      if (at.live->find(key, of.moment()) != std::optional(row)) is_right = false;
      ++seen;
      return Status::ok();
    });
    if (!all.is_ok()) is_right = false;
  }
  return is_right && seen == kKeys;
}

// Keys are put again and again and never erased: every moment has each of them once, in graph or delta.
BOOST_AUTO_TEST_CASE(readers_of_other_threads_see_every_key_through_many_merges) {
  const std::uint64_t rounds = kInstrumented ? 40 : 300;
  MemoryBudget budget;
  const DeltaShape shape{kDim, DType::kU8, Metric::kL2, KeyKind::kNumber};
  auto live = std::make_shared<LiveState>(LiveState::Base{shape, 0, 0, {0}}, budget);
  std::vector<std::uint64_t> newest(kKeys);
  std::vector<std::uint64_t> key_of_row;
  std::uint64_t lsn = 0;
  const auto put = [&](std::uint64_t key, RowId replaced) {
    newest[key] = key_of_row.size();
    key_of_row.push_back(key);
    ++lsn;
    REQUIRE_OK(live->apply(
        {lsn}, test::put_record({newest[key]}, key, static_cast<std::uint8_t>(key), kDim, replaced).record()));
    live->safe({lsn});
    live->applied({lsn});
  };
  for (std::uint64_t key = 0; key < kKeys; ++key) put(key, kNoRow);
  Shared shared;
  shared.set(std::make_shared<Shared::Now>(Shared::Now{live, {}}));
  std::atomic<int> wrong = 0;
  std::atomic<bool> ended = false;
  {
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 3; ++reader)
      readers.emplace_back([&] {
        while (!ended)
          if (!sees_every_key(shared)) ++wrong;
      });
    Random random(3);
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const auto write = [&] {
        for (std::uint64_t i = random.below(200); i > 0; --i) {
          const std::uint64_t key = random.below(kKeys);
          put(key, RowId{newest[key]});
        }
      };
      write();
      auto merged = live->pin();
      const std::uint64_t row_end = key_of_row.size();
      std::vector<RowId> graph;
      for (const std::uint64_t row : newest) graph.push_back({row});
      live->cut();
      write();
      if (random.below(5) == 0) {
        live->mend();
        continue;
      }
      auto successor = live->prepare_successor({shape, row_end, kKeys, merged->moment()});
      REQUIRE_OK(successor);
      auto next = live->succeed(std::move(*successor));
      merged.reset();
      live = next;
      shared.set(std::make_shared<Shared::Now>(Shared::Now{live, std::move(graph)}));
    }
    ended = true;
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(live->live_rows() == kKeys);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
