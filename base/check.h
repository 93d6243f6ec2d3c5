// SPDX-License-Identifier: Apache-2.0
//
// VECSTORE_CHECK: an invariant whose breach is a bug of VecStore, never bad data or refused input (those are Status).
// Always on; tells the panic hook and aborts, because carrying on could write a wrong answer to disk.
#pragma once

namespace vecstore {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

// Of the process; told the line from whichever thread. nullptr: the line goes to stderr.
using PanicHook = void (*)(void* context, const char* line);
void set_panic_hook(PanicHook hook, void* context);
}  // namespace vecstore

#define VECSTORE_CHECK(condition)                               \
  do {                                                          \
    if (!(condition)) [[unlikely]]                              \
      ::vecstore::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
