// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/old_choices.h"

#include "compress/codec_shape.h"
#include "engine/builder/build_plan.h"
#include "engine/builder/value_width.h"

namespace vecstore {
namespace {

// The longest list of so many rows is as long as was asked for, unless all lists are short by themselves.
constexpr std::uint64_t kRowsThatFillLists = 1000;
constexpr std::uint32_t kShortShare = 2;  // so a bound below half of the default is taken for one that was asked for
constexpr std::uint32_t kConnecting = 1;  // edges more than that, which lead to rows that no list had

// As a build leaves it. A merge that finds choices notes them, so that those of none need not be looked at again.
bool was_built(const StoreProperties& properties) {
  return properties.row_end == properties.rows && properties.rows_changed == 0 && properties.trained_error == 0;
}

// Whether these are the codes of a build that was left to choose. It may have trained them on fewer rows than it has.
bool is_default(const CodecModel& model, const BuildPlan& plan) {
  for (const std::uint64_t rows : {plan.rows, plan.rows - plan.held_out}) {
    const CodecShape shape = shape_of(rows, plan.dim, plan.codec);
    if (model.kind == shape.kind && model.code_bytes == shape.code_bytes) return true;
  }
  return false;
}

// Whether it is the width that was measured to be enough.
bool is_default(std::uint32_t value_bits, const WidthRecall& recall) {
  if (recall.bits8 < 0) return false;
  return value_bits == (recall.bits8 >= kWidthRecall ? 8u : recall.bits16 >= kWidthRecall ? 16u : 32u);
}

}  // namespace

BuildChoices choices_of(const Content& content) {
  const StoreProperties& properties = content.properties();
  BuildChoices choices = properties.choices;
  if (content.graph() == nullptr || choices != BuildChoices{} || !was_built(properties)) return choices;
  const Generation& graph = *content.graph();
  const GraphLayout& layout = graph.layout();
  const CodecModel& model = graph.codes().model;
  const auto shape = view_source({nullptr, properties.dtype, properties.rows, properties.dim, 0});
  BuildOptions by_default;
  by_default.metric = properties.metric;
  const auto plan = plan_build(*shape, by_default, layout.value_bits);
  if (!plan) return choices;
  if (layout.page_bytes != plan->page_bytes) choices.page_bytes = layout.page_bytes;
  if (!is_default(model, *plan)) {
    choices.codec = model.kind;
    choices.code_bytes = model.code_bytes;
  }
  if (!is_integer(properties.dtype) && !is_default(layout.value_bits, properties.width_recall))
    choices.vector_bits = layout.value_bits;
  const std::uint32_t degree = graph.summary().max_degree;
  const bool is_short = properties.rows >= kRowsThatFillLists && degree < plan->graph.max_degree / kShortShare;
  if (degree > plan->graph.max_degree + kConnecting || is_short) choices.max_degree = degree;
  return choices;
}

}  // namespace vecstore
