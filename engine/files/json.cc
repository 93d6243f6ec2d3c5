// SPDX-License-Identifier: Apache-2.0
#include "engine/files/json.h"

#include <nlohmann/json.hpp>

namespace vecstore {
namespace {

using Document = nlohmann::ordered_json;

std::string dump(const Document& document, int indent) {
  return document.dump(indent, ' ', false, Document::error_handler_t::replace);
}

}  // namespace

struct Json::Value {
  Document document;
};

Json::Json(Value value) : value_(std::make_unique<Value>(std::move(value))) {}
Json::Json() : Json(Value{}) {}
Json::Json(bool value) : Json(Value{value}) {}
Json::Json(double value) : Json(Value{value}) {}
Json::Json(std::string_view text) : Json(Value{text}) {}
Json::Json(Whole whole) : Json(Value{whole.value}) {}
Json::Json(const std::vector<float>& numbers) : Json(Value{numbers}) {}

Json::Json(std::vector<Json> elements) : Json(Value{Document::array()}) {
  for (Json& element : elements) value_->document.push_back(std::move(element.value_->document));
}

Json::Json(std::initializer_list<JsonMember> members) : Json(Value{Document::object()}) {
  for (const JsonMember& member : members) value_->document[member.name] = member.value.value_->document;
}

Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

Json Json::of_document(const std::string& document) {
  Document parsed = Document::parse(document, nullptr, false);
  return parsed.is_discarded() ? Json(document) : Json(Value{std::move(parsed)});
}

void Json::add(const char* name, Json value) { value_->document[name] = std::move(value.value_->document); }

std::string Json::text() const { return dump(value_->document, 2); }

std::optional<std::vector<std::pair<std::string, std::string>>> members_of_document(const std::string& document) {
  const Document parsed = Document::parse(document, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> members;
  for (const auto& [name, value] : parsed.items())
    members.emplace_back(name, value.is_string() ? value.get<std::string>() : dump(value, -1));
  return members;
}

}  // namespace vecstore
