// SPDX-License-Identifier: Apache-2.0
//
// What the manifest says about a store beyond its files: shape, what is kept with the rows, and the calibration.
// Byte-exact format: engine/generation/README.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/options.h"
#include "engine/reports.h"
#include "graph/format.h"

namespace vecstore {

// recall@10 of ranking by what pages keep; right are the rows that are nearest by the vectors as they were put. −1: the
// width was not tried.
struct WidthRecall {
  double bits8 = -1;
  double bits16 = -1;
};

enum class CalibratedOn : std::uint8_t { kNothing = 0, kOwnRows = 1, kGivenQueries = 2 };

// What was asked for when the store was built: a merge builds by it again. The values are those of BuildOptions.
struct BuildChoices {
  Codec codec = Codec::kAutomatic;
  bool calibrate = true;
  std::uint32_t code_bytes = 0;
  std::uint32_t vector_bits = 0;
  std::uint32_t page_bytes = 0;
  std::uint32_t max_degree = 0;
  std::uint32_t build_list = 0;
  float alpha = 1.2f;
  std::uint64_t search_ram_bytes = 0;
  friend bool operator==(const BuildChoices&, const BuildChoices&) = default;
};

// The two ways between them.
BuildChoices choices_of(const BuildOptions& options);
BuildOptions options_of(const BuildChoices& choices);

struct StoreProperties {
  Metric metric = Metric::kL2;
  DType dtype = DType::kF32;
  std::uint32_t dim = 0;   // 0: not known yet, in a store without rows
  std::uint64_t rows = 0;  // rows of the graph; 0: there is none
  // RowIds below it are of the graph, or of rows that are gone; no less than `rows`.
  std::uint64_t row_end = 0;
  KeyKind keys = KeyKind::kNumber;
  bool has_log = false;            // a writer has opened the store; before, what lies in wal/ belongs to another
  std::uint32_t rows_extents = 0;  // files that keep keys, documents or originals
  bool keeps_extents = false;      // some of them are of generations before, and may have rows that are gone
  CalibratedOn calibrated_on = CalibratedOn::kNothing;
  WidthRecall width_recall;  // why the pages of floats have the width they have
  float copies_share = 0;    // share of the calibration's queries that equal several rows
  // A search that has every page in memory reaches by a walk over the graph what codes reach.
  bool walks_in_memory = true;
  std::vector<CalibrationPoint> calibration;  // by k, then by recall target, both ascending
  BuildChoices choices;
  std::uint64_t rows_changed = 0;  // that were added or have gone since the calibration
  float trained_error = 0;         // of codes, mean |r − r̂|², when their model was trained; 0: it was with these rows
};

std::vector<std::byte> encode_properties(const StoreProperties& properties);
Result<StoreProperties> decode_properties(std::span<const std::byte> bytes);  // Errors: kCorrupt, kNewerFormat

std::string hex_of(const Uuid& uuid);  // 32 digits, as people read it

// The point that a search with these options goes by; nullptr: nothing was calibrated.
const CalibrationPoint* calibration_for(const StoreProperties& properties, const SearchOptions& options);

// Why a target is out of reach, and what to do.
std::string_view why_missed(const StoreProperties& properties, const GraphLayout& layout, double target);

// What a search will use: the options with everything left open filled in from the calibration. A k or target that was
// not calibrated takes the next greater one, beyond the greatest that one, with L in proportion to k. `in_memory`:
// every page is cached, which takes an L of its own, or, where it was not calibrated, half as much again and at least
// k.
SearchOptions resolve_options(const StoreProperties& properties, const SearchOptions& options, bool in_memory);

}  // namespace vecstore
