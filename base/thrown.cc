// SPDX-License-Identifier: Apache-2.0
#include "base/thrown.h"

#include <new>
#include <system_error>

#include "base/cancel_token.h"
#include "base/memory.h"

namespace vecstore {

Status status_of_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return refused_by_system(0);
  } catch (const Cancelled&) {
    return cancelled();
  } catch (const std::system_error& error) {
    return Status(Code::kIo, "the system refused what this takes; raise its limits (ulimit -a)")
        .with_errno(error.code().value());
  }
}

}  // namespace vecstore
