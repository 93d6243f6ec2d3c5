// SPDX-License-Identifier: Apache-2.0
//
// The least memory with which a store opens, said where it was given less.
#include <algorithm>
#include <optional>
#include <vector>

#include "engine/generation/file_names.h"
#include "engine/live/delta_search.h"
#include "engine/live/log_records.h"
#include "engine/merge/merge_in_passes.h"
#include "engine/store/impl.h"
#include "wal/log_reader.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kSlackShare = 32;  // for lists of stripes and the ends of buffers
constexpr std::uint64_t kSlackBytes = 128u << 10;
constexpr std::uint64_t kCountingBytes = 4u << 20;  // that counting a log may take, whatever the budget
constexpr std::uint64_t kTombstoneBytes = 64;   // of a row of the graph that ended, in a table that may be half empty
constexpr std::uint64_t kDictionaryCopies = 3;  // what an open dictionary takes, in its own size
constexpr std::uint64_t kRowsKeptForEachLive = 2;    // half of what the delta holds may have ended
constexpr std::uint64_t kRowsKeptBeside = 1u << 16;  // in lists that are not merged yet

// What a log takes once it is replayed, and on the way there.
struct Replayed {
  std::uint64_t bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::uint32_t dim = 0;  // of the rows; 0: there are none
};

// The size of the log does not tell: segments are made ahead, groups are padded, and rows that were replaced give their
// memory back. So the log is replayed once more, by itself, and within the same bound. Errors: kMemoryBudget where that
// is too small even so.
Result<Replayed> try_replay(FileSystem& files, const std::string& path, const Manifest& manifest,
                            const StoreProperties& properties, bool has_graph, std::uint64_t ram_bytes, Watch& watch) {
  const Lsn applied{manifest.applied_lsn};
  // Rows beside a graph are kept relative to its centre, whatever its values are.
  const std::vector<float> centre(has_graph && !is_integer(properties.dtype) ? properties.dim : 0);
  MemoryBudget budget(ram_bytes, Inheritance::kNone);
  MemoryBudget rows(budget, Inheritance::kNone);
  const DeltaShape shape{properties.dim, properties.dtype, properties.metric, properties.keys, centre};
  LiveState live({shape, properties.row_end, properties.rows, applied}, rows);
  Follower follower(files, path, manifest.store, applied, live, budget);
  VECSTORE_ASSIGN(const LogTail tail, follower.replay(&watch));
  const auto delta = live.delta();
  return Replayed{budget.used_bytes(), budget.peak_bytes(), delta == nullptr ? 0 : delta->shape().dim};
}

// What the records of a log ask for.
struct LogCounts {
  std::uint64_t rows = 0;   // put
  std::uint64_t ended = 0;  // of these, by a later record
  std::uint64_t graph_rows_ended = 0;
  std::uint64_t text_bytes = 0;  // of keys and documents
  std::uint64_t dictionary_bytes = 0;
  std::uint64_t vector_bytes = 0;   // of one row
  std::uint64_t reading_bytes = 0;  // memory of reading it

  void end(RowId row, std::uint64_t graph_row_end) {
    if (row == kNoRow) return;
    ++(row.value < graph_row_end ? graph_rows_ended : ended);
  }
};

// Passes over the log and keeps nothing of it. Errors: kMemoryBudget where not even that fits.
Result<LogCounts> count_log(FileSystem& files, const std::string& path, const Manifest& manifest,
                            std::uint64_t graph_row_end, std::uint64_t ram_bytes, const CancelToken* cancel) {
  LogCounts counts;
  MemoryBudget budget(ram_bytes, Inheritance::kNone);
  const auto count = [&](Lsn, const LogRecord& record) -> Status {
    VECSTORE_TRY(check_cancelled(cancel));
    if (const auto put = decode_put(record)) {
      ++counts.rows;
      counts.end(put->replaced, graph_row_end);
      counts.text_bytes += put->key.bytes().size() + put->document.size();
      counts.vector_bytes = put->vector.size();
    } else if (const auto erasure = decode_erase(record)) {
      counts.end(erasure->row, graph_row_end);
    } else {
      counts.dictionary_bytes += record.payload.size();
    }
    return Status::ok();
  };
  const ReplayOptions options{manifest.store, Lsn{manifest.applied_lsn}};
  VECSTORE_ASSIGN(const LogTail tail, replay_log(files, path, options, budget, count));
  counts.reading_bytes = budget.peak_bytes();
  return counts;
}

