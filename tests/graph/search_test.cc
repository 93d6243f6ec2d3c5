// SPDX-License-Identifier: Apache-2.0
//
// Searches of real page files, compared with exact answers: fixed floors on real data, equality where a search looks at
// everything.
#include "graph/search.h"

#include <filesystem>

#include "engine/vecstore.hpp"
#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;
using test::TestIndex;

struct Outcome {
  double recall = 0;
  double reads = 0;
  double rounds = 0;
};

using Answer = std::vector<std::pair<std::uint64_t, float>>;  // RowId, distance

Answer answer_of(GraphSearcher& searcher, const Matrix& queries, std::uint64_t query, const SearchParams& params,
                 QueryStats& stats) {
  const auto found = searcher.search(queries.view(), query, params, stats);
  REQUIRE_OK(found);
  Answer answer;
  for (const FoundRow& row : *found) answer.emplace_back(row.row.value, row.distance);
  return answer;
}

std::vector<Answer> answers_of(GraphSearcher& searcher, const Matrix& queries, const SearchParams& params) {
  QueryStats stats;
  std::vector<Answer> answers;
  for (std::uint64_t q = 0; q < queries.rows(); ++q) answers.push_back(answer_of(searcher, queries, q, params, stats));
  return answers;
}

SearchParams params_of(std::uint32_t k, std::uint32_t search_list, std::uint32_t blocks) {
  SearchParams params;
  params.k = k;
  params.search_list = search_list;
  params.blocks = blocks;
  return params;
}

// Looks at every code, reads every page that the pool could want.
SearchParams exhaustive(std::uint32_t k) {
  SearchParams params = params_of(k, kSearchListMax, 1000);
  params.bound = 1e6f;
  return params;
}

Outcome outcome_of(TestIndex& index, const Matrix& base, const Matrix& queries, Metric metric,
                   const SearchParams& params, const char* name) {
  const auto exact = test::exact_nearest(base, queries, metric, params.k);
  const auto searcher = index.searcher();
  Outcome outcome;
  const double share = 1.0 / static_cast<double>(queries.rows());
  for (std::uint64_t q = 0; q < queries.rows(); ++q) {
    QueryStats stats;
    const Answer answer = answer_of(*searcher, queries, q, params, stats);
    BOOST_REQUIRE(answer.size() == params.k);
    for (const Candidate& true_row : exact[q])
      for (const auto& [row, distance] : answer)
        if (row == true_row.row) outcome.recall += share / params.k;
    outcome.reads += share * reads_of_4k(stats.requests, stats.bytes);
    outcome.rounds += share * stats.rounds;
    BOOST_REQUIRE(stats.bytes >= stats.requests * index.file().page_bytes());
    BOOST_REQUIRE(stats.bytes <= stats.rounds * kPagesPerRound * index.file().page_bytes());
  }
  BOOST_TEST_MESSAGE(name << ": L " << params.search_list << ", recall " << outcome.recall << ", " << outcome.reads
                          << " reads in " << outcome.rounds << " rounds, " << index.summary().layout.rows_per_page
                          << " rows a page");
  return outcome;
}

const Matrix& sift() {
  static const Matrix rows = test::csift_rows(8000);
  return rows;
}
TestIndex& sift_index() {
  static TestIndex index(sift(), Metric::kL2);
  return index;
}

BOOST_AUTO_TEST_SUITE(search)

BOOST_AUTO_TEST_CASE(sift_is_found_with_few_reads) {
  const Matrix queries = test::csift_queries(200);
  const Outcome outcome =
      outcome_of(sift_index(), sift(), queries, Metric::kL2, params_of(10, 11, 10), "csift 8k u8 l2");
  BOOST_TEST(outcome.recall > 0.96);
  BOOST_TEST(outcome.reads < 7.5);
  BOOST_TEST(outcome.rounds < 1.8);
  const Outcome more = outcome_of(sift_index(), sift(), queries, Metric::kL2, params_of(10, 40, 10), "csift 8k u8 l2");
  BOOST_TEST(more.recall > 0.99);
}

