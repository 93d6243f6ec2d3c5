// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/limits.h"
#include "tools/commands.h"
#include "tools/numbers.h"

namespace vecstore::tools {

Command add_create(CommandLine& line) {
  struct Options {
    std::string path;
    CreateOptions create;
  };
  const auto options = std::make_shared<Options>();
  CommandOptions command = line.add("create", "make an empty store that vectors can be inserted into");
  command.text("store", options->path, "directory of the store").required();
  command.whole("--dim", options->create.dim, {1, kDimMax}, "dimension (default: that of the first vector)");
  add_named(command, "--dtype", {DType::kF32, DType::kF16, DType::kU8, DType::kI8}, options->create.dtype,
            "type of an element (default f32)");
  add_metric(command, options->create.metric);
  add_key_type(command, options->create.keys);
  return {command, [options] { return Store::create(options->path, options->create); }};
}

}  // namespace vecstore::tools
