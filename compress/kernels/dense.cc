// SPDX-License-Identifier: Apache-2.0
#include "compress/kernels/dense.h"

#include "compress/kernels/kernels.h"

namespace vecstore {

const DenseUnit& dense() {
  switch (kernels().level) {
#if defined(__x86_64__)
    case KernelLevel::kAvx2:
      return detail::kDenseAvx2;
    case KernelLevel::kAvx512:
      return detail::kDenseAvx512;
#endif
    default:
      return detail::kDenseBaseline;
  }
}

}  // namespace vecstore
