// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "base/limits.h"
#include "tools/commands.h"
#include "tools/document_text.h"
#include "tools/explain.h"
#include "tools/interrupt.h"
#include "tools/numbers.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct QueryOptions {
  std::string path, queries, like;
  std::vector<std::string> exclude;
  std::optional<float> radius;
  std::uint64_t row = 0;
  OpenOptions open;
  SearchOptions search;
};

struct OneVector {
  std::vector<std::byte> bytes;
  DType dtype = DType::kF32;
  std::uint32_t dim = 0;
};

Result<std::string> read_standard_input() {
  constexpr std::size_t kInputBytesMax = 1u << 20;  // kDimMax numbers of 256 characters
  std::string text;
  char part[4096];
  errno = 0;
  for (std::size_t got = std::fread(part, 1, sizeof part, stdin); got != 0;
       got = std::fread(part, 1, sizeof part, stdin)) {
    text.append(part, got);
    if (text.size() > kInputBytesMax)
      return Status(Code::kInvalidInput, "more than 1 MiB of numbers; give one vector").about("standard input");
  }
  if (std::ferror(stdin) != 0)
    return errno_status(errno != 0 ? errno : EIO, "cannot read the numbers", "standard input");
  // Shells of Windows put a mark in front of what they pipe.
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return Status(Code::kInvalidInput, "this is UTF-16 text; pipe it through iconv -f UTF-16 -t UTF-8")
        .about("standard input");
  if (constexpr std::string_view kMark = "\xEF\xBB\xBF"; text.starts_with(kMark)) text.erase(0, kMark.size());
  return text;
}

// Numbers divided by spaces, commas, newlines or brackets.
Result<std::vector<float>> parse_numbers(const std::string& text) {
  constexpr std::string_view kBetween = " \t\r\n,;[]()";
  std::vector<float> numbers;
  for (std::size_t at = text.find_first_not_of(kBetween); at < text.size(); at = text.find_first_not_of(kBetween, at)) {
    const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const auto number = parse_real(std::string_view(text).substr(at, end - at));
    if (!number || std::fabs(*number) > static_cast<double>(std::numeric_limits<float>::max()))
      return Status(Code::kInvalidInput, "this is not a finite number, or beyond a float")
          .about("standard input")
          .at(Detail::kOffset, at);
    numbers.push_back(static_cast<float>(*number));
    at = end;
  }
  return numbers;
}

Status put_number(DType dtype, float number, std::size_t i, std::vector<std::byte>& bytes) {
  if (dtype == DType::kF32) {
    std::memcpy(bytes.data() + i * 4, &number, 4);
  } else if (dtype == DType::kF16) {
    const std::uint16_t half = float_to_half(number);
    if (!std::isfinite(half_to_float(half)))
      return Status(Code::kInvalidInput, "the index holds halves, up to 65504; this number (counted from 0) is beyond")
          .about("standard input (number " + std::to_string(i) + ")");
    std::memcpy(bytes.data() + i * 2, &half, 2);
  } else {
    const bool is_u8 = dtype == DType::kU8;
    const float low = is_u8 ? 0.0f : -128.0f, high = is_u8 ? 255.0f : 127.0f;
    if (!(number >= low && number <= high) || number != std::trunc(number))
      return Status(Code::kInvalidInput, "the index holds 8-bit integers; this number (counted from 0) is none")
          .about("standard input (number " + std::to_string(i) + ")");
    bytes[i] = static_cast<std::byte>(static_cast<int>(number));
  }
  return {};
}

Result<OneVector> vector_of_input(const std::string& text, const StoreInfo& info) {
  VECSTORE_ASSIGN(const std::vector<float> numbers, parse_numbers(text));
  if (numbers.size() != info.dim)
    return Status(Code::kInvalidInput, "the vector has another dimension than the index")
        .about("standard input (" + std::to_string(numbers.size()) + " numbers, index " + std::to_string(info.dim) +
               ")");
  OneVector vector{std::vector<std::byte>(info.dim * element_bytes(info.dtype)), info.dtype, info.dim};
  for (std::size_t i = 0; i < numbers.size(); ++i) VECSTORE_TRY(put_number(info.dtype, numbers[i], i, vector.bytes));
  return vector;
}

Result<OneVector> vector_of_file(const QueryOptions& options) {
  VECSTORE_ASSIGN(const auto source, open_vector_file(options.queries));
  if (options.row >= source->rows())
    return Status(Code::kInvalidArgument, "the file has no such row; rows are counted from 0")
        .about(options.queries + " (" + std::to_string(source->rows()) + " rows)")
        .at(Detail::kRow, options.row);
  OneVector vector{std::vector<std::byte>(source->dim() * element_bytes(source->dtype())), source->dtype(),
                   source->dim()};
  VECSTORE_TRY(source->read(options.row, 1, vector.bytes.data()));
  return vector;
}

