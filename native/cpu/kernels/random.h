#pragma once

#include <cstdint>

#include "ops/enums.h"

namespace convgrad::cpu {

constexpr int kRandomCount = static_cast<int>(RandomFunction::count);

/// A place in a stream of Philox blocks: the key, and the counter of the first block.
struct PhiloxPosition {
  uint32_t key[2];
  uint64_t block;
  uint32_t stream = 0;  // the counter's third word
};

struct RandomKernels {
  /// The words themselves: words[i] is word i % 4 of block `block + i / 4`.
  void (*words)(PhiloxPosition at, uint32_t* words, int64_t count);
  /// y[i] from word i. `a` and `b` as in RandomFunction; y is float, or int32_t for integers.
  void (*fill[kRandomCount])(PhiloxPosition at, void* y, int64_t count, double a, double b);
  /// mask[i] = word i >= threshold.
  void (*mask)(PhiloxPosition at, uint8_t* mask, int64_t count, uint32_t threshold);
  /// y[i] = mask[i] ? x[i] · scale : 0. A step is 1, or 0 where one value serves the whole row.
  void (*apply_mask)(const float* x, int64_t x_step, const uint8_t* mask, int64_t mask_step, float* y, int64_t count,
                     float scale);
};

}  // namespace convgrad::cpu
