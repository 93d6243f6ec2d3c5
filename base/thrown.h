// SPDX-License-Identifier: Apache-2.0
//
// The border of the API, which nothing is thrown across:
//
//   Status Store::flush() try {
//     ...
//   } catch (...) {
//     return status_of_exception();
//   }
#pragma once

#include "base/status.h"

namespace vecstore {

// In a catch block. Memory that the system does not have is kMemoryBudget; what else it refused, a thread, has its
// errno. Cancelled is kCancelled. Anything else goes on its way: it came out of a caller's own function.
Status status_of_exception();

// The Status that `call` returns, or of what it throws.
template <typename Call>
Status without_throwing(const Call& call) try {
  return call();
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
