// SPDX-License-Identifier: Apache-2.0
#include "bench/streaming/runbook.h"

#include <yaml-cpp/yaml.h>

#include <fstream>
#include <optional>

namespace vecstore::bench {
namespace {

class StepReader {
 public:
  StepReader(const YAML::Node& node, std::uint64_t rows) : node_(node), rows_(rows) {}

  std::optional<RunbookStep> read() const {
    const auto operation = node_["operation"].as<std::string>("");
    RunbookStep step;
    if (operation == "search") return step;
    if (operation == "insert" && range("start", "end", step.first_key, step.last_key)) {
      step.operation = Operation::kInsert;
      step.first_row = step.first_key;
      step.last_row = step.last_key;
      return step;
    }
    if (operation == "delete" && range("start", "end", step.first_key, step.last_key)) {
      step.operation = Operation::kDelete;
      return step;
    }
    if (operation == "replace" && range("tags_start", "tags_end", step.first_key, step.last_key) &&
        range("ids_start", "ids_end", step.first_row, step.last_row) &&
        step.last_key - step.first_key == step.last_row - step.first_row) {
      step.operation = Operation::kReplace;
      return step;
    }
    return std::nullopt;
  }

 private:
  bool range(const char* from, const char* to, std::uint32_t& first, std::uint32_t& last) const {
    constexpr std::int64_t kNone = -1;
    const auto begin = node_[from].as<std::int64_t>(kNone), end = node_[to].as<std::int64_t>(kNone);
    if (begin < 0 || end <= begin || end > static_cast<std::int64_t>(rows_)) return false;
    first = static_cast<std::uint32_t>(begin);
    last = static_cast<std::uint32_t>(end);
    return true;
  }

  const YAML::Node& node_;
  std::uint64_t rows_;
};

Status not_a_runbook(const std::string& path) {
  return Status(Code::kInvalidInput,
                "is no runbook: it should map the name of a data set to max_pts and to steps from 1 on")
      .about(path);
}

}  // namespace

Result<Runbook> read_runbook(const std::string& path, std::uint64_t rows) try {
  std::ifstream file(path);
  if (!file) return Status(Code::kNotFound, "the runbook cannot be read").about(path);
  const YAML::Node root = YAML::Load(file);
  if (!root.IsMap() || root.size() != 1 || !root.begin()->second.IsMap()) return not_a_runbook(path);
  const YAML::Node set = root.begin()->second;
  Runbook runbook;
  runbook.set = root.begin()->first.as<std::string>();
  runbook.rows_max = set["max_pts"].as<std::uint32_t>(0);
  for (std::uint32_t number = 1; set[number]; ++number) {
    const YAML::Node node = set[number];
    const std::optional<RunbookStep> step = node.IsMap() ? StepReader(node, rows).read() : std::nullopt;
    if (!step) {
      return Status(Code::kInvalidInput,
                    "this step is none: it needs an operation and ranges within the data, each with its end beyond "
                    "its start, those of replace equally long")
          .about(path)
          .at(Detail::kRow, number);
    }
    runbook.steps.push_back(*step);
  }
  if (runbook.rows_max == 0 || runbook.steps.empty()) return not_a_runbook(path);
  return runbook;
} catch (const YAML::Exception&) {
  return not_a_runbook(path);
}

}  // namespace vecstore::bench
