// SPDX-License-Identifier: Apache-2.0
//
// Codes of data that a few far rows, mixed lengths or far clusters would spoil: estimates of near rows stay as good as
// they are without. Each of the three forms that this takes is told from damage when it is read.
#include "compress/far_rows.h"

#include <cstring>
#include <functional>

#include "compress/block_codes_io.h"
#include "tests/compress/code_cases.h"

namespace vecstore {
namespace {

using test::MemoryRows;

constexpr std::uint32_t kDim = 32;
constexpr std::uint64_t kRows = 3000;
constexpr Codec kKinds[] = {Codec::kPq, Codec::kOpq, Codec::kRabitq};

// Nearly normal.
double bell(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.unit();
  return sum;
}

std::vector<float> gaussian_values(std::uint64_t rows = kRows) {
  Random random(1);
  std::vector<float> values(rows * kDim);
  for (float& value : values) value = static_cast<float>(bell(random));
  return values;
}

std::vector<float> with_a_far_row(std::uint64_t row, float factor) {
  std::vector<float> values = gaussian_values();
  for (std::size_t k = 0; k < kDim; ++k) values[row * kDim + k] *= factor;
  return values;
}

// One row in a hundred is a hundred times as long.
std::vector<float> with_far_rows_here_and_there() {
  std::vector<float> values = gaussian_values();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (i / kDim % 100 == 50) values[i] *= 100;
  return values;
}

std::vector<float> of_mixed_norms() {
  Random random(2);
  std::vector<float> values = gaussian_values();
  for (std::uint64_t row = 0; row < kRows; ++row) {
    double norm2 = 0;
    for (std::size_t k = 0; k < kDim; ++k) norm2 += double{values[row * kDim + k]} * double{values[row * kDim + k]};
    const double norm = std::pow(10.0, 4 * random.unit() - 2);
    for (std::size_t k = 0; k < kDim; ++k)
      values[row * kDim + k] = static_cast<float>(double{values[row * kDim + k]} * norm / std::sqrt(norm2));
  }
  return values;
}

// In order of their clusters, as an index would have them.
std::vector<float> in_far_clusters(double apart, std::uint64_t rows = 12 * kBlockRows) {
  Random random(3);
  std::vector<float> values = gaussian_values(rows);
  std::vector<double> centres(12 * kDim);
  for (double& value : centres) value = apart * bell(random);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(double{values[i]} + centres[i / kDim * 12 / rows * kDim + i % kDim]);
  return values;
}

BlockCodes encoded(const MemoryRows& rows, Codec kind, MemoryBudget& budget, Metric metric = Metric::kL2) {
  SerialExecutor executor;
  CodecOptions options;
  options.kind = kind;
  options.code_bytes = 16;
  options.metric = metric;
  auto codes = encode_blocks(rows, options, nullptr, executor, budget);
  REQUIRE_OK(codes);
  return std::move(codes).value();
}

double product(const float* a, const float* b) {
  double sum = 0;
  for (std::size_t k = 0; k < kDim; ++k) sum += double{a[k]} * double{b[k]};
  return sum;
}

// The mean of |estimate − distance²| (inner product: of |estimate + 2⟨q,x⟩|) over pairs of a query and one of its
// nearest rows, among `rows` that count.
double near_error(const MemoryRows& rows, const BlockCodes& codes, MemoryBudget& budget,
                  const std::function<bool(std::size_t)>& counts) {
  constexpr std::size_t kQueries = 40, kNear = 20;
  auto scorer = CodeScorer::create(codes, budget);
  REQUIRE_OK(scorer);
  auto scratch = ScorerScratch::create(codes, budget);
  REQUIRE_OK(scratch);
  std::vector<float> estimates(codes.rows);
  double error = 0, pairs = 0;
  for (std::size_t q = 0; q < kQueries; ++q) {
    const std::size_t self = 17 + q * (rows.rows() - 17) / kQueries;
    if (!counts(self)) continue;
    scorer->prepare(rows.row(self), *scratch);
    scorer->score_run(0, estimates.size(), estimates.data());
    std::vector<std::pair<double, std::size_t>> near;
    for (std::size_t row = 0; row < rows.rows(); ++row)
      if (row != self && counts(row))
        near.emplace_back(test::square_distance(rows.row(self), rows.row(row), kDim), row);
    std::partial_sort(near.begin(), near.begin() + kNear, near.end());
    for (std::size_t i = 0; i < kNear; ++i) {
      const double estimate = double{estimates[near[i].second]} + double{scorer->key_shift()};
      const double exact = codes.model.metric == Metric::kInnerProduct
                               ? -2 * product(rows.row(self), rows.row(near[i].second))
                               : near[i].first;
      error += std::abs(estimate - exact);
      ++pairs;
    }
  }
  BOOST_REQUIRE(pairs > 0);
  return error / pairs;
}

class MemorySink final : public ByteSink {
 public:
  Status write(std::span<const std::byte> part) override {
    bytes.insert(bytes.end(), part.begin(), part.end());
    return Status::ok();
  }
  std::vector<std::byte> bytes;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Status read(std::span<std::byte> into) override {
    if (into.size() > bytes_.size() - at_) return {Code::kIo, "read past the end"};
    std::memcpy(into.data(), bytes_.data() + at_, into.size());
    at_ += into.size();
    return Status::ok();
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t at_ = 0;
};

std::vector<std::byte> saved(const BlockCodes& codes) {
  MemorySink sink;
  REQUIRE_OK(save_block_codes(codes, sink));
  return sink.bytes;
}

Result<BlockCodes> load(const std::vector<std::byte>& bytes, MemoryBudget& budget) {
  MemorySource source(bytes);
  return load_block_codes(source, budget);
}

template <typename T>
T value_at(const std::vector<std::byte>& bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <typename T>
Code code_with(std::vector<std::byte> bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  MemoryBudget budget;
  return test::code_of(load(bytes, budget));
}

constexpr std::uint32_t kScaled = 1u << 16, kWide = 1u << 17, kFine = 1u << 18, kCut = 1u << 19;
constexpr std::uint32_t kWideCentroids = 1u << 20;
constexpr std::uint32_t kAll = kScaled | kWide | kFine | kCut | kWideCentroids;

std::uint32_t flags_of(const BlockCodes& codes) {
  return (codes.model.scaled ? kScaled : 0) | (codes.wide_corrections.empty() ? 0 : kWide) |
         (codes.model.fine_tables ? kFine : 0) | (codes.blocks.is_cut() ? kCut : 0) |
         (codes.centroids.is_wide() ? kWideCentroids : 0);
}

// Bytes of all that is stored of blocks, which comes last.
std::size_t block_bytes(const BlockCodes& codes) {
  const std::size_t centroid = codes.centroids.is_wide() ? 4 * kDim : kDim + 8;
  return codes.blocks.count() * (centroid + (codes.blocks.is_cut() ? 4 : 0));
}

// Data for each of the forms.
struct Form {
  const char* name;
  std::vector<float> values;
};

std::vector<Form> forms() {
  return {{"mixed norms", of_mixed_norms()},
          {"far clusters", in_far_clusters(1e4)},
          {"clusters", in_far_clusters(100)},
          {"clusters that end within blocks", in_far_clusters(1e4, kRows)}};
}

BOOST_AUTO_TEST_SUITE(far_rows)

BOOST_AUTO_TEST_CASE(what_is_far_is_judged_by_the_median) {
  std::vector<double> squares(100, 2.0);
  std::vector<double> room(100);
  const std::span<double> scratch = room;
  squares[7] = 1e9;
  BOOST_TEST(far_limit(std::span<const double>(squares), scratch) == 2 * kFarRows);
  BOOST_TEST(rare_limit(std::span<const double>(squares), scratch, 25) == 50.0);
  // Far values that are frequent are no exception.
  for (std::size_t i = 0; i < 10; ++i) squares[i] = 1e9;
  BOOST_TEST(rare_limit(std::span<const double>(squares), scratch) == 2 * kFarRows);
  squares[10] = 1e9;
  BOOST_TEST(std::isinf(rare_limit(std::span<const double>(squares), scratch)));
  BOOST_TEST(far_limit(std::span<const double>(squares), scratch) == 2 * kFarRows);
  // Without a scale to judge by nothing is far.
  const std::vector<double> zeros(9, 0.0);
  BOOST_TEST(std::isinf(far_limit(std::span<const double>(zeros), scratch)));
  BOOST_TEST(std::isinf(far_limit(std::span<const double>(), scratch)));
}

BOOST_AUTO_TEST_CASE(one_far_row_leaves_the_estimates_of_all_others_as_good) {
  const MemoryRows plain(kDim, gaussian_values());
  for (const Codec kind : kKinds) {
    MemoryBudget budget;
    for (const std::uint64_t far : {0u, 700u, 2999u}) {
      const auto counts = [far](std::size_t row) { return row != far; };
      const double before = near_error(plain, encoded(plain, kind, budget), budget, counts);
      BOOST_REQUIRE(before > 0);
      for (const float factor : {1e3f, 1e4f}) {
        const MemoryRows rows(kDim, with_a_far_row(far, factor));
        const double after = near_error(rows, encoded(rows, kind, budget), budget, counts);
        BOOST_TEST(after <= 1.1 * before, "codec " << static_cast<int>(kind) << ", row " << far << " × " << factor
                                                   << ": " << before << " → " << after);
      }
    }
  }
}

// There it is the answer to half of all queries.
BOOST_AUTO_TEST_CASE(under_inner_product_a_far_row_is_estimated_as_well_as_others_are) {
  const MemoryRows plain(kDim, gaussian_values());
  for (const Codec kind : kKinds) {
    for (const std::uint64_t far : {0u, 700u, 2999u}) {
      MemoryBudget budget;
      const auto counts = [far](std::size_t row) { return row != far; };
      const double before = near_error(plain, encoded(plain, kind, budget, Metric::kInnerProduct), budget, counts);
      BOOST_REQUIRE(before > 0);
      for (const float factor : {1e2f, 1e3f, 1e4f}) {
        const MemoryRows rows(kDim, with_a_far_row(far, factor));
        const BlockCodes codes = encoded(rows, kind, budget, Metric::kInnerProduct);
        const double after = near_error(rows, codes, budget, counts);
        BOOST_TEST(after <= 1.2 * before, "codec " << static_cast<int>(kind) << ", row " << far << " × " << factor
                                                   << ": " << before << " → " << after);
        auto scorer = CodeScorer::create(codes, budget);
        REQUIRE_OK(scorer);
        auto scratch = ScorerScratch::create(codes, budget);
        REQUIRE_OK(scratch);
        double error = 0;
        for (std::size_t query = 100; query < 150; ++query) {
          scorer->prepare(rows.row(query), *scratch);
          float estimate = 0;
          scorer->score_run(static_cast<Pos>(far), 1, &estimate);
          error += std::abs(double{estimate} + 2 * product(rows.row(query), rows.row(far))) / 50;
        }
        BOOST_TEST(error <= 3 * before * double{factor});
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(one_far_row_in_a_hundred_leaves_the_estimates_of_the_others_as_good) {
  const MemoryRows plain(kDim, gaussian_values());
  const MemoryRows rows(kDim, with_far_rows_here_and_there());
  const auto counts = [](std::size_t row) { return row % 100 != 50; };
  for (const Codec kind : kKinds) {
    MemoryBudget budget;
    const double before = near_error(plain, encoded(plain, kind, budget), budget, counts);
    const double after = near_error(rows, encoded(rows, kind, budget), budget, counts);
    BOOST_TEST(after <= 1.2 * before, "codec " << static_cast<int>(kind) << ": " << before << " → " << after);
  }
}

// A far row is still estimated to be far, by those near and by itself.
BOOST_AUTO_TEST_CASE(a_far_row_is_estimated_to_be_far) {
  for (const Codec kind : kKinds) {
    MemoryBudget budget;
    const MemoryRows rows(kDim, with_a_far_row(700, 1e4f));
    const BlockCodes codes = encoded(rows, kind, budget);
    const std::vector<float> near = test::estimates(codes, rows.row(3), budget);
    BOOST_TEST(*std::max_element(near.begin(), near.end()) == near[700]);
  }
}

BOOST_AUTO_TEST_CASE(rows_of_mixed_lengths_are_coded_by_direction_and_length) {
  const MemoryRows rows(kDim, of_mixed_norms());
  for (const Codec kind : {Codec::kPq, Codec::kOpq}) {
    MemoryBudget budget;
    const BlockCodes codes = encoded(rows, kind, budget);
    BOOST_TEST(codes.model.scaled);
    BOOST_REQUIRE_EQUAL(codes.factors.size(), kRows);
    double ratios = 0, least = 1e9;
    for (std::size_t row = 0; row < kRows; ++row) {
      const std::vector<float> centroid = test::centroid_of(codes, row);
      const double length = std::sqrt(test::square_distance(rows.row(row), centroid.data(), kDim));
      const double ratio = double{codes.error_scale(static_cast<Pos>(row))} / length;
      least = std::min(least, ratio);
      ratios += ratio / static_cast<double>(kRows);
    }
    BOOST_TEST(std::abs(ratios - 1) < 0.01);
    BOOST_TEST(least > 0.98);
  }
}

// The shortest tenth of the rows is looked at: a common step would drown their distances from one another.
BOOST_AUTO_TEST_CASE(short_rows_among_long_ones_are_told_apart) {
  const MemoryRows rows(kDim, of_mixed_norms());
  const std::vector<float> origin(kDim);
  const auto is_short = [&](std::size_t row) {
    return test::square_distance(rows.row(row), origin.data(), kDim) < 1e-3;
  };
  for (const Codec kind : {Codec::kPq, Codec::kOpq}) {
    MemoryBudget budget;
    const double error = near_error(rows, encoded(rows, kind, budget), budget, is_short);
    BOOST_TEST(error < 1e-3, "codec " << static_cast<int>(kind) << ": " << error);  // squared distances are up to 4e-3
  }
}

BOOST_AUTO_TEST_CASE(far_clusters_have_fine_tables_and_estimates_as_good_as_one_cluster_has) {
  const MemoryRows plain(kDim, gaussian_values(12 * kBlockRows));
  const auto all = [](std::size_t) { return true; };
  for (const Codec kind : kKinds) {
    MemoryBudget budget;
    const double before = near_error(plain, encoded(plain, kind, budget), budget, all);
    for (const double apart : {100.0, 1e4}) {
      for (const std::uint64_t count : {std::uint64_t{12 * kBlockRows}, kRows, std::uint64_t{1000}}) {
        const MemoryRows rows(kDim, in_far_clusters(apart, count));
        const BlockCodes codes = encoded(rows, kind, budget);
        BOOST_TEST(codes.model.fine_tables);
        BOOST_TEST(codes.blocks.is_cut() == (count % kBlockRows != 0));
        BOOST_TEST(codes.centroids.is_wide());
        const double after = near_error(rows, codes, budget, all);
        BOOST_TEST(after <= 1.3 * before, "codec " << static_cast<int>(kind) << ", " << count << " rows, " << apart
                                                   << " apart: " << before << " → " << after);
      }
    }
  }
}

// So many blocks that groups of them are ranked first. A group with parts of blocks has a mean between far places.
BOOST_AUTO_TEST_CASE(the_block_of_a_far_group_is_found_among_thousands) {
  constexpr std::size_t kGroups = 5000, kGroupRows = 9, kOrdinary = 20000;
  Random random(4);
  std::vector<float> values;
  for (std::size_t group = 0; group < kGroups; ++group) {
    const double x = 1e4 * bell(random), y = 1e4 * bell(random);
    for (std::size_t i = 0; i < kGroupRows; ++i)
      values.insert(values.end(), {static_cast<float>(x + random.unit()), static_cast<float>(y + random.unit())});
  }
  for (std::size_t i = 0; i < 2 * kOrdinary; ++i) values.push_back(static_cast<float>(1e5 + 100 * bell(random)));
  const MemoryRows rows(2, values);
  SerialExecutor executor;
  MemoryBudget budget;
  CodecOptions options;
  options.code_bytes = 2;
  const auto codes = encode_blocks(rows, options, nullptr, executor, budget);
  REQUIRE_OK(codes);
  BOOST_REQUIRE(codes->blocks.count() > 4096);
  auto scorer = CodeScorer::create(*codes, budget);
  REQUIRE_OK(scorer);
  auto scratch = ScorerScratch::create(*codes, budget);
  REQUIRE_OK(scratch);
  std::vector<CodeScorer::RankedBlock> room(codes->blocks.count() + codes->groups.count());
  for (std::size_t query = 0; query < kGroups * kGroupRows; query += 997) {
    const std::size_t own = codes->blocks.block_of(static_cast<Pos>(query));
    scorer->prepare(rows.row(query), *scratch);
    BOOST_TEST(scorer->nearest_blocks(20, room) == 20u);
    std::size_t nearest = 0;
    const auto keys = scorer->block_keys();
    for (std::size_t block = 1; block < keys.size(); ++block) nearest = keys[block] < keys[nearest] ? block : nearest;
    BOOST_TEST(room[0].block == nearest);
    BOOST_TEST(scorer->nearest_block(rows.row(query)) == nearest);
    if (codes->blocks.rows(own) == kGroupRows) BOOST_TEST(nearest == own);
  }
}

BOOST_AUTO_TEST_CASE(ordinary_rows_take_none_of_these_forms) {
  for (const Codec kind : kKinds) {
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
      for (const MemoryRows& rows : {MemoryRows(kDim, gaussian_values()), MemoryRows(kDim, in_far_clusters(2))}) {
        MemoryBudget budget;
        const BlockCodes codes = encoded(rows, kind, budget, metric);
        BOOST_TEST(flags_of(codes) == 0u);
        BOOST_TEST(codes.factors.size() == (kind == Codec::kRabitq ? rows.rows() : 0));
        BOOST_TEST(codes.corrections.size() == rows.rows());
        BOOST_TEST(value_at<std::uint32_t>(saved(codes), 4) == (kind == Codec::kRabitq ? 2u : 4u));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_form_is_saved_and_loaded) {
  std::uint32_t seen = 0;
  for (const Form& form : forms()) {
    const MemoryRows rows(kDim, form.values);
    for (const Codec kind : kKinds) {
      for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
        if (metric != Metric::kL2 && kind == Codec::kPq) continue;
        MemoryBudget budget;
        const BlockCodes codes = encoded(rows, kind, budget, metric);
        const std::vector<std::byte> bytes = saved(codes);
        const auto loaded = load(bytes, budget);
        REQUIRE_OK(loaded);
        BOOST_TEST(flags_of(*loaded) == flags_of(codes), form.name);
        BOOST_TEST(test::same_codes(codes, *loaded));
        BOOST_TEST(std::ranges::equal(codes.wide_corrections.span(), loaded->wide_corrections.span()));
        BOOST_TEST((saved(*loaded) == bytes));
        BOOST_TEST(loaded->bytes_per_row_total() == codes.bytes_per_row_total());
        for (const std::size_t query : {0u, 1234u})
          BOOST_TEST(
              (test::estimates(codes, rows.row(query), budget) == test::estimates(*loaded, rows.row(query), budget)));
        seen |= flags_of(codes);
        const bool special = flags_of(codes) != 0;
        BOOST_TEST(value_at<std::uint32_t>(bytes, 4) == (special ? 5u : kind == Codec::kRabitq ? 2u : 4u));
        BOOST_TEST(value_at<std::uint32_t>(bytes, 20) == (codes.model.codewords | flags_of(codes)));
      }
    }
  }
  BOOST_TEST(seen == kAll);
}

BOOST_AUTO_TEST_CASE(headers_of_these_forms_that_contradict_themselves_are_refused) {
  std::uint32_t seen = 0;
  for (const Form& form : forms()) {
    for (const Codec kind : kKinds) {
      MemoryBudget budget;
      const BlockCodes codes = encoded(MemoryRows(kDim, form.values), kind, budget);
      const std::uint32_t flags = flags_of(codes);
      if (flags == 0) continue;
      seen |= flags;
      const std::vector<std::byte> good = saved(codes);
      const std::uint32_t stored = codes.model.codewords | flags;
      BOOST_TEST((code_with(good, 20, stored) == Code::kOk));
      for (unsigned bit = 21; bit < 32; ++bit)
        BOOST_TEST((code_with(good, 20, stored | 1u << bit) == Code::kCorrupt), "an unknown flag, bit " << bit);
      BOOST_TEST((code_with(good, 20, codes.model.codewords) == Code::kCorrupt), "a version with flags, without any");
      // Flags that change sizes are found out; that of fine tables changes none.
      BOOST_TEST((code_with(good, 20, stored ^ kScaled) == Code::kCorrupt));
      BOOST_TEST((code_with(good, 20, stored ^ kWide) == Code::kCorrupt));
      BOOST_TEST((code_with(good, 20, stored ^ kCut) == Code::kCorrupt));
      BOOST_TEST((code_with(good, 20, stored ^ kWideCentroids) == Code::kCorrupt));
      if (codes.centroids.is_wide()) BOOST_TEST((code_with(good, 20, stored & ~kFine) == Code::kCorrupt));
      for (const std::uint32_t version : {0u, 1u, 3u}) BOOST_TEST((code_with(good, 4, version) == Code::kUnsupported));
      for (const std::uint32_t version : {2u, 4u})
        BOOST_TEST((code_with(good, 4, version) == Code::kCorrupt), "flags in version " << version);
      for (const std::uint32_t version : {6u, 7u, 0xFFFFFFFFu})
        BOOST_TEST((code_with(good, 4, version) == Code::kNewerFormat));
      for (std::size_t size = 0; size < good.size(); size += 997) {
        const std::vector<std::byte> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        BOOST_TEST((test::code_of(load(cut, budget)) == Code::kCorrupt));
      }
      if (codes.model.scaled) {  // a factor that is no number
        const std::size_t corrections = codes.rows * (codes.wide_corrections.empty() ? 2 : 4);
        const std::size_t factors = good.size() - block_bytes(codes) - corrections - 2 * codes.rows;
        BOOST_TEST((code_with(good, factors + 2 * 17, std::uint16_t{0xFF00}) == Code::kCorrupt));
      }
      if (!codes.wide_corrections.empty()) {
        const std::size_t last = good.size() - block_bytes(codes) - 4;
        BOOST_TEST((code_with(good, last, std::nanf("")) == Code::kCorrupt));
      }
      if (codes.blocks.is_cut()) {
        const std::size_t begins = good.size() - block_bytes(codes);
        const auto second = value_at<std::uint32_t>(good, begins + 4);
        BOOST_TEST((code_with(good, begins, 1u) == Code::kCorrupt), "rows before the first block");
        BOOST_TEST((code_with(good, begins + 4, 0u) == Code::kCorrupt), "two blocks at one place");
        BOOST_TEST((code_with(good, begins + 8, second) == Code::kCorrupt), "two blocks at one place");
        const std::size_t last = begins + 4 * (codes.blocks.count() - 1);
        BOOST_TEST((code_with(good, last, static_cast<std::uint32_t>(codes.rows)) == Code::kCorrupt), "an empty block");
      }
      if (codes.centroids.is_wide()) BOOST_TEST((code_with(good, good.size() - 4, std::nanf("")) == Code::kCorrupt));
    }
  }
  BOOST_TEST(seen == kAll);
}

BOOST_AUTO_TEST_CASE(any_number_of_threads_makes_the_same_codes_of_hard_rows) {
  for (const Form& form : forms()) {
    const MemoryRows rows(kDim, form.values);
    MemoryBudget budget;
    CodecOptions options;
    options.code_bytes = 16;
    test::ThreadsExecutor executor(3);
    const auto codes = encode_blocks(rows, options, nullptr, executor, budget);
    REQUIRE_OK(codes);
    BOOST_TEST((saved(*codes) == saved(encoded(rows, Codec::kOpq, budget))));
  }
}

// Ten floats of one value each: there is no scale, nor anything to learn.
BOOST_AUTO_TEST_CASE(rows_that_are_all_one_row_but_one_are_coded) {
  for (const Codec kind : kKinds) {
    std::vector<float> values(600 * kDim, 1.5f);
    for (std::size_t k = 0; k < kDim; ++k) values[100 * kDim + k] = 1e4f;
    const MemoryRows rows(kDim, values);
    MemoryBudget budget;
    const std::vector<float> estimates = test::estimates(encoded(rows, kind, budget), rows.row(0), budget);
    for (const float estimate : estimates) BOOST_REQUIRE(std::isfinite(estimate));
    BOOST_TEST(*std::max_element(estimates.begin(), estimates.end()) == estimates[100]);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
