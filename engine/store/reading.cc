// SPDX-License-Identifier: Apache-2.0
//
// The calls of the public API that search, look up and read: each looks at the process it is in and takes a view.
#include <algorithm>
#include <charconv>
#include <utility>

#include "base/thrown.h"
#include "engine/check_options.h"
#include "engine/store/impl.h"
#include "engine/store/scan.h"
#include "engine/store/search.h"

namespace vecstore {
namespace {

Status too_many_queries() { return {Code::kInvalidArgument, "too many queries for one batch; divide it"}; }

Status no_such_key(const Key& key) {
  return Status(Code::kNotFound, "the store has no such key").about(key.to_string());
}

}  // namespace

// A store may move, its Impl does not.
struct Scan::Impl {
  Impl(const Store::Impl& of, ScanOfView over) : store(of), rows(std::move(over)) {}
  const Store::Impl& store;
  const std::uint64_t mark = process_mark();
  Status failure;
  ScanOfView rows;
  Impl* next_disowned = nullptr;
};

void Scan::Dispose::operator()(Impl* impl) const { dispose_of(impl); }

// ----------------------------------------------------------------------------------------------------------- searching

template <typename Search>
Result<SearchResults> Store::Impl::counted_search(const Search& search) {
  try {
    VECSTORE_TRY(check_process());
    SearchResults results;
    const Status outcome = search(results);
    add_to(outcome.is_ok() ? counters.searches.batches : counters.searches.failed, 1);
    if (!outcome.is_ok()) return outcome;
    return results;
  } catch (...) {
    add_to(counters.searches.failed, 1);  // what a caller's own function throws goes on its way
    return status_of_exception();
  }
}

Result<SearchResults> Store::search(const VectorView& queries, const SearchOptions& options,
                                    std::uint32_t threads) const {
  return impl_->counted_search(
      [&](SearchResults& results) { return impl_->search(queries, options, threads, results); });
}

Result<SearchResults> Store::search_by_key(std::span<const Key> keys, const SearchOptions& options,
                                           std::uint32_t threads) const {
  return impl_->counted_search(
      [&](SearchResults& results) { return impl_->search_by_key(keys, options, threads, results); });
}

Status Store::Impl::search(const VectorView& queries, const SearchOptions& options, std::uint32_t threads,
                           SearchResults& results) {
  const auto [epoch, now] = current.pin();
  return search(*epoch, now, queries, {}, options, threads, results);
}

Status Store::Impl::search_by_key(std::span<const Key> keys, const SearchOptions& options, std::uint32_t threads,
                                  SearchResults& results) {
  VECSTORE_TRY(check_options(options));
  if (options.k > kBesideOwnMax)
    return Status(Code::kInvalidArgument, "k is too large; the most that one search returns beside a row is 999");
  if (keys.size() > kQueriesMax) return too_many_queries();
  const auto [epoch, now] = current.pin();
  const DType dtype = now.content().properties().dtype;
  const std::size_t row_bytes = now.dim() * element_bytes(dtype);
  VECSTORE_ASSIGN(auto vectors, Buffer<std::byte>::allocate(budget, keys.size() * row_bytes));
  VECSTORE_ASSIGN(auto own, Buffer<RowId>::allocate(budget, keys.size()));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    VECSTORE_TRY(check_cancelled(options.cancel));
    VECSTORE_ASSIGN(const auto row, now.row_of(keys[i]));
    if (!row) return no_such_key(keys[i]).at(Detail::kRow, i);
    own[i] = *row;
    VECSTORE_TRY(now.read_vector(*row, vectors.data() + i * row_bytes));
  }
  return search(*epoch, now, {vectors.data(), dtype, keys.size(), now.dim(), 0}, own.span(), options, threads, results);
}

