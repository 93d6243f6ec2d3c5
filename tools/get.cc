// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/document_text.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct GetOptions {
  std::string path, key;
};

Status run_get(const GetOptions& options, const Reporting& asked) {
  VECSTORE_ASSIGN(const Store store, Store::open(options.path));
  const StoreInfo info = store.info();
  VECSTORE_ASSIGN(const Key key, parse_key(options.key, info.keys));
  VECSTORE_ASSIGN(const StoredItem item, store.get(key));
  std::vector<float> numbers(info.dim);
  widen_row({item.vector.data(), info.dtype, 1, info.dim}, 0, numbers.data());
  if (asked.json) {
    print_json({{"key", options.key},
                {"vector", numbers},
                {"document", item.document.empty() ? Json() : Json::of_document(item.document)}});
    return {};
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) print_out("{}{}", i == 0 ? "" : " ", numbers[i]);
  print_out("\n");
  if (!item.document.empty()) print_out("{}\n", item.document);
  return {};
}

}  // namespace

Run add_get(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<GetOptions>();
  command.text("store", options->path, "directory of the store").required();
  command.text("key", options->key, "key").required();
  return [options, &asked] { return run_get(*options, asked); };
}

}  // namespace vecstore::tools
