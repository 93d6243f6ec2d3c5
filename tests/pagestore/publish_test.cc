// SPDX-License-Identifier: Apache-2.0
#include "pagestore/publish.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "pagestore/manifest_format.h"
#include "pagestore/superblock.h"
#include "tests/pagestore/stores.h"

namespace vecstore {
namespace {

using test::code_of;
using test::generation_at;
using test::make_store;
using test::publish_generation;
using test::TemporaryDirectory;

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.is_regular_file()) names.push_back(std::filesystem::relative(entry.path(), path).string());
  std::ranges::sort(names);
  return names;
}

BOOST_AUTO_TEST_CASE(newest_generation_is_found_and_files_of_the_two_newest_are_kept) {
  const TemporaryDirectory directory;
  make_store(directory.path("s"), 5);
  const auto found = generation_at(directory.path("s"));
  REQUIRE_OK(found);
  BOOST_TEST(*found == 5u);
  const std::vector<std::string> expected{"LOCK",       "graph-4",  "graph-5",  "manifest-4",
                                          "manifest-5", "rows/4-0", "rows/5-0", "superblock"};
  BOOST_TEST(names_in(directory.path("s")) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_no_index_is_told_apart) {
  const TemporaryDirectory directory;
  BOOST_TEST((code_of(StoreDirectory::open(FileSystem::posix(), test::kNames, directory.path("none"),
                                           LockMode::kShared)) == Code::kNotFound));
  for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
    const auto store = StoreDirectory::open(FileSystem::posix(), test::kNames, directory.path(), mode);
    BOOST_TEST((code_of(store) == Code::kInvalidInput));
    BOOST_TEST(test::message_of(store).find("not a VecStore index") != std::string::npos);
  }
  BOOST_TEST(names_in(directory.path()).empty());
}

// What is ours is what was handed in, besides the names of publishing itself.
BOOST_AUTO_TEST_CASE(a_name_that_was_not_handed_in_is_foreign) {
  const TemporaryDirectory directory;
  const StoreNames few{std::span(test::kPrefixes).first(1), {}, {}, {}};
  for (const char* name : {"codes-1", "build.json"}) {
    const std::string path = directory.path(name);
    std::filesystem::create_directory(path);
    test::write_file(path + "/" + name, {'x'});
    BOOST_TEST((code_of(StoreDirectory::create(FileSystem::posix(), few, path)) == Code::kExists));
  }
  for (const char* name : {"rows", "catalog"}) {
    const std::string path = directory.path("d-") + name;
    std::filesystem::create_directories(path + "/" + name);
    BOOST_TEST((code_of(StoreDirectory::create(FileSystem::posix(), few, path)) == Code::kExists));
    REQUIRE_OK(StoreDirectory::create(FileSystem::posix(), test::kNames, path));
  }
}

BOOST_AUTO_TEST_CASE(create_refuses_foreign_content_and_touches_nothing) {
  const TemporaryDirectory directory;
  test::write_file(directory.path("thesis.tex"), {'x'});
  BOOST_TEST((code_of(StoreDirectory::create(FileSystem::posix(), test::kNames, directory.path())) == Code::kExists));
  BOOST_TEST((code_of(StoreDirectory::create(FileSystem::posix(), test::kNames, directory.path("thesis.tex"))) ==
              Code::kExists));
  BOOST_TEST(names_in(directory.path()).size() == 1u);
  for (const char* name : {"graph-", "graph-1x", "Graph-1", "manifest", "rows-1"}) {
    std::filesystem::create_directory(directory.path("d"));
    test::write_file(directory.path("d/") + name, {'x'});
    BOOST_TEST(
        (code_of(StoreDirectory::create(FileSystem::posix(), test::kNames, directory.path("d"))) == Code::kExists));
    std::filesystem::remove_all(directory.path("d"));
  }
}

