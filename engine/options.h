// SPDX-License-Identifier: Apache-2.0
//
// What callers choose when they build, make, open and search a store. Plain values, installed with vecstore.hpp. Their
// ranges are checked by the calls that take them: kInvalidArgument names the option and its range.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/cancel_token.h"
#include "base/sync_mode.h"
#include "base/vector_view.h"
#include "compress/codec.h"
#include "engine/key.h"
#include "engine/progress.h"
#include "engine/vector_source.h"
#include "pagestore/backend.h"

namespace vecstore {

// A text of a row; good until the function is called again.
using TextFunction = std::function<std::string_view(std::uint64_t row)>;

struct BuildOptions {
  Metric metric = Metric::kL2;
  std::uint64_t ram_bytes = 0;  // bound of the build's memory; 0: unbounded
  // What one searching thread takes must fit; hard data may take more (engine/store/README.md). Chooses codes that take
  // no more than when this is 0: 36 B a row in all up to 200 dimensions, dim/8 + 8 above; up to a tenth less for
  // queries under way. What is left caches pages.
  std::uint64_t search_ram_bytes = 0;
  // kAutomatic: kOpq, or kRabitq where search_ram_bytes has too little room for the model of the other.
  Codec codec = Codec::kAutomatic;
  // 0: from search_ram_bytes. kRabitq takes the most bits a dimension that fit.
  std::uint32_t code_bytes = 0;
  // Bits in which pages keep a value of f32 and f16 vectors: 8, 16 or 32 (as it was put). 0: the least of these by
  // which the nearest rows are ranked as by the vectors themselves (recall@10 of .99, measured on a sample). u8, i8: 8.
  std::uint32_t vector_bits = 0;
  // 4096 | 8192 | 16384; 0: 4096 for records up to 640 bytes before their links, else 8192 or what a record needs.
  std::uint32_t page_bytes = 0;
  std::uint32_t max_degree = 0;  // R; 0: by dimension
  std::uint32_t build_list = 0;  // L of the construction; 0: default
  float alpha = 1.2f;            // slack of RobustPrune, 1 … 4
  std::uint32_t threads = 0;     // 0: all processors
  std::uint64_t seed = 1;
  bool overwrite = false;  // replace a store that is there
  bool calibrate = true;

  // Held-out queries for calibration, [rows × dim]; none: 1,000 rows are left out of the index for the purpose, then
  // put back.
  const VectorSource* calibration_queries = nullptr;
  // Where none of these is given, rows are known by their number, and have no documents.
  // One line per row, in input order.
  std::string keys_path = {};       // byte-string keys, unique, ≤ kKeyBytesMax
  std::string documents_path = {};  // any bytes but newline, e.g. JSON lines; .zst is decompressed
  // The same from memory, or from wherever the functions take it. Each is called once for the survey of the input and
  // once when it is written, for row 0 to the last, from the thread that builds.
  TextFunction key_of = {};       // 1 to 480 bytes
  TextFunction document_of = {};  // any bytes up to 64 KiB
  // [rows] borrowed for the call: keys that are numbers, unique.
  std::span<const std::uint64_t> number_keys = {};

  ProgressFunction progress;
  const CancelToken* cancel = nullptr;  // the build ends with kCancelled and leaves nothing
};

struct CreateOptions {
  std::uint32_t dim = 0;  // 0: that of the first vector put
  DType dtype = DType::kF32;
  Metric metric = Metric::kL2;
  KeyKind keys = KeyKind::kNumber;
};

enum class MergePolicy : std::uint8_t {
  kAutomatic,  // a thread of the store merges once enough was written (engine/store/README.md)
  kManual,     // Store::compact() alone
};

enum class Access : std::uint8_t {
  kRead,       // any number of processes; a moment that refresh() moves on
  kReadWrite,  // one process
};

struct OpenOptions {
  Access access = Access::kRead;
  // Of a writer: an empty store is made where there is none. One that is there must be as this says (dim 0: of any
  // dimension), else kInvalidArgument names what differs. Of several that come at once one makes it.
  std::optional<CreateOptions> create = std::nullopt;
  std::uint64_t ram_bytes = 0;  // bound of all memory below; 0: unbounded, nothing cached unless asked
  // Page cache inside the budget; by default whatever ram_bytes leaves. Fraction of the pages (0 … 1) or bytes.
  std::optional<double> cache_fraction = std::nullopt;
  std::optional<std::uint64_t> cache_bytes = std::nullopt;
  // A cache of some pages adapts to what is asked for, so that an answer may be a little better the next time. Fixed,
  // it keeps the pages near which most rows lie. Then the same search has the same answer and reads every time.
  bool fixed_cache = false;
  std::uint32_t searchers = 1;  // searches that may run at once; their scratch is allocated at open
  // Queries of a batch that one searcher has in progress at once, so that the device is busy while it computes: 1 … 32.
  // 0: 8 to 16, fewer where ram_bytes is short, many search or the device is slow. Answers do not depend on it.
  std::uint32_t lanes = 0;
  Backend backend = Backend::kAutomatic;

