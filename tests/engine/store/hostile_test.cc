// SPDX-License-Identifier: Apache-2.0
//
// Files whose checksums hold and whose content is hostile: every call returns, with answers or with a Status. What it
// returns is not judged; a sanitizer, a signal or the test's time limit is.
#include <cstring>
#include <iterator>

#include "base/bytes.h"
#include "base/random.h"
#include "pagestore/format.h"
#include "pagestore/manifest_format.h"
#include "pagestore/page_header.h"
#include "pagestore/superblock.h"
#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

constexpr int kRounds = kInstrumented ? 100 : 300;            // rounds of each file
constexpr std::uint64_t kRamBytes = std::uint64_t{64} << 20;  // what a length that is believed would exceed

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const std::string& path) {
  const std::vector<char> chars = read_file(path);
  Bytes bytes(chars.size());
  std::memcpy(bytes.data(), chars.data(), chars.size());
  return bytes;
}

void write_bytes(const std::string& path, std::span<const std::byte> bytes) {
  const auto* chars = reinterpret_cast<const char*>(bytes.data());
  write_file(path, {chars, chars + bytes.size()});
}

// One to four places in `bytes` become extreme or arbitrary, one to eight bytes at a time.
void disfigure(std::span<std::byte> bytes, Random& random) {
  constexpr std::uint64_t kExtremes[] = {0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, ~std::uint64_t{0}};
  for (std::uint64_t times = 1 + random.below(4); times > 0; --times) {
    const std::uint64_t value = random.below(2) == 0 ? random.next() : kExtremes[random.below(std::size(kExtremes))];
    const std::size_t width = std::min<std::size_t>(std::size_t{1} << random.below(4), bytes.size());
    const auto at = static_cast<std::size_t>(random.below(bytes.size() - width + 1));
    std::memcpy(bytes.data() + at, &value, width);
  }
}

void seal_slot(Bytes& slots, std::size_t slot) {
  const Hash128 sealed = hash128(std::span(slots).subspan(slot, kSlotBytes - sizeof(Hash128)));
  std::memcpy(slots.data() + slot + kSlotBytes - sizeof(Hash128), &sealed, sizeof(sealed));
}

struct Victim {
  Victim() : sample(directory, "win384-8k.base.f16bin", "win384-8k.query.f16bin", Metric::kCosine, 150) {
    BuildOptions options = sample.options();
    options.code_bytes = 8;
    sample.build(path, options);
    copy_store(path, copy);
  }
  // All that can be asked of the copy. Errors of a person's call are all right, whatever they say.
  void ask_everything() {
    const auto store = Store::open(copy, {.ram_bytes = kRamBytes, .backend = Backend::kPread});
    if (!store) {
      ++refused;
      return;
    }
    static_cast<void>(store->info());
    auto answers = ask(*store, sample);
    const auto report = store->verify({.deep = true});
    if (!answers || !report || report->damage_total != 0) ++reported;
    if (answers) static_cast<void>(ask_by_key(*store, sample, *answers));
  }
  void tell(const std::string& what) const {
    BOOST_TEST_MESSAGE(what << ": " << refused << " refused, " << reported << " reported");
    BOOST_TEST(refused + reported > 0);
  }
  FastDirectory directory;
  Sample sample;
  std::string path = directory.path("store");
  std::string copy = directory.path("copy");
  int refused = 0;
  int reported = 0;
};

// Disfigures pages that `choose` names and seals them again.
void fuzz_pages(Victim& victim, const std::string& file, bool headers) {
  const Bytes whole = bytes_of(victim.path + "/" + file);
  const std::uint64_t page_bytes = page_bytes_in(victim.path, file);
  const auto header = read_page_header(std::span(whole).first(page_bytes), file);
  REQUIRE_OK(header);
  Random random(page_bytes, headers);
  for (int round = 0; round < kRounds; ++round) {
    Bytes bytes = whole;
    for (std::uint64_t pages = headers ? 1 : 1 + random.below(3); pages > 0; --pages) {
      const std::uint64_t page = headers ? 0 : 1 + random.below(header->page_count);
      const auto body = std::span(bytes).subspan(page * page_bytes, page_bytes);
      // In a header only the attributes are disfigured; their length stays.
      disfigure(headers ? body.subspan(kPageHeaderBytes, header->attributes.size()) : body.subspan(kPageChecksumBytes),
                random);
      seal_page(header->identity, page, body);
    }
    write_bytes(victim.copy + "/" + file, bytes);
    victim.ask_everything();
  }
  victim.tell(file + (headers ? " header" : ""));
}

