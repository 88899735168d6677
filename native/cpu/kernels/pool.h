#pragma once

#include <cstdint>

namespace convgrad::cpu {

/// A window along one axis: the elements of the input that it sees, and how many the divisor of an average counts.
struct PoolWindow {
  int32_t begin, end, extent;
};

struct PoolRange {
  int32_t begin, end;
};

/// A row of windows over one image [height, width, stride], of which `channels` channels from `x` on are pooled.
struct PoolRow {
  const float* x;
  int64_t width, stride, channels;
  PoolWindow rows;            // the vertical extent of all these windows
  const PoolWindow* columns;  // [count]
  int64_t count;
};

/// A row of the input of one image, to gather its gradient from the windows that cover it.
struct PoolGradientRow {
  const float* dy;         // [windows vertically, windows_across, stride]
  const int32_t* indices;  // as dy; for max
  int64_t windows_across, stride, channels;
  PoolRange rows;                 // the rows of windows that cover this row
  const PoolRange* columns;       // [count]: the columns of windows that cover each element
  const PoolWindow* window_rows;  // for average: the windows, for their divisors
  const PoolWindow* window_columns;
  int64_t count;
  int32_t position;  // h · width of the row: the first element's index
};

struct PoolKernels {
  /// y[q, c] = max over window q; `stride` apart as x is. NaN wins.
  void (*max_row)(const PoolRow& row, float* y);
  void (*max_row_with_indices)(const PoolRow& row, float* y, int32_t* indices);
  void (*avg_row)(const PoolRow& row, float* y);
  void (*max_gradient_row)(const PoolGradientRow& row, float* dx);
  void (*avg_gradient_row)(const PoolGradientRow& row, float* dx);
  /// Windows of 2x2 with stride 2: writes both rows of the input that a row of windows covers, `dx` and `dx + dx_row`.
  void (*max_gradient_2x2)(const float* dy, const int32_t* indices, int64_t count, int64_t channels, int32_t position,
                           int32_t width, float* dx, int64_t dx_row);
};

}  // namespace convgrad::cpu
