// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merged_texts.h"

#include <algorithm>
#include <utility>

#include "engine/builder/input_survey.h"
#include "engine/generation/file_names.h"
#include "engine/rows/number_key.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kGoneShare = 5;   // one in so many rows of an extent is gone: it is written again
constexpr std::size_t kExtentsMost = 16;  // each of them is open

}  // namespace

MergedTexts::MergedTexts(const MergedRows& rows, bool number_keys, MemoryBudget& budget, Watch& watch)
    : rows_(rows), budget_(budget), watch_(watch) {
  const View& view = rows.view();
  const StoreProperties& properties = view.content().properties();
  layout_.number_keys = number_keys;
  layout_.keys = number_keys || properties.keys == KeyKind::kBytes;
  layout_.documents =
      view.content().has_documents() || (view.delta() != nullptr && view.delta()->document_bytes() != 0);
  if (!is_integer(properties.dtype))
    layout_.vector_bytes = properties.dim * static_cast<std::uint32_t>(element_bytes(properties.dtype));
}

bool MergedTexts::is_gone(RowId row) const { return rows_.view().live().tombstones().gone(row, rows_.view().moment()); }

// Those of another layout lack what is kept from now on.
bool MergedTexts::can_stay() const {
  const StoredRows* before = rows_.view().content().rows();
  return before != nullptr && before->layout() == layout_;
}

// An extent is written again once a share of its rows are gone, and so are those behind it: there is one new file at
// the most. Then the last ones are taken in as long as each has no more rows than are written anyway. So a row is
// written again only when twice as many rows go together, or where there would be too many extents.
Status MergedTexts::choose() {
  const View& view = rows_.view();
  const StoredRows* before = view.content().rows();
  const std::span<const RowsExtent> extents = before == nullptr ? std::span<const RowsExtent>() : before->extents();
  struct Live {
    std::uint64_t rows = 0;
    RowId first;
  };
  std::vector<Live> live(std::max<std::size_t>(extents.size(), 1));
  std::size_t at = 0;
  VECSTORE_TRY(rows_.graph().for_each_row_id(budget_, [&](RowId row) {
    if (is_gone(row)) return Status::ok();
    while (at + 1 < extents.size() && row >= extents[at + 1].first()) ++at;
    if (live[at].rows++ == 0) live[at].first = row;
    return Status::ok();
  }));
  std::size_t stay = 0;
  if (can_stay()) {
    while (stay < extents.size() && (extents[stay].rows() - live[stay].rows) * kGoneShare < extents[stay].rows())
      ++stay;
  }
  old_rows_ = 0;
  for (std::size_t extent = stay; extent < live.size(); ++extent) old_rows_ += live[extent].rows;
  const auto written_rows = [&] { return old_rows_ + rows_.added(); };
  while (stay != 0 && written_rows() != 0 && (live[stay - 1].rows <= written_rows() || stay >= kExtentsMost))
    old_rows_ += live[--stay].rows;
  extents_that_stay_ = stay;
  const auto written = std::find_if(live.begin() + static_cast<std::ptrdiff_t>(stay), live.end(),
                                    [](const Live& extent) { return extent.rows != 0; });
  if (written != live.end()) {
    first_ = written->first;
  } else if (rows_.added() != 0) {
    first_ = rows_.new_id(0);
  }
  return Status::ok();
}

Result<std::optional<ManifestFile>> MergedTexts::write(FileSystem& file_system, const std::string& path,
                                                       const FileIdentity& identity) {
  const std::uint64_t count = old_rows_ + rows_.added();
  if (count == 0) return std::optional<ManifestFile>();
  std::unique_ptr<FrameDictionary> dictionary;
  if (layout_.documents) {
    VECSTORE_ASSIGN(TextSurvey survey, TextSurvey::create(true, budget_));
    VECSTORE_TRY(for_each([&](RowId, const RowPayload& row) {
      survey.offer(row.key, row.document);
      return Status::ok();
    }));
    VECSTORE_ASSIGN(InputSurvey found, survey.finish());
    dictionary = std::move(found.dictionary);
  }
  const bool has_gaps = layout_.number_keys || rows_.greatest_id() - first_.value != count - 1;
  VECSTORE_ASSIGN(auto writer,
                  has_gaps
                      ? RowsWriter::create_with_gaps(file_system, path, identity, layout_, dictionary.get(), budget_)
                      : RowsWriter::create(file_system, path, identity, first_, layout_, dictionary.get(), budget_));
  std::uint64_t done = 0;
  const auto append = [&](RowId id, const RowPayload& row) -> Status {
    VECSTORE_TRY(watch_.step({Phase::kWrite, done++, count}));
    return has_gaps ? writer.append(id, row) : writer.append(row);
  };
  VECSTORE_TRY(for_each(append));
  VECSTORE_ASSIGN(const auto finished, writer.finish());
  return std::optional(manifest_entry(identity, finished));
}

Status MergedTexts::for_each(const Visit& visit) {
  VECSTORE_TRY(for_each_old(visit));
  return for_each_new(visit);
}

Status MergedTexts::for_each_old(const Visit& visit) {
  const Content& content = rows_.view().content();
  if (content.rows() == nullptr) {
    return rows_.graph().for_each_row_id(budget_, [&](RowId row) {
      return is_gone(row) ? Status::ok()
                          : visit(row, {layout_.number_keys ? number_key(row.value) : std::string_view(), {}, {}});
    });
  }
  const bool has_number_keys = content.rows()->layout().number_keys;
  VECSTORE_ASSIGN(StoredRowsPass pass, StoredRowsPass::begin(*content.rows(), budget_, extents_that_stay_));
  std::vector<NumberedRow> group;
  std::uint64_t stay = 0;
  while (true) {
    VECSTORE_TRY(check_cancelled(watch_.cancel()));
    VECSTORE_TRY(pass.next(group));
    if (group.empty()) break;
    for (const NumberedRow& numbered : group) {
      if (is_gone(numbered.id)) continue;
      ++stay;
      const bool becomes_number = layout_.number_keys && !has_number_keys;
      const std::string_view key = becomes_number ? number_key(numbered.id.value) : numbered.row.key;
      VECSTORE_TRY(visit(numbered.id, {key, numbered.row.document, numbered.row.vector}));
    }
  }
  if (stay == old_rows_) return Status::ok();
  return Status(Code::kCorrupt, "rows/ does not have the rows of the graph; restore or rebuild").about(content.path());
}

Status MergedTexts::for_each_new(const Visit& visit) {
  const View& view = rows_.view();
  VECSTORE_ASSIGN(auto vector, Buffer<std::byte>::allocate(budget_, layout_.vector_bytes));
  for (std::uint32_t nth = 0; nth < rows_.added(); ++nth) {
    const RowId row = rows_.new_id(nth);
    VECSTORE_ASSIGN(const std::string document, view.read_document(row));
    const Key key = view.delta()->key(row);
    RowPayload payload{{}, document, vector.span()};
    if (layout_.number_keys) {
      payload.key = number_key(key.number());
    } else if (layout_.keys) {
      payload.key = key.bytes();
    }
    if (!vector.empty()) view.delta()->copy_vector(row, vector.data());
    VECSTORE_TRY(visit(row, payload));
  }
  return Status::ok();
}

std::string_view MergedTexts::number_key(std::uint64_t number) { return key_ = encode_number_key(number); }

}  // namespace vecstore
