// SPDX-License-Identifier: Apache-2.0
//
// Distances to rows as pages hold them, and what is claimed of the rows as they were put, against double precision.
#include "graph/prepared_query.h"

#include <limits>
#include <optional>

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

constexpr Metric kMetrics[] = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine};
constexpr std::uint32_t kWidths[] = {8, 16, 32};

Matrix matrix_of(std::uint32_t dim, const std::vector<float>& values) {
  Matrix matrix{DType::kF32, dim, std::vector<std::uint8_t>(values.size() * sizeof(float))};
  std::memcpy(matrix.bytes.data(), values.data(), matrix.bytes.size());
  return matrix;
}

// Nearly normal.
double bell(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.unit();
  return sum;
}

// The first half of the rows are of any place, each of the others is near one of those.
Matrix random_rows(std::uint64_t rows, std::uint32_t dim, double scale, double shift, Random& random) {
  std::vector<float> values(rows * dim);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t row = i / dim;
    const bool near = row >= rows / 2;
    const double from = near ? double{values[i - rows / 2 * dim]} : shift;
    values[i] = static_cast<float>(from + (near ? 1e-3 : 1.0) * scale * bell(random));
  }
  return matrix_of(dim, values);
}

std::vector<float> middle_of(const Matrix& matrix, Metric metric) {
  const std::vector<float> rows = test::as_floats(matrix, metric);
  std::vector<double> sums(matrix.dim);
  for (std::size_t i = 0; i < rows.size(); ++i) sums[i % matrix.dim] += double{rows[i]};
  std::vector<float> middle(matrix.dim);
  for (std::uint32_t i = 0; i < matrix.dim; ++i)
    middle[i] = static_cast<float>(sums[i] / static_cast<double>(matrix.rows()));
  return middle;
}

// The distance as prepared_query.h has it, with constant().
double true_distance(const float* query, const float* row, std::uint32_t dim, Metric metric) {
  double l2 = 0, product = 0, q2 = 0, x2 = 0;
  for (std::uint32_t i = 0; i < dim; ++i) {
    const double q = double{query[i]}, x = double{row[i]};
    l2 += (q - x) * (q - x);
    product += q * x;
    q2 += q * q;
    x2 += x * x;
  }
  if (metric == Metric::kL2) return l2;
  if (metric == Metric::kInnerProduct) return -2 * product;
  double cosine = 0;
  for (std::uint32_t i = 0; i < dim; ++i) {
    const double difference = double{query[i]} / std::sqrt(q2) - double{row[i]} / std::sqrt(x2);
    cosine += difference * difference;
  }
  return cosine;
}

// Rows as one page after the other would hold them, and a query.
class Scored {
 public:
  Scored(const Matrix& matrix, Metric metric, std::uint32_t bits, const std::vector<float>& centre)
      : matrix_(matrix),
        metric_(metric),
        centre_(centre),
        rows_(test::quantized(matrix_, metric, budget_, bits, centre_)),
        layout_(test::layout_for(rows_)) {
    std::vector<float> scratch(matrix.dim);
    for (std::uint32_t row = 0; row < rows_.rows(); ++row) {
      const StoredValues stored = rows_.stored(row, std::as_writable_bytes(std::span(scratch)));
      params.push_back(stored.params);
      values_.insert(values_.end(), stored.values, stored.values + layout_.value_bytes());
    }
    auto made = PreparedQuery::create(layout_, centre_, budget_);
    REQUIRE_OK(made);
    query_.emplace(std::move(made).value());
  }

  void score(const Matrix& queries, std::uint64_t query) {
    query_->prepare(queries.view(), query);
    distances.assign(rows_.rows(), -1);
    truth.clear();
    std::vector<std::uint32_t> integers(rows_.rows());
    query_->distances(
        {values_.data(), layout_.value_bytes(), nullptr, rows_.rows()}, [this](std::size_t i) { return params[i]; },
        integers.data(), distances.data());
    std::vector<float> from(matrix_.dim), to(matrix_.dim);
    widen_row(queries.view(), query, from.data());
    for (std::uint64_t row = 0; row < rows_.rows(); ++row) {
      widen_row(matrix_.view(), row, to.data());
      truth.push_back(true_distance(from.data(), to.data(), matrix_.dim, metric_));
    }
  }
  const PreparedQuery& query() const { return *query_; }

