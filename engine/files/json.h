// SPDX-License-Identifier: Apache-2.0
//
// JSON as build reports and the command have it, over nlohmann/json. That header takes seconds to compile, so that
// json.cc alone includes it.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vecstore {

struct JsonMember;

// One value, which is moved and not copied. The constructors convert, so that a list of names and values reads as the
// object that it makes.
class Json {
 public:
  Json();  // null
  // NOLINTBEGIN(google-explicit-constructor)
  Json(bool value);
  Json(double value);
  Json(const char* text) : Json(std::string_view(text)) {}
  Json(const std::string& text) : Json(std::string_view(text)) {}
  Json(std::string_view text);
  template <std::unsigned_integral T>
  Json(T value) : Json(Whole{value}) {}
  template <typename T>
  Json(const std::optional<T>& value) : Json(value ? Json(*value) : Json()) {}
  Json(const std::vector<float>& numbers);
  Json(std::vector<Json> elements);
  // An object, its members in this order.
  Json(std::initializer_list<JsonMember> members);
  // NOLINTEND(google-explicit-constructor)
  Json(Json&& other) noexcept;
  Json& operator=(Json&& other) noexcept;
  ~Json();

  // What the text says if it is JSON, else the text itself.
  static Json of_document(const std::string& document);

  void add(const char* name, Json value);  // to an object
  // Indented by two spaces. Bytes that are not UTF-8 (of keys and documents) are replaced, because JSON has no others.
  std::string text() const;

 private:
  struct Whole {
    std::uint64_t value;
  };
  struct Value;
  explicit Json(Whole whole);
  explicit Json(Value value);
  std::unique_ptr<Value> value_;
};

struct JsonMember {
  const char* name;
  Json value;
};

// The members of the object that a document says: names, and values as a person reads them. nullopt: it says none.
std::optional<std::vector<std::pair<std::string, std::string>>> members_of_document(const std::string& document);

}  // namespace vecstore
