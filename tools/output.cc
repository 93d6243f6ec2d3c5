// SPDX-License-Identifier: Apache-2.0
#include "tools/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string_view>

namespace vecstore::tools {

void Table::print() const {
  std::size_t width = 0;
  for (const auto& [name, value] : lines_) width = std::max(width, name.size());
  for (const auto& [name, value] : lines_) fmt::print("{:<{}}  {}\n", name, width, value);
}

void print_json(const Json& json) { fmt::print("{}\n", json.text()); }

Status finish_output() {
  errno = 0;
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (written) return {};
  return errno_status(errno != 0 ? errno : EIO, "the results could not be written", "standard output");
}

std::uint64_t rss_peak_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    constexpr std::string_view kName = "VmHWM:";
    if (line.starts_with(kName)) return std::stoull(line.substr(kName.size())) * 1024;
  }
  return 0;
}

}  // namespace vecstore::tools
