// SPDX-License-Identifier: Apache-2.0
//
// The least memory with which a store opens, said where it was given less.
#include <algorithm>
#include <optional>
#include <vector>

#include "engine/generation/file_names.h"
#include "engine/live/delta_search.h"
#include "engine/store/impl.h"

namespace vecstore {
namespace {

// What a log takes once it is replayed, and on the way there.
struct Replayed {
  std::uint64_t bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::uint32_t dim = 0;  // of the rows; 0: there are none
};

// The size of the log does not tell: segments are made ahead, groups are padded, and rows that were replaced give their
// memory back. So the log is replayed once more, without a bound. That takes for a moment what the store would take for
// as long as it is open, and the graph is not loaded meanwhile.
Result<Replayed> try_replay(FileSystem& files, const std::string& path, const Manifest& manifest,
                            const StoreProperties& properties, bool has_graph) {
  const Lsn applied{manifest.applied_lsn};
  // Rows beside a graph are kept relative to its centre, whatever its values are.
  const std::vector<float> centre(has_graph && !is_integer(properties.dtype) ? properties.dim : 0);
  MemoryBudget budget(MemoryBudget::kUnlimited, Inheritance::kNone);
  MemoryBudget rows(budget, Inheritance::kNone);
  LiveState live({properties.dim, properties.dtype, properties.metric, properties.keys, centre}, properties.rows,
                 applied, rows);
  Follower follower(files, path, manifest.store, applied, live, budget);
  VECSTORE_ASSIGN(const LogTail tail, follower.replay());
  const auto delta = live.delta();
  return Replayed{budget.used_bytes(), budget.peak_bytes(), delta == nullptr ? 0 : delta->shape().dim};
}

}  // namespace

Status Store::Impl::name_least(const Status& refused) {
  searchers.reset();
  writer.reset();
  follower.reset();
  live.reset();
  content.reset();
  writer_memory.reset();
  FileSystem& files = *environment.file_system;
  const bool writes = opened.access == Access::kReadWrite;
  VECSTORE_ASSIGN(LeastFacts facts, read_least_facts(files, *directory));
  VECSTORE_ASSIGN(const StoreProperties properties, decode_properties(directory->manifest()->properties));
  std::uint32_t dim = properties.dim;
  if (properties.has_log) {
    VECSTORE_ASSIGN(const Replayed replayed, try_replay(files, directory->file_path(kLogName), *directory->manifest(),
                                                        properties, facts.open.has_graph));
    facts.replayed_bytes = replayed.bytes;
    facts.replaying_bytes = replayed.peak_bytes;
    if (dim == 0) dim = replayed.dim;
  }
  if (dim != 0 && (properties.has_log || writes)) facts.open.delta_searcher_bytes = DeltaSearcher::predict_bytes(dim);
  if (writes)
    facts.replayed_bytes =
        WriterMemory::predict_bytes(facts.replayed_bytes, opened.delta_bytes,
                                    writer_buffer_bytes(properties.keys == KeyKind::kBytes, properties.rows));
  return Status(Code::kMemoryBudget, "the memory budget is too small to open this store; --ram needs at least")
      .about(directory->path())
      .at(Detail::kBytes, std::max(least_bytes(facts, opened), refused.number()));
}

}  // namespace vecstore