// own: of each query the row that is no answer, or none.
Status Store::Impl::search(const Epoch& epoch, const View& now, const VectorView& queries, std::span<const RowId> own,
                           const SearchOptions& options, std::uint32_t threads, SearchResults& results) {
  VECSTORE_TRY(check_queries(now, queries, options));
  if (threads == 0 || threads > kThreadsMax)
    return Status(Code::kInvalidArgument, "the number of threads must be between 1 and 256");
  if (queries.rows > kQueriesMax) return too_many_queries();
  results.k_ = options.k;
  results.hits_.resize(queries.rows * options.k);
  results.counts_.resize(queries.rows);
  results.stats_.resize(queries.rows);
  if (options.texts != HitTexts::kNone) results.keys_.resize(results.hits_.size());
  if (options.texts == HitTexts::kKeysAndDocuments) results.documents_.resize(results.hits_.size());
  VECSTORE_ASSIGN(auto left_out, Buffer<RowId>::allocate(budget, options.exclude.size()));
  std::size_t found = 0;
  for (const Key& key : options.exclude) {
    VECSTORE_TRY(check_cancelled(options.cancel));
    VECSTORE_ASSIGN(const auto row, now.row_of(key));
    if (row) left_out[found++] = *row;
  }
  const std::span<RowId> rows = left_out.span().first(found);
  std::ranges::sort(rows);
  const std::size_t distinct = std::ranges::unique(rows).begin() - rows.begin();
  return search_view(now, *epoch.searchers, queries, epoch.content->resolved(options), {rows.first(distinct), own},
                     threads, budget, counters.searches,
                     {results.hits_, results.counts_, results.stats_, results.keys_, results.documents_});
}

SearchOptions Store::resolved(const SearchOptions& options) const {
  return impl_->check_process().is_ok() ? impl_->epoch()->content->resolved(options) : options;
}

std::optional<CalibrationPoint> Store::calibration_for(const SearchOptions& options) const {
  if (!impl_->check_process().is_ok()) return std::nullopt;
  const auto epoch = impl_->epoch();
  const CalibrationPoint* point = vecstore::calibration_for(epoch->content->properties(), options);
  return point == nullptr ? std::nullopt : std::optional(*point);
}

std::optional<RecallExpectation> Store::recall_expected(const SearchOptions& options) const {
  const auto epoch = impl_->epoch();
  const Content& content = *epoch->content;
  const CalibrationPoint* point = vecstore::calibration_for(content.properties(), options);
  if (point == nullptr || options.search_list != 0 || options.blocks != 0 || options.bound >= 0) return std::nullopt;
  RecallExpectation expectation{options.recall_target, point->recall, point->recall < options.recall_target, {}};
  if (expectation.missed)
    expectation.reason = why_missed(content.properties(), content.graph()->layout(), options.recall_target);
  return expectation;
}

// ---------------------------------------------------------------------------------------------------------------- rows

Result<std::string> Store::document(RowId row) const try {
  VECSTORE_TRY(impl_->check_process());
  const View view = impl_->view();
  VECSTORE_TRY(view.check_row(row));
  if (row.value < view.content().row_end() && !view.content().has_documents())
    return Status(Code::kNotFound, "the store was built without documents").about(view.content().path());
  return view.read_document(row);
} catch (...) {
  return status_of_exception();
}

Result<std::string> Store::key(RowId row) const try {
  VECSTORE_TRY(impl_->check_process());
  const View view = impl_->view();
  VECSTORE_TRY(view.check_row(row));
  return view.key_of(row);
} catch (...) {
  return status_of_exception();
}

Status Store::vector(RowId row, std::span<std::byte> out) const try {
  VECSTORE_TRY(impl_->check_process());
  const View view = impl_->view();
  VECSTORE_TRY(view.check_row(row));
  const std::size_t bytes = view.dim() * element_bytes(view.content().properties().dtype);
  if (out.size() != bytes)
    return Status(Code::kInvalidArgument, "the place for the vector has another size than the vector, which takes")
        .at(Detail::kBytes, bytes);
  return view.read_vector(row, out.data());
} catch (...) {
  return status_of_exception();
}

