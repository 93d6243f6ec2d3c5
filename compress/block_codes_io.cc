// SPDX-License-Identifier: Apache-2.0
#include "compress/block_codes_io.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "base/limits.h"
#include "compress/mixing.h"
#include "compress/rabitq.h"
#include "compress/sq8.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kMagic = 0x43425356;  // "VSBC"
constexpr std::uint32_t kVersionRabitq = 2;
constexpr std::uint32_t kVersionTrained = 4;  // version of PQ and OPQ; 1 had no weights, 3 all rotated dimensions
// With flags in the upper half of `codewords`; what has none is written as above.
constexpr std::uint32_t kVersionFlags = 5;
constexpr std::uint32_t kFlagScaled = 1u << 16;
constexpr std::uint32_t kFlagWide = 1u << 17;           // corrections of 32 bits
constexpr std::uint32_t kFlagFine = 1u << 18;           // tables of floats
constexpr std::uint32_t kFlagCut = 1u << 19;            // blocks
constexpr std::uint32_t kFlagWideCentroids = 1u << 20;  // centroids are floats
constexpr std::uint32_t kFlags = kFlagScaled | kFlagWide | kFlagFine | kFlagCut | kFlagWideCentroids;
constexpr auto kRabitq = static_cast<std::uint8_t>(Codec::kRabitq);

struct Header {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersionTrained;
  std::uint8_t kind = 0;
  std::uint8_t metric = 0;
  std::uint16_t form = 0;  // bits a dimension of RaBitQ, else the rotated dimensions that are kept
  std::uint32_t dim = 0;
  std::uint32_t code_bytes = 0;
  std::uint32_t codewords = 0;
  std::uint64_t rows = 0;
  float correction_scale = 0;
  float correction_offset = 0;
  float error_slope = 0;
  float mean_square_error = 0;
  std::uint64_t stream_bytes = 0;
  float bias_offset = 0;
  float bias_per_error2 = 0;

  bool is_rabitq() const { return kind == kRabitq; }
  std::uint32_t codewords_count() const { return codewords & 0xFFFFu; }
  bool has_factors() const { return is_rabitq() || (codewords & kFlagScaled) != 0; }
  bool is_wide() const { return (codewords & kFlagWide) != 0; }
  bool is_cut() const { return (codewords & kFlagCut) != 0; }
  bool has_wide_centroids() const { return (codewords & kFlagWideCentroids) != 0; }
  std::uint64_t block_bytes() const {
    return (has_wide_centroids() ? sizeof(float) * dim : dim + 2 * sizeof(float)) +
           (is_cut() ? sizeof(std::uint32_t) : 0);
  }
  std::uint64_t row_bytes() const { return code_bytes + (has_factors() ? 2ull : 0ull) + (is_wide() ? 4ull : 2ull); }
};
static_assert(sizeof(Header) == 64 && alignof(Header) == 8);

Status damaged(const char* text) { return {Code::kCorrupt, text}; }

// Bytes of the stream but the blocks. All factors are within their limits, so 64 bits hold every product.
std::uint64_t bytes_before_blocks(const Header& header) {
  const std::uint64_t dim = header.dim;
  const bool rabitq = header.kind == kRabitq;
  const std::uint64_t kept = rabitq ? 0 : header.form;
  const std::uint64_t rotation = header.kind == static_cast<std::uint8_t>(Codec::kOpq) ? kept * dim : 0;
  const std::uint64_t floats = dim + kept + rotation + kept * header.codewords_count();
  const std::uint64_t subspaces = rabitq ? 0 : sizeof(std::uint32_t) * (header.code_bytes + 1ull);
  const std::uint64_t mixing = rabitq ? sizeof(std::uint16_t) * kMixingRounds * dim : 0;
  const std::uint64_t of_rows = header.rows * header.row_bytes();
  return sizeof(Header) + subspaces + sizeof(float) * floats + mixing + of_rows;
}

