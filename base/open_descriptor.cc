// SPDX-License-Identifier: Apache-2.0
#include "base/open_descriptor.h"

#include <fcntl.h>

#include <cerrno>

namespace vecstore {

int open_descriptor(const std::string& path, int flags, unsigned mode) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

}  // namespace vecstore
