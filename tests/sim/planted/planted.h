// SPDX-License-Identifier: Apache-2.0
//
// Which bug the environment asks for, in a program with all of them planted. Only the patches of this folder include
// it.
#pragma once

#include <cstdlib>
#include <string_view>

namespace vecstore {

inline bool planted(std::string_view bug) {
  static const char* const chosen = std::getenv("VECSTORE_PLANTED");
  return chosen != nullptr && bug == chosen;
}

}  // namespace vecstore
