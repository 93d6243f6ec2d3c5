// SPDX-License-Identifier: Apache-2.0
//
// What a call through vecstore.h takes more than the same call in C++: one search of a store whose pages are all
// cached, one get and one put. The floor is 1 µs a search.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bindings/c/vecstore.h"
#include "engine/vecstore.hpp"

namespace {

using namespace vecstore;

constexpr std::uint32_t kDim = 32;
constexpr std::uint64_t kRows = 1000;
constexpr std::uint32_t kAnswers = 10;

[[noreturn]] void give_up(const char* message) {
  std::fprintf(stderr, "%s\n", message);
  std::exit(2);
}

template <typename T>
T need(Result<T> result) {
  if (!result) give_up(result.error().message().c_str());
  return std::move(*result);
}

void need(std::int32_t code, const vecstore_error& error) {
  if (code != VECSTORE_OK) give_up(error.message);
}

// One store for both, read through a handle of either language.
struct Both {
  Both() {
    std::uint32_t state = 1;
    for (std::uint8_t& value : values)
      value = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 26);
    const std::string path = (std::filesystem::temp_directory_path() / "vecstore-bench-c").string();
    std::filesystem::remove_all(path);
    if (const Status built = Store::build(path, *view_source({values.data(), DType::kU8, kRows, kDim}), {});
        !built.is_ok())
      give_up(built.message().c_str());
    cpp.emplace(need(Store::open(path, {.cache_fraction = 1.0})));
    vecstore_open_options options{};
    options.struct_size = sizeof(options);
    options.cache = VECSTORE_CACHE_FRACTION;
    options.cache_fraction = 1;
    vecstore_error error;
    need(vecstore_open(path.c_str(), &options, &c, &error), error);
    asked.struct_size = sizeof(asked);
    asked.k = kAnswers;
  }
  const std::uint8_t* query(std::uint64_t i) const { return values.data() + i * 37 % kRows * kDim; }

  std::vector<std::uint8_t> values = std::vector<std::uint8_t>(kRows * kDim);
  std::optional<Store> cpp;
  vecstore_store* c = nullptr;
  vecstore_search_options asked{};
};

Both& both() {
  static Both made;
  return made;
}

void search_cpp(benchmark::State& state) {
  const Both& stores = both();
  std::uint64_t i = 0;
  for (auto _ : state) {
    const auto found = need(stores.cpp->search({stores.query(i++), DType::kU8, 1, kDim}, {.k = kAnswers}));
    benchmark::DoNotOptimize(found[0].data());
  }
}

void search_c(benchmark::State& state) {
  const Both& stores = both();
  std::vector<std::uint64_t> keys(kAnswers);
  std::vector<float> scores(kAnswers);
  vecstore_hits hits{};
  hits.struct_size = sizeof(hits);
  hits.keys = keys.data();
  hits.scores = scores.data();
  vecstore_error error;
  std::uint64_t i = 0;
  for (auto _ : state) {
    const vecstore_vectors query{stores.query(i++), 1, 0, kDim, VECSTORE_U8};
    need(vecstore_search(stores.c, &query, &stores.asked, &hits, &error), error);
    benchmark::DoNotOptimize(keys.data());
  }
}

void get_cpp(benchmark::State& state) {
  const Both& stores = both();
  std::uint64_t i = 0;
  for (auto _ : state) {
    const Key key(i++ * 37 % kRows);
    benchmark::DoNotOptimize(need(stores.cpp->get_batch({&key, 1})));
  }
}

void get_c(benchmark::State& state) {
  const Both& stores = both();
  std::vector<std::uint8_t> vector(kDim);
  vecstore_error error;
  std::uint64_t i = 0;
  for (auto _ : state) {
    const std::uint64_t number = i++ * 37 % kRows;
    const vecstore_keys key{&number, nullptr, 1};
    need(vecstore_get(stores.c, &key, nullptr, vector.data(), vector.size(), nullptr, &error), error);
    benchmark::DoNotOptimize(vector.data());
  }
}

BENCHMARK(search_cpp)->Unit(benchmark::kMicrosecond);
BENCHMARK(search_c)->Unit(benchmark::kMicrosecond);
BENCHMARK(get_cpp)->Unit(benchmark::kMicrosecond);
BENCHMARK(get_c)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