struct Answer {
  Hit hit;
  std::string key;
  std::optional<std::string> document;
};

std::vector<Answer> answers_of(const SearchResults& results) {
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    Answer answer{results[0][i], std::string(results.key(0, i)), {}};
    if (const std::string_view document = results.document(0, i); !document.empty()) answer.document = document;
    answers.push_back(std::move(answer));
  }
  return answers;
}

Json to_json(const std::vector<Answer>& answers, const QueryStats& stats) {
  std::vector<Json> list;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Answer& answer = answers[i];
    Json one = {{"rank", i + 1},
                {"row", answer.hit.row.value},
                {"key", answer.key},
                {"score", answer.hit.score},
                {"distance", answer.hit.distance},
                {"document", answer.document ? Json::of_document(*answer.document) : Json()}};
    list.push_back(std::move(one));
  }
  return {{"answers", Json(std::move(list))},
          {"reads", stats.requests},
          {"rounds", stats.rounds},
          {"latency_us", stats.latency_us}};
}

void print_answers(const std::vector<Answer>& answers) {
  constexpr std::size_t kIndent = 4;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    print_out("{:>2}. score {:.4f}, key {}", i + 1, answers[i].hit.score, wrap_text(answers[i].key, 0));
    if (answers[i].document) print_out("{}\n", format_document(*answers[i].document, kIndent));
  }
  if (answers.empty()) print_out("no rows are found\n");
}

// Of the vector that is in a file, or that `text` says.
Result<SearchResults> search_for_vector(const Store& store, const StoreInfo& info, const QueryOptions& options,
                                        const std::string& text, const SearchOptions& search) {
  VECSTORE_ASSIGN(const OneVector vector,
                  options.queries.empty() ? vector_of_input(text, info) : vector_of_file(options));
  auto found = store.search({vector.bytes.data(), vector.dtype, 1, vector.dim}, search);
  if (!found) return in_file(found.error(), options.queries.empty() ? "standard input" : options.queries, options.row);
  return found;
}

Result<SearchResults> search_for_key(const Store& store, const StoreInfo& info, const QueryOptions& options,
                                     const SearchOptions& search) {
  VECSTORE_ASSIGN(const Key key, parse_key(options.like, info.keys));
  return store.search_by_key({&key, 1}, search);
}

Status run_query(const QueryOptions& options, const Reporting& asked) {
  std::string text;  // read first: as long as nothing is open, a signal ends the command at once
  if (options.queries.empty() && options.like.empty()) {
    VECSTORE_ASSIGN(text, read_standard_input());
  }
  VECSTORE_ASSIGN(const Store store, open_store(options.path, options.open, asked.quiet));
  const StoreInfo info = store.info();
  std::vector<Key> exclude;
  for (const std::string& name : options.exclude) {
    VECSTORE_ASSIGN(const Key key, parse_key(name, info.keys));
    exclude.push_back(key);
  }
  SearchOptions search = options.search;
  search.texts = HitTexts::kKeysAndDocuments;
  search.cancel = interruption();
  search.radius = options.radius;
  search.exclude = exclude;
  VECSTORE_ASSIGN(const SearchResults results, options.like.empty()
                                                   ? search_for_vector(store, info, options, text, search)
                                                   : search_for_key(store, info, options, search));
  if (const auto expectation = store.recall_expected(options.search)) warn_of_missed_target(*expectation);
  const std::vector<Answer> answers = answers_of(results);
  if (asked.json) {
    print_json(to_json(answers, results.stats(0)));
  } else {
    print_answers(answers);
  }
  return {};
}

}  // namespace

Run add_query(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<QueryOptions>();
  SearchOptions& search = options->search;
  command.text("index", options->path, "directory of the index").required();
  const Option file =
      command.text("--queries", options->queries, "file of vectors (default: numbers on standard input)");
  command.whole("--row", options->row, {}, "row of the file, counted from 0 (default 0)").needs(file);
  command.text("--like", options->like, "search for the vector that this key has, without its own row").excludes(file);
  command.texts("--exclude", options->exclude, "keys that are no answers");
  constexpr double kFarthest = std::numeric_limits<float>::max();
  command.real("--radius", options->radius, {-kFarthest, kFarthest}, "only answers no farther than this distance");
  command.whole("--k", search.k, {1, kResultsMax}, "answers, 1 to 1000 (default 10)");
  add_recall_target(command, search.recall_target);
  add_open_options(command, options->open);
  command.whole("--L", search.search_list, {1, kSearchListMax}, "list length, instead of the calibrated one");
  command.whole("--blocks", search.blocks, {1}, "blocks scanned, instead of the calibrated number");
  command.flag("--full-precision", search.full_precision, "rank the answers by the vectors as they were put");
  return [options, &asked] { return run_query(*options, asked); };
}

}  // namespace vecstore::tools
