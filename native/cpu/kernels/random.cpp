// Philox 4x32-10, a block a lane, and what is made of its words. The numbers must be the same on every instruction set,
// bit by bit: CMakeLists.txt compiles this file without contraction to fused multiply-adds, and nothing here depends on
// the number of lanes but how many blocks are computed at a time.
#include "cpu/kernels/random.h"

#include "cpu/simd_math.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

constexpr int64_t kStep = 4 * kLanes;  // words of a vector of blocks

/// Four words of kLanes blocks: word[w][lane].
struct Words {
  VecU word[4];
};

/// The high and low words of the products a[i] · m.
CONVGRAD_INLINE void multiply_wide(VecU a, uint32_t m, VecU& high, VecU& low) {
#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE4_1__)
  // The processor multiplies every other lane: once the even ones, once the odd ones.
  typedef uint64_t Wide __attribute__((vector_size(kVectorBytes)));
  const Wide odd_lanes = (Wide)a >> 32;
#if defined(CONVGRAD_ISA_AVX512) && defined(__AVX512F__)
  const __m512i factor = _mm512_set1_epi32(static_cast<int32_t>(m));
  const Wide even = (Wide)_mm512_maskz_mul_epu32(0xff, (__m512i)a, factor),
             odd = (Wide)_mm512_maskz_mul_epu32(0xff, (__m512i)odd_lanes, factor);
#elif defined(CONVGRAD_ISA_AVX2)
  const __m256i factor = _mm256_set1_epi32(static_cast<int32_t>(m));
  const Wide even = (Wide)_mm256_mul_epu32((__m256i)a, factor),
             odd = (Wide)_mm256_mul_epu32((__m256i)odd_lanes, factor);
#else
  const Wide even = ((Wide)a & 0xffffffffu) * m, odd = odd_lanes * m;
#endif
  high = (VecU)((even >> 32) | (odd & 0xffffffff00000000u));
  low = (VecU)((even & 0xffffffffu) | (odd << 32));
#else
  for (int i = 0; i < kLanes; ++i) {
    const uint64_t product = static_cast<uint64_t>(a[i]) * m;
    high[i] = static_cast<uint32_t>(product >> 32);
    low[i] = static_cast<uint32_t>(product);
  }
#endif
}

