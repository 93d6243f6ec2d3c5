// SPDX-License-Identifier: Apache-2.0
#include "engine/live/document_packer.h"

#include <algorithm>

#include "base/limits.h"
#include "engine/rows/document_sample.h"

namespace vecstore {
namespace {

constexpr std::size_t kPackedMoreBytes = sizeof(std::uint32_t);  // what a record with a frame takes more
constexpr std::uint64_t kLoggedAgainBytes = 8ull << 20;          // bytes of log between two copies

static_assert(kDocumentBytesMax == FramePacker::kBytesMax);

}  // namespace

std::string_view DocumentPacker::pack(std::string_view document, const FrameDictionary* dictionary) {
  if (document.size() < DocumentSample::kDocumentBytesMin) return document;
  if (packer_ == nullptr || used_ != dictionary) {
    packer_.reset();
    auto packer = FramePacker::create(dictionary, *budget_);
    if (!packer) return document;
    if (frame_.empty()) {
      auto frame = Buffer<std::byte>::allocate(*budget_, kDocumentBytesMax);
      if (!frame) return document;
      frame_ = std::move(*frame);
    }
    packer_ = std::move(*packer);
    used_ = dictionary;
  }
  const auto frame =
      packer_->pack(std::as_bytes(std::span(document)), frame_.span().first(document.size() - kPackedMoreBytes));
  if (!frame || frame->empty()) return document;
  return {reinterpret_cast<const char*>(frame->data()), frame->size()};
}

bool DocumentPacker::is_due_again(const LiveState& live) {
  return live.dictionary() != nullptr && live.bytes_since_dictionary() >= kLoggedAgainBytes;
}

std::span<const std::byte> DocumentPacker::train(const LiveState& live, MemoryBudget& budget) {
  if (live.dictionary() != nullptr) {
    trained_ = {};
  } else if (trained_.empty() && live.document_bytes_put() >= train_at_) {
    train_at_ = 2 * live.document_bytes_put();
    trained_ = train_on(live, budget);
  }
  return trained_;
}

std::vector<std::byte> DocumentPacker::train_on(const LiveState& live, MemoryBudget& budget) {
  const std::shared_ptr<const DeltaRows> delta = live.delta();
  const auto charge = Charge::take(budget, kTrainingBytes);
  auto sample = DocumentSample::create(training_.sample_bytes + kDocumentBytesMax, budget);
  if (!charge || !sample) return {};
  sampled_ = std::max(sampled_, live.row_end());
  for (; sampled_ < live.next_row().value && sample->bytes().size() < training_.sample_bytes; ++sampled_) {
    const RowId row{sampled_};
    if (delta == nullptr || !delta->has(row)) continue;
    const auto document = live.document(*delta, row);
    if (!document) return {};
    sample->offer(*document);
  }
  return training_.train(sample->bytes(), sample->sizes());
}

}  // namespace vecstore
