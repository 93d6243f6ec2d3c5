// SPDX-License-Identifier: Apache-2.0
#include "graph/format.h"

#include "base/bytes.h"
#include "compress/neighbour_list.h"
#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

GraphSummary sample_summary() {
  GraphSummary summary;
  summary.layout.rows = 1000;
  summary.layout.dim = 96;
  summary.layout.page_bytes = 8192;
  summary.layout.rows_per_page = 40;
  summary.layout.row_id_bytes = 8;
  summary.layout.row_params = true;
  summary.layout.metric = Metric::kCosine;
  summary.layout.dtype = DType::kF16;
  summary.max_degree = 48;
  summary.edges = 31000;
  summary.edges_dropped = 17;
  summary.list_bytes = 50123;
  summary.entry = 777;
  return summary;
}

Code code_of(const std::vector<std::byte>& attributes) { return test::code_of(decode_summary(attributes)); }

template <typename T>
std::vector<std::byte> with(std::vector<std::byte> bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
  return bytes;
}

// The same with number keys.
GraphSummary keyed_summary(std::uint32_t key_bytes) {
  GraphSummary summary = sample_summary();
  summary.layout.key_bytes = key_bytes;
  summary.layout.rows_per_page = 30;
  return summary;
}

GraphLayout layout_of(std::uint32_t dim, std::uint32_t page_bytes, std::uint32_t row_id_bytes, bool params) {
  GraphLayout layout;
  layout.dim = dim;
  layout.page_bytes = page_bytes;
  layout.row_id_bytes = row_id_bytes;
  layout.row_params = params;
  layout.dtype = params ? DType::kF32 : DType::kU8;
  layout.rows_per_page = 1;
  return layout;
}

// A page with random records; what was written is kept beside it.
class RandomPage {
 public:
  RandomPage(GraphLayout layout, std::uint64_t seed) : layout_(layout), page_(layout.page_bytes) {
    Random random(seed);
    PageBuilder builder(layout_, page_);
    std::uint32_t room = layout_.list_bytes_of_page();
    for (std::uint32_t slot = 0; slot < layout_.rows_per_page; ++slot) {
      const std::uint64_t id_mask = layout_.row_id_bytes == 4 ? 0xFFFFFFFFull : ~0ull;
      ids_.push_back(random.next() & id_mask);
      const std::uint64_t key = random.next();
      keys_.push_back(layout_.key_bytes == 0 ? ids_[slot] : layout_.key_bytes == 4 ? key & 0xFFFFFFFFull : key);
      params_.push_back({static_cast<float>(random.unit()), static_cast<float>(random.unit()), 2.5f});
      auto& codes = codes_.emplace_back(layout_.value_bytes());
      for (std::byte& code : codes) code = static_cast<std::byte>(random.below(256));
      auto& list = lists_.emplace_back();
      const std::uint64_t degree = random.below(40);
      for (auto at = random.below(50); list.size() < degree; at += 1 + random.below(300))
        if (at != slot) list.push_back(static_cast<Pos>(at));
      if (neighbour_list_bytes(slot, list) > room) list.clear();
      room -= static_cast<std::uint32_t>(neighbour_list_bytes(slot, list));
      builder.set_record(slot, {RowId{ids_[slot]}, keys_[slot], params_[slot], codes.data()});
      builder.append_list(slot, slot, list);
    }
  }

  void require_read_back() const {
    const PageView view(layout_, page_.data());
    for (std::uint32_t slot = 0; slot < layout_.rows_per_page; ++slot) {
      BOOST_REQUIRE(view.row_id(slot).value == ids_[slot]);
      BOOST_REQUIRE(view.key(slot) == keys_[slot]);
      if (layout_.row_params) {
        const RowParams params = view.params(slot);
        BOOST_REQUIRE(params.scale == params_[slot].scale);
        BOOST_REQUIRE(params.offset == params_[slot].offset);
        BOOST_REQUIRE(params.norm2 == params_[slot].norm2);
      }
      BOOST_REQUIRE(std::equal(codes_[slot].begin(), codes_[slot].end(), view.values() + slot * layout_.value_bytes()));
      std::vector<Pos> list(kDegreeMax);
      BOOST_REQUIRE(!is_damaged(view.list(slot)));
      list.resize(decode_neighbours(slot, view.list(slot), kNoPos, list.data(), list.size()));
      BOOST_REQUIRE((list == lists_[slot]));
    }
  }

