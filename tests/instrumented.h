// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vecstore::test {

// Instrumented builds are ten times slower: they take fewer rows and seeds, and leave counts of reads to the others.
#ifdef VECSTORE_INSTRUMENTED
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif

}  // namespace vecstore::test
