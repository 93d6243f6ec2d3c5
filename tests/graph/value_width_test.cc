// SPDX-License-Identifier: Apache-2.0
//
// Pages with 16 and 32 bits a value: what a header may say of them, and that they hold what was put.
#include "compress/sq16.h"
#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

GraphSummary wide_summary(std::uint32_t value_bits, Metric metric = Metric::kCosine) {
  GraphSummary summary;
  summary.layout.rows = 1000;
  summary.layout.dim = 96;
  summary.layout.page_bytes = 8192;
  summary.layout.rows_per_page = 16;
  summary.layout.row_id_bytes = 4;
  summary.layout.value_bits = value_bits;
  summary.layout.metric = metric;
  summary.layout.dtype = DType::kF32;
  summary.layout.row_params = needs_row_params(DType::kF32, metric, value_bits);
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

constexpr std::size_t kBytesBefore = 64;  // bytes of a summary without a width

// Far from the origin, in groups; under cosine and inner product of any norm.
Matrix grouped_rows(std::uint64_t rows, std::uint32_t dim) {
  Random random(17);
  std::vector<float> values(rows * dim);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double group = static_cast<double>(i / dim % 7);
    values[i] = static_cast<float>(50 + 3 * group * static_cast<double>(i % 3) + random.unit());
  }
  Matrix matrix{DType::kF32, dim, std::vector<std::uint8_t>(values.size() * sizeof(float))};
  std::memcpy(matrix.bytes.data(), values.data(), matrix.bytes.size());
  return matrix;
}

// A page file of `matrix`, and the rows that it was written from.
class Packed {
 public:
  Packed(const Matrix& matrix, Metric metric, std::uint32_t bits)
      : centre_(matrix.dim, 52.0f), rows_(test::quantized(matrix, metric, budget_, bits, centre_)) {
    const GraphBuilder graph = test::built_graph(rows_, {24, 40, 1.2f, 1}, executor_, budget_);
    const auto affinity = affinity_graph(graph.nearest(), budget_);
    REQUIRE_OK(affinity);
    GraphLayout layout = test::layout_for(rows_);
    layout.rows_per_page = std::max(1u, guess_rows_per_page(layout, 24));
    order = test::ordered(rows_, *affinity, layout.rows_per_page, executor_, budget_);
    std::vector<Pos> place(rows_.rows());
    invert_order(order, place);
    auto writer =
        PageFileWriter::create(FileSystem::posix(), path(), {test::graph_identity(), layout.page_bytes}, budget_);
    REQUIRE_OK(writer);
    const PackInput input{&rows_, &graph, order};
    auto summary = pack_graph(input, place, layout, budget_, *writer, {});
    REQUIRE_OK(summary);
    REQUIRE_OK(writer->finish(encode_summary(*summary)));
    for (std::uint32_t row = 0; row < rows_.rows(); ++row) edges += graph.neighbours(row).size();
  }

  const QuantizedRows& rows() const { return rows_; }
  std::string path() const { return directory_.path("graph"); }

  std::vector<std::uint32_t> order;
  std::uint64_t edges = 0;

 private:
  test::TemporaryDirectory directory_;
  MemoryBudget budget_;
  SerialExecutor executor_;
  std::vector<float> centre_;
  QuantizedRows rows_;
};

BOOST_AUTO_TEST_SUITE(value_width)

BOOST_AUTO_TEST_CASE(a_summary_with_wide_values_survives_its_bytes) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    for (const std::uint32_t bits : {16u, 32u}) {
      const GraphSummary written = wide_summary(bits, metric);
      const auto read = decode_summary(encode_summary(written));
      REQUIRE_OK(read);
      BOOST_TEST(read->layout.value_bits == bits);
      BOOST_TEST(read->layout.row_params == written.layout.row_params);
      BOOST_TEST(read->layout.rows_per_page == written.layout.rows_per_page);
      BOOST_TEST(read->layout.values_at() == written.layout.values_at());
      BOOST_TEST(read->layout.lists_at() == written.layout.lists_at());
      BOOST_TEST(read->entry == written.entry);
      BOOST_TEST(read->list_bytes == written.list_bytes);
    }
  }
}

