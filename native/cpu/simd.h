// Vectors of the instruction set that this file is compiled for, by GCC and Clang's vector extensions: one source for
// SSE, AVX2, AVX-512 and NEON. Only files in cpu/kernels/ include it. Everything is in an anonymous namespace, so that
// the linker never merges copies made for different instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(CONVGRAD_ISA_AVX2) || defined(CONVGRAD_ISA_AVX512)
#include <immintrin.h>
#endif

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

#if defined(CONVGRAD_ISA_AVX512)
constexpr int kVectorBytes = 64;
constexpr int kVectorRegisters = 32;
#elif defined(CONVGRAD_ISA_AVX2)
constexpr int kVectorBytes = 32;
constexpr int kVectorRegisters = 16;
#elif defined(CONVGRAD_ISA_NEON)
constexpr int kVectorBytes = 16;
constexpr int kVectorRegisters = 32;
#else
constexpr int kVectorBytes = 16;
constexpr int kVectorRegisters = 16;
#endif
constexpr int kLanes = kVectorBytes / 4;

typedef float VecF __attribute__((vector_size(kVectorBytes)));
typedef int32_t VecI __attribute__((vector_size(kVectorBytes)));
typedef uint32_t VecU __attribute__((vector_size(kVectorBytes)));

#define CONVGRAD_INLINE inline __attribute__((always_inline))

template <class V>
CONVGRAD_INLINE V load(const void* source) {
  V v;
  __builtin_memcpy(&v, source, sizeof v);
  return v;
}
CONVGRAD_INLINE VecF load(const float* source) { return load<VecF>(source); }
CONVGRAD_INLINE VecI load(const int32_t* source) { return load<VecI>(source); }

template <class V>
CONVGRAD_INLINE void store(void* destination, V v) {
  __builtin_memcpy(destination, &v, sizeof v);
}

/// 0, 1, 2, ...
CONVGRAD_INLINE VecI lane_numbers() {
  VecI v;
  for (int i = 0; i < kLanes; ++i) v[i] = i;
  return v;
}

/// The first `count` lanes (0 < count < kLanes); the others are zero. Never reads past the end.
CONVGRAD_INLINE VecF load_partial(const float* source, int64_t count) {
#if defined(__AVX512F__)
  return (VecF)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), source);
#elif defined(CONVGRAD_ISA_AVX2)
  return (VecF)_mm256_maskload_ps(source, (__m256i)(lane_numbers() < static_cast<int32_t>(count)));
#else
  VecF v = {};
  __builtin_memcpy(&v, source, static_cast<size_t>(count) * sizeof(float));
  return v;
#endif
}
CONVGRAD_INLINE VecI load_partial(const int32_t* source, int64_t count) {
  return (VecI)load_partial(reinterpret_cast<const float*>(source), count);
}

/// Stores the first `count` lanes in powers of two: the branches always go the same way in a loop over rows, and a
/// masked store is slow on some processors.
CONVGRAD_INLINE void store_partial(float* destination, VecF v, int64_t count) {
  float lanes[kLanes];
  __builtin_memcpy(lanes, &v, sizeof v);
  int64_t i = 0;
  if (kLanes > 8 && (count & 8)) __builtin_memcpy(destination, lanes, 32), i = 8;
  if (kLanes > 4 && (count & 4)) __builtin_memcpy(destination + i, lanes + i, 16), i += 4;
  if (count & 2) __builtin_memcpy(destination + i, lanes + i, 8), i += 2;
  if (count & 1) __builtin_memcpy(destination + i, lanes + i, 4);
}
CONVGRAD_INLINE void store_partial(int32_t* destination, VecI v, int64_t count) {
  store_partial(reinterpret_cast<float*>(destination), (VecF)v, count);
}

CONVGRAD_INLINE VecF splat(float x) { return x - VecF{}; }
CONVGRAD_INLINE VecI splat(int32_t x) { return x - VecI{}; }

/// Stores a vector past the caches, to an address aligned as a vector is; fence_streams() before others may read it.
CONVGRAD_INLINE void store_streaming(float* destination, VecF v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(destination, (__m512)v);
#elif defined(CONVGRAD_ISA_AVX2)
  _mm256_stream_ps(destination, (__m256)v);
#else
  __builtin_memcpy(destination, &v, sizeof v);
#endif
}
CONVGRAD_INLINE void fence_streams() {
#if defined(CONVGRAD_ISA_AVX512) || defined(CONVGRAD_ISA_AVX2)
  _mm_sfence();
#endif
}

/// Keeps a vector that serves several operations in a register: GCC would rather load it again for each of them.
CONVGRAD_INLINE void keep_in_register(VecF& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#else
  asm("" : "+w"(v));
#endif
}