// No less than replaying it takes, and little more unless rows were replaced again and again.
Replayed bound_of(const LogCounts& counts, const StoreProperties& properties) {
  Replayed bound;
  bound.dim = static_cast<std::uint32_t>(counts.vector_bytes / element_bytes(properties.dtype));
  const std::uint64_t live = counts.rows - std::min(counts.ended, counts.rows);
  const std::uint64_t rows = std::min(counts.rows, kRowsKeptForEachLive * live + kRowsKeptBeside);
  bound.bytes = counts.graph_rows_ended * kTombstoneBytes + counts.dictionary_bytes * kDictionaryCopies;
  if (rows != 0) {
    const std::uint32_t dim = properties.dim != 0 ? properties.dim : bound.dim;
    const DeltaShape shape{dim, properties.dtype, properties.metric, properties.keys, {}};
    bound.bytes += Delta::bytes_alone(shape, rows, counts.text_bytes);
  }
  bound.bytes += bound.bytes / kSlackShare + kSlackBytes;
  bound.peak_bytes = bound.bytes + bound.bytes / 2 + counts.reading_bytes;  // tables that grow are there twice
  return bound;
}

}  // namespace

Status Store::Impl::name_least(const Status& refused, Watch& watch) {
  drop_content();
  FileSystem& files = *environment.file_system;
  const bool writes = opened.access == Access::kReadWrite;
  VECSTORE_ASSIGN(LeastFacts facts, read_least_facts(files, *directory));
  VECSTORE_ASSIGN(const StoreProperties properties, decode_properties(directory->manifest()->properties));
  std::uint32_t dim = properties.dim;
  bool is_bound = false;  // more than the least, which is not known
  if (properties.has_log) {
    const std::string path = directory->file_path(kLogName);
    auto replayed =
        try_replay(files, path, *directory->manifest(), properties, facts.open.has_graph, opened.ram_bytes, watch);
    if (!replayed && replayed.error().code() == Code::kMemoryBudget && !is_refused_by_system(replayed.error())) {
      VECSTORE_ASSIGN(const LogCounts counts,
                      count_log(files, path, *directory->manifest(), properties.row_end,
                                std::max<std::uint64_t>(opened.ram_bytes, kCountingBytes), watch.cancel()));
      replayed = bound_of(counts, properties);
      is_bound = true;
    }
    if (!replayed) return replayed.error();
    facts.replayed_bytes = replayed->bytes;
    facts.replaying_bytes = replayed->peak_bytes;
    if (dim == 0) dim = replayed->dim;
  }
  if (dim != 0 && (properties.has_log || writes)) facts.open.delta_searcher_bytes = DeltaSearcher::predict_bytes(dim);
  const std::uint64_t least = writes ? least_of_writer(facts, properties, dim, refused)
                                     : std::max(least_bytes(facts, opened), refused.number());
  return Status(Code::kMemoryBudget, is_bound
                                         ? "the memory budget is too small for the log of this store; --ram does with"
                                         : "the memory budget is too small to open this store; --ram needs at least")
      .about(directory->path())
      .at(Detail::kBytes, least);
}

// With the delta that was asked for, or with a small one beside which a merge has room.
std::uint64_t Store::Impl::least_of_writer(LeastFacts facts, const StoreProperties& properties, std::uint32_t dim,
                                           const Status& refused) const {
  const std::uint64_t replayed = facts.replayed_bytes;
  OpenOptions options = opened;
  const auto with_delta = [&](std::uint64_t bytes) {
    facts.replayed_bytes = WriterMemory::predict_bytes(replayed, bytes, writer_buffer_bytes(facts.open.keeps_keys));
    return least_bytes(facts, options);
  };
  const std::uint64_t as_asked = std::max(with_delta(opened.delta_bytes), refused.number());
  options.lanes = std::max(options.lanes, kLanesBesideMerges);
  if (!facts.open.has_graph) return as_asked;
  const DeltaShape shape{dim, properties.dtype, properties.metric, properties.keys, {}};
  const std::uint64_t small = WriterMemory::delta_bytes_for(Delta::bytes_alone(shape, kMergedRowsLeast, 0));
  const bool has_texts = facts.rows_bytes != 0 || !is_integer(properties.dtype);
  const std::uint64_t catalog = facts.open.keeps_keys ? 0 : kWriterCatalogBytes;
  const std::uint64_t merge =
      catalog + MergeInPasses::predict_bytes({facts.open.layout, facts.open.form}, kMergedRowsLeast, has_texts);
  return std::min(as_asked, with_delta(std::max(small, kDeltaBytesMin)) + merge);
}

}  // namespace vecstore