BOOST_AUTO_TEST_CASE(text_embeddings_are_found_with_few_reads) {
  const Matrix base = test::win384_rows(5000);
  test::IndexOptions options;
  options.code_bytes = 48;
  TestIndex index(base, Metric::kCosine, options);
  const Outcome outcome = outcome_of(index, base, test::win384_queries(100), Metric::kCosine, params_of(10, 10, 10),
                                     "win384 5k f16 cosine");
  BOOST_TEST(outcome.recall > 0.95);
  BOOST_TEST(outcome.reads < 7.0);
  BOOST_TEST(outcome.rounds < 1.7);
}

BOOST_AUTO_TEST_CASE(inner_product_finds_the_largest_products) {
  const Matrix base = sift().first(4000);
  TestIndex index(base, Metric::kInnerProduct);
  const Outcome outcome =
      outcome_of(index, base, test::csift_queries(100), Metric::kInnerProduct, params_of(10, 40, 10), "csift 4k u8 ip");
  BOOST_TEST(outcome.recall > 0.95);
}

BOOST_AUTO_TEST_CASE(signed_bytes_give_the_answers_of_unsigned_ones) {
  const Matrix base = sift().first(3000);
  const Matrix queries = test::csift_queries(20);
  TestIndex unsigned_index(base, Metric::kL2);
  TestIndex signed_index(test::as_i8(base), Metric::kL2);
  const auto expected = answers_of(*unsigned_index.searcher(), queries, exhaustive(10));
  BOOST_TEST((answers_of(*signed_index.searcher(), test::as_i8(queries), exhaustive(10)) == expected));
  const Outcome outcome = outcome_of(signed_index, test::as_i8(base), test::as_i8(queries), Metric::kL2,
                                     params_of(10, 30, 6), "csift 3k i8 l2");
  BOOST_TEST(outcome.recall > 0.97);
}

