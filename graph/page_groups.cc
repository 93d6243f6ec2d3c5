// SPDX-License-Identifier: Apache-2.0
#include "graph/page_groups.h"

#include <algorithm>
#include <vector>

#include "compress/far_rows.h"

namespace vecstore {
namespace {

// The steps from each row of a page to the next.
struct PageSteps {
  float usual = 0;  // the median of those that are not between copies; 0: there are none
  float greatest = 0;
};

class Pages {
 public:
  Pages(const QuantizedRows& rows, std::uint32_t rows_per_page, std::span<std::uint32_t> order)
      : rows_(rows), rows_per_page_(rows_per_page), order_(order) {}

  std::size_t count() const { return (order_.size() + rows_per_page_ - 1) / rows_per_page_; }

  PageSteps steps(std::size_t page) const {
    const auto of_page = rows_of(page);
    std::vector<float> steps;
    for (std::size_t i = 1; i < of_page.size(); ++i) {
      const float step = distance(of_page[i - 1], of_page[i]);
      if (step > 0) steps.push_back(step);
    }
    if (steps.empty()) return {};
    const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
    const float greatest = *std::max_element(steps.begin(), steps.end());
    std::nth_element(steps.begin(), middle, steps.end());
    return {*middle, greatest};
  }

  void chain(std::size_t page) const {
    const auto of_page = rows_of(page);
    for (std::size_t done = page == 0 ? 1 : 0; done < of_page.size(); ++done) {
      const std::uint32_t last = done == 0 ? *(of_page.data() - 1) : of_page[done - 1];
      std::size_t nearest = done;
      float least = distance(last, of_page[done]);
      for (std::size_t i = done + 1; i < of_page.size(); ++i) {
        const float to = distance(last, of_page[i]);
        if (to < least || (to == least && of_page[i] < of_page[nearest])) {
          least = to;
          nearest = i;
        }
      }
      std::swap(of_page[done], of_page[nearest]);
    }
  }

 private:
  std::span<std::uint32_t> rows_of(std::size_t page) const {
    const std::size_t first = page * rows_per_page_;
    return order_.subspan(first, std::min<std::size_t>(rows_per_page_, order_.size() - first));
  }

  float distance(std::uint32_t a, std::uint32_t b) const {
    std::uint32_t scratch = 0;
    float distance = 0;
    rows_.distances(a, &b, 1, &scratch, &distance);
    return distance;
  }

  const QuantizedRows& rows_;
  std::uint32_t rows_per_page_;
  std::span<std::uint32_t> order_;
};

}  // namespace

Status gather_groups(const QuantizedRows& rows, std::uint32_t rows_per_page, Executor& executor, MemoryBudget& budget,
                     std::span<std::uint32_t> order) {
  const Pages pages(rows, rows_per_page, order);
  VECSTORE_ASSIGN(auto usual, Buffer<float>::allocate(budget, pages.count()));
  VECSTORE_ASSIGN(auto greatest, Buffer<float>::allocate(budget, pages.count()));
  executor.parallel_for(pages.count(), 64, [&](std::size_t begin, std::size_t end, unsigned) {
    for (std::size_t page = begin; page < end; ++page) {
      const PageSteps steps = pages.steps(page);
      usual[page] = steps.usual;
      greatest[page] = steps.greatest;
    }
  });
  if (usual.empty()) return Status::ok();
  const auto end = std::remove(usual.begin(), usual.end(), 0.0f);
  const float limit = far_limit_of(usual.span().first(static_cast<std::size_t>(end - usual.begin())));
  // One after the other: where a page begins depends on where the page before ends.
  for (std::size_t page = 0; page < pages.count(); ++page)
    if (greatest[page] > limit) pages.chain(page);
  return Status::ok();
}

}  // namespace vecstore
