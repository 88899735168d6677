#pragma once

#include <cstdint>

namespace convgrad::cpu {

/// value = x[low] + weight · (x[high] - x[low]), in elements of an axis.
struct ResizeTap {
  int32_t low, high;
  float weight;
};

struct ResizeRange {
  int32_t begin, end;
};

/// A row of the result, or of the gradient.
struct ResizeRow {
  const void* image;            // [height, width, channels]; the gradient of the result for a gradient row
  int64_t width, channels;      // of `image`
  int64_t count;                // elements of this row
  const ResizeTap* rows;        // forward: the row's tap. Gradient: of all rows of the result
  const ResizeTap* columns;     // of all columns of the result
  int32_t row = 0;              // gradient: which row of the input it is
  ResizeRange covering_rows{};  // gradient: the rows of the result that it is a part of
  const ResizeRange* covering_columns = nullptr;  // gradient: [count]
};

struct ResizeKernels {
  /// By dtype of the image: float32, uint8.
  void (*row[2])(const ResizeRow& row, float* y);
  void (*gradient_row)(const ResizeRow& row, float* dx);
};

}  // namespace convgrad::cpu
