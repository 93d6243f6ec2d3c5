// SPDX-License-Identifier: Apache-2.0
//
// gen_synth: reproducible synthetic vector set of SIFT-like hardness.
//
// Model: a mixture of `clusters` anisotropic Gaussians in a `latent`-dimensional space. One random affine map and a
// rectifier take it to `dim` dimensions, since SIFT is non-negative and sparse. Ambient noise is added, and all is
// rounded to 0..255. Queries come from the same mixture through a separate random stream, so no query is a base vector
// by construction.
//
// Byte-for-byte reproducible: integer random numbers, and normals by a sum of twelve 16-bit uniforms (no libm). Every
// vector is seeded from (seed, stream, index), so the thread count does not matter. In double there are only + - * /
// and sqrt. Compiled with -ffp-contract=off (bench/CMakeLists.txt): contraction to FMA would change the last bits.
//   bench_gen_synth --n 1000000 --nq 10000 --out DIR/synth1m
//
// Output: fbin/u8bin: u32 count, u32 dim, then rows (float32 or uint8).
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Params {
  uint64_t n = 1000000, nq = 10000;
  uint32_t dim = 128, latent = 24, clusters = 1000;
  double spread = 1.0;  // std of the cluster centres, per latent axis
  double within = 1.0;  // scale of the clusters themselves
  double decay = 0.90;  // per-axis decay of a cluster's extent
  double noise = 10.0;  // ambient noise, in units of the 0..255 scale
  double gain = 34.0;   // latent -> ambient gain
  double bias = 12.0;   // offset before the rectifier
  uint64_t seed = 20251120;
  std::string out = "synth1m";
};

