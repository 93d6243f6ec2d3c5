// SPDX-License-Identifier: Apache-2.0
//
// How the memory of an open store is divided between cached pages and queries in progress, and the least that opening
// takes. Pure arithmetic over what the heads of a store's files say. Thread-safe.
#pragma once

#include <cstdint>

#include "compress/block_codes.h"
#include "engine/options.h"
#include "graph/format.h"
#include "pagestore/page_file.h"

namespace vecstore {

// What decides how much memory an open store takes.
struct OpenFacts {
  bool has_graph = false;  // else layout and form mean nothing
  GraphLayout layout;
  CodeForm form;
  bool walks_in_memory = true;             // searches with every page cached go over the graph
  bool keeps_keys = false;                 // in rows/; a reader looks them up in tables of its own
  bool has_log = false;                    // a reader has something to follow
  std::uint64_t delta_searcher_bytes = 0;  // memory of each searcher; 0: rows cannot come
  std::uint64_t merge_bytes = 0;           // that a writer's merges will want, where memory is bounded
};

struct OpenPlan {
  std::uint64_t pages = 0;  // cached
  std::uint32_t lanes = 0;  // queries in progress, of each searcher
};

// Bytes of a cache of so many pages, with what is in memory only while it fills: the ranking and a reader.
std::uint64_t caching_bytes(const FileShape& graph, std::uint64_t pages);

// What so many searchers take beside the codes where every page is cached.
std::uint64_t in_memory_bytes(const GraphLayout& layout, const CodeForm& form, std::uint64_t searchers);

// facts.has_graph must hold. `left`: bytes of the budget that nothing has taken yet.
OpenPlan plan_open(const OpenFacts& facts, const OpenOptions& options, std::uint64_t left);

// What is known of a store that did not fit, before it is loaded.
struct LeastFacts {
  OpenFacts open;
  std::uint64_t resident_bytes = 0;   // memory of codes and model
  std::uint64_t loading_bytes = 0;    // beside them, while they or a page ranking are read
  std::uint64_t rows_bytes = 0;       // memory of the documents' dictionary
  std::uint64_t replaying_bytes = 0;  // while the log is replayed
  std::uint64_t replayed_bytes = 0;   // afterwards, with all that a writer sets aside
};
// The least `ram_bytes` with which these options could open the store.
std::uint64_t least_bytes(const LeastFacts& facts, const OpenOptions& options);

}  // namespace vecstore
