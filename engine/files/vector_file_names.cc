// SPDX-License-Identifier: Apache-2.0
//
// What the name of a file says of its layout. The endings are those of big-ann-benchmarks and of the TEXMEX sets; its
// crops of a larger set end in ".crop_nb_10000000" behind that.
#include <algorithm>
#include <array>
#include <charconv>

#include "engine/files/vector_file.h"

namespace vecstore {
namespace {

struct NameEnding {
  std::string_view text;
  VectorFileKind kind;
};
constexpr std::array<NameEnding, 10> kEndings = {{
    {".fvecs", {FileFamily::kVecs, Element::kF32, {}}},
    {".bvecs", {FileFamily::kVecs, Element::kU8, {}}},
    {".ivecs", {FileFamily::kVecs, Element::kI32, {}}},
    {".fbin", {FileFamily::kBin, Element::kF32, {}}},
    {".f16bin", {FileFamily::kBin, Element::kF16, {}}},
    {".u8bin", {FileFamily::kBin, Element::kU8, {}}},
    {".i8bin", {FileFamily::kBin, Element::kI8, {}}},
    {".ibin", {FileFamily::kBin, Element::kI32, {}}},
    {".i32bin", {FileFamily::kBin, Element::kI32, {}}},
    {".npy", {FileFamily::kNpy, {}, {}}},
}};

// Files that often hold vectors, in formats of others; how each becomes one that is read.
struct Foreign {
  std::string_view ending;
  const char* remedy;
};
constexpr std::array<Foreign, 16> kForeign = {{
    {".npz",
     "the file is an archive of NumPy arrays; save one: python3 -c \"import numpy; a = numpy.load('FILE'); "
     "numpy.save('OUT.npy', a[a.files[0]])\""},
    {".h5",
     "the file is HDF5; save one of its arrays: python3 -c \"import h5py, numpy; numpy.save('OUT.npy', "
     "h5py.File('FILE')['train'][:])\""},
    {".hdf5",
     "the file is HDF5; save one of its arrays: python3 -c \"import h5py, numpy; numpy.save('OUT.npy', "
     "h5py.File('FILE')['train'][:])\""},
    {".parquet",
     "the file is Parquet; save a column of vectors: python3 -c \"import numpy, pandas; numpy.save('OUT.npy', "
     "numpy.stack(pandas.read_parquet('FILE')['emb']).astype('<f4'))\""},
    {".pt",
     "the file is a PyTorch tensor; save it: python3 -c \"import numpy, torch; numpy.save('OUT.npy', "
     "torch.load('FILE').float().numpy())\""},
    {".pth",
     "the file is a PyTorch tensor; save it: python3 -c \"import numpy, torch; numpy.save('OUT.npy', "
     "torch.load('FILE').float().numpy())\""},
    {".csv",
     "the file is text; save its numbers: python3 -c \"import numpy; numpy.save('OUT.npy', numpy.loadtxt('FILE', "
     "delimiter=',', dtype='<f4', ndmin=2))\""},
    {".tsv",
     "the file is text; save its numbers: python3 -c \"import numpy; numpy.save('OUT.npy', numpy.loadtxt('FILE', "
     "dtype='<f4', ndmin=2))\""},
    {".txt",
     "the file is text; save its numbers: python3 -c \"import numpy; numpy.save('OUT.npy', numpy.loadtxt('FILE', "
     "dtype='<f4', ndmin=2))\""},
    {".gz", "the file is compressed; unpack it first: gzip -dk FILE"},
    {".bz2", "the file is compressed; unpack it first: bzip2 -dk FILE"},
    {".xz", "the file is compressed; unpack it first: xz -dk FILE"},
    {".zst", "the file is compressed; unpack it first: zstd -dk FILE"},
    {".zip", "the file is an archive; unpack it first: unzip FILE"},
    {".tar", "the file is an archive; unpack it first: tar -xf FILE"},
    {".tgz", "the file is an archive; unpack it first: tar -xzf FILE"},
}};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Takes ".crop_nb_N" off the end of `name`, and returns N.
std::optional<std::uint64_t> take_crop(std::string& name) {
  constexpr std::string_view kCrop = ".crop_nb_";
  const std::size_t at = name.rfind(kCrop);
  if (at == std::string::npos) return std::nullopt;
  std::uint64_t rows = 0;
  const char* end = name.data() + name.size();
  const auto [last, error] = std::from_chars(name.data() + at + kCrop.size(), end, rows);
  if (error != std::errc() || last != end) return std::nullopt;
  name.resize(at);
  return rows;
}

}  // namespace

Result<VectorFileKind> kind_of_file(const std::string& path) {
  std::string name = lower(path);
  const std::optional<std::uint64_t> crop_rows = take_crop(name);
  for (const NameEnding& ending : kEndings) {
    if (!name.ends_with(ending.text) || (crop_rows && ending.kind.family != FileFamily::kBin)) continue;
    VectorFileKind kind = ending.kind;
    kind.crop_rows = crop_rows;
    return kind;
  }
  return Status(
             Code::kUnsupported,
             "the ending of the name is none of .fbin .f16bin .u8bin .i8bin .ibin .i32bin .fvecs .bvecs .ivecs .npy; "
             "give the name the one of the file's layout")
      .about(path);
}

Result<VectorFileKind> kind_of_input(const std::string& path) {
  const std::string name = lower(path);
  for (const Foreign& foreign : kForeign)
    if (name.ends_with(foreign.ending)) return Status(Code::kUnsupported, foreign.remedy).about(path);
  return kind_of_file(path);
}

}  // namespace vecstore
