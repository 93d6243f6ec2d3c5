// SPDX-License-Identifier: Apache-2.0
//
// A build on a disk that loses power at every call: it makes the files of a generation, publishes them and the store is
// opened. What comes back is the old content or the new one, whole; where there was none, a store or none.
//
// The disk is copied before every call that finds it changed. So one build gives every state that a cut can meet. Each
// is then torn in many ways. VECSTORE_SIM_BUILD_SEEDS=<n> tears each state in so many ways, VECSTORE_SIM_SEED=<n> in
// one.
#include <algorithm>
#include <array>
#include <optional>

#include "engine/vector_source.h"
#include "tests/sim/store_model.h"

namespace vecstore {
namespace {

using namespace test;

using Content = std::map<std::string, ModelItem>;  // by keys as text

struct Shape {
  DType dtype = DType::kU8;
  bool has_texts = false;  // keys of bytes, and documents
};

// Rows as a build takes them. Their texts lie on the disk, where they are somebody else's files.
class Input {
 public:
  Input(const Shape& shape, std::uint64_t rows, std::uint64_t seed) : shape_(shape), name_(std::to_string(seed)) {
    Random random(seed);
    for (std::uint64_t row = 0; row < rows; ++row) {
      ModelItem item;
      for (std::uint32_t d = 0; d < kSimDim; ++d) item.vector.push_back(static_cast<std::uint8_t>(random.next()));
      if (shape.has_texts) item.document = "document " + std::to_string(random.next());
      const std::string key = (shape.has_texts ? "key-" : "") + std::to_string(row);
      const std::vector<std::byte> elements = elements_of(item.vector, shape.dtype);
      elements_.insert(elements_.end(), elements.begin(), elements.end());
      keys_ += key + "\n";
      documents_ += item.document + "\n";
      content_[key] = std::move(item);
    }
  }

  const Content& content() const { return content_; }

  void put_texts_on(SimDisk& disk) const {
    if (!shape_.has_texts) return;
    static_cast<void>(disk.make_directory("texts"));
    for (const auto& [path, text] : {std::pair(keys_path(), &keys_), std::pair(documents_path(), &documents_)}) {
      const auto file = disk.open(path, {.mode = OpenMode::kCreateNew});
      REQUIRE_OK(file);
      REQUIRE_OK((*file)->write_at(std::as_bytes(std::span(*text)), 0));
      REQUIRE_OK((*file)->sync());
    }
    REQUIRE_OK(disk.sync_directory("texts"));
  }

  Status build_on(SimDisk& disk) const {
    BuildOptions options;
    options.overwrite = true;
    options.threads = 1;
    if (shape_.has_texts) {
      options.keys_path = keys_path();
      options.documents_path = documents_path();
    }
    const VectorView view{elements_.data(), shape_.dtype, content_.size(), kSimDim, 0};
    return StoreFactory::build(kSimPath, *view_source(view), options, environment_on(disk, 1));
  }

 private:
  std::string keys_path() const { return "texts/keys-" + name_; }
  std::string documents_path() const { return "texts/documents-" + name_; }

  Shape shape_;
  std::string name_;
  std::vector<std::byte> elements_;
  std::string keys_;
  std::string documents_;
  Content content_;
};

enum class Before : std::uint8_t { kNothing, kBuilt, kWritten };

// A build over what was there, and all states of the disk on its way.
class Scenario {
 public:
  Scenario(const char* name, const Shape& shape, Before before, std::uint64_t rows)
      : name_(name), shape_(shape), next_(shape, rows, 2) {
    next_.put_texts_on(disk_);
    if (before == Before::kBuilt) make_built();
    if (before == Before::kWritten) make_written();
  }

  // Builds, and keeps every state that a power cut meets, and the last one.
  void record_states() {
    finished_ = disk_.clone();
    finished_->keep_states(&states_);
    REQUIRE_OK(next_.build_on(*finished_));
    finished_->keep_states(nullptr);
  }

