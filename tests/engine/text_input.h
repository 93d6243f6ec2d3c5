// SPDX-License-Identifier: Apache-2.0
//
// Lines of text for stores: read from the sets that ship with the project, written where a build reads them.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "engine/files/text_lines.h"
#include "tests/test_util.h"

namespace vecstore::test {

inline std::vector<std::string> first_lines(const std::string& path, std::uint64_t count) {
  MemoryBudget budget;
  auto lines = TextLines::open(path, budget);
  REQUIRE_OK(lines);
  std::vector<std::string> texts;
  for (std::string_view line; texts.size() < count; texts.emplace_back(line))
    REQUIRE_OK(lines->expect_line(count, line));
  return texts;
}

inline void write_lines(const std::string& path, const std::vector<std::string>& lines) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  for (const std::string& line : lines) out << line << '\n';
  out.flush();
  BOOST_REQUIRE_MESSAGE(out.good(), "cannot write " << path);
}

}  // namespace vecstore::test
