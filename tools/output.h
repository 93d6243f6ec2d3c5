// SPDX-License-Identifier: Apache-2.0
//
// Results on stdout, as a table of names and values for people or as one JSON object for programs; errors and progress
// on stderr; and what the process knows of itself. Nothing here throws because a stream is closed or its disk is full.
// Used by one thread.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "engine/files/json.h"

namespace vecstore::tools {

// To be called first. A stream that the caller closed must not lend its number to a file that is opened later: what is
// printed would go into that file. And a reader that goes away is a failure to be told, not a signal to die of.
void hold_standard_streams();

// stdout. A failure is kept for finish_output().
void write_out(std::string_view text);
// stderr. A failure changes nothing: the exit code still tells how the command ended.
void write_error(std::string_view text) noexcept;

template <typename... Values>
void print_out(fmt::format_string<Values...> format, Values&&... values) {
  write_out(fmt::format(format, std::forward<Values>(values)...));
}
template <typename... Values>
void print_error(fmt::format_string<Values...> format, Values&&... values) {
  write_error(fmt::format(format, std::forward<Values>(values)...));
}

class Table {
 public:
  void add(std::string name, std::string value) { lines_.emplace_back(std::move(name), std::move(value)); }
  void print() const;  // values aligned

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

void print_json(const Json& json);

// The line of an error. Where the library advises an option of its API, the option of the command stands there.
std::string error_text(const Status& status);
// Flushes stdout. Errors: kNoSpace, kIo, of this or an earlier write: a full disk behind a redirection must not pass
// for success.
Status finish_output();

// VmHWM of /proc/self/status; 0 where there is none.
std::uint64_t rss_peak_bytes();

}  // namespace vecstore::tools
