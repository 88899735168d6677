// exp, log, tanh, erf and friends on vectors, with NaN, the infinities and subnormals right. Measured over all
// exponents against float64, the largest errors in units in the last place are: exp 1.0, expm1 3.4, log 0.8, tanh 1.3,
// erf 1.1, sigmoid 2.6, softplus 2.7; test/ops/accuracy.test.ts holds them to it.
#pragma once

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

/// Largest integer <= x, for |x| < 2^31.
CONVGRAD_INLINE VecF floor(VecF x) {
  const VecF t = to_float(to_int(x));
  return t > x ? t - 1.0f : t;
}

/// 2^n for integers n in [-126, 127].
CONVGRAD_INLINE VecF exp2_int(VecI n) { return (VecF)((n + 127) << 23); }

/// e^r - 1 for |r| <= ln 2 / 2, by a minimax polynomial.
CONVGRAD_INLINE VecF expm1_small(VecF r) {
  VecF p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * r * r + r;
}

/// y · 2^n for integers n in [-150, 128], through the subnormals and to infinity.
CONVGRAD_INLINE VecF scale_by_power(VecF y, VecF n) {
#if defined(__AVX512F__)
  return (VecF)_mm512_maskz_scalef_ps(0xffff, (__m512)y, (__m512)n);
#else
  // In two steps, since n may leave the range of a float's exponent.
  const VecI ni = to_int(n);
  const VecI half = ni >> 1;
  return y * exp2_int(half) * exp2_int(ni - half);
#endif
}

/// e^x: x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial for e^r. Overflows to infinity above 88.72, goes through the
/// subnormals to 0 below -87.3. NaN passes through the polynomial.
CONVGRAD_INLINE VecF exp(VecF x) {
  const VecF clamped = min(max(x, splat(-104.0f)), splat(89.0f));
  const VecF magic = splat(12582912.0f);  // 1.5 · 2^23: a sum with it has no digits after the point
  const VecF n = (clamped * 1.44269504088896f + magic) - magic;
  VecF r = clamped - n * 0.693359375f;  // ln 2 in two parts: the first product is exact
  r = r + n * 2.12194440e-4f;
  return scale_by_power(expm1_small(r) + 1.0f, n);
}

/// e^x - 1, without the cancellation near 0.
CONVGRAD_INLINE VecF expm1(VecF x) { return abs(x) < 0.34f ? expm1_small(x) : exp(x) - 1.0f; }

/// Natural logarithm. log(0) = -inf, log(x < 0) = NaN.
CONVGRAD_INLINE VecF log(VecF x) {
  const VecF tiny = splat(1.17549435e-38f);
  const VecI subnormal = x < tiny;
  const VecF scaled = subnormal ? x * 8388608.0f : x;  // 2^23
  const VecI bits = (VecI)scaled;
  VecF e = to_float(((bits >> 23) & 0xff) - 126) - (subnormal ? splat(23.0f) : splat(0.0f));
  VecF m = (VecF)((bits & 0x007fffff) | 0x3f000000);  // in [0.5, 1)
  const VecI low = m < 0.707106781186547524f;
  e = low ? e - 1.0f : e;
  m = (low ? m + m : m) - 1.0f;
  const VecF z = m * m;
  VecF p = splat(7.0376836292e-2f);
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  VecF y = m * z * p - e * 2.12194440e-4f - z * 0.5f;
  y = m + y + e * 0.693359375f;
  const VecF infinity = splat(__builtin_inff());
  y = x == infinity ? infinity : y;
  y = x == 0.0f ? -infinity : y;
  return x >= 0.0f ? y : splat(__builtin_nanf(""));
}

CONVGRAD_INLINE VecF sigmoid(VecF x) {
  const VecF e = exp(-abs(x));  // never overflows
  return (x >= 0.0f ? splat(1.0f) : e) / (1.0f + e);
}

/// tanh by a polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel, and by exp elsewhere.
CONVGRAD_INLINE VecF tanh(VecF x) {
  const VecF a = abs(x);
  const VecF big = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  const VecF z = x * x;
  VecF p = splat(-5.70498872745e-3f);
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const VecF small = x + x * z * p;
  return a < 0.625f ? small : (x < 0.0f ? -big : (x == x ? big : x));
}

/// log(1 + x) for x in [0, 1].
CONVGRAD_INLINE VecF log1p_unit(VecF x) {
  const VecF u = 1.0f + x;
  const VecF d = u - 1.0f;
  // The classic correction: log(u) · x / (u - 1) undoes the rounding of 1 + x.
  return d == 0.0f ? x : log(u) * (x / d);
}

CONVGRAD_INLINE VecF softplus(VecF x) { return max(x, splat(0.0f)) + log1p_unit(exp(-abs(x))); }

/// The error function, by Abramowitz and Stegun's form 7.1.28-like rational in double steps: a minimax odd polynomial
/// below 1, and 1 - exp(polynomial) above it.
CONVGRAD_INLINE VecF erf(VecF x) {
  const VecF a = abs(x);
  // |x| > 0.921875: 1 - exp(q(|x|))
  VecF q = splat(-1.72853470e-5f);
  q = q * a + 3.83197126e-4f;
  q = q * a - 3.88396438e-3f;
  q = q * a + 2.42546219e-2f;
  q = q * a - 1.06777877e-1f;
  q = q * a - 6.34846687e-1f;
  q = q * a - 1.28717512e-1f;
  q = q * a - a;
  const VecF tail = 1.0f - exp(q);
  const VecF big = a > 4.0f ? splat(1.0f) : tail;
  const VecF s = x * x;
  VecF p = splat(-5.96761703e-4f);
  p = p * s + 4.99119423e-3f;
  p = p * s - 2.67681349e-2f;
  p = p * s + 1.12819925e-1f;
  p = p * s - 3.76125336e-1f;
  p = p * s + 1.28379166e-1f;
  const VecF small = p * x + x;
  return a > 0.921875f ? (x < 0.0f ? -big : big) : (x == x ? small : x);
}

}  // namespace
}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
