// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/build_plan.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/limits.h"
#include "base/thrown.h"
#include "compress/block_codes.h"
#include "compress/codec_shape.h"
#include "compress/frames.h"
#include "compress/rabitq.h"
#include "engine/builder/calibrate.h"
#include "engine/builder/input_texts.h"
#include "engine/check_options.h"
#include "engine/generation/open_plan.h"
#include "graph/format.h"
#include "graph/order.h"
#include "graph/pack.h"
#include "graph/search.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kSmallRecordBytes = 640;  // up to here 4 KiB pages cost the least (graph/NOTES.md)
constexpr std::uint32_t kSmallDim = 200;          // up to here 36 bytes a row in RAM by default
constexpr std::uint32_t kRabitqDimMin = 64;       // below, a random rotation mixes too little
constexpr double kRabitqWorth = 0.7;              // a byte of its code in bytes of OPQ's (compress/NOTES.md)
constexpr std::uint32_t kLanesPlanned = 8;        // queries under way that search memory should have room for,
constexpr std::uint32_t kLanesShare = 10;         // if a tenth of the code's width is enough for that
constexpr std::uint64_t kHeldOutMax = 1000;
constexpr std::uint64_t kHeldOutShare = 10;  // at most one row in ten
constexpr std::uint64_t kCalibratedRowsMin = 1000;
constexpr std::uint64_t kChunkBytes = 1u << 20;
constexpr std::uint64_t kFixedBytes = 4u << 20;   // file buffers, page rankings, small tables
constexpr std::uint64_t kTextBytes = 24u << 20;   // zstd, training on documents, groups of them, sorting of keys
constexpr std::uint64_t kTruthBytes = 40u << 20;  // exact search for the held-out queries, at most
constexpr std::uint64_t kSurveyBytes = 5u << 20;  // the sample of find_centre(), and some rows
constexpr std::uint32_t kBuildListDefault = 80;

// The graph needs fewer edges where a page holds fewer rows (graph/NOTES.md).
std::uint32_t default_degree(std::uint32_t dim) { return dim <= kSmallDim ? 48 : dim <= 512 ? 40 : 28; }

std::uint32_t default_page_bytes(std::uint32_t record_bytes) {
  if (record_bytes <= kSmallRecordBytes) return 4096;
  return record_bytes <= 4000 ? 8192 : kGraphPageBytesMax;
}

// The bytes of code that fit into `room` a row: all of it, or under RaBitQ what 1, 2 or 4 bits a dimension take.
std::uint32_t fitting_code_bytes(const BuildPlan& plan, Codec kind, double room) {
  const double most = std::clamp(std::floor(room), 1.0, static_cast<double>(plan.dim));
  const auto code_bytes = static_cast<std::uint32_t>(most);
  return kind == Codec::kRabitq ? rabitq_code_bytes(plan.dim, rabitq_bits(plan.dim, code_bytes)) : code_bytes;
}

Result<std::uint32_t> code_bytes_asked_for(const BuildPlan& plan, const BuildOptions& options) {
  if (options.code_bytes > plan.dim)
    return Status(Code::kInvalidArgument,
                  "a code cannot have more bytes than the vector has dimensions; lower --code-bytes");
  const std::uint32_t code_bytes = fitting_code_bytes(plan, plan.codec.kind, options.code_bytes);
  if (code_bytes > options.code_bytes)
    return Status(Code::kInvalidArgument,
                  "RaBitQ takes at least a bit for each dimension; --code-bytes must be at least")
        .at(Detail::kBytes, code_bytes);
  return code_bytes;
}

// The least with which the index opens for one search at a time.
std::uint64_t search_bytes(const BuildPlan& plan, const GraphLayout& layout, Codec kind, std::uint32_t code_bytes) {
  CodecOptions codec = plan.codec;
  codec.kind = kind;
  codec.code_bytes = code_bytes;
  LeastFacts facts;
  facts.open.has_graph = true;
  facts.open.layout = layout;
  facts.open.form = CodeForm::ordinary(plan.rows, code_bytes);
  facts.resident_bytes = predict_resident_bytes(plan.rows, plan.dim, codec);
  facts.rows_bytes = plan.dictionary_bytes;
  OpenOptions options;
  options.searchers = 1;
  options.cache_bytes = 0;
  return least_bytes(facts, options);
}

