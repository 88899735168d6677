#pragma once

#include <cstdint>

namespace convgrad::cpu {

/// Each array: softmax, then log softmax.
struct SoftmaxKernels {
  /// Rows of `size` contiguous elements.
  void (*rows[2])(const float* x, int64_t rows, int64_t size, float* y);
  void (*rows_gradient[2])(const float* y, const float* dy, int64_t rows, int64_t size, float* dx);
  /// `count` neighbouring columns of `size` elements, `stride` apart.
  void (*columns[2])(const float* x, int64_t size, int64_t stride, int64_t count, float* y);
  void (*columns_gradient[2])(const float* y, const float* dy, int64_t size, int64_t stride, int64_t count, float* dx);
};

}  // namespace convgrad::cpu
