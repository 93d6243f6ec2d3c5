// SPDX-License-Identifier: Apache-2.0
//
// Results on stdout, as a table of names and values for people or as one JSON object for programs, and what the process
// knows of itself.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace vecstore::tools {

using Json = nlohmann::ordered_json;

class Table {
 public:
  void add(std::string name, std::string value) { lines_.emplace_back(std::move(name), std::move(value)); }
  void print() const;  // values aligned

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

// One object, indented. Bytes that are not UTF-8 (of keys and documents) are replaced, because JSON has no others.
void print_json(const Json& json);
Json json_of_document(const std::string& document);  // what it says if it is JSON, else a string
// Flushes stdout. Errors: kNoSpace, kIo: a full disk behind a redirection must not pass for success.
Status finish_output();

// VmHWM of /proc/self/status; 0 where there is none.
std::uint64_t rss_peak_bytes();

}  // namespace vecstore::tools
