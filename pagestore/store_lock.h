// SPDX-License-Identifier: Apache-2.0
//
// The lock of writers. Internal to pagestore.
#pragma once

#include <memory>
#include <string>

#include "base/io.h"
#include "base/status.h"

namespace vecstore {

// All lock for as long as the File lives, and the other two retry for a second: reads and writes that a killed process
// left in flight keep its files busy for some tens of milliseconds. Errors: kBusy naming the holder's pid, kPermission,
// kIo.

// path/LOCK. Where its holder has taken it away meanwhile, the one that lies there now.
Result<std::unique_ptr<File>> lock_store(FileSystem& file_system, const std::string& path);
// The LOCK that lies there, without waiting; null: somebody has it. Errors: kNotFound too.
Result<std::unique_ptr<File>> try_lock_store(FileSystem& file_system, const std::string& path);
// The superblock of the store in `path` itself, should somebody have removed LOCK from under its holder.
Result<std::unique_ptr<File>> lock_superblock(FileSystem& file_system, const std::string& path);

}  // namespace vecstore
