// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/document_sample.h"

#include <algorithm>
#include <cstring>

#include "base/limits.h"
#include "base/random.h"
#include "tests/test_util.h"

using namespace vecstore;

namespace {

// Documents that begin with their number.
std::string numbered(std::uint64_t number, std::size_t bytes) {
  std::string text(bytes, 'x');
  std::memcpy(text.data(), &number, sizeof(number));
  return text;
}

std::vector<std::uint64_t> numbers_in(const DocumentSample& sample) {
  std::vector<std::uint64_t> numbers;
  std::size_t at = 0;
  for (const std::size_t size : sample.sizes()) {
    std::uint64_t number = 0;
    BOOST_REQUIRE(sample.bytes().size() - at >= size);
    const auto document = sample.bytes().subspan(at, size);
    std::memcpy(&number, document.data(), sizeof(number));
    BOOST_REQUIRE(std::ranges::count(document.subspan(sizeof(number)), std::byte{'x'}) ==
                  static_cast<std::ptrdiff_t>(size - sizeof(number)));
    numbers.push_back(number);
    at += size;
  }
  BOOST_TEST(at == sample.bytes().size());
  return numbers;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_sample_is_evenly_spaced_and_at_least_half_full_however_many_come) {
  for (const std::uint64_t count : {1u, 100u, 655u, 656u, 5000u, 100000u}) {
    MemoryBudget budget;
    auto sample = DocumentSample::create(kDocumentBytesMax, budget);
    REQUIRE_OK(sample);
    const std::uint64_t taken = budget.used_bytes();
    for (std::uint64_t i = 0; i < count; ++i) sample->offer(numbered(i, 100));
    BOOST_TEST(sample->offered_bytes() == count * 100);
    BOOST_TEST(budget.used_bytes() == taken);
    BOOST_TEST(sample->bytes().size() <= kDocumentBytesMax);
    BOOST_TEST(sample->bytes().size() >= std::min<std::uint64_t>(count * 100, kDocumentBytesMax / 2 - 100));
    const std::vector<std::uint64_t> numbers = numbers_in(*sample);
    const std::uint64_t step = numbers.size() < 2 ? 1 : numbers[1];
    for (std::size_t i = 0; i < numbers.size(); ++i) BOOST_REQUIRE(numbers[i] == i * step);
    BOOST_TEST(numbers.size() == (count + step - 1) / step);
  }
}

BOOST_AUTO_TEST_CASE(documents_of_any_size_fit_and_those_too_short_to_pack_are_left_out) {
  MemoryBudget budget;
  auto sample = DocumentSample::create(kDocumentBytesMax + 100, budget);
  REQUIRE_OK(sample);
  sample->offer("");
  sample->offer("fifteen bytes..");
  BOOST_TEST(sample->offered_bytes() == 0u);
  Random random(1);
  for (std::uint64_t i = 0; i < 500; ++i) {
    const std::size_t size = i % 7 == 0 ? kDocumentBytesMax : 16 + random.below(3000);
    sample->offer(numbered(i, size));
    const std::vector<std::uint64_t> numbers = numbers_in(*sample);
    BOOST_REQUIRE(!numbers.empty());
    const std::uint64_t step = numbers.size() < 2 ? 1 : numbers[1];
    for (std::size_t j = 0; j < numbers.size(); ++j) BOOST_REQUIRE(numbers[j] == j * step);
  }
  // The sample has as many documents as there can be.
  auto full = DocumentSample::create(kDocumentBytesMax, budget);
  REQUIRE_OK(full);
  for (std::uint64_t i = 0; i < 10000; ++i) full->offer(numbered(i, DocumentSample::kDocumentBytesMin));
  BOOST_TEST(full->sizes().size() >= kDocumentBytesMax / DocumentSample::kDocumentBytesMin / 2);
}
