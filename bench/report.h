// SPDX-License-Identifier: Apache-2.0
//
// What programs that measure have in common: they end where something cannot be measured, tell of floors, and count
// bytes of files.
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "bench/measured_index.h"

namespace vecstore::bench {

// Exit code 2, with the name of the program before the message.
[[noreturn]] void fail(const Status& status);
template <typename T>
T need(Result<T> result) {
  if (!result) fail(result.error());
  return std::move(result).value();
}
inline void need(const Status& status) {
  if (!status.is_ok()) fail(status);
}

enum class Bound { kAtMost, kAtLeast };
// Prints PASS or FAIL, and adds the floor to those of `report`. A limit of 0 is none.
void add_floor(Json& report, const std::string& what, double value, double limit, Bound bound = Bound::kAtMost);
bool all_floors_hold(const Json& report);

// Searches, their p50 and p99 and the greatest, of microseconds in rising order.
Json percentiles(const std::vector<double>& sorted);

// Bytes of the files of a store, by what they hold.
Json directory_bytes(const std::string& path);

// Of this process so far; `bytes` are those that it had the file system write.
struct Spent {
  double cpu_seconds;
  double bytes;
};
Spent spent();

}  // namespace vecstore::bench
