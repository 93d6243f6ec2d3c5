// SPDX-License-Identifier: Apache-2.0
//
// A program that has an Eigen of its own, of other alignment and order, and a function that zstd has too. It builds a
// store, whose codes are made with Eigen, and searches it.
#include <Eigen/Dense>
#include <cstdint>
#include <cstdio>
#include <vecstore/vecstore.hpp>
#include <vector>

extern "C" unsigned ZSTD_versionNumber() { return 1; }  // not that of the library

int main() {
  using namespace vecstore;
  constexpr std::uint32_t kDim = 64;
  constexpr std::uint64_t kRows = 4000;
  std::vector<float> values(kRows * kDim);
  std::uint32_t state = 1;
  for (float& value : values) value = static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) / 16777216.0f;
  const VectorView rows{values.data(), DType::kF32, kRows, kDim};
  BuildOptions options;
  options.overwrite = true;
  if (const Status built = Store::build("eigen-store", *view_source(rows), options); !built.is_ok())
    return std::fprintf(stderr, "%s\n", built.message().c_str()), 1;
  const Store store = Store::open("eigen-store").value();
  std::uint64_t found = 0;
  for (std::uint64_t row = 0; row < kRows; row += 40)
    found += store.search({values.data() + row * kDim, DType::kF32, 1, kDim}, {.k = 1}).value()[0][0].row.value == row;
  Eigen::MatrixXd matrix = Eigen::MatrixXd::Identity(50, 50) * 2;
  matrix(3, 7) = 5;
  const double trace = (matrix.transpose() * matrix).trace() +
                       Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(matrix.transpose() * matrix).eigenvalues().sum();
  std::printf("found %llu of 100, trace %g\n", (unsigned long long)found, trace);
  return found >= 95 && trace == trace && ZSTD_versionNumber() == 1 ? 0 : 1;
}