  // Some rows in another order give what they gave before.
  void require_same_by_ids() const {
    std::vector<std::uint32_t> ids, integers(rows_.rows());
    for (std::uint32_t row = static_cast<std::uint32_t>(rows_.rows()); row-- > 0;)
      if (row % 3 != 1) ids.push_back(row);
    std::vector<float> out(ids.size());
    query_->distances(
        {values_.data(), layout_.value_bytes(), ids.data(), ids.size()}, [&](std::size_t i) { return params[ids[i]]; },
        integers.data(), out.data());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const double tolerance = 1e-6 * std::abs(double{distances[ids[i]]});
      BOOST_REQUIRE(std::abs(double{out[i]} - double{distances[ids[i]]}) <= tolerance);
    }
  }

  std::vector<RowParams> params;
  std::vector<float> distances;
  std::vector<double> truth;

 private:
  MemoryBudget budget_;
  Matrix matrix_;
  Metric metric_;
  std::vector<float> centre_;
  QuantizedRows rows_;
  GraphLayout layout_;
  std::vector<std::byte> values_;
  std::optional<PreparedQuery> query_;
};

// What a distance that is written as a float, and scaled by two roundings, may lie outside.
double tolerance_of(double truth) { return 1e-7 * std::abs(truth) + double{std::numeric_limits<float>::min()}; }

void require_within(const Scored& scored, const std::string& what) {
  const double constant = scored.query().constant();
  for (std::size_t row = 0; row < scored.truth.size(); ++row) {
    const auto interval = scored.query().interval(scored.distances[row], scored.params[row]);
    const double truth = scored.truth[row];
    const double tolerance = tolerance_of(truth) + 1e-12 * std::abs(constant);
    BOOST_REQUIRE_MESSAGE(double{interval.nearest} + constant <= truth + tolerance &&
                              double{interval.farthest} + constant >= truth - tolerance,
                          what << ", row " << row << ": " << truth << " is not within "
                               << double{interval.nearest} + constant << " … " << double{interval.farthest} + constant
                               << ", distance " << scored.distances[row]);
  }
}

// Mean |distance − truth|, over the mean of the truth; under inner product of what the rows differ in.
double relative_error(const Scored& scored) {
  const double constant = scored.query().constant();
  double error = 0, sum = 0;
  for (std::size_t row = 0; row < scored.truth.size(); ++row) {
    error += std::abs(double{scored.distances[row]} + constant - scored.truth[row]);
    sum += std::abs(scored.truth[row] - constant);
  }
  return error / sum;
}

BOOST_AUTO_TEST_SUITE(prepared_query)