// A reader of before says that it is too old; one of now finds the width behind what there was.
BOOST_AUTO_TEST_CASE(the_bytes_of_a_summary_are_those_of_before_and_a_width) {
  const std::vector<std::byte> narrow = encode_summary(wide_summary(8));
  BOOST_REQUIRE_EQUAL(narrow.size(), kBytesBefore);
  BOOST_TEST((narrow[0] == std::byte{1} && narrow[1] == std::byte{0}));
  for (const std::uint32_t bits : {16u, 32u}) {
    std::vector<std::byte> expected = with<std::uint16_t>(narrow, 0, 2);
    expected.resize(kBytesBefore + 4);
    expected = with<std::uint32_t>(expected, 28, needs_row_params(DType::kF32, Metric::kCosine, bits) ? 1 : 0);
    expected = with<std::uint32_t>(expected, kBytesBefore, bits);
    BOOST_TEST((encode_summary(wide_summary(bits)) == expected));
  }
}

BOOST_AUTO_TEST_CASE(a_summary_that_contradicts_its_width_is_refused) {
  for (const std::uint32_t bits : {16u, 32u}) {
    const std::vector<std::byte> good = encode_summary(wide_summary(bits));
    BOOST_TEST((code_of(good) == Code::kOk));
    BOOST_TEST((code_of(with<std::uint16_t>(good, 0, 4)) == Code::kNewerFormat));
    BOOST_TEST((code_of(with<std::uint16_t>(good, 0, 1)) == Code::kCorrupt));  // longer than its version is
    for (std::size_t size = 0; size < good.size(); ++size)
      BOOST_TEST((code_of({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}) == Code::kCorrupt));
    for (const std::uint32_t none : {0u, 1u, 4u, 12u, 15u, 24u, 64u, 0x100u, 0xFFFFFFFFu})
      BOOST_TEST((code_of(with<std::uint32_t>(good, kBytesBefore, none)) == Code::kCorrupt), none << " bits");
    for (const DType integer : {DType::kU8, DType::kI8})
      BOOST_TEST((code_of(with<DType>(good, 3, integer)) == Code::kCorrupt));
    BOOST_TEST((code_of(with<std::uint32_t>(good, 28, bits == 16 ? 0 : 1)) == Code::kCorrupt));    // row parameters
    BOOST_TEST((code_of(with<std::uint32_t>(good, 20, bits == 16 ? 39 : 22)) == Code::kCorrupt));  // more than fit
  }
}

