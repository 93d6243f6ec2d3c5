// SPDX-License-Identifier: Apache-2.0
#include "bench/hard_data_sets.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "base/half.h"

namespace vecstore::bench {
namespace {

// std::mt19937_64 gives the same bits everywhere, the distributions of the standard library do not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : bits_(seed) {}

  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }  // [0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double log_uniform(double low, double high) { return low * std::pow(high / low, uniform()); }
  std::uint64_t below(std::uint64_t bound) { return bits_() % bound; }

  // Marsaglia's polar method; the second value of each pair is left unused.
  double gaussian() {
    for (;;) {
      const double x = uniform(-1, 1), y = uniform(-1, 1), square = x * x + y * y;
      if (square > 0 && square < 1) return x * std::sqrt(-2 * std::log(square) / square);
    }
  }

 private:
  std::mt19937_64 bits_;
};

using Row = std::span<float>;
// Writes row `index` of the base or of the queries.
using RowMaker = std::function<void(Random&, std::uint64_t index, Row)>;
// Draws what all rows have in common, and answers with what makes a row.
using Kind = std::function<RowMaker(Random&, const HardSetOptions&)>;

struct Definition {
  std::string_view name;
  std::uint32_t dim;
  std::vector<Metric> metrics;
  Kind base;
  Kind queries = nullptr;  // where they are not made as the rows are; draws the same common part
  DType dtype = DType::kF32;
};

void fill(Row row, const std::function<double(std::size_t)>& value) {
  for (std::size_t d = 0; d < row.size(); ++d) row[d] = static_cast<float>(value(d));
}

// Gaussian with this standard deviation about the same value in each dimension.
Kind gaussian(double scale, double shift) {
  return [=](Random&, const HardSetOptions&) -> RowMaker {
    return [=](Random& random, std::uint64_t, Row row) {
      fill(row, [&](std::size_t) { return shift + scale * random.gaussian(); });
    };
  };
}

std::vector<double> draw(std::size_t count, const std::function<double()>& value) {
  std::vector<double> values(count);
  std::generate(values.begin(), values.end(), value);
  return values;
}

// Every dimension has a scale of its own.
Kind scaled(std::uint32_t dim, double low, double high) {
  return [=](Random& common, const HardSetOptions&) -> RowMaker {
    return [scales = draw(dim, [&] { return common.log_uniform(low, high); })](Random& random, std::uint64_t, Row row) {
      fill(row, [&](std::size_t d) { return scales[d] * random.gaussian(); });
    };
  };
}

// Seconds of one year beside features of unit variance.
Kind unix_time() {
  return [](Random&, const HardSetOptions&) -> RowMaker {
    return [](Random& random, std::uint64_t, Row row) {
      fill(row, [&](std::size_t d) { return d == 0 ? 1.7e9 + random.uniform(0, 3e7) : random.gaussian(); });
    };
  };
}

Kind latitude_longitude() {
  return [](Random&, const HardSetOptions&) -> RowMaker {
    return [](Random& random, std::uint64_t, Row row) {
      fill(row, [&](std::size_t d) { return (d == 0 ? 48.85 : 2.35) + 0.05 * random.gaussian(); });
    };
  };
}

// One row of each `every` is `factor` times as long, from the middle of the first lot on.
Kind outliers(std::uint64_t every, double factor) {
  return [=](Random&, const HardSetOptions&) -> RowMaker {
    return [=](Random& random, std::uint64_t index, Row row) {
      const double scale = index % every == every / 2 ? factor : 1;
      fill(row, [&](std::size_t) { return scale * random.gaussian(); });
    };
  };
}

// Gaussian clusters of one size; `spread` and `noise` are standard deviations of the centres and about them.
Kind clusters(std::uint32_t dim, std::size_t count, double spread, double noise) {
  return [=](Random& common, const HardSetOptions&) -> RowMaker {
    return [=, centres = draw(count * dim, [&] { return spread * common.gaussian(); })](Random& random, std::uint64_t,
                                                                                        Row row) {
      const double* centre = centres.data() + random.below(count) * dim;
      fill(row, [&](std::size_t d) { return centre[d] + noise * random.gaussian(); });
    };
  };
}

Kind integers() {
  return [](Random&, const HardSetOptions&) -> RowMaker {
    return [](Random&, std::uint64_t index, Row row) { row[0] = static_cast<float>(index); };
  };
}

Kind between_integers() {
  return [](Random&, const HardSetOptions& options) -> RowMaker {
    return [options](Random&, std::uint64_t index, Row row) {
      row[0] = static_cast<float>(static_cast<double>(index * options.rows / options.queries) + 0.3);
    };
  };
}

