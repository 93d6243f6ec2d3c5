// SPDX-License-Identifier: Apache-2.0
//
// What a publish makes the content of a store: its files, and what the engine says of them. As bytes:
// manifest_format.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace vecstore {

struct ManifestFile {
  std::uint16_t kind = 0;  // a FileKind; a reader skips kinds it does not know when `optional`
  bool optional = false;
  std::uint32_t generation = 0;
  std::string name;  // relative, e.g. "graph-1", "rows/1-0"; never absolute, never with ".."
  std::uint64_t bytes = 0;
  std::uint64_t hash_low = 0;  // XXH3-128 of the file
  std::uint64_t hash_high = 0;
};

struct Manifest {
  Uuid store{};
  std::uint64_t sequence = 0;  // set by publish()
  std::uint32_t generation = 0;
  std::uint64_t applied_lsn = 0;  // every log record up to here is in the files
  std::vector<ManifestFile> files;
  std::vector<std::byte> properties;  // the engine's own, opaque here: dimension, metric, calibration …
};

}  // namespace vecstore
