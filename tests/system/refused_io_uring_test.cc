// SPDX-License-Identifier: Apache-2.0
//
// A store whose process loses io_uring while it is open: searches answer as before, and the store says what happened.
#include <cerrno>
#include <system_error>

#include "tests/engine/child.h"
#include "tests/engine/stores.h"
#include "tests/refused_calls.h"

namespace vecstore {
namespace {

using namespace test;

std::string answers_of(const Result<SearchResults>& found) {
  if (!found) return found.error().message();
  std::string answers;
  for (std::size_t query = 0; query < found->size(); ++query)
    for (const Hit& hit : (*found)[query]) answers.append(" ").append(std::to_string(hit.key));
  return answers;
}

Status wrong(const char* what) { return {Code::kInvalidInput, what}; }

BOOST_AUTO_TEST_CASE(a_store_that_loses_io_uring_answers_as_before_and_says_so) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("store");
  const Matrix base = csift(2000);
  const Matrix queries = csift_queries(40);
  REQUIRE_OK(Store::build(path, *view_source(base.view()), build_options(Metric::kL2)));
  OpenOptions options;
  options.cache_bytes = 0;
  options.searchers = 1;
  const auto search = [&](const Store& store) { return answers_of(store.search(queries.view(), {.k = 10})); };
  for (const int error : {EPERM, ENOSYS, EINVAL}) {
    const std::string reason = std::generic_category().message(error);
    const Said said = in_child([&]() -> Status {
      options.backend = Backend::kPread;
      VECSTORE_ASSIGN(const Store by_pread, Store::open(path, options));
      const std::string right = search(by_pread);
      options.backend = Backend::kAutomatic;
      VECSTORE_ASSIGN(const Store store, Store::open(path, options));
      const bool has_ring = store.info().backend == "io_uring";
      if (search(store) != right) return wrong("the answers differ before");
      if (!refuse_call(__NR_io_uring_enter, error)) return wrong("the system takes no filter");
      for (int round = 0; round < 3; ++round)
        if (search(store) != right) return wrong("the answers differ afterwards");
      const StoreInfo info = store.info();
      if (info.backend != "pread") return wrong("the backend is not said to be pread");
      if (has_ring && info.backend_fallback.find(reason) == std::string::npos) return wrong("no reason is told");
      return Status::ok();
    });
    BOOST_TEST((said.code == Code::kOk && said.signal == 0), reason << ": " << said.message << " " << said.signal);
  }
}

}  // namespace
}  // namespace vecstore
