// SPDX-License-Identifier: Apache-2.0
//
// A store on a disk that loses power at every call. What comes back is what the model says: every acknowledged write,
// of the one that was under way all or nothing, and with syncing put off a prefix that holds what was durable.
//
// One number is one history: VECSTORE_SIM_SEED=<n> runs that seed alone, VECSTORE_SIM_SEEDS=<n> so many.
// VECSTORE_SIM_STEP=<n> flips only every n-th bit of headers.
#include "engine/generation/file_names.h"
#include "pagestore/publish.h"
#include "tests/sim/store_model.h"

namespace vecstore {
namespace {

using namespace test;

// Opens, writes until something fails or enough is written, and notes what was promised.
void live(SimDisk& disk, History& history, Random& random, SyncMode sync) {
  auto store = open_sim(disk, random.next(), Access::kReadWrite, sync);
  if (!store) return;
  history.least = history.writes.size();                        // what a writer has found is there for good
  std::vector<std::pair<std::uint64_t, std::size_t>> promised;  // LSN, writes
  for (int i = 0; i < 10; ++i) {
    if (random.below(12) == 0 && !store->flush().is_ok()) return;
    const ModelWrite write = random_write(random);
    history.add(write);
    const auto receipt = write_to(*store, write);
    if (!receipt) return;
    promised.emplace_back(receipt->lsn, history.writes.size());
    for (const auto& [lsn, writes] : promised)
      if (lsn <= receipt->durable_lsn) history.least = std::max(history.least, writes);
    if (sync == SyncMode::kAlways) BOOST_REQUIRE(receipt->durable_lsn >= receipt->lsn);
    if (random.below(4) == 0) BOOST_REQUIRE(content_of(*store) == history.states.back());
  }
  if (random.below(2) == 0 && store->close().is_ok()) history.least = history.writes.size();
}

std::string label(std::uint64_t seed, std::uint64_t cut, int round) {
  return "seed " + std::to_string(seed) + " cut " + std::to_string(cut) + " round " + std::to_string(round) + ": ";
}

struct Survived {
  std::uint64_t recoveries = 0;
  std::uint64_t with_dictionary = 0;  // in the log
};

void survive(std::uint64_t seed, std::uint64_t cut, Survived& survived) {
  Random random(seed * 7919 + cut);
  const SyncMode sync = seed % 3 == 0 ? SyncMode::kNone : SyncMode::kAlways;
  SimDisk disk;
  REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, seed)));
  History history;
  for (int round = 0; round < 4; ++round) {
    disk.set_fault(Fault::kPowerCut, round == 0 ? cut : random.below(120));
    live(disk, history, random, sync);
    disk.cut_power();
    if (random.below(4) == 0) {
      disk.restart();
    } else {
      disk.reboot(random);
    }
    const auto reader = open_sim(disk, 1, Access::kRead);
    BOOST_REQUIRE_MESSAGE(reader.has_value(), label(seed, cut, round) << message_of(reader));
    ++survived.recoveries;
    survived.with_dictionary += reader->stats().has_dictionary ? 1 : 0;
    const Model content = content_of(*reader);
    BOOST_REQUIRE_MESSAGE(history.settle(content), label(seed, cut, round)
                                                       << "the store holds what was never the case");
    BOOST_REQUIRE(reader->size() == content.size());
    check_search(*reader, content);
  }
}

BOOST_AUTO_TEST_SUITE(simulation)

BOOST_AUTO_TEST_CASE(a_power_cut_at_every_call_loses_nothing_that_was_promised) {
  Survived survived;
  const bool only_one = std::getenv("VECSTORE_SIM_SEED") != nullptr;
  const std::uint64_t first = number_of("VECSTORE_SIM_SEED", 0);
  const std::uint64_t seeds = only_one ? 1 : number_of("VECSTORE_SIM_SEEDS", kInstrumented ? 10 : 210);
  for (std::uint64_t seed = first; seed < first + seeds; ++seed)
    for (std::uint64_t cut = 0; cut < 120; ++cut) survive(seed, cut, survived);
  BOOST_TEST_MESSAGE("recoveries: " << survived.recoveries << ", with a dictionary: " << survived.with_dictionary);
  BOOST_TEST(survived.recoveries == seeds * 120 * 4);
  BOOST_TEST(survived.with_dictionary > survived.recoveries / 10);
}

