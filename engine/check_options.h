// SPDX-License-Identifier: Apache-2.0
//
// What the options of the public API may be. Every range is written so that NaN lies outside of it. Thread-safe.
#pragma once

#include "base/status.h"
#include "engine/options.h"

namespace vecstore {

// Errors: kInvalidArgument naming the option and its range.
Status check_options(const SearchOptions& options);
Status check_options(const OpenOptions& options);
Status check_options(const BuildOptions& options);

}  // namespace vecstore
