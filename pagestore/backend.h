// SPDX-License-Identifier: Apache-2.0
//
// How pages are read.
#pragma once

#include <cstdint>
#include <string_view>

namespace vecstore {

// kAutomatic: io_uring, or pread where the system refuses it.
enum class Backend : std::uint8_t { kAutomatic, kIoUring, kPread };
std::string_view name_of(Backend backend);  // "automatic" "io_uring" "pread"

}  // namespace vecstore