Kind mixed_norms() {
  return [](Random&, const HardSetOptions&) -> RowMaker {
    return [](Random& random, std::uint64_t, Row row) {
      const std::vector<double> direction = draw(row.size(), [&] { return random.gaussian(); });
      double square = 0;
      for (const double value : direction) square += value * value;
      const double scale = random.log_uniform(1e-2, 1e2) / std::sqrt(square);
      fill(row, [&](std::size_t d) { return scale * direction[d]; });
    };
  };
}

// Seven rows of eight are one vector, three times as long as others; with noise, only rows near the eighth are made.
struct Majority {
  std::vector<double> copy, distinct;

  Majority(Random& common, std::uint32_t dim, std::uint64_t rows)
      : copy(draw(dim, [&] { return 3 * common.gaussian(); })),
        distinct(draw((rows / 8 + 1) * dim, [&] { return common.gaussian(); })) {}
};

Kind majority_rows(std::uint32_t dim) {
  return [=](Random& common, const HardSetOptions& options) -> RowMaker {
    return [=, made = Majority(common, dim, options.rows)](Random&, std::uint64_t index, Row row) {
      const double* from = index % 8 != 0 ? made.copy.data() : made.distinct.data() + index / 8 * dim;
      fill(row, [&](std::size_t d) { return from[d]; });
    };
  };
}

Kind near_the_minority(std::uint32_t dim) {
  return [=](Random& common, const HardSetOptions& options) -> RowMaker {
    return [=, made = Majority(common, dim, options.rows)](Random& random, std::uint64_t, Row row) {
      const double* from = made.distinct.data() + random.below(std::max<std::uint64_t>(1, options.rows / 8)) * dim;
      fill(row, [&](std::size_t d) { return from[d] + 0.3 * random.gaussian(); });
    };
  };
}

Kind ball() {
  return [](Random&, const HardSetOptions&) -> RowMaker {
    return [](Random& random, std::uint64_t, Row row) {
      const std::vector<double> direction = draw(row.size(), [&] { return random.gaussian(); });
      double square = 0;
      for (const double value : direction) square += value * value;
      const double scale = std::pow(random.uniform(), 1.0 / static_cast<double>(row.size())) / std::sqrt(square);
      fill(row, [&](std::size_t d) { return scale * direction[d]; });
    };
  };
}

Kind sparse(double zeros) {
  return [=](Random&, const HardSetOptions&) -> RowMaker {
    return [=](Random& random, std::uint64_t, Row row) {
      fill(row, [&](std::size_t) { return random.uniform() < zeros ? 0 : std::abs(random.gaussian()); });
      row[random.below(row.size())] = 1;  // none is zero throughout, which cosine refuses
    };
  };
}

// One row of `every` lies near zero with a spread of .01, the others at 1e6 with a spread of 100.
Kind far_and_near(std::uint64_t every) {
  return [=](Random&, const HardSetOptions&) -> RowMaker {
    return [=](Random& random, std::uint64_t index, Row row) {
      const bool is_near = index % every == 0;
      fill(row, [&](std::size_t) { return is_near ? 1e-2 * random.gaussian() : 1e6 + 100 * random.gaussian(); });
    };
  };
}

std::vector<Definition> offsets_and_scales() {
  constexpr Metric l2 = Metric::kL2, cosine = Metric::kCosine, ip = Metric::kInnerProduct;
  return {{"shifted_1000", 32, {l2, cosine, ip}, gaussian(1, 1e3)},
          {"shifted_10000", 32, {l2}, gaussian(1, 1e4)},
          {"shifted_100000", 32, {l2}, gaussian(1, 1e5)},
          {"scaled", 32, {l2, cosine, ip}, scaled(32, 1e-3, 1e3)},
          {"unix_time", 4, {l2}, unix_time()},
          {"town", 2, {l2}, latitude_longitude()},
          {"outliers_1000", 32, {l2, cosine, ip}, outliers(2500, 1e3)},
          {"outliers_10000", 32, {l2, cosine, ip}, outliers(2500, 1e4)},
          {"outliers_1_percent", 32, {l2, cosine, ip}, outliers(100, 100)},
          {"tiny_1e-15", 32, {l2}, gaussian(1e-15, 0)},
          {"tiny_1e-30", 32, {cosine}, gaussian(1e-30, 0)},
          {"huge_1e15", 32, {l2}, gaussian(1e15, 0)},
          {"huge_1e30", 32, {cosine}, gaussian(1e30, 0)},
          {"mixed_norms", 32, {l2, cosine, ip}, mixed_norms()}};
}

