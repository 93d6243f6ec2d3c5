// SPDX-License-Identifier: Apache-2.0
//
// The note of a writer that it is about to write files of a later publish. Internal to pagestore; the layout is in
// pagestore/README.md.
//
// It is durable before the first of these files is there, and goes when both slots of the superblock name them. So
// files that are newer than the superblock are leftovers where it lies there and was written over the same content.
// Where it does not, they are committed content whose superblock was lost.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/io.h"
#include "base/status.h"

namespace vecstore {

// The publish that the writer found: everything newer is its own, and not committed while this is the newest.
struct Intent {
  std::uint64_t sequence = 0;  // 0: nothing was published yet
};

// Durable when it returns. path/tmp exists, and is itself there for good.
Status write_intent(FileSystem& file_system, const std::string& path, const Intent& intent);
// nullopt: there is none, or none that is whole. Errors: kIo, kPermission.
Result<std::optional<Intent>> read_intent(FileSystem& file_system, const std::string& path);
// Whether there is one, whole or not.
Result<bool> has_intent(FileSystem& file_system, const std::string& path);
// Gone for good when it returns.
Status remove_intent(FileSystem& file_system, const std::string& path);

}  // namespace vecstore