// A code of the plan's kind that leaves room for correction, factor and centroids in the default bytes a row.
std::uint32_t default_code_bytes(const BuildPlan& plan, Codec kind) {
  const double beside = (kind == Codec::kRabitq ? 2.0 : 1.0) * sizeof(std::uint16_t);
  const double per_row = plan.dim <= kSmallDim ? 36.0 : plan.dim / 8.0 + 8.0;
  return fitting_code_bytes(plan, kind, per_row - beside - (plan.dim + 8.0) / kBlockRows);
}

// The widest code of that kind with which a search keeps within `ram_bytes`; 0: none.
std::uint32_t widest_code(const BuildPlan& plan, const GraphLayout& layout, Codec kind, std::uint64_t ram_bytes) {
  if (ram_bytes < search_bytes(plan, layout, kind, fitting_code_bytes(plan, kind, 1))) return 0;
  std::uint32_t low = 1;
  for (std::uint32_t high = plan.dim; low < high;) {
    const std::uint32_t middle = low + (high - low + 1) / 2;
    if (search_bytes(plan, layout, kind, fitting_code_bytes(plan, kind, middle)) <= ram_bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return fitting_code_bytes(plan, kind, low);
}

// The widest code of the plan's kind, at most the default, that leaves room for queries under way, for which up to a
// tenth of its width is given up: that costs few reads, and with a single query under way the device is idle while it
// computes (compress/NOTES.md).
std::uint32_t widest_beside_lanes(const BuildPlan& plan, const GraphLayout& layout, std::uint64_t ram_bytes) {
  const Codec kind = plan.codec.kind;
  const std::uint32_t wanted = default_code_bytes(plan, kind);
  const std::uint64_t enough = search_bytes(plan, layout, kind, wanted);
  const CodeForm form = CodeForm::ordinary(plan.rows, wanted);
  const std::uint64_t lanes =
      GraphSearcher::predict_bytes(layout, form, kLanesPlanned) - GraphSearcher::predict_bytes(layout, form, 1);
  const std::uint32_t widest = widest_code(plan, layout, kind, std::min(enough, ram_bytes));
  const std::uint32_t beside =
      widest_code(plan, layout, kind, std::min(enough, ram_bytes - std::min(ram_bytes, lanes)));
  return std::max(beside, widest - widest / kLanesShare);
}

// Family and width of the codes for searches within search_ram_bytes (compress/NOTES.md): up to the default width most
// memory goes into codes, and more of it is worth more as page cache. RaBitQ, which has next to no model, where OPQ's
// model leaves so little for codes that they would err more; its few widths lie too far apart to give one up for lanes.
Status choose_codec(const GraphLayout& layout, const BuildOptions& options, BuildPlan& plan) {
  const bool may_be_rabitq = options.codec == Codec::kAutomatic && plan.dim >= kRabitqDimMin;
  const Codec kind = plan.codec.kind;
  const std::uint64_t enough = search_bytes(plan, layout, kind, default_code_bytes(plan, kind));
  const std::uint64_t ram_bytes = std::min(options.search_ram_bytes, enough);
  const std::uint32_t trained = kind == Codec::kRabitq ? widest_code(plan, layout, kind, ram_bytes)
                                                       : widest_beside_lanes(plan, layout, options.search_ram_bytes);
  const std::uint32_t rabitq = may_be_rabitq ? widest_code(plan, layout, Codec::kRabitq, ram_bytes) : 0;
  if (trained == 0 && rabitq == 0) {
    std::uint64_t least = search_bytes(plan, layout, kind, fitting_code_bytes(plan, kind, 1));
    if (may_be_rabitq)
      least = std::min(least, search_bytes(plan, layout, Codec::kRabitq, fitting_code_bytes(plan, Codec::kRabitq, 1)));
    return Status(Code::kMemoryBudget, "the search memory is too small for any code; --search-ram needs at least")
        .at(Detail::kBytes, least);
  }
  if (kRabitqWorth * rabitq > trained) plan.codec.kind = Codec::kRabitq;
  plan.codec.code_bytes = plan.codec.kind == kind ? trained : rabitq;
  return Status::ok();
}

Status resolve_codec(const GraphLayout& layout, const BuildOptions& options, BuildPlan& plan) {
  if (options.code_bytes != 0) {
    VECSTORE_ASSIGN(plan.codec.code_bytes, code_bytes_asked_for(plan, options));
    return Status::ok();
  }
  if (options.search_ram_bytes != 0) return choose_codec(layout, options, plan);
  plan.codec.code_bytes = default_code_bytes(plan, plan.codec.kind);
  return Status::ok();
}

Status check_shape(const BuildPlan& plan, const BuildOptions& options) {
  const auto refuse = [](const char* text) { return Status(Code::kInvalidArgument, text); };
  if (plan.dim == 0 || plan.dim > kDimMax) return refuse("the dimension must be between 1 and 4096");
  if (plan.rows > kRowsMax) return refuse("one generation holds fewer than 2^32 - 2 rows; split the input");
  if (options.vector_bits > kValueBitsMin && is_integer(plan.dtype))
    return refuse("u8 and i8 vectors take 8 bits a value, exactly");
  const int keys =
      (options.keys_path.empty() ? 0 : 1) + (options.key_of ? 1 : 0) + (options.number_keys.empty() ? 0 : 1);
  if (keys > 1) return refuse("give the keys as a file, by a function or as numbers, not in two ways");
  if (!options.documents_path.empty() && options.document_of)
    return refuse("give the documents as a file or by a function, not both");
  if (!options.number_keys.empty() && options.number_keys.size() != plan.rows)
    return Status(Code::kInvalidArgument, "a build needs as many keys as vectors")
        .about("number_keys: " + std::to_string(options.number_keys.size()) + " of " + std::to_string(plan.rows));
  return Status::ok();
}

// Before the long work, not after it.
Status check_calibration_queries(const VectorSource& queries, const BuildPlan& plan) {
  if (queries.dtype() != plan.dtype && (is_integer(queries.dtype()) || is_integer(plan.dtype)))
    return Status(Code::kInvalidArgument, "the calibration queries have another element type; convert them first")
        .about(queries.name());
  if (queries.dim() != plan.dim)
    return Status(Code::kInvalidInput, "the calibration queries have another dimension than the vectors")
        .about(queries.name());
  return Status::ok();
}

BuildPrediction predict(const BuildPlan& plan, const GraphLayout& layout, bool texts) {
  const std::uint64_t n = plan.rows;
  const std::uint64_t rows = QuantizedRows::predict_bytes(n, {plan.dim, plan.dtype, plan.metric, plan.value_bits});
  const std::uint64_t graph = GraphBuilder::predict_bytes(n, plan.graph, plan.threads);
  const std::uint64_t permutations = n * 4 * 3;
  const std::uint64_t ordering = predict_affinity_bytes(n) + predict_order_bytes(n);
  const std::uint64_t resident = predict_resident_bytes(n, plan.dim, plan.codec);
  const std::uint64_t model = predict_fixed_bytes(n, plan.dim, plan.codec);
  const std::uint64_t encoding = predict_encode_bytes(n, plan.dim, plan.codec, plan.threads) + model;
  const std::uint64_t searching =
      plan.query_bytes == 0
          ? 0
          : plan.threads *
                GraphSearcher::predict_bytes(layout, CodeForm::ordinary(n, plan.codec.code_bytes), kCalibrationLanes);
  const std::uint64_t packing = resident + model + std::max(predict_pack_bytes(n), searching);
  // Of queries that are given, beside all else; of rows, and a sample that tells how floats are kept, before it.
  const std::uint64_t truth = std::min(kTruthBytes, n * plan.dim * 4);
  const std::uint64_t truth_beside = plan.query_bytes != 0 && plan.held_out == 0 ? truth : 0;
  const bool surveys = plan.held_out != 0 || !is_integer(plan.dtype);
  const std::uint64_t building = graph + permutations + std::max({ordering, encoding, packing});
  BuildPrediction prediction;
  prediction.memory_peak_bytes =
      std::max({rows + std::max(building, truth_beside), surveys ? truth + kSurveyBytes : 0, texts ? kTextBytes : 0}) +
      kFixedBytes + plan.chunk_rows * plan.dim * element_bytes(plan.dtype) + plan.query_bytes;
  const std::uint64_t graph_bytes = (layout.pages() + 1) * layout.page_bytes;
  const std::uint64_t original_bytes = plan.keep_originals ? n * (plan.dim * element_bytes(plan.dtype) + 16) : 0;
  prediction.disk_bytes = graph_bytes * (plan.held_out == 0 ? 1 : 2) + resident + predict_hard_bytes(n, plan.dim) +
                          n * 4 + original_bytes + (1u << 20);
  prediction.page_bytes = plan.page_bytes;
  prediction.vector_bits = plan.value_bits;
  prediction.codec = shape_of(n, plan.dim, plan.codec).kind;  // few rows get no rotation
  prediction.code_bytes = plan.codec.code_bytes;
  prediction.max_degree = plan.graph.max_degree;
  return prediction;
}

}  // namespace

std::uint32_t bytes_of_number_keys(std::span<const std::uint64_t> keys) {
  constexpr std::uint64_t kOfFourBytes = std::uint64_t{1} << 32;
  if (keys.empty()) return 0;
  return std::ranges::max(keys) < kOfFourBytes ? 4 : 8;
}

Result<BuildPlan> plan_build(const VectorSource& vectors, const BuildOptions& options, std::uint32_t value_bits) {
  BuildPlan plan;
  plan.rows = vectors.rows();
  if (has_documents(options)) plan.dictionary_bytes = FrameDictionary::memory_bytes_for(kTrainedBytesMax);
  plan.dim = vectors.dim();
  plan.dtype = vectors.dtype();
  plan.metric = options.metric;
  VECSTORE_TRY(check_shape(plan, options));
  VECSTORE_TRY(check_options(options));
  plan.threads = options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  plan.keep_originals = !is_integer(plan.dtype);
  plan.value_bits = is_integer(plan.dtype)     ? kValueBitsMin
                    : options.vector_bits != 0 ? options.vector_bits
                                               : value_bits;
  plan.row_params = needs_row_params(plan.dtype, plan.metric, plan.value_bits);
  plan.graph.max_degree = options.max_degree != 0 ? options.max_degree : default_degree(plan.dim);
  plan.graph.build_list = std::max(options.build_list != 0 ? options.build_list : kBuildListDefault, 8u);
  plan.graph.alpha = options.alpha;
  plan.graph.seed = options.seed;
  plan.codec.kind = options.codec == Codec::kAutomatic ? Codec::kOpq : options.codec;
  plan.codec.metric = plan.metric;
  plan.codec.seed = options.seed;
  const std::uint64_t row_bytes = plan.dim * element_bytes(plan.dtype);
  plan.chunk_rows = std::max<std::uint64_t>(1, kChunkBytes / row_bytes);
  if (options.calibrate && options.calibration_queries == nullptr && plan.rows >= kCalibratedRowsMin)
    plan.held_out = std::min(kHeldOutMax, plan.rows / kHeldOutShare);
  plan.query_bytes = plan.held_out * row_bytes;
  if (options.calibrate && options.calibration_queries != nullptr) {
    const VectorSource& queries = *options.calibration_queries;
    VECSTORE_TRY(check_calibration_queries(queries, plan));
    plan.query_bytes = queries.rows() * queries.dim() * element_bytes(queries.dtype());
  }

  GraphLayout layout;
  layout.rows = plan.rows;
  layout.dim = plan.dim;
  layout.value_bits = plan.value_bits;
  layout.row_params = plan.row_params;
  layout.metric = plan.metric;
  layout.dtype = plan.dtype;
  layout.key_bytes = bytes_of_number_keys(options.number_keys);
  plan.page_bytes = options.page_bytes != 0 ? options.page_bytes : default_page_bytes(layout.fixed_bytes());
  layout.page_bytes = plan.page_bytes;
  layout.rows_per_page = guess_rows_per_page(layout, plan.graph.max_degree);
  if (layout.rows_per_page == 0)
    return Status(Code::kUnsupported, "a record of this dimension does not fit the page; use a larger --page-size");
  VECSTORE_TRY(resolve_codec(layout, options, plan));
  const bool texts = has_key_texts(options) || has_documents(options) || !options.number_keys.empty();
  plan.prediction = predict(plan, layout, texts);
  while (options.ram_bytes != 0 && plan.prediction.memory_peak_bytes > options.ram_bytes &&
         plan.codec.sample_rows > kSampleRowsMin) {
    plan.codec.sample_rows /= 2;
    plan.prediction = predict(plan, layout, texts);
  }
  if (options.ram_bytes != 0 && plan.prediction.memory_peak_bytes > options.ram_bytes)
    return Status(Code::kMemoryBudget, "the build would exceed its memory budget before it ends; --ram needs at least")
        .at(Detail::kBytes, plan.prediction.memory_peak_bytes);
  return plan;
}

Result<BuildPrediction> predict_build(const VectorSource& vectors, const BuildOptions& options) try {
  VECSTORE_ASSIGN(const BuildPlan plan, plan_build(vectors, options));
  return plan.prediction;
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
