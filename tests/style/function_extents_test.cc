// SPDX-License-Identifier: Apache-2.0
//
// The gate on function length is only worth what its reader of braces is worth: here it is checked by itself.
#include <string>
#include <vector>

#include "tests/style/source_text.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

// "name first-last" of every function found.
std::string found_in(std::string_view source) {
  std::string text;
  for (const FunctionExtent& function : function_extents(source)) {
    text += (text.empty() ? "" : ", ") + function.name + " " + std::to_string(function.first_line) + "-" +
            std::to_string(function.last_line);
  }
  return text;
}

BOOST_AUTO_TEST_SUITE(function_extents_of)

BOOST_AUTO_TEST_CASE(free_functions_are_found_with_their_lines) {
  BOOST_TEST(found_in("int a() { return 1; }\n\nint b(int x) {\n  return x;\n}\n") == "a 1-1, b 3-5");
}

BOOST_AUTO_TEST_CASE(declarations_and_values_are_not_functions) {
  BOOST_TEST(found_in("int a(int x = {});\nint table[] = {1, 2};\nOptions o{.k = f(1)};\nint y = f(x);\n").empty());
}

BOOST_AUTO_TEST_CASE(members_are_found_in_nested_scopes) {
  BOOST_TEST(found_in("namespace n {\nclass [[nodiscard]] C : public B<int> {\n public:\n  C() = default;\n"
                      "  int size() const noexcept {\n    return n_;\n  }\n private:\n  int n_ = 0;\n};\n}\n"
                      "struct alignas(64) S {\n  bool operator==(const S& o) const {\n    return true;\n  }\n};\n") ==
             "size 5-7, operator== 13-15");
}

BOOST_AUTO_TEST_CASE(a_constructor_with_braced_members_has_one_body) {
  BOOST_TEST(found_in("C::C(int a) : a_{a}, b_(a), c_{1, 2} {\n  start();\n}\nint after() { return 0; }\n") ==
             "C::C 1-3, after 4-4");
}

BOOST_AUTO_TEST_CASE(templates_count_from_their_first_line) {
  BOOST_TEST(found_in("template <class T, typename U = std::vector<T>>\nauto f(T t) -> U {\n  return {t};\n}\n") ==
             "f 1-4");
}

BOOST_AUTO_TEST_CASE(braces_in_literals_comments_and_macros_do_not_count) {
  BOOST_TEST(
      found_in("int a() {\n  // }\n  char c = '}'; /* } */\n  const char* s = \"}\\\"}\";\n  int n = 1'000;\n"
               "  auto r = R\"x(}\n)x\";\n  return n;\n}\n#define M() \\\n  do { \\\n  }\nint b() { return 2; }\n") ==
      "a 1-9, b 13-13");
}

BOOST_AUTO_TEST_CASE(lambdas_and_local_types_belong_to_their_function) {
  BOOST_TEST(found_in("void f() {\n  struct L {\n    int g() { return 1; }\n  };\n  auto h = [](int x) {\n"
                      "    return x;\n  };\n}\n") == "f 1-8");
}

BOOST_AUTO_TEST_CASE(test_cases_are_functions) {
  const std::vector<FunctionExtent> found = function_extents("BOOST_AUTO_TEST_CASE(claim) {\n  BOOST_TEST(f());\n}\n");
  BOOST_REQUIRE(found.size() == 1u);
  BOOST_TEST(found[0].lines() == 3u);
  BOOST_TEST(found[0].name == "BOOST_AUTO_TEST_CASE(claim)");
}

BOOST_AUTO_TEST_CASE(extern_blocks_concepts_and_enums_are_seen_through) {
  BOOST_TEST(found_in("extern \"C\" {\nint c_call(void) {\n  return 0;\n}\n}\nenum class E : int { kA, kB };\n"
                      "template <class T>\nconcept Sized = requires(T t) { t.size(); };\n"
                      "struct stat look(int fd) {\n  return {};\n}\n") == "c_call 2-4, look 9-11");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore::test
