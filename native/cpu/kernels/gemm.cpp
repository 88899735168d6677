// C = A·B in register tiles of kTileRows rows by two vectors of columns: each step of the depth loads the vectors of B
// once and a broadcast element of A a row.
#include "cpu/kernels/gemm.h"

#include "cpu/simd_math.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

// 6 x 2 accumulators of 16 registers, 12 x 2 of 32: the rest holds B's vectors and an element of A.
constexpr int kTileRows = kVectorRegisters >= 32 ? 12 : 6;
constexpr int kTileVectors = 2;
constexpr int kPoolTileRows = kVectorRegisters >= 32 ? 12 : 4;  // whole windows
constexpr int kTileColumns = kTileVectors * kLanes;

/// NaN stays NaN.
CONVGRAD_INLINE VecF relu(VecF x) { return x < 0.0f ? splat(0.0f) : x; }

CONVGRAD_INLINE VecF activate(VecF x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return relu(x);
    case Activation::relu6: {
      const VecF y = relu(x);
      return y > 6.0f ? splat(6.0f) : y;
    }
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::silu:
      return x * sigmoid(x);
    default:
      return x;
  }
}

/// One pass over a row; the callers keep it out of the register tile, which exp would spill.
template <Activation activation>
void finish_row(float* c, const float* bias, const float* residual, int64_t count) {
  each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
    VecF x = lanes.load(c + i);
    if (bias) x += lanes.load(bias + i);
    if (residual) x += lanes.load(residual + i);
    lanes.store(c + i, activate(x, activation));
  });
}

void epilogue(float* c, const float* bias, const float* residual, Activation activation, int64_t count) {
  switch (activation) {
    case Activation::relu:
      return finish_row<Activation::relu>(c, bias, residual, count);
    case Activation::relu6:
      return finish_row<Activation::relu6>(c, bias, residual, count);
    case Activation::sigmoid:
      return finish_row<Activation::sigmoid>(c, bias, residual, count);
    case Activation::tanh:
      return finish_row<Activation::tanh>(c, bias, residual, count);
    case Activation::silu:
      return finish_row<Activation::silu>(c, bias, residual, count);
    default:
      return finish_row<Activation::none>(c, bias, residual, count);
  }
}

template <Activation activation>
CONVGRAD_INLINE VecF derivative(VecF dy, VecF y) {
  if constexpr (activation == Activation::relu) return y > 0.0f ? dy : splat(0.0f);
  if constexpr (activation == Activation::relu6) return (y > 0.0f) & (y < 6.0f) ? dy : splat(0.0f);
  if constexpr (activation == Activation::sigmoid) return dy * y * (1.0f - y);
  if constexpr (activation == Activation::tanh) return dy * (1.0f - y * y);
  return dy;
}

/// A strip of columns, `vectors` wide, whose sums stay in registers.
template <Activation activation, int vectors, class Lanes_>
CONVGRAD_INLINE void backward_strip(const float* dy, const float* y, float* dz, float* dbias, int64_t rows,
                                    int64_t stride, Lanes_ lanes) {
  VecF sum[vectors] = {};
  for (int64_t row = 0; row < rows; ++row) {
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      const int64_t at = row * stride + v * kLanes;
      VecF g = lanes.load(dy + at);
      if constexpr (activation != Activation::none) {
        g = derivative<activation>(g, lanes.load(y + at));
        lanes.store(dz + at, g);
      }
      sum[v] += g;
    }
  }
#pragma GCC unroll 16
  for (int v = 0; v < vectors; ++v) lanes.store(dbias + v * kLanes, sum[v]);
}

template <Activation activation>
void backward_rows(const float* dy, const float* y, float* dz, float* dbias, int64_t rows, int64_t columns,
                   int64_t stride) {
  int64_t n = 0;
  const auto at = [&](auto* p) CONVGRAD_LAMBDA { return p ? p + n : p; };
  for (; n + 4 * kLanes <= columns; n += 4 * kLanes) {
    backward_strip<activation, 4>(at(dy), at(y), at(dz), at(dbias), rows, stride, WholeVector{});
  }
  for (; n + kLanes <= columns; n += kLanes) {
    backward_strip<activation, 1>(at(dy), at(y), at(dz), at(dbias), rows, stride, WholeVector{});
  }
  if (n < columns) {
    backward_strip<activation, 1>(at(dy), at(y), at(dz), at(dbias), rows, stride, PartialVector{columns - n});
  }
}

