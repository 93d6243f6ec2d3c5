// SPDX-License-Identifier: Apache-2.0
//
// Sizes as people write them. KiB, MiB, GiB, TiB are powers of 1024; kB, KB, MB, GB, TB powers of 1000; a bare number
// or B is bytes. Fractions are allowed ("1.5GiB"). Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vecstore::tools {

// Errors: kInvalidArgument with the text as subject.
Result<std::uint64_t> parse_size(std::string_view text);

// A page cache: a size, or a share of the pages.
struct CacheSize {
  std::optional<double> fraction;  // 0 … 1, from "10%"
  std::optional<std::uint64_t> bytes;
};
// Errors: kInvalidArgument.
Result<CacheSize> parse_cache_size(std::string_view text);

// "512 B", "1.5 GiB": for people; at most one decimal.
std::string format_size(std::uint64_t bytes);

}  // namespace vecstore::tools
