#pragma once

#include <cstdint>

namespace convgrad::cpu {

/// What the micro-kernels accumulate; mean and variance are made of these.
enum class Accumulation { sum, sum_squares, sum_squared_deviations, max, min, count };
constexpr int kAccumulationCount = static_cast<int>(Accumulation::count);

struct ReduceKernels {
  /// Accumulates `count` contiguous values. `center` is the mean that deviations are from.
  template <class T>
  using Row = double (*)(const T* x, int64_t count, double center);
  /// acc[j] ∘= x[i · stride + j] for all i < rows, for each column j < columns.
  template <class T>
  using Columns = void (*)(const T* x, int64_t rows, int64_t stride, int64_t columns, const double* centers,
                           double* acc);

  Row<float> row_f32[kAccumulationCount];
  Columns<float> columns_f32[kAccumulationCount];
  Row<int32_t> row_i32[kAccumulationCount];
  Columns<int32_t> columns_i32[kAccumulationCount];

  /// Index of the first largest (or smallest) of `count` contiguous values.
  int32_t (*arg_row[2])(const float* x, int64_t count);
  /// The same along each column: y[j] for j < columns; `best` is scratch for `columns` values.
  void (*arg_columns[2])(const float* x, int64_t rows, int64_t stride, int64_t columns, float* best, int32_t* y);
};

}  // namespace convgrad::cpu
