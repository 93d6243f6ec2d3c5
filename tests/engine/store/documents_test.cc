// SPDX-License-Identifier: Apache-2.0
//
// Documents that are put lie compressed in log and memory, and come back as they were.
#include <algorithm>
#include <array>
#include <filesystem>

#include "base/random.h"
#include "engine/live/document_packer.h"
#include "engine/live/log_records.h"
#include "engine/store/impl.h"
#include "tests/engine/stores.h"
#include "tests/engine/text_input.h"

using namespace vecstore;
using test::code_of;

namespace {

constexpr std::uint64_t kBatch = 50;

OpenOptions writing() {
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;
  return options;
}

// Real texts of some 600 bytes beside real vectors.
struct Texts {
  explicit Texts(std::uint64_t rows)
      : base(test::csift(rows)), texts(test::first_lines(test::shipped_data("win384-8k.base.text.jsonl.zst"), rows)) {
    REQUIRE_OK(Store::create(path, {base.dim, base.dtype, Metric::kL2, KeyKind::kNumber}));
  }
  void put(Store& store, std::uint64_t first, std::uint64_t count) const {
    for (std::uint64_t row = first; row < first + count; row += kBatch) {
      std::vector<Key> keys;
      for (std::uint64_t i = 0; i < kBatch; ++i) keys.emplace_back(row + i);
      const std::vector<std::string_view> documents(texts.begin() + static_cast<std::ptrdiff_t>(row),
                                                    texts.begin() + static_cast<std::ptrdiff_t>(row + kBatch));
      REQUIRE_OK(store.put_batch(keys, {base.view().row(row), base.dtype, kBatch, base.dim}, documents));
    }
  }
  void check(const Store& store, std::uint64_t first, std::uint64_t count) const {
    for (std::uint64_t row = first; row < first + count; ++row) {
      const auto item = store.get(row);
      REQUIRE_OK(item);
      BOOST_REQUIRE(item->document == texts[row]);
      BOOST_REQUIRE(
          std::ranges::equal(item->vector, std::span(base.bytes).subspan(row * base.row_bytes(), base.row_bytes())));
    }
  }

