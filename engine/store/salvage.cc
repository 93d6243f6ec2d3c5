// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <unordered_map>

#include "base/thrown.h"
#include "engine/live/log_records.h"
#include "engine/store/impl.h"
#include "wal/log_reader.h"

namespace vecstore {
namespace {

constexpr std::size_t kCopyBytes = 1u << 20;
constexpr std::uint64_t kNoBound = std::uint64_t{1} << 40;  // bytes of delta and log

Status copy_file(FileSystem& files, const std::string& from_path, const std::string& to_path) {
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto buffer, Buffer<std::byte>::allocate(budget, kCopyBytes));
  VECSTORE_ASSIGN(const auto from, files.open(from_path, {OpenMode::kRead, false}));
  VECSTORE_ASSIGN(const auto to, files.open(to_path, {OpenMode::kCreateNew, false}));
  for (std::uint64_t done = 0;;) {
    VECSTORE_ASSIGN(const std::size_t got, from->read_at(buffer.span(), done));
    VECSTORE_TRY(to->write_at(buffer.span().first(got), done));
    done += got;
    if (got < buffer.size()) return to->sync();
  }
}

// The graph of `from` becomes the content of a store in `to`, without a log.
Status copy_graph(const StoreDirectory& from, const std::string& to, StoreProperties properties, FileSystem& files) {
  VECSTORE_ASSIGN(StoreDirectory directory, StoreDirectory::create(files, kStoreNames, to));
  if (directory.manifest()) return Status(Code::kExists, "a store is there already; choose another path").about(to);
  Manifest content = *from.manifest();
  for (const ManifestFile& file : content.files) {
    if (const std::size_t slash = file.name.rfind('/'); slash != std::string::npos) {
      const Status made = files.make_directory(directory.file_path(file.name.substr(0, slash)));
      if (made.code() != Code::kExists) VECSTORE_TRY(made);
    }
    VECSTORE_TRY(copy_file(files, from.file_path(file.name), directory.file_path(file.name)));
  }
  properties.has_log = false;
  content.properties = encode_properties(properties);
  return directory.publish(std::move(content));
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

 private:
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
    VECSTORE_ASSIGN(const auto document, document_of(put));
    const auto dim = static_cast<std::uint32_t>(put.vector.size() / element_bytes(properties_.dtype));
    const auto written =
        store_.put(put.key, {put.vector.data(), properties_.dtype, 1, dim}, document.value_or(std::string()));
    const bool misfit =
        !written && (written.error().code() == Code::kInvalidArgument || written.error().code() == Code::kInvalidInput);
    if (!written && !misfit) return written.error();
    ++(misfit ? report_.records_lost : report_.records);
    if (misfit) return Status::ok();
    if (!document) ++report_.documents_lost;
    names_[put.row.value] = {put.key.number(), std::string(put.key.bytes())};
    return Status::ok();
  }

  Status take(const EraseRecord& erase) {
    VECSTORE_ASSIGN(const auto name, name_of(erase.row));
    std::uint64_t erased = 0;
    if (name) {
      const bool numbers = properties_.keys == KeyKind::kNumber;
      VECSTORE_ASSIGN(const WriteReceipt receipt, store_.erase(numbers ? Key(name->number) : Key(name->bytes)));
      erased = receipt.rows;
    }
    ++(erased == 0 ? report_.records_lost : report_.records);
    return Status::ok();
  }

  struct Name {
    std::uint64_t number = 0;
    std::string bytes;
  };
  // nullopt: the row is lost, or gone.
  Result<std::optional<Name>> name_of(RowId row) const {
    if (row.value >= properties_.rows) {
      const auto found = names_.find(row.value);
      return found == names_.end() ? std::optional<Name>() : found->second;
    }
    if (properties_.keys == KeyKind::kNumber) return std::optional(Name{row.value, {}});
    auto key = store_.key(row);
    if (key) return std::optional(Name{0, std::move(*key)});
    if (key.error().code() == Code::kNotFound) return std::optional<Name>();
    return key.error();
  }

  Store& store_;
  const StoreProperties& properties_;
  SalvageReport& report_;
  MemoryBudget budget_;
  std::unique_ptr<FrameDictionary> dictionary_;
  std::unordered_map<std::uint64_t, Name> names_;  // names of the rows put, by the numbers that they had
};

}  // namespace

Result<SalvageReport> Store::salvage(const std::string& path, const std::string& to) {
  return StoreFactory::salvage(path, to, {});
}

Result<SalvageReport> StoreFactory::salvage(const std::string& path, const std::string& to,
                                            const StoreEnvironment& environment) try {
  FileSystem& files = *environment.file_system;
  VECSTORE_ASSIGN(const StoreDirectory from, StoreDirectory::open_what_is_left(files, kStoreNames, path));
  VECSTORE_ASSIGN(const StoreProperties properties, decode_properties(from.manifest()->properties));
  VECSTORE_TRY(copy_graph(from, to, properties, files));
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;  // one sync at the end
  options.delta_bytes = kNoBound;
  options.log_bytes = kNoBound;
  VECSTORE_ASSIGN(Store store, open(to, options, environment));
  // The kind of keys is only known once rows/ has been opened.
  SalvageReport report;
  Rewriter rewriter(store, store.impl_->content->properties(), report);
  if (properties.has_log) {
    MemoryBudget budget;
    const auto read_log = [&](const auto& take) {
      return salvage_log(files, from.file_path(kLogName), {from.manifest()->store, Lsn{from.manifest()->applied_lsn}},
                         budget, [&](Lsn, const LogRecord& record) { return take(record); });
    };
    auto log = read_log([&](const LogRecord& record) { return rewriter.look_for_dictionary(record); });
    if (log) log = read_log([&](const LogRecord& record) { return rewriter.take(record); });
    if (!log && log.error().code() != Code::kNotFound) return log.error();
    if (log) report.log_bytes_lost = log->lost_bytes;
  }
  if (const auto damage = from.damage(); !damage.empty()) report.content = damage.front();
  report.rows = store.size();
  VECSTORE_TRY(store.close());
  return report;
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
