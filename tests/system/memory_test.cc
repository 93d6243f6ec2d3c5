// SPDX-License-Identifier: Apache-2.0
//
// Memory that runs out at any request: the call says so and has done nothing, what was acknowledged is there, and the
// store goes on once there is memory again.
#include <filesystem>

#include "tests/engine/stores.h"
#include "tests/engine/text_input.h"
#include "tests/sim/store_model.h"
#include "tests/system/failing_memory.h"

namespace vecstore {
namespace {

using namespace test;

template <typename T>
void require_refusal(const Result<T>& outcome) {
  BOOST_REQUIRE_MESSAGE(code_of(outcome) == Code::kMemoryBudget, message_of(outcome));
  BOOST_REQUIRE_MESSAGE(is_refused_by_system(outcome.error()), message_of(outcome));
}
void require_refusal(const Status& outcome) {
  BOOST_REQUIRE_MESSAGE(outcome.code() == Code::kMemoryBudget, outcome.message());
  BOOST_REQUIRE_MESSAGE(is_refused_by_system(outcome), outcome.message());
}

// A writer at work on the simulated disk, and a reader that follows it.
void write_and_follow(FailingMemory& memory, std::uint64_t seed, DType dtype) {
  Random random(seed);
  SimDisk disk;
  const StoreEnvironment environment = environment_on(disk, seed);
  const CreateOptions shape = sim_shape(dtype);
  const Status created = memory.during([&] { return StoreFactory::create(kSimPath, shape, environment); });
  if (!created.is_ok()) {
    require_refusal(created);
    REQUIRE_OK(StoreFactory::create(kSimPath, shape, environment));
  }
  Model model;
  const auto open = [&](std::uint64_t salt, Access access) {
    auto store = memory.during([&] { return open_sim(disk, salt, access); });
    if (!store) {
      require_refusal(store);
      store = open_sim(disk, salt, access);
    }
    REQUIRE_OK(store);
    return std::move(*store);
  };
  for (int session = 0; session < 2; ++session) {
    Store store = open(random.next(), Access::kReadWrite);
    Store reader = open(1, Access::kRead);
    for (int i = 0; i < 12; ++i) {
      const ModelWrite write = random_write(random);
      const StoreWrite call(write, dtype);
      const auto receipt = memory.during([&] { return call(store); });
      if (receipt) {
        write.apply(model);
      } else {
        require_refusal(receipt);
      }
      BOOST_REQUIRE(store.size() == model.size());
      const auto query = elements_of(std::vector<std::uint8_t>(kSimDim, static_cast<std::uint8_t>(i)), dtype);
      const auto found = memory.during([&] { return store.search({query.data(), dtype, 1, kSimDim}, {.k = 100}); });
      if (found) {
        BOOST_REQUIRE((*found)[0].size() == model.size());
      } else {
        require_refusal(found);
      }
      const auto item = memory.during([&] { return store.get(write.keys.front()); });
      if (const auto known = model.find(write.keys.front()); !item && item.error().code() != Code::kNotFound) {
        require_refusal(item);
      } else {
        BOOST_REQUIRE(item.has_value() == (known != model.end()));
        if (item) BOOST_REQUIRE(item->document == known->second.document);
      }
      const Status followed = memory.during([&] { return reader.refresh(); });
      if (followed.is_ok()) {
        BOOST_REQUIRE(content_of(reader) == model);
      } else {
        require_refusal(followed);
      }
    }
    BOOST_REQUIRE(content_of(store) == model);
    const ModelWrite write = random_write(random);
    REQUIRE_OK(StoreWrite(write, dtype)(store));  // there is memory again
    write.apply(model);
    REQUIRE_OK(reader.refresh());
    BOOST_REQUIRE(content_of(reader) == model);
    const Status closed = memory.during([&] { return store.close(); });
    if (!closed.is_ok()) require_refusal(closed);
  }
  const auto again = open_sim(disk, 7, Access::kRead);
  REQUIRE_OK(again);
  BOOST_REQUIRE(content_of(*again) == model);
}

bool is_refused(const Status& status) { return status.code() == Code::kMemoryBudget; }
template <typename T>
bool is_refused(const Result<T>& result) {
  return code_of(result) == Code::kMemoryBudget;
}

// The outcome; where memory refused it, that of a second call without.
template <typename Call>
auto retried(FailingMemory& memory, const Call& call) {
  auto outcome = memory.during(call);
  return is_refused(outcome) ? call() : std::move(outcome);
}

// What can be asked of a store of 300 real rows with keys and documents. Rows were put and erased since it was built.
// Each answer comes as text.
class Questions {
 public:
  Questions() : base_(csift(kRows)), queries_(csift_queries(8)) {
    std::vector<std::string> keys;
    std::vector<std::string> documents;
    for (std::uint64_t row = 0; row < kRows; ++row) {
      keys.push_back("key-" + std::to_string(row * 7919 % 1000));
      documents.push_back(std::string(row % 60, 'd') + std::to_string(row));
    }
    write_lines(directory_.path("keys"), keys);
    write_lines(directory_.path("documents"), documents);
    BuildOptions options = build_options(Metric::kL2);
    options.keys_path = directory_.path("keys");
    options.documents_path = directory_.path("documents");
    REQUIRE_OK(Store::build(path(), *view_source(base_.view()), options));
    OpenOptions writing;
    writing.access = Access::kReadWrite;
    auto store = Store::open(path(), writing);
    REQUIRE_OK(store);
    for (std::uint64_t row = 0; row < 20; ++row)
      REQUIRE_OK(store->put("put-" + std::to_string(row), base_.row(row), "a document of " + std::to_string(row)));
    for (std::uint64_t row = 0; row < 10; ++row) REQUIRE_OK(store->erase(keys[row]));
    REQUIRE_OK(store->close());
  }
  std::string path() const { return directory_.path("idx"); }