// Making a store either happens or leaves nothing that a second attempt minds.
// The pauses between the attempts are those of the disk's clock.
BOOST_AUTO_TEST_CASE(a_store_that_somebody_writes_is_asked_for_again_for_a_second) {
  SimDisk disk;
  REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, 1)));
  const auto writer = open_sim(disk, 1, Access::kReadWrite);
  REQUIRE_OK(writer);
  BOOST_CHECK(disk.slept() == std::chrono::seconds(0));
  BOOST_CHECK(code_of(open_sim(disk, 2, Access::kReadWrite)) == Code::kBusy);
  BOOST_CHECK(disk.slept() == std::chrono::seconds(1));
  REQUIRE_OK(open_sim(disk, 3, Access::kRead));
  BOOST_CHECK(disk.slept() == std::chrono::seconds(1));
}

BOOST_AUTO_TEST_CASE(a_power_cut_while_a_store_is_made_can_be_made_good) {
  for (std::uint64_t seed = 0; seed < 40; ++seed)
    for (std::uint64_t cut = 0;; ++cut) {
      Random random(seed * 31 + cut);
      SimDisk disk;
      disk.set_fault(Fault::kPowerCut, cut);
      const Status made = StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, seed));
      const bool struck = disk.has_struck();
      disk.reboot(random);
      const Status again = StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, seed + 1));
      if (made.is_ok()) {
        BOOST_TEST((again.code() == Code::kExists), again.message());
      } else {
        BOOST_TEST((again.is_ok() || again.code() == Code::kExists), again.message());
      }
      const auto store = open_sim(disk, 5, Access::kReadWrite);
      BOOST_REQUIRE_MESSAGE(store.has_value(), "seed " << seed << " cut " << cut << ": " << message_of(store));
      BOOST_TEST(store->size() == 0u);
      if (!struck) break;
    }
}

// A writer is killed while it publishes, the next one loses power at every call: one slot of the superblock was never
// synced, the other may be torn, and the store must open all the same.
BOOST_AUTO_TEST_CASE(a_superblock_survives_a_killed_writer_and_then_a_power_cut) {
  const auto publish = [](SimDisk& disk) -> Status {
    VECSTORE_ASSIGN(StoreDirectory directory, StoreDirectory::open(disk, kStoreNames, kSimPath, LockMode::kExclusive));
    return directory.publish(*directory.manifest());
  };
  SimDisk made;
  REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(made, 5)));
  REQUIRE_OK(publish(made));
  std::uint64_t published = 0;
  constexpr std::uint64_t kCalls = 46;
  for (std::uint64_t killed_at = 0; killed_at < kCalls; ++killed_at) {
    for (std::uint64_t cut = 0; cut < kCalls; ++cut) {
      for (std::uint64_t seed = 0; seed < (kInstrumented ? 2 : 10); ++seed) {
        const auto disk = made.clone();
        disk->set_fault(Fault::kPowerCut, killed_at);
        static_cast<void>(publish(*disk));
        disk->cut_power();
        disk->restart();
        disk->set_fault(Fault::kPowerCut, cut);
        published += publish(*disk).is_ok() ? 1 : 0;
        disk->cut_power();
        Random random((seed * kCalls + killed_at) * kCalls + cut);
        disk->reboot(random);
        const auto store = open_sim(*disk, 1, Access::kRead);
        BOOST_REQUIRE_MESSAGE(store.has_value(), "killed at " << killed_at << " cut " << cut << " seed " << seed << ": "
                                                              << message_of(store));
      }
    }
  }
  BOOST_TEST(published > 0u);  // so the cuts reach beyond the last call
}

// What a directory says is its content, in a number; and files of it as a build leaves them.
Status publish_number(SimDisk& disk, std::uint32_t generation, bool creates) {
  VECSTORE_ASSIGN(StoreDirectory directory,
                  creates ? StoreDirectory::create(disk, kStoreNames, kSimPath)
                          : StoreDirectory::open(disk, kStoreNames, kSimPath, LockMode::kExclusive));
  if (!creates) VECSTORE_TRY(directory.begin_publish());
  Manifest manifest;
  manifest.generation = generation;
  const std::string name = "graph-" + std::to_string(generation);
  {
    VECSTORE_ASSIGN(const auto file, disk.open(directory.file_path(name), {OpenMode::kReadWriteCreate, false}));
    const std::vector<std::byte> bytes(1000, std::byte{7});
    VECSTORE_TRY(file->write_at(bytes, 0));
    VECSTORE_TRY(file->sync());
  }
  manifest.files.push_back({1, false, generation, name, 1000, 0, 0});
  return directory.publish(std::move(manifest));
}
Result<std::uint32_t> number_of_content(SimDisk& disk, LockMode mode) {
  VECSTORE_ASSIGN(const StoreDirectory directory, StoreDirectory::open(disk, kStoreNames, kSimPath, mode));
  return directory.manifest()->generation;
}