  const char* name() const { return name_; }
  const Shape& shape() const { return shape_; }
  const SimDisk& disk() const { return disk_; }  // before the build
  const Input& next() const { return next_; }
  const std::optional<Content>& old() const { return old_; }
  bool is_small() const { return next_.content().size() < 100; }  // takes milliseconds to build
  const std::vector<std::unique_ptr<SimDisk>>& states() const { return states_; }
  const SimDisk& finished() const { return *finished_; }

 private:
  void make_built() {
    const Input first(shape_, 24, 1);
    first.put_texts_on(disk_);
    REQUIRE_OK(first.build_on(disk_));
    old_ = first.content();
  }
  void make_written() {
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(shape_.dtype), environment_on(disk_, 5)));
    auto store = open_sim(disk_, 7, Access::kReadWrite);
    REQUIRE_OK(store);
    Random random(11);
    Model model;
    for (int i = 0; i < 12; ++i) {
      const ModelWrite write = random_write(random);
      REQUIRE_OK(StoreWrite(write, shape_.dtype)(*store));
      write.apply(model);
    }
    REQUIRE_OK(store->close());
    old_.emplace();
    for (const auto& [key, item] : model) (*old_)[std::to_string(key)] = item;
  }

  const char* name_;
  Shape shape_;
  SimDisk disk_;
  Input next_;
  std::optional<Content> old_;
  std::vector<std::unique_ptr<SimDisk>> states_;
  std::unique_ptr<SimDisk> finished_;
};

Key key_of(const std::string& text, const Shape& shape) {
  return shape.has_texts ? Key(text) : Key(std::strtoull(text.c_str(), nullptr, 10));
}

// Sampled where there are many rows; what is sampled is enough, because verify() reads every page.
bool holds(const Store& store, const Content& content, const Shape& shape) {
  if (store.size() != content.size()) return false;
  const std::size_t step = 1 + content.size() / 64;
  std::size_t seen = 0;
  for (const auto& [key, item] : content) {
    if (seen++ % step != 0) continue;
    const auto found = store.get(key_of(key, shape));
    if (!found && code_of(found) == Code::kNotFound) return false;
    REQUIRE_OK(found);
    if (found->vector != elements_of(item.vector, shape.dtype) || found->document != item.document) return false;
  }
  return true;
}

// The nearest row to a row is itself, and all of a few rows are found.
void check_answers(const Store& store, const Content& content, const Shape& shape) {
  if (content.empty()) return;
  const std::vector<std::byte> query = elements_of(content.begin()->second.vector, shape.dtype);
  const auto results =
      store.search({query.data(), shape.dtype, 1, kSimDim}, {.k = 100, .search_list = 200, .full_precision = true});
  REQUIRE_OK(results);
  BOOST_REQUIRE((*results)[0].size() == std::min<std::size_t>(content.size(), 100));
  BOOST_REQUIRE((*results)[0].front().distance == 0.0f);
}

// Nothing of the store is damaged. Its catalog is not on this disk, and is made good by looking into rows/.
void check_whole(const Store& store, const Shape& shape, const std::string& where) {
  const auto report = store.verify({.deep = true});
  REQUIRE_OK(report);
  for (const Status& damage : report->damage) {
    const bool of_catalog = shape.has_texts && damage.message().find("/catalog/") != std::string::npos;
    BOOST_REQUIRE_MESSAGE(of_catalog, where << damage.message());
  }
}

enum class Found : std::uint8_t { kNone, kOld, kNew };

Found examine(SimDisk& disk, const Scenario& scenario, const std::string& where) {
  OpenOptions options;
  options.lanes = 1;
  const auto store = StoreFactory::open(kSimPath, options, environment_on(disk, 1));
  if (!store) {
    const bool none = code_of(store) == Code::kNotFound || code_of(store) == Code::kInvalidInput;
    BOOST_REQUIRE_MESSAGE(none && !scenario.old(), where << message_of(store));
    return Found::kNone;
  }
  const bool is_new = holds(*store, scenario.next().content(), scenario.shape());
  BOOST_REQUIRE_MESSAGE(is_new || (scenario.old() && holds(*store, *scenario.old(), scenario.shape())),
                        where << "the store holds what was never the case");
  check_answers(*store, is_new ? scenario.next().content() : *scenario.old(), scenario.shape());
  check_whole(*store, scenario.shape(), where);
  return is_new ? Found::kNew : Found::kOld;
}