inline uint64_t splitmix(uint64_t& s) {
  uint64_t z = (s += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

class Rng {  // splitmix64 seeded by (seed, stream, index)
 public:
  Rng(uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t a = seed, b = stream * 0xD1B54A32D192ED03ull + 1, c = index;
    s_ = splitmix(a) ^ splitmix(b) * 3 ^ splitmix(c) * 5;
  }
  uint64_t next() { return splitmix(s_); }
  // Sum of twelve uniforms on {0..65535}: mean 6*65535, variance 65536^2 - 1.
  double normal() {
    int64_t sum = 0;
    for (int w = 0; w < 3; ++w) {
      uint64_t v = next();
      for (int k = 0; k < 4; ++k, v >>= 16) sum += static_cast<int64_t>(v & 0xFFFF);
    }
    return static_cast<double>(sum - 6 * 65535) / 65536.0;
  }

 private:
  uint64_t s_;
};

struct Model {
  std::vector<double> centre;  // clusters x latent
  std::vector<double> shape;   // clusters x latent x latent
  std::vector<double> map;     // dim x latent
  std::vector<double> offset;  // dim
  std::vector<uint64_t> cum;   // cumulative integer weights of the clusters
};

Model make_model(const Params& p) {
  Model m;
  const uint32_t L = p.latent;
  m.centre.resize(size_t(p.clusters) * L);
  m.shape.resize(size_t(p.clusters) * L * L);
  m.map.resize(size_t(p.dim) * L);
  m.offset.resize(p.dim);
  Rng g(p.seed, 1, 0);
  const double inv = 1.0 / std::sqrt(double(L));
  for (auto& v : m.map) v = g.normal() * inv * p.gain;
  for (auto& v : m.offset) v = p.bias + g.normal() * p.bias * 0.5;
  for (uint32_t c = 0; c < p.clusters; ++c) {
    Rng r(p.seed, 2, c);
    for (uint32_t j = 0; j < L; ++j) m.centre[size_t(c) * L + j] = r.normal() * p.spread;
    // Column j of the cluster's shape shrinks with j; the columns are random
    // directions, so every cluster is stretched along its own axes. Cluster
    // sizes also differ (0.5 .. 1.5 of `within`).
    const double size = p.within * (0.5 + double(r.next() % 1024) / 1024.0);
    double ext = size;
    for (uint32_t j = 0; j < L; ++j, ext *= p.decay)
      for (uint32_t i = 0; i < L; ++i) m.shape[(size_t(c) * L + i) * L + j] = r.normal() * inv * ext;
  }
  // Weights fall off as 1/(rank+10): a few heavy clusters, a long tail.
  uint64_t acc = 0;
  for (uint32_t c = 0; c < p.clusters; ++c) {
    acc += 1000000000ull / (c + 10 + p.clusters / 20);
    m.cum.push_back(acc);
  }
  return m;
}

void make_vector(const Params& p, const Model& m, uint64_t stream, uint64_t index, uint8_t* out) {
  Rng r(p.seed, stream, index);
  const uint32_t L = p.latent;
  const uint64_t t = r.next() % m.cum.back();
  uint32_t lo = 0, hi = p.clusters - 1;
  while (lo < hi) {
    uint32_t mid = (lo + hi) / 2;
    if (m.cum[mid] > t)
      hi = mid;
    else
      lo = mid + 1;
  }
  double z[256], x[256];
  for (uint32_t j = 0; j < L; ++j) z[j] = r.normal();
  for (uint32_t i = 0; i < L; ++i) {
    double s = m.centre[size_t(lo) * L + i];
    const double* row = &m.shape[(size_t(lo) * L + i) * L];
    for (uint32_t j = 0; j < L; ++j) s += row[j] * z[j];
    x[i] = s;
  }
  for (uint32_t d = 0; d < p.dim; ++d) {
    double s = m.offset[d];
    const double* row = &m.map[size_t(d) * L];
    for (uint32_t j = 0; j < L; ++j) s += row[j] * x[j];
    if (s < 0) s = 0;
    s += r.normal() * p.noise;
    int v = static_cast<int>(s + 0.5);
    out[d] = static_cast<uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
  }
}

bool write_set(const Params& p, const Model& m, uint64_t stream, uint64_t n, const std::string& base) {
  FILE* ff = std::fopen((base + ".fbin").c_str(), "wb");
  FILE* fu = std::fopen((base + ".u8bin").c_str(), "wb");
  if (!ff || !fu) {
    std::perror(base.c_str());
    return false;
  }
  const uint32_t head[2] = {static_cast<uint32_t>(n), p.dim};
  std::fwrite(head, 4, 2, ff);
  std::fwrite(head, 4, 2, fu);
  const uint64_t block = 65536;
  std::vector<uint8_t> u(block * p.dim);
  std::vector<float> f(block * p.dim);
  const unsigned nt = std::max(1u, std::thread::hardware_concurrency());
  for (uint64_t at = 0; at < n; at += block) {
    const uint64_t len = std::min(block, n - at);
    std::vector<std::thread> ts;
    for (unsigned w = 0; w < nt; ++w)
      ts.emplace_back([&, w] {
        for (uint64_t i = w; i < len; i += nt) {
          make_vector(p, m, stream, at + i, &u[i * p.dim]);
          for (uint32_t d = 0; d < p.dim; ++d) f[i * p.dim + d] = float(u[i * p.dim + d]);
        }
      });
    for (auto& t : ts) t.join();
    if (std::fwrite(u.data(), p.dim, len, fu) != len || std::fwrite(f.data(), size_t(p.dim) * 4, len, ff) != len) {
      std::perror("write");
      return false;
    }
  }
  return std::fclose(ff) == 0 && std::fclose(fu) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  Params p;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string k = argv[i];
    const char* v = argv[i + 1];
    if (k == "--n")
      p.n = std::strtoull(v, nullptr, 10);
    else if (k == "--nq")
      p.nq = std::strtoull(v, nullptr, 10);
    else if (k == "--dim")
      p.dim = std::atoi(v);
    else if (k == "--latent")
      p.latent = std::atoi(v);
    else if (k == "--clusters")
      p.clusters = std::atoi(v);
    else if (k == "--spread")
      p.spread = std::atof(v);
    else if (k == "--within")
      p.within = std::atof(v);
    else if (k == "--decay")
      p.decay = std::atof(v);
    else if (k == "--noise")
      p.noise = std::atof(v);
    else if (k == "--gain")
      p.gain = std::atof(v);
    else if (k == "--bias")
      p.bias = std::atof(v);
    else if (k == "--seed")
      p.seed = std::strtoull(v, nullptr, 10);
    else if (k == "--out")
      p.out = v;
    else {
      std::fprintf(stderr, "unknown option %s\n", k.c_str());
      return 2;
    }
  }
  if (p.latent > 256) {
    std::fprintf(stderr, "latent must be at most 256\n");
    return 2;
  }
  const Model m = make_model(p);
  if (!write_set(p, m, 3, p.n, p.out + ".base")) return 1;
  if (!write_set(p, m, 4, p.nq, p.out + ".query")) return 1;
  std::printf("%s: %llu base, %llu queries, dim %u, seed %llu\n", p.out.c_str(), (unsigned long long)p.n,
              (unsigned long long)p.nq, p.dim, (unsigned long long)p.seed);
  return 0;
}