// Builds over builds lose power at every call. What was published is found by readers and writers, and the next build
// is in nobody's way. With either slot or the newest manifest lost on top of that, it is found or missed, but nothing
// before it is served. The files that a refused writer finds stay.
BOOST_AUTO_TEST_CASE(what_was_published_is_never_taken_back_by_a_power_cut_or_by_damage) {
  std::uint64_t served = 0;
  std::uint64_t missed = 0;
  for (std::uint64_t seed = 0; seed < (kInstrumented ? 3 : 30); ++seed)
    for (std::uint64_t cut = 0; cut < 150; ++cut) {
      Random random(seed * 151 + cut);
      SimDisk disk;
      std::uint32_t published = 0;
      std::uint32_t tried = 0;
      for (int round = 0; round < 3; ++round) {
        disk.set_fault(Fault::kPowerCut, round == 0 ? cut : random.below(60));
        while (tried < published + 4 && publish_number(disk, tried + 1, tried == 0 || random.below(2) == 0).is_ok())
          published = ++tried;
        ++tried;
        disk.cut_power();
        if (random.below(4) == 0) {
          disk.restart();
        } else {
          disk.reboot(random);
        }
        const auto found = number_of_content(disk, LockMode::kShared);
        if (published == 0 && !found) {
          tried = 0;
          continue;
        }
        BOOST_REQUIRE_MESSAGE(found.has_value(), label(seed, cut, round) << message_of(found));
        BOOST_REQUIRE_MESSAGE(*found >= published && *found <= tried, label(seed, cut, round) << *found);
        for (std::size_t slot = 0; slot < 2; ++slot) {
          const auto damaged = disk.clone();
          BOOST_REQUIRE(damaged->flip_bit(std::string(kSimPath) + "/superblock", slot * 4096 + 20, 1));
          for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
            const auto left = number_of_content(*damaged, mode);
            BOOST_REQUIRE_MESSAGE(left ? *left >= published : code_of(left) == Code::kCorrupt,
                                  label(seed, cut, round) << "with slot " << slot << " lost: " << message_of(left));
            ++(left ? served : missed);
          }
        }
        published = tried = *found;
        const auto again = number_of_content(disk, LockMode::kExclusive);
        BOOST_REQUIRE_MESSAGE(again && *again == published, label(seed, cut, round) << message_of(again));
      }
      disk.clear_fault();
      const Status last = publish_number(disk, std::max(tried, published) + 1, true);
      BOOST_REQUIRE_MESSAGE(last.is_ok(), label(seed, cut, 3) << last.message());
      for (std::size_t slot = 0; slot < 2; ++slot) {
        const auto damaged = disk.clone();
        BOOST_REQUIRE(damaged->flip_bit(std::string(kSimPath) + "/superblock", slot * 4096 + 20, 1));
        const auto left = number_of_content(*damaged, LockMode::kShared);
        BOOST_REQUIRE_MESSAGE(left.has_value(), label(seed, cut, 3) << message_of(left));
        BOOST_REQUIRE(*left == *number_of_content(disk, LockMode::kShared));
      }
    }
  BOOST_TEST_MESSAGE(served << " served with a slot lost, " << missed << " missed");
  BOOST_TEST(served > missed);
}

// Every call in turn fails without the machine going down, once or from then on: nothing acknowledged is lost, nothing
// wrong is ever shown, and opening the store again finds all that was promised.
BOOST_AUTO_TEST_CASE(an_error_at_every_call_loses_nothing_that_was_promised) {
  std::uint64_t runs = 0;
  for (const Fault fault : {Fault::kIo, Fault::kNoSpace, Fault::kShort, Fault::kLate})
    for (const bool sticky : {false, true})
      for (std::uint64_t seed = 0; seed < 6; ++seed)
        for (std::uint64_t call = 0; call < 130; ++call) {
          Random random(seed * 7919 + call);
          SimDisk disk;
          REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, seed)));
          History history;
          disk.set_fault(fault, call, sticky);
          {
            auto store = open_sim(disk, random.next(), Access::kReadWrite);
            if (!store) check_names(store.error());
            for (int i = 0; store && i < 12; ++i) {
              const ModelWrite write = random_write(random);
              const auto written = write_to(*store, write);
              if (!written) check_names(written.error());
              if (written) {
                history.add(write);
                history.least = history.writes.size();
                BOOST_REQUIRE(store->size() == history.states.back().size());
              } else if (!store->flush().is_ok()) {
                // As put() promises: anything else would say that nothing was written.
                BOOST_REQUIRE_MESSAGE(code_of(written) == Code::kIo, message_of(written));
                // Only opening the store again tells whether this one came through.
                history.add(write);
                BOOST_REQUIRE(code_of(write_to(*store, write)) == Code::kIo);
                break;
              }
            }
          }
          disk.clear_fault();
          disk.restart();
          const auto again = open_sim(disk, 3, Access::kReadWrite);
          BOOST_REQUIRE_MESSAGE(again.has_value(), "seed " << seed << " call " << call << ": " << message_of(again));
          BOOST_REQUIRE_MESSAGE(history.settle(content_of(*again)),
                                "seed " << seed << " call " << call << " fault " << static_cast<int>(fault));
          ++runs;
        }
  BOOST_TEST_MESSAGE("runs: " << runs);
}