// A writer finds the same, and what it puts is there.
void check_writer(SimDisk& disk, const Scenario& scenario, Found found, const std::string& where) {
  if (found == Found::kNone) return;
  Content content = found == Found::kNew ? scenario.next().content() : *scenario.old();
  auto store = open_sim(disk, 3, Access::kReadWrite);
  BOOST_REQUIRE_MESSAGE(store.has_value(), where << message_of(store));
  BOOST_REQUIRE_MESSAGE(holds(*store, content, scenario.shape()), where << "a writer finds something else");
  const std::string key = scenario.shape().has_texts ? "another" : "5000";
  ModelItem item{std::vector<std::uint8_t>(kSimDim, 9), "put after the recovery"};
  const std::vector<std::byte> elements = elements_of(item.vector, scenario.shape().dtype);
  REQUIRE_OK(
      store->put(key_of(key, scenario.shape()), {elements.data(), scenario.shape().dtype, 1, kSimDim}, item.document));
  content[key] = std::move(item);
  BOOST_REQUIRE_MESSAGE(holds(*store, content, scenario.shape()), where << "what was put is not there");
  REQUIRE_OK(store->close());
}

struct Recovered {
  std::uint64_t recoveries = 0;
  std::array<std::uint64_t, 3> found{};  // by Found
  void count(Found one) {
    ++recoveries;
    ++found[static_cast<std::size_t>(one)];
  }
};

// The build is made once more, after a power cut or with another one.
void build_again(SimDisk& disk, const Scenario& scenario, Random& random, const std::string& where,
                 Recovered& recovered) {
  const bool is_cut = random.below(2) == 0;
  if (is_cut) disk.set_fault(Fault::kPowerCut, random.below(scenario.finished().calls()));
  const Status built = scenario.next().build_on(disk);
  BOOST_REQUIRE_MESSAGE(is_cut || built.is_ok(), where << built.message());
  disk.cut_power();
  disk.reboot(random);
  const Found found = examine(disk, scenario, where);
  BOOST_REQUIRE_MESSAGE(!built.is_ok() || found == Found::kNew, where << "what was built again is gone");
  recovered.count(found);
}

std::string place(const Scenario& scenario, const std::string& what, std::uint64_t number, std::uint64_t seed) {
  return scenario.name() + (" " + what) + " " + std::to_string(number) + " seed " + std::to_string(seed) + ": ";
}

void recover(const Scenario& scenario, const SimDisk& state, bool is_finished, std::uint64_t seed,
             const std::string& where, Recovered& recovered) {
  const auto disk = state.clone();
  Random random(seed);
  if (seed == 0) {
    disk->restart();  // the build was killed, the machine went on
  } else {
    disk->reboot(random);
  }
  const Found found = examine(*disk, scenario, where);
  BOOST_REQUIRE_MESSAGE(!is_finished || found == Found::kNew, where << "what was published is gone");
  recovered.count(found);
  if (seed % 8 == 1) check_writer(*disk, scenario, found, where);
  if (seed % 32 == 2 && scenario.is_small()) build_again(*disk, scenario, random, where, recovered);
}

