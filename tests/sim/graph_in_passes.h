// SPDX-License-Identifier: Apache-2.0
//
// A store on a simulated disk whose graph is large enough that merges go through it in passes, and what is asked of one
// whatever has happened to it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/merges.h"
#include "tests/sim/store_model.h"

namespace vecstore::test {

inline constexpr std::uint64_t kRowsInPasses = 200;
// A tenth of the keys is not there at first.
inline constexpr std::uint64_t kKeysInPasses = kRowsInPasses + kRowsInPasses / 10;
inline constexpr WriteShape kNumbersInPasses{DType::kU8, KeyKind::kNumber, kKeysInPasses, false};
inline constexpr WriteShape kTextsInPasses{DType::kF32, KeyKind::kBytes, kKeysInPasses, true};

inline ModelItem random_item(Random& random, bool has_document) {
  ModelItem item;
  for (std::uint32_t d = 0; d < kSimDim; ++d) item.vector.push_back(static_cast<std::uint8_t>(random.next()));
  if (has_document) item.document = "document " + std::to_string(random.below(1000)) + " of the simulation";
  return item;
}

class GraphInPasses {
 public:
  GraphInPasses(const char* name, const WriteShape& shape, std::uint64_t seed) : name_(name), shape_(shape) {
    Random random(seed);
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(shape.dtype, shape.keys), environment_on(disk_, seed)));
    auto store = open_sim(disk_, random.next(), Access::kReadWrite);
    REQUIRE_OK(store);
    Model model;
    // From the last key on, so that no key is its RowId.
    for (std::uint64_t left = kRowsInPasses; left != 0;) {
      ModelWrite write;
      for (int i = 0; i < 20; ++i) {
        write.keys.push_back(--left);
        write.items.push_back(random_item(random, shape.has_documents));
      }
      REQUIRE_OK(write_to(*store, write, shape));
      write.apply(model);
    }
    CompactOptions options;
    options.threads = 1;
    REQUIRE_OK(store->compact(options));
    REQUIRE_OK(store->close());
    history_.states = {model};
    const auto opened = disk_.clone();
    opened->clear_fault();
    const auto again = open_sim(*opened, 1, Access::kReadWrite);
    REQUIRE_OK(again);
    calls_of_opening_ = opened->calls();
  }

  const char* name() const { return name_; }
  const WriteShape& shape() const { return shape_; }
  const SimDisk& disk() const { return disk_; }
  const History& history() const { return history_; }  // one state, which the disk has
  std::uint64_t calls_of_opening() const { return calls_of_opening_; }

 private:
  const char* name_;
  WriteShape shape_;
  SimDisk disk_;
  History history_;
  std::uint64_t calls_of_opening_ = 0;
};

// A copy of it that is open, with some writes that wait for a merge.
struct WrittenTo {
  WrittenTo(const GraphInPasses& graph, std::uint64_t seed)
      : disk(graph.disk().clone()), history(graph.history()), random(seed) {
    auto opened = open_sim(*disk, seed, Access::kReadWrite);
    REQUIRE_OK(opened);
    store.emplace(std::move(*opened));
    BOOST_REQUIRE(write(*store, history, random, 6, graph.shape()));
  }

  const std::unique_ptr<SimDisk> disk;
  History history;
  Random random;
  std::optional<Store> store;
};

// What lies in the store's directory, but for the log and what a writer notes for itself.
inline std::vector<std::string> files_of_content(const SimDisk& disk) {
  std::vector<std::string> files = disk.files();
  std::erase_if(files, [](const std::string& path) { return path.find("/wal/") != std::string::npos; });
  std::ranges::sort(files);
  return files;
}

// As many as there were before a merge, but for extents of rows/, of which there are those that the store names.
inline void check_no_file_is_left(const SimDisk& disk, const Store& store, std::vector<std::string> before,
                                  const std::string& where) {
  std::vector<std::string> files = files_of_content(disk);
  const auto is_extent = [](const std::string& path) { return path.find("/rows/") != std::string::npos; };
  const std::size_t extents = std::erase_if(files, is_extent);
  std::erase_if(before, is_extent);
  BOOST_REQUIRE_MESSAGE(extents == store.info().extents, where << extents << " extents are there");
  BOOST_REQUIRE_MESSAGE(files.size() == before.size(), where << "files are left");
}

// No file of it is damaged, and every row is reached. Of a catalog whose swap the power has cut it may be told, since
// the next writer makes another.
enum class CatalogMay : std::uint8_t { kBeWhole, kBeHalfSwapped };
inline void check_whole(const Store& store, const std::string& where, CatalogMay catalog = CatalogMay::kBeWhole) {
  const auto report = store.verify({.deep = true});
  REQUIRE_OK(report);
  for (const Status& damage : report->damage) {
    const bool is_of_catalog = damage.message().find("/catalog/") != std::string::npos;
    BOOST_REQUIRE_MESSAGE(is_of_catalog && catalog == CatalogMay::kBeHalfSwapped, where << damage.message());
  }
  BOOST_REQUIRE_MESSAGE(report->unreachable_rows == 0, where << report->unreachable_rows << " rows are not reached");
}

// As many rows as there are are found, and some by their own vectors.
inline void check_found(const Store& store, const Model& model, const std::string& where) {
  const DType dtype = store.info().dtype;
  SearchOptions options;
  options.k = static_cast<std::uint32_t>(model.size());
  options.search_list = 1000;
  options.full_precision = true;
  std::size_t nth = 0;
  for (const auto& [key, item] : model) {
    if (nth++ % 32 != 0) continue;
    const std::vector<std::byte> query = elements_of(item.vector, dtype);
    const auto results = store.search({query.data(), dtype, 1, kSimDim}, options);
    REQUIRE_OK(results);
    BOOST_REQUIRE_MESSAGE((*results)[0].size() == options.k, where << (*results)[0].size() << " rows are found");
    BOOST_REQUIRE_MESSAGE((*results)[0].front().distance == 0.0f, where << "key " << key << " is not the nearest");
    std::set<std::uint64_t> rows;
    for (const Hit& hit : (*results)[0]) rows.insert(hit.row.value);
    BOOST_REQUIRE_MESSAGE(rows.size() == options.k, where << "a row is found twice");
    options.k = 1;  // of the others
  }
}

}  // namespace vecstore::test