Result<RowId> Store::find(const Key& key) const try {
  VECSTORE_TRY(impl_->check_process());
  const View view = impl_->view();
  Key wanted = key;
  if (key.kind() == KeyKind::kBytes && view.content().properties().keys == KeyKind::kNumber) {
    const std::string_view digits = key.bytes();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) return no_such_key(key);
    wanted = Key(number);
  }
  VECSTORE_ASSIGN(const auto row, view.row_of(wanted));
  if (!row) return no_such_key(key);
  return *row;
} catch (...) {
  return status_of_exception();
}

Result<StoredItem> Store::get(const Key& key) const try {
  VECSTORE_TRY(impl_->check_process());
  const View view = impl_->view();
  VECSTORE_ASSIGN(const auto row, view.row_of(key));
  if (!row) return no_such_key(key);
  StoredItem item;
  VECSTORE_TRY(view.read_item(*row, &item.vector, &item.document));
  return item;
} catch (...) {
  return status_of_exception();
}

Result<std::vector<std::optional<StoredItem>>> Store::get_batch(std::span<const Key> keys,
                                                                const GetOptions& options) const try {
  VECSTORE_TRY(impl_->check_process());
  const View view = impl_->view();
  for (const Key& key : keys) VECSTORE_TRY(view.content().check_key(key));
  std::vector<std::optional<StoredItem>> items(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    VECSTORE_TRY(check_cancelled(options.cancel));
    VECSTORE_ASSIGN(const auto row, view.row_of(keys[i]));
    if (!row) continue;
    StoredItem& item = items[i].emplace();
    VECSTORE_TRY(
        view.read_item(*row, options.vectors ? &item.vector : nullptr, options.documents ? &item.document : nullptr));
  }
  return items;
} catch (...) {
  return status_of_exception();
}

Result<Scan> Store::scan(const ScanOptions& options) const try {
  VECSTORE_TRY(impl_->check_process());
  VECSTORE_ASSIGN(auto rows, ScanOfView::begin(impl_->view(), options, impl_->budget));
  return Scan(std::make_unique<Scan::Impl>(*impl_, std::move(rows)));
} catch (...) {
  return status_of_exception();
}

Scan::Scan(std::unique_ptr<Impl> impl) : impl_(impl.release()) {}
Scan::Scan(Scan&&) noexcept = default;
Scan& Scan::operator=(Scan&&) noexcept = default;
Scan::~Scan() = default;

Status Scan::next(ScanBatch& batch, std::size_t rows_max) try {
  if (impl_->mark != process_mark()) return impl_->store.of_another_process();
  if (rows_max == 0) batch.clear();
  if (rows_max == 0) return Status(Code::kInvalidArgument, "a batch of a scan must have room for a row");
  if (impl_->failure.is_ok()) impl_->failure = without_throwing([&] { return impl_->rows.next(batch, rows_max); });
  if (!impl_->failure.is_ok()) batch.clear();
  return impl_->failure;
} catch (...) {
  return status_of_exception();
}

Result<bool> Store::contains(const Key& key) const try {
  VECSTORE_TRY(impl_->check_process());
  VECSTORE_ASSIGN(const auto row, impl_->view().row_of(key));
  return row.has_value();
} catch (...) {
  return status_of_exception();
}

std::uint64_t Store::size() const { return impl_->check_process().is_ok() ? impl_->epoch()->live->live_rows() : 0; }

Status Store::for_each_key(const std::function<bool(const Key&, RowId)>& visit) const try {
  VECSTORE_TRY(impl_->check_process());
  bool ended = false;
  const Status outcome = impl_->view().for_each_row([&](const Key& key, RowId row) {
    ended = !visit(key, row);
    if (ended) return Status(Code::kInvalidArgument, "the visitor has seen enough");
    return impl_->check_process();  // a visitor may call fork()
  });
  return ended ? Status::ok() : outcome;
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
