// SPDX-License-Identifier: Apache-2.0
//
// Every kernel at every level of this processor, in nanoseconds a row: over runs of rows that fit the caches (the block
// scan), and over random ids into a million rows or 256 MiB (hops).
//
// Expected limits, for a core at 3.6 GHz with two 256-bit loads a cycle (Zen 4), against which the figures are read:
//   distances over runs: one load a row vector: 128 bytes 0.6 ns, 784 bytes 3.5 ns; four times that for f32;
//   pq_score AVX-512: per 64 rows and subspace 2 vpermi2b, 8 half-width unpacks, 7 others on four 256-bit pipes: about
//     6.5 cycles, so 0.9 ns a row at 32 bytes; AVX2: 16 pshufb and 7 blends on two pipes, 12 cycles per 32 rows and
//     subspace with the transposition 14, so 3.9 ns; scalar: two dependent loads a lookup, 1.3 cycles, 12 ns;
//   random ids: a cache miss a line (64 bytes) of which about ten are in flight: 80 ns / 10 = 8 ns a line.
//
// Floors: over runs of 32 bytes, pq_score ≥ 8 × scalar and about 2 ns a row on AVX-512, ≥ 3 × on AVX2, in one run.
#include "compress/kernels/kernels.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/random.h"

namespace vecstore {
namespace {

constexpr std::size_t kRunRows = 256;  // a block of the store
constexpr std::size_t kRowsStored = std::size_t{1} << 20;
constexpr std::size_t kWords = std::size_t{1} << 26;  // 256 MiB, which hold fewer rows than that of the longest ones
constexpr std::size_t kIdsHeld = std::size_t{1} << 16;

enum class Access { kRuns, kIds };

// Random words that are ordinary numbers as floats: no NaN, and no denormal that would take a slower path. Filled once.
const std::uint8_t* stored_bytes() {
  static const std::vector<std::uint32_t> words = [] {
    std::vector<std::uint32_t> filled(kWords);
    Random random(7);
    for (auto& word : filled) word = (static_cast<std::uint32_t>(random.next()) & 0x80FFFFFFu) | 0x3F000000u;
    return filled;
  }();
  return reinterpret_cast<const std::uint8_t*>(words.data());
}

// Where the rows of one benchmark are and where each call looks.
struct Data {
  Data(std::size_t row_bytes, Access access) : ids(access == Access::kIds ? kIdsHeld : 0) {
    Random random(5);
    const std::size_t fit = kWords * sizeof(std::uint32_t) / row_bytes;
    for (auto& id : ids) id = static_cast<std::uint32_t>(random.below(fit < kRowsStored ? fit : kRowsStored));
  }
  std::vector<std::uint32_t> ids;
};

// Calls `kernel(rows)` for batch after batch and reports the time of a row.
template <typename Kernel>
void measure(benchmark::State& state, const Data& data, std::size_t row_bytes, const Kernel& kernel) {
  const std::uint8_t* bytes = stored_bytes();
  std::size_t at = 0;
  for (auto iteration : state) {
    static_cast<void>(iteration);
    const std::uint32_t* ids = data.ids.empty() ? nullptr : data.ids.data() + at;
    kernel(Rows{bytes, row_bytes, ids, kRunRows});
    at = (at + kRunRows) % kIdsHeld;
  }
  using benchmark::Counter;
  state.counters["per_row"] =
      Counter(static_cast<double>(kRunRows), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

template <typename Query, typename Out>
void distance(benchmark::State& state, void (*kernel)(const Query*, const Rows&, std::size_t, Out*),
              std::size_t element_bytes, std::size_t dim, Access access) {
  const std::size_t row_bytes = dim * element_bytes;
  const Data data(row_bytes, access);
  std::vector<Query> query(dim);
  for (std::size_t d = 0; d < dim; ++d) query[d] = static_cast<Query>(d * 89 % 120);
  std::vector<Out> out(kRunRows);
  measure(state, data, row_bytes, [&](const Rows& rows) {
    kernel(query.data(), rows, dim, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  });
}

void pq(benchmark::State& state, const Kernels* level, std::size_t subspaces, Access access) {
  const Data data(subspaces, access);
  Random random(3);
  MemoryBudget budget;
  auto table = Buffer<std::uint8_t>::allocate(budget, subspaces * 256);
  if (!table.has_value()) return state.SkipWithError(table.error().message().c_str());
  for (std::size_t e = 0; e < subspaces * 256; ++e) table->data()[e] = static_cast<std::uint8_t>(random.next());
  std::vector<std::uint16_t> out(kRunRows);
  measure(state, data, subspaces, [&](const Rows& rows) {
    level->pq_score(table->data(), subspaces, rows, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  });
}

// A run of rows in tiles for `queries` at once; per_row is the time of one row and query.
void tiles(benchmark::State& state, const Kernels* level, std::size_t dim, std::size_t queries) {
  const std::size_t groups = (dim + 3) / 4;
  const Data data(dim, Access::kRuns);
  const std::vector<std::uint8_t> codes(groups * 4, 89);
  const std::vector<const std::uint8_t*> each(queries, codes.data());
  std::vector<std::vector<std::uint32_t>> out(queries, std::vector<std::uint32_t>(kRunRows));
  std::vector<std::uint32_t*> to;
  for (auto& one : out) to.push_back(one.data());
  measure(state, data, dim, [&](const Rows& rows) {
    const auto* bytes = static_cast<const std::uint8_t*>(rows.base);
    level->dot_u8_tiles(each.data(), queries, {bytes, groups, kRunRows / Tiles::kRows}, to.data());
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  });
  using benchmark::Counter;
  state.counters["per_row"] =
      Counter(static_cast<double>(kRunRows * queries), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

void widen(benchmark::State& state, const Kernels* level, std::size_t dim) {
  std::vector<std::uint16_t> from(dim, 0x3C01);
  std::vector<float> to(dim);
  for (auto iteration : state) {
    static_cast<void>(iteration);
    level->widen_f16(from.data(), to.data(), dim);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  using benchmark::Counter;
  state.counters["per_row"] = Counter(1, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

// "kernel/size/access/level".
std::string name_of_case(std::string kernel, std::size_t size, const char* access, const Kernels* level) {
  return kernel.append("/").append(std::to_string(size)).append("/").append(access).append("/").append(level->name);
}

const char* text_of(Access access) { return access == Access::kRuns ? "runs" : "ids"; }

template <typename Query, typename Out>
void add_distance(const char* kernel, const Kernels* level,
                  void (*Kernels::*function)(const Query*, const Rows&, std::size_t, Out*), std::size_t element_bytes,
                  std::size_t dim, Access access) {
  benchmark::RegisterBenchmark(name_of_case(kernel, dim, text_of(access), level).c_str(), [=](benchmark::State& state) {
    distance(state, level->*function, element_bytes, dim, access);
  });
}

// Levels of one case follow each other, so that their ratio is taken within seconds.
void add_distances(const std::vector<const Kernels*>& levels, std::size_t dim, Access access) {
  const auto add = [&](const char* name, auto function, std::size_t element_bytes) {
    for (const Kernels* level : levels) add_distance(name, level, function, element_bytes, dim, access);
  };
  add("dot_f32", &Kernels::dot_f32, sizeof(float));
  add("l2_f32", &Kernels::l2_f32, sizeof(float));
  add("dot_u8", &Kernels::dot_u8, 1);
  add("l2_u8", &Kernels::l2_u8, 1);
  add("dot_i8", &Kernels::dot_i8, 1);
  add("l2_i8", &Kernels::l2_i8, 1);
  add("dot_f32_u8", &Kernels::dot_f32_u8, 1);
}

void add_all(const std::vector<const Kernels*>& levels) {
  for (const Access access : {Access::kRuns, Access::kIds}) {
    for (const std::size_t subspaces : {16, 32, 33, 48, 98}) {
      for (const Kernels* level : levels) {
        benchmark::RegisterBenchmark(name_of_case("pq_score", subspaces, text_of(access), level).c_str(),
                                     [=](benchmark::State& state) { pq(state, level, subspaces, access); });
      }
    }
    for (const std::size_t dim : {96, 128, 384, 784}) add_distances(levels, dim, access);
  }
  for (const std::size_t queries : {1, 8}) {
    for (const std::size_t dim : {128, 784}) {
      for (const Kernels* level : levels) {
        const std::string name = name_of_case("dot_u8_tiles", dim, queries == 1 ? "one" : "eight", level);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { tiles(state, level, dim, queries); });
      }
    }
  }
  for (const std::size_t dim : {96, 128, 384, 784}) {
    for (const Kernels* level : levels) {
      benchmark::RegisterBenchmark(name_of_case("widen_f16", dim, "runs", level).c_str(),
                                   [=](benchmark::State& state) { widen(state, level, dim); });
    }
  }
}

}  // namespace
}  // namespace vecstore

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  std::vector<const vecstore::Kernels*> levels;
  using vecstore::KernelLevel;
  for (const auto level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512, KernelLevel::kNeon}) {
    const auto table = vecstore::kernels_of(level);
    if (table.has_value()) levels.push_back(*table);
  }
  vecstore::add_all(levels);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
