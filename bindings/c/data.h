// SPDX-License-Identifier: Apache-2.0
//
// Vectors, keys and texts of C callers as the engine has them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/vector_view.h"
#include "bindings/c/call.h"
#include "bindings/c/vecstore.h"
#include "engine/key.h"
#include "engine/options.h"
#include "engine/vector_source.h"

namespace vecstore::c {

// Checks pointers, element type, stride and alignment; what the values are the engine judges.
Outcome read_vectors(const vecstore_vectors* given, VectorView& vectors);
// Whether offsets ascend and bytes are there.
// Of as many as there must be; kAny: as it says itself.
inline constexpr std::uint64_t kAny = UINT64_MAX;
Outcome check_texts(const vecstore_texts& texts, const char* what, std::uint64_t count = kAny);
inline std::string_view text_of(const vecstore_texts& texts, std::uint64_t i) {
  return {texts.bytes + texts.offsets[i], static_cast<std::size_t>(texts.offsets[i + 1] - texts.offsets[i])};
}
// Numbers or texts, as many as they say.
Outcome check_keys(const vecstore_keys* given, std::uint64_t count = kAny);
Outcome read_keys(const vecstore_keys* given, std::vector<Key>& keys, std::uint64_t count = kAny);
// given: nullptr: none.
Outcome read_documents(const vecstore_texts* given, std::vector<std::string_view>& documents, std::uint64_t count);

// The vectors of a source; with_texts: its keys and documents go to the options.
struct SourceReader {
  std::unique_ptr<VectorSource> vectors;
  const std::int32_t* callback_code = nullptr;  // that source->read() returned, 0: it never failed; of `vectors`
  vecstore_source given{};
};
Outcome read_source(const vecstore_source* given, SourceReader& reader);
Outcome read_texts_of(const SourceReader& reader, BuildOptions& options);
// With the code that a callback ended it with, if one did.
Outcome with_callback_code(const SourceReader& reader, const Status& status);

}  // namespace vecstore::c