BOOST_AUTO_TEST_SUITE(hostile)

BOOST_FIXTURE_TEST_CASE(graph_pages_are_not_believed, Victim) { fuzz_pages(*this, "graph-1", false); }
BOOST_FIXTURE_TEST_CASE(graph_header_is_not_believed, Victim) { fuzz_pages(*this, "graph-1", true); }
BOOST_FIXTURE_TEST_CASE(codes_are_not_believed, Victim) { fuzz_pages(*this, "codes-1", false); }
BOOST_FIXTURE_TEST_CASE(codes_header_is_not_believed, Victim) { fuzz_pages(*this, "codes-1", true); }
BOOST_FIXTURE_TEST_CASE(row_map_is_not_believed, Victim) { fuzz_pages(*this, "rowmap-1", false); }
BOOST_FIXTURE_TEST_CASE(rows_are_not_believed, Victim) { fuzz_pages(*this, "rows/1-0", false); }
BOOST_FIXTURE_TEST_CASE(rows_header_is_not_believed, Victim) { fuzz_pages(*this, "rows/1-0", true); }

// The first bytes of the code stream, where its shape is told.
BOOST_FIXTURE_TEST_CASE(shape_of_the_codes_is_not_believed, Victim) {
  constexpr std::size_t kShapeBytes = 96;
  const Bytes whole = bytes_of(path + "/codes-1");
  const std::uint64_t page_bytes = page_bytes_in(path, "codes-1");
  const auto header = read_page_header(std::span(whole).first(page_bytes), "codes-1");
  REQUIRE_OK(header);
  Random random(5);
  for (int round = 0; round < kRounds; ++round) {
    Bytes bytes = whole;
    const auto page = std::span(bytes).subspan(page_bytes, page_bytes);
    disfigure(page.subspan(kPageChecksumBytes, kShapeBytes), random);
    seal_page(header->identity, 1, page);
    write_bytes(copy + "/codes-1", bytes);
    ask_everything();
  }
  tell("shape of codes-1");
}

BOOST_FIXTURE_TEST_CASE(manifest_is_not_believed, Victim) {
  constexpr std::size_t kManifestBytesAt = 64;  // in the slot: pagestore/README.md
  constexpr std::size_t kManifestHashAt = 72;
  const Bytes manifest = bytes_of(path + "/manifest-1");
  const Bytes superblock = bytes_of(path + "/superblock");
  Random random(6);
  // A store without content is looked at twice, 20 ms apart.
  for (int round = 0; round < kRounds / 5; ++round) {
    Bytes bytes = manifest;
    const auto body = std::span(bytes).first(bytes.size() - sizeof(Hash128));
    // Mostly the properties, which are the engine's: they come last.
    disfigure(round % 3 == 0 ? body.subspan(kManifestBytesAt) : body.last(33), random);
    const Hash128 inner = hash128(body);
    std::memcpy(bytes.data() + body.size(), &inner, sizeof(inner));
    Bytes slots = superblock;
    const Hash128 outer = hash128(bytes);
    for (const std::size_t slot : {std::size_t{0}, kSlotBytes}) {
      std::memcpy(slots.data() + slot + kManifestHashAt, &outer, sizeof(outer));
      seal_slot(slots, slot);
    }
    write_bytes(copy + "/manifest-1", bytes);
    write_bytes(copy + "/superblock", slots);
    ask_everything();
  }
  tell("manifest-1");
}

BOOST_FIXTURE_TEST_CASE(superblock_is_not_believed, Victim) {
  const Bytes superblock = bytes_of(path + "/superblock");
  Random random(7);
  for (int round = 0; round < kRounds / 5; ++round) {
    Bytes slots = superblock;
    disfigure(std::span(slots).first(128), random);
    seal_slot(slots, 0);
    // Alone, beside a slot that is damaged, or beside one that says the same.
    if (round % 3 == 1) slots[kSlotBytes + 20] ^= std::byte{1};
    constexpr std::size_t kNumberAt = 12;
    if (round % 3 == 2) {
      std::copy_n(slots.begin(), kSlotBytes, slots.begin() + kSlotBytes);
      slots[kSlotBytes + kNumberAt] = std::byte{1};
      seal_slot(slots, kSlotBytes);
    }
    write_bytes(copy + "/superblock", slots);
    ask_everything();
  }
  tell("superblock");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
