// SPDX-License-Identifier: Apache-2.0
//
// The program of the kernel tests where no Boost library of the target exists: the header-only variant of Boost.Test.
#define BOOST_TEST_MODULE vecstore_neon
#include <boost/test/included/unit_test.hpp>
