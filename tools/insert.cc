// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <deque>

#include "engine/text_lines.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/progress.h"

namespace vecstore::tools {
namespace {

struct InsertOptions {
  std::string path, input, keys, documents;
  std::uint64_t skip = 0;
  std::optional<std::uint64_t> first_key, count;
  std::uint64_t batch = 100;
  OpenOptions open;
  bool ack = false, json = false, quiet = false;
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
      fmt::print("acked {} {}\n", waiting_.front().rows, lsn);
      waiting_.pop_front();
      if (std::fflush(stdout) != 0)
        return Status(Code::kIo, "cannot write the acknowledgement").about("standard output");
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

// The lines of a file that has one for each of `rows`, behind the first `skip`; none when no file is named.
Result<std::optional<TextLines>> open_lines(const std::string& path, std::uint64_t skip, std::uint64_t rows,
                                            MemoryBudget& budget) {
  if (path.empty()) return std::optional<TextLines>();
  VECSTORE_ASSIGN(TextLines lines, TextLines::open(path, budget));
  std::string_view line;
  for (std::uint64_t i = 0; i < skip; ++i) VECSTORE_TRY(lines.expect_line(rows, line));
  return std::optional(std::move(lines));
}

Status run_insert(InsertOptions& options) {
  if (options.batch == 0) return Status(Code::kInvalidArgument, "a batch has at least one vector").about("--batch 0");
  VECSTORE_ASSIGN(const auto source, open_vector_file(options.input));
  if (options.skip > source->rows())
    return Status(Code::kInvalidArgument, "the file has fewer rows than are to be skipped")
        .about(options.input + " (" + std::to_string(source->rows()) + " rows)");
  VECSTORE_ASSIGN(Store store, Store::open(options.path, options.open));
  const KeyKind kind = store.info().keys;
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto keys, open_lines(options.keys, options.skip, source->rows(), budget));
  VECSTORE_ASSIGN(auto documents, open_lines(options.documents, options.skip, source->rows(), budget));
  if (kind == KeyKind::kBytes && !keys)
    return Status(Code::kInvalidArgument, "the keys of this store are byte strings; name their file").about("--keys");

  const std::uint64_t end =
      std::min(source->rows(), options.skip + options.count.value_or(source->rows() - options.skip));
  const std::uint64_t first_key = options.first_key.value_or(options.skip);
  const std::size_t row_bytes = source->dim() * element_bytes(source->dtype());
  std::vector<std::byte> vectors(options.batch * row_bytes);
  std::vector<std::string> key_texts(keys ? options.batch : 0);
  std::vector<std::string> document_texts(documents ? options.batch : 0);
  std::string_view line;
  Acknowledger acknowledger(options.ack);
  ProgressPrinter progress(options.quiet || options.ack);
  std::uint64_t inserted = 0;
  for (std::uint64_t row = options.skip; row < end;) {
    const std::uint64_t count = std::min(options.batch, end - row);
    VECSTORE_TRY(source->read(row, count, vectors.data()));
    std::vector<Key> batch_keys;
    std::vector<std::string_view> batch_documents;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (keys) {
        VECSTORE_TRY(keys->expect_line(source->rows(), line));
        key_texts[i] = line;
        VECSTORE_ASSIGN(const Key key, parse_key(key_texts[i], kind));
        batch_keys.push_back(key);
      } else {
        batch_keys.emplace_back(first_key + (row - options.skip) + i);
      }
      if (documents) {
        VECSTORE_TRY(documents->expect_line(source->rows(), line));
        document_texts[i] = line;
        batch_documents.emplace_back(document_texts[i]);
      }
    }
    const VectorView view{vectors.data(), source->dtype(), count, source->dim()};
    VECSTORE_ASSIGN(const WriteReceipt receipt, store.put_batch(batch_keys, view, batch_documents));
    inserted += receipt.rows;
    VECSTORE_TRY(acknowledger.add(inserted, receipt));
    row += count;
    progress.update("insert", row - options.skip, end - options.skip);
  }
  progress.clear();
  VECSTORE_TRY(store.flush());
  const StoreStats stats = store.stats();
  VECSTORE_TRY(acknowledger.durable(stats.durable_lsn));
  VECSTORE_TRY(store.close());
  if (options.json) {
    print_json({{"inserted", inserted}, {"rows", stats.rows}, {"durable_lsn", stats.durable_lsn}});
  } else if (!options.ack) {
    fmt::print("{}: {} inserted, {} rows\n", options.path, inserted, stats.rows);
  }
  return {};
}

}  // namespace

Command add_insert(CLI::App& app) {
  const auto options = std::make_shared<InsertOptions>();
  CLI::App* command = app.add_subcommand("insert", "put the vectors of a file into a store, searchable at once");
  command->add_option("store", options->path, "directory of the store")->required();
  command->add_option("--input", options->input, "file of vectors")->required();
  command->add_option("--skip", options->skip, "rows of the file left out at its beginning (default 0)");
  command->add_option("--count", options->count, "rows put (default: all that follow)");
  auto* first_key = command->add_option("--first-key", options->first_key,
                                        "key of the first row put, the next one is one more (default: --skip)");
  command->add_option("--keys", options->keys, "file of one key a line, for all rows of --input")->excludes(first_key);
  command->add_option("--documents", options->documents, "file of one document a line, for all rows of --input");
  command->add_option("--batch", options->batch, "rows that go in together, all or none (default 100)");
  add_write_options(*command, options->open);
  command->add_flag("--ack", options->ack, "print 'acked ROWS LSN' after each batch that is on the disk");
  add_size(*command, "--ram", options->open.ram_bytes, "bound of all memory (default: none)");
  add_quiet(*command, options->quiet);
  add_json(*command, options->json);
  return {command, [options] { return run_insert(*options); }};
}

}  // namespace vecstore::tools