// How many blocks there are. Where they are cut, the length of the stream says it; nothing: it is of no whole number.
std::optional<std::uint64_t> blocks_of(const Header& header) {
  const std::uint64_t even = Blocks::even_count(header.rows);
  const std::uint64_t before = bytes_before_blocks(header);
  if (!header.is_cut()) {
    if (header.stream_bytes != before + even * header.block_bytes()) return std::nullopt;
    return even;
  }
  if (header.stream_bytes < before || (header.stream_bytes - before) % header.block_bytes() != 0) return std::nullopt;
  const std::uint64_t blocks = (header.stream_bytes - before) / header.block_bytes();
  if (blocks < even || blocks > header.rows) return std::nullopt;
  return blocks;
}

// What a header says of the codes must be what encode_blocks can have made.
bool is_sane_form(const Header& header) {
  const std::uint32_t flags = header.codewords & ~0xFFFFu;
  if ((flags & ~kFlags) != 0 || (flags != 0) != (header.version == kVersionFlags)) return false;
  const bool inner_product = header.metric == static_cast<std::uint8_t>(Metric::kInnerProduct);
  if (header.has_wide_centroids() && !inner_product && (flags & kFlagFine) == 0) return false;
  if (header.kind == kRabitq) {
    const bool bits = header.form == 1 || header.form == 2 || header.form == 4;
    return header.version != kVersionTrained && bits && (header.codewords & ~(kFlags & ~kFlagScaled)) == 0 &&
           header.code_bytes == rabitq_code_bytes(header.dim, header.form);
  }
  const bool rotated = header.kind == static_cast<std::uint8_t>(Codec::kOpq);
  return header.version != kVersionRabitq && header.kind < kRabitq && header.code_bytes != 0 &&
         header.code_bytes <= header.form && (rotated ? header.form <= header.dim : header.form == header.dim) &&
         header.codewords_count() != 0 && header.codewords_count() <= 256;
}

Status check_header(const Header& header, std::uint64_t size) {
  if (header.magic != kMagic) return damaged("this is not a stream of block codes; rebuild the index");
  if (header.version > kVersionFlags)
    return {Code::kNewerFormat, "the codes were written by a newer version; use that version to read them"};
  if (header.version != kVersionRabitq && header.version < kVersionTrained)
    return {Code::kUnsupported, "the codes were written before the first release; build the index again"};
  const bool sane = header.metric <= static_cast<std::uint8_t>(Metric::kCosine) && std::isfinite(header.bias_offset) &&
                    std::isfinite(header.bias_per_error2) && header.dim != 0 && header.dim <= kDimMax &&
                    is_sane_form(header) && header.rows <= kRowsMax && std::isfinite(header.correction_scale) &&
                    header.correction_scale >= 0 && std::isfinite(header.correction_offset) &&
                    std::isfinite(header.error_slope) && header.error_slope >= 0 &&
                    std::isfinite(header.mean_square_error) && header.mean_square_error >= 0;
  if (!sane) return damaged("the header of the codes is damaged; rebuild the index or restore it from a backup");
  if (!blocks_of(header) || header.stream_bytes != size)
    return damaged("the codes are cut off or their sizes are damaged; rebuild the index or restore it from a backup");
  return Status::ok();
}

template <typename T>
Status read_array(ByteSource& source, MemoryBudget& budget, std::uint64_t count, Buffer<T>& into) {
  VECSTORE_ASSIGN(into, Buffer<T>::allocate(budget, count));
  return count == 0 ? Status::ok() : source.read(std::as_writable_bytes(into.span()));
}

Status read_floats(ByteSource& source, MemoryBudget& budget, std::uint64_t count, Buffer<float>& into) {
  VECSTORE_TRY(read_array(source, budget, count, into));
  for (const float value : into) {
    if (!std::isfinite(value))
      return damaged("the codes hold a number that is not finite; rebuild the index or restore it from a backup");
  }
  return Status::ok();
}

Status read_subspaces(ByteSource& source, const Header& header, std::vector<std::uint32_t>& begin) {
  begin.resize(header.code_bytes + 1ull);
  VECSTORE_TRY(source.read(std::as_writable_bytes(std::span(begin))));
  const bool rising = std::adjacent_find(begin.begin(), begin.end(), std::greater_equal<>()) == begin.end();
  if (begin.front() != 0 || begin.back() != header.form || !rising)
    return damaged("the subspaces of the codes are damaged; rebuild the index or restore it from a backup");
  return Status::ok();
}