  // Asks everything once, and again what memory refused.
  std::string ask(FailingMemory& memory, const OpenOptions& options) {
    const std::string at = path();
    const auto opened = retried(memory, [&] { return Store::open(at, options); });
    const Store& store = *opened;
    std::string answers = std::to_string(store.size());
    const auto found = retried(memory, [&] { return store.search(queries_.view(), {.k = 10}, 2); });
    for (std::size_t query = 0; query < found->size(); ++query)
      for (const Hit& hit : (*found)[query]) answers.append(" ").append(std::to_string(hit.row.value));
    for (const char* key : {"key-919", "put-7", "key-0", "nobody"}) {
      const Key name(key);
      const auto item = retried(memory, [&] { return store.get(name); });
      answers.append(item ? " = " + item->document : " none");
      const auto row = retried(memory, [&] { return store.find(name); });
      if (!row) continue;
      answers.append(*retried(memory, [&] { return store.key(*row); }));
      answers.append(*retried(memory, [&] { return store.document(*row); }));
      std::vector<std::byte> vector(base_.dim);
      REQUIRE_OK(retried(memory, [&] { return store.vector(*row, vector); }));
      answers.append(std::to_string(static_cast<int>(vector[5])));
    }
    std::uint64_t sum = 0;
    REQUIRE_OK(retried(memory, [&] {
      sum = 0;
      return store.for_each_key([&sum](const Key& key, RowId row) {
        sum += row.value * key.bytes().size();
        return true;
      });
    }));
    const auto report = retried(memory, [&] { return store.verify({.deep = true}); });
    const ExportFiles files{directory_.path("all.u8bin"), directory_.path("all.keys"),
                            directory_.path("all.documents")};
    REQUIRE_OK(retried(memory, [&] { return store.export_to(files, {.overwrite = true}); }));
    const auto exported = read_file(files.documents);
    return answers + " " + std::to_string(sum) + " " + std::to_string(report->damage_total) + " " +
           std::to_string(report->rows_checked) + " " + std::string(exported.begin(), exported.end());
  }

 private:
  static constexpr std::uint64_t kRows = 300;

