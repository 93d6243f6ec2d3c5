// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace vecstore {

// open(2), begun again where a signal interrupts it. `mode`: of a file that is made. −1: errno tells.
int open_descriptor(const std::string& path, int flags, unsigned mode = 0666);

}  // namespace vecstore
