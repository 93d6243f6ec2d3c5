// SPDX-License-Identifier: Apache-2.0
//
// What the handles of the C API are.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/cancel_token.h"
#include "base/fork.h"
#include "bindings/c/call.h"
#include "bindings/c/vecstore.h"
#include "engine/vecstore.hpp"

namespace vecstore::c {

// A store with what is known of its handle. Scans keep it alive.
struct OpenStore {
  OpenStore(Store opened, bool writes) : store(std::move(opened)), is_writer(writes) {}
  // Of a vector of the store; 0: its dimension is not known yet. Once it is it stays, and info() is not cheap.
  std::uint64_t row_bytes() {
    if (const std::uint64_t known = row_bytes_.load(std::memory_order_relaxed); known != 0) return known;
    const StoreInfo info = store.info();
    const std::uint64_t bytes = info.dim * element_bytes(info.dtype);
    row_bytes_.store(bytes, std::memory_order_relaxed);
    return bytes;
  }

  Store store;
  const bool is_writer;
  std::atomic<bool> is_closed{false};  // of a writer
  const std::uint64_t mark = process_mark();

 private:
  std::atomic<std::uint64_t> row_bytes_{0};
};

}  // namespace vecstore::c

struct vecstore_store {
  std::shared_ptr<vecstore::c::OpenStore> open;
};

struct vecstore_scan {
  std::shared_ptr<vecstore::c::OpenStore> open;  // goes after the scan
  vecstore::Scan scan;
  vecstore::ScanBatch batch;
  vecstore_texts keys{};
};

struct vecstore_bytes {
  vecstore::TextColumn texts;
};

struct vecstore_cancel {
  vecstore::CancelToken token;
};

namespace vecstore::c {

// Whether a call may use the handle: it is one, and of this process. To write it must not be closed either.
Outcome check_handle(const OpenStore* open);
Outcome check_writing(const vecstore_store* store);
// What a write came to. One that met the end of the store while it waited is told so.
Outcome outcome_of(const vecstore_store* store, const Status& status);
template <typename T>
Outcome outcome_of(const vecstore_store* store, const Result<T>& result) {
  return result ? Outcome() : outcome_of(store, result.error());
}
inline Outcome check_reading(const vecstore_store* store) {
  return check_handle(store == nullptr ? nullptr : store->open.get());
}

}  // namespace vecstore::c
