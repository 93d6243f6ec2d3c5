// SPDX-License-Identifier: Apache-2.0
//
// What the process tells its caller. Scripts depend on these numbers; they never change their meaning.
#pragma once

#include "base/status.h"

namespace vecstore::tools {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,      // missing, no permission, disk full, refused data
  kExitUsage = 2,        // options, k = 0, metric or element type against the index
  kExitDamaged = 3,      // our own files do not hold what they should
  kExitBusy = 4,         // another process holds the store
  kExitNewerFormat = 5,  // written by a newer vecstore
};

constexpr ExitCode exit_code_of(Code code) {
  switch (code) {
    case Code::kOk:
      return kExitOk;
    case Code::kInvalidArgument:
      return kExitUsage;
    case Code::kCorrupt:
      return kExitDamaged;
    case Code::kBusy:
      return kExitBusy;
    case Code::kNewerFormat:
      return kExitNewerFormat;
    default:
      return kExitFailure;
  }
}

}  // namespace vecstore::tools