BOOST_AUTO_TEST_CASE(a_layout_takes_8_16_and_32_bits_of_floats_and_8_of_integers) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kU8, DType::kI8}) {
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
      for (std::uint32_t bits = 0; bits <= 64; ++bits) {
        GraphLayout layout = wide_summary(8, metric).layout;
        layout.dtype = dtype;
        layout.value_bits = bits;
        layout.row_params = needs_row_params(dtype, metric, bits);
        const bool good = bits == 8 || (!is_integer(dtype) && (bits == 16 || bits == 32));
        BOOST_TEST((layout.check().code() == (good ? Code::kOk : Code::kCorrupt)),
                   bits << " bits of " << name_of(dtype));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(values_lie_where_they_may_be_read_as_what_they_are) {
  for (const std::uint32_t bits : {8u, 16u, 32u}) {
    for (std::uint32_t dim = 1; dim < 40; ++dim) {
      for (std::uint32_t rows = 1; rows < 20; ++rows) {
        GraphLayout layout;
        layout.dim = dim;
        layout.rows_per_page = rows;
        layout.value_bits = bits;
        for (const bool params : {false, true}) {
          layout.row_params = params;
          BOOST_REQUIRE(layout.values_at() % (bits / 8) == 0);
          const std::uint32_t heads = static_cast<std::uint32_t>(kPageChecksumBytes) + rows * (6 + (params ? 12 : 0));
          BOOST_REQUIRE(layout.values_at() >= heads);
          BOOST_REQUIRE(layout.values_at() < heads + bits / 8);
          BOOST_REQUIRE(layout.lists_at() == layout.values_at() + rows * dim * (bits / 8));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(pages_hold_the_rows_that_were_put_in_their_width) {
  for (const std::uint32_t dim : {3u, 17u, 96u}) {
    const Matrix matrix = grouped_rows(301, dim);
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
      const std::vector<float> put = test::as_floats(matrix, metric);
      for (const std::uint32_t bits : {16u, 32u}) {
        const Packed packed(matrix, metric, bits);
        const auto file = PageFile::open(FileSystem::posix(), packed.path(), test::graph_identity());
        REQUIRE_OK(file);
        const auto summary = decode_summary(file->attributes());
        REQUIRE_OK(summary);
        const GraphLayout& layout = summary->layout;
        BOOST_REQUIRE_EQUAL(layout.value_bits, bits);
        BOOST_REQUIRE_EQUAL(file->page_count(), layout.pages());
        BOOST_TEST(summary->edges + summary->edges_dropped == packed.edges);
        MemoryBudget budget;
        auto page = Buffer<std::byte>::allocate(budget, layout.page_bytes);
        REQUIRE_OK(page);
        std::vector<float> scratch(dim), values(dim);
        for (Pos position = 0; position < layout.rows; ++position) {
          const std::uint32_t slot = layout.slot_of(position), row = packed.order[position];
          if (slot == 0) REQUIRE_OK(file->read_page(layout.page_of(position), page->span()));
          const PageView view(layout, page->data());
          BOOST_REQUIRE_EQUAL(view.row_id(slot).value, row);
          BOOST_REQUIRE(!is_damaged(view.list(slot)));
          const StoredValues stored = packed.rows().stored(row, std::as_writable_bytes(std::span(scratch)));
          const std::byte* held = view.values() + slot * layout.value_bytes();
          BOOST_REQUIRE(std::memcmp(held, stored.values, layout.value_bytes()) == 0);
          const RowParams params = layout.row_params ? view.params(slot) : RowParams{};
          if (bits == 32) {
            std::memcpy(values.data(), held, layout.value_bytes());
          } else {
            decode_sq16(reinterpret_cast<const std::uint16_t*>(held), params.scale, params.offset, dim, values.data());
          }
          double norm2 = 0;
          for (std::uint32_t i = 0; i < dim; ++i) {
            const double centred = packed.rows().shape().is_centred() ? 52.0 : 0.0;
            const double expected = double{put[std::size_t{row} * dim + i]} - centred;
            norm2 += expected * expected;
            const double step = bits == 16 ? 0.5001 * double{params.scale} : 0.0;
            BOOST_REQUIRE(std::abs(double{values[i]} - expected) <= step + 2e-7 * std::abs(expected) + 1e-6);
          }
          if (metric == Metric::kInnerProduct) BOOST_REQUIRE(std::abs(double{params.norm2} - norm2) <= 1e-5 * norm2);
          if (bits == 32 && metric == Metric::kL2)
            BOOST_REQUIRE(std::memcmp(held, put.data() + std::size_t{row} * dim, layout.value_bytes()) == 0);
        }
      }
    }
  }
}

// What a build computes with when pages are wide is not rounded to 8 bits: near rows keep their order.
BOOST_AUTO_TEST_CASE(distances_between_rows_of_wide_values_are_those_of_floats) {
  const Matrix matrix = grouped_rows(100, 33);
  const std::vector<float> put = test::as_floats(matrix, Metric::kL2);
  const std::vector<float> centre(33, 52.0f);
  for (const std::uint32_t bits : {16u, 32u}) {
    MemoryBudget budget;
    const QuantizedRows rows = test::quantized(matrix, Metric::kL2, budget, bits, centre);
    BOOST_TEST(budget.peak_bytes() <= QuantizedRows::predict_bytes(100, rows.shape()));
    for (std::uint32_t from = 0; from < 100; from += 7) {
      for (std::uint32_t to = 0; to < 100; ++to) {
        std::uint32_t scratch = 0;
        float distance = 0;
        rows.distances(from, &to, 1, &scratch, &distance);
        const double expected = test::square_distance(&put[from * 33], &put[to * 33], 33);
        BOOST_REQUIRE(std::abs(double{distance} - expected) <= 1e-5 * expected);
      }
    }
    std::vector<float> decoded(33);
    for (std::uint32_t row = 0; row < 100; ++row) {  // always relative to the centre
      rows.decode(row, decoded.data());
      for (std::size_t i = 0; i < 33; ++i)
        BOOST_REQUIRE(std::abs(double{decoded[i]} - (double{put[row * 33 + i]} - 52.0)) <= 1e-5);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
