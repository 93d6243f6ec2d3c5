// SPDX-License-Identifier: Apache-2.0
//
// Metrics as text for Prometheus, read back by a reader that takes nothing but what the format says.
#include "engine/metrics.h"

#include <utility>
#include <vector>

#include "tests/prometheus_text.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using test::PrometheusText;

// Every number another one.
Metrics uneven_metrics() {
  Metrics metrics;
  std::uint64_t next = 100;
  for (std::uint64_t* number : {&metrics.search_batches,
                                &metrics.search_batches_failed,
                                &metrics.queries,
                                &metrics.read_requests,
                                &metrics.read_pages,
                                &metrics.read_bytes,
                                &metrics.pages_from_cache,
                                &metrics.pages_cached,
                                &metrics.pages_replaced,
                                &metrics.puts.batches,
                                &metrics.puts.rows,
                                &metrics.puts.refused,
                                &metrics.erasures.batches,
                                &metrics.erasures.rows,
                                &metrics.erasures.refused,
                                &metrics.log_syncs,
                                &metrics.log_bytes,
                                &metrics.last_lsn,
                                &metrics.durable_lsn,
                                &metrics.rows,
                                &metrics.delta_rows,
                                &metrics.delta_bytes,
                                &metrics.memory_used_bytes,
                                &metrics.memory_peak_bytes,
                                &metrics.memory_limit_bytes,
                                &metrics.old_generations,
                                &metrics.old_readers,
                                &metrics.old_memory_bytes,
                                &metrics.old_disk_bytes,
                                &metrics.merges,
                                &metrics.merges_failed,
                                &metrics.merging})
    *number = next++;
  metrics.read_bytes = (std::uint64_t{1} << 53) - 1;  // no digit is lost
  for (LatencyHistogram* latencies : {&metrics.query_latency, &metrics.write_latency, &metrics.log_sync_latency}) {
    for (std::uint64_t& count : latencies->counts) count = next++ % 7;
    latencies->sum_ns = next++ * 1'000'000'007;
  }
  return metrics;
}

std::vector<std::pair<std::string, std::uint64_t>> counters_of(const Metrics& metrics) {
  return {{"search_batches", metrics.search_batches},
          {"search_batches_failed", metrics.search_batches_failed},
          {"queries", metrics.queries},
          {"read_requests", metrics.read_requests},
          {"read_pages", metrics.read_pages},
          {"read_bytes", metrics.read_bytes},
          {"pages_from_cache", metrics.pages_from_cache},
          {"pages_replaced", metrics.pages_replaced},
          {"put_batches", metrics.puts.batches},
          {"put_rows", metrics.puts.rows},
          {"put_refused", metrics.puts.refused},
          {"erase_batches", metrics.erasures.batches},
          {"erase_rows", metrics.erasures.rows},
          {"erase_refused", metrics.erasures.refused},
          {"log_syncs", metrics.log_syncs},
          {"merges", metrics.merges},
          {"merges_failed", metrics.merges_failed}};
}

std::vector<std::pair<std::string, std::uint64_t>> gauges_of(const Metrics& metrics) {
  return {{"pages_cached", metrics.pages_cached},
          {"log_bytes", metrics.log_bytes},
          {"last_lsn", metrics.last_lsn},
          {"durable_lsn", metrics.durable_lsn},
          {"rows", metrics.rows},
          {"delta_rows", metrics.delta_rows},
          {"delta_bytes", metrics.delta_bytes},
          {"old_generations", metrics.old_generations},
          {"old_readers", metrics.old_readers},
          {"old_memory_bytes", metrics.old_memory_bytes},
          {"old_disk_bytes", metrics.old_disk_bytes},
          {"merging", metrics.merging},
          {"memory_used_bytes", metrics.memory_used_bytes},
          {"memory_peak_bytes", metrics.memory_peak_bytes},
          {"memory_limit_bytes", metrics.memory_limit_bytes}};
}

BOOST_AUTO_TEST_SUITE(metrics_text)

BOOST_AUTO_TEST_CASE(every_number_is_read_back) {
  const Metrics metrics = uneven_metrics();
  const PrometheusText text(to_prometheus(metrics));
  BOOST_TEST(text.fault() == "");
  for (const auto& [name, number] : counters_of(metrics)) {
    const std::string whole = "vecstore_" + name + "_total";
    BOOST_TEST(text.value(whole) == static_cast<double>(number), whole);
    BOOST_TEST(text.types().at(whole) == "counter");
  }
  for (const auto& [name, number] : gauges_of(metrics)) {
    BOOST_TEST(text.value("vecstore_" + name) == static_cast<double>(number), name);
    BOOST_TEST(text.types().at("vecstore_" + name) == "gauge");
  }
  BOOST_TEST(text.value("vecstore_reads_total") == metrics.reads_of_4k());
  // These, the reads and three histograms are all.
  BOOST_TEST(text.types().size() == counters_of(metrics).size() + gauges_of(metrics).size() + 1 + 3);
}