// Tears every state of one build in `seeds` ways.
void survive(Scenario&& scenario, std::uint64_t seeds) {
  scenario.record_states();
  Recovered recovered;
  const std::uint64_t first = number_of("VECSTORE_SIM_SEED", 0);
  const std::uint64_t last = std::getenv("VECSTORE_SIM_SEED") != nullptr ? first + 1 : seeds;
  const std::size_t count = scenario.states().size();
  for (std::size_t state = 0; state <= count; ++state)
    for (std::uint64_t seed = first; seed < last; ++seed) {
      const bool is_finished = state == count;
      const std::string where = place(scenario, "state", state, seed);
      recover(scenario, is_finished ? scenario.finished() : *scenario.states()[state], is_finished, seed, where,
              recovered);
    }
  BOOST_TEST_MESSAGE(scenario.name() << ": " << count << " states of " << scenario.finished().calls() << " calls, "
                                     << recovered.recoveries << " recoveries: " << recovered.found[0] << " none, "
                                     << recovered.found[1] << " old, " << recovered.found[2] << " new");
  BOOST_TEST(recovered.recoveries >= (count + 1) * (last - first));
  BOOST_TEST(recovered.found[static_cast<std::size_t>(scenario.old() ? Found::kOld : Found::kNone)] > 0u);
  BOOST_TEST(recovered.found[static_cast<std::size_t>(Found::kNew)] > 0u);
}

std::vector<std::string> store_files(const SimDisk& disk) {
  std::vector<std::string> files = disk.files();
  std::erase_if(files, [](const std::string& path) { return !path.starts_with(kSimPath); });
  std::ranges::sort(files);
  return files;
}

// The first file that was not there before, less those that only a writer makes; empty: none.
std::string added_file(const SimDisk& disk, const Scenario& scenario, bool by_writer) {
  const std::vector<std::string> before = store_files(scenario.disk());
  for (const std::string& name : store_files(disk)) {
    const bool is_writers = name.find(kLogName) != std::string::npos || name.find("manifest-") != std::string::npos;
    if (!std::ranges::binary_search(before, name) && !(by_writer && is_writers)) return name;
  }
  return {};
}

// Nothing lies in the store's directory that did not lie there before the build, or there is no such directory.
void check_nothing_left(SimDisk& disk, const Scenario& scenario, const std::string& where) {
  BOOST_REQUIRE_MESSAGE(added_file(disk, scenario, false).empty(),
                        where << "left " << added_file(disk, scenario, false));
  const auto kind = disk.kind_of(kSimPath);
  REQUIRE_OK(kind);
  BOOST_REQUIRE_MESSAGE((*kind == EntryKind::kNone) == !scenario.old(), where << "a failed build left its directory");
}

// Once the disk answers again a writer removes what could not be removed. It publishes that it begins a log.
void check_writer_clears(SimDisk& disk, const Scenario& scenario, const std::string& where) {
  if (!scenario.old()) return;
  auto store = open_sim(disk, 3, Access::kReadWrite);
  BOOST_REQUIRE_MESSAGE(store.has_value(), where << message_of(store));
  REQUIRE_OK(store->close());
  BOOST_REQUIRE_MESSAGE(added_file(disk, scenario, true).empty(), where << "left " << added_file(disk, scenario, true));
}

// One build at whose call of this number something goes wrong; then it is made again. False: it made fewer calls.
bool fail_at(const Scenario& scenario, Fault fault, bool sticky, std::uint64_t call, std::uint64_t seed) {
  const std::string where = place(scenario, "fault " + std::to_string(static_cast<int>(fault)) + " call", call, seed);
  const auto disk = scenario.disk().clone();
  Random random(seed * 7919 + call);
  disk->set_fault(fault, call, sticky);
  const Status built = scenario.next().build_on(*disk);
  check_names(built);
  const bool has_struck = disk->has_struck();
  disk->clear_fault();
  if (fault == Fault::kPowerCut) {
    disk->cut_power();
    disk->reboot(random);
  }
  const Found found = examine(*disk, scenario, where);
  BOOST_REQUIRE_MESSAGE(!built.is_ok() || found == Found::kNew, where << "what was built is gone");
  // Where the very commit failed, the new content may be there.
  if (fault != Fault::kPowerCut && found != Found::kNew && !sticky) check_nothing_left(*disk, scenario, where);
  if (fault != Fault::kPowerCut && found == Found::kOld && sticky) check_writer_clears(*disk, scenario, where);
  const Status again = scenario.next().build_on(*disk);
  BOOST_REQUIRE_MESSAGE(again.is_ok(), where << again.message());
  BOOST_REQUIRE(examine(*disk, scenario, where) == Found::kNew);
  return has_struck;
}

