// Sums run in float32 vectors over short blocks (at most 32 values a lane), whose totals are added up in float64: as
// fast as memory, and accurate to a few units in the last place of the sum of magnitudes, however many values there
// are.
#include "cpu/kernels/reduce.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

using A = Accumulation;

constexpr bool is_sum(A f) { return f != A::max && f != A::min; }
constexpr double kInfinity = __builtin_inf();

template <A f>
constexpr double identity() {
  return f == A::max ? -kInfinity : f == A::min ? kInfinity : 0;
}

/// What a value adds to a sum.
template <A f, class V>
CONVGRAD_INLINE V term(V x, V center) {
  if constexpr (f == A::sum_squares) return x * x;
  if constexpr (f == A::sum_squared_deviations) return (x - center) * (x - center);
  return x;
}

/// The larger (smaller) of two; a NaN wins and stays.
template <A f, class V>
CONVGRAD_INLINE V pick(V best, V x) {
  if constexpr (f == A::max) return ((x > best) | (x != x)) ? x : best;
  return ((x < best) | (x != x)) ? x : best;
}

template <A f, class V>
CONVGRAD_INLINE V accumulate(V acc, V x, V center) {
  if constexpr (is_sum(f)) return acc + term<f>(x, center);
  return pick<f>(acc, x);
}

template <A f>
CONVGRAD_INLINE double accumulate_one(double acc, double x, double center) {
  if constexpr (is_sum(f)) return acc + term<f>(x, center);
  if constexpr (f == A::max) return x > acc || x != x ? x : acc;
  return x < acc || x != x ? x : acc;
}

template <A f>
double row_f32(const float* x, int64_t count, double center_value) {
  constexpr int kUnroll = 4;
  constexpr int64_t kStep = kUnroll * kLanes;
  constexpr int64_t kBlock = 16 * kStep;  // values that a block adds up in float32, 16 a lane
  const VecF center = splat(static_cast<float>(center_value));
  const VecF start = splat(static_cast<float>(identity<f>()));
  double total = identity<f>();
  int64_t i = 0;
  while (i + kStep <= count) {
    const int64_t end = i + kBlock < count ? i + kBlock : count;
    VecF acc[kUnroll] = {start, start, start, start};
    for (; i + kStep <= end; i += kStep) {
      for (int u = 0; u < kUnroll; ++u) acc[u] = accumulate<f>(acc[u], load(x + i + u * kLanes), center);
    }
    for (int u = 0; u < kUnroll; ++u) {
      for (int lane = 0; lane < kLanes; ++lane) {
        // Lanes already hold sums of terms: add them as they are.
        total = is_sum(f) ? total + static_cast<double>(acc[u][lane])
                          : accumulate_one<f>(total, static_cast<double>(acc[u][lane]), 0);
      }
    }
  }
  for (; i < count; ++i) total = accumulate_one<f>(total, static_cast<double>(x[i]), center_value);
  return total;
}

/// One strip of kUnroll vectors of columns, down all rows.
template <A f, int kUnroll>
CONVGRAD_INLINE void strip(const float* x, int64_t rows, int64_t stride, const double* centers, double* acc) {
  constexpr int64_t kBlock = 32;  // rows that are added up in float32
  VecF center[kUnroll] = {};
  if constexpr (f == A::sum_squared_deviations) {
    for (int u = 0; u < kUnroll; ++u) {
      for (int lane = 0; lane < kLanes; ++lane) center[u][lane] = static_cast<float>(centers[u * kLanes + lane]);
    }
  }
  for (int64_t row = 0; row < rows;) {
    const int64_t end = row + kBlock < rows ? row + kBlock : rows;
    VecF sums[kUnroll];
    for (int u = 0; u < kUnroll; ++u) sums[u] = splat(static_cast<float>(identity<f>()));
    for (; row < end; ++row) {
      for (int u = 0; u < kUnroll; ++u) {
        sums[u] = accumulate<f>(sums[u], load(x + row * stride + u * kLanes), center[u]);
      }
    }
    for (int u = 0; u < kUnroll; ++u) {
      for (int lane = 0; lane < kLanes; ++lane) {
        double& total = acc[u * kLanes + lane];
        const double value = static_cast<double>(sums[u][lane]);
        total = is_sum(f) ? total + value : accumulate_one<f>(total, value, 0);
      }
    }
  }
}

