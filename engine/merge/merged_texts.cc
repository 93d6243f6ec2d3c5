// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merged_texts.h"

#include <utility>

#include "engine/builder/input_survey.h"
#include "engine/generation/file_names.h"
#include "engine/rows/number_key.h"

namespace vecstore {

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

Result<ManifestFile> MergedTexts::write(FileSystem& file_system, const std::string& path,
                                        const FileIdentity& identity) {
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
  const bool has_gaps = layout_.number_keys || rows_.greatest_id() != rows_.rows() - 1;
  VECSTORE_ASSIGN(auto writer,
                  has_gaps
                      ? RowsWriter::create_with_gaps(file_system, path, identity, layout_, dictionary.get(), budget_)
                      : RowsWriter::create(file_system, path, identity, RowId{0}, layout_, dictionary.get(), budget_));
  std::uint64_t done = 0;
  const auto append = [&](RowId id, const RowPayload& row) -> Status {
    VECSTORE_TRY(watch_.step({Phase::kWrite, done++, rows_.rows()}));
    return has_gaps ? writer.append(id, row) : writer.append(row);
  };
  VECSTORE_TRY(for_each(append));
  VECSTORE_ASSIGN(const auto finished, writer.finish());
  return manifest_entry(identity, finished);
}

Status MergedTexts::for_each(const Visit& visit) {
  VECSTORE_TRY(for_each_old(visit));
  return for_each_new(visit);
}

Status MergedTexts::for_each_old(const Visit& visit) {
  const View& view = rows_.view();
  const Content& content = view.content();
  const auto is_gone = [&](RowId row) { return view.live().tombstones().gone(row, view.moment()); };
  if (content.rows() == nullptr) {
    return rows_.graph().for_each_row_id(budget_, [&](RowId row) {
      return is_gone(row) ? Status::ok()
                          : visit(row, {layout_.number_keys ? number_key(row.value) : std::string_view(), {}, {}});
    });
  }
  const bool has_number_keys = content.rows()->layout().number_keys;
  VECSTORE_ASSIGN(RowsPass pass, RowsPass::begin(*content.rows(), budget_));
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
  if (stay == rows_.stay()) return Status::ok();
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
