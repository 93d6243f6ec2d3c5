// SPDX-License-Identifier: Apache-2.0
//
// Opening a store that is made where there is none: once, by whoever comes first, and never in the place of something
// else.
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;
namespace fs = std::filesystem;

constexpr CreateOptions kMade{.dim = 4, .dtype = DType::kF32, .metric = Metric::kCosine, .keys = KeyKind::kBytes};

OpenOptions making(const CreateOptions& create = kMade) {
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.create = create;
  return options;
}

const float kVector[] = {1, 2, 3, 4};
const VectorView kRow{kVector, DType::kF32, 1, 4};

BOOST_AUTO_TEST_SUITE(open_or_create)

BOOST_AUTO_TEST_CASE(it_is_made_once_and_found_again) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("s");
  {
    auto store = Store::open(path, making());
    REQUIRE_OK(store);
    REQUIRE_OK(store->put("one", kRow));
  }
  auto again = Store::open(path, making());
  REQUIRE_OK(again);
  BOOST_TEST(again->size() == 1u);
  BOOST_TEST((again->info().metric == Metric::kCosine));
}

BOOST_AUTO_TEST_CASE(an_empty_directory_becomes_a_store) {
  const TemporaryDirectory directory;
  fs::create_directory(directory.path("s"));
  REQUIRE_OK(Store::open(directory.path("s"), making()));
  REQUIRE_OK(Store::open(directory.path("s")));
}

BOOST_AUTO_TEST_CASE(another_store_than_the_one_to_be_made_is_named) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::open(path, making()));
  const auto message = [&](CreateOptions other) {
    const auto opened = Store::open(path, making(other));
    BOOST_TEST((code_of(opened) == Code::kInvalidArgument));
    return message_of(opened);
  };
  CreateOptions other = kMade;
  other.dim = 5;
  BOOST_TEST(message(other).find("dimension 4, asked for 5") != std::string::npos);
  other = kMade;
  other.dtype = DType::kF16;
  BOOST_TEST(message(other).find("element type f32, asked for f16") != std::string::npos);
  other = kMade;
  other.metric = Metric::kL2;
  BOOST_TEST(message(other).find("metric cosine, asked for l2") != std::string::npos);
  other = kMade;
  other.keys = KeyKind::kNumber;
  BOOST_TEST(message(other).find("keys byte strings, asked for numbers") != std::string::npos);
  other = kMade;
  other.dim = 0;  // of any dimension
  REQUIRE_OK(Store::open(path, making(other)));
}

// Until its first row a store may be of any dimension.
BOOST_AUTO_TEST_CASE(the_first_row_tells_the_dimension) {
  const TemporaryDirectory directory;
  CreateOptions any = kMade;
  any.dim = 0;
  {
    auto store = Store::open(directory.path("s"), making(any));
    REQUIRE_OK(store);
    REQUIRE_OK(store->put("one", kRow));
  }
  CreateOptions five = kMade;
  five.dim = 5;
  BOOST_TEST((code_of(Store::open(directory.path("s"), making(five))) == Code::kInvalidArgument));
  REQUIRE_OK(Store::open(directory.path("s"), making(kMade)));
}

BOOST_AUTO_TEST_CASE(what_is_no_store_stays_as_it_is) {
  const TemporaryDirectory directory;
  write_file(directory.path("file"), {'a'});
  const auto file = Store::open(directory.path("file"), making());
  BOOST_TEST((code_of(file) == Code::kInvalidInput), message_of(file));
  fs::create_directory(directory.path("foreign"));
  write_file(directory.path("foreign/thesis.txt"), {'a'});
  const auto foreign = Store::open(directory.path("foreign"), making());
  BOOST_TEST((code_of(foreign) == Code::kExists), message_of(foreign));
  BOOST_TEST(read_file(directory.path("file")).size() == 1u);
  BOOST_TEST(std::distance(fs::directory_iterator(directory.path("foreign")), fs::directory_iterator()) == 1);
}

// A store whose superblock is gone is damaged, and nothing to begin anew.
BOOST_AUTO_TEST_CASE(a_damaged_store_is_not_made_anew) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("s");
  {
    auto store = Store::open(path, making());
    REQUIRE_OK(store);
    REQUIRE_OK(store->put("one", kRow));
  }
  fs::rename(path + "/superblock", directory.path("aside"));
  const auto opened = Store::open(path, making());
  BOOST_TEST((code_of(opened) == Code::kCorrupt), message_of(opened));
  fs::rename(directory.path("aside"), path + "/superblock");
  auto store = Store::open(path, making());
  REQUIRE_OK(store);
  BOOST_TEST(store->size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_reader_makes_none_and_a_dimension_has_its_range) {
  const TemporaryDirectory directory;
  OpenOptions reading = making();
  reading.access = Access::kRead;
  BOOST_TEST((code_of(Store::open(directory.path("s"), reading)) == Code::kInvalidArgument));
  BOOST_TEST((code_of(Store::open(directory.path("s"), making({.dim = 5000}))) == Code::kInvalidArgument));
  BOOST_TEST(!fs::exists(directory.path("s")));
}

BOOST_AUTO_TEST_CASE(of_several_at_once_one_makes_it_and_one_writes) {
  const TemporaryDirectory directory;
  constexpr int kThreads = 8;
  std::vector<Code> codes(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        auto store = Store::open(directory.path("s"), making());
        codes[i] = code_of(store);
        if (store) codes[i] = code_of(store->put("key " + std::to_string(i), kRow));
      });
  }
  std::size_t written = 0;
  for (const Code code : codes) {
    BOOST_TEST((code == Code::kOk || code == Code::kBusy), static_cast<int>(code));
    written += code == Code::kOk ? 1 : 0;
  }
  auto store = Store::open(directory.path("s"), making());
  REQUIRE_OK(store);
  BOOST_TEST(written >= 1u);
  BOOST_TEST(store->size() == written);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
