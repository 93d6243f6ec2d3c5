// SPDX-License-Identifier: Apache-2.0
//
// Rows of files on their way into a store.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/vecstore.hpp"

namespace vecstore::tools {

inline constexpr std::uint64_t kBatchRowsMax = 1000000;

struct RowFiles {
  // keys, documents: exactly one a line for each row of `vectors`, those left out included; empty: none.
  std::string vectors, keys, documents;
  std::uint64_t skip = 0;                  // rows left out at the beginning
  std::optional<std::uint64_t> count;      // rows put; none: all that follow
  std::optional<std::uint64_t> first_key;  // without a file of keys; none: the number of the row in the file
  std::uint64_t batch = 100;               // rows that go in together
  bool quiet = false;                      // no progress
};

// After each batch, with the rows put so far.
using AfterBatch = std::function<Status(std::uint64_t rows, const WriteReceipt& receipt)>;

// Before anything is written: whether the files have one line for each row of `source`, which is files.vectors, every
// key is one of that kind, and neither rows nor keys end before all are put. Errors: kInvalidArgument, and those of the
// files.
Status check_row_files(const VectorSource& source, const RowFiles& files, KeyKind kind);
// The same, and whether the store takes vectors of that type and dimension.
Status check_row_files(const VectorSource& source, const RowFiles& files, const Store& store);

// Puts the rows of `source`, which is files.vectors, and flushes. Returns how many. Errors: those of the files and of
// put_batch(). check_row_files() must have found no fault.
Result<std::uint64_t> insert_rows(Store& store, const VectorSource& source, const RowFiles& files,
                                  const AfterBatch& after_batch = {});

}  // namespace vecstore::tools
