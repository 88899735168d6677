#pragma once

#include <cstdint>

namespace convgrad::cpu {

struct PeakKernels {
  /// Runs `iterations` rounds of independent fused multiply-adds in registers; returns how many float32 operations that
  /// was. `sink` gets the result, so that nothing is optimised away.
  int64_t (*multiply_add)(int64_t iterations, float* sink);
};

}  // namespace convgrad::cpu
