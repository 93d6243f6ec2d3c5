// SPDX-License-Identifier: Apache-2.0
//
// An exact picture of what a store must hold, and a store on a simulated disk that is compared with it.
#pragma once

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/store/impl.h"
#include "tests/instrumented.h"
#include "tests/sim/sim_disk.h"
#include "tests/test_util.h"

namespace vecstore::test {

inline std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

inline constexpr std::uint32_t kSimDim = 8;
inline constexpr const char* kSimPath = "store";
inline constexpr std::uint64_t kSimRowsInPasses = 100;  // a graph of as many rows is merged in passes

struct ModelItem {
  std::vector<std::uint8_t> vector;
  std::string document;
  friend bool operator==(const ModelItem&, const ModelItem&) = default;
};
using Model = std::map<std::uint64_t, ModelItem>;

// One write: all of it happens or nothing does.
struct ModelWrite {
  std::vector<std::uint64_t> keys;
  std::vector<ModelItem> items;  // none: the keys are erased
  void apply(Model& model) const {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (items.empty()) {
        model.erase(keys[i]);
      } else {
        model[keys[i]] = items[i];
      }
    }
  }
};

// What is written at random, and how keys are told to the store.
struct WriteShape {
  DType dtype = DType::kU8;  // or kF32
  KeyKind keys = KeyKind::kNumber;
  std::uint64_t key_count = 24;
  bool has_documents = true;
};

inline ModelWrite random_write(Random& random, const WriteShape& shape = {}) {
  ModelWrite write;
  const std::uint64_t count = random.below(4) == 0 ? 1 + random.below(6) : 1;
  const bool erases = random.below(4) == 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    write.keys.push_back(random.below(shape.key_count));
    if (erases) continue;
    ModelItem item;
    for (std::uint32_t d = 0; d < kSimDim; ++d) item.vector.push_back(static_cast<std::uint8_t>(random.next()));
    if (shape.has_documents && random.below(3) == 0)
      item.document.assign(random.below(random.below(8) == 0 ? 9000 : 40), 'd');
    for (char& c : item.document)
      if (random.below(16) == 0) c = static_cast<char>(random.next());  // some shrink to little, some by little
    write.items.push_back(std::move(item));
  }
  return write;
}

// The same whatever the samples, and made once: training takes as long as many a history.
inline std::vector<std::byte> sim_dictionary(std::span<const std::byte>, std::span<const std::size_t>) {
  static const std::vector<std::byte> dictionary = [] {
    std::string samples;
    std::vector<std::size_t> sizes;
    for (int i = 0; i < 200; ++i) {
      const std::string one = "document " + std::to_string(i) + " of the simulation, " + std::string(i % 30u, 'd');
      samples += one;
      sizes.push_back(one.size());
    }
    return train_dictionary(std::as_bytes(std::span(samples)), sizes);
  }();
  BOOST_REQUIRE(!dictionary.empty());
  return dictionary;
}

inline StoreEnvironment environment_on(SimDisk& disk, std::uint64_t seed) {
  StoreEnvironment environment;
  environment.file_system = &disk;
  environment.log_background = false;
  environment.merge_background = false;
  environment.segment_bytes_first = 16u << 10;
  environment.segment_bytes_max = 64u << 10;
  environment.seed = seed | 1;
  environment.merge_in_passes_rows = kSimRowsInPasses;
  environment.training = {200, sim_dictionary};
  return environment;
}

inline CreateOptions sim_shape(DType dtype = DType::kU8, KeyKind keys = KeyKind::kNumber) {
  return {kSimDim, dtype, Metric::kL2, keys};
}

inline Result<Store> open_sim(SimDisk& disk, std::uint64_t seed, Access access, SyncMode sync = SyncMode::kAlways) {
  OpenOptions options;
  options.access = access;
  options.sync = sync;
  options.delta_bytes = 8u << 20;
  options.log_bytes = 4u << 20;
  return StoreFactory::open(kSimPath, options, environment_on(disk, seed));
}

// The bytes of the model as elements of u8 or f32.
inline std::vector<std::byte> elements_of(const std::vector<std::uint8_t>& values, DType dtype) {
  std::vector<std::byte> bytes;
  for (const std::uint8_t value : values) {
    const auto as_float = static_cast<float>(value);
    const auto* from = reinterpret_cast<const std::byte*>(&as_float);
    if (dtype == DType::kU8) {
      bytes.push_back(static_cast<std::byte>(value));
    } else {
      bytes.insert(bytes.end(), from, from + sizeof(as_float));
    }
  }
  return bytes;
}

