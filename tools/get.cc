// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/document_text.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct GetOptions {
  std::string path, key;
  bool json = false;
};

Status run_get(const GetOptions& options) {
  VECSTORE_ASSIGN(const Store store, Store::open(options.path));
  const StoreInfo info = store.info();
  VECSTORE_ASSIGN(const Key key, parse_key(options.key, info.keys));
  VECSTORE_ASSIGN(const StoredItem item, store.get(key));
  std::vector<float> numbers(info.dim);
  widen_row({item.vector.data(), info.dtype, 1, info.dim}, 0, numbers.data());
  if (options.json) {
    Json json = {{"key", options.key}, {"vector", numbers}};
    if (!item.document.empty()) json.add("document", Json::of_document(item.document));
    print_json(json);
    return {};
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) print_out("{}{}", i == 0 ? "" : " ", numbers[i]);
  print_out("\n");
  if (!item.document.empty()) print_out("{}\n", item.document);
  return {};
}

}  // namespace

Command add_get(CommandLine& line) {
  const auto options = std::make_shared<GetOptions>();
  CommandOptions command = line.add("get", "show the vector of a key as it was put, and its document");
  command.text("store", options->path, "directory of the store").required();
  command.text("key", options->key, "key").required();
  add_json(command, options->json);
  return {command, [options] { return run_get(*options); }};
}

}  // namespace vecstore::tools