  const GraphLayout& layout() const { return layout_; }
  std::vector<std::byte>& page() { return page_; }

 private:
  GraphLayout layout_;
  std::vector<std::byte> page_;
  std::vector<std::uint64_t> ids_;
  std::vector<std::uint64_t> keys_;
  std::vector<RowParams> params_;
  std::vector<std::vector<std::byte>> codes_;
  std::vector<std::vector<Pos>> lists_;
};

// The smallest page that holds a record of that width with 64 bytes for its list.
std::uint32_t page_for(std::uint32_t record_bytes) {
  std::uint32_t page_bytes = kPageBytesMin;
  while (page_payload_bytes(page_bytes) < record_bytes + 64) page_bytes += kPageBytesMin;
  return page_bytes;
}

BOOST_AUTO_TEST_SUITE(format)

BOOST_AUTO_TEST_CASE(a_summary_survives_its_bytes) {
  const GraphSummary written = sample_summary();
  const auto read = decode_summary(encode_summary(written));
  REQUIRE_OK(read);
  BOOST_TEST(read->layout.rows == written.layout.rows);
  BOOST_TEST(read->layout.dim == written.layout.dim);
  BOOST_TEST(read->layout.page_bytes == written.layout.page_bytes);
  BOOST_TEST(read->layout.rows_per_page == written.layout.rows_per_page);
  BOOST_TEST(read->layout.row_id_bytes == written.layout.row_id_bytes);
  BOOST_TEST(read->layout.row_params == written.layout.row_params);
  BOOST_TEST((read->layout.metric == written.layout.metric));
  BOOST_TEST((read->layout.dtype == written.layout.dtype));
  BOOST_TEST(read->max_degree == written.max_degree);
  BOOST_TEST(read->edges == written.edges);
  BOOST_TEST(read->edges_dropped == written.edges_dropped);
  BOOST_TEST(read->list_bytes == written.list_bytes);
  BOOST_TEST(read->entry == written.entry);
}

BOOST_AUTO_TEST_CASE(the_bytes_of_a_summary_are_frozen) {
  const std::uint8_t frozen[] = {1,    0,    2, 1, 96,   0,    0, 0,   // version, metric, dtype, dim
                                 0xE8, 0x03, 0, 0, 0,    0,    0, 0,   // rows
                                 0,    0x20, 0, 0, 40,   0,    0, 0,   // page bytes, rows per page
                                 8,    0,    0, 0, 1,    0,    0, 0,   // row id bytes, row params
                                 48,   0,    0, 0, 0x09, 0x03, 0, 0,   // max degree, entry
                                 0x18, 0x79, 0, 0, 0,    0,    0, 0,   // edges
                                 17,   0,    0, 0, 0,    0,    0, 0,   // edges dropped
                                 0xCB, 0xC3, 0, 0, 0,    0,    0, 0};  // list bytes
  const auto bytes = encode_summary(sample_summary());
  BOOST_REQUIRE(bytes.size() == sizeof(frozen));
  BOOST_TEST(std::memcmp(bytes.data(), frozen, sizeof(frozen)) == 0);
}

