// SPDX-License-Identifier: Apache-2.0
//
// Readers of a store that is merged in passes: one that has the old files open goes on with them, and one that was
// about to open them looks again.
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/graph_in_passes.h"
#include "tests/sim/interrupting.h"
#include "tests/sim/merges.h"

namespace vecstore {
namespace {

using namespace test;

BOOST_AUTO_TEST_SUITE(merge_readers)

BOOST_AUTO_TEST_CASE(one_that_has_the_old_files_open_answers_as_before) {
  for (const bool has_texts : {false, true}) {
    const GraphInPasses graph("readers", has_texts ? kTextsInPasses : kNumbersInPasses, 2);
    WrittenTo now(graph, 2);
    auto reader = open_sim(*now.disk, 1, Access::kRead);
    REQUIRE_OK(reader);
    const Model before = now.history.states.back();
    for (int merges = 0; merges < 3; ++merges) {
      REQUIRE_OK(now.store->compact(one_thread()));
      BOOST_REQUIRE(content_of(*reader) == before);
      check_found(*reader, before, "a reader of before: ");
      BOOST_REQUIRE(write(*now.store, now.history, now.random, 6, graph.shape()));
    }
    BOOST_TEST(now.store->info().generation == 4u);
    BOOST_TEST(reader->info().generation == 1u);
    REQUIRE_OK(reader->refresh());
    BOOST_TEST(reader->info().generation == 4u);
    BOOST_REQUIRE(content_of(*reader) == now.history.states.back());
    check_found(*reader, now.history.states.back(), "a reader that followed: ");
  }
}

BOOST_AUTO_TEST_CASE(one_that_was_about_to_open_them_looks_again) {
  const GraphInPasses graph("readers", kTextsInPasses, 2);
  WrittenTo now(graph, 4);
  const auto merge_now = [&] {
    REQUIRE_OK(now.store->compact(one_thread()));
    BOOST_REQUIRE(write(*now.store, now.history, now.random, 2, graph.shape()));
  };
  Interrupting interrupting(*now.disk, "/graph-", merge_now);
  StoreEnvironment environment = environment_on(*now.disk, 1);
  environment.file_system = &interrupting;
  OpenOptions options;
  options.access = Access::kRead;
  const auto reader = StoreFactory::open(kSimPath, options, environment);
  REQUIRE_OK(reader);
  BOOST_TEST(interrupting.has_happened());
  BOOST_TEST(reader->info().generation == 2u);
  BOOST_REQUIRE(content_of(*reader) == now.history.states.back());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
