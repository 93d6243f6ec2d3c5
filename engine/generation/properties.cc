// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/properties.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"

namespace vecstore {
namespace {

// 1 had no memory_list, 2 no keys and no log. 3 took a memory_list below k for k. 4 did not know why values have their
// width, nor of copies. 5 knows no gaps between RowIds, and no choices of a build but the default; it is what is
// written where there are none. 6 has rows/ in one file, of all rows of the graph and no others.
constexpr std::uint16_t kVersion = 7;
constexpr std::uint16_t kVersionWithoutExtents = 6;
constexpr std::uint16_t kVersionPlain = 5;
constexpr std::uint32_t kPointsMax = 1000;

// Where nothing was calibrated.
constexpr std::uint32_t kSearchListDefault = 64;
constexpr std::uint32_t kBlocksDefault = 40;
constexpr float kBoundDefault = 3.0f;
constexpr std::uint32_t kUsualLists = 8;      // times k, at the most
constexpr float kBoundForTwiceTheList = .5f;  // engine/merge/NOTES.md
constexpr double kBlocksMost = 1e9;           // more than there are

// The least that says everything.
std::uint16_t version_for(const StoreProperties& properties) {
  if (properties.keeps_extents) return kVersion;
  const bool plain = properties.row_end <= properties.rows && properties.choices == BuildChoices{} &&
                     properties.rows_changed == 0 && properties.trained_error == 0;
  return plain ? kVersionPlain : kVersionWithoutExtents;
}

void write_choices(const BuildChoices& choices, ByteWriter& out) {
  out.write(static_cast<std::uint8_t>(choices.codec));
  out.write(static_cast<std::uint8_t>(choices.calibrate));
  for (const std::uint32_t value :
       {choices.code_bytes, choices.vector_bits, choices.page_bytes, choices.max_degree, choices.build_list})
    out.write(value);
  out.write(choices.alpha);
  out.write(choices.search_ram_bytes);
}

// A merge checks their ranges as a build does.
BuildChoices read_choices(ByteReader& in) {
  BuildChoices choices;
  choices.codec = static_cast<Codec>(in.read<std::uint8_t>());
  choices.calibrate = in.read<std::uint8_t>() != 0;
  for (std::uint32_t* value :
       {&choices.code_bytes, &choices.vector_bits, &choices.page_bytes, &choices.max_degree, &choices.build_list})
    *value = in.read<std::uint32_t>();
  choices.alpha = in.read<float>();
  choices.search_ram_bytes = in.read<std::uint64_t>();
  return choices;
}

}  // namespace

BuildChoices choices_of(const BuildOptions& options) {
  BuildChoices choices;
  choices.codec = options.codec;
  choices.calibrate = options.calibrate;
  choices.code_bytes = options.code_bytes;
  choices.vector_bits = options.vector_bits;
  choices.page_bytes = options.page_bytes;
  choices.max_degree = options.max_degree;
  choices.build_list = options.build_list;
  choices.alpha = options.alpha;
  choices.search_ram_bytes = options.search_ram_bytes;
  return choices;
}

BuildOptions options_of(const BuildChoices& choices) {
  BuildOptions options;
  options.codec = choices.codec;
  options.calibrate = choices.calibrate;
  options.code_bytes = choices.code_bytes;
  options.vector_bits = choices.vector_bits;
  options.page_bytes = choices.page_bytes;
  options.max_degree = choices.max_degree;
  options.build_list = choices.build_list;
  options.alpha = choices.alpha;
  options.search_ram_bytes = choices.search_ram_bytes;
  return options;
}

std::vector<std::byte> encode_properties(const StoreProperties& properties) {
  ByteWriter out;
  VECSTORE_CHECK(properties.keeps_extents ? properties.rows_extents != 0 : properties.rows_extents <= 1);
  const std::uint16_t version = version_for(properties);
  out.write(version);
  out.write(static_cast<std::uint8_t>(properties.metric));
  out.write(static_cast<std::uint8_t>(properties.dtype));
  out.write(properties.dim);
  out.write(properties.rows);
  out.write(static_cast<std::uint8_t>(properties.rows_extents != 0));
  out.write(static_cast<std::uint8_t>(properties.calibrated_on));
  out.write(static_cast<std::uint8_t>(properties.keys));
  out.write(static_cast<std::uint8_t>(properties.has_log));
  out.write(static_cast<std::uint32_t>(properties.calibration.size()));
  for (const CalibrationPoint& point : properties.calibration) {
    out.write(point.k);
    out.write(point.search_list);
    out.write(point.blocks);
    out.write(point.bound);
    out.write(point.recall_target);
    out.write(point.recall);
    out.write(point.reads_per_query);
    out.write(point.memory_list);
  }
  out.write(properties.width_recall.bits8);
  out.write(properties.width_recall.bits16);
  out.write(properties.copies_share);
  out.write(static_cast<std::uint8_t>(properties.walks_in_memory));
  if (version < kVersionWithoutExtents) return std::move(out).take();
  out.write(std::max(properties.row_end, properties.rows));
  out.write(properties.rows_changed);
  out.write(properties.trained_error);
  write_choices(properties.choices, out);
  if (version >= kVersion) out.write(properties.rows_extents);
  return std::move(out).take();
}

Result<StoreProperties> decode_properties(std::span<const std::byte> bytes) {
  const Status damaged(Code::kCorrupt, "the store's properties are damaged; restore or rebuild");
  ByteReader in(bytes);
  const auto version = in.read<std::uint16_t>();
  if (version > kVersion)
    return Status(Code::kNewerFormat, "the store was written by a newer VecStore; upgrade to read it");
  StoreProperties properties;
  properties.metric = static_cast<Metric>(in.read<std::uint8_t>());
  properties.dtype = static_cast<DType>(in.read<std::uint8_t>());
  properties.dim = in.read<std::uint32_t>();
  properties.rows = in.read<std::uint64_t>();
  properties.rows_extents = in.read<std::uint8_t>() != 0 ? 1 : 0;
  properties.calibrated_on = static_cast<CalibratedOn>(in.read<std::uint8_t>());
  if (version >= 3) {
    properties.keys = static_cast<KeyKind>(in.read<std::uint8_t>());
    properties.has_log = in.read<std::uint8_t>() != 0;
  } else if (properties.rows_extents != 0) {
    properties.keys = KeyKind::kBytes;  // unless rows/ has none, which who opens it finds out
  }
  const auto points = in.read<std::uint32_t>();
  if (!in.ok() || points > kPointsMax || properties.metric > Metric::kCosine || properties.dtype > DType::kI8 ||
      (properties.dim == 0 && properties.rows != 0) || properties.dim > kDimMax || properties.rows > kRowsMax ||
      properties.keys > KeyKind::kBytes || properties.calibrated_on > CalibratedOn::kGivenQueries)
    return damaged;
  for (std::uint32_t i = 0; i < points && in.ok(); ++i) {
    CalibrationPoint point;
    point.k = in.read<std::uint32_t>();
    point.search_list = in.read<std::uint32_t>();
    point.blocks = in.read<std::uint32_t>();
    point.bound = in.read<float>();
    point.recall_target = in.read<double>();
    point.recall = in.read<double>();
    point.reads_per_query = in.read<double>();
    if (version >= 2) point.memory_list = in.read<std::uint32_t>();
    if (version < 4 && point.memory_list != 0) point.memory_list = std::max(point.memory_list, point.k);
    // A bound that is no number would let a search read without end.
    if (point.k == 0 || point.k > kResultsMax || point.search_list == 0 || point.search_list > kSearchListMax ||
        point.blocks == 0 || point.memory_list > kSearchListMax || !(point.bound >= 0.0f))
      return damaged;
    properties.calibration.push_back(point);
  }
  if (version >= 5) {
    properties.width_recall.bits8 = in.read<double>();
    properties.width_recall.bits16 = in.read<double>();
    properties.copies_share = in.read<float>();
    properties.walks_in_memory = in.read<std::uint8_t>() != 0;
  }
  properties.row_end = properties.rows;
  if (version >= 6) {
    properties.row_end = in.read<std::uint64_t>();
    properties.rows_changed = in.read<std::uint64_t>();
    properties.trained_error = in.read<float>();
    properties.choices = read_choices(in);
  }
  if (version >= 7) {
    properties.keeps_extents = properties.rows_extents != 0;
    properties.rows_extents = in.read<std::uint32_t>();
    if (!properties.keeps_extents || properties.rows_extents == 0) return damaged;
  }
  if (!in.done() || properties.row_end < properties.rows || properties.choices.codec > Codec::kAutomatic ||
      !(properties.trained_error >= 0))
    return damaged;
  return properties;
}

std::string hex_of(const Uuid& uuid) {
  std::string text;
  for (const std::uint8_t byte : uuid)
    for (const int shift : {4, 0}) text += "0123456789abcdef"[(byte >> shift) & 15];
  return text;
}

// Points come by ascending k and target: of the first k that is enough, else the last, the first target that is enough,
// else the last.
const CalibrationPoint* calibration_for(const StoreProperties& properties, const SearchOptions& options) {
  const CalibrationPoint* best = nullptr;
  for (const CalibrationPoint& point : properties.calibration) {
    const bool enough = best != nullptr && best->recall_target >= options.recall_target;
    if (best == nullptr || (point.k == best->k ? !enough : best->k < options.k)) best = &point;
  }
  return best;
}

std::uint32_t default_list(std::uint32_t k) { return std::max(kSearchListDefault, k * 2); }

std::uint32_t list_of(const CalibrationPoint& point, std::uint32_t k, bool in_memory) {
  std::uint64_t list = point.search_list;
  if (in_memory) list = point.memory_list != 0 ? point.memory_list : std::max<std::uint64_t>(list * 3 / 2, point.k);
  if (k > point.k) list = list * k / point.k;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(list, kSearchListMax));
}

