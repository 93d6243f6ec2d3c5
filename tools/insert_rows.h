// SPDX-License-Identifier: Apache-2.0
//
// Rows of files on their way into a store.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/vecstore.hpp"
#include "tools/output.h"

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

// How far the rows of files came.
struct RowsPut {
  std::uint64_t wanted = 0;
  std::uint64_t put = 0;      // of these
  std::uint64_t durable = 0;  // of those, on the disk for good
  bool is_exact = true;       // else more may be there when the store is opened again, as its log failed
  Status status;              // what ended it early: errors of the files, of put_batch(), flush() and `after_batch`
};

// Puts the rows of `source`, which is files.vectors, and flushes, also what is in when it ends early.
// check_row_files() must have found no fault.
RowsPut insert_rows(Store& store, const VectorSource& source, const RowFiles& files,
                    const AfterBatch& after_batch = {});

// Of rows that did not all come in: how many did, and where the first other one stands.
std::string how_far(const RowsPut& rows, const RowFiles& files);
// The same as members of a command's object; `count` names that of the rows that are in.
Json json_of(const RowsPut& rows, const RowFiles& files, const char* count);

}  // namespace vecstore::tools