BOOST_AUTO_TEST_CASE(create_clears_what_a_killed_build_left_and_returns_an_existing_store) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  std::filesystem::create_directories(path + "/tmp/catalog");
  std::filesystem::create_directories(path + "/rows");
  std::filesystem::create_directories(path + "/catalog");
  {
    const auto killed =
        StoreDirectory::create(FileSystem::posix(), test::kNames, path);  // says that it will write what follows
    REQUIRE_OK(killed);
  }
  std::filesystem::create_directories(path + "/tmp/catalog");
  for (const char* name : {"LOCK", "tmp/catalog/data.mdb", "tmp/x", "rows/1-0", "graph-1", "codes-1", "manifest-1"})
    test::write_file(path + "/" + name, {'x'});
  test::write_file(path + "/catalog/data.mdb", {'x'});
  test::write_file(path + "/build.json", {'x'});
  {
    auto store = StoreDirectory::create(FileSystem::posix(), test::kNames, path);
    REQUIRE_OK(store);
    BOOST_TEST(!store->manifest().has_value());
    const std::vector<std::string> expected{"LOCK", "build.json", "catalog/data.mdb", "tmp/intent"};
    BOOST_TEST(names_in(path) == expected, boost::test_tools::per_element());
    REQUIRE_OK(publish_generation(*store, 1));
    REQUIRE_OK(store->free_bytes());
  }
  const auto again = StoreDirectory::create(FileSystem::posix(), test::kNames, path);
  REQUIRE_OK(again);
  BOOST_REQUIRE(again->manifest().has_value());
  BOOST_TEST(again->manifest()->generation == 1u);
}

// As of a merge that was cancelled: who is killed later leaves nothing that is not accounted for.
BOOST_AUTO_TEST_CASE(a_publish_that_is_withdrawn_leaves_nothing) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  make_store(path, 1);
  {
    auto writer = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive);
    REQUIRE_OK(writer);
    const std::vector<std::string> before = names_in(path);
    writer->withdraw_publish();  // none was begun
    BOOST_TEST(names_in(path) == before, boost::test_tools::per_element());
    for (int attempt = 0; attempt < 2; ++attempt) {
      REQUIRE_OK(writer->begin_publish());
      BOOST_TEST(writer->has_unfinished_publish());
      test::write_file(path + "/graph-2", {'x'});
      writer->withdraw_publish();
      BOOST_TEST(!writer->has_unfinished_publish());
      BOOST_TEST(names_in(path) == before, boost::test_tools::per_element());
    }
    REQUIRE_OK(publish_generation(*writer, 2));
  }
  const auto reader = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kShared);
  REQUIRE_OK(reader);
  BOOST_TEST(reader->manifest()->generation == 2u);
  BOOST_TEST(reader->damage().empty());
}

BOOST_AUTO_TEST_CASE(writer_excludes_writers_but_no_readers_and_is_named) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  make_store(path, 1);
  const auto writer = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive);
  REQUIRE_OK(writer);
  const auto second = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive);
  BOOST_TEST((code_of(second) == Code::kBusy));
  BOOST_TEST(test::message_of(second).find("process " + std::to_string(::getpid())) != std::string::npos);
  const auto reader = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kShared);
  REQUIRE_OK(reader);
  REQUIRE_OK(generation_at(path));
}

// Somebody tidied up, and took the lock away under its holder.
BOOST_AUTO_TEST_CASE(writer_whose_lock_was_removed_still_excludes_writers) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  auto writer = StoreDirectory::create(FileSystem::posix(), test::kNames, path);
  REQUIRE_OK(writer);
  REQUIRE_OK(publish_generation(*writer, 1));
  for (int i = 0; i < 2; ++i) {
    std::filesystem::remove(path + "/LOCK");
    BOOST_TEST(
        (code_of(StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive)) == Code::kBusy));
    BOOST_TEST((code_of(StoreDirectory::create(FileSystem::posix(), test::kNames, path)) == Code::kBusy));
    writer->unlock();
    writer = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive);
    REQUIRE_OK(writer);
  }
  REQUIRE_OK(publish_generation(*writer, 2));
}

BOOST_AUTO_TEST_CASE(read_only_directory_is_read_by_someone_without_rights) {
  const TemporaryDirectory directory;
  make_store(directory.path("s"), 2);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path()))
    std::filesystem::permissions(entry,
                                 entry.is_directory() ? std::filesystem::perms(0555) : std::filesystem::perms(0444));
  std::filesystem::permissions(directory.path(), std::filesystem::perms(0755));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(2);
    const auto found = generation_at(directory.path("s"));
    const bool refused = code_of(generation_at(directory.path("s"), LockMode::kExclusive)) == Code::kPermission;
    ::_exit(found && *found == 2 && refused ? 0 : 1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path()))
    if (entry.is_directory()) std::filesystem::permissions(entry, std::filesystem::perms(0755));
}

