#pragma once

#include <cstdint>

#include "ops/enums.h"

namespace convgrad::cpu {

constexpr int kBinaryCount = static_cast<int>(BinaryFunction::count);
constexpr int kCompareCount = static_cast<int>(CompareFunction::count);

/// Functions of two rows. A step is 1, or 0 where one value serves the whole row.
struct BinaryKernels {
  template <class T, class Y>
  using Function = void (*)(const T* a, int64_t a_step, const T* b, int64_t b_step, Y* y, int64_t count);
  using Backward = void (*)(const float* a, int64_t a_step, const float* b, int64_t b_step, const float* dy, float* dx,
                            int64_t count);
  template <class T>
  using Select = void (*)(const uint8_t* condition, int64_t condition_step, const T* a, int64_t a_step, const T* b,
                          int64_t b_step, T* y, int64_t count);

  Function<float, float> f32[kBinaryCount];
  Function<int32_t, int32_t> i32[kBinaryCount];  // null for div and pow
  Backward backward[kBinaryCount][2];            // by side; null for add, sub and mul
  Function<float, uint8_t> compare_f32[kCompareCount];
  Function<int32_t, uint8_t> compare_i32[kCompareCount];
  Function<uint8_t, uint8_t> compare_u8[kCompareCount];
  Select<uint32_t> select_32;
  Select<uint8_t> select_8;
};

}  // namespace convgrad::cpu