// A key of bytes for each number.
inline constexpr std::string_view kSimKeyPrefix = "key-";
inline std::uint64_t number_of_key(const Key& key) {
  if (key.kind() == KeyKind::kNumber) return key.number();
  return std::strtoull(std::string(key.bytes().substr(kSimKeyPrefix.size())).c_str(), nullptr, 10);
}

// A write as the store takes it. Borrows the documents of `write`.
class StoreWrite {
 public:
  explicit StoreWrite(const ModelWrite& write, DType dtype = DType::kU8, KeyKind keys = KeyKind::kNumber)
      : dtype_(dtype) {
    for (const std::uint64_t key : write.keys)
      if (keys == KeyKind::kBytes) names_.push_back(std::string(kSimKeyPrefix) + std::to_string(key));
    keys_.assign(names_.begin(), names_.end());
    if (keys == KeyKind::kNumber) keys_.assign(write.keys.begin(), write.keys.end());
    for (const ModelItem& item : write.items) {
      const std::vector<std::byte> elements = elements_of(item.vector, dtype);
      vectors_.insert(vectors_.end(), elements.begin(), elements.end());
      documents_.emplace_back(item.document);
    }
  }
  Result<WriteReceipt> operator()(Store& store) const {
    if (documents_.empty()) return store.erase_batch(keys_);
    return store.put_batch(keys_, {vectors_.data(), dtype_, documents_.size(), kSimDim}, documents_);
  }

 private:
  std::vector<std::string> names_;
  std::vector<Key> keys_;
  DType dtype_;
  std::vector<std::byte> vectors_;
  std::vector<std::string_view> documents_;
};

inline Result<WriteReceipt> write_to(Store& store, const ModelWrite& write, const WriteShape& shape = {}) {
  return StoreWrite(write, shape.dtype, shape.keys)(store);
}

// All that the store holds, by its keys.
inline Model content_of(const Store& store) {
  Model content;
  const Status visited = store.for_each_key([&](const Key& key, RowId) {
    const auto item = store.get(key);
    REQUIRE_OK(item);
    ModelItem& to = content[number_of_key(key)];
    if (item->vector.size() == kSimDim) {
      for (const std::byte b : item->vector) to.vector.push_back(static_cast<std::uint8_t>(b));
    } else {
      std::array<float, kSimDim> values{};
      BOOST_REQUIRE(item->vector.size() == sizeof(values));
      std::memcpy(values.data(), item->vector.data(), sizeof(values));
      for (const float value : values) to.vector.push_back(static_cast<std::uint8_t>(value));
    }
    to.document = item->document;
    return true;
  });
  REQUIRE_OK(visited);
  return content;
}

// Every row of the model, and nothing else, is found by searching; the nearest to each is itself.
inline void check_search(const Store& store, const Model& model) {
  if (model.empty()) return;
  const auto results = store.search({model.begin()->second.vector.data(), DType::kU8, 1, kSimDim}, {.k = 100});
  REQUIRE_OK(results);
  BOOST_REQUIRE((*results)[0].size() == model.size());
  BOOST_REQUIRE((*results)[0].front().distance == 0.0f);
}

// What a history of writes may have left behind.
struct History {
  std::vector<ModelWrite> writes;  // in order, those after the last acknowledged included
  std::vector<Model> states;       // [writes + 1]
  std::size_t least = 0;           // writes that must have survived

  History() { states.emplace_back(); }
  void add(const ModelWrite& write) {
    writes.push_back(write);
    states.push_back(states.back());
    write.apply(states.back());
  }
  // Which state this is, the newest that fits; throws the history after it away.
  bool settle(const Model& content) {
    for (std::size_t i = states.size(); i-- > least;) {
      if (states[i] != content) continue;
      states.resize(i + 1);
      writes.resize(i);
      return true;
    }
    return false;
  }
};

// Files that come and go say nothing to anybody.
inline void check_names(const Status& status) {
  for (const char* name : {"preparing", "/tmp", ".new", "sort.tmp"})
    BOOST_REQUIRE_MESSAGE(status.message().find(name) == std::string::npos, status.message());
}

}  // namespace vecstore::test