// With a centre it does not matter where the rows lie: the values of which distances are made are small.
BOOST_AUTO_TEST_CASE(distances_are_as_precise_as_their_width) {
  for (const Metric metric : kMetrics) {
    for (const double shift : {0.0, 1e3, 1e6}) {
      if (metric == Metric::kCosine && shift > 0) continue;  // all rows in one direction: another scale of distances
      Random random(static_cast<std::uint64_t>(shift) + 1);
      const Matrix rows = random_rows(300, 64, 1, shift, random);
      const Matrix queries = random_rows(20, 64, 1, shift, random);
      for (const std::uint32_t bits : kWidths) {
        const double most = bits == 8 ? 1e-2 : bits == 16 ? 4e-5 : 5e-7;
        Scored scored(rows, metric, bits, middle_of(rows, metric));
        double error = 0;
        for (std::uint64_t query = 0; query < queries.rows(); ++query) {
          scored.score(queries, query);
          error += relative_error(scored) / 20;
          scored.require_same_by_ids();
        }
        BOOST_TEST(error <= most, name_of(metric) << " " << shift << " " << bits << " bits: " << error);
        if (bits != 8) continue;
        BOOST_TEST(error > 1e-7, "or there is nothing that other widths would better");
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(near_rows_keep_their_distance_in_32_bits_wherever_they_lie) {
  for (const double shift : {0.0, 1e3, 1e6}) {
    Random random(3);
    const Matrix rows = random_rows(200, 16, 1, shift, random);
    for (const bool centred : {false, true}) {
      Scored scored(rows, Metric::kL2, 32, centred ? middle_of(rows, Metric::kL2) : std::vector<float>());
      for (std::uint64_t query = 0; query < 100; ++query) {
        scored.score(rows, query);
        BOOST_REQUIRE_EQUAL(scored.distances[query], 0.0f);
        for (std::size_t row = 0; row < rows.rows(); ++row)
          BOOST_REQUIRE(std::abs(double{scored.distances[row]} - scored.truth[row]) <= 1e-6 * scored.truth[row]);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_true_distance_lies_within_the_interval) {
  for (const Metric metric : kMetrics) {
    for (const std::uint32_t dim : {1u, 2u, 3u, 17u, 64u, 784u}) {
      for (const double scale : {1e-17, 1e-5, 1.0, 1e6, 1e16}) {
        for (const double shift : {0.0, 10.0, 1e3, 1e6}) {
          if (scale * shift > 1e17) continue;  // squares would not fit a float
          Random random(dim);
          const std::uint64_t count = dim > 100 ? 60 : 200;
          const Matrix rows = random_rows(count, dim, scale, scale * shift, random);
          const Matrix queries = random_rows(6, dim, scale, scale * shift, random);
          for (const bool centred : {false, true}) {
            const std::vector<float> centre = centred ? middle_of(rows, metric) : std::vector<float>();
            for (const std::uint32_t bits : kWidths) {
              Scored scored(rows, metric, bits, centre);
              const std::string what = std::string(name_of(metric)) + " dim " + std::to_string(dim) + " scale " +
                                       std::to_string(scale) + " shift " + std::to_string(shift) + " bits " +
                                       std::to_string(bits) + (centred ? " centred" : "");
              for (std::uint64_t query = 0; query < queries.rows(); ++query) {
                scored.score(queries, query);
                require_within(scored, what);
              }
              for (const std::uint64_t own : {std::uint64_t{0}, count / 2, count - 1}) {  // rows themselves
                scored.score(rows, own);
                require_within(scored, what + " itself");
              }
            }
          }
        }
      }
    }
  }
}

// A few far rows beside near ones, so that their values in a page are anything but alike.
BOOST_AUTO_TEST_CASE(the_interval_holds_where_rows_and_query_lie_far_apart) {
  for (const Metric metric : kMetrics) {
    Random random(5);
    std::vector<float> values(400 * 8);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(bell(random) * std::pow(10.0, static_cast<double>(i / 8 % 9) - 4));
    const Matrix rows = matrix_of(8, values);
    for (const std::uint32_t bits : kWidths) {
      for (const bool centred : {false, true}) {
        Scored scored(rows, metric, bits, centred ? middle_of(rows, metric) : std::vector<float>());
        for (std::uint64_t query = 0; query < 45; ++query) {
          scored.score(rows, query);
          require_within(scored, std::string(name_of(metric)) + " of " + std::to_string(bits) + " bits");
        }
      }
    }
  }
}

// An interval that always holds could be of no use: this one is hardly wider than the steps of the row.
BOOST_AUTO_TEST_CASE(the_interval_is_about_as_wide_as_the_steps_of_the_row) {
  Random random(7);
  const Matrix rows = random_rows(200, 64, 1, 0, random);
  const Matrix queries = random_rows(10, 64, 1, 0, random);
  for (const std::uint32_t bits : kWidths) {
    Scored scored(rows, Metric::kL2, bits, middle_of(rows, Metric::kL2));
    for (std::uint64_t query = 0; query < queries.rows(); ++query) {
      scored.score(queries, query);
      for (std::size_t row = 0; row < rows.rows(); ++row) {
        const auto interval = scored.query().interval(scored.distances[row], scored.params[row]);
        const double width = std::sqrt(double{interval.farthest}) - std::sqrt(double{interval.nearest});
        const double of_steps = bits == 32 ? 0 : 8.0 * double{scored.params[row].scale};  // √64 half steps either way
        BOOST_REQUIRE(width <= 1.1 * of_steps + 1e-4);
        BOOST_REQUIRE(interval.nearest <= scored.distances[row]);
        BOOST_REQUIRE(interval.farthest >= scored.distances[row]);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(no_row_whose_interval_begins_within_the_limit_is_out_of_reach) {
  for (const Metric metric : kMetrics) {
    for (const std::uint32_t dim : {1u, 3u, 64u, 784u}) {
      for (const double scale : {1e-17, 1.0, 1e15}) {
        for (const double shift : {0.0, 100.0}) {
          Random random(dim + 1);
          const Matrix rows = random_rows(dim > 100 ? 100 : 300, dim, scale, scale * shift, random);
          for (const bool centred : {false, true}) {
            Scored scored(rows, metric, 8, centred ? middle_of(rows, metric) : std::vector<float>());
            RowParams greatest{0, 0, 0};
            for (const RowParams& params : scored.params) {
              greatest.scale = std::max(greatest.scale, params.scale);
              greatest.offset = std::max(greatest.offset, std::abs(params.offset));
              greatest.norm2 = std::max(greatest.norm2, params.norm2);
            }
            for (const std::uint64_t query : {0u, 7u, 60u}) {
              scored.score(rows, query);
              std::vector<double> begins;
              for (std::size_t row = 0; row < rows.rows(); ++row)
                begins.push_back(double{scored.query().interval(scored.distances[row], scored.params[row]).nearest} +
                                 scored.query().constant());
              for (std::size_t limit = 0; limit < rows.rows(); limit += 3) {
                const float reach = scored.query().reach(begins[limit], greatest);
                for (std::size_t row = 0; row < rows.rows(); ++row)
                  BOOST_REQUIRE((begins[row] > begins[limit] || scored.distances[row] <= reach));
              }
              BOOST_REQUIRE(std::isinf(scored.query().reach(std::numeric_limits<double>::infinity(), greatest)));
            }
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(no_squared_distance_is_below_zero) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine}) {
    for (const double shift : {0.0, 1e3, 1e6}) {
      Random random(11);
      const Matrix rows = random_rows(200, 24, 1, shift, random);
      for (const std::uint32_t bits : kWidths) {
        for (const bool centred : {false, true}) {
          Scored scored(rows, metric, bits, centred ? middle_of(rows, metric) : std::vector<float>());
          for (std::uint64_t query = 0; query < rows.rows(); query += 5) {
            scored.score(rows, query);
            for (std::size_t row = 0; row < rows.rows(); ++row) {
              BOOST_REQUIRE(scored.distances[row] >= 0.0f);
              BOOST_REQUIRE(scored.query().interval(scored.distances[row], scored.params[row]).nearest >= 0.0f);
            }
          }
        }
      }
    }
  }
}

// u8 and i8 lie on pages as they are: their distances are exact, and under cosine as precise as floats.
BOOST_AUTO_TEST_CASE(distances_to_integers_are_those_of_the_integers) {
  Matrix rows = test::random_bytes(200, 48, 256, 21), queries = test::random_bytes(10, 48, 256, 22);
  for (const bool is_signed : {false, true}) {
    if (is_signed) {
      rows = test::as_i8(rows);
      queries = test::as_i8(queries);
    }
    for (const Metric metric : kMetrics) {
      Scored scored(rows, metric, 8, {});
      for (std::uint64_t query = 0; query < queries.rows(); ++query) {
        scored.score(queries, query);
        for (std::size_t row = 0; row < rows.rows(); ++row) {
          const double size = metric == Metric::kL2 ? 0.0 : metric == Metric::kCosine ? 2.0 : 48.0 * 65536;
          BOOST_REQUIRE(std::abs(double{scored.distances[row]} - scored.truth[row]) <= 2e-6 * size);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_constant_is_what_products_with_the_centre_leave_out) {
  Random random(13);
  const Matrix rows = random_rows(20, 8, 1, 50, random);
  const std::vector<float> centre = middle_of(rows, Metric::kInnerProduct);
  for (const Metric metric : kMetrics) {
    Scored scored(rows, metric, 32, middle_of(rows, metric));
    scored.score(rows, 3);
    double expected = 0;
    std::vector<float> query(8);
    widen_row(rows.view(), 3, query.data());
    for (std::size_t i = 0; i < 8; ++i) expected -= 2 * double{query[i]} * double{centre[i]};
    if (metric != Metric::kInnerProduct) expected = 0;
    BOOST_TEST(std::abs(scored.query().constant() - expected) <= 1e-12 * std::abs(expected));
  }
}

BOOST_AUTO_TEST_CASE(what_a_query_takes_is_predicted) {
  for (const Metric metric : kMetrics) {
    for (const DType dtype : {DType::kF32, DType::kU8}) {
      for (const std::uint32_t bits : kWidths) {
        if (is_integer(dtype) && bits != 8) continue;
        GraphLayout layout;
        layout.dim = 100;
        layout.metric = metric;
        layout.dtype = dtype;
        layout.value_bits = bits;
        layout.row_params = needs_row_params(dtype, metric, bits);
        MemoryBudget budget;
        REQUIRE_OK(PreparedQuery::create(layout, {}, budget));
        BOOST_TEST(budget.peak_bytes() <= PreparedQuery::predict_bytes(layout));
        BOOST_TEST(budget.peak_bytes() * 2 >= PreparedQuery::predict_bytes(layout));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
