// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/numbers.h"

namespace vecstore::tools {

Command add_create(CLI::App& app) {
  struct Options {
    std::string path;
    CreateOptions create;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("create", "make an empty store that vectors can be inserted into");
  command->add_option("store", options->path, "directory of the store")->required();
  add_whole(*command, "--dim", options->create.dim, "dimension (default: that of the first vector)");
  const auto parse_dtype = [options](const std::string& text) {
    for (const DType known : {DType::kF32, DType::kF16, DType::kU8, DType::kI8}) {
      if (text != name_of(known)) continue;
      options->create.dtype = known;
      return;
    }
    throw CLI::ValidationError("--dtype", "'" + text + "' is none of f32, f16, u8, i8");
  };
  command->add_option_function<std::string>("--dtype", parse_dtype, "type of an element (default f32)")
      ->type_name("f32|f16|u8|i8");
  add_metric(*command, options->create.metric);
  add_key_type(*command, options->create.keys);
  return {command, [options] { return Store::create(options->path, options->create); }};
}

}  // namespace vecstore::tools