std::vector<Definition> shapes() {
  constexpr Metric l2 = Metric::kL2, cosine = Metric::kCosine, ip = Metric::kInnerProduct;
  return {{"far_clusters_100", 32, {l2}, clusters(32, 20, 100, 1)},
          {"far_clusters_10000", 32, {l2}, clusters(32, 20, 1e4, 1)},
          {"near_copies_1e-3", 64, {l2, cosine}, clusters(64, 40, 1, 1e-3)},
          {"near_copies_1e-5", 64, {l2, cosine}, clusters(64, 40, 1, 1e-5)},
          {"integers", 1, {l2}, integers(), between_integers()},
          {"gaussian_1d", 1, {l2}, gaussian(1, 0)},
          {"gaussian_2d", 2, {l2, cosine}, gaussian(1, 0)},
          {"gaussian_3d", 3, {l2, cosine}, gaussian(1, 0)},
          {"gaussian_4d", 4, {l2, cosine}, gaussian(1, 0)},
          {"majority", 32, {l2, cosine}, majority_rows(32), near_the_minority(32)},
          {"ball", 32, {l2, cosine, ip}, ball()},
          {"sparse", 128, {l2, cosine, ip}, sparse(0.9)},
          {"far_and_near", 32, {l2}, far_and_near(20), far_and_near(2)},
          {"control", 64, {l2, cosine, ip}, clusters(64, 50, 2, 1)},
          {"f16_shifted_100", 32, {l2}, gaussian(1, 100), nullptr, DType::kF16},
          {"f16_far_clusters_100", 32, {l2}, clusters(32, 20, 100, 1), nullptr, DType::kF16},
          {"f16_near_copies_1e-3", 64, {l2, cosine}, clusters(64, 40, 1, 1e-3), nullptr, DType::kF16}};
}

const std::vector<Definition>& definitions() {
  static const std::vector<Definition> all = [] {
    std::vector<Definition> both = offsets_and_scales();
    for (Definition& definition : shapes()) both.push_back(std::move(definition));
    return both;
  }();
  return all;
}

std::vector<float> make_rows(const Definition& definition, const Kind& kind, const HardSetOptions& options,
                             std::uint64_t count, std::uint64_t stream) {
  Random common(options.seed), random(options.seed * 1000003 + stream);
  const RowMaker make = kind(common, options);
  std::vector<float> values(count * definition.dim);
  for (std::uint64_t i = 0; i < count; ++i) make(random, i, Row(values).subspan(i * definition.dim, definition.dim));
  if (definition.dtype == DType::kF16) {
    for (float& value : values) value = half_to_float(float_to_half(value));
  }
  return values;
}

std::vector<double> unit(std::span<const float> row) {
  double square = 0;
  for (const float value : row) square += static_cast<double>(value) * value;
  std::vector<double> result(row.begin(), row.end());
  for (double& value : result) value /= std::sqrt(square);
  return result;
}

}  // namespace

std::vector<std::string> hard_set_names() {
  std::vector<std::string> names;
  for (const Definition& definition : definitions()) names.emplace_back(definition.name);
  return names;
}

HardSet make_hard_set(std::string_view name, const HardSetOptions& options) {
  for (const Definition& definition : definitions()) {
    if (definition.name != name) continue;
    const Kind& queries = definition.queries ? definition.queries : definition.base;
    return {std::string(name),
            definition.dtype,
            definition.dim,
            definition.metrics,
            make_rows(definition, definition.base, options, options.rows, 1),
            make_rows(definition, queries, options, options.queries, 2)};
  }
  return {.name = std::string(name), .dim = 1, .metrics = {}, .base = {}, .queries = {}};
}

std::vector<std::byte> encode_values(std::span<const float> values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * element_bytes(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kF16) {
      const std::uint16_t half = float_to_half(values[i]);
      std::memcpy(bytes.data() + i * sizeof half, &half, sizeof half);
    } else {
      std::memcpy(bytes.data() + i * sizeof(float), &values[i], sizeof(float));
    }
  }
  return bytes;
}

double double_distance(Metric metric, std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  switch (metric) {
    case Metric::kL2:
      for (std::size_t d = 0; d < a.size(); ++d) {
        const double difference = static_cast<double>(a[d]) - b[d];
        sum += difference * difference;
      }
      return sum;
    case Metric::kInnerProduct:
      for (std::size_t d = 0; d < a.size(); ++d) sum += static_cast<double>(a[d]) * b[d];
      return -sum;
    case Metric::kCosine: {
      const std::vector<double> unit_a = unit(a), unit_b = unit(b);
      for (std::size_t d = 0; d < a.size(); ++d) sum += (unit_a[d] - unit_b[d]) * (unit_a[d] - unit_b[d]);
      return sum / 2;
    }
  }
  return sum;
}

std::vector<double> kth_distances(const HardSet& set, Metric metric, std::uint32_t k) {
  std::vector<double> kth(set.query_count()), distances(set.rows());
  const std::size_t rank = std::min<std::size_t>(k, set.rows()) - 1;
  for (std::uint64_t query = 0; query < set.query_count(); ++query) {
    for (std::uint64_t row = 0; row < set.rows(); ++row)
      distances[row] = double_distance(metric, set.query(query), set.row(row));
    std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(rank), distances.end());
    kth[query] = distances[rank];
  }
  return kth;
}

}  // namespace vecstore::bench
