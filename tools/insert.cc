// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <deque>

#include "tools/commands.h"
#include "tools/insert_rows.h"
#include "tools/numbers.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct InsertOptions {
  std::string path;
  RowFiles files;
  OpenOptions open;
  bool ack = false;
};

// Prints what is durable of the batches given to it.
class Acknowledger {
 public:
  explicit Acknowledger(bool wanted) : wanted_(wanted) {}
  Status add(std::uint64_t rows, const WriteReceipt& receipt) {
    if (wanted_) waiting_.push_back({rows, receipt.lsn});
    return durable(receipt.durable_lsn);
  }
  Status durable(std::uint64_t lsn) {
    while (!waiting_.empty() && waiting_.front().lsn <= lsn) {
      print_out("acked {} {}\n", waiting_.front().rows, lsn);
      waiting_.pop_front();
      VECSTORE_TRY(finish_output());
    }
    return {};
  }

 private:
  struct Batch {
    std::uint64_t rows, lsn;
  };
  bool wanted_;
  std::deque<Batch> waiting_;
};

// The options that put the rows which are not in.
std::string options_to_go_on(const InsertOptions& options, const RowsPut& put) {
  const RowFiles& files = options.files;
  std::string text = fmt::format("--skip {}", files.skip + put.durable);
  if (files.count) text += fmt::format(" --count {}", *files.count - put.durable);
  if (files.first_key) text += fmt::format(" --first-key {}", *files.first_key + put.durable);
  return text;
}

Outcome ended_midway(const InsertOptions& options, const Reporting& asked, const Store& store, RowsPut put) {
  put.status = with_memory_options(put.status, options.open);
  if (asked.json) {
    const StoreStats stats = store.stats();
    Json json = json_of(put, options.files, "inserted");
    json.add("rows", stats.rows);
    json.add("durable_lsn", stats.durable_lsn);
    print_json(json);
  }
  std::string done = how_far(put, options.files);
  if (put.durable != put.wanted) done += "; go on with " + options_to_go_on(options, put);
  return {put.status, done};
}

Outcome run_insert(InsertOptions& options, const Reporting& asked) {
  if (options.ack && asked.json)
    return Status(Code::kInvalidArgument, "--json prints one object and --ack a line a batch; give one of them");
  VECSTORE_ASSIGN(const auto source, open_vector_file(options.files.vectors));
  VECSTORE_ASSIGN(Store store, open_store(options.path, options.open, asked.quiet));
  VECSTORE_TRY(check_row_files(*source, options.files, store));
  Acknowledger acknowledger(options.ack);
  options.files.quiet = options.ack || asked.quiet;
  const RowsPut put = insert_rows(store, *source, options.files, [&](std::uint64_t rows, const WriteReceipt& receipt) {
    return acknowledger.add(rows, receipt);
  });
  const StoreStats stats = store.stats();
  const Status acknowledged = acknowledger.durable(stats.durable_lsn);
  if (!put.status.is_ok()) return ended_midway(options, asked, store, put);
  VECSTORE_TRY(acknowledged);
  VECSTORE_TRY(store.close());
  if (asked.json) {
    print_json({{"inserted", put.put},
                {"rows", stats.rows},
                {"durable_lsn", stats.durable_lsn},
                {"ram_peak_bytes", store.info().ram_peak_bytes},
                {"rss_peak_bytes", rss_peak_bytes()}});
  } else if (!options.ack) {
    print_out("{}: {} inserted, {} rows\n", options.path, put.put, stats.rows);
  }
  return {};
}

}  // namespace

Run add_insert(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<InsertOptions>();
  RowFiles& files = options->files;
  command.text("store", options->path, "directory of the store").required();
  command.text("--input", files.vectors, "file of vectors").required();
  command.whole("--skip", files.skip, {}, "rows of the file left out at its beginning (default 0)");
  command.whole("--count", files.count, {}, "rows put (default: all that follow)");
  const Option first_key = command.whole("--first-key", files.first_key, {},
                                         "key of the first row put, the next one is one more (default: --skip)");
  command.text("--keys", files.keys, "file of one key a line, for each row of --input, those left out included")
      .excludes(first_key);
  command.text("--documents", files.documents, "file of one document a line, for each row of --input as well");
  command.whole("--batch", files.batch, {1, kBatchRowsMax}, "rows that go in together, all or none (default 100)");
  add_write_options(command, options->open);
  add_merge_policy(command, options->open);
  command.flag("--ack", options->ack, "print 'acked ROWS LSN' after each batch that is on the disk");
  return [options, &asked] { return run_insert(*options, asked); };
}

}  // namespace vecstore::tools