BOOST_AUTO_TEST_CASE(a_histogram_has_every_bound_in_seconds) {
  const Metrics metrics = uneven_metrics();
  const PrometheusText text(to_prometheus(metrics));
  for (const auto& [name, latencies] : {std::pair{"vecstore_query_latency_seconds", metrics.query_latency},
                                        {"vecstore_write_latency_seconds", metrics.write_latency},
                                        {"vecstore_log_sync_latency_seconds", metrics.log_sync_latency}}) {
    const std::string head = name;
    BOOST_TEST(text.types().at(head) == "histogram");
    BOOST_TEST(text.value(head + "_count") == static_cast<double>(latencies.count()));
    BOOST_TEST(text.value(head + "_sum") == static_cast<double>(latencies.sum_ns) / 1e9);
    BOOST_TEST(text.value(head + "_bucket{le=\"1e-06\"}") == static_cast<double>(latencies.counts[0]));
    double within = 0;
    for (std::size_t i = 0; i <= 10; ++i) within += static_cast<double>(latencies.counts[i]);
    BOOST_TEST(text.value(head + "_bucket{le=\"0.001024\"}") == within);
    const double beyond = text.value(head + "_bucket{le=\"+Inf\"}") - text.value(head + "_bucket{le=\"67.108864\"}");
    BOOST_TEST(beyond == static_cast<double>(latencies.counts.back()));
  }
}

BOOST_AUTO_TEST_CASE(the_text_of_an_unused_store_is_whole_too) {
  const PrometheusText text(to_prometheus(Metrics{}));
  BOOST_TEST(text.fault() == "");
  BOOST_TEST(text.value("vecstore_query_latency_seconds_count") == 0);
}

// A reader that takes everything would prove nothing.
BOOST_AUTO_TEST_CASE(the_reader_of_these_tests_refuses_what_is_wrong) {
  const std::string gauge = "# HELP vecstore_a A.\n# TYPE vecstore_a gauge\n";
  const std::string counter = "# HELP vecstore_a_total A.\n# TYPE vecstore_a_total counter\n";
  const std::string head = "# HELP vecstore_a_seconds A.\n# TYPE vecstore_a_seconds histogram\n";
  const std::string one = "vecstore_a_seconds_bucket{le=\"1\"} 2\n", two = "vecstore_a_seconds_bucket{le=\"2\"} 3\n";
  const std::string all = "vecstore_a_seconds_bucket{le=\"+Inf\"} 3\n", sum = "vecstore_a_seconds_sum 4\n";
  const std::string count = "vecstore_a_seconds_count 3\n";
  for (const std::string& sound :
       {gauge + "vecstore_a 1.5\n", counter + "vecstore_a_total 7\n", head + one + two + all + sum + count})
    BOOST_TEST(PrometheusText(sound).fault() == "");
  const std::vector<std::string> wrong = {"",
                                          gauge,
                                          gauge + "vecstore_a 1",
                                          gauge + "vecstore_a\n",
                                          gauge + "vecstore_a 1,5\n",
                                          gauge + "vecstore_a nan\n",
                                          gauge + "vecstore_b 1\n",
                                          gauge + "vecstore_a 1\nvecstore_a 1\n",
                                          gauge + "vecstore_a 1\n" + gauge + "vecstore_a 1\n",
                                          gauge + "\nvecstore_a 1\n",
                                          "vecstore_a 1\n",
                                          "# HELP vecstore_a A.\nvecstore_a 1\n",
                                          "# TYPE vecstore_a gauge\nvecstore_a 1\n",
                                          "# HELP vecstore_a\n# TYPE vecstore_a gauge\nvecstore_a 1\n",
                                          "# HELP vecstore_a A.\n# TYPE vecstore_a counter\nvecstore_a 1\n",
                                          "# HELP a A.\n# TYPE a gauge\na 1\n",
                                          head + one + two + sum + count,
                                          head + two + one + all + sum + count,
                                          head + one + two + all + sum + "vecstore_a_seconds_count 4\n",
                                          head + one + two + all + count + sum,
                                          head + one + all + two + sum + count,
                                          head + one + two + all + sum};
  for (const std::string& text : wrong) BOOST_TEST(PrometheusText(text).fault() != "", text);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
