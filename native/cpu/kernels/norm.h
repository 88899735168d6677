#pragma once

#include <cstdint>

namespace convgrad::cpu {

/// Tiles of a matrix [rows, channels] whose rows are `stride` apart.
struct NormKernels {
  /// mean[c] of the rows, and m2[c] = Σ (x - mean[c])².
  void (*moments)(const float* x, int64_t rows, int64_t channels, int64_t stride, float* mean, float* m2);
  /// sum_dy[c] = Σ dy, sum_dy_x[c] = Σ dy · (x - mean[c]).
  void (*gradient_sums)(const float* x, const float* dy, int64_t rows, int64_t channels, int64_t stride,
                        const float* mean, float* sum_dy, float* sum_dy_x);
  /// y = (x - mean[c]) · scale[c] + shift[c].
  void (*normalize)(const float* x, int64_t rows, int64_t channels, int64_t stride, const float* mean,
                    const float* scale, const float* shift, float* y);
  /// dx = a[c] · dy + b[c] · (x - mean[c]) + c[c].
  void (*input_gradient)(const float* x, const float* dy, int64_t rows, int64_t channels, int64_t stride,
                         const float* mean, const float* a, const float* b, const float* c, float* dx);

  /// Rows of `size` contiguous elements, each normalised by itself. gamma and beta may be null.
  void (*layer_norm)(const float* x, int64_t rows, int64_t size, const float* gamma, const float* beta, float epsilon,
                     float* y, float* mean, float* inv_std);
  /// Adds the rows' parts to dgamma[size] and dbeta[size].
  void (*layer_norm_gradient)(const float* x, const float* dy, int64_t rows, int64_t size, const float* gamma,
                              const float* mean, const float* inv_std, float* dx, float* dgamma, float* dbeta);
};

}  // namespace convgrad::cpu
