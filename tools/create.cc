// SPDX-License-Identifier: Apache-2.0
#include "base/limits.h"
#include "tools/commands.h"
#include "tools/output.h"

namespace vecstore::tools {

Run add_create(CommandOptions& command, const Reporting& asked) {
  struct Options {
    std::string path;
    CreateOptions create;
  };
  const auto options = std::make_shared<Options>();
  command.text("store", options->path, "directory of the store").required();
  command.whole("--dim", options->create.dim, {1, kDimMax}, "dimension (default: that of the first vector)");
  add_named(command, "--dtype", {DType::kF32, DType::kF16, DType::kU8, DType::kI8}, options->create.dtype,
            "type of an element (default f32)");
  add_metric(command, options->create.metric);
  add_key_type(command, options->create.keys);
  return [options, &asked]() -> Status {
    const CreateOptions& create = options->create;
    VECSTORE_TRY(Store::create(options->path, create));
    if (asked.json)
      print_json({{"output", options->path},
                  {"dim", create.dim == 0 ? Json() : Json(create.dim)},
                  {"dtype", name_of(create.dtype)},
                  {"metric", name_of(create.metric)},
                  {"keys", create.keys == KeyKind::kNumber ? "number" : "bytes"}});
    return {};
  };
}

}  // namespace vecstore::tools
