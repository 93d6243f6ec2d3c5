// SPDX-License-Identifier: Apache-2.0
//
// Documents to train a dictionary on: evenly spaced among all that are offered, however many come, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

class DocumentSample {
 public:
  static constexpr std::size_t kDocumentBytesMin = 16;  // shorter ones are no larger than their frame

  // Holds up to `bytes` of documents, at least kDocumentBytesMax; takes half of that more for itself.
  // Errors: kMemoryBudget.
  static Result<DocumentSample> create(std::size_t bytes, MemoryBudget& budget);

  // Takes every step-th document; when they do not fit any more it lets every other one go and doubles the step.
  void offer(std::string_view document);

  std::uint64_t offered_bytes() const { return offered_bytes_; }
  std::span<const std::byte> bytes() const { return held_.span().first(held_bytes_); }  // end to end
  std::span<const std::size_t> sizes() const { return sizes_.span().first(documents_); }

 private:
  DocumentSample() = default;
  void thin();

  Buffer<std::byte> held_;
  std::size_t held_bytes_ = 0;
  Buffer<std::size_t> sizes_;
  std::size_t documents_ = 0;  // held
  std::uint64_t step_ = 1;
  std::uint64_t offered_ = 0;
  std::uint64_t offered_bytes_ = 0;
};

}  // namespace vecstore
