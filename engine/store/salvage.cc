// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/thrown.h"
#include "engine/live/log_records.h"
#include "engine/snapshot/store_copy.h"
#include "engine/store/impl.h"
#include "pagestore/store_files.h"
#include "wal/log_reader.h"

namespace vecstore {
namespace {

constexpr std::size_t kCopyBytes = 1u << 20;
constexpr std::size_t kRowsTogether = 1000;
constexpr std::uint64_t kNoBound = std::uint64_t{1} << 40;  // bytes of delta and log

// The graph of `from` becomes the content of a store in `to`, without a log.
Status copy_graph(const StoreDirectory& from, const std::string& to, StoreProperties properties, FileSystem& files,
                  const CancelToken* cancel) {
  VECSTORE_ASSIGN(StoreDirectory directory, StoreDirectory::create(files, kStoreNames, to));
  CopySource source{from.path(), *from.manifest()};
  CopiedStore copied;
  VECSTORE_TRY(copy_files(files, source, directory, CopyManner::kCopy, cancel, copied));
  properties.has_log = false;
  source.content.properties = encode_properties(properties);
  return directory.publish(std::move(source.content));
}

// Puts the records of a damaged log into a store of the same graph. Their rows get new numbers there.
class Rewriter {
 public:
  Rewriter(Store& store, const StoreProperties& properties, SalvageReport& report)
      : store_(store), properties_(properties), report_(report) {}

  // Before anything else: the dictionary is needed by what came before the one that is left of it, too.
  Status look_for_dictionary(const LogRecord& record) {
    if (dictionary_ != nullptr || static_cast<RecordType>(record.type) != RecordType::kDictionary) return Status::ok();
    auto dictionary = FrameDictionary::open(record.payload, budget_);
    if (dictionary) dictionary_ = std::move(*dictionary);
    return dictionary || dictionary.error().code() == Code::kCorrupt ? Status::ok() : dictionary.error();
  }

  Status take(const LogRecord& record) {
    if (const auto put = decode_put(record)) return take(*put);
    if (const auto erase = decode_erase(record)) return take(*erase);
    if (static_cast<RecordType>(record.type) != RecordType::kDictionary) ++report_.records_lost;
    return Status::ok();
  }

  // Puts what waits. Rows that follow each other share a group of the log, which one alone would fill with padding.
  Status flush() {
    const Status put = put_all();
    waiting_.clear();
    vectors_.clear();
    return put;
  }

 private:
  struct Name {
    std::uint64_t number = 0;
    std::string bytes;
  };
  struct Waiting {
    RowId row;
    Name name;
    std::optional<std::string> document;
  };

  // Borrows from the name.
  Key key_of(const Name& name) const {
    return properties_.keys == KeyKind::kNumber ? Key(name.number) : Key(name.bytes);
  }

  // nullopt: it was packed with a dictionary that is lost.
  Result<std::optional<std::string>> document_of(const PutRecord& put) const {
    if (!put.is_packed()) return std::optional(std::string(put.document));
    std::string document(put.document_bytes, '\0');
    const Status unpacked = decompress_frame(std::as_bytes(std::span(put.document)),
                                             std::as_writable_bytes(std::span(document)), dictionary_.get());
    if (unpacked.code() == Code::kCorrupt) return std::optional<std::string>();
    VECSTORE_TRY(unpacked);
    return std::optional(std::move(document));
  }

  Status take(const PutRecord& put) {
    VECSTORE_ASSIGN(auto document, document_of(put));
    if (waiting_.size() == kRowsTogether || vectors_.size() >= kCopyBytes || put.vector.size() != row_bytes_)
      VECSTORE_TRY(flush());
    row_bytes_ = put.vector.size();
    vectors_.insert(vectors_.end(), put.vector.begin(), put.vector.end());
    waiting_.push_back({put.row, {put.key.number(), std::string(put.key.bytes())}, std::move(document)});
    return Status::ok();
  }

  Status put_all() {
    if (waiting_.empty()) return Status::ok();
    const Status together = put_some(0, waiting_.size());
    if (!is_misfit(together)) return together;
    for (std::size_t i = 0; i < waiting_.size(); ++i) {  // which of them it is
      const Status alone = put_some(i, 1);
      if (is_misfit(alone)) {
        ++report_.records_lost;
      } else {
        VECSTORE_TRY(alone);
      }
    }
    return Status::ok();
  }

  static bool is_misfit(const Status& status) {
    return status.code() == Code::kInvalidArgument || status.code() == Code::kInvalidInput;
  }

  Status put_some(std::size_t first, std::size_t count) {
    const auto rows = std::span(waiting_).subspan(first, count);
    std::vector<Key> keys;
    std::vector<std::string_view> documents;
    for (const Waiting& row : rows) {
      keys.push_back(key_of(row.name));
      documents.emplace_back(row.document ? std::string_view(*row.document) : std::string_view());
    }
    const auto dim = static_cast<std::uint32_t>(row_bytes_ / element_bytes(properties_.dtype));
    const VectorView vectors{vectors_.data() + first * row_bytes_, properties_.dtype, count, dim};
    const auto written = store_.put_batch(keys, vectors, documents);
    if (!written) return written.error();
    for (const Waiting& row : rows) {
      ++report_.records;
      if (!row.document) ++report_.documents_lost;
      names_[row.row.value] = row.name;
    }
    return Status::ok();
  }