  TemporaryDirectory directory_;
  Matrix base_;
  Matrix queries_;
};

BOOST_AUTO_TEST_SUITE(memory_runs_out)

BOOST_AUTO_TEST_CASE(at_any_request_of_a_writer_nothing_acknowledged_is_lost) {
  std::uint64_t runs = 0;
  for (const bool for_good : {false, true})
    for (const DType dtype : {DType::kU8, DType::kF32})
      for (std::uint64_t at = 0;; at += kInstrumented ? 7 : 1, ++runs) {
        BOOST_TEST_CONTEXT("f32 " << (dtype == DType::kF32) << " request " << at << " for good " << for_good) {
          FailingMemory memory(at, for_good);
          write_and_follow(memory, 1, dtype);
          if (!memory.has_struck()) break;
        }
      }
  BOOST_TEST_MESSAGE("runs: " << runs);
  BOOST_TEST(runs > 100u);
}

BOOST_AUTO_TEST_CASE(at_any_request_of_a_reader_it_answers_the_same_afterwards) {
  Questions questions;
  std::uint64_t runs = 0;
  for (const double cached : {0.0, 0.5, 1.0}) {
    OpenOptions options;
    options.cache_fraction = cached;
    options.fixed_cache = true;
    options.searchers = 2;
    FailingMemory enough(~std::uint64_t{0}, false);
    const std::string answers = questions.ask(enough, options);
    const std::uint64_t requests = FailingMemory::requests();
    BOOST_TEST_MESSAGE("requests: " << requests);
    BOOST_TEST(answers.find("put-7") != std::string::npos);
    for (const bool for_good : {false, true})
      for (std::uint64_t at = 0; at < requests; at += 1 + requests / (kInstrumented ? 6 : 25), ++runs) {
        BOOST_TEST_CONTEXT("request " << at << " for good " << for_good << " cached " << cached) {
          FailingMemory memory(at, for_good);
          BOOST_REQUIRE(questions.ask(memory, options) == answers);
        }
      }
  }
  BOOST_TEST_MESSAGE("runs: " << runs);
}

BOOST_AUTO_TEST_CASE(metrics_are_told_without_any_memory) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("s");
  const Matrix base = csift(20);
  REQUIRE_OK(Store::create(path, {base.dim, base.dtype, Metric::kL2, KeyKind::kNumber}));
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;
  auto store = Store::open(path, options);
  REQUIRE_OK(store);
  for (std::uint64_t row = 0; row < base.rows(); ++row) REQUIRE_OK(store->put(row, base.row(row)));
  FailingMemory none(0, true);
  const Metrics metrics = none.during([&] { return store->metrics(); });
  BOOST_TEST(!none.has_struck());
  BOOST_TEST(metrics.puts.rows == base.rows());
}

// Up to the publishing, which the case of a writer goes through. Behind it the report is written, by a library whose
// destructors take memory, so that a process without any ends there.
BOOST_AUTO_TEST_CASE(at_any_request_of_a_build_it_leaves_nothing) {
  const Matrix base = csift(400);
  const TemporaryDirectory directory;
  const auto source = view_source(base.view());
  BuildOptions options = build_options(Metric::kL2);
  std::uint64_t requests = 0;
  {
    FailingMemory enough(~std::uint64_t{0}, false);
    options.progress = [&](const Progress& progress) {
      if (progress.phase == Phase::kPublish && progress.done == 0) requests = FailingMemory::requests();
    };
    REQUIRE_OK(enough.during([&] { return Store::build(directory.path("whole"), *source, options); }));
  }
  options.progress = {};
  BOOST_TEST_MESSAGE("requests: " << requests);
  std::uint64_t refused = 0;
  const std::string path = directory.path("idx");
  for (const bool for_good : {false, true})
    for (std::uint64_t at = 0; at < requests; at += 1 + requests / (kInstrumented ? 6 : 25)) {
      BOOST_TEST_CONTEXT("request " << at << " for good " << for_good) {
        FailingMemory memory(at, for_good);
        const Status built = memory.during([&] { return Store::build(path, *source, options); });
        if (!built.is_ok()) {
          require_refusal(built);
          ++refused;
          BOOST_REQUIRE(!Store::open(path));
          REQUIRE_OK(Store::build(path, *source, options));
        }
        const auto store = Store::open(path);
        REQUIRE_OK(store);
        BOOST_REQUIRE(store->size() == base.rows());
        std::filesystem::remove_all(path);
      }
    }
  BOOST_TEST(refused > 5u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