BOOST_AUTO_TEST_CASE(only_a_summary_with_keys_takes_the_third_version) {
  for (const std::uint32_t value_bits : {8u, 16u}) {
    for (const std::uint32_t key_bytes : {0u, 4u, 8u}) {
      GraphSummary written = keyed_summary(key_bytes);
      written.layout.value_bits = value_bits;
      const std::vector<std::byte> bytes = encode_summary(written);
      const std::uint32_t version = key_bytes != 0 ? 3 : value_bits == 16 ? 2 : 1;
      BOOST_TEST(std::to_integer<std::uint32_t>(bytes[0]) == version);
      BOOST_TEST(bytes.size() == (version == 3 ? 72u : version == 2 ? 68u : 64u));
      const auto read = decode_summary(bytes);
      REQUIRE_OK(read);
      BOOST_TEST(read->layout.key_bytes == key_bytes);
      BOOST_TEST(read->layout.value_bits == value_bits);
      BOOST_TEST(read->list_bytes == written.list_bytes);
    }
  }
  std::vector<std::byte> tail = encode_summary(keyed_summary(4));
  tail.erase(tail.begin(), tail.begin() + 64);
  const std::uint8_t frozen[] = {8, 0, 0, 0, 4, 0, 0, 0};  // bits of a value, bytes of a key
  BOOST_TEST(std::memcmp(tail.data(), frozen, sizeof(frozen)) == 0);
}

