#pragma once

#include <cstdint>

namespace convgrad::cpu {

constexpr int kCastTypes = 3;  // float32, int32, uint8: DType, which this file may not include

struct MoveKernels {
  /// y[r · y_stride + c] = x[c · x_stride + r] for r < rows, c < columns.
  void (*transpose_32)(const uint32_t* x, int64_t x_stride, uint32_t* y, int64_t y_stride, int64_t rows,
                       int64_t columns);
  void (*transpose_8)(const uint8_t* x, int64_t x_stride, uint8_t* y, int64_t y_stride, int64_t rows, int64_t columns);
  /// Converts `count` elements: cast[from][to].
  void (*cast[kCastTypes][kCastTypes])(const void* x, void* y, int64_t count);
  /// y[i] += x[i].
  void (*add)(const float* x, float* y, int64_t count);
};

}  // namespace convgrad::cpu
