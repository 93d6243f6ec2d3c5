// SPDX-License-Identifier: Apache-2.0
//
// The border between C and C++: how a call ends, and what is taken from versioned structs.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include "base/status.h"
#include "base/thrown.h"
#include "bindings/c/vecstore.h"
#include "engine/options.h"

namespace vecstore::c {

// What a call comes to: a code of the header, which has more than the C++ API has, with what is said of it.
struct Outcome {
  Outcome() = default;
  Outcome(const Status& said)  // NOLINT(google-explicit-constructor)
      : status(said), code(static_cast<std::int32_t>(said.code())) {}
  static Outcome of(std::int32_t code, const Status& said) {
    Outcome outcome(said);
    outcome.code = code;
    return outcome;
  }
  Outcome&& with(std::uint64_t expects, std::uint64_t has) && {
    expected = expects;
    actual = has;
    return std::move(*this);
  }

  Status status;
  std::int32_t code = VECSTORE_OK;
  std::uint64_t expected = 0;
  std::uint64_t actual = 0;
};

Status refuse(const char* text);  // kInvalidArgument

// Fills the caller's error, if there is one, and returns the code.
std::int32_t end_call(const Outcome& outcome, vecstore_error* error);

// Thrown through the engine where a callback of the caller asked for an end.
struct StoppedByCallback {};

// Nothing leaves: not what `body` throws, nor what a callback does.
template <typename Body>
std::int32_t call(vecstore_error* error, const Body& body) noexcept {
  Outcome outcome;
  try {
    try {
      outcome = body();
    } catch (const StoppedByCallback&) {
      outcome = Status(Code::kCancelled, "a callback of the caller ended the call");
    } catch (const std::length_error&) {
      outcome = Status(Code::kMemoryBudget, "a count is beyond what memory holds; divide the call").with_errno(ENOMEM);
    } catch (...) {
      outcome = status_of_exception();
    }
  } catch (...) {
    outcome = refuse("a callback threw, which nothing may across the C API");
  }
  return end_call(outcome, error);
}

// The size that the first version of a struct had; none is smaller.
template <typename T>
inline constexpr std::uint32_t kFirstSize = sizeof(T);
inline constexpr std::uint32_t kSizeMost = 4096;  // what claims to be larger was not initialised

Status check_size(std::uint32_t size, std::uint32_t first);
Status check_tail(const void* given, std::uint32_t known, std::uint32_t size);

Status check_reserved(std::uint32_t reserved);  // what has no meaning yet is 0

// What is given, with defaults for what it does not have; nullptr: all of them.
template <typename T>
Status read_versioned(const T* given, T& options) {
  options = {};
  options.struct_size = sizeof(T);
  if (given == nullptr) return Status::ok();
  const std::uint32_t size = given->struct_size;
  VECSTORE_TRY(check_size(size, kFirstSize<T>));
  VECSTORE_TRY(check_tail(given, sizeof(T), size));
  std::memcpy(&options, given, std::min<std::size_t>(size, sizeof(T)));
  if constexpr (requires { options.reserved; }) return check_reserved(options.reserved);
  return Status::ok();
}

// Whether something may be written to it; nullptr: nobody wants it.
template <typename T>
Status check_result(const T* to) {
  return to == nullptr ? Status::ok() : check_size(to->struct_size, kFirstSize<T>);
}
// As far as it is known to the caller; what only the caller knows is zeroed. to: checked, or nullptr.
template <typename T>
void write_versioned(T* to, T value) {
  if (to == nullptr) return;
  const std::uint32_t size = to->struct_size;
  std::memset(static_cast<void*>(to), 0, size);
  value.struct_size = size;
  std::memcpy(static_cast<void*>(to), &value, std::min<std::size_t>(size, sizeof(T)));
}

// The hooks of a call, as options of the engine have them. nullptr: none.
struct Hooks {
  ProgressFunction progress;
  const CancelToken* cancel = nullptr;
};
Status read_hooks(const vecstore_hooks* given, Hooks& hooks);

Status check_path(const char* path, const char* what);

}  // namespace vecstore::c

// Returns from the enclosing function, which returns an Outcome, where `expression` is an Outcome that is not ok.
#define VECSTORE_C_TRY(expression)                     \
  do {                                                 \
    ::vecstore::c::Outcome outcome_ = (expression);    \
    if (outcome_.code != VECSTORE_OK) return outcome_; \
  } while (false)
