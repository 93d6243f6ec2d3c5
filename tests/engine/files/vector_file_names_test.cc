// SPDX-License-Identifier: Apache-2.0
//
// What names say of files: layouts, crops of larger sets, and formats of others.
#include <cstring>

#include "engine/files/convert.h"
#include "engine/files/vector_file.h"
#include "engine/vector_source.h"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;
using test::message_of;

namespace {

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// f32; `said` rows in the header, `held` whole rows and `more` bytes in the file. The first value of row i is i.
std::vector<char> fbin(std::uint32_t said, std::uint32_t held, std::size_t more = 0) {
  constexpr std::uint32_t kDim = 4;
  std::vector<char> bytes(8 + held * kDim * 4 + more);
  const std::uint32_t header[2] = {said, kDim};
  std::memcpy(bytes.data(), header, 8);
  for (std::uint32_t row = 0; row < held; ++row) {
    const auto value = static_cast<float>(row);
    std::memcpy(bytes.data() + 8 + row * kDim * 4, &value, 4);
  }
  return bytes;
}

std::vector<char> npy(const std::string& dictionary, std::size_t data_bytes) {
  std::string header = "\x93NUMPY\x01";
  header += '\0';
  header += static_cast<char>(dictionary.size() & 0xFFu);
  header += static_cast<char>(dictionary.size() >> 8u);
  header += dictionary;
  std::vector<char> bytes(header.begin(), header.end());
  bytes.resize(bytes.size() + data_bytes);
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vector_file_names)

BOOST_AUTO_TEST_CASE(endings_are_known_in_letters_of_either_case) {
  const std::vector<std::pair<std::string, Element>> endings = {
      {"fbin", Element::kF32},   {"FBIN", Element::kF32},  {"Fbin", Element::kF32}, {"F16BIN", Element::kF16},
      {"U8bin", Element::kU8},   {"I8BIN", Element::kI8},  {"ibin", Element::kI32}, {"i32bin", Element::kI32},
      {"I32BIN", Element::kI32}, {"FVECS", Element::kF32}, {"Bvecs", Element::kU8}, {"IVECS", Element::kI32}};
  for (const auto& [ending, element] : endings) {
    const auto kind = kind_of_file("/A.npy/b." + ending);
    REQUIRE_OK(kind);
    BOOST_TEST((kind->element == element), ending);
    BOOST_TEST(!kind->crop_rows.has_value());
  }
  BOOST_TEST((kind_of_file("X.NPY")->family == FileFamily::kNpy));
  for (const char* none : {"", "fbin", "x", "x.bin", "x.fbin ", "x.fbin.old", "x.fbin/"})
    BOOST_TEST((code_of(kind_of_file(none)) == Code::kUnsupported), none);
}

// As big-ann-benchmarks names them: base.1B.u8bin.crop_nb_10000000.
BOOST_AUTO_TEST_CASE(a_crop_has_the_rows_of_its_name) {
  BOOST_TEST(kind_of_file("base.1B.u8bin.crop_nb_10000000")->crop_rows.value() == 10000000u);
  BOOST_TEST(kind_of_file("A.FBIN.CROP_NB_7")->crop_rows.value() == 7u);
  for (const char* none : {"a.crop_nb_7", "a.fbin.crop_nb_", "a.fbin.crop_nb_7x", "a.fbin.crop_nb_-7",
                           "a.npy.crop_nb_7", "a.fvecs.crop_nb_7", "a.fbin.crop_nb_99999999999999999999"})
    BOOST_TEST((code_of(kind_of_file(none)) == Code::kUnsupported), none);

  const test::TemporaryDirectory directory;
  const std::string crop = directory.path("base.fbin.crop_nb_10");
  for (const std::uint32_t said : {10u, 1000u, 1000000000u}) {
    test::write_file(crop, fbin(said, 10));
    const auto source = open_vector_file(crop);
    REQUIRE_OK(source);
    BOOST_TEST((*source)->rows() == 10u);
    std::vector<float> last(4);
    REQUIRE_OK((*source)->read(9, 1, last.data()));
    BOOST_TEST(last[0] == 9.0f);
    const auto converted = convert_vectors(crop, directory.path("whole.fbin"), {.overwrite = true});
    REQUIRE_OK(converted);
    BOOST_TEST((test::read_file(directory.path("whole.fbin")) == fbin(10, 10)));
  }
  for (const auto& [bytes, why] : {std::pair(fbin(1000, 9), "whole rows: 9"), std::pair(fbin(1000, 10, 1), "goes on"),
                                   std::pair(fbin(9, 10), "fewer rows than the name")}) {
    test::write_file(crop, bytes);
    BOOST_TEST(mentions(message_of(open_vector_file(crop)), why), message_of(open_vector_file(crop)));
  }
  BOOST_TEST((code_of(convert_vectors(directory.path("whole.fbin"), directory.path("b.fbin.crop_nb_5"))) ==
              Code::kUnsupported));
}

BOOST_AUTO_TEST_CASE(a_format_of_others_is_told_for_what_it_is) {
  const test::TemporaryDirectory directory;
  const std::vector<std::pair<std::string, std::string>> formats = {{"a.npz", "archive of NumPy arrays"},
                                                                    {"a.h5", "HDF5"},
                                                                    {"a.hdf5", "HDF5"},
                                                                    {"a.parquet", "Parquet"},
                                                                    {"a.pt", "PyTorch"},
                                                                    {"a.pth", "PyTorch"},
                                                                    {"a.csv", "text"},
                                                                    {"a.txt", "text"},
                                                                    {"a.tsv", "text"},
                                                                    {"a.fbin.gz", "gzip -dk"},
                                                                    {"a.npy.GZ", "gzip -dk"},
                                                                    {"a.fbin.zst", "zstd -dk"},
                                                                    {"a.fvecs.xz", "xz -dk"},
                                                                    {"a.bz2", "bzip2 -dk"},
                                                                    {"a.zip", "unzip"},
                                                                    {"a.tar", "tar -xf"},
                                                                    {"a.tgz", "tar -xzf"},
                                                                    {"A.HDF5", "HDF5"}};
  for (const auto& [name, what] : formats) {
    test::write_file(directory.path(name), fbin(3, 3));
    const auto source = open_vector_file(directory.path(name));
    BOOST_TEST((code_of(source) == Code::kUnsupported));
    const auto converted = convert_vectors(directory.path(name), directory.path("out.fbin"));
    for (const std::string& message : {message_of(source), message_of(converted)}) {
      BOOST_TEST(mentions(message, what), message);
      BOOST_TEST(mentions(message, "FILE"), message);
      BOOST_TEST(!mentions(message, "rename"), message);
      BOOST_TEST(mentions(message, name), message);
    }
  }
  // The remedy is for who has such a file, not for who wants one.
  test::write_file(directory.path("a.fbin"), fbin(3, 3));
  const std::string written = message_of(convert_vectors(directory.path("a.fbin"), directory.path("a.npz")));
  BOOST_TEST(mentions(written, "is none of .fbin"), written);
}

BOOST_AUTO_TEST_CASE(a_cut_file_gives_its_whole_rows_to_who_counts_them) {
  const test::TemporaryDirectory directory;
  const std::string cut = directory.path("cut.fbin"), out = directory.path("out.fbin");
  for (const std::size_t more : {std::size_t{0}, std::size_t{1}, std::size_t{15}}) {
    test::write_file(cut, fbin(1000, 10, more));
    const std::string message = message_of(open_vector_file(cut));
    BOOST_TEST(mentions(message, "whole rows: 10"), message);
    BOOST_TEST(mentions(message, "take the whole rows with convert --count"), message);
    BOOST_TEST((code_of(convert_vectors(cut, out, {.overwrite = true})) == Code::kInvalidInput));
    REQUIRE_OK(convert_vectors(cut, out, {.count = 10, .overwrite = true}));
    BOOST_TEST((test::read_file(out) == fbin(10, 10)));
    const auto some = convert_vectors(cut, out, {.first_row = 4, .count = 6, .overwrite = true});
    REQUIRE_OK(some);
    BOOST_TEST(some->rows == 6u);
    BOOST_TEST((code_of(convert_vectors(cut, out, {.count = 11, .overwrite = true})) == Code::kInvalidArgument));
  }
  test::write_file(cut, fbin(1000, 0, 15));
  BOOST_TEST(!mentions(message_of(open_vector_file(cut)), "convert"), message_of(open_vector_file(cut)));
  BOOST_TEST((code_of(convert_vectors(cut, out, {.count = 0, .overwrite = true})) == Code::kInvalidInput));

  // Of the two other families.
  REQUIRE_OK(convert_vectors(directory.path("out.fbin"), directory.path("a.fvecs")));
  REQUIRE_OK(convert_vectors(directory.path("out.fbin"), directory.path("a.npy")));
  for (const char* name : {"a.fvecs", "a.npy"}) {
    auto bytes = test::read_file(directory.path(name));
    bytes.resize(bytes.size() - 3);
    test::write_file(directory.path(name), bytes);
    const std::string message = message_of(open_vector_file(directory.path(name)));
    BOOST_TEST(mentions(message, "whole rows: 5"), message);
    BOOST_TEST(mentions(message, "convert --count"), message);
    const auto taken = convert_vectors(directory.path(name), out, {.count = 5, .overwrite = true});
    REQUIRE_OK(taken);
    BOOST_TEST(test::read_file(out).size() == 8 + 5 * 16u);
  }
}

BOOST_AUTO_TEST_CASE(an_array_that_is_not_read_says_how_to_save_it) {
  const test::TemporaryDirectory directory;
  const auto refusal = [&](const std::string& descr, const std::string& rest) {
    const std::string path = directory.path("a.npy");
    test::write_file(path, npy("{'descr': " + descr + ", " + rest + "}", 96));
    const auto source = open_vector_file(path);
    BOOST_TEST((code_of(source) == Code::kUnsupported), message_of(source));
    return message_of(source);
  };
  const std::string plain = "'fortran_order': False, 'shape': (2, 4), ";
  for (const char* fields :
       {"[('id', '<i8'), ('v', '<f4', (4,))]", "[('a', [('b', '<f4'), ('c', '<f4')]), ('d', '|u1')]",
        "[('x,]', '<f4')]", "[(('title', 'name'), '<f4')]"}) {
    const std::string message = refusal(fields, "'fortran_order': False, 'shape': (2,), ");
    BOOST_TEST(mentions(message, "structured"), message);
    BOOST_TEST(mentions(message, "array['NAME']"), message);
    BOOST_TEST(mentions(message, std::string("(fields ") + fields), message);
  }
  BOOST_TEST(mentions(refusal("'>f4'", plain), "big-endian; save array.astype('<f4')"));
  BOOST_TEST(mentions(refusal("'>u2'", plain), "big-endian"));
  BOOST_TEST(mentions(refusal("'<f8'", plain), "float64; save array.astype('<f4')"));
  BOOST_TEST(mentions(refusal("'>f8'", plain), "float64; save array.astype('<f4')"));
  BOOST_TEST(mentions(refusal("'|O'", plain), "numpy.stack(array)"));
  BOOST_TEST(mentions(refusal("'<i8'", plain), "descr '<i8'"));
  BOOST_TEST(mentions(refusal("'<f4'", "'fortran_order': True, 'shape': (2, 4), "), "numpy.ascontiguousarray(array)"));
  // A list that does not end.
  for (const char* broken : {"[('id', '<i8'", "[", "[(", "['", "[('a"}) {
    test::write_file(directory.path("b.npy"), npy(std::string("{'descr': ") + broken, 0));
    BOOST_TEST((code_of(open_vector_file(directory.path("b.npy"))) == Code::kInvalidInput), broken);
  }
}

BOOST_AUTO_TEST_SUITE_END()
