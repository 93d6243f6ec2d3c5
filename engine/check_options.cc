// SPDX-License-Identifier: Apache-2.0
#include "engine/check_options.h"

#include <cmath>

#include "base/limits.h"

namespace vecstore {
namespace {

static_assert(kResultsMax == 1000 && kSearchListMax == 4096 && kThreadsMax == 256, "the texts of the errors name them");
static_assert(kLanesMax == 32 && kClientsMax == 1024 && kDegreeMax == 255, "the texts of the errors name them");
static_assert(kBoundMax == 1e6f && kLogBytesMin == 4u << 20 && kDeltaBytesMin == 1u << 20,
              "the texts of the errors name them");

Status refuse(const char* text) { return {Code::kInvalidArgument, text}; }

template <typename Number>
bool within(Number value, Number least, Number most) {
  return value >= least && value <= most;
}

}  // namespace

Status check_options(const SearchOptions& options) {
  if (options.k == 0) return refuse("k must be at least 1");
  if (options.k > kResultsMax) return refuse("k is too large; the most that one search returns is 1000");
  if (options.search_list > kSearchListMax) return refuse("L is too large; the most is 4096");
  if (!(options.recall_target > 0.0 && options.recall_target <= 1.0))
    return refuse("the recall target must be above 0 and at most 1");
  if (options.radius && std::isnan(*options.radius)) return refuse("the radius must be a number");
  if (!std::isfinite(options.bound) || options.bound > kBoundMax)
    return refuse("the bound must be a number from 0 to 1000000, or a negative one for the calibrated bound");
  return Status::ok();
}

Status check_options(const OpenOptions& options) {
  if (options.cache_fraction && !within(*options.cache_fraction, 0.0, 1.0))
    return refuse("the share of pages to cache must be between 0 and 1");
  if (options.cache_fraction && options.cache_bytes) return refuse("give the cache as a share or in bytes, not both");
  if (options.lanes > kLanesMax) return refuse("too many queries in progress for one searcher; the most is 32");
  if (options.searchers == 0 || options.searchers > kClientsMax)
    return refuse("the number of searchers must be between 1 and 1024");
  const bool writes = options.access == Access::kReadWrite;
  if (options.create && !writes) return refuse("only who opens a store for writing can make it");
  if (writes && (options.log_bytes < kLogBytesMin || options.delta_bytes < kDeltaBytesMin || options.interval_ms == 0))
    return refuse("a log needs at least 4 MiB, a delta 1 MiB, and an interval must be a millisecond or longer");
  constexpr std::uint64_t kBytesMost = std::uint64_t{1} << 60;
  if (writes && (options.delta_bytes > kBytesMost || options.log_bytes > kBytesMost))
    return refuse("delta and log take at most 2^60 bytes");
  if (writes && options.merge_threads > kThreadsMax) return refuse("too many threads to merge with; at most 256");
  return Status::ok();
}

Status check_options(const BuildOptions& options) {
  if (options.page_bytes != 0 && options.page_bytes != 4096 && options.page_bytes != 8192 &&
      options.page_bytes != 16384)
    return refuse("the page size must be 4096, 8192 or 16384");
  if (options.max_degree > kDegreeMax) return refuse("the maximum degree must be at most 255");
  if (options.build_list > kSearchListMax) return refuse("the list size of the construction must be at most 4096");
  if (options.vector_bits != 0 && options.vector_bits != 8 && options.vector_bits != 16 && options.vector_bits != 32)
    return refuse("vectors take 8, 16 or 32 bits a value");
  if (!within(options.alpha, 1.0f, 4.0f)) return refuse("alpha must be between 1 and 4");
  if (options.threads > kThreadsMax) return refuse("too many threads; at most 256");
  return Status::ok();
}

}  // namespace vecstore