CONVGRAD_INLINE Words philox(PhiloxPosition at) {
  VecU c0, c1, c2 = at.stream - VecU{}, c3 = {};
  for (int i = 0; i < kLanes; ++i) {
    const uint64_t block = at.block + static_cast<uint64_t>(i);
    c0[i] = static_cast<uint32_t>(block);
    c1[i] = static_cast<uint32_t>(block >> 32);
  }
  uint32_t k0 = at.key[0], k1 = at.key[1];
  for (int round = 0; round < 10; ++round) {
    VecU high0, low0, high2, low2;
    multiply_wide(c0, 0xD2511F53u, high0, low0);
    multiply_wide(c2, 0xCD9E8D57u, high2, low2);
    c0 = high2 ^ c1 ^ k0;
    c1 = low2;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Block by block: out[4 · lane + w] = word[w][lane].
CONVGRAD_INLINE void store_interleaved(const Words& words, uint32_t* out) {
  uint32_t lanes[4][kLanes];
  for (int w = 0; w < 4; ++w) store(lanes[w], words.word[w]);
  for (int i = 0; i < kLanes; i += 4) {
    Quad rows[4];
    for (int w = 0; w < 4; ++w) rows[w] = load<Quad>(lanes[w] + i);
    transpose_quads(rows);
    for (int block = 0; block < 4; ++block) store(out + 4 * (i + block), rows[block]);
  }
}

/// Writes `count` 32-bit elements: `transform` turns the words of blocks into them.
template <class Transform>
CONVGRAD_INLINE void generate(PhiloxPosition at, uint32_t* out, int64_t count, Transform transform) {
  int64_t i = 0;
  for (; i + kStep <= count; i += kStep, at.block += kLanes) store_interleaved(transform(philox(at)), out + i);
  if (i < count) {
    uint32_t rest[kStep];
    store_interleaved(transform(philox(at)), rest);
    __builtin_memcpy(out + i, rest, static_cast<size_t>(count - i) * sizeof(uint32_t));
  }
}

void words(PhiloxPosition at, uint32_t* out, int64_t count) {
  generate(at, out, count, [](Words w) CONVGRAD_LAMBDA { return w; });
}

/// A multiple of 2^-24 in [0, 1).
CONVGRAD_INLINE VecF unit(VecU word) { return to_float((VecI)(word >> 8)) * 0x1p-24f; }
/// The middle of one of 2^23 equal parts of (0, 1).
CONVGRAD_INLINE VecF open_unit(VecU word) { return (to_float((VecI)(word >> 9)) + 0.5f) * 0x1p-23f; }

/// [low, high): where the last rounding reaches `high`, the number below it.
void uniform(PhiloxPosition at, void* y, int64_t count, double a, double b) {
  const float low = static_cast<float>(a), high = static_cast<float>(b), width = high - low;
  const float below = __builtin_nextafterf(high, low);
  generate(at, static_cast<uint32_t*>(y), count, [=](Words w) CONVGRAD_LAMBDA {
    for (VecU& word : w.word) {
      const VecF value = low + width * unit(word);
      word = (VecU)(value < high ? value : splat(below));
    }
    return w;
  });
}

/// cos(2πu) and sin(2πu) for u in [0, 1): a quarter turn q and a rest of at most an eighth, whose series end where the
/// next term is below half a unit in the last place.
CONVGRAD_INLINE void cos_sin_turn(VecF u, VecF& cosine, VecF& sine) {
  const VecF quarters = u * 4.0f;
  const VecI q = to_int(quarters + 0.5f);
  const VecF x = (quarters - to_float(q)) * 1.57079632679489662f, z = x * x;
  const VecF s = x + x * z * (-1.0f / 6 + z * (1.0f / 120 + z * (-1.0f / 5040 + z * (1.0f / 362880))));
  const VecF c = 1.0f + z * (-0.5f + z * (1.0f / 24 + z * (-1.0f / 720 + z * (1.0f / 40320))));
  const VecI swapped = (q & 1) != 0;
  const VecF cos_part = swapped ? s : c, sin_part = swapped ? c : s;
  cosine = ((q + 1) & 2) != 0 ? -cos_part : cos_part;
  sine = (q & 2) != 0 ? -sin_part : sin_part;
}

/// Box and Muller: two words give the length and the angle of a vector whose coordinates are two normal numbers.
CONVGRAD_INLINE void normal_pair(VecU& first, VecU& second, float mean, float deviation) {
  const VecF length = sqrt(-2.0f * log(open_unit(first)));
  VecF cosine, sine;
  cos_sin_turn(unit(second), cosine, sine);
  first = (VecU)(mean + deviation * (length * cosine));
  second = (VecU)(mean + deviation * (length * sine));
}

void normal(PhiloxPosition at, void* y, int64_t count, double a, double b) {
  const float mean = static_cast<float>(a), deviation = static_cast<float>(b);
  generate(at, static_cast<uint32_t*>(y), count, [=](Words w) CONVGRAD_LAMBDA {
    normal_pair(w.word[0], w.word[1], mean, deviation);
    normal_pair(w.word[2], w.word[3], mean, deviation);
    return w;
  });
}

/// The inverse of the distribution function between -2 and 2: z = x · P(-ln(1 - x²)) with x = erf(z / √2). P is a
/// Chebyshev fit with a relative error of 5e-9.
void truncated_normal(PhiloxPosition at, void* y, int64_t count, double a, double b) {
  const float mean = static_cast<float>(a), deviation = static_cast<float>(b);
  generate(at, static_cast<uint32_t*>(y), count, [=](Words w) CONVGRAD_LAMBDA {
    for (VecU& word : w.word) {
      const VecF x = (open_unit(word) * 2.0f - 1.0f) * 0.954499736103641586f;  // erf(√2)
      const VecF v = -log((1.0f - x) * (1.0f + x));
      VecF p = splat(-4.99204066492e-7f);
      p = p * v - 2.2682054492e-6f;
      p = p * v + 7.7572839177e-5f;
      p = p * v - 1.94921351583e-4f;
      p = p * v - 3.29360703945e-3f;
      p = p * v + 1.63305642943e-2f;
      p = p * v + 3.2811718358e-1f;
      p = p * v + 1.25331413145f;
      const VecF z = min(max(x * p, splat(-2.0f)), splat(2.0f));
      word = (VecU)(mean + deviation * z);
    }
    return w;
  });
}

void bernoulli(PhiloxPosition at, void* y, int64_t count, double probability, double) {
  // 2^32 does not fit a word: compare with the largest word that counts, and leave out the case that none does.
  const uint64_t threshold = static_cast<uint64_t>(probability * 4294967296.0 + 0.5);
  const uint32_t last = static_cast<uint32_t>(threshold - 1);
  const bool any = threshold > 0;
  generate(at, static_cast<uint32_t*>(y), count, [=](Words w) CONVGRAD_LAMBDA {
    for (VecU& word : w.word) word = (VecU)((any & (word <= last)) ? splat(1.0f) : splat(0.0f));
    return w;
  });
}

/// low + ⌊word · (high - low) / 2^32⌋: a value's probability is off by at most 2^-32.
void integers(PhiloxPosition at, void* y, int64_t count, double a, double b) {
  const uint32_t low = static_cast<uint32_t>(static_cast<int64_t>(a));
  const uint64_t range = static_cast<uint64_t>(b - a);  // up to 2^32, which means all words
  const bool all = range >> 32;
  generate(at, static_cast<uint32_t*>(y), count, [=](Words w) CONVGRAD_LAMBDA {
    for (VecU& word : w.word) {
      VecU high, rest;
      multiply_wide(word, static_cast<uint32_t>(range), high, rest);
      word = low + (all ? word : high);
    }
    return w;
  });
}

void mask(PhiloxPosition at, uint8_t* out, int64_t count, uint32_t threshold) {
  for (int64_t i = 0; i < count; i += kStep, at.block += kLanes) {
    uint32_t kept[kStep];
    Words w = philox(at);
    for (VecU& word : w.word) word = (VecU)(word >= threshold) & 1;
    store_interleaved(w, kept);
    const int64_t n = count - i < kStep ? count - i : kStep;
    for (int64_t k = 0; k < n; ++k) out[i + k] = static_cast<uint8_t>(kept[k]);
  }
}

void apply_mask(const float* x, int64_t x_step, const uint8_t* mask, int64_t mask_step, float* __restrict y,
                int64_t count, float scale) {
  if (mask_step == 0) {
    const float factor = scale;
    for (int64_t i = 0; i < count; ++i) y[i] = *mask ? x[i * x_step] * factor : 0.0f;
  } else {
    for (int64_t i = 0; i < count; ++i) {
      const float scaled = x[i * x_step] * scale;
      y[i] = mask[i] ? scaled : 0.0f;
    }
  }
}

}  // namespace

extern const RandomKernels random_kernels;
const RandomKernels random_kernels = {.words = words,
                                      .fill = {uniform, normal, truncated_normal, bernoulli, integers},
                                      .mask = mask,
                                      .apply_mask = apply_mask};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
