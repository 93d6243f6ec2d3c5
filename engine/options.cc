// SPDX-License-Identifier: Apache-2.0
#include "engine/options.h"

namespace vecstore {

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::kRead:
      return "read";
    case Phase::kGraph:
      return "graph";
    case Phase::kOrder:
      return "order";
    case Phase::kCodes:
      return "codes";
    case Phase::kCalibrate:
      return "calibrate";
    case Phase::kWrite:
      return "write";
    case Phase::kPublish:
      return "publish";
    case Phase::kReplay:
      return "replay";
    case Phase::kPut:
      return "put";
    case Phase::kSearch:
      return "search";
    case Phase::kVerify:
      return "verify";
    case Phase::kExport:
      return "export";
  }
  return "unknown";
}

}  // namespace vecstore