template <A f, class T>
CONVGRAD_INLINE void single_columns(const T* x, int64_t rows, int64_t stride, int64_t columns, const double* centers,
                                    double* acc) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t j = 0; j < columns; ++j) {
      acc[j] = accumulate_one<f>(acc[j], static_cast<double>(x[row * stride + j]), centers ? centers[j] : 0);
    }
  }
}

template <A f>
void columns_f32(const float* x, int64_t rows, int64_t stride, int64_t columns, const double* centers, double* acc) {
  constexpr int kUnroll = 4;
  int64_t j = 0;
  for (; j + kUnroll * kLanes <= columns; j += kUnroll * kLanes) {
    strip<f, kUnroll>(x + j, rows, stride, centers ? centers + j : nullptr, acc + j);
  }
  for (; j + kLanes <= columns; j += kLanes) {
    strip<f, 1>(x + j, rows, stride, centers ? centers + j : nullptr, acc + j);
  }
  single_columns<f>(x + j, rows, stride, columns - j, centers ? centers + j : nullptr, acc + j);
}

template <A f>
double row_i32(const int32_t* x, int64_t count, double) {
  double total = identity<f>();
  for (int64_t i = 0; i < count; ++i) total = accumulate_one<f>(total, x[i], 0);
  return total;
}

template <A f>
void columns_i32(const int32_t* x, int64_t rows, int64_t stride, int64_t columns, const double*, double* acc) {
  single_columns<f>(x, rows, stride, columns, nullptr, acc);
}

/// Whether x comes before `best`: larger (smaller), or the first NaN.
template <bool largest, class V>
CONVGRAD_INLINE auto beats(V x, V best) {
  return (largest ? x > best : x < best) | ((x != x) & (best == best));
}

template <bool largest>
int32_t arg_row(const float* x, int64_t count) {
  if (count < 2 * kLanes) {
    int32_t index = 0;
    for (int64_t i = 1; i < count; ++i) {
      if (beats<largest>(x[i], x[index])) index = static_cast<int32_t>(i);
    }
    return index;
  }
  VecF best = load(x);
  VecI at = {}, index = {};
  for (int lane = 0; lane < kLanes; ++lane) at[lane] = index[lane] = lane;
  int64_t i = kLanes;
  for (; i + kLanes <= count; i += kLanes) {
    const VecF value = load(x + i);
    index += kLanes;
    const VecI better = beats<largest>(value, best);
    best = better ? value : best;
    at = better ? index : at;
  }
  int32_t winner = at[0];
  float top = best[0];
  for (int lane = 1; lane < kLanes; ++lane) {
    const bool tie = best[lane] == top || (best[lane] != best[lane] && top != top);
    if (beats<largest>(best[lane], top) || (tie && at[lane] < winner)) {
      winner = at[lane];
      top = best[lane];
    }
  }
  for (; i < count; ++i) {
    if (beats<largest>(x[i], top)) {
      winner = static_cast<int32_t>(i);
      top = x[i];
    }
  }
  return winner;
}

template <bool largest>
void arg_columns(const float* __restrict x, int64_t rows, int64_t stride, int64_t columns, float* __restrict best,
                 int32_t* __restrict y) {
  for (int64_t j = 0; j < columns; ++j) {
    best[j] = x[j];
    y[j] = 0;
  }
  for (int64_t row = 1; row < rows; ++row) {
    const float* __restrict values = x + row * stride;
    for (int64_t j = 0; j < columns; ++j) {
      const bool better = beats<largest>(values[j], best[j]);
      y[j] = better ? static_cast<int32_t>(row) : y[j];
      best[j] = better ? values[j] : best[j];
    }
  }
}

}  // namespace

extern const ReduceKernels reduce_kernels;
const ReduceKernels reduce_kernels = {
    .row_f32 = {row_f32<A::sum>, row_f32<A::sum_squares>, row_f32<A::sum_squared_deviations>, row_f32<A::max>,
                row_f32<A::min>},
    .columns_f32 = {columns_f32<A::sum>, columns_f32<A::sum_squares>, columns_f32<A::sum_squared_deviations>,
                    columns_f32<A::max>, columns_f32<A::min>},
    .row_i32 = {row_i32<A::sum>, nullptr, nullptr, row_i32<A::max>, row_i32<A::min>},
    .columns_i32 = {columns_i32<A::sum>, nullptr, nullptr, columns_i32<A::max>, columns_i32<A::min>},
    .arg_row = {arg_row<true>, arg_row<false>},
    .arg_columns = {arg_columns<true>, arg_columns<false>},
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
