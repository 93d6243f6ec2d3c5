// SPDX-License-Identifier: Apache-2.0
//
// What a call that takes long tells while it is at work. Plain values, installed with vecstore.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace vecstore {

enum class Phase : std::uint8_t {
  // Of a build, in this order.
  kRead,
  kGraph,
  kOrder,
  kCodes,
  kCalibrate,
  kWrite,
  kPublish,
  // Of the other calls.
  kReplay,  // open(): records of the log
  kPut,     // a batch before it is logged, also while it waits for room: 0 of its rows, since it is in as a whole
  kSearch,  // queries
  kVerify,  // pages
  kExport,  // rows, once for the texts and once for the vectors
};
std::string_view name_of(Phase phase);

struct Progress {
  Phase phase = Phase::kRead;
  std::uint64_t done = 0;          // units of the phase: rows, records, queries or pages
  std::uint64_t total = 0;         // 0: not known
  std::uint64_t memory_bytes = 0;  // charged at present; 0: not told
};

// Called from the thread that made the call, a few times a second. What it throws ends the call and goes through it.
using ProgressFunction = std::function<void(const Progress&)>;

}  // namespace vecstore