BOOST_AUTO_TEST_CASE(file_that_is_missing_or_has_another_size_is_not_published) {
  const TemporaryDirectory directory;
  make_store(directory.path("s"), 1);
  {
    auto store = StoreDirectory::open(FileSystem::posix(), test::kNames, directory.path("s"), LockMode::kExclusive);
    REQUIRE_OK(store);
    Manifest manifest = *store->manifest();
    manifest.files[0].bytes += 4096;
    BOOST_TEST((store->publish(manifest).code() == Code::kInvalidArgument));
    manifest.files[0].name = "graph-9";
    BOOST_TEST((store->publish(manifest).code() == Code::kNotFound));
    for (const char* name : {"../graph-1", "/graph-1", "rows/../graph-1", "", "rows//1-0", "./graph-1", "graph 1"}) {
      manifest.files[0].name = name;
      BOOST_TEST((store->publish(manifest).code() == Code::kInvalidArgument));
    }
  }
  BOOST_TEST(*generation_at(directory.path("s")) == 1u);
}

// Every bit of both slots and of the newer manifest: the newest content is served, or nothing at all.
BOOST_AUTO_TEST_CASE(every_flipped_bit_of_superblock_and_manifest_is_found) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  make_store(path, 2);
  // The manifest alone: its pages are the same in every round.
  const auto load = [&](std::string& damage) -> Result<std::uint32_t> {
    VECSTORE_ASSIGN(const auto store, StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kShared));
    const auto found = store.damage();
    damage = found.empty() ? "" : std::string(found.front().subject());
    return store.manifest()->generation;
  };
  std::size_t wrong = 0;
  const auto flip_all = [&](const std::string& name, std::size_t begin, std::size_t end, std::size_t step,
                            bool is_served, bool is_told) {
    const auto good = test::read_file(path + "/" + name);
    std::fstream out(path + "/" + name, std::ios::in | std::ios::out | std::ios::binary);
    for (std::size_t bit = begin * 8; bit < end * 8; bit += step) {
      const auto at = static_cast<std::streamoff>(bit / 8);
      out.seekp(at).put(static_cast<char>(good[bit / 8] ^ (1 << (bit % 8)))).flush();
      std::string damage;
      const auto found = load(damage);
      const bool right = is_served ? found && *found == 2 && (damage == path + "/" + name) == is_told
                                   : code_of(found) == Code::kCorrupt && found.error().subject() == path + "/" + name;
      wrong += right ? 0 : 1;
      out.seekp(at).put(good[bit / 8]).flush();
    }
  };
  for (const std::size_t slot : {std::size_t{0}, kSlotBytes}) {
    flip_all("superblock", slot, slot + 256, 1, true, true);
    flip_all("superblock", slot + kSlotBytes - 16, slot + kSlotBytes, 1, true, true);
    flip_all("superblock", slot + 256, slot + kSlotBytes - 16, 97, true, true);
  }
  flip_all("manifest-2", 0, std::filesystem::file_size(path + "/manifest-2"), 7, false, true);
  flip_all("manifest-1", 0, 64, 1, true, false);  // nobody needs it
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(*generation_at(path) == 2u);
}

BOOST_AUTO_TEST_CASE(every_bit_of_a_slot_is_covered_by_its_hash) {
  SlotBytes slot;
  encode_slot({7, {}, 3, 0, 0, "manifest-7", 100, {1, 2}}, 1, slot);
  BOOST_TEST((decode_slot(slot.bytes, 1).state == SlotState::kIntact));
  BOOST_TEST((decode_slot(slot.bytes, 0).state == SlotState::kDamaged));  // in the place of the other
  std::size_t missed = 0;
  for (std::size_t bit = 0; bit < kSlotBytes * 8; ++bit) {
    const std::byte mask{static_cast<unsigned char>(1u << (bit % 8))};
    slot.bytes[bit / 8] ^= mask;
    missed += decode_slot(slot.bytes, 1).state != SlotState::kDamaged;
    slot.bytes[bit / 8] ^= mask;
  }
  BOOST_TEST(missed == 0u);
}

