// SPDX-License-Identifier: Apache-2.0
//
// Vector files from one layout into another: fvecs, bvecs, ivecs, fbin, f16bin, u8bin, i8bin, ibin, i32bin, npy, each
// told by the ending of its name. Needs only the standard library.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/cancel_token.h"
#include "base/status.h"

namespace vecstore {

struct ConvertOptions {
  std::uint64_t first_row = 0;
  // Rows; by default all that follow. A file that was cut short is taken only where this says how many of its rows.
  std::optional<std::uint64_t> count = {};
  bool overwrite = false;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};  // rows
  const CancelToken* cancel = nullptr;  // the conversion ends with kCancelled and leaves no file
};

struct ConvertReport {
  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  std::string from_element, to_element;  // "f32" "f16" "u8" "i8" "i32"
};

// Values are converted only where none loses its meaning. f32 → f16 rounds to nearest and refuses overflow. Floats → u8
// or i8 refuses a value that is no integer in range, and u8 ↔ i8 one out of range. i32 (neighbour lists) goes to i32
// only. An .ibin of ids and distances gives its ids. A .npy is written with the element type of its origin. The output
// appears whole or not at all. Thread-safe for different outputs. Errors: kNotFound, kPermission, kExists,
// kInvalidArgument (rows past the end), kInvalidInput naming the row, kUnsupported, kNoSpace, kIo.
Result<ConvertReport> convert_vectors(const std::string& from, const std::string& to,
                                      const ConvertOptions& options = {});

}  // namespace vecstore
