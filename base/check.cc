// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace vecstore {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "vecstore: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace vecstore
