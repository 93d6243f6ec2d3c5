// SPDX-License-Identifier: Apache-2.0
#include "bench/put_rows.h"

#include <algorithm>

#include "bench/report.h"

namespace vecstore::bench {
namespace {

constexpr std::size_t kBatch = 100;

}  // namespace

void put_rows(Store& store, const LoadedVectors& base, std::span<const std::uint32_t> keys,
              std::span<const std::uint32_t> rows) {
  const std::size_t row_bytes = base.view.row_stride();
  std::vector<Key> names;
  std::vector<std::byte> vectors;
  for (std::size_t first = 0; first < keys.size(); first += kBatch) {
    const std::size_t count = std::min(kBatch, keys.size() - first);
    names.clear();
    vectors.resize(count * row_bytes);
    for (std::size_t i = 0; i < count; ++i) {
      names.emplace_back(std::uint64_t{keys[first + i]});
      std::copy_n(base.view.row(rows[first + i]), row_bytes, vectors.data() + i * row_bytes);
    }
    need(store.put_batch(names, {vectors.data(), base.view.dtype, count, base.view.dim}));
  }
}

void erase_keys(Store& store, std::span<const std::uint32_t> keys) {
  std::vector<Key> names;
  for (std::size_t first = 0; first < keys.size(); first += kBatch) {
    names.clear();
    for (const std::uint32_t key : keys.subspan(first, std::min(kBatch, keys.size() - first)))
      names.emplace_back(std::uint64_t{key});
    if (need(store.erase_batch(names)).rows != names.size())
      fail(Status(Code::kInvalidInput, "the runbook erases a key that is not there"));
  }
}

}  // namespace vecstore::bench
