// SPDX-License-Identifier: Apache-2.0
//
// A store that is written to at random, and what it must hold.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/engine/stores.h"

namespace vecstore::test {

inline OpenOptions writing() {
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.searchers = 2;
  return options;
}

inline Store open_for_writing(const std::string& path) {
  auto store = Store::open(path, writing());
  REQUIRE_OK(store);
  return std::move(*store);
}

// What a store must hold: by key, the place of its vector in a pool of them, and its document.
struct Kept {
  std::uint64_t place = 0;
  std::string document;
};

// A store that is written to at random, and what it must hold.
class Written {
 public:
  Written(const std::string& path, Matrix pool, KeyKind keys, Metric metric, bool has_documents)
      : path_(path), pool_(std::move(pool)), kind_(keys), metric_(metric), has_documents_(has_documents) {}

  const std::string& path() const { return path_; }
  const std::map<std::string, Kept>& kept() const { return kept_; }
  const Matrix& pool() const { return pool_; }

  void create() { REQUIRE_OK(Store::create(path_, {.dtype = pool_.dtype, .metric = metric_, .keys = kind_})); }
  // Of the first rows of the pool; keys are their numbers, or texts.
  void build(std::uint64_t rows, const std::string& directory) {
    BuildOptions options = build_options(metric_);
    std::string keys;
    std::string documents;
    for (std::uint64_t row = 0; row < rows; ++row) {
      const Kept item{row, has_documents_ ? document_of(row) : ""};
      kept_[name_of_key(row)] = item;
      keys += name_of_key(row) + "\n";
      documents += item.document + "\n";
    }
    if (kind_ == KeyKind::kBytes) {
      options.keys_path = directory + "/keys.txt";
      write_file(options.keys_path, std::vector<char>(keys.begin(), keys.end()));
    }
    if (has_documents_) {
      options.documents_path = directory + "/documents.txt";
      write_file(options.documents_path, std::vector<char>(documents.begin(), documents.end()));
    }
    const VectorView view{pool_.bytes.data(), pool_.dtype, rows, pool_.dim, 0};
    REQUIRE_OK(Store::build(path_, *view_source(view), options));
    next_place_ = rows;
  }

  void put(Store& store, std::uint64_t key) {
    const std::uint64_t place = next_place_++ % pool_.rows();
    const Kept item{place, has_documents_ ? document_of(place) : ""};
    const std::string name = name_of_key(key);
    REQUIRE_OK(store.put(key_of(key, name), pool_.row(place), item.document));
    kept_[name] = item;
  }
  void erase(Store& store, std::uint64_t key) {
    const std::string name = name_of_key(key);
    REQUIRE_OK(store.erase(key_of(key, name)));
    kept_.erase(name);
  }
  void write(Store& store, Random& random, std::uint64_t writes, std::uint64_t keys) {
    for (std::uint64_t i = 0; i < writes; ++i) {
      if (random.below(4) == 0) {
        erase(store, random.below(keys));
      } else {
        put(store, random.below(keys));
      }
    }
  }

  // By key, by RowId, by a pass over all, and by searching.
  void check(const Store& store) const {
    BOOST_TEST(store.size() == kept_.size());
    std::size_t seen = 0;
    RowId last{0};
    REQUIRE_OK(store.for_each_key([&](const Key& key, RowId row) {
      BOOST_REQUIRE(seen == 0 || last < row);
      last = row;
      ++seen;
      const auto found = kept_.find(key.to_string());
      BOOST_REQUIRE_MESSAGE(found != kept_.end(), key.to_string());
      check_row(store, key, row, found->second);
      return true;
    }));
    BOOST_TEST(seen == kept_.size());
    if (!kept_.empty()) check_search(store);
  }

