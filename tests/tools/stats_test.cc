// SPDX-License-Identifier: Apache-2.0
//
// `vecstore stats --prometheus`: the metrics of the store that it opens, as text.
#include "tests/prometheus_text.h"
#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;

PrometheusText metrics_of(const std::string& store) {
  const Ran ran = run("stats --prometheus " + store);
  BOOST_TEST(ran.exit_code == 0);
  BOOST_TEST(ran.err == "");
  return PrometheusText(ran.out);
}

BOOST_AUTO_TEST_SUITE(stats_of_a_store)

BOOST_AUTO_TEST_CASE(its_gauges_follow_what_was_written) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s"), rows = write_fbin(directory.path("v.fbin"), 30, 4);
  BOOST_TEST(run("create " + store).exit_code == 0);
  PrometheusText text = metrics_of(store);
  BOOST_TEST(text.fault() == "");
  BOOST_TEST(text.value("vecstore_rows") == 0);
  BOOST_TEST(run("insert " + store + " --input " + rows).exit_code == 0);
  BOOST_TEST(run("delete " + store + " 3 4").exit_code == 0);
  text = metrics_of(store);
  BOOST_TEST(text.fault() == "");
  BOOST_TEST(text.value("vecstore_rows") == 28);
  BOOST_TEST(text.value("vecstore_delta_rows") == 28);
  BOOST_TEST(text.value("vecstore_last_lsn") == 32);
  BOOST_TEST(text.value("vecstore_durable_lsn") == 32);
  BOOST_TEST(text.value("vecstore_log_bytes") >= 1 << 20);
  BOOST_TEST(text.value("vecstore_delta_bytes") > 0);
  BOOST_TEST(text.value("vecstore_put_rows_total") == 0);  // another process put them
  BOOST_TEST(text.value("vecstore_old_readers") == 0);     // and nobody reads in this one
  BOOST_TEST(mentions(run("stats " + store).out, "0 generations before"));
}

BOOST_AUTO_TEST_CASE(a_built_index_tells_its_rows_and_memory) {
  EveryCommand every;
  const PrometheusText text = metrics_of(every.arguments_of("info"));
  BOOST_TEST(text.fault() == "");
  BOOST_TEST(text.value("vecstore_rows") == 20);
  BOOST_TEST(text.value("vecstore_delta_rows") == 0);
  BOOST_TEST(text.value("vecstore_memory_used_bytes") > 0);
  BOOST_TEST(text.value("vecstore_memory_peak_bytes") >= text.value("vecstore_memory_used_bytes"));
}

BOOST_AUTO_TEST_CASE(only_one_form_is_printed) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(mentions(refused("stats --prometheus --json " + store, 2), "give one of them"));
  // Whether there is a store or not.
  BOOST_TEST(mentions(refused("stats --json --prometheus " + directory.path("none"), 2), "give one of them"));
  BOOST_TEST(refused("stats --prometheus " + directory.path("none"), 1) != "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