void epilogue_backward(const float* dy, const float* y, float* dz, float* dbias, Activation activation, int64_t rows,
                       int64_t columns) {
  switch (activation) {
    case Activation::relu:
      return backward_rows<Activation::relu>(dy, y, dz, dbias, rows, columns, columns);
    case Activation::relu6:
      return backward_rows<Activation::relu6>(dy, y, dz, dbias, rows, columns, columns);
    case Activation::sigmoid:
      return backward_rows<Activation::sigmoid>(dy, y, dz, dbias, rows, columns, columns);
    case Activation::tanh:
      return backward_rows<Activation::tanh>(dy, y, dz, dbias, rows, columns, columns);
    default:
      return backward_rows<Activation::none>(dy, y, dz, dbias, rows, columns, columns);
  }
}

void sum_rows(const float* x, int64_t stride, int64_t rows, int64_t columns, float* sum) {
  backward_rows<Activation::none>(x, nullptr, nullptr, sum, rows, columns, stride);
}

/// The end of a tile at the edge of C, or with a function that needs registers of its own: row by row, in memory.
__attribute__((noinline)) void finish_in_memory(const GemmBlock& g, int64_t row, int rows, const float* sums,
                                                int64_t width) {
  for (int r = 0; r < rows; ++r, sums += width) {
    float* c = g.c[row + r] + g.column;
    each_vector(g.columns, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      const VecF sum = load(sums + i);
      lanes.store(c + i, g.first ? sum : sum + lanes.load(c + i));
    });
    if (g.last && (g.bias || g.residual || g.activation != Activation::none)) {
      epilogue(c, g.bias ? g.bias + g.column : nullptr, g.residual ? g.residual[row + r] + g.column : nullptr,
               g.activation, g.columns);
    }
  }
}

/// The maximum of a window's four values, and which it was. Of equal ones it is the first, of NaNs the last.
CONVGRAD_INLINE VecF window_maximum(const VecF (&values)[4], VecI& which) {
  VecF best = values[0];
  which = VecI{};
#pragma GCC unroll 4
  for (int i = 1; i < 4; ++i) {
    const VecI better = (values[i] > best) | (values[i] != values[i]);
    best = better ? values[i] : best;
    which = better ? splat(i) : which;
  }
  return best;
}

/// The end of vector `v` of a tile whose rows are windows. `sum(r)` is an accumulator.
template <int kRows, class Sum, class LanesOf>
CONVGRAD_INLINE void finish_windows(const GemmBlock& g, int64_t row, int v, Sum sum, LanesOf lanes) {
  const GemmPool& pool = *g.pool;
  const VecF low = splat(g.activation == Activation::none ? -__builtin_inff() : 0.0f);
  const VecF top = splat(g.activation == Activation::relu6 ? 6.0f : __builtin_inff());
  const int64_t column = g.column + v * kLanes;
  const VecF bias = g.bias ? lanes.load(g.bias + column) : VecF{};
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r += 4) {
    VecF values[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const VecF z = sum(r + i) + bias, y = z < low ? low : z;
      values[i] = y > top ? top : y;
    }
    VecI which;
    const VecF best = window_maximum(values, which);
    float* y = g.c[row + r] + column;
    lanes.store(y, best);
    lanes.store(pool.indices + (y - pool.y),
                splat(pool.positions[(row + r) / 4]) + (which & 1) + (which >> 1) * pool.width);
  }
}

