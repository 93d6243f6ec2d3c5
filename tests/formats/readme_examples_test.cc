// SPDX-License-Identifier: Apache-2.0
//
// The worked examples of the format documents: every byte that they show is read out of the document. It is what the
// code writes for the store of the examples (engine/README.md), which is made here.
#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <span>

#include "compress/neighbour_list.h"
#include "engine/rows/catalog_format.h"
#include "engine/snapshot/snapshot_note.h"
#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "pagestore/intent.h"
#include "tests/formats/readme.h"
#include "tests/test_util.h"
#include "wal/format.h"

namespace vecstore {
namespace {

using Bytes = std::vector<std::byte>;
using test::Readme;

constexpr std::size_t kAttributesAt = 60;      // in a header page
constexpr std::size_t kGraphPageAt = 4096;     // page 1 of graph-1
constexpr std::size_t kStreamAt = 16384 + 8;   // in codes-1 and rowmap-1
constexpr std::size_t kRankingAt = 16592;      // behind the block codes
constexpr std::size_t kPropertiesAt = 230;     // in manifest-1
constexpr std::size_t kFirstFileAt = 56;       // in manifest-1
constexpr std::size_t kRowGroupAt = 4096 + 8;  // in rows/1-0
constexpr std::size_t kDirectoryAt = 8200;     // in rows/1-0
constexpr std::size_t kUuidAt = 8;             // in a segment header and in a record of the end
constexpr std::size_t kGroupAt = 4096;         // in a segment
constexpr std::size_t kRecordAt = 4160;        // in a segment

Bytes file_bytes(const std::string& path) {
  const std::vector<char> chars = test::read_file(path);
  Bytes bytes(chars.size());
  std::transform(chars.begin(), chars.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

void write_text(const std::string& path, std::string_view text) { test::write_file(path, {text.begin(), text.end()}); }

// The commands of engine/README.md, as calls.
class ExampleStore {
 public:
  ExampleStore() {
    write_text(path("tiny.u8bin"), std::string_view("\3\0\0\0\4\0\0\0\1\2\3\4\1\2\3\5\xC8\xC8\xC8\xC8", 20));
    write_text(path("keys.txt"), "ape\nbee\ncow\n");
    write_text(path("documents.txt"), "a red ape\na small bee\na brown cow\n");
    const auto source = open_vector_file(path("tiny.u8bin"));
    REQUIRE_OK(source);
    BuildOptions options;
    options.keys_path = path("keys.txt");
    options.documents_path = path("documents.txt");
    REQUIRE_OK(Store::build(path("tiny"), **source, options));
    std::filesystem::copy(path("tiny"), path("written"), std::filesystem::copy_options::recursive);
    write([&](Store& store) { REQUIRE_OK(store.put("dog", query(), "an old dog")); });
    write([](Store& store) { REQUIRE_OK(store.erase("ape")); });

    const auto truth = exact_search(**source, *view_source(query()), 2, Metric::kL2, 1);
    REQUIRE_OK(truth);
    REQUIRE_OK(write_neighbours(path("truth.ibin"), *truth));
    std::filesystem::create_directories(path("over/tmp"));
    REQUIRE_OK(write_intent(FileSystem::posix(), path("over"), {.sequence = 1}));
    REQUIRE_OK(write_snapshot_note(FileSystem::posix(), path("over"), {.made_at = 0x692D2E00, .rows = 3, .lsn = {2}}));
  }

  std::string path(const std::string& name) const { return directory_.path(name); }
  Bytes built(const std::string& name) const { return file_bytes(path("tiny/" + name)); }
  Bytes written(const std::string& name) const { return file_bytes(path("written/" + name)); }
  Uuid uuid() const {
    Uuid uuid;
    const Bytes slot = built("superblock");
    std::memcpy(uuid.data(), slot.data() + 24, uuid.size());
    return uuid;
  }

 private:
  static VectorView query() {
    static constexpr std::array<std::uint8_t, 4> kVector = {5, 6, 7, 8};
    return {kVector.data(), DType::kU8, 1, 4};
  }
  void write(const std::function<void(Store&)>& change) const {
    auto store = Store::open(path("written"), {.access = Access::kReadWrite});
    REQUIRE_OK(store);
    change(*store);
    REQUIRE_OK(store->close());
  }

  test::TemporaryDirectory directory_;
};

const ExampleStore& example() {
  static const ExampleStore store;
  return store;
}

// What a document shows that is not so.
class Findings {
 public:
  void expect(bool holds, const std::string& what) {
    if (!holds) wrong_.push_back(what);
  }
  void same(const Bytes& shown, const Bytes& file, std::size_t at, const std::string& what) {
    std::string written;
    for (std::size_t i = at; i < std::min(file.size(), at + shown.size()); ++i) {
      constexpr const char* kDigits = "0123456789abcdef";
      const auto byte = static_cast<unsigned>(file[i]);
      written += {' ', kDigits[byte / 16], kDigits[byte % 16]};
    }
    expect(!shown.empty() && at + shown.size() <= file.size() &&
               std::equal(shown.begin(), shown.end(), file.begin() + static_cast<std::ptrdiff_t>(at)),
           what + " at " + std::to_string(at) + ", where the code writes" + written);
  }
  // `base`: where in the file the offsets of the table begin.
  void same(const std::vector<test::ShownBytes>& table, const Bytes& file, std::size_t base, const std::string& what) {
    expect(!table.empty(), what + " has no examples");
    for (const test::ShownBytes& shown : table) same(shown.bytes, file, base + shown.offset, what);
  }
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  std::vector<std::string> wrong_;
};

Bytes joined(const std::vector<Bytes>& lines) {
  Bytes all;
  for (const Bytes& line : lines) all.insert(all.end(), line.begin(), line.end());
  return all;
}

Bytes encoded_list(Pos self, const std::vector<Pos>& list) {
  Bytes bytes(neighbour_list_bytes(self, list));
  encode_neighbours(self, list, bytes.data());
  return bytes;
}

void check_graph(Readme& readme, Findings& findings) {
  const Bytes graph = example().built("graph-1");
  findings.same(readme.table("Page 0 is the header page"), graph, kAttributesAt, "attributes");
  findings.same(readme.table("There are ⌈n / C⌉ data pages"), graph, kGraphPageAt, "page 1");
  findings.expect(readme.inline_bytes("The list of slot 0 in the example is") == encoded_list(0, {1}), "slot 0");
  findings.expect(readme.inline_bytes("That of slot 1 is") == encoded_list(1, {0, 2}), "slot 1");
  findings.expect(readme.inline_bytes("That of slot 2 is") == encoded_list(2, {1}), "slot 2");
}

void check_compress(Readme& readme, Findings& findings) {
  const Bytes list = readme.inline_bytes("position 1 has the list");
  std::array<Pos, 3> positions{};
  findings.expect(
      decode_neighbours(1, list, 3, positions.data(), positions.size()) == 2 && positions[0] == 0 && positions[1] == 2,
      "neighbour list");
  const auto codes = readme.table("**Block codes** are one stream");
  findings.same(codes, example().built("codes-1"), kStreamAt, "block codes");
  std::size_t next = 0;
  for (const test::ShownBytes& shown : codes) {
    findings.expect(shown.offset == next, "block codes leave no byte out");
    next += shown.bytes.size();
  }
  findings.expect(kStreamAt + next == kRankingAt, "block codes are shown to their end");
}

void check_pagestore(Readme& readme, Findings& findings) {
  const Bytes manifest = example().built("manifest-1");
  findings.same(readme.table("**Header page (page 0)**"), example().built("graph-1"), 0, "header page");
  findings.same(readme.table("## Manifest (", manifest.size()), manifest, 0, "manifest");
  findings.same(readme.table("A file takes these bytes"), manifest, kFirstFileAt, "first file");
  findings.same(readme.table("## Superblock ("), example().built("superblock"), 0, "slot 0");
  findings.same(readme.table("## Intent ("), file_bytes(example().path("over/tmp/intent")), 0, "intent");
}

void check_snapshot(Readme& readme, Findings& findings) {
  findings.same(readme.table("## Note ("), file_bytes(example().path("over/snapshot")), 0, "note of a snapshot");
}

void check_generation(Readme& readme, Findings& findings) {
  const Bytes codes = example().built("codes-1"), rowmap = example().built("rowmap-1");
  findings.same(readme.table("`codes-<n>` holds the block codes"), codes, kAttributesAt, "attributes of codes-1");
  findings.same(readme.table("`rowmap-<n>` holds"), rowmap, kAttributesAt, "attributes of rowmap-1");
  const auto streams = readme.fence("Where the streams lie");
  findings.expect(streams.size() == 3, "the streams have three lines");
  if (streams.size() != 3) return;
  findings.same(streams[0], codes, kStreamAt, "block codes");
  findings.same(streams[1], codes, kRankingAt, "ranking");
  findings.same(streams[2], rowmap, kStreamAt, "row map");
  findings.same(readme.table("## Manifest properties"), example().built("manifest-1"), kPropertiesAt, "properties");
}

template <typename Value>
Bytes bytes_of(const Value& value) {
  Bytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

void check_rows(Readme& readme, Findings& findings) {
  const Bytes extent = example().built("rows/1-0");
  findings.same(readme.table("**Attributes**"), extent, kAttributesAt, "attributes");
  findings.same(readme.inline_bytes("one entry at offset 8200 of the file,"), extent, kDirectoryAt, "directory");
  findings.same(readme.table("**Row group:**"), extent, kRowGroupAt, "row group");
  findings.same(readme.table("**data.sums**"), example().built("catalog/data.sums"), 0, "data.sums");

  const Bytes data = example().built("catalog/data.mdb");
  const auto stored = [&](const Bytes& value) {
    return std::search(data.begin(), data.end(), value.begin(), value.end()) != data.end();
  };
  const catalog::Entry entry{0, catalog::entry_sum("ape", 0, example().uuid())};
  const Bytes shown_entry = joined(readme.line("`keys`"));
  findings.expect(shown_entry == bytes_of(entry) && stored(shown_entry), "value of a key");

  catalog::Meta meta{.store = example().uuid(), .keys = 3};
  meta.sum = catalog::meta_sum(meta);
  // The document names the store's uuid and a zero between the second number and the third.
  Bytes expected = bytes_of(meta);
  findings.expect(stored(expected), "meta is in data.mdb");
  expected.erase(expected.begin() + offsetof(catalog::Meta, store), expected.begin() + offsetof(catalog::Meta, keys));
  findings.expect(joined(readme.line("`meta`")) == expected, "meta");
}

void check_live(Readme& readme, Findings& findings) {
  findings.same(joined(readme.fence("## Records of the log")), example().written("wal/log-1"), kRecordAt, "put");
}

// The examples as one block of that size, zero where nothing is shown.
Bytes laid_out(const std::vector<test::ShownBytes>& table, std::size_t size) {
  Bytes block(size);
  for (const test::ShownBytes& shown : table) {
    if (shown.offset + shown.bytes.size() > size) return {};
    std::copy(shown.bytes.begin(), shown.bytes.end(), block.begin() + static_cast<std::ptrdiff_t>(shown.offset));
  }
  return block;
}

// Salts are random, and with them the sums of headers. So each header is the one that was written here, with the salt
// of the document and the sums that follow from it. The chain of the segment is not known here: only its header's sum
// vouches for it.
void check_wal(Readme& readme, Findings& findings) {
  const Bytes log = example().written("wal/log-2"), end = example().written("wal/end");
  const std::span<const std::byte> written(log);
  auto segment = decode_segment_header(written.first(kLogBlockBytes))->header;
  auto group = decode_group_header(written.subspan(kGroupAt))->header;
  auto mark = decode_group_header(written.subspan(kGroupAt + group_bytes(group.body_bytes)))->header;
  auto record = decode_end_record(std::span(end).last(kLogBlockBytes))->header;

  const Bytes shown_segment = laid_out(readme.table("### Segment header"), kLogBlockBytes);
  const Bytes shown_group = laid_out(readme.table("### Commit group"), kGroupHeaderBytes);
  Bytes shown_end = laid_out(readme.table("### `end`"), kLogBlockBytes);
  findings.same(readme.table("A record takes these bytes"), log, kRecordAt, "record");
  const auto shown = decode_segment_header(shown_segment);
  findings.expect(shown.has_value(), "segment header is whole");
  if (!shown || shown_group.empty() || shown_end.empty()) return;

  Bytes block(kLogBlockBytes), head(kGroupHeaderBytes), end_block(kLogBlockBytes);
  segment.salt = group.salt = mark.salt = shown->header.salt;
  segment.chain = shown->header.chain;
  group.chain = record.header_hash = encode_segment_header(segment, block);
  findings.expect(block == shown_segment, "segment header");
  mark.chain = encode_group_header(group, head);
  findings.expect(head == shown_group, "commit group");
  record.chain = encode_group_header(mark, head);
  encode_end_record(record, end_block);
  const Bytes uuid = bytes_of(example().uuid());  // "as above"
  std::copy(uuid.begin(), uuid.end(), shown_end.begin() + kUuidAt);
  findings.expect(end_block == shown_end, "slot 1 of end");
}

void check_truth(Readme& readme, Findings& findings) {
  findings.same(readme.table("Ground truth and results"), file_bytes(example().path("truth.ibin")), 0, "neighbours");
}

struct Document {
  const char* path;
  void (*check)(Readme&, Findings&);
};
constexpr Document kDocuments[] = {
    {"graph/README.md", check_graph},
    {"compress/README.md", check_compress},
    {"pagestore/README.md", check_pagestore},
    {"wal/README.md", check_wal},
    {"engine/generation/README.md", check_generation},
    {"engine/rows/README.md", check_rows},
    {"engine/live/README.md", check_live},
    {"engine/snapshot/README.md", check_snapshot},
    {"engine/truth/README.md", check_truth},
};

std::string text_of(const Document& document) {
  const auto chars = test::read_file(std::string(VECSTORE_SOURCE_DIR) + "/" + document.path);
  return {chars.begin(), chars.end()};
}

std::size_t line_of(const std::string& text, std::size_t at) {
  return 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

BOOST_AUTO_TEST_SUITE(readme_examples)

BOOST_AUTO_TEST_CASE(every_byte_shown_is_what_the_code_writes) {
  for (const Document& document : kDocuments) {
    const std::string text = text_of(document);
    Readme readme(text);
    Findings findings;
    document.check(readme, findings);
    for (const std::string& wrong : findings.wrong()) BOOST_ERROR(document.path << ": " << wrong);
    BOOST_TEST(!readme.taken().empty(), document.path << " shows no bytes");
    for (const std::size_t at : readme.shown())
      if (!readme.taken().contains(at)) BOOST_ERROR(document.path << ":" << line_of(text, at) << ": not compared");
  }
}

BOOST_AUTO_TEST_CASE(a_byte_that_is_changed_in_a_document_is_noticed) {
  std::size_t changed = 0;
  for (const Document& document : kDocuments) {
    const std::string text = text_of(document);
    for (const std::size_t at : Readme(text).shown()) {
      std::string other = text;
      other[at + 1] = other[at + 1] == '0' ? '1' : '0';
      Readme readme(other);
      Findings findings;
      document.check(readme, findings);
      ++changed;
      if (findings.wrong().empty()) BOOST_ERROR(document.path << ":" << line_of(text, at) << ": not noticed");
    }
  }
  BOOST_TEST(changed > 900u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