// A store that was written to and closed, and one file of it damaged: its content, or an error that says so.
class Sweep {
 public:
  explicit Sweep(bool closes = true) {
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk_, 3)));
    Random random(17);
    for (int session = 0; session < 3; ++session) {
      auto store = open_sim(disk_, random.next(), Access::kReadWrite);
      REQUIRE_OK(store);
      for (int i = 0; i < 8; ++i) {
        const ModelWrite write = random_write(random);
        REQUIRE_OK(write_to(*store, write));
        write.apply(content_);
      }
      if (!closes && session == 2) disk_.cut_power();
      if (closes || session != 2) REQUIRE_OK(store->close());
    }
    disk_.restart();
  }
  const SimDisk& disk() const { return disk_; }

  void check(SimDisk& damaged, const std::string& what) {
    for (const Access access : {Access::kRead, Access::kReadWrite}) {
      const auto store = open_sim(damaged, 99, access);
      if (store) {
        BOOST_REQUIRE_MESSAGE(content_of(*store) == content_, what << ": the store holds something else");
        ++harmless;
      } else {
        const Code code = store.error().code();
        BOOST_REQUIRE_MESSAGE(code == Code::kCorrupt || code == Code::kNewerFormat || code == Code::kInvalidInput,
                              what << ": " << message_of(store));
        ++reported;
      }
    }
  }

  std::uint64_t harmless = 0;
  std::uint64_t reported = 0;

 private:
  SimDisk disk_;
  Model content_;
};

BOOST_AUTO_TEST_CASE(a_flipped_bit_anywhere_is_reported_or_without_effect) {
  constexpr std::uint64_t kHeaderBytes = 144;  // bytes of each block of which all bits are flipped; of the rest, some
  Sweep sweep;
  const std::uint64_t step = number_of("VECSTORE_SIM_STEP", kInstrumented ? 211 : 1);
  std::uint64_t seen = 0;
  for (const std::string& path : sweep.disk().files())
    for (std::uint64_t byte = 0; byte < sweep.disk().bytes_of(path); ++byte)
      for (unsigned bit = 0; bit < 8; ++bit) {
        const bool of_header = byte % kLogBlockBytes < kHeaderBytes;
        if (++seen % (of_header ? step : 61 * step) != 0) continue;
        const auto damaged = sweep.disk().clone();
        BOOST_REQUIRE(damaged->flip_bit(path, byte, bit));
        sweep.check(*damaged, path + " byte " + std::to_string(byte) + " bit " + std::to_string(bit));
      }
  BOOST_TEST_MESSAGE(sweep.harmless << " without effect, " << sweep.reported << " reported");
  BOOST_TEST(sweep.reported > 0u);
}

BOOST_AUTO_TEST_CASE(a_file_cut_short_anywhere_is_reported_or_without_effect) {
  Sweep sweep;
  for (const std::string& path : sweep.disk().files())
    for (std::uint64_t bytes = 0; bytes < sweep.disk().bytes_of(path); bytes += SimDisk::kSectorBytes) {
      const auto damaged = sweep.disk().clone();
      const auto file = damaged->open(path, {OpenMode::kReadWrite, false});
      REQUIRE_OK(file);
      REQUIRE_OK((*file)->truncate(bytes));
      sweep.check(*damaged, path + " cut to " + std::to_string(bytes));
    }
  BOOST_TEST(sweep.reported > 0u);
}

// Also of a store whose writer was killed: nothing but the files themselves and the record of the end tell of them.
BOOST_AUTO_TEST_CASE(a_file_that_is_gone_or_wiped_is_reported_or_without_effect) {
  for (const bool closes : {true, false}) {
    Sweep sweep(closes);
    for (const std::string& path : sweep.disk().files())
      for (const bool is_gone : {true, false}) {
        const auto damaged = sweep.disk().clone();
        if (is_gone) {
          REQUIRE_OK(damaged->unlink(path));
        } else {
          const auto file = damaged->open(path, {OpenMode::kReadWrite, false});
          REQUIRE_OK(file);
          REQUIRE_OK((*file)->write_at(std::vector<std::byte>(sweep.disk().bytes_of(path)), 0));
        }
        sweep.check(*damaged, path + (is_gone ? " is gone" : " is wiped"));
      }
    BOOST_TEST(sweep.reported > 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
