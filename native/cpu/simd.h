// Vectors of the instruction set that this file is compiled for, by GCC and Clang's vector extensions: one source for
// SSE, AVX2, AVX-512 and NEON. Only files in cpu/kernels/ include it. Everything is in an anonymous namespace, so that
// the linker never merges copies made for different instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

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

/// The first `count` lanes (0 < count < kLanes); the others are zero. Never reads past the end.
CONVGRAD_INLINE VecF load_partial(const float* source, int64_t count) {
  VecF v = {};
  __builtin_memcpy(&v, source, static_cast<size_t>(count) * sizeof(float));
  return v;
}
CONVGRAD_INLINE void store_partial(float* destination, VecF v, int64_t count) {
  __builtin_memcpy(destination, &v, static_cast<size_t>(count) * sizeof(float));
}

CONVGRAD_INLINE VecF splat(float x) { return x - VecF{}; }
CONVGRAD_INLINE VecI splat(int32_t x) { return x - VecI{}; }

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

CONVGRAD_INLINE float sum_lanes(VecF v) {
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

}  // namespace
}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
