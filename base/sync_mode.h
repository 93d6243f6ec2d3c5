// SPDX-License-Identifier: Apache-2.0
//
// When a write counts as done.
#pragma once

#include <cstdint>

namespace vecstore {

enum class SyncMode : std::uint8_t {
  kAlways,    // when it is on the disk: it survives a power cut
  kInterval,  // when it was given to the system; on the disk some milliseconds later
  kNone,      // when it was given to the system; on the disk when a log segment is full, at flush() and close()
};

}  // namespace vecstore
