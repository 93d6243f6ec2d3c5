// SPDX-License-Identifier: Apache-2.0
//
// The lock of writers. Internal to pagestore.
#pragma once

#include <memory>
#include <string>

#include "engine/base/status.h"
#include "pagestore/io.h"

namespace vecstore {

// Locks path/LOCK for as long as the File lives, retrying for a second (reads that a killed process left in flight keep
// its files busy for some tens of milliseconds). Errors: kBusy naming the holder's pid, kPermission, kIo.
Result<std::unique_ptr<File>> lock_store(FileSystem& file_system, const std::string& path);

}  // namespace vecstore