BOOST_AUTO_TEST_CASE(truncated_superblock_or_manifest_never_gives_wrong_content) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  make_store(path, 2);
  const auto superblock = test::read_file(path + "/superblock");
  for (std::size_t size = 0; size < superblock.size(); size += 512) {
    test::write_file(path + "/superblock",
                     {superblock.begin(), superblock.begin() + static_cast<std::ptrdiff_t>(size)});
    const auto found = generation_at(path);
    if (size < 4096) {
      BOOST_TEST((code_of(found) == Code::kCorrupt));
    } else {
      REQUIRE_OK(found);
      BOOST_TEST(*found == 2u);
    }
  }
  test::write_file(path + "/superblock", superblock);
  std::filesystem::resize_file(path + "/manifest-2", 50);
  for (int i = 0; i < 2; ++i) {
    for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
      const auto none = generation_at(path, mode);
      BOOST_REQUIRE((code_of(none) == Code::kCorrupt));
      BOOST_TEST(none.error().subject() == path + "/manifest-2");
    }
    std::filesystem::remove(path + "/manifest-2");
  }
  BOOST_TEST(std::filesystem::exists(path + "/graph-2"));
  BOOST_TEST(std::filesystem::exists(path + "/manifest-1"));
}

void damage_slot(const std::string& path, std::size_t slot, std::size_t bytes = 1) {
  auto superblock = test::read_file(path + "/superblock");
  std::fill_n(superblock.begin() + static_cast<std::ptrdiff_t>(slot * kSlotBytes + (bytes == 1 ? 30 : 0)), bytes,
              bytes == 1 ? 'x' : '\0');
  test::write_file(path + "/superblock", superblock);
}

BOOST_AUTO_TEST_CASE(a_damaged_or_zeroed_slot_is_told_of_and_renewed_by_the_next_writer) {
  for (const std::size_t slot : {0u, 1u})
    for (const std::size_t bytes : {std::size_t{1}, kSlotBytes}) {
      const TemporaryDirectory directory;
      const auto path = directory.path("s");
      make_store(path, 2);
      const auto superblock = test::read_file(path + "/superblock");
      damage_slot(path, slot, bytes);
      BOOST_TEST(*generation_at(path) == 2u);
      BOOST_TEST((test::read_file(path + "/superblock") != superblock));
      BOOST_TEST(StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kShared)->damage().size() ==
                 1u);
      BOOST_TEST(*generation_at(path, LockMode::kExclusive) == 2u);
      BOOST_TEST((test::read_file(path + "/superblock") == superblock));
      BOOST_TEST(StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kShared)->damage().empty());
    }
}

// A store of before 2026-11-28: two slots, one publish apart.
void make_old_store(const std::string& path, std::uint32_t last) {
  make_store(path, last);
  std::vector<char> slots(kSuperblockBytes);
  for (std::uint32_t generation = last < 2 ? 1 : last - 1; generation <= last; ++generation) {
    const auto manifest = test::read_file(path + "/manifest-" + std::to_string(generation));
    const Slot slot{generation,
                    test::identity_of(generation).store,
                    generation * 100,
                    0,
                    0,
                    "manifest-" + std::to_string(generation),
                    manifest.size(),
                    hash128(std::as_bytes(std::span(manifest))),
                    false};
    const std::uint32_t index = (generation - 1) % 2;
    SlotBytes bytes;
    encode_slot(slot, index, bytes);
    std::memcpy(slots.data() + index * kSlotBytes, bytes.bytes.data(), kSlotBytes);
  }
  test::write_file(path + "/superblock", slots);
}

BOOST_AUTO_TEST_CASE(an_older_store_opens_as_before_and_a_writer_mirrors_it) {
  for (const std::uint32_t last : {1u, 2u, 5u}) {
    const TemporaryDirectory directory;
    const auto path = directory.path("s");
    make_old_store(path, last);
    BOOST_TEST(*generation_at(path) == last);
    BOOST_TEST(StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kShared)->damage().empty());
    test::write_file(path + "/graph-9", {'x'});  // left by a killed build: these left no word
    BOOST_TEST(*generation_at(path) == last);
    BOOST_TEST(*generation_at(path, LockMode::kExclusive) == last);
    BOOST_TEST(!std::filesystem::exists(path + "/graph-9"));
    for (const std::size_t slot : {0u, 1u}) {
      damage_slot(path, slot);
      BOOST_TEST(*generation_at(path) == last);
      BOOST_TEST(*generation_at(path, LockMode::kExclusive) == last);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_older_store_that_lost_its_newer_slot_is_damaged_and_not_an_older_one) {
  for (const std::size_t bytes : {std::size_t{1}, kSlotBytes})
    for (const std::size_t lost : {0u, 1u}) {
      const TemporaryDirectory directory;
      const auto path = directory.path("s");
      make_old_store(path, 2);  // its newer slot is slot 1
      damage_slot(path, lost, bytes);
      for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
        const auto found = generation_at(path, mode);
        if (lost == 0) {
          BOOST_TEST(*found == 2u);
        } else {
          BOOST_REQUIRE((code_of(found) == Code::kCorrupt));
        }
      }
      BOOST_TEST(std::filesystem::exists(path + "/manifest-2"));
      BOOST_TEST(std::filesystem::exists(path + "/graph-2"));
      const auto left = StoreDirectory::open_what_is_left(FileSystem::posix(), test::kNames, path);
      REQUIRE_OK(left);
      BOOST_TEST(left->manifest()->generation == 2u);
      BOOST_TEST(left->damage().empty() == (lost == 0));
    }
}