BOOST_AUTO_TEST_CASE(impossible_bytes_of_a_key_are_refused) {
  const std::vector<std::byte> good = encode_summary(keyed_summary(8));
  for (const std::uint32_t key_bytes : {1u, 5u, 9u, 16u, 0x80000000u, 0xFFFFFFFFu})
    BOOST_TEST((code_of(with<std::uint32_t>(good, 68, key_bytes)) == Code::kCorrupt));
  BOOST_TEST((code_of(with<std::uint32_t>(good, 20, 66)) == Code::kCorrupt), "so many rows have no room for keys");
  BOOST_TEST((code_of(with<std::uint16_t>(good, 0, 2)) == Code::kCorrupt));
  for (std::size_t size = 64; size < good.size(); ++size)
    BOOST_TEST((code_of({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(attributes_of_any_other_length_are_refused) {
  std::vector<std::byte> bytes = encode_summary(sample_summary());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    BOOST_TEST((code_of({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}) == Code::kCorrupt));
  bytes.push_back(std::byte{0});
  BOOST_TEST((code_of(bytes) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(impossible_attributes_are_refused) {
  const std::vector<std::byte> good = encode_summary(sample_summary());
  BOOST_TEST((code_of(with<std::uint16_t>(good, 0, 4)) == Code::kNewerFormat));
  const std::vector<std::vector<std::byte>> hostile = {
      with<std::uint16_t>(good, 0, 2),                // without the bits of a value
      with<std::uint16_t>(good, 0, 3),                // and without the bytes of a key
      with<std::uint8_t>(good, 2, 3),                 // metric
      with<std::uint8_t>(good, 3, 4),                 // dtype
      with<std::uint32_t>(good, 4, 0),                // dim
      with<std::uint32_t>(good, 4, kDimMax + 1),      //
      with<std::uint32_t>(good, 4, 0xFFFFFFF0u),      // fixed_bytes() would overflow
      with<std::uint64_t>(good, 8, kRowsMax + 1),     // rows
      with<std::uint64_t>(good, 8, 0),                // with an entry
      with<std::uint32_t>(good, 16, 0),               // page bytes
      with<std::uint32_t>(good, 16, 4097),            //
      with<std::uint32_t>(good, 16, 2 * 16384),       //
      with<std::uint32_t>(good, 20, 0),               // rows per page
      with<std::uint32_t>(good, 20, 70),              //
      with<std::uint32_t>(good, 20, 0xFFFFFFFFu),     //
      with<std::uint32_t>(good, 24, 5),               // row id bytes
      with<std::uint32_t>(good, 28, 0),               // halves without row parameters
      with<std::uint32_t>(good, 32, kDegreeMax + 1),  // degree
      with<std::uint32_t>(good, 36, 1000),            // entry
      with<std::uint32_t>(good, 36, kNoPos),          //
  };
  for (std::size_t i = 0; i < hostile.size(); ++i)
    BOOST_TEST((code_of(hostile[i]) == Code::kCorrupt), "hostile attributes " << i << " were accepted");
}

BOOST_AUTO_TEST_CASE(whatever_is_accepted_describes_pages_that_exist) {
  Random random(7);
  const std::vector<std::byte> good = encode_summary(sample_summary());
  std::size_t accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes = good;
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1u << random.below(8));
    const auto summary = decode_summary(bytes);
    if (!summary.has_value()) continue;
    ++accepted;
    const GraphLayout& layout = summary->layout;
    BOOST_REQUIRE(layout.fixed_bytes() * layout.rows_per_page + layout.list_bytes_of_page() + kPageChecksumBytes ==
                  layout.page_bytes);
    BOOST_REQUIRE((layout.rows == 0 || layout.page_of(summary->entry) <= layout.pages()));
  }
  BOOST_TEST(accepted > 1000u);
}

BOOST_AUTO_TEST_CASE(positions_fall_on_pages_one_after_the_other) {
  GraphLayout layout = layout_of(4, 4096, 4, false);
  layout.rows = 23;
  layout.rows_per_page = 5;
  BOOST_TEST(layout.pages() == 5u);
  std::uint64_t rows = 0;
  for (std::uint64_t page = 0; page <= 6; ++page) rows += layout.rows_on(page);
  BOOST_TEST(rows == 23u);
  BOOST_TEST(layout.rows_on(5) == 3u);
  for (Pos position = 0; position < 23; ++position)
    BOOST_TEST(layout.first_on(layout.page_of(position)) + layout.slot_of(position) == position);
}

BOOST_AUTO_TEST_CASE(a_page_of_any_shape_reads_back_as_it_was_written) {
  for (const std::uint32_t dim : {1u, 2u, 127u, 128u, 784u, 4095u, kDimMax}) {
    for (const std::uint32_t row_id_bytes : {4u, 8u}) {
      for (const bool params : {false, true}) {
        GraphLayout layout = layout_of(dim, kPageBytesMin, row_id_bytes, params);
        const std::uint32_t smallest = page_for(layout.fixed_bytes());
        for (const std::uint32_t page_bytes : {smallest, kGraphPageBytesMax}) {
          layout.page_bytes = page_bytes;
          const auto most = static_cast<std::uint32_t>(page_payload_bytes(page_bytes) / layout.fixed_bytes());
          for (const std::uint32_t rows_per_page : {1u, (most + 1) / 2, most}) {
            layout.rows_per_page = rows_per_page;
            layout.rows = rows_per_page;
            REQUIRE_OK(layout.check());
            RandomPage(layout, dim + rows_per_page).require_read_back();
          }
          layout.rows_per_page = most + 1;
          BOOST_TEST((layout.check().code() == Code::kCorrupt));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_page_keeps_keys_beside_row_ids) {
  for (const std::uint32_t value_bits : {8u, 16u, 32u}) {
    for (const std::uint32_t key_bytes : {4u, 8u}) {
      for (const std::uint32_t row_id_bytes : {4u, 8u}) {
        GraphLayout layout = layout_of(33, kPageBytesMin, row_id_bytes, value_bits != 32);
        layout.dtype = DType::kF32;
        layout.value_bits = value_bits;
        layout.key_bytes = key_bytes;
        for (layout.rows_per_page = 1; layout.lists_at() + 64 <= layout.page_bytes; ++layout.rows_per_page) {
          layout.rows = layout.rows_per_page;
          REQUIRE_OK(layout.check());
          RandomPage(layout, value_bits + layout.rows_per_page).require_read_back();
        }
      }
    }
  }
}

// What a document of the format says, byte by byte.
BOOST_AUTO_TEST_CASE(keys_lie_right_behind_the_row_ids) {
  GraphLayout layout = layout_of(2, 4096, 4, false);
  layout.key_bytes = 8;
  layout.rows = layout.rows_per_page = 2;
  std::vector<std::byte> page(layout.page_bytes);
  PageBuilder builder(layout, page);
  const std::byte values[2] = {std::byte{0xAA}, std::byte{0xBB}};
  builder.set_record(1, {RowId{0x01020304}, 0x1122334455667788, {}, values});
  const std::vector<std::uint8_t> expected = {0,    0,    0,    0,    4,    3,    2,    1,     // RowIds
                                              0,    0,    0,    0,    0,    0,    0,    0,     //
                                              0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  // keys
                                              0,    0,    0xAA, 0xBB};                         // values
  BOOST_TEST(std::memcmp(page.data() + kPageChecksumBytes + 4, expected.data(), expected.size()) == 0);
  BOOST_TEST(layout.values_at() == 8u + 2 * (2 + 4 + 8));
}

BOOST_AUTO_TEST_CASE(every_dimension_has_a_page_that_holds_a_record) {
  for (std::uint32_t dim = 1; dim <= kDimMax; ++dim) {
    GraphLayout layout = layout_of(dim, kPageBytesMin, 8, true);
    layout.key_bytes = 8;
    layout.rows = 1;
    layout.page_bytes = page_for(layout.fixed_bytes());
    BOOST_REQUIRE(layout.page_bytes <= kGraphPageBytesMax);
    BOOST_REQUIRE(layout.check().is_ok());
    BOOST_REQUIRE(layout.list_bytes_of_page() >= 64);
  }
}

BOOST_AUTO_TEST_CASE(records_without_a_list_end_where_the_last_list_ended) {
  GraphLayout layout = layout_of(8, 4096, 4, false);
  layout.rows_per_page = 6;
  layout.rows = 6;
  std::vector<std::byte> page(layout.page_bytes);
  PageBuilder builder(layout, page);
  const std::vector<Pos> list = {1, 5};
  builder.append_list(0, 0, list);
  builder.append_list(1, 1, {});
  const PageView view(layout, page.data());
  BOOST_TEST(view.list(0).size() == neighbour_list_bytes(0, list));
  for (std::uint32_t slot = 1; slot < 6; ++slot) {
    BOOST_TEST(view.list(slot).empty());
    BOOST_TEST(!is_damaged(view.list(slot)));
  }
}

BOOST_AUTO_TEST_CASE(list_ends_that_lie_never_lead_out_of_the_page) {
  GraphLayout layout = layout_of(128, 4096, 4, false);
  layout.rows_per_page = 19;
  layout.rows = 19;
  RandomPage written(layout, 5);
  const std::vector<std::byte> good = written.page();
  const auto set_end = [](std::vector<std::byte>& page, std::size_t slot, std::uint16_t end) {
    std::memcpy(page.data() + kPageChecksumBytes + slot * 2, &end, 2);
  };
  {
    std::vector<std::byte> page = good;
    set_end(page, 18, static_cast<std::uint16_t>(layout.list_bytes_of_page() + 1));
    BOOST_TEST(is_damaged(PageView(layout, page.data()).list(18)), "the end lies behind the page");
    BOOST_TEST(!is_damaged(PageView(layout, page.data()).list(17)));
    page = good;
    set_end(page, 4, 0xFFFF);
    BOOST_TEST(is_damaged(PageView(layout, page.data()).list(4)));
    BOOST_TEST(is_damaged(PageView(layout, page.data()).list(5)), "the beginning lies behind the end");
  }
  Random random(11);
  std::vector<Pos> out(kDegreeMax);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> page = good;
    for (std::size_t slot = 0; slot < 19; ++slot)
      if (random.below(3) == 0) set_end(page, slot, static_cast<std::uint16_t>(random.below(1600)));
    const PageView view(layout, page.data());
    for (std::uint32_t slot = 0; slot < 19; ++slot) {
      const auto list = view.list(slot);
      if (is_damaged(list)) continue;
      BOOST_REQUIRE((list.data() >= page.data() && list.data() + list.size() <= page.data() + page.size()));
      decode_neighbours(slot, list, 19, out.data(), out.size());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
