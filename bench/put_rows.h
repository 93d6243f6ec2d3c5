// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "bench/measured_index.h"
#include "engine/vecstore.hpp"

namespace vecstore::bench {

// Puts rows of `base` under `keys`, 100 in a batch. Ends the process where one is refused.
void put_rows(Store& store, const LoadedVectors& base, std::span<const std::uint32_t> keys,
              std::span<const std::uint32_t> rows);
// Erases them, 100 in a batch; each must be there.
void erase_keys(Store& store, std::span<const std::uint32_t> keys);

}  // namespace vecstore::bench
