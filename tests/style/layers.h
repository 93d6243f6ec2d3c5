// SPDX-License-Identifier: Apache-2.0
//
// Who may include whom. Calls go down, data comes back, nobody includes upward.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

namespace vecstore::test {

struct Layer {
  std::string_view name;    // a folder (ending in '/') without those that are layers themselves, or a file
  bool everything = false;  // may include any file of the repository
  std::vector<std::string_view> allowed;  // layers, besides its own, and single files
};

// The longest name that fits a path is its layer.
inline const std::vector<Layer>& layers() {
  static const std::vector<std::string_view> public_api = {"engine/vecstore.hpp",
                                                           "engine/options.h",
                                                           "engine/progress.h",
                                                           "engine/reports.h",
                                                           "engine/truth.h",
                                                           "engine/key.h",
                                                           "engine/metrics.h",
                                                           "engine/vector_source.h",
                                                           "engine/files/convert.h",
                                                           "engine/files/info_json.h",
                                                           "engine/files/json.h",
                                                           "engine/files/text_lines.h",
                                                           "base/",
                                                           "compress/codec.h",
                                                           "graph/query_stats.h",
                                                           "pagestore/backend.h",
                                                           "pagestore/format.h",
                                                           "wal/format.h"};
  static const std::vector<Layer> table = {
      {"base/", false, {}},
      {"compress/", false, {"base/", "compress/kernels/"}},
      {"compress/kernels/", false, {"base/"}},
      {"pagestore/", false, {"base/"}},
      {"wal/", false, {"base/"}},
      {"graph/", false, {"base/", "compress/", "compress/kernels/", "pagestore/"}},
      {"gpu/", false, {"base/", "compress/"}},
      // The public face, and what all rooms of the engine share.
      {"engine/", false, {"base/", "compress/codec.h", "graph/query_stats.h", "pagestore/backend.h"}},
      {"engine/vecstore.hpp", false, {"base/", "engine/"}},
      {"engine/files/", false, {"base/", "engine/"}},
      {"engine/generation/", false, {"base/", "compress/", "pagestore/", "graph/", "engine/"}},
      {"engine/rows/", false, {"base/", "compress/", "pagestore/", "engine/", "engine/generation/"}},
      {"engine/live/", false, {"base/", "compress/", "compress/kernels/", "wal/", "graph/", "engine/", "engine/rows/"}},
      {"engine/truth/", false, {"base/", "compress/kernels/", "engine/", "engine/files/"}},
      {"engine/builder/",
       false,
       {"base/", "compress/", "compress/kernels/", "pagestore/", "graph/", "gpu/", "engine/", "engine/files/",
        "engine/rows/", "engine/generation/", "engine/truth/"}},
      {"engine/content/",
       false,
       {"base/", "compress/", "pagestore/", "wal/", "graph/", "engine/", "engine/rows/", "engine/generation/",
        "engine/live/"}},
      {"engine/merge/",
       false,
       {"base/", "compress/", "pagestore/", "wal/", "graph/", "engine/", "engine/rows/", "engine/generation/",
        "engine/live/", "engine/content/", "engine/builder/"}},
      {"engine/snapshot/", false, {"base/", "pagestore/", "wal/", "engine/", "engine/generation/", "engine/live/"}},
      {"engine/store/",
       false,
       {"base/", "compress/", "compress/kernels/", "pagestore/", "wal/", "graph/", "gpu/", "engine/",
        "engine/vecstore.hpp", "engine/files/", "engine/rows/", "engine/generation/", "engine/live/", "engine/truth/",
        "engine/builder/", "engine/content/", "engine/merge/", "engine/snapshot/"}},
      {"tools/", false, public_api},
      {"bindings/", false, public_api},
      {"python/", false, public_api},
      {"server/", false, public_api},
      {"tests/", true, {}},
      {"bench/", true, {}},
  };
  return table;
}

inline const Layer* layer_of(std::string_view path) {
  const Layer* best = nullptr;
  for (const Layer& layer : layers()) {
    if (path.starts_with(layer.name) && (best == nullptr || layer.name.size() > best->name.size())) best = &layer;
  }
  return best;
}

inline bool may_include(std::string_view includer, std::string_view included) {
  const Layer* from = layer_of(includer);
  if (from == nullptr) return false;  // source outside every folder of the table
  const Layer* to = layer_of(included);
  if (from->everything || from == to) return true;
  return std::any_of(from->allowed.begin(), from->allowed.end(), [&](std::string_view allowed) {
    return included == allowed || (to != nullptr && to->name == allowed);
  });
}

struct Include {
  std::string_view path;
  bool quoted = false;  // "ours", relative to the root of the repository; <theirs> otherwise
};

inline std::optional<Include> include_of(std::string_view line) {
  const std::size_t hash = line.find_first_not_of(' ');
  if (hash == std::string_view::npos || line[hash] != '#') return std::nullopt;
  const std::size_t word = line.find_first_not_of(' ', hash + 1);
  if (word == std::string_view::npos || !line.substr(word).starts_with("include")) return std::nullopt;
  const std::size_t open = line.find_first_of("<\"", word);
  if (open == std::string_view::npos) return std::nullopt;
  const bool quoted = line[open] == '"';
  const std::size_t close = line.find(quoted ? '"' : '>', open + 1);
  if (close == std::string_view::npos) return std::nullopt;
  return Include{line.substr(open + 1, close - open - 1), quoted};
}

// The C++ standard library's headers have neither a dot nor a slash in their names.
inline bool is_standard_header(std::string_view path) { return path.find_first_of("./") == std::string_view::npos; }

// What base may use besides the standard library: C headers of the operating system and of the compiler.
inline bool is_system_header(std::string_view path) {
  static const std::vector<std::string_view> third_party = {"liburing",  "lmdb", "zstd",   "xxhash",
                                                            "oneapi/",   "tbb/", "Eigen/", "fmt/",
                                                            "nlohmann/", "CLI/", "boost/", "benchmark/"};
  return std::none_of(third_party.begin(), third_party.end(),
                      [&](std::string_view start) { return path.starts_with(start); });
}

}  // namespace vecstore::test
