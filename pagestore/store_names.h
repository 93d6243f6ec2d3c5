// SPDX-License-Identifier: Apache-2.0
//
// Which names in a store's directory are the store's. Pagestore knows those of publishing itself: superblock, LOCK,
// manifests and tmp/. The rest is handed in by whoever makes the files, so that leftovers are told from foreign files.
#pragma once

#include <span>
#include <string_view>

namespace vecstore {

// Borrows everything.
struct StoreNames {
  // "graph-": graph-<n> is a file of generation n.
  std::span<const std::string_view> generation_prefixes;
  // "rows": a directory of files <n>-<m>, of generation n.
  std::span<const std::string_view> extent_directories;
  // Ours, but no part of what is published: neither named by a manifest nor removed with the files of one.
  std::span<const std::string_view> other_directories;
  std::span<const std::string_view> other_files;
};

}  // namespace vecstore