  Status take(const EraseRecord& erase) {
    VECSTORE_TRY(flush());
    VECSTORE_ASSIGN(const auto name, name_of(erase.row));
    std::uint64_t erased = 0;
    if (name) {
      VECSTORE_ASSIGN(const WriteReceipt receipt, store_.erase(key_of(*name)));
      erased = receipt.rows;
    }
    ++(erased == 0 ? report_.records_lost : report_.records);
    return Status::ok();
  }

  // nullopt: the row is lost, or gone.
  Result<std::optional<Name>> name_of(RowId row) const {
    if (row.value >= properties_.row_end) {
      const auto found = names_.find(row.value);
      return found == names_.end() ? std::optional<Name>() : found->second;
    }
    auto key = store_.key(row);
    if (!key && key.error().code() == Code::kNotFound) return std::optional<Name>();
    if (!key) return key.error();
    if (properties_.keys == KeyKind::kBytes) return std::optional(Name{0, std::move(*key)});
    Name name;
    std::from_chars(key->data(), key->data() + key->size(), name.number);
    return std::optional(name);
  }

  Store& store_;
  const StoreProperties& properties_;
  SalvageReport& report_;
  MemoryBudget budget_;
  std::unique_ptr<FrameDictionary> dictionary_;
  std::vector<Waiting> waiting_;
  std::vector<std::byte> vectors_;  // of these, one after the other
  std::size_t row_bytes_ = 0;
  std::unordered_map<std::uint64_t, Name> names_;  // names of the rows put, by the numbers that they had
};

// The directory in which a store is made until it is whole. What is left of it goes with this.
class Making {
 public:
  Making(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  ~Making() {
    if (!path_.empty()) static_cast<void>(without_throwing([this] { return remove_tree(files_, path_); }));
  }
  Making(const Making&) = delete;
  Making& operator=(const Making&) = delete;

  // Gives it the name that it is wanted under, which nothing or an empty directory has.
  Status name(const std::string& to) {
    const std::size_t slash = to.rfind('/');
    VECSTORE_TRY(files_.rename(path_, to));
    path_.clear();
    return files_.sync_directory(slash == std::string::npos ? "." : to.substr(0, slash + 1));
  }

 private:
  FileSystem& files_;
  std::string path_;
};

Status check_is_free(FileSystem& files, const std::string& path) {
  VECSTORE_ASSIGN(const EntryKind kind, files.kind_of(path));
  if (kind == EntryKind::kNone) return Status::ok();
  if (kind == EntryKind::kDirectory) {
    VECSTORE_ASSIGN(const auto entries, files.list(path));
    if (entries.empty()) return Status::ok();
  }
  return Status(Code::kExists, "something is there already; choose another path").about(path);
}

}  // namespace

Result<SalvageReport> Store::salvage(const std::string& path, const std::string& to, const CancelToken* cancel) {
  return StoreFactory::salvage(path, to, {}, cancel);
}

Result<SalvageReport> StoreFactory::salvage(const std::string& path, const std::string& to,
                                            const StoreEnvironment& environment, const CancelToken* cancel) try {
  FileSystem& files = *environment.file_system;
  std::string target = to;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  VECSTORE_ASSIGN(const StoreDirectory from, StoreDirectory::open_what_is_left(files, kStoreNames, path));
  VECSTORE_TRY(check_is_free(files, target));
  const std::string made = target + ".partial-" + std::to_string(::getpid());
  Making making(files, made);  // half a store must never pass for what could be saved
  auto report = salvage_into(from, made, environment, cancel);
  const Status named = report ? making.name(target) : report.error();
  if (named.is_ok()) return report;
  // The name that comes and goes is nobody's concern.
  if (!named.subject().starts_with(made)) return named;
  return Status(named).about(target + std::string(named.subject().substr(made.size())));
} catch (...) {
  return status_of_exception();
}

Result<SalvageReport> StoreFactory::salvage_into(const StoreDirectory& from, const std::string& to,
                                                 const StoreEnvironment& environment, const CancelToken* cancel) {
  FileSystem& files = *environment.file_system;
  VECSTORE_ASSIGN(const StoreProperties properties, decode_properties(from.manifest()->properties));
  VECSTORE_TRY(copy_graph(from, to, properties, files, cancel));
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;  // one sync at the end
  options.delta_bytes = kNoBound;
  options.log_bytes = kNoBound;
  options.cancel = cancel;
  VECSTORE_ASSIGN(Store store, open(to, options, environment));
  // The kind of keys is only known once rows/ has been opened.
  SalvageReport report;
  const auto epoch = store.impl_->epoch();
  Rewriter rewriter(store, epoch->content->properties(), report);
  if (properties.has_log) {
    MemoryBudget budget;
    const auto read_log = [&](const auto& take) {
      const ReplayOptions all{from.manifest()->store, Lsn{from.manifest()->applied_lsn}};
      return salvage_log(files, from.file_path(kLogName), all, budget, [&](Lsn, const LogRecord& record) -> Status {
        VECSTORE_TRY(check_cancelled(cancel));
        return take(record);
      });
    };
    auto log = read_log([&](const LogRecord& record) { return rewriter.look_for_dictionary(record); });
    if (log) log = read_log([&](const LogRecord& record) { return rewriter.take(record); });
    if (!log && log.error().code() != Code::kNotFound) return log.error();
    VECSTORE_TRY(rewriter.flush());
    if (log) report.log_bytes_lost = log->lost_bytes;
  }
  if (const auto damage = from.damage(); !damage.empty()) report.content = damage.front();
  report.rows = store.size();
  VECSTORE_TRY(store.close());
  return report;
}

}  // namespace vecstore