std::uint64_t seeds_of_states() { return number_of("VECSTORE_SIM_BUILD_SEEDS", kInstrumented ? 3 : 120); }

constexpr Shape kPlain{DType::kU8, false};
constexpr Shape kWithTexts{DType::kF32, true};

BOOST_AUTO_TEST_SUITE(building)

BOOST_AUTO_TEST_CASE(a_first_build_leaves_a_whole_store_or_none) {
  survive(Scenario("first build", kPlain, Before::kNothing, 40), seeds_of_states());
  survive(Scenario("first build with texts", kWithTexts, Before::kNothing, 40), seeds_of_states());
}

BOOST_AUTO_TEST_CASE(a_build_over_a_store_leaves_the_old_content_or_the_new) {
  survive(Scenario("build over a build", kPlain, Before::kBuilt, 40), seeds_of_states());
  survive(Scenario("build over a build with texts", kWithTexts, Before::kBuilt, 40), seeds_of_states());
  survive(Scenario("build over a log", kPlain, Before::kWritten, 40), seeds_of_states());
}

// A thousand rows are the least that hold some out for calibration, whose files are made in tmp/ first.
BOOST_AUTO_TEST_CASE(a_build_that_calibrates_leaves_the_old_content_or_the_new) {
  survive(Scenario("calibrating build", kPlain, Before::kBuilt, 1000), std::min<std::uint64_t>(seeds_of_states(), 12));
}

// What the build itself does once its disk is gone is part of this, as it is not of the states above.
BOOST_AUTO_TEST_CASE(a_build_that_loses_power_at_any_call_can_be_made_again) {
  const Scenario scenario("power cut", kWithTexts, Before::kBuilt, 40);
  for (std::uint64_t seed = 0; seed < (kInstrumented ? 1 : 4); ++seed)
    for (std::uint64_t call = 0; fail_at(scenario, Fault::kPowerCut, false, call, seed); ++call) {
    }
}

constexpr std::array kErrors = {Fault::kIo, Fault::kNoSpace, Fault::kShort, Fault::kLate};

BOOST_AUTO_TEST_CASE(a_build_with_an_error_at_any_call_leaves_nothing_and_can_be_made_again) {
  for (const Before before : {Before::kNothing, Before::kBuilt, Before::kWritten}) {
    const Scenario scenario("error", before == Before::kWritten ? kPlain : kWithTexts, before, 40);
    for (const Fault fault : kErrors)
      for (const bool sticky : {false, true}) {
        if (kInstrumented && sticky) continue;
        for (std::uint64_t call = 0; fail_at(scenario, fault, sticky, call, 0); ++call) {
        }
      }
  }
}

// In a directory that was there, or in one that it makes.
bool create_fails_at(Fault fault, std::uint64_t call, bool has_directory) {
  SimDisk disk;
  if (has_directory) REQUIRE_OK(disk.make_directory(kSimPath));
  disk.set_fault(fault, call);
  const Status created = StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, 5));
  const bool has_struck = disk.has_struck();
  disk.clear_fault();
  const bool is_there = open_sim(disk, 7, Access::kRead).has_value();
  BOOST_REQUIRE(is_there || !created.is_ok());
  if (!is_there) {
    BOOST_REQUIRE_MESSAGE(store_files(disk).empty(),
                          "call " << call << " left " << store_files(disk).size() << " files");
    const auto kind = disk.kind_of(kSimPath);
    REQUIRE_OK(kind);
    BOOST_REQUIRE((*kind != EntryKind::kNone) == has_directory);
    REQUIRE_OK(StoreFactory::create(kSimPath, sim_shape(), environment_on(disk, 5)));
  }
  return has_struck;
}

BOOST_AUTO_TEST_CASE(making_a_store_with_an_error_at_any_call_leaves_nothing_or_the_store) {
  for (const Fault fault : kErrors)
    for (const bool has_directory : {false, true})
      for (std::uint64_t call = 0; create_fails_at(fault, call, has_directory); ++call) {
      }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
