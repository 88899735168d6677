#pragma once

#include <cstdint>

#include "ops/enums.h"

namespace convgrad::cpu {

/// Where maxima of windows of 2x2 go.
struct GemmPool {
  const float* y;            // where offsets from the rows of C begin, for the indices
  int32_t* indices;          // laid out as y
  const int32_t* positions;  // of each window's first row: h · width + w
  int32_t width;             // of the image that is pooled
};

/// Rows of C = A·B, or of C += A·B, in one panel of columns and over one block of the depth. A is read where it lies,
/// through pointers, so that a convolution needs no copy of its image: the depth is `segments` runs of `length` steps,
/// and
///   A(m, s·length + i) = a[s·rows + m][i·a_step],
///   B(k, n) = b[k·b_step + n]: at most tile_columns columns, and b_step is at least that, or `lanes` where that many
///   do.
struct GemmBlock {
  int64_t rows, columns;
  int64_t segments, length;
  const float* const* a;
  int64_t a_step;
  const float* b;
  int64_t b_step;
  float* const* c;  // one pointer a row
  int64_t column;   // where the panel's columns begin in each row of C and residual, and in the bias
  bool first;       // of the depth: C is written; else added to
  // At the depth's last block: C = activation(C + bias + residual); absent operands are null.
  bool last;
  const float* bias;
  const float* const* residual;  // one pointer a row
  Activation activation;
  // Four rows after each other are the pixels of a window: of activation(C + bias) only their maximum is written, to
  // the first one's row of C. The depth is one block, and the activation at most relu6. Null otherwise.
  const GemmPool* pool;
};

struct GemmKernels {
  int tile_rows, tile_columns, lanes;
  int pool_tile_rows;  // of a tile whose rows are pooled
  /// Steps of the depth in a block: a panel of B and a tile's rows of A fit the first-level cache.
  int depth;
  void (*block)(const GemmBlock& block);
  /// Writes `width` columns a row (the first `columns` from the source, then zeros): packed[k·width + n] =
  /// b[k·k_stride + n·n_stride]. One of the strides is 1.
  void (*pack)(const float* b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns, int64_t width,
               float* packed);
  /// y[n] = Σ_k x[k] · b[k·stride + n] for n < columns: B row-major.
  void (*gemv_rows)(const float* x, const float* b, int64_t stride, int64_t depth, int64_t columns, float* y);
  /// y[n] = Σ_k x[k] · b[n·stride + k] for n < columns: B column-major.
  void (*gemv_columns)(const float* x, const float* b, int64_t stride, int64_t depth, int64_t columns, float* y);
  /// c = activation(c + bias + residual) over `count` columns; absent operands are null.
  void (*epilogue)(float* c, const float* bias, const float* residual, Activation activation, int64_t count);
  /// dz = dy · activation'(z), told from y = activation(z), and dbias[n] = Σ of dz's rows. y and dz are null without an
  /// activation.
  void (*epilogue_backward)(const float* dy, const float* y, float* dz, float* dbias, Activation activation,
                            int64_t rows, int64_t columns);
  /// sum[n] = Σ of x[row·stride + n].
  void (*sum_rows)(const float* x, int64_t stride, int64_t rows, int64_t columns, float* sum);
  /// y[j·y_stride + i] = x[i·x_stride + j] for i < rows, j < columns.
  void (*transpose)(const float* x, int64_t x_stride, int64_t rows, int64_t columns, float* y, int64_t y_stride);
};

}  // namespace convgrad::cpu
