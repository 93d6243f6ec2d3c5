// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/document_sample.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace vecstore {

Result<DocumentSample> DocumentSample::create(std::size_t bytes, MemoryBudget& budget) {
  VECSTORE_CHECK(bytes >= kDocumentBytesMax);
  DocumentSample sample;
  VECSTORE_ASSIGN(sample.held_, Buffer<std::byte>::allocate(budget, bytes));
  VECSTORE_ASSIGN(sample.sizes_, Buffer<std::size_t>::allocate(budget, bytes / kDocumentBytesMin));
  return sample;
}

void DocumentSample::offer(std::string_view document) {
  VECSTORE_CHECK(document.size() <= kDocumentBytesMax);
  if (document.size() < kDocumentBytesMin) return;
  offered_bytes_ += document.size();
  if (offered_++ % step_ != 0) return;
  while (document.size() > held_.size() - held_bytes_) {
    thin();
    if ((offered_ - 1) % step_ != 0) return;
  }
  std::ranges::copy(std::as_bytes(std::span(document)), held_.begin() + held_bytes_);
  held_bytes_ += document.size();
  sizes_[documents_++] = document.size();
}

void DocumentSample::thin() {
  std::size_t from = 0;
  std::size_t to = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < documents_; ++i) {
    const std::size_t size = sizes_[i];
    if (i % 2 == 0) {
      std::memmove(held_.data() + to, held_.data() + from, size);
      sizes_[kept++] = size;
      to += size;
    }
    from += size;
  }
  documents_ = kept;
  held_bytes_ = to;
  step_ *= 2;
}

}  // namespace vecstore
