// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/io.h"
#include "base/limits.h"
#include "engine/rows/catalog.h"
#include "engine/rows/catalog_format.h"
#include "engine/rows/catalog_sums.h"
#include "engine/rows/catalog_tree_writer.h"
#include "engine/rows/key_sorter.h"

namespace vecstore {

namespace {

constexpr std::size_t kSortBytesMax = std::size_t{32} << 20;

// Removes what a build that failed leaves behind.
class Scratch {
 public:
  Scratch(FileSystem& file_system, const std::string& directory)
      : file_system_(file_system),
        data_(directory + catalog::kDataName + catalog::kNewSuffix),
        sums_(directory + catalog::kSumsName + catalog::kNewSuffix) {
    remove();
  }
  ~Scratch() { remove(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& data() const { return data_; }
  const std::string& sums() const { return sums_; }

 private:
  void remove() const {
    for (const std::string* path : {&data_, &sums_}) static_cast<void>(file_system_.unlink(*path));
  }

  FileSystem& file_system_;
  const std::string data_;
  const std::string sums_;
};

static_assert(kKeyBytesMax == 480, "the text of the error below names it");

Status sort_keys(const std::string& path, const Catalog::Feed& feed, KeySorter& sorter) {
  std::string key;
  RowId row;
  while (true) {
    VECSTORE_ASSIGN(const bool more, feed(key, row));
    if (!more) break;
    if (key.empty() || key.size() > kKeyBytesMax)
      return Status(Code::kInvalidInput, "a key must have 1 to 480 bytes").about(path).at(Detail::kRow, row.value);
    VECSTORE_TRY(sorter.add(key, row));
  }
  return sorter.finish();
}

Status load(const std::string& directory, const CatalogFacts& facts, KeySorter& sorter, CatalogTreeWriter& writer) {
  std::string last;
  std::string_view key;
  RowId row;
  while (true) {
    VECSTORE_ASSIGN(const bool more, sorter.next(key, row));
    if (!more) break;
    if (key == last)
      return Status(Code::kExists, "the key of this row belongs to an earlier row too; keys must be unique")
          .about(directory)
          .at(Detail::kRow, row.value);
    last = key;
    VECSTORE_TRY(writer.put(key, row));
  }
  return writer.finish(facts);
}

// The sums go first and come last: in between, and whatever of it a crash keeps, the directory holds no pair of files
// that belong together and is rebuilt.
Status publish(FileSystem& file_system, const std::string& directory, const Scratch& scratch) {
  const std::string data = directory + catalog::kDataName;
  const std::string sums = directory + catalog::kSumsName;
  if (const Status removed = file_system.unlink(sums); removed.code() != Code::kNotFound) VECSTORE_TRY(removed);
  VECSTORE_TRY(file_system.rename(scratch.data(), data));
  VECSTORE_TRY(file_system.rename(scratch.sums(), sums));
  return file_system.sync_directory(directory);
}

}  // namespace

Status Catalog::build(FileSystem& file_system, const std::string& path, const Uuid& store, std::uint64_t applied_lsn,
                      const Feed& feed, MemoryBudget& budget) {
  if (const Status made = file_system.make_directory(path); made.code() != Code::kExists) VECSTORE_TRY(made);
  const Scratch scratch(file_system, path);
  CatalogFacts facts;
  facts.store = store;
  facts.applied_lsn = applied_lsn;
  {
    VECSTORE_ASSIGN(auto writer, CatalogTreeWriter::create(file_system, scratch.data(), store, budget));
    const std::uint64_t left = budget.limit_bytes() - budget.used_bytes();
    const auto sort_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left / 2, kSortBytesMax));
    VECSTORE_ASSIGN(auto sorter, KeySorter::create(file_system, path + "/sort.tmp", sort_bytes, budget));
    VECSTORE_TRY(sort_keys(path, feed, sorter));
    facts.keys = sorter.count();
    VECSTORE_TRY(load(path, facts, sorter, writer));
  }
  VECSTORE_TRY(write_catalog_sums(file_system, scratch.data(), scratch.sums(), facts, budget));
  return publish(file_system, path, scratch);
}

}  // namespace vecstore