BOOST_AUTO_TEST_CASE(a_search_of_everything_is_exact) {
  const Matrix queries = test::csift_queries(20);
  for (const std::uint64_t rows : {1u, 2u, 3u, 17u, 300u}) {
    const Matrix base = sift().first(rows);
    TestIndex index(base, Metric::kL2);
    const auto searcher = index.searcher();
    const auto k = static_cast<std::uint32_t>(std::min<std::uint64_t>(rows, 50));
    const auto exact = test::exact_nearest(base, queries, Metric::kL2, k);
    const auto found = answers_of(*searcher, queries, exhaustive(k));
    for (std::size_t q = 0; q < exact.size(); ++q) {
      BOOST_REQUIRE(found[q].size() == k);
      for (std::size_t i = 0; i < k; ++i) {
        BOOST_TEST(found[q][i].first == exact[q][i].row);
        BOOST_TEST(found[q][i].second == exact[q][i].distance);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(dimensions_from_one_to_the_largest_are_searched) {
  for (const std::uint32_t dim : {1u, 3u, 1000u, kDimMax}) {
    const Matrix base = test::random_bytes(60, dim, 256, dim);
    const Matrix queries = test::random_bytes(3, dim, 256, dim + 1);
    test::IndexOptions options;
    options.page_bytes = dim > 3000 ? 8192 : 4096;
    options.code_bytes = std::min(dim, 16u);
    TestIndex index(base, Metric::kL2, options);
    const auto found = answers_of(*index.searcher(), queries, exhaustive(5));
    const auto exact = test::exact_nearest(base, queries, Metric::kL2, 5);
    for (std::size_t q = 0; q < 3; ++q)
      for (std::size_t i = 0; i < 5; ++i) BOOST_TEST(found[q][i].second == exact[q][i].distance);
  }
}

BOOST_AUTO_TEST_CASE(all_rows_are_returned_when_k_exceeds_them_and_none_of_none) {
  const Matrix queries = test::csift_queries(2);
  QueryStats stats;
  TestIndex few(sift().first(23), Metric::kL2);
  const auto searcher = few.searcher();
  BOOST_TEST(answer_of(*searcher, queries, 0, params_of(100, 10, 40), stats).size() == 23u);
  TestIndex equal(Matrix{DType::kU8, 128, std::vector<std::uint8_t>(128 * 200, 3)}, Metric::kL2);
  BOOST_TEST(answer_of(*equal.searcher(), queries, 0, exhaustive(150), stats).size() == 150u);
  TestIndex none(sift().first(0), Metric::kL2);
  BOOST_TEST(answer_of(*none.searcher(), queries, 1, params_of(10, 10, 40), stats).empty());
  BOOST_TEST(stats.requests == 0u);
}

// A search once ended when its L were settled, however few rows had been seen by then.
BOOST_AUTO_TEST_CASE(k_rows_are_returned_even_when_the_search_list_is_shorter) {
  const auto searcher = sift_index().searcher();
  const Matrix queries = test::csift_queries(5);
  QueryStats stats;
  for (const std::uint32_t k : {1u, 10u, 150u, kResultsMax})
    for (std::uint64_t q = 0; q < 5; ++q)
      BOOST_TEST(answer_of(*searcher, queries, q, params_of(k, 2, 1), stats).size() == k);
}

BOOST_AUTO_TEST_CASE(a_repeated_search_answers_and_reads_the_same) {
  const auto searcher = sift_index().searcher();
  const auto fresh = sift_index().searcher();
  const Matrix queries = test::csift_queries(40);
  const SearchParams params = params_of(10, 25, 8);
  std::vector<Answer> first;
  std::vector<std::uint32_t> reads;
  QueryStats stats;
  for (std::uint64_t q = 0; q < queries.rows(); ++q) {
    first.push_back(answer_of(*searcher, queries, q, params, stats));
    reads.push_back(stats.requests);
  }
  for (std::uint64_t q = queries.rows(); q-- > 0;) {
    BOOST_TEST((answer_of(*searcher, queries, q, params, stats) == first[q]));
    BOOST_TEST(stats.requests == reads[q]);
    BOOST_TEST((answer_of(*fresh, queries, q, params, stats) == first[q]));
    BOOST_TEST(stats.requests == reads[q]);
  }
}

BOOST_AUTO_TEST_CASE(both_backends_answer_and_read_the_same) {
  auto ring = GraphSearcher::create(sift_index().index(), Backend::kIoUring, 1, sift_index().budget());
  if (test::code_of(ring) == Code::kUnsupported) {
    BOOST_TEST_MESSAGE("SKIPPED: io_uring is refused here: " << ring.error().message());
    return;
  }
  REQUIRE_OK(ring);
  const auto pread = sift_index().searcher(Backend::kPread);
  const Matrix queries = test::csift_queries(60);
  for (const std::uint32_t search_list : {5u, 20u, 60u}) {
    const SearchParams params = params_of(10, search_list, 8);
    BOOST_TEST((answers_of(**ring, queries, params) == answers_of(*pread, queries, params)));
  }
  BOOST_TEST((*ring)->reader().requests_submitted() == pread->reader().requests_submitted());
  BOOST_TEST((pread->reader().backend() == Backend::kPread));
}

BOOST_AUTO_TEST_CASE(pages_side_by_side_share_a_request_and_are_counted_so) {
  const Matrix queries = test::csift_queries(60);
  const auto searcher = sift_index().searcher();
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  for (std::uint64_t q = 0; q < queries.rows(); ++q) {
    QueryStats stats;
    answer_of(*searcher, queries, q, params_of(10, 12, 8), stats);
    requests += stats.requests;
    bytes += stats.bytes;
    BOOST_REQUIRE(searcher->reader().requests_submitted() == requests);
    BOOST_REQUIRE(searcher->reader().bytes_read() == bytes);
  }
  const std::uint64_t pages = bytes / sift_index().file().page_bytes();
  BOOST_TEST_MESSAGE(pages << " pages in " << requests << " requests");
  BOOST_TEST(static_cast<double>(requests) < .9 * static_cast<double>(pages));
}

BOOST_AUTO_TEST_CASE(queries_in_progress_together_are_answered_as_one_alone) {
  const Matrix queries = test::csift_queries(60);
  const SearchParams params = params_of(10, 25, 8);
  const auto alone = sift_index().searcher();
  std::vector<Answer> expected;
  std::vector<std::uint32_t> reads;
  QueryStats stats;
  for (std::uint64_t q = 0; q < queries.rows(); ++q) {
    expected.push_back(answer_of(*alone, queries, q, params, stats));
    reads.push_back(stats.requests);
  }
  for (const Backend backend : {Backend::kAutomatic, Backend::kPread})
    for (const std::uint32_t lanes : {2u, 7u, kLanesMax}) {
      const auto together = sift_index().searcher(backend, lanes);
      QueryQueue queue(queries.rows());
      std::vector<int> answered(queries.rows());
      REQUIRE_OK(together->search_all(
          queries.view(), params, [&queue] { return queue.take(); },
          [&](const GraphSearcher::Answer& answer) {
            Answer found;
            for (const FoundRow& row : answer.found) found.emplace_back(row.row.value, row.distance);
            BOOST_TEST((found == expected[answer.query]));
            BOOST_TEST(answer.stats.requests == reads[answer.query]);
            ++answered[answer.query];
            return Status::ok();
          }));
      BOOST_TEST((answered == std::vector<int>(queries.rows(), 1)));
      BOOST_TEST(together->reader().free_frames() == lanes * kPagesPerRound);
    }
}

// The most queries that were under way.
std::size_t most_under_way(GraphSearcher& searcher, const Matrix& queries) {
  QueryQueue queue(queries.rows());
  std::size_t taken = 0;
  std::size_t answered = 0;
  std::size_t most = 0;
  REQUIRE_OK(searcher.search_all(
      queries.view(), params_of(10, 25, 8),
      [&] {
        const auto query = queue.take();
        if (query) most = std::max(most, ++taken - answered);
        return query;
      },
      [&](const GraphSearcher::Answer&) {
        ++answered;
        return Status::ok();
      }));
  BOOST_TEST(answered == queries.rows());
  return most;
}

BOOST_AUTO_TEST_CASE(a_searcher_has_its_share_of_the_queries_under_way) {
  const Matrix queries = test::csift_queries(40);
  for (const std::size_t at_work : {100u, 15u, 1u}) {
    InFlightTarget target;
    const auto searcher = sift_index().searcher(Backend::kAutomatic, 5);
    searcher->follow(target, at_work);
    const std::size_t share = (InFlightTarget::kMost + at_work - 1) / at_work;
    BOOST_TEST(most_under_way(*searcher, queries) == std::min<std::size_t>(share, 5));
    BOOST_TEST(target.rounds() >= 32u);  // there are some 60; the last few are not told
  }
}

BOOST_AUTO_TEST_CASE(a_searcher_follows_a_target_that_falls) {
  const auto searcher = sift_index().searcher(Backend::kAutomatic, 5);
  InFlightTarget target;
  while (target.queries() != InFlightTarget::kLeast)
    target.add_rounds(16, 16 * target.queries() * std::chrono::milliseconds(3), target.queries());
  searcher->follow(target, 1);
  BOOST_TEST(most_under_way(*searcher, test::csift_queries(10)) == InFlightTarget::kLeast);
  searcher->follow(target, 2);
  BOOST_TEST(most_under_way(*searcher, test::csift_queries(10)) == InFlightTarget::kLeast / 2);
}

BOOST_AUTO_TEST_CASE(a_searcher_is_usable_after_an_error_among_queries_in_progress) {
  const Matrix queries = test::csift_queries(40);
  const SearchParams params = params_of(10, 25, 8);
  const auto searcher = sift_index().searcher(Backend::kAutomatic, 5);
  const auto expected = answers_of(*searcher, queries, params);
  for (const int good : {0, 1, 7}) {
    QueryQueue queue(queries.rows());
    int answers = 0;
    const Status outcome = searcher->search_all(
        queries.view(), params, [&queue] { return queue.take(); },
        [&](const GraphSearcher::Answer&) {
          return answers++ < good ? Status::ok() : Status(Code::kNotFound, "the receiver has had enough");
        });
    BOOST_TEST((outcome.code() == Code::kNotFound));
    BOOST_TEST(answers == good + 1);
    BOOST_TEST(searcher->reader().in_flight() == 0u);
    BOOST_TEST(searcher->reader().free_frames() == 5 * kPagesPerRound);
    BOOST_TEST((answers_of(*searcher, queries, params) == expected));
  }
}

BOOST_AUTO_TEST_CASE(cached_pages_save_reads_and_change_no_exact_answer) {
  TestIndex index(sift().first(4000), Metric::kL2);
  const Matrix queries = test::csift_queries(40);
  const SearchParams params = params_of(10, 25, 8);
  const Matrix few = test::csift_queries(10);
  const auto exact = answers_of(*index.searcher(), few, exhaustive(10));
  std::vector<std::uint64_t> pages;  // read
  for (const double share : {0.0, 0.1, 0.5, 1.0}) {
    index.use_cache(share);
    const auto searcher = index.searcher();
    BOOST_TEST((answers_of(*searcher, few, exhaustive(10)) == exact));
    const std::uint64_t before = searcher->reader().bytes_read();
    answers_of(*searcher, queries, params);
    pages.push_back((searcher->reader().bytes_read() - before) / index.file().page_bytes());
    QueryStats stats;
    answer_of(*searcher, queries, 0, params, stats);
    BOOST_TEST((stats.pages_from_cache > 0) == (share > 0.0));
  }
  BOOST_TEST_MESSAGE("pages that 40 queries read with 0, 10, 50, 100 % cached: " << pages[0] << ", " << pages[1] << ", "
                                                                                 << pages[2] << ", " << pages[3]);
  BOOST_TEST(pages[1] < pages[0]);
  BOOST_TEST(pages[2] < pages[1]);
  BOOST_TEST(pages[3] == 0u);
}

BOOST_AUTO_TEST_CASE(a_searcher_holds_what_is_predicted) {
  TestIndex& index = sift_index();
  const std::uint64_t before = index.budget().used_bytes();
  const auto searcher = index.searcher(Backend::kAutomatic);
  const std::uint64_t held = index.budget().used_bytes() - before;
  const std::uint64_t predicted = GraphSearcher::predict_bytes(index.summary().layout, index.codes().form(), 1);
  BOOST_TEST(held <= predicted);
  BOOST_TEST(static_cast<double>(held) > 0.75 * static_cast<double>(predicted));
  MemoryBudget too_small(held / 2);
  BOOST_TEST(
      (test::code_of(GraphSearcher::create(index.index(), Backend::kPread, 1, too_small)) == Code::kMemoryBudget));
}

// Rewrites the file of `index` with `damage` done to the payload of each page, checksums made right again.
template <typename Damage>
void rewrite(TestIndex& index, const Damage& damage) {
  const std::string copy = index.path() + ".new";
  {
    MemoryBudget budget;
    const PageFile& file = index.file();
    auto writer =
        PageFileWriter::create(FileSystem::posix(), copy, {test::graph_identity(), file.page_bytes()}, budget);
    REQUIRE_OK(writer);
    auto page = Buffer<std::byte>::allocate(budget, file.page_bytes());
    REQUIRE_OK(page);
    for (std::uint64_t number = 1; number <= file.page_count(); ++number) {
      REQUIRE_OK(file.read_page(number, page->span()));
      damage(number, page->span());
      std::ranges::copy(page->span().subspan(kPageChecksumBytes), writer->page().begin() + kPageChecksumBytes);
      REQUIRE_OK(writer->append());
    }
    REQUIRE_OK(writer->finish(file.attributes()));
  }
  std::filesystem::rename(copy, index.path());
  index.reopen();
}

BOOST_AUTO_TEST_CASE(a_damaged_list_under_a_valid_checksum_is_reported_with_its_page) {
  TestIndex index(sift().first(1500), Metric::kL2);
  const GraphLayout layout = index.summary().layout;
  const Matrix queries = test::csift_queries(1);
  QueryStats stats;
  const Answer answer = answer_of(*index.searcher(), queries, 0, exhaustive(1), stats);
  // The list of the nearest row first names a row that does not exist, then ends behind the page.
  std::uint64_t damaged_page = 0;
  for (const bool wrong_end : {false, true}) {
    rewrite(index, [&](std::uint64_t number, std::span<std::byte> page) {
      const PageView view(layout, page.data());
      for (std::uint32_t slot = 0; slot < layout.rows_on(number); ++slot) {
        if (view.row_id(slot).value != answer[0].first) continue;
        damaged_page = number;
        if (wrong_end) {
          const std::uint16_t end = 0xFFFF;
          std::memcpy(page.data() + kPageChecksumBytes + slot * 2, &end, 2);
        } else {
          const auto list = view.list(slot);
          BOOST_REQUIRE(list.size() >= 5);
          std::memset(page.data() + (list.data() - page.data()), 0x7F, list.size());
          std::memset(page.data() + (list.data() - page.data()), 0xFF, 4);
        }
      }
    });
    const auto searcher = index.searcher();
    for (int attempt = 0; attempt < 2; ++attempt) {  // the searcher stays usable
      const auto found = searcher->search(queries.view(), 0, params_of(10, 20, 8), stats);
      BOOST_REQUIRE((test::code_of(found) == Code::kCorrupt));
      const std::string message = found.error().message();
      BOOST_TEST(message.find(index.path()) != std::string::npos, message);
      BOOST_TEST(message.find("page " + std::to_string(damaged_page)) != std::string::npos, message);
    }
    BOOST_TEST(searcher->reader().free_frames() == kPagesPerRound);
  }
}

BOOST_AUTO_TEST_CASE(lists_of_random_bytes_are_reported_or_followed_but_never_crash) {
  TestIndex index(sift().first(600), Metric::kL2);
  const GraphLayout layout = index.summary().layout;
  Random random(3);
  rewrite(index, [&](std::uint64_t, std::span<std::byte> page) {
    for (std::size_t i = layout.page_bytes - layout.list_bytes_of_page(); i < page.size(); ++i)
      page[i] = static_cast<std::byte>(random.below(256));
  });
  const auto searcher = index.searcher();
  const Matrix queries = test::csift_queries(50);
  QueryStats stats;
  std::size_t reported = 0;
  for (std::uint64_t q = 0; q < queries.rows(); ++q)
    reported +=
        test::code_of(searcher->search(queries.view(), q, params_of(10, 20, 8), stats)) == Code::kCorrupt ? 1 : 0;
  BOOST_TEST(reported == 50u);
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_is_reported_with_its_page) {
  TestIndex index(sift().first(300), Metric::kL2);
  const std::uint64_t pages = index.file().page_count();
  std::vector<char> bytes = test::read_file(index.path());
  for (std::uint64_t page = 1; page <= pages; ++page) bytes[page * 4096 + 1000] ^= 0x10;
  test::write_file(index.path(), bytes);
  index.reopen();
  const auto searcher = index.searcher();
  const Matrix queries = test::csift_queries(1);
  QueryStats stats;
  const auto found = searcher->search(queries.view(), 0, params_of(10, 20, 8), stats);
  BOOST_REQUIRE((test::code_of(found) == Code::kCorrupt));
  BOOST_TEST(found.error().message().find("page") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
