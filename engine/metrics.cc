// SPDX-License-Identifier: Apache-2.0
#include "engine/metrics.h"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace vecstore {
namespace {

// The shortest decimal that is read back as the same number, whatever the locale.
std::string text_of(std::uint64_t number) { return std::to_string(number); }
std::string text_of(double number) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number);
  return {text.data(), end};
}

class Exposition {
 public:
  template <typename Number>
  void counter(std::string_view name, std::string_view help, Number number) {
    head(name, "_total", help, "counter");
    sample(name, "_total", text_of(number));
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t number) {
    head(name, "", help, "gauge");
    sample(name, "", text_of(number));
  }
  void histogram(std::string_view name, std::string_view help, const LatencyHistogram& latencies) {
    head(name, "", help, "histogram");
    std::uint64_t within = 0;
    for (std::size_t i = 0; i < LatencyHistogram::kBounds; ++i) {
      within += latencies.counts[i];
      sample(name, "_bucket{le=\"" + text_of(LatencyHistogram::bound_seconds(i)) + "\"}", text_of(within));
    }
    sample(name, "_bucket{le=\"+Inf\"}", text_of(latencies.count()));
    sample(name, "_sum", text_of(latencies.sum_seconds()));
    sample(name, "_count", text_of(latencies.count()));
  }
  std::string take() { return std::move(text_); }

 private:
  void head(std::string_view name, std::string_view ending, std::string_view help, std::string_view type) {
    for (const auto& [word, what] : {std::pair{"# HELP vecstore_", help}, {"# TYPE vecstore_", type}})
      text_.append(word).append(name).append(ending).append(" ").append(what).append("\n");
  }
  void sample(std::string_view name, std::string_view ending, const std::string& number) {
    text_.append("vecstore_").append(name).append(ending).append(" ").append(number).append("\n");
  }

  std::string text_;
};

void add_searches(const Metrics& metrics, Exposition& to) {
  to.counter("search_batches", "Searches that were answered.", metrics.search_batches);
  to.counter("search_batches_failed", "Searches that returned an error.", metrics.search_batches_failed);
  to.counter("queries", "Queries of the searches that were answered.", metrics.queries);
  to.histogram("query_latency_seconds", "Time of a query.", metrics.query_latency);
  to.counter("read_requests", "Read requests of queries, each of one page or several side by side.",
             metrics.read_requests);
  to.counter("read_pages", "Pages that queries read.", metrics.read_pages);
  to.counter("read_bytes", "Bytes that queries read.", metrics.read_bytes);
  to.counter("reads", "What the read requests cost a disk, in requests for one page of 4 KiB.", metrics.reads_of_4k());
  to.counter("pages_from_cache", "Pages that queries found in the page cache.", metrics.pages_from_cache);
  to.counter("pages_replaced", "Pages of the page cache that others took the place of.", metrics.pages_replaced);
  to.gauge("pages_cached", "Pages in the page cache.", metrics.pages_cached);
}

void add_writes(const Metrics& metrics, Exposition& to) {
  to.counter("put_batches", "Puts that were acknowledged, of one row or several.", metrics.puts.batches);
  to.counter("put_rows", "Rows of the puts that were acknowledged.", metrics.puts.rows);
  to.counter("put_refused", "Puts that returned an error.", metrics.puts.refused);
  to.counter("erase_batches", "Erasures that were acknowledged, of one key or several.", metrics.erasures.batches);
  to.counter("erase_rows", "Rows that were erased.", metrics.erasures.rows);
  to.counter("erase_refused", "Erasures that returned an error.", metrics.erasures.refused);
  to.histogram("write_latency_seconds", "Time of a put or an erasure that was acknowledged.", metrics.write_latency);
  to.counter("log_syncs", "Syncs of the log.", metrics.log_syncs);
  to.histogram("log_sync_latency_seconds", "Time of a sync of the log.", metrics.log_sync_latency);
}

void add_state(const Metrics& metrics, Exposition& to) {
  to.gauge("log_bytes", "Size of the files of the log.", metrics.log_bytes);
  to.gauge("last_lsn", "Number of the last log record.", metrics.last_lsn);
  to.gauge("durable_lsn", "Number of the last log record that is on the disk.", metrics.durable_lsn);
  to.gauge("rows", "Live rows.", metrics.rows);
  to.gauge("delta_rows", "Live rows that were put since the graph was built.", metrics.delta_rows);
  to.gauge("delta_bytes", "Memory of what was put since the graph was built.", metrics.delta_bytes);
  to.counter("merges", "Merges that were completed.", metrics.merges);
  to.counter("merges_failed", "Merges that were put off, cancelled or failed.", metrics.merges_failed);
  to.gauge("merging", "Merges under way.", metrics.merging);
  to.gauge("old_generations", "Generations before the newest that calls of this process read.",
           metrics.old_generations);
  to.gauge("old_readers", "Calls that read these.", metrics.old_readers);
  to.gauge("old_memory_bytes", "Memory that these calls keep.", metrics.old_memory_bytes);
  to.gauge("old_disk_bytes", "Size of removed files that these calls keep.", metrics.old_disk_bytes);
  to.gauge("memory_used_bytes", "Memory in use, of the budget.", metrics.memory_used_bytes);
  to.gauge("memory_peak_bytes", "Most memory that was in use, of the budget.", metrics.memory_peak_bytes);
  to.gauge("memory_limit_bytes", "Bound of the memory; 0 where none was given.", metrics.memory_limit_bytes);
}

}  // namespace

std::string to_prometheus(const Metrics& metrics) {
  Exposition text;
  add_searches(metrics, text);
  add_writes(metrics, text);
  add_state(metrics, text);
  return text.take();
}

}  // namespace vecstore