/// Rows [row, row + kRows) of the block.
template <int kRows, int kVectors, bool kPools = false>
void tile(const GemmBlock& g, int64_t row) {
  VecF sum[kRows][kVectors] = {};
  const float* const* a = g.a + row;
  const float* b = g.b;
  const int64_t a_step = g.a_step, b_step = g.b_step;
  // What the end of this tile and the start of the next need, while there is time.
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(g.c[row + r] + g.column + v * kLanes, 1);
  }
  const int64_t ahead = row + 2 * kRows <= g.rows ? kRows : 0;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    __builtin_prefetch(a[ahead + r]);
    __builtin_prefetch(a[ahead + r] + 16);
  }
  for (int64_t s = 0; s < g.segments; ++s, a += g.rows) {
    const float* p[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) p[r] = a[r];
    for (int64_t i = 0, at = 0; i < g.length; ++i, at += a_step, b += b_step) {
      VecF bv[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) bv[v] = load(b + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const VecF av = splat(p[r][at]);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sum[r][v] += av * bv[v];
      }
    }
  }

  if constexpr (kPools) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const auto of_vector = [&](int r) CONVGRAD_LAMBDA { return sum[r][v]; };
      const int64_t left = g.columns - v * kLanes;
      if (left >= kLanes) {
        finish_windows<kRows>(g, row, v, of_vector, WholeVector{});
      } else {
        finish_windows<kRows>(g, row, v, of_vector, PartialVector{left});
      }
    }
    return;
  }
  const int64_t at = g.column;
  const bool whole = g.columns == kVectors * kLanes;
  const bool simple = g.activation <= Activation::relu6;
  if (!whole || (g.last && !simple)) {
    alignas(kVectorBytes) float sums[kRows * kVectors * kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) store(sums + (r * kVectors + v) * kLanes, sum[r][v]);
    }
    return finish_in_memory(g, row, kRows, sums, kVectors * kLanes);
  }
  if (!g.first) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) sum[r][v] += load(g.c[row + r] + at + v * kLanes);
    }
  }
  if (g.last) {
    if (g.bias) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        const VecF bias = load(g.bias + at + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) sum[r][v] += bias;
      }
    }
    if (g.residual) {
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sum[r][v] += load(g.residual[row + r] + at + v * kLanes);
      }
    }
    if (g.activation != Activation::none) {
      const VecF top = splat(g.activation == Activation::relu6 ? 6.0f : __builtin_inff());
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) {
          const VecF y = relu(sum[r][v]);
          sum[r][v] = y > top ? top : y;
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) store(g.c[row + r] + at + v * kLanes, sum[r][v]);
  }
}

using Tile = void (*)(const GemmBlock& g, int64_t row);

template <int kVectors>
CONVGRAD_INLINE Tile tile_of(int64_t rows) {
  switch (rows) {
#if CONVGRAD_ISA_AVX512 || CONVGRAD_ISA_NEON
    case 12:
      return tile<12, kVectors>;
    case 11:
      return tile<11, kVectors>;
    case 10:
      return tile<10, kVectors>;
    case 9:
      return tile<9, kVectors>;
    case 8:
      return tile<8, kVectors>;
    case 7:
      return tile<7, kVectors>;
#endif
    case 6:
      return tile<6, kVectors>;
    case 5:
      return tile<5, kVectors>;
    case 4:
      return tile<4, kVectors>;
    case 3:
      return tile<3, kVectors>;
    case 2:
      return tile<2, kVectors>;
    default:
      return tile<1, kVectors>;
  }
}

template <int kVectors>
CONVGRAD_INLINE void tiles(const GemmBlock& g) {
  // As even as possible: 27 rows are 9 + 9 + 9 and not 12 + 12 + 3, where the last ones would wait for B.
  const int64_t count = (g.rows + kTileRows - 1) / kTileRows;
  const int64_t rows = g.rows / count, larger = g.rows % count;
  for (int64_t row = 0, i = 0; i < count; ++i) {
    const int64_t size = rows + (i < larger);
    if (size == kTileRows) {
      tile<kTileRows, kVectors>(g, row);
    } else {
      tile_of<kVectors>(size)(g, row);
    }
    row += size;
  }
}

template <int kVectors>
CONVGRAD_INLINE void window_tiles(const GemmBlock& g) {
  int64_t row = 0;
  for (; row + kPoolTileRows <= g.rows; row += kPoolTileRows) tile<kPoolTileRows, kVectors, true>(g, row);
  for (; row < g.rows; row += 4) tile<4, kVectors, true>(g, row);
}

/// The panel of B stays in the first-level cache while the rows of A pass.
void block(const GemmBlock& g) {
  if (g.pool) return g.columns <= kLanes ? window_tiles<1>(g) : window_tiles<2>(g);
  if (g.columns <= kLanes) {
    tiles<1>(g);
  } else {
    tiles<2>(g);
  }
}

/// Rows of B side by side: a copy.
void pack_rows(const float* b, int64_t stride, int64_t depth, int64_t columns, int64_t width, float* packed) {
  if (columns == kTileColumns && width == kTileColumns) {
    for (int64_t k = 0; k < depth; ++k, b += stride, packed += kTileColumns) {
#pragma GCC unroll 16
      for (int v = 0; v < kTileVectors; ++v) store(packed + v * kLanes, load(b + v * kLanes));
    }
    return;
  }
  for (int64_t k = 0; k < depth; ++k, b += stride, packed += width) {
    int64_t n = 0;
    for (; n < columns; ++n) packed[n] = b[n];
    for (; n < width; ++n) packed[n] = 0;
  }
}

