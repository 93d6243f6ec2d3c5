// SPDX-License-Identifier: Apache-2.0
//
// Catalogs whose sums fit whatever became of their data: no sum of ours stands before these. What is read of them ends
// in the right answer or in kCorrupt, never in a signal and never in another row.
#include <xxhash.h>

#include <cstring>

#include "base/random.h"
#include "engine/rows/catalog.h"
#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kHeaderBytes = 72;  // engine/rows/README.md, data.sums
constexpr std::size_t kPageHeader = 16;   // LMDB's
constexpr Uuid kStore{1, 2, 3};

using Bytes = std::vector<char>;

std::string key_of(std::uint64_t i) {
  return "doc/" + std::to_string(i * 2654435761u % 1000003) + "-" + std::to_string(i);
}

Catalog::Feed feed_of(std::uint64_t count) {
  auto at = std::make_shared<std::uint64_t>(0);
  return [count, at](std::string& key, RowId& row) -> Result<bool> {
    if (*at == count) return false;
    key = key_of(*at);
    row = RowId{(*at)++};
    return true;
  };
}

void put_u64(Bytes& bytes, std::size_t at, std::uint64_t value) { std::memcpy(&bytes[at], &value, sizeof(value)); }

// data.sums as its format has it, of any data.
Bytes sums_of(const Bytes& data, Bytes header) {
  const std::size_t blocks = (data.size() + kBlock - 1) / kBlock;
  header.resize(kHeaderBytes + blocks * 8);
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t at = block * kBlock;
    put_u64(header, kHeaderBytes + block * 8,
            XXH3_64bits_withSeed(&data[at], std::min(kBlock, data.size() - at), block));
  }
  put_u64(header, 32, data.size());
  put_u64(header, 56, XXH3_64bits(header.data() + kHeaderBytes, blocks * 8));
  put_u64(header, 64, XXH3_64bits(header.data(), 64));
  return header;
}

struct Hostile {
  explicit Hostile(std::uint64_t count) : keys(count) {
    MemoryBudget budget;
    REQUIRE_OK(Catalog::build(FileSystem::posix(), path, kStore, 17, feed_of(count), budget));
    data = read_file(path + "/data.mdb");
    sums = read_file(path + "/data.sums");
    BOOST_REQUIRE(sums == sums_of(data, sums));  // this test knows the format
  }
  // "" when every answer is right or kCorrupt. `accepted`: the file was believed.
  std::string judge(const Bytes& changed, Random& random, bool& accepted) {
    write_file(path + "/data.mdb", changed);
    write_file(path + "/data.sums", sums_of(changed, sums));
    MemoryBudget budget(std::uint64_t{4} << 20);
    accepted = false;
    const auto catalog = Catalog::open(FileSystem::posix(), path, kStore, budget);
    if (!catalog) return catalog.error().code() == Code::kCorrupt ? "" : catalog.error().message();
    for (int i = 0; i < 4; ++i) {
      const std::uint64_t row = random.below(keys);
      const auto found = catalog->find(key_of(row));
      if (!found && found.error().code() != Code::kCorrupt) return found.error().message();
      if (found && *found != RowId{row}) return "row " + std::to_string(row) + " was not found";
      const auto absent = catalog->find(key_of(row) + "x");
      if (absent && absent->has_value()) return "a key that is not there was found";
      accepted = found.has_value();
    }
    const Status verified = catalog->verify();
    if (verified.is_ok() != accepted) return "verify says: " + verified.message();
    return "";
  }
  void sweep(const std::string& what, std::size_t count, const std::function<void(Bytes&, Random&)>& change) {
    std::size_t believed = 0;
    for (std::size_t seed = 1; seed <= count; ++seed) {
      Random random(seed, what.size());
      Bytes changed = data;
      change(changed, random);
      bool accepted = false;
      const std::string complaint = judge(changed, random, accepted);
      BOOST_REQUIRE_MESSAGE(complaint.empty(), what << ", seed " << seed << ": " << complaint);
      if (accepted) ++believed;
    }
    BOOST_TEST_MESSAGE(what << ": " << count << " files, " << believed << " without effect");
    BOOST_TEST(believed != count);
  }

  FastDirectory directory;
  std::string path = directory.path("catalog");
  std::uint64_t keys;
  Bytes data, sums;
};

constexpr std::size_t kFiles = kInstrumented ? 300 : 3000;

BOOST_AUTO_TEST_SUITE(catalog_hostile)

BOOST_AUTO_TEST_CASE(any_bytes_anywhere_are_a_right_answer_or_reported) {
  Hostile hostile(3000);
  hostile.sweep("one byte", kFiles, [](Bytes& bytes, Random& random) {
    bytes[random.below(bytes.size())] = static_cast<char>(random.next());
  });
  hostile.sweep("one bit", kFiles, [](Bytes& bytes, Random& random) {
    bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
  });
  hostile.sweep("sixteen bytes side by side", kFiles / 2, [](Bytes& bytes, Random& random) {
    const std::size_t at = random.below(bytes.size() - 16);
    for (std::size_t i = 0; i < 16; ++i) bytes[at + i] = static_cast<char>(random.next());
  });
  hostile.sweep("forty bytes apart", kFiles / 2, [](Bytes& bytes, Random& random) {
    for (int i = 0; i < 40; ++i) bytes[random.below(bytes.size())] = static_cast<char>(random.next());
  });
}

