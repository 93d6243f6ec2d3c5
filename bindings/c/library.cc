// SPDX-License-Identifier: Apache-2.0
//
// What belongs to no store: versions, codes, texts that the library fills, cancellation.
#include <array>
#include <cstring>
#include <new>

#include "base/check.h"
#include "bindings/c/handles.h"

namespace vecstore::c {
namespace {

constexpr std::array<const char*, VECSTORE_FORKED + 1> kCodeNames = {"VECSTORE_OK",
                                                                     "VECSTORE_INVALID_ARGUMENT",
                                                                     "VECSTORE_INVALID_INPUT",
                                                                     "VECSTORE_NOT_FOUND",
                                                                     "VECSTORE_EXISTS",
                                                                     "VECSTORE_PERMISSION",
                                                                     "VECSTORE_IO",
                                                                     "VECSTORE_NO_SPACE",
                                                                     "VECSTORE_MEMORY_BUDGET",
                                                                     "VECSTORE_CORRUPT",
                                                                     "VECSTORE_BUSY",
                                                                     "VECSTORE_NEWER_FORMAT",
                                                                     "VECSTORE_UNSUPPORTED",
                                                                     "VECSTORE_CANCELLED",
                                                                     "VECSTORE_CLOSED",
                                                                     "VECSTORE_FORKED"};

static_assert(VECSTORE_CANCELLED == static_cast<int>(Code::kCancelled) &&
                  VECSTORE_CORRUPT == static_cast<int>(Code::kCorrupt) && VECSTORE_IO == static_cast<int>(Code::kIo),
              "the numbers of the header are those of Code");
static_assert(VECSTORE_DETAIL_LSN == static_cast<int>(Detail::kLsn) &&
              VECSTORE_DETAIL_LINE == static_cast<int>(Detail::kLine));

}  // namespace

Outcome check_handle(const OpenStore* open) {
  if (open == nullptr) return refuse("the store is NULL");
  if (open->mark == process_mark()) return {};
  return Outcome::of(VECSTORE_FORKED, Status(Code::kUnsupported,
                                             "the store was opened before fork(), by another process; open it again in "
                                             "this one"));
}

Outcome outcome_of(const vecstore_store* store, const Status& status) {
  const bool met_its_end = status.code() == Code::kInvalidArgument && store->open->is_closed;
  return met_its_end ? Outcome::of(VECSTORE_CLOSED, status) : Outcome(status);
}

Outcome check_writing(const vecstore_store* store) {
  VECSTORE_C_TRY(check_reading(store));
  if (!store->open->is_closed) return {};
  return Outcome::of(VECSTORE_CLOSED,
                     Status(Code::kInvalidArgument, "the store was closed and takes no more writes; open it again"));
}

}  // namespace vecstore::c

using namespace vecstore;  // NOLINT(google-build-using-namespace): C has none

uint32_t vecstore_version_number(void) { return VECSTORE_VERSION_NUMBER; }
const char* vecstore_version(void) { return version().data(); }

void vecstore_init(void* versioned, size_t size) {
  if (versioned == nullptr || size < sizeof(uint32_t) || size > c::kSizeMost) return;
  std::memset(versioned, 0, size);
  const auto bytes = static_cast<uint32_t>(size);
  std::memcpy(versioned, &bytes, sizeof(bytes));
}

void vecstore_set_panic(void (*panic)(void* context, const char* line), void* context) {
  set_panic_hook(panic, context);
}

const char* vecstore_code_name(int32_t code) {
  return code >= 0 && code < static_cast<int32_t>(c::kCodeNames.size()) ? c::kCodeNames[code] : "";
}

vecstore_bytes* vecstore_bytes_new(void) {
  try {
    return new vecstore_bytes();
  } catch (...) {
    return nullptr;
  }
}
void vecstore_bytes_free(vecstore_bytes* bytes) { delete bytes; }

vecstore_texts vecstore_bytes_view(const vecstore_bytes* bytes) {
  if (bytes == nullptr) return {};
  return {bytes->texts.bytes.c_str(), bytes->texts.offsets.data(), bytes->texts.size()};
}

vecstore_cancel* vecstore_cancel_new(void) { return new (std::nothrow) vecstore_cancel(); }
void vecstore_cancel_now(vecstore_cancel* cancel) {
  if (cancel != nullptr) cancel->token.cancel();
}
void vecstore_cancel_reset(vecstore_cancel* cancel) {
  if (cancel != nullptr) cancel->token.reset();
}
void vecstore_cancel_free(vecstore_cancel* cancel) { delete cancel; }