 private:
  static std::string document_of(std::uint64_t place) {
    return "the document of row " + std::to_string(place) + std::string(place % 50, 'd');
  }
  std::string name_of_key(std::uint64_t key) const {
    return kind_ == KeyKind::kNumber ? std::to_string(key) : "key-" + std::to_string(key);
  }
  Key key_of(std::uint64_t key, const std::string& name) const {
    return kind_ == KeyKind::kNumber ? Key(key) : Key(name);
  }

  void check_row(const Store& store, const Key& key, RowId row, const Kept& item) const {
    const auto found = store.find(key);
    REQUIRE_OK(found);
    BOOST_REQUIRE(*found == row);
    const auto name = store.key(row);
    REQUIRE_OK(name);
    BOOST_REQUIRE(*name == key.to_string());
    const auto got = store.get(key);
    REQUIRE_OK(got);
    const std::byte* vector = pool_.bytes.data() + item.place * pool_.row_bytes();
    BOOST_REQUIRE(std::equal(got->vector.begin(), got->vector.end(), vector, vector + pool_.row_bytes()));
    BOOST_REQUIRE(got->document == item.document);
  }

  // Every tenth row, or fifty of many, is looked for by its own vector. Distances are compared with exact ones.
  void check_search(const Store& store) const {
    const auto k = static_cast<std::uint32_t>(std::min<std::size_t>(10, kept_.size()));
    std::size_t at = 0;
    for (const auto& [name, item] : kept_) {
      if (at++ % std::max<std::size_t>(10, kept_.size() / 50) != 0) continue;
      const Matrix query = matrix_row(item.place);
      SearchOptions options = exhaustive(k);
      options.full_precision = true;
      options.texts = HitTexts::kKeysAndDocuments;
      const SearchResults results = search(store, query.view(), options);
      BOOST_REQUIRE(results[0].size() == k);
      const std::vector<double> truth = exact_distances(query, k);
      for (std::uint32_t i = 0; i < k; ++i) {
        BOOST_TEST(std::abs(double{results[0][i].distance} - truth[i]) <= 1e-4 * (1 + std::abs(truth[i])));
        const auto found = kept_.find(std::string(results.key(0, i)));
        BOOST_REQUIRE_MESSAGE(found != kept_.end(), "found a row that is not there: " << results.key(0, i));
        BOOST_TEST(results.document(0, i) == found->second.document);
        if (kind_ == KeyKind::kNumber) BOOST_TEST(std::to_string(results[0][i].key) == found->first);
      }
    }
  }
  Matrix matrix_row(std::uint64_t place) const {
    const auto first = pool_.bytes.begin() + static_cast<std::ptrdiff_t>(place * pool_.row_bytes());
    return {{first, first + static_cast<std::ptrdiff_t>(pool_.row_bytes())}, pool_.dtype, pool_.dim};
  }
  std::vector<double> exact_distances(const Matrix& query, std::uint32_t k) const {
    std::vector<float> wanted(pool_.dim);
    std::vector<float> row(pool_.dim);
    widen_row(query.view(), 0, wanted.data());
    std::vector<double> distances;
    for (const auto& [name, item] : kept_) {
      widen_row(pool_.view(), item.place, row.data());
      double l2 = 0, dot = 0, a = 0, b = 0;
      for (std::uint32_t d = 0; d < pool_.dim; ++d) {
        l2 += (double{wanted[d]} - row[d]) * (double{wanted[d]} - row[d]);
        dot += double{wanted[d]} * row[d];
        a += double{wanted[d]} * wanted[d];
        b += double{row[d]} * row[d];
      }
      distances.push_back(metric_ == Metric::kL2             ? l2
                          : metric_ == Metric::kInnerProduct ? -dot
                                                             : 1 - dot / std::sqrt(a * b));
    }
    std::partial_sort(distances.begin(), distances.begin() + k, distances.end());
    distances.resize(k);
    return distances;
  }

  const std::string path_;
  const Matrix pool_;
  const KeyKind kind_;
  const Metric metric_;
  const bool has_documents_;
  std::uint64_t next_place_ = 0;
  std::map<std::string, Kept> kept_;
};

}  // namespace vecstore::test