// Somebody put an old copy of the superblock in its place, or took it away.
BOOST_AUTO_TEST_CASE(files_that_nothing_accounts_for_are_told_of_and_stay) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  make_store(path, 1);
  const auto older = test::read_file(path + "/superblock");
  {
    auto store = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive);
    REQUIRE_OK(store);
    REQUIRE_OK(publish_generation(*store, 2));
  }
  const auto files = names_in(path);
  for (const char* missing : {"", "manifest-2", "graph-2"}) {
    if (*missing != '\0') std::filesystem::rename(path + "/" + missing, directory.path("aside"));
    test::write_file(path + "/superblock", older);
    BOOST_TEST((code_of(StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive)) ==
                Code::kCorrupt));
    BOOST_TEST((code_of(StoreDirectory::create(FileSystem::posix(), test::kNames, path)) == Code::kCorrupt));
    BOOST_TEST(StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kShared)->damage().size() == 1u);
    std::filesystem::remove(path + "/superblock");
    BOOST_TEST((code_of(StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive)) ==
                Code::kInvalidInput));
    BOOST_TEST((code_of(StoreDirectory::create(FileSystem::posix(), test::kNames, path)) == Code::kCorrupt));
    const auto left = StoreDirectory::open_what_is_left(FileSystem::posix(), test::kNames, path);
    REQUIRE_OK(left);
    BOOST_TEST(left->manifest()->generation == (*missing == '\0' ? 2u : 1u));
    test::write_file(path + "/superblock", older);
    if (*missing != '\0') std::filesystem::rename(directory.path("aside"), path + "/" + missing);
    BOOST_TEST(names_in(path) == files, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(unknown_feature_is_a_newer_format) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  make_store(path, 1);
  const auto bytes = test::read_file(path + "/superblock");
  Slot slot = decode_slot(std::as_bytes(std::span(bytes)).first(kSlotBytes), 0).slot;
  for (const bool incompatible : {false, true}) {
    (incompatible ? slot.incompatible_features : slot.compatible_features) = 1u << 5;
    std::vector<char> all(bytes);
    for (std::uint32_t index = 0; index < kSlots; ++index) {
      SlotBytes changed;
      encode_slot(slot, index, changed);
      std::memcpy(all.data() + index * kSlotBytes, changed.bytes.data(), kSlotBytes);
    }
    test::write_file(path + "/superblock", all);
    BOOST_TEST((code_of(generation_at(path)) == (incompatible ? Code::kNewerFormat : Code::kOk)));
  }
}

BOOST_AUTO_TEST_CASE(resealed_nonsense_in_a_manifest_is_refused) {
  Manifest manifest;
  manifest.files.push_back({1, false, 1, "graph-1", 4096, 1, 2});
  manifest.properties = test::attributes_of(9);
  const auto encoded = encode_manifest(manifest);
  REQUIRE_OK(encoded);
  REQUIRE_OK(decode_manifest(*encoded, "m"));
  std::size_t accepted = 0;
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes(encoded->begin(), encoded->end() - 16);
    for (std::uint64_t j = 0; j <= random.below(3); ++j)
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    if (random.below(4) == 0)
      bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(random.below(bytes.size())), bytes.end());
    const Hash128 hash = hash128(bytes);
    const auto* raw = reinterpret_cast<const std::byte*>(&hash);
    bytes.insert(bytes.end(), raw, raw + 16);
    const auto decoded = decode_manifest(bytes, "m");
    if (!decoded) continue;
    ++accepted;
    for (const auto& file : decoded->files) BOOST_REQUIRE(is_file_name(file.name));
  }
  BOOST_TEST(accepted > 0u);  // a changed number is not nonsense
}

}  // namespace
}  // namespace vecstore