template <typename T>
Status write_array(ByteSink& sink, std::span<const T> values) {
  return values.empty() ? Status::ok() : sink.write(std::as_bytes(values));
}

// The model's arrays; a CodecModel of PQ and OPQ has no mixing, one of RaBitQ nothing but the mean and a mixing.
Status read_model(ByteSource& source, MemoryBudget& budget, const Header& header, CodecModel& model) {
  const std::uint64_t dim = header.dim;
  if (header.kind == kRabitq) {
    VECSTORE_TRY(read_floats(source, budget, dim, model.mean));
    VECSTORE_TRY(read_array(source, budget, kMixingRounds * dim, model.mixing));
    if (!is_mixing(model.mixing.span(), header.dim))
      return damaged("the rotation of the codes is damaged; rebuild the index or restore it from a backup");
    return Status::ok();
  }
  VECSTORE_TRY(read_subspaces(source, header, model.subspace_begin));
  VECSTORE_TRY(read_floats(source, budget, dim, model.mean));
  const std::uint64_t kept = header.form;
  VECSTORE_TRY(read_floats(source, budget, model.kind == Codec::kOpq ? kept * dim : 0, model.rotation));
  VECSTORE_TRY(read_floats(source, budget, kept, model.weights));
  return read_floats(source, budget, kept * header.codewords_count(), model.codebook);
}

// A code beyond the last codeword would score as the nearest of all, and so would a factor that is not finite.
Status check_codes(const Header& header, const BlockCodes& codes) {
  const auto unknown = [&](std::uint8_t code) { return code >= header.codewords_count(); };
  if (header.kind != kRabitq && std::any_of(codes.codes.begin(), codes.codes.end(), unknown))
    return damaged("a code names no codeword; rebuild the index or restore it from a backup");
  if (std::any_of(codes.factors.begin(), codes.factors.end(), [](std::uint16_t f) { return f >= kFactorsEnd; }))
    return damaged("the codes hold a number that is not finite; rebuild the index or restore it from a backup");
  return Status::ok();
}

// Which blocks there are, and their centroids as they are stored.
Status read_blocks(ByteSource& source, MemoryBudget& budget, const Header& header, BlockCodes& codes) {
  const std::uint64_t blocks = *blocks_of(header);
  codes.blocks = Blocks::even(header.rows);
  if (header.is_cut()) {
    Buffer<std::uint32_t> begins;
    VECSTORE_TRY(read_array(source, budget, blocks, begins));
    VECSTORE_ASSIGN(codes.blocks, Blocks::cut(header.rows, std::move(begins), budget));
  }
  Centroids& centroids = codes.centroids;
  VECSTORE_ASSIGN(centroids.norm2, Buffer<float>::allocate(budget, blocks));
  if (header.has_wide_centroids()) return read_floats(source, budget, blocks * header.dim, centroids.values);
  VECSTORE_TRY(read_array(source, budget, blocks * header.dim, centroids.codes));
  VECSTORE_TRY(read_floats(source, budget, blocks, centroids.scale));
  return read_floats(source, budget, blocks, centroids.offset);
}

Result<Header> read_header(ByteSource& source) {
  Header header;
  if (source.size() < sizeof header)
    return damaged("the codes are cut off; rebuild the index or restore it from a backup");
  VECSTORE_TRY(source.read(std::as_writable_bytes(std::span(&header, 1))));
  VECSTORE_TRY(check_header(header, source.size()));
  return header;
}

}  // namespace

