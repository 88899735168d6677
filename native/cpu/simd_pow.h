// a^b on vectors. e^(b ln a) in float32 would multiply the error of the logarithm by b ln a, up to 89; so logarithm and
// exponential are done in float64, half a vector at a time.
#pragma once

#include "cpu/simd_math.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

constexpr int kHalfLanes = kLanes / 2;
typedef float HalfF __attribute__((vector_size(kVectorBytes / 2)));
typedef double VecD __attribute__((vector_size(kVectorBytes)));
typedef int64_t VecL __attribute__((vector_size(kVectorBytes)));

/// log2 of positive, finite doubles that came from floats (no subnormal doubles), to about 1e-11 absolute.
CONVGRAD_INLINE VecD log2_positive(VecD x) {
  const VecL bits = (VecL)x;
  // m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) borrows from the exponent below it.
  const VecL exponent = (bits - 0x3fe6a09e00000000) >> 52;
  const VecD m = (VecD)(bits - (exponent << 52));
  const VecD s = (m - 1.0) / (m + 1.0), z = s * s;  // |s| <= 0.1716
  // ln m = 2 atanh s = 2 (s + s³/3 + s⁵/5 + …); the first term left out is s¹⁵/15 < 3e-13
  VecD p = z * (1.0 / 13) + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  p = p * z + 1.0;
  constexpr double kTwoOverLn2 = 2.8853900817779268147;
  VecD e;
  for (int i = 0; i < kHalfLanes; ++i) e[i] = static_cast<double>(static_cast<int32_t>(exponent[i]));
  return e + s * p * kTwoOverLn2;
}

/// 2^t for |t| <= 300, to about 1e-11 relative.
CONVGRAD_INLINE VecD exp2_double(VecD t) {
  constexpr double kRound = 6755399441055744.0;  // 1.5 · 2^52: adding it leaves the nearest integer in the low bits
  const VecD shifted = t + kRound;
  const VecD r = (t - (shifted - kRound)) * 0.69314718055994530942;  // |r| <= ln 2 / 2
  VecD p = r * (1.0 / 362880) + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * (VecD)(((VecL)shifted << 52) + (int64_t{1023} << 52));
}

CONVGRAD_INLINE HalfF pow_half(HalfF a, HalfF b) {
  const VecD t = __builtin_convertvector(b, VecD) * log2_positive(__builtin_convertvector(a, VecD));
  // Beyond ±300 a float is infinite or zero anyway. NaN passes both comparisons and stays.
  const VecD clamped = t > 300.0 ? t - t + 300.0 : (t < -300.0 ? t - t - 300.0 : t);
  return __builtin_convertvector(exp2_double(clamped), HalfF);
}

/// IEEE 754's pow: pow(x, 0) = pow(1, y) = 1; a negative base has a result for integer exponents only.
CONVGRAD_INLINE VecF pow(VecF a, VecF b) {
  const VecF zero = {}, one = splat(1.0f), infinity = splat(__builtin_inff());
  const VecF magnitude = abs(a);
  // Zero and infinity have no logarithm that the formula could use: compute with 2, then put the limits in place.
  const VecI special = (magnitude == 0.0f) | (magnitude == infinity) | (abs(b) == infinity);
  const VecF base = special ? splat(2.0f) : magnitude, exponent = special ? one : b;
  HalfF low_a, high_a, low_b, high_b;
  __builtin_memcpy(&low_a, &base, sizeof low_a);
  __builtin_memcpy(&high_a, reinterpret_cast<const char*>(&base) + sizeof low_a, sizeof high_a);
  __builtin_memcpy(&low_b, &exponent, sizeof low_b);
  __builtin_memcpy(&high_b, reinterpret_cast<const char*>(&exponent) + sizeof low_b, sizeof high_b);
  const HalfF low = pow_half(low_a, low_b), high = pow_half(high_a, high_b);
  VecF y;
  __builtin_memcpy(&y, &low, sizeof low);
  __builtin_memcpy(reinterpret_cast<char*>(&y) + sizeof low, &high, sizeof high);

  const VecI grows = ((magnitude > 1.0f) & (b > 0.0f)) | ((magnitude < 1.0f) & (b < 0.0f));
  y = special ? (grows ? infinity : (magnitude == 1.0f ? one : zero)) : y;
  // Floats from 2^24 on are even integers.
  const VecI large = abs(b) >= 16777216.0f;
  const VecI truncated = to_int(large ? zero : b);
  const VecI integer = large | (to_float(truncated) == b);
  const VecI odd = ~large & integer & ((truncated & 1) != 0);
  const VecI negative = (VecI)a < 0;
  y = (negative & odd) ? -y : y;
  y = ((a < 0.0f) & ~integer & (magnitude != infinity)) ? splat(__builtin_nanf("")) : y;
  y = ((a != a) | (b != b)) ? a + b : y;
  return ((b == 0.0f) | (a == 1.0f)) ? one : y;
}

}  // namespace
}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
