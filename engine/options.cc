// SPDX-License-Identifier: Apache-2.0
#include "engine/options.h"

namespace vecstore {

std::string_view name_of(BuildPhase phase) {
  switch (phase) {
    case BuildPhase::kRead:
      return "read";
    case BuildPhase::kGraph:
      return "graph";
    case BuildPhase::kOrder:
      return "order";
    case BuildPhase::kCodes:
      return "codes";
    case BuildPhase::kCalibrate:
      return "calibrate";
    case BuildPhase::kWrite:
      return "write";
    case BuildPhase::kPublish:
      return "publish";
  }
  return "unknown";
}

}  // namespace vecstore
