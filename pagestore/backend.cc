// SPDX-License-Identifier: Apache-2.0
#include "pagestore/backend.h"

namespace vecstore {

std::string_view name_of(Backend backend) {
  switch (backend) {
    case Backend::kAutomatic:
      return "automatic";
    case Backend::kIoUring:
      return "io_uring";
    case Backend::kPread:
      return "pread";
  }
  return "unknown";
}

}  // namespace vecstore
