// SPDX-License-Identifier: Apache-2.0
//
// Results on stdout, as a table of names and values for people or as one JSON object for programs, and what the process
// knows of itself.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "engine/files/json.h"

namespace vecstore::tools {

class Table {
 public:
  void add(std::string name, std::string value) { lines_.emplace_back(std::move(name), std::move(value)); }
  void print() const;  // values aligned

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

void print_json(const Json& json);
// Flushes stdout. Errors: kNoSpace, kIo: a full disk behind a redirection must not pass for success.
Status finish_output();

// VmHWM of /proc/self/status; 0 where there is none.
std::uint64_t rss_peak_bytes();

}  // namespace vecstore::tools