// Where one byte decides on all that follows: page headers, offsets, node headers, meta pages, table records.
BOOST_AUTO_TEST_CASE(any_field_of_any_page_is_a_right_answer_or_reported) {
  Hostile hostile(3000);
  hostile.sweep("page headers and offsets", kFiles, [](Bytes& bytes, Random& random) {
    const std::size_t page = random.below(bytes.size() / kBlock);
    bytes[page * kBlock + random.below(kPageHeader + 32)] = static_cast<char>(random.next());
  });
  hostile.sweep("meta pages", kFiles, [](Bytes& bytes, Random& random) {
    bytes[random.below(2) * kBlock + random.below(kPageHeader + 136)] ^= static_cast<char>(1 + random.below(255));
  });
  hostile.sweep("nodes", kFiles, [](Bytes& bytes, Random& random) {
    const std::size_t page = (2 + random.below(bytes.size() / kBlock - 2)) * kBlock;
    std::uint16_t offset = 0;
    std::memcpy(&offset, &bytes[page + kPageHeader + 2 * random.below(40)], sizeof(offset));
    if (offset < kBlock - 8) bytes[page + offset + random.below(8)] = static_cast<char>(random.next());
  });
  hostile.sweep("extreme words", kFiles, [](Bytes& bytes, Random& random) {
    const std::array<std::uint64_t, 6> words{0, 1, ~std::uint64_t{0}, std::uint64_t{1} << 63, 0xFFFF, 2};
    put_u64(bytes, random.below(bytes.size() / 8) * 8, words[random.below(words.size())]);
  });
}

BOOST_AUTO_TEST_CASE(pages_that_change_places_are_reported) {
  Hostile hostile(3000);
  const auto page_at = [](Bytes& bytes, std::size_t page) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(page * kBlock);
  };
  hostile.sweep("a page in the place of another", kFiles / 2, [&](Bytes& bytes, Random& random) {
    const std::size_t pages = bytes.size() / kBlock;
    const auto from = page_at(bytes, random.below(pages));
    const std::size_t to = random.below(pages);
    std::copy(from, from + kBlock, page_at(bytes, to));
    if (random.below(2) == 0) put_u64(bytes, to * kBlock, to);  // under its number
  });
  hostile.sweep("two pages exchanged", kFiles / 2, [&](Bytes& bytes, Random& random) {
    const std::size_t pages = bytes.size() / kBlock;
    const auto one = page_at(bytes, 2 + random.below(pages - 2));
    const auto other = page_at(bytes, 2 + random.below(pages - 2));
    std::swap_ranges(one, one + kBlock, other);
    put_u64(bytes, static_cast<std::size_t>(one - bytes.begin()),
            static_cast<std::uint64_t>(one - bytes.begin()) / kBlock);
    put_u64(bytes, static_cast<std::size_t>(other - bytes.begin()),
            static_cast<std::uint64_t>(other - bytes.begin()) / kBlock);
  });
}

BOOST_AUTO_TEST_CASE(a_file_cut_short_or_gone_on_with_is_reported) {
  Hostile hostile(3000);
  hostile.sweep("cut", kFiles / 4, [](Bytes& bytes, Random& random) { bytes.resize(random.below(bytes.size())); });
  hostile.sweep("cut at a page", 50,
                [](Bytes& bytes, Random& random) { bytes.resize(random.below(bytes.size() / kBlock) * kBlock); });
}

BOOST_AUTO_TEST_CASE(files_that_were_never_catalogs_are_reported) {
  Hostile hostile(100);
  hostile.sweep("noise", kFiles / 10, [](Bytes& bytes, Random& random) {
    for (char& byte : bytes) byte = static_cast<char>(random.next());
  });
  hostile.sweep("zeros", 1, [](Bytes& bytes, Random&) { std::ranges::fill(bytes, '\0'); });
}

// A whole store: what its own look-ups say of such a catalog is what rows/ says.
BOOST_AUTO_TEST_CASE(a_store_answers_right_whatever_its_catalog_holds) {
  const FastDirectory directory;
  const Sample sample(directory, "csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, 400);
  const std::string path = directory.path("store");
  sample.build(path, sample.options());
  const Bytes data = read_file(path + "/catalog/data.mdb");
  const Bytes sums = read_file(path + "/catalog/data.sums");
  for (std::uint64_t seed = 1; seed <= kFiles / 10; ++seed) {
    Random random(seed);
    Bytes changed = data;
    for (int i = 0; i < 8; ++i) changed[random.below(changed.size())] = static_cast<char>(random.next());
    write_file(path + "/catalog/data.mdb", changed);
    write_file(path + "/catalog/data.sums", sums_of(changed, sums));
    OpenOptions options{.backend = Backend::kPread};
    if (seed % 4 == 0) options.access = Access::kReadWrite;  // which makes it anew
    const auto store = Store::open(path, options);
    REQUIRE_OK(store);
    for (std::uint64_t row = random.below(40); row < 400; row += 40) {
      const auto found = store->find(Sample::key_of(row));
      BOOST_REQUIRE_MESSAGE(found && found->value == row, "seed " << seed << ": " << message_of(found));
    }
    BOOST_REQUIRE((code_of(store->find("nobody's key")) == Code::kNotFound));
    const bool as_built = read_file(path + "/catalog/data.mdb") == data;
    BOOST_REQUIRE(as_built || read_file(path + "/catalog/data.mdb") == changed);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