/// In squares of one vector.
void transpose(const float* x, int64_t x_stride, int64_t rows, int64_t columns, float* y, int64_t y_stride) {
  int64_t i = 0;
  for (; i + kLanes <= rows; i += kLanes) {
    int64_t j = 0;
    for (; j + kLanes <= columns; j += kLanes) {
      VecF square[kLanes];
#pragma GCC unroll 16
      for (int lane = 0; lane < kLanes; ++lane) square[lane] = load(x + (i + lane) * x_stride + j);
      transpose(square);
#pragma GCC unroll 16
      for (int lane = 0; lane < kLanes; ++lane) store(y + (j + lane) * y_stride + i, square[lane]);
    }
    for (; j < columns; ++j) {
      for (int lane = 0; lane < kLanes; ++lane) y[j * y_stride + i + lane] = x[(i + lane) * x_stride + j];
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) y[j * y_stride + i] = x[i * x_stride + j];
  }
}

/// Columns of B side by side.
void pack_columns(const float* b, int64_t stride, int64_t depth, int64_t columns, int64_t width, float* packed) {
  transpose(b, stride, columns, depth, packed, width);
  for (int64_t n = columns; n < width; ++n) {
    for (int64_t k = 0; k < depth; ++k) packed[k * width + n] = 0;
  }
}

void pack(const float* b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns, int64_t width,
          float* packed) {
  if (n_stride == 1) {
    pack_rows(b, k_stride, depth, columns, width, packed);
  } else {
    pack_columns(b, n_stride, depth, columns, width, packed);
  }
}

/// Eight rows of B at a time, so that y is read and written once for eight.
void gemv_rows(const float* x, const float* b, int64_t stride, int64_t depth, int64_t columns, float* y) {
  constexpr int kUnroll = 8;
  for (int64_t n = 0; n < columns; ++n) y[n] = 0;
  int64_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll, x += kUnroll, b += kUnroll * stride) {
    VecF xv[kUnroll];
#pragma GCC unroll 16
    for (int i = 0; i < kUnroll; ++i) xv[i] = splat(x[i]);
    int64_t n = 0;
    for (; n + kLanes <= columns; n += kLanes) {
      VecF even = load(y + n), odd = {};
#pragma GCC unroll 16
      for (int i = 0; i < kUnroll; i += 2) {
        even += xv[i] * load(b + i * stride + n);
        odd += xv[i + 1] * load(b + (i + 1) * stride + n);
      }
      store(y + n, even + odd);
    }
    for (; n < columns; ++n) {
      float even = y[n], odd = 0;
      for (int i = 0; i < kUnroll; i += 2) {
        even += x[i] * b[i * stride + n];
        odd += x[i + 1] * b[(i + 1) * stride + n];
      }
      y[n] = even + odd;
    }
  }
  for (; k < depth; ++k, ++x, b += stride) {
    for (int64_t n = 0; n < columns; ++n) y[n] += *x * b[n];
  }
}

/// Dot products, four columns of B at a time.
template <int kColumns>
CONVGRAD_INLINE void dot(const float* x, const float* b, int64_t stride, int64_t depth, float* y) {
  VecF sum[kColumns][2] = {};
  int64_t k = 0;
  for (; k + 2 * kLanes <= depth; k += 2 * kLanes) {
    const VecF x0 = load(x + k), x1 = load(x + k + kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kColumns; ++i) {
      sum[i][0] += x0 * load(b + i * stride + k);
      sum[i][1] += x1 * load(b + i * stride + k + kLanes);
    }
  }
  for (int i = 0; i < kColumns; ++i) {
    float total = sum_lanes(sum[i][0] + sum[i][1]);
    for (int64_t j = k; j < depth; ++j) total += x[j] * b[i * stride + j];
    y[i] = total;
  }
}

void gemv_columns(const float* x, const float* b, int64_t stride, int64_t depth, int64_t columns, float* y) {
  int64_t n = 0;
  for (; n + 4 <= columns; n += 4) dot<4>(x, b + n * stride, stride, depth, y + n);
  for (; n < columns; ++n) dot<1>(x, b + n * stride, stride, depth, y + n);
}

}  // namespace

extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels = {
    .tile_rows = kTileRows,
    .tile_columns = kTileColumns,
    .lanes = kLanes,
    .pool_tile_rows = kPoolTileRows,
    .depth = 256,  // longer sums round more
    .block = block,
    .pack = pack,
    .gemv_rows = gemv_rows,
    .gemv_columns = gemv_columns,
    .epilogue = epilogue,
    .epilogue_backward = epilogue_backward,
    .sum_rows = sum_rows,
    .transpose = transpose,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
