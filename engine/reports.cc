// SPDX-License-Identifier: Apache-2.0
#include "engine/reports.h"

namespace vecstore {

std::string_view version() { return "0.1.0"; }

}  // namespace vecstore