// How many times as long as the longest that was calibrated the list is that a caller asks for, where it is longer.
// With bound and blocks of a short one it would find no more than that. A calibrated list that is very long is a sign
// of the same, and not of what bound and blocks do with it.
double longer_than_calibrated(const StoreProperties& properties, const SearchOptions& options,
                              const CalibrationPoint* best, bool in_memory) {
  std::uint32_t longest = best == nullptr ? default_list(options.k) : 1;
  for (const CalibrationPoint& point : properties.calibration)
    if (point.k == best->k) longest = std::max(longest, list_of(point, options.k, in_memory));
  longest = std::min(longest, kUsualLists * options.k);
  return std::max(1.0, static_cast<double>(options.search_list) / longest);
}

std::string_view why_missed(const StoreProperties& properties, const GraphLayout& layout, double target) {
  constexpr float kMostly = .5f;
  const WidthRecall& width = properties.width_recall;
  const double of_pages = layout.value_bits == 8 ? width.bits8 : layout.value_bits == 16 ? width.bits16 : -1;
  if (properties.copies_share > kMostly)
    return "more than half of the rows are copies of others, which says little of the rest: calibrate on queries of "
           "your own";
  if (of_pages >= 0 && of_pages < target)
    return "pages keep too few bits of a value to tell near rows apart: build with more (--vectors), or search with "
           "--full-precision";
  return "the codes in memory do not tell near rows apart: build with wider ones (--search-ram or --code-bytes), or "
         "search with a longer list (--L)";
}

SearchOptions resolve_options(const StoreProperties& properties, const SearchOptions& options, bool in_memory) {
  SearchOptions resolved = options;
  const CalibrationPoint* best = calibration_for(properties, options);
  if (resolved.search_list == 0)
    resolved.search_list =
        best == nullptr ? std::min(default_list(options.k), kSearchListMax) : list_of(*best, options.k, in_memory);
  const double longer = longer_than_calibrated(properties, options, best, in_memory);
  if (resolved.blocks == 0) {
    const double blocks = (best == nullptr ? kBlocksDefault : best->blocks) * std::sqrt(longer);
    resolved.blocks = static_cast<std::uint32_t>(std::min<double>(blocks, kBlocksMost));
  }
  if (resolved.bound < 0)
    resolved.bound =
        (best == nullptr ? kBoundDefault : best->bound) + kBoundForTwiceTheList * static_cast<float>(std::log2(longer));
  return resolved;
}

}  // namespace vecstore
