// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of VecStore: one query against a batch of rows, behind one table chosen once per process.
//
// Every level gives the result of the scalar unit bit for bit where results are integers, and within float rounding
// where they are floats. Dispatch is by batch, never by distance. The level is the best that the processor has, or what
// the environment variable VECSTORE_KERNELS (scalar | avx2 | avx512 | neon) names. A level that the processor lacks is
// refused. Thread safety: everything here is immutable after the first call.
#pragma once

#include <string_view>

#include "base/status.h"
#include "compress/kernels/table.h"

namespace vecstore {

// Chosen on first use. When kernels_status() is an error this is the scalar table.
const Kernels& kernels();

// Whether VECSTORE_KERNELS could be honoured; ask before the first use of kernels() and refuse to go on when it could
// not. Errors: kInvalidArgument for a name that is no level, kUnsupported for a level this build or processor lacks.
Status kernels_status();

// One level's table. Errors: kUnsupported when this build or this processor lacks it.
Result<const Kernels*> kernels_of(KernelLevel level);

std::string_view name_of(KernelLevel level);

}  // namespace vecstore