  // What follows is a writer's.
  SyncMode sync = SyncMode::kAlways;
  std::uint32_t interval_ms = 100;  // between two syncs of SyncMode::kInterval
  // Memory of what was put and is not merged yet, at least 1 MiB; taken from ram_bytes, of which merges are left enough
  // for all of it: the error of a full delta names what came of it. An eighth is kept for erasing.
  std::uint64_t delta_bytes = 64ull << 20;
  // How long a put waits for room in there, before it is refused. Erasing and searching go on.
  std::uint32_t full_wait_ms = 1000;
  // Bound of the log's files, at least 4 MiB. A sixteenth is kept for erasing.
  std::uint64_t log_bytes = 256ull << 20;
  // Who merges what was written into the graph. A merge that ram_bytes has no room for is put off, and stats() says so.
  MergePolicy merge = MergePolicy::kAutomatic;
  std::uint32_t merge_threads = 1;               // of a merge in the background; 0: all processors
  std::uint64_t merge_write_bytes = 40'000'000;  // a second, of a merge in the background; 0: no bound
  // Bound of what calls may keep, of memory and of disk together, that go on reading what merges replaced (stats() has
  // it as old_memory_bytes and old_disk_bytes). Where they keep as much no merge begins, and stats() says why; so they
  // come to keep one generation more at the most. 0: no bound.
  std::uint64_t reader_bytes_max = 0;
  std::uint32_t merge_wait_ms = 60'000;  // how long a put waits for room while a merge is under way

  // Both are of open() alone, which forgets them when it returns.
  ProgressFunction progress = {};
  const CancelToken* cancel = nullptr;
};

// What a put does with a key that is there.
enum class IfThere : std::uint8_t {
  kReplace,
  kFail,  // kExists names the key; nothing of the batch is in
  kSkip,  // the row that is there stays as it is
};

struct PutOptions {
  IfThere if_there = IfThere::kReplace;
  ProgressFunction progress = {};  // what it throws refuses the batch: nothing of it is in
  // A batch that was not logged yet is refused with kCancelled, and nothing of it is in. Later it is in.
  const CancelToken* cancel = nullptr;
};

struct CompactOptions {
  bool rebuild = false;                 // links and orders every row anew, as a build does; though nothing was written
  std::uint32_t threads = 0;            // 0: all processors; fewer where memory is short
  ProgressFunction progress = {};       // what it throws ends the merge, and nothing has changed
  const CancelToken* cancel = nullptr;  // the merge ends with kCancelled, and nothing has changed
};

struct SnapshotOptions {
  bool copy = false;  // of files that never change, where the file system takes no second names of them
  const CancelToken* cancel = nullptr;  // ends with kCancelled, and nothing is left
};

struct CopyOptions {
  // Directory of an older copy on the same file system: files that are the same get a second name instead of a copy.
  std::string since = {};
  ProgressFunction progress = {};       // while the copy is verified; what it throws ends it, and nothing is left
  const CancelToken* cancel = nullptr;  // ends with kCancelled, and nothing is left
};

// What hits bring along, of the moment that was searched: a writer may have replaced their rows since.
enum class HitTexts : std::uint8_t {
  kNone,              // Hit::key, where keys are numbers
  kKeys,              // keys as texts; where they are byte strings, each hit in the graph costs a read of rows/
  kKeysAndDocuments,  // the same read brings both
};

struct SearchOptions {
  std::uint32_t k = 10;           // 1 … kResultsMax
  double recall_target = 0.95;    // above 0, up to 1; looked up in the calibration of the index
  std::uint32_t search_list = 0;  // L; 0: calibrated
  // As calibrated, and more with an L that is longer than any calibrated for k: then more is looked at.
  std::uint32_t blocks = 0;  // blocks scanned; 0: calibrated
  float bound = -1.0f;       // standard errors of the read bound, up to kBoundMax; < 0: calibrated
  // Ranks by the vectors as they were put. Those that may be among the k nearest, by what rounding can have changed at
  // most, are read from rows/. So what the search has seen is ranked exactly. Where rounding leaves more than 1,500
  // rows open, the nearest so many are read.
  bool full_precision = false;
  HitTexts texts = HitTexts::kNone;
  // Only rows no farther than this, by Hit::distance (under kL2 it is squared). Then k is the most that come: a query
  // with fewer hits has all within the radius, as far as the recall target goes. Reads grow with what lies within.
  std::optional<float> radius = std::nullopt;
  // Borrowed for the call: no hit has one of these keys. Those that the store does not have are passed over. Looking up
  // a byte string may cost a read; each takes 8 bytes of the store's memory.
  std::span<const Key> exclude = {};

  ProgressFunction progress = {};
  const CancelToken* cancel = nullptr;  // the batch ends with kCancelled, and has no answers
};

struct GetOptions {
  bool vectors = true;  // else StoredItem::vector stays empty
  bool documents = true;
  const CancelToken* cancel = nullptr;
};

struct ScanOptions {
  bool vectors = true;  // else ScanBatch::vectors stays empty
  bool documents = true;
  const CancelToken* cancel = nullptr;  // borrowed for as long as the scan lives
};

struct ExportFiles {
  std::string vectors;
  std::string keys;
  std::string documents;  // empty: not wanted
};

struct ExportOptions {
  bool overwrite = false;
  ProgressFunction progress = {};
  const CancelToken* cancel = nullptr;  // the export ends with kCancelled and leaves no files
};

struct VerifyOptions {
  bool deep = false;  // also reachability of every row, file hashes, rows/ and catalog
  ProgressFunction progress = {};
  const CancelToken* cancel = nullptr;
};

}  // namespace vecstore
