// SPDX-License-Identifier: Apache-2.0
//
// What every vector must be before it is searched or built upon: finite, and under cosine not zero. Thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/vector_view.h"

namespace vecstore {

// Checks the rows of `vectors` in order. `subject` names the file and `first_row` is the number of row 0 in it, for the
// message. Errors: kInvalidInput with the first row at fault.
Status check_vectors(const VectorView& vectors, Metric metric, std::string_view subject, std::uint64_t first_row);

}  // namespace vecstore
