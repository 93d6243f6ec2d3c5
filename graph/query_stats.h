// SPDX-License-Identifier: Apache-2.0
//
// What a query took, and what that costs a disk.
#pragma once

#include <cstdint>

namespace vecstore {

struct QueryStats {
  // Reads that were asked for, each of one page or several side by side. Beside other queries it may take a few more.
  std::uint32_t requests = 0;
  std::uint32_t rounds = 0;
  std::uint32_t bytes = 0;
  std::uint32_t pages_from_cache = 0;
  std::uint32_t codes_scored = 0;
  std::uint32_t exact_distances = 0;
  std::uint32_t latency_us = 0;  // time of the query; Store::search() fills it in
};

// What read requests cost a disk, in requests for one 4 KiB page; `bytes`: of all together. At saturation a request
// takes it about 9.1 µs and .69 µs a KiB (virtual NVMe).
constexpr double reads_of_4k(double requests, double bytes) {
  return (9.1 * requests + 0.69 * bytes / 1024) / (9.1 + 0.69 * 4);
}

}  // namespace vecstore
