// SPDX-License-Identifier: Apache-2.0
//
// Runbooks in the steps format of the streaming track of big-ann-benchmarks: YAML, with a map of the data set's name to
// max_pts and numbered steps from 1 on. Names it has that are not below, such as gt_url, mean nothing here.
//
//   operation: insert    start, end                                  rows [start, end) under their own numbers
//   operation: delete    start, end                                  keys [start, end)
//   operation: replace   tags_start, tags_end, ids_start, ids_end    keys get rows, as many
//   operation: search
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace vecstore::bench {

enum class Operation : std::uint8_t { kInsert, kDelete, kReplace, kSearch };

struct RunbookStep {
  Operation operation = Operation::kSearch;
  std::uint32_t first_key = 0, last_key = 0;  // last is not among them, here and below
  std::uint32_t first_row = 0, last_row = 0;  // of insert and replace
};

struct Runbook {
  std::string set;
  std::uint32_t rows_max = 0;  // live at once, at the most
  std::vector<RunbookStep> steps;
};

// Errors, which name the step: kInvalidInput (not such a file; a range that is none, or beyond `rows` of the data),
// kNotFound.
Result<Runbook> read_runbook(const std::string& path, std::uint64_t rows);

}  // namespace vecstore::bench
