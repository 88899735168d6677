// What the arithmetic units can do at most: enough independent chains of multiply-adds to hide their latency.
#include "cpu/kernels/peak.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

constexpr int kChains = kVectorRegisters > 16 ? 20 : 12;

int64_t multiply_add(int64_t iterations, float* sink) {
  VecF chains[kChains];
  VecF factor = splat(0.999f), addend = splat(0.001f);
  // Hides the values from the compiler, which would otherwise fold the loop.
  asm volatile("" : "+m"(factor), "+m"(addend));
  for (int c = 0; c < kChains; ++c) chains[c] = splat(static_cast<float>(c));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 20
    for (int c = 0; c < kChains; ++c) chains[c] = chains[c] * factor + addend;
  }
  VecF sum = {};
  for (int c = 0; c < kChains; ++c) sum += chains[c];
  *sink = sum_lanes(sum);
  return iterations * kChains * kLanes * 2;
}

}  // namespace

extern const PeakKernels peak_kernels;
const PeakKernels peak_kernels = {.multiply_add = multiply_add};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