// A comparison gives lanes of all ones or zeros; the ternary operator selects. NaN compares false, so the order of the
// operands decides whether it survives: these keep a NaN in `a`.
CONVGRAD_INLINE VecF max(VecF a, VecF b) { return a < b ? b : a; }
CONVGRAD_INLINE VecF min(VecF a, VecF b) { return b < a ? b : a; }
CONVGRAD_INLINE VecF abs(VecF a) { return (VecF)((VecI)a & 0x7fffffff); }
CONVGRAD_INLINE VecF sqrt(VecF a) {
  for (int i = 0; i < kLanes; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
CONVGRAD_INLINE VecF to_float(VecI a) { return __builtin_convertvector(a, VecF); }
/// Truncates; undefined beyond the range of int32.
CONVGRAD_INLINE VecI to_int(VecF a) { return __builtin_convertvector(a, VecI); }

/// Lane i of the result is lane index[i] of a and b laid end to end.
template <int... index, class V>
CONVGRAD_INLINE V shuffle(V a, V b) {
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, index...);
#else  // GCC before 12
  return __builtin_shuffle(a, b, decltype(a == b){index...});
#endif
}

/// Transposes 4 x 4 words, whatever the length of the other vectors.
typedef uint32_t Quad __attribute__((vector_size(16)));
CONVGRAD_INLINE void transpose_quads(Quad (&rows)[4]) {
  const Quad a = shuffle<0, 4, 1, 5>(rows[0], rows[1]), b = shuffle<0, 4, 1, 5>(rows[2], rows[3]),
             c = shuffle<2, 6, 3, 7>(rows[0], rows[1]), d = shuffle<2, 6, 3, 7>(rows[2], rows[3]);
  rows[0] = shuffle<0, 1, 4, 5>(a, b);
  rows[1] = shuffle<2, 3, 6, 7>(a, b);
  rows[2] = shuffle<0, 1, 4, 5>(c, d);
  rows[3] = shuffle<2, 3, 6, 7>(c, d);
}

CONVGRAD_INLINE float sum_lanes(VecF v) {
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

CONVGRAD_INLINE float max_lanes(VecF v) {
  float result = v[0];
  for (int i = 1; i < kLanes; ++i) result = result < v[i] ? v[i] : result;
  return result;
}

// ---- loops over whole vectors and one partial vector, with one body for both ----

/// What a loop's body loads and stores with: whole vectors, ...
struct WholeVector {
  CONVGRAD_INLINE VecF load(const float* source) const { return load_vector<VecF>(source); }
  CONVGRAD_INLINE VecI load(const int32_t* source) const { return load_vector<VecI>(source); }
  CONVGRAD_INLINE void store(float* destination, VecF v) const { __builtin_memcpy(destination, &v, sizeof v); }
  CONVGRAD_INLINE void store(int32_t* destination, VecI v) const { __builtin_memcpy(destination, &v, sizeof v); }
  CONVGRAD_INLINE void store_streaming(float* destination, VecF v) const {
    CONVGRAD_ISA_NAMESPACE::store_streaming(destination, v);
  }
  /// The lanes that count, for reductions: the others become `other`.
  CONVGRAD_INLINE VecF keep(VecF v, float) const { return v; }

 private:
  template <class V>
  CONVGRAD_INLINE static V load_vector(const void* source) {
    V v;
    __builtin_memcpy(&v, source, sizeof v);
    return v;
  }
};

/// ... or the `count` lanes that are left.
struct PartialVector {
  int64_t count;
  CONVGRAD_INLINE VecF load(const float* source) const { return load_partial(source, count); }
  CONVGRAD_INLINE VecI load(const int32_t* source) const { return load_partial(source, count); }
  CONVGRAD_INLINE void store(float* destination, VecF v) const { store_partial(destination, v, count); }
  CONVGRAD_INLINE void store_streaming(float* destination, VecF v) const { store(destination, v); }
  CONVGRAD_INLINE void store(int32_t* destination, VecI v) const { store_partial(destination, v, count); }
  CONVGRAD_INLINE VecF keep(VecF v, float other) const {
    return lane_numbers() < static_cast<int32_t>(count) ? v : splat(other);
  }
};

/// Calls body(i, lanes) for every vector of [0, count). Write the body as `[&](int64_t i, auto lanes) CONVGRAD_LAMBDA`.
#define CONVGRAD_LAMBDA __attribute__((always_inline))
template <class Body>
CONVGRAD_INLINE void each_vector(int64_t count, Body&& body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, WholeVector{});
  if (i < count) body(i, PartialVector{count - i});
}

template <int... values>
struct Lanes {};
#if defined(CONVGRAD_ISA_AVX512)
using LaneNumbers = Lanes<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;
#elif defined(CONVGRAD_ISA_AVX2)
using LaneNumbers = Lanes<0, 1, 2, 3, 4, 5, 6, 7>;
#else
using LaneNumbers = Lanes<0, 1, 2, 3>;
#endif

/// Swaps the off-diagonal squares of `step` lanes in the pair of rows (a, b).
template <int step, int... lane>
CONVGRAD_INLINE void swap_squares(VecF& a, VecF& b, Lanes<lane...>) {
  const VecF top = shuffle<(lane & step ? lane - step + kLanes : lane)...>(a, b);
  b = shuffle<(lane & step ? lane + kLanes : lane + step)...>(a, b);
  a = top;
}

template <int step>
CONVGRAD_INLINE void transpose_step(VecF (&rows)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (!(i & step)) swap_squares<step>(rows[i], rows[i + step], LaneNumbers{});
  }
}

/// Transposes a square of kLanes rows.
CONVGRAD_INLINE void transpose(VecF (&rows)[kLanes]) {
  transpose_step<1>(rows);
  transpose_step<2>(rows);
  if constexpr (kLanes > 4) transpose_step<4>(rows);
  if constexpr (kLanes > 8) transpose_step<8>(rows);
}

}  // namespace
}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