  test::TemporaryDirectory directory;
  std::string path = directory.path("s");
  test::Matrix base;
  std::vector<std::string> texts;
};

Store open_for_writing(const std::string& path, const OpenOptions& options = writing()) {
  auto store = Store::open(path, options);
  REQUIRE_OK(store);
  return std::move(*store);
}

double kept_share(const Store& store) {
  const StoreStats stats = store.stats();
  return static_cast<double>(stats.kept_document_bytes) / static_cast<double>(stats.document_bytes);
}

std::string noise(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

// Damages the first dictionary that the log holds.
void damage_dictionary(const std::string& path) {
  const std::string segment = path + "/wal/log-1";
  std::vector<char> bytes = test::read_file(segment);
  const std::array<char, 4> magic = {0x37, static_cast<char>(0xA4), 0x30, static_cast<char>(0xEC)};
  const auto at = std::ranges::search(bytes, magic);
  BOOST_REQUIRE(!at.empty());
  at[100] = static_cast<char>(at[100] ^ 1);
  test::write_file(segment, bytes);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(documents)

BOOST_AUTO_TEST_CASE(a_dictionary_is_trained_once_there_are_enough_and_halves_what_follows) {
  const Texts texts(3000);
  Store store = open_for_writing(texts.path);
  texts.put(store, 0, 400);
  BOOST_TEST(!store.stats().has_dictionary);
  const double alone = kept_share(store);
  BOOST_TEST(alone < 0.62);
  const std::uint64_t kept = store.stats().kept_document_bytes;
  const std::uint64_t put = store.stats().document_bytes;
  texts.put(store, 400, 2600);
  const StoreStats stats = store.stats();
  BOOST_TEST(stats.has_dictionary);
  const double later =
      static_cast<double>(stats.kept_document_bytes - kept) / static_cast<double>(stats.document_bytes - put);
  BOOST_TEST(later < 0.45);
  texts.check(store, 0, 3000);

  const auto reader = Store::open(texts.path);
  REQUIRE_OK(reader);
  texts.check(*reader, 0, 3000);
  REQUIRE_OK(store.close());

  // A writer that comes later goes on with the same dictionary.
  Store again = open_for_writing(texts.path);
  BOOST_TEST(again.stats().has_dictionary);
  BOOST_TEST(again.stats().kept_document_bytes == stats.kept_document_bytes);
  texts.put(again, 0, 400);
  BOOST_TEST(kept_share(again) < 0.45);
  texts.check(again, 0, 3000);
  const auto verified = again.verify({.deep = true});
  REQUIRE_OK(verified);
  BOOST_TEST(verified->damage.empty());
}

BOOST_AUTO_TEST_CASE(a_reader_that_follows_learns_the_dictionary) {
  const Texts texts(1000);
  Store store = open_for_writing(texts.path);
  texts.put(store, 0, 100);
  auto reader = Store::open(texts.path);
  REQUIRE_OK(reader);
  for (std::uint64_t row = 100; row < 1000; row += 300) {
    texts.put(store, row, 300);
    REQUIRE_OK(store.flush());
    REQUIRE_OK(reader->refresh());
    texts.check(*reader, 0, row + 300);
  }
  BOOST_TEST(reader->stats().has_dictionary);
}

BOOST_AUTO_TEST_CASE(any_bytes_come_back_as_they_were) {
  const Texts texts(1000);
  Store store = open_for_writing(texts.path);
  texts.put(store, 0, 1000);
  std::vector<std::string> odd = {"",
                                  "x",
                                  std::string(15, 'a'),
                                  std::string(16, 'a'),
                                  std::string(65536, '\0'),
                                  noise(17, 1),
                                  noise(65536, 2),
                                  std::string("\n\0\xff", 3)};
  for (const std::string& text : texts.texts) {
    if (odd.size() == 40) break;
    odd.push_back(text.substr(0, 17 + odd.size()));
  }
  for (std::size_t i = 0; i < odd.size(); ++i) REQUIRE_OK(store.put(5000 + i, texts.base.row(i), odd[i]));
  const auto check = [&](const Store& from) {
    for (std::size_t i = 0; i < odd.size(); ++i) {
      const auto item = from.get(5000 + i);
      REQUIRE_OK(item);
      BOOST_REQUIRE_MESSAGE(item->document == odd[i], "document " << i << " of " << odd[i].size() << " bytes");
    }
  };
  check(store);
  REQUIRE_OK(store.close());
  const auto reader = Store::open(texts.path);
  REQUIRE_OK(reader);
  check(*reader);
}

// A frame that saves less than it costs the record is no gain: what is first written has the room for either.
BOOST_AUTO_TEST_CASE(documents_that_hardly_shrink_are_kept_as_they_are) {
  const Texts texts(200);
  std::vector<std::string> small;
  for (std::size_t size = 14; size < 64; ++size)
    for (const std::size_t distinct : {std::size_t{1}, size / 4, size / 2, size - 4}) {
      small.push_back(noise(distinct, size) + std::string(size - distinct, 'a'));
    }
  for (std::size_t i = 0; i < small.size(); ++i) {
    const std::string path = texts.directory.path("s" + std::to_string(i));
    REQUIRE_OK(Store::create(path, {texts.base.dim, texts.base.dtype, Metric::kL2, KeyKind::kNumber}));
    Store store = open_for_writing(path);
    REQUIRE_OK(store.put(1, texts.base.row(1), small[i]));
    const StoreStats stats = store.stats();
    BOOST_TEST(store.get(1)->document == small[i]);
    const std::uint64_t saved = stats.document_bytes - stats.kept_document_bytes;
    BOOST_TEST((saved == 0 || saved >= sizeof(std::uint32_t)));
    std::filesystem::remove_all(path);
  }
  Store store = open_for_writing(texts.path);
  const std::vector<std::string_view> documents(small.begin(), small.end());
  std::vector<Key> keys;
  for (std::size_t i = 0; i < small.size(); ++i) keys.emplace_back(i);
  BOOST_REQUIRE(small.size() == 200u);
  REQUIRE_OK(store.put_batch(keys, texts.base.view(), documents));
  for (std::size_t i = 0; i < small.size(); ++i) BOOST_TEST(store.get(i)->document == small[i]);
}

// Where there is no memory for a dictionary, or nothing that documents have in common, they are kept all the same.
BOOST_AUTO_TEST_CASE(without_room_or_likeness_there_is_no_dictionary_and_no_error) {
  const Texts texts(1000);
  {
    OpenOptions options = writing();
    options.ram_bytes = 24u << 20;
    options.delta_bytes = 4u << 20;
    options.merge = MergePolicy::kManual;
    Store store = open_for_writing(texts.path, options);
    texts.put(store, 0, 1000);
    BOOST_TEST(!store.stats().has_dictionary);
    BOOST_TEST(kept_share(store) < 0.62);
    texts.check(store, 0, 1000);
    REQUIRE_OK(store.close());
  }
  const std::string path = texts.directory.path("noise");
  REQUIRE_OK(Store::create(path, {texts.base.dim, texts.base.dtype, Metric::kL2, KeyKind::kNumber}));
  Store store = open_for_writing(path);
  for (std::uint64_t i = 0; i < 40; ++i) REQUIRE_OK(store.put(i, texts.base.row(i), noise(20000, i)));
  BOOST_TEST(kept_share(store) == 1.0);
  for (std::uint64_t i = 0; i < 40; ++i) BOOST_TEST(store.get(i)->document == noise(20000, i));

  // What comes later is tried again, by itself.
  for (int round = 0; round < 4; ++round) texts.put(store, 0, 1000);
  BOOST_TEST(store.stats().has_dictionary);
}

// The writer's budget holds a dictionary where the delta has the room for it.
BOOST_AUTO_TEST_CASE(a_writer_with_a_budget_trains_within_it) {
  const Texts texts(2000);
  OpenOptions options = writing();
  options.ram_bytes = 64u << 20;
  options.delta_bytes = 32u << 20;
  options.merge = MergePolicy::kManual;
  Store store = open_for_writing(texts.path, options);
  texts.put(store, 0, 2000);
  BOOST_TEST(store.stats().has_dictionary);
  BOOST_TEST(kept_share(store) < 0.5);
  BOOST_TEST(store.info().ram_peak_bytes <= options.ram_bytes);
  texts.check(store, 0, 2000);
}

BOOST_AUTO_TEST_CASE(salvaging_finds_a_dictionary_that_is_logged_again) {
  const Texts texts(1000);
  {
    Store store = open_for_writing(texts.path);
    texts.put(store, 0, 1000);
    BOOST_TEST(store.stats().has_dictionary);
    REQUIRE_OK(store.close());
  }
  const std::string once = texts.directory.path("once");
  std::filesystem::copy(texts.path, once, std::filesystem::copy_options::recursive);
  {
    // Nine megabytes later it is in the log a second time, whoever wrote them.
    for (std::uint64_t session = 0; session < 3; ++session) {
      Store store = open_for_writing(texts.path);
      for (std::uint64_t i = 0; i < 50; ++i) REQUIRE_OK(store.put(9000, texts.base.row(i), noise(60000, i)));
      REQUIRE_OK(store.close());
    }
  }
  for (const bool twice : {false, true}) {
    const std::string& path = twice ? texts.path : once;
    damage_dictionary(path);
    BOOST_CHECK(code_of(Store::open(path)) == Code::kCorrupt);
    const std::string to = texts.directory.path(twice ? "to-2" : "to-1");
    const auto report = Store::salvage(path, to);
    REQUIRE_OK(report);
    const auto store = Store::open(to);
    REQUIRE_OK(store);
    // The batch that shared a group with the dictionary is lost with it.
    BOOST_TEST(report->rows + (twice ? kBatch - 1 : kBatch) == 1000u);
    BOOST_TEST((report->documents_lost == 0) == twice);
    std::uint64_t whole = 0;
    for (std::uint64_t row = 0; row < 1000; ++row) {
      const auto item = store->get(row);
      if (!item) continue;
      BOOST_REQUIRE(item->document == texts.texts[row] || item->document.empty());
      whole += item->document.empty() ? 0 : 1;
    }
    BOOST_TEST(whole + report->documents_lost == 1000 - kBatch);
  }
}

// Records with good checksums that no writer would have written.
BOOST_AUTO_TEST_CASE(records_that_make_no_sense_are_refused_when_they_are_applied) {
  const Texts texts(600);
  std::vector<std::byte> samples;
  std::vector<std::size_t> sizes;
  for (const std::string& text : texts.texts) {
    const auto bytes = std::as_bytes(std::span(text));
    samples.insert(samples.end(), bytes.begin(), bytes.end());
    sizes.push_back(text.size());
  }
  const std::vector<std::byte> dictionary = train_dictionary(samples, sizes);
  BOOST_REQUIRE(!dictionary.empty());
  MemoryBudget budget;
  LiveState live({{1, DType::kF32, Metric::kL2, KeyKind::kNumber}, 0, 0, Lsn{0}}, budget);
  const auto apply = [&](RecordType type, std::span<const std::byte> payload) {
    return live.apply({1}, {static_cast<std::uint16_t>(type), 0, payload}).code();
  };
  const std::vector<std::byte> large(FrameDictionary::kBytesMax + 1);
  BOOST_CHECK(apply(RecordType::kDictionary, {}) == Code::kCorrupt);
  BOOST_CHECK(apply(RecordType::kDictionary, large) == Code::kCorrupt);
  BOOST_CHECK(apply(RecordType::kDictionary, std::span(samples).first(500)) == Code::kCorrupt);
  BOOST_CHECK(apply(RecordType::kDictionary, dictionary) == Code::kOk);
  BOOST_CHECK(apply(RecordType::kDictionary, dictionary) == Code::kOk);
  std::vector<std::byte> second = dictionary;
  second.back() ^= std::byte{1};
  BOOST_CHECK(apply(RecordType::kDictionary, second) == Code::kCorrupt);
  BOOST_CHECK(apply(static_cast<RecordType>(5), dictionary) == Code::kNewerFormat);

  const std::vector<std::byte> vector(4);
  PutRecord put{{0}, kNoRow, Key(3), vector, "this is no frame at all", 900};
  std::vector<std::byte> bytes(encoded_bytes(put));
  encode(put, bytes.data());
  BOOST_CHECK(apply(RecordType::kPutPacked, bytes) == Code::kOk);
  BOOST_CHECK(code_of(live.document(*live.delta(), {0})) == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(what_a_record_says_is_checked) {
  const std::vector<std::byte> vector(4, std::byte{1});
  PutRecord put{{7}, kNoRow, Key(3), vector, "frame", 900};
  std::vector<std::byte> bytes(encoded_bytes(put));
  encode(put, bytes.data());
  LogRecord record{static_cast<std::uint16_t>(type_of(put)), 0, bytes};
  const auto back = decode_put(record);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST(back->document == "frame");
  BOOST_TEST(back->document_bytes == 900u);
  BOOST_TEST(back->is_packed());
  record.type = static_cast<std::uint16_t>(RecordType::kPut);
  BOOST_TEST(!decode_put(record).has_value());
  BOOST_TEST(!decode_erase(record).has_value());
  for (const std::uint32_t size : {4u, 5u, 65537u}) {  // not smaller than the document, or a document too large
    put.document_bytes = size;
    bytes.resize(encoded_bytes(put));
    encode(put, bytes.data());
    const LogRecord odd{static_cast<std::uint16_t>(RecordType::kPutPacked), 0, bytes};
    BOOST_TEST(!decode_put(odd).has_value());
  }
}

BOOST_AUTO_TEST_SUITE_END()
