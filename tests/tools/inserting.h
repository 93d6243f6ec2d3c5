// SPDX-License-Identifier: Apache-2.0
//
// What a program that inserted rows under their numbers promised, and whether it was kept.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/vecstore.hpp"
#include "tests/tools/command.h"

namespace vecstore::test {

// Rows that `insert --ack` said are on the disk; a last line that was cut short counts for nothing.
inline std::uint64_t acknowledged_in(const std::string& path) {
  std::uint64_t rows = 0;
  std::istringstream lines(text_of(path));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("acked ") && line.find(' ', 6) != std::string::npos) rows = std::stoull(line.substr(6));
  return rows;
}

// Some of the rows, each under its number, are what `base` has there.
inline void check_some_rows(const Store& store, const VectorSource& base, Random& random) {
  for (int i = 0; i < 5 && store.size() != 0; ++i) {
    const std::uint64_t key = random.below(store.size());
    const auto item = store.get(key);
    REQUIRE_OK(item);
    std::vector<std::byte> expected(item->vector.size());
    REQUIRE_OK(base.read(key, 1, expected.data()));
    BOOST_REQUIRE(item->vector == expected);
  }
}

}  // namespace vecstore::test
