// SPDX-License-Identifier: Apache-2.0
//
// What a put does with keys that are there: in the delta, in the graph, before in the batch, or erased.
#include <array>
#include <optional>
#include <thread>

#include "tests/engine/written.h"

namespace vecstore {
namespace {

using namespace test;

// A store with a graph of keys 0 to 199, of which 0 and 1 were erased since, and 2 and 300 put.
struct Modes {
  explicit Modes(KeyKind kind) : written(directory.path("s"), recut(DType::kU8, 16, 900), kind, Metric::kL2, true) {
    written.build(200, directory.path());
    store.emplace(open_for_writing(written.path()));
    for (const std::uint64_t key : {0, 1}) written.erase(*store, key);
    for (const std::uint64_t key : {2, 300}) written.put(*store, key);
  }
  Result<WriteReceipt> put(const std::vector<std::uint64_t>& numbers, IfThere if_there) {
    std::vector<std::string> names;
    for (const std::uint64_t number : numbers)
      names.push_back(is_number() ? std::to_string(number) : "key-" + std::to_string(number));
    std::vector<Key> keys;
    for (std::size_t i = 0; i < numbers.size(); ++i) keys.push_back(is_number() ? Key(numbers[i]) : Key(names[i]));
    const std::vector<std::string_view> documents(numbers.size(), "of the batch");
    const Matrix& pool = written.pool();
    const VectorView vectors{pool.row(700).data, pool.dtype, numbers.size(), pool.dim, 0};
    return store->put_batch(keys, vectors, documents, {.if_there = if_there});
  }
  bool is_number() const { return store->info().keys == KeyKind::kNumber; }
  std::string document(std::uint64_t number) const {
    const std::string name = "key-" + std::to_string(number);
    const auto got = is_number() ? store->get(number) : store->get(name);
    return got ? got->document : "";
  }
  bool is_new(std::uint64_t number) const { return document(number) == "of the batch"; }

  TemporaryDirectory directory;
  Written written;
  std::optional<Store> store;
};

template <typename Check>
void for_both_kinds(const Check& check) {
  for (const KeyKind kind : {KeyKind::kNumber, KeyKind::kBytes}) {
    Modes modes(kind);
    check(modes);
    // What was logged says the same to whoever replays it.
    const std::uint64_t rows = modes.store->size();
    modes.store.reset();
    modes.store.emplace(open_for_writing(modes.written.path()));
    BOOST_TEST(modes.store->size() == rows);
  }
}

BOOST_AUTO_TEST_SUITE(put_modes)

BOOST_AUTO_TEST_CASE(a_key_that_is_there_refuses_the_whole_batch) {
  for_both_kinds([](Modes& modes) {
    for (const std::uint64_t there : {2, 50, 300}) {  // replaced since, of the graph, put since
      const auto receipt = modes.put({1000, there, 1001}, IfThere::kFail);
      BOOST_TEST((code_of(receipt) == Code::kExists));
      BOOST_TEST(message_of(receipt).find(std::to_string(there)) != std::string::npos, message_of(receipt));
      BOOST_TEST((receipt.error().detail() == Detail::kRow && receipt.error().number() == 1));
    }
    BOOST_TEST((code_of(modes.put({1000, 1001, 1000}, IfThere::kFail)) == Code::kExists));  // twice in the batch
    modes.written.check(*modes.store);                                                      // nothing of them is in
    const auto receipt = modes.put({1000, 0, 1001}, IfThere::kFail);                        // 0 was erased
    REQUIRE_OK(receipt);
    BOOST_TEST(receipt->rows == 3u);
    BOOST_TEST(receipt->replaced == 0u);
    for (const std::uint64_t key : {1000, 0, 1001}) BOOST_TEST(modes.is_new(key));
  });
}

BOOST_AUTO_TEST_CASE(keys_that_are_there_are_skipped) {
  for_both_kinds([](Modes& modes) {
    const std::string before = modes.document(50);
    const auto receipt = modes.put({50, 1000, 300, 1, 1000}, IfThere::kSkip);
    REQUIRE_OK(receipt);
    BOOST_TEST(receipt->rows == 2u);
    BOOST_TEST(receipt->replaced == 0u);
    BOOST_TEST(modes.document(50) == before);
    BOOST_TEST(!modes.is_new(300));
    BOOST_TEST(modes.is_new(1000));
    BOOST_TEST(modes.is_new(1));
    const std::byte* first = modes.written.pool().bytes.data() + 701 * modes.written.pool().row_bytes();
    const auto kept = modes.is_number() ? modes.store->get(1000) : modes.store->get("key-1000");
    REQUIRE_OK(kept);
    BOOST_TEST(std::equal(kept->vector.begin(), kept->vector.end(), first), "of equal keys the first stays");
    const auto none = modes.put({50, 300}, IfThere::kSkip);
    REQUIRE_OK(none);
    BOOST_TEST(none->rows == 0u);
    BOOST_TEST(none->lsn == receipt->lsn);
    BOOST_TEST(none->durable_lsn >= none->lsn);
  });
}

BOOST_AUTO_TEST_CASE(what_is_replaced_is_counted) {
  for_both_kinds([](Modes& modes) {
    const auto receipt = modes.put({50, 1000, 300, 0, 1000}, IfThere::kReplace);
    REQUIRE_OK(receipt);
    BOOST_TEST(receipt->rows == 5u);
    BOOST_TEST(receipt->replaced == 3u);  // the graph's, the delta's and the batch's own
    BOOST_TEST(modes.store->size() == modes.written.kept().size() + 2);
    const auto one = modes.is_number() ? modes.store->put(50, modes.written.pool().row(0), "again")
                                       : modes.store->put("key-50", modes.written.pool().row(0), "again");
    REQUIRE_OK(one);
    BOOST_TEST(one->replaced == 1u);
    const auto refused =
        modes.is_number() ? modes.store->put(50, modes.written.pool().row(0), "", {.if_there = IfThere::kFail})
                          : modes.store->put("key-50", modes.written.pool().row(0), "", {.if_there = IfThere::kFail});
    BOOST_TEST((code_of(refused) == Code::kExists));
    BOOST_TEST(modes.document(50) == "again");
  });
}

// Of two that would each be the first, one is.
BOOST_AUTO_TEST_CASE(who_comes_first_has_the_key) {
  const TemporaryDirectory directory;
  OpenOptions options = writing();
  options.create = CreateOptions{.dtype = DType::kU8};
  auto store = Store::open(directory.path("s"), options);
  REQUIRE_OK(store);
  const Matrix rows = recut(DType::kU8, 16, 4);
  constexpr std::uint64_t kKeys = 200;
  std::array<std::uint64_t, 4> won{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < won.size(); ++i)
      threads.emplace_back([&, i] {
        for (std::uint64_t key = 0; key < kKeys; ++key) {
          const auto receipt = store->put(key, rows.row(i), std::to_string(i),
                                          {.if_there = i % 2 == 0 ? IfThere::kFail : IfThere::kSkip});
          won[i] += receipt ? receipt->rows : 0;
        }
      });
  }
  BOOST_TEST(won[0] + won[1] + won[2] + won[3] == kKeys);
  BOOST_TEST(store->size() == kKeys);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
