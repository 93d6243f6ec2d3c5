// SPDX-License-Identifier: Apache-2.0
//
// The executors of the library: TBB by default; plain std::jthread where TBB cannot be used (the race detector's build,
// because Debian's libtbb is not instrumented).
#pragma once

#include <memory>

#include "base/executor.h"

namespace vecstore {

// threads = 0: all processors.
std::unique_ptr<Executor> make_executor(unsigned threads);

}  // namespace vecstore
