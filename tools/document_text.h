// SPDX-License-Identifier: Apache-2.0
//
// Documents as a person reads them on a terminal. Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vecstore::tools {

inline constexpr std::size_t kTextColumns = 100;

// Lines of at most kTextColumns characters, each after `indent` spaces, broken at spaces where there are any. Control
// characters become spaces: a document must not drive the terminal it is shown on.
std::string wrap_text(std::string_view text, std::size_t indent);

// A JSON object's title, heading and text (then its other plain fields); any other document as it is. Ends with a
// newline unless empty.
std::string format_document(const std::string& document, std::size_t indent);

}  // namespace vecstore::tools
