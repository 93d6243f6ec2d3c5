// SPDX-License-Identifier: Apache-2.0
//
// The processes of the soak. Each runs until it is told to stop, or is killed, and checks every answer it gets.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "base/vector_view.h"
#include "engine/vecstore.hpp"
#include "tests/soak/oracle.h"

namespace vecstore::soak {

// In memory that all processes share.
struct Shared {
  Oracle oracle;
  std::atomic<bool> stops{false};         // the writer closes its store and ends
  std::atomic<bool> reader_stops{false};  // so does the reader
  std::atomic<std::uint64_t> batches{0}, rows_put{0}, rows_erased{0}, refused{0}, refused_for_disk{0};
  std::atomic<std::uint64_t> searches{0}, hits{0}, gets{0}, forgotten{0}, self_asked{0}, self_missed{0};
  std::atomic<std::uint64_t> refreshes{0}, reader_searches{0}, snapshots{0}, copies{0}, merges{0}, lives{0};
  std::atomic<std::uint64_t> pending_kept{0}, pending_lost{0};
  std::atomic<std::uint64_t> merge_failures{0};
  std::atomic<std::uint64_t> faults{0};
  std::array<char, 2000> fault{};  // the first of them, in words
};

struct Place {
  std::string store;        // directory
  std::string copies;       // directory that copies are made in
  std::uint64_t ram_bytes;  // of the writer; the reader has as many
  VectorView base;
};

// Exit codes: 0 it was told to stop, 1 a fault was found (said in Shared::fault), 2 the store takes no more writes
// until it is opened again.
int live_as_writer(Shared& shared, const Place& place, std::uint64_t seed);
int live_as_reader(Shared& shared, const Place& place, std::uint64_t seed);

// Notes a fault; the first one stays.
void note_fault(Shared& shared, const std::string& words);

OpenOptions writer_options(const Place& place);

}  // namespace vecstore::soak