Status save_block_codes(const BlockCodes& codes, ByteSink& sink) {
  const CodecModel& model = codes.model;
  Header header;
  const std::uint32_t flags = (model.scaled ? kFlagScaled : 0u) | (codes.wide_corrections.empty() ? 0u : kFlagWide) |
                              (model.fine_tables ? kFlagFine : 0u) | (codes.blocks.is_cut() ? kFlagCut : 0u) |
                              (codes.centroids.is_wide() ? kFlagWideCentroids : 0u);
  header.version = flags != 0 ? kVersionFlags : model.kind == Codec::kRabitq ? kVersionRabitq : kVersionTrained;
  header.kind = static_cast<std::uint8_t>(model.kind);
  header.metric = static_cast<std::uint8_t>(model.metric);
  header.dim = model.dim;
  header.code_bytes = model.code_bytes;
  header.codewords = model.codewords | flags;
  header.form = static_cast<std::uint16_t>(model.kind == Codec::kRabitq ? model.bits : model.rotated_dims());
  header.rows = codes.rows;
  header.correction_scale = model.correction_scale;
  header.correction_offset = model.correction_offset;
  header.error_slope = model.error_slope;
  header.mean_square_error = model.mean_square_error;
  header.bias_offset = model.bias_offset;
  header.bias_per_error2 = model.bias_per_error2;
  header.stream_bytes = bytes_before_blocks(header) + codes.blocks.count() * header.block_bytes();
  VECSTORE_TRY(sink.write(std::as_bytes(std::span(&header, 1))));
  VECSTORE_TRY(write_array(sink, std::span<const std::uint32_t>(model.subspace_begin)));
  VECSTORE_TRY(write_array(sink, model.mean.span()));
  VECSTORE_TRY(write_array(sink, model.rotation.span()));
  VECSTORE_TRY(write_array(sink, model.weights.span()));
  VECSTORE_TRY(write_array(sink, model.codebook.span()));
  VECSTORE_TRY(write_array(sink, model.mixing.span()));
  VECSTORE_TRY(write_array(sink, codes.codes.span()));
  VECSTORE_TRY(write_array(sink, codes.factors.span()));
  VECSTORE_TRY(write_array(sink, codes.corrections.span()));
  VECSTORE_TRY(write_array(sink, codes.wide_corrections.span()));
  VECSTORE_TRY(write_array(sink, codes.blocks.begins()));
  VECSTORE_TRY(write_array(sink, codes.centroids.values.span()));
  VECSTORE_TRY(write_array(sink, codes.centroids.codes.span()));
  VECSTORE_TRY(write_array(sink, codes.centroids.scale.span()));
  return write_array(sink, codes.centroids.offset.span());
}

Result<CodeForm> read_code_form(ByteSource& source) {
  VECSTORE_ASSIGN(const Header header, read_header(source));
  return CodeForm{header.code_bytes, *blocks_of(header), (header.codewords & kFlagFine) != 0,
                  header.has_wide_centroids(), header.is_cut()};
}

Result<BlockCodes> load_block_codes(ByteSource& source, MemoryBudget& budget) {
  VECSTORE_ASSIGN(const Header header, read_header(source));

  BlockCodes codes;
  CodecModel& model = codes.model;
  model.kind = static_cast<Codec>(header.kind);
  model.metric = static_cast<Metric>(header.metric);
  model.dim = header.dim;
  model.code_bytes = header.code_bytes;
  model.codewords = header.codewords_count();
  model.fine_tables = (header.codewords & kFlagFine) != 0;
  model.scaled = !header.is_rabitq() && header.has_factors();
  model.bits = header.kind == kRabitq ? header.form : 0;
  model.correction_scale = header.correction_scale;
  model.correction_offset = header.correction_offset;
  model.error_slope = header.error_slope;
  model.mean_square_error = header.mean_square_error;
  model.bias_offset = header.bias_offset;
  model.bias_per_error2 = header.bias_per_error2;
  codes.rows = header.rows;

  const std::uint64_t dim = header.dim;
  VECSTORE_TRY(read_model(source, budget, header, model));
  VECSTORE_TRY(read_array(source, budget, codes.rows * header.code_bytes, codes.codes));
  VECSTORE_TRY(read_array(source, budget, header.has_factors() ? codes.rows : 0, codes.factors));
  VECSTORE_TRY(read_array(source, budget, header.is_wide() ? 0 : codes.rows, codes.corrections));
  VECSTORE_TRY(read_floats(source, budget, header.is_wide() ? codes.rows : 0, codes.wide_corrections));
  VECSTORE_TRY(read_blocks(source, budget, header, codes));
  VECSTORE_TRY(check_codes(header, codes));
  codes.centroids.compute_norms(dim);
  VECSTORE_ASSIGN(codes.groups, group_centroids(codes.centroids, header.dim, budget));
  return codes;
}

}  // namespace vecstore
