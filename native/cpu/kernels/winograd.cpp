// The transforms of Winograd convolution (Lavin and Gray, 2016) and the products between them. Lanes are channels.
//
// F(4, 3) interpolates at the points 0, ±a, ±b and infinity. With a = 5/8 and b = 3/2 the rounding error is less than
// half of that with the usual 1 and 2: the powers of the points stay near 1, and those in Bᵀ and Aᵀ are exact.
#include "cpu/kernels/winograd.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

constexpr int kVectors = 2;
constexpr int kWidth = kVectors * kLanes;
static_assert(kWidth <= kWinogradMaxWidth);
// As in gemm.cpp: 12 x 2 accumulators of 32 registers, 6 x 2 of 16.
constexpr int kTileRows = kVectorRegisters >= 32 ? 12 : 6;

constexpr float a = 0.625f, a2 = a * a, a3 = a2 * a;
constexpr float b = 1.5f, b2 = b * b, b3 = b2 * b;
constexpr float g0 = 1 / (a2 * b2), ga = 1 / (2 * a2 * (a2 - b2)), gb = 1 / (2 * b2 * (b2 - a2));

/// Bᵀ
struct InputTransform {
  static constexpr int from = 6, to = 6;
  CONVGRAD_INLINE static void apply(const VecF (&x)[6], VecF (&y)[6]) {
    const VecF even_a = x[4] - b2 * x[2], odd_a = x[3] - b2 * x[1];
    const VecF even_b = x[4] - a2 * x[2], odd_b = x[3] - a2 * x[1];
    y[0] = a2 * b2 * x[0] - (a2 + b2) * x[2] + x[4];
    y[1] = even_a + a * odd_a;
    y[2] = even_a - a * odd_a;
    y[3] = even_b + b * odd_b;
    y[4] = even_b - b * odd_b;
    y[5] = a2 * b2 * x[1] - (a2 + b2) * x[3] + x[5];
  }
};

/// G
struct WeightTransform {
  static constexpr int from = 3, to = 6;
  CONVGRAD_INLINE static void apply(const VecF (&x)[3], VecF (&y)[6]) {
    const VecF even_a = ga * x[0] + ga * a2 * x[2], even_b = gb * x[0] + gb * b2 * x[2];
    y[0] = g0 * x[0];
    y[1] = even_a + ga * a * x[1];
    y[2] = even_a - ga * a * x[1];
    y[3] = even_b + gb * b * x[1];
    y[4] = even_b - gb * b * x[1];
    y[5] = x[2];
  }
};

/// Aᵀ
struct OutputTransform {
  static constexpr int from = 6, to = 4;
  CONVGRAD_INLINE static void apply(const VecF (&x)[6], VecF (&y)[4]) {
    const VecF even_a = x[1] + x[2], odd_a = x[1] - x[2];
    const VecF even_b = x[3] + x[4], odd_b = x[3] - x[4];
    y[0] = x[0] + even_a + even_b;
    y[1] = a * odd_a + b * odd_b;
    y[2] = a2 * even_a + b2 * even_b;
    y[3] = a3 * odd_a + b3 * odd_b + x[5];
  }
};

/// A
struct OutputGradientTransform {
  static constexpr int from = 4, to = 6;
  CONVGRAD_INLINE static void apply(const VecF (&x)[4], VecF (&y)[6]) {
    const VecF even_a = x[0] + a2 * x[2], odd_a = x[1] + a2 * x[3];
    const VecF even_b = x[0] + b2 * x[2], odd_b = x[1] + b2 * x[3];
    y[0] = x[0];
    y[1] = even_a + a * odd_a;
    y[2] = even_a - a * odd_a;
    y[3] = even_b + b * odd_b;
    y[4] = even_b - b * odd_b;
    y[5] = x[3];
  }
};

/// Gᵀ
struct WeightGradientTransform {
  static constexpr int from = 6, to = 3;
  CONVGRAD_INLINE static void apply(const VecF (&x)[6], VecF (&y)[3]) {
    const VecF even_a = x[1] + x[2], odd_a = x[1] - x[2];
    const VecF even_b = x[3] + x[4], odd_b = x[3] - x[4];
    y[0] = g0 * x[0] + ga * even_a + gb * even_b;
    y[1] = ga * a * odd_a + gb * b * odd_b;
    y[2] = ga * a2 * even_a + gb * b2 * even_b + x[5];
  }
};

/// The columns first, then the rows.
template <class Transform, class Load, class Store>
CONVGRAD_INLINE void transform(Load&& load, Store&& store) {
  constexpr int from = Transform::from, to = Transform::to;
  VecF half[to][from];
#pragma GCC unroll 16
  for (int j = 0; j < from; ++j) {
    VecF x[from], y[to];
#pragma GCC unroll 16
    for (int i = 0; i < from; ++i) x[i] = load(i, j);
    Transform::apply(x, y);
#pragma GCC unroll 16
    for (int i = 0; i < to; ++i) half[i][j] = y[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < to; ++i) {
    VecF y[to];
    Transform::apply(half[i], y);
#pragma GCC unroll 16
    for (int j = 0; j < to; ++j) store(i, j, y[j]);
  }
}

/// From pixels to planes. The strides are copied, since stores might change those in memory.
template <class Transform>
void forward(const WinogradTile& t, const float* pixels, float* planes) {
  const auto [row, column, plane, vectors] = t;
  for (int64_t v = 0; v < vectors; ++v, pixels += kLanes, planes += kLanes) {
    transform<Transform>([&](int i, int j) CONVGRAD_LAMBDA { return load(pixels + i * row + j * column); },
                         [&](int i, int j, VecF y)
                             CONVGRAD_LAMBDA { store(planes + (i * Transform::to + j) * plane, y); });
  }
}

/// From planes to pixels, of which `store` gets the offset.
template <class Transform, class Store>
CONVGRAD_INLINE void backward(const WinogradTile& t, const float* planes, Store&& store) {
  const auto [row, column, plane, vectors] = t;
  transform<Transform>([&](int i, int j) CONVGRAD_LAMBDA { return load(planes + (i * Transform::from + j) * plane); },
                       [&](int i, int j, VecF y) CONVGRAD_LAMBDA { store(i * row + j * column, y); });
}

void output(const WinogradTile& t, const float* planes, const float* bias, const float* residual, Activation activation,
            float* pixels) {
  const VecF bottom = splat(activation == Activation::none ? -__builtin_inff() : 0.0f);
  const VecF top = splat(activation == Activation::relu6 ? 6.0f : __builtin_inff());
  for (int64_t v = 0; v < t.vectors * kLanes; v += kLanes) {
    const VecF constant = bias ? load(bias + v) : VecF{};
    backward<OutputTransform>(t, planes + v, [&](int64_t at, VecF y) CONVGRAD_LAMBDA {
      y += constant;
      if (residual) y += load(residual + at + v);
      store(pixels + at + v, min(max(y, bottom), top));
    });
  }
}

void weight_gradient(const WinogradTile& t, const float* planes, int64_t channels, float* taps) {
  each_vector(channels, [&](int64_t v, auto lanes) CONVGRAD_LAMBDA {
    backward<WeightGradientTransform>(t, planes + v,
                                      [&](int64_t at, VecF y) CONVGRAD_LAMBDA { lanes.store(taps + at + v, y); });
  });
}

/// Element (m, k) of A at k / kWidth · panel + m · kRowStep + k % kWidth · kStep.
template <int kRows, int kColumnVectors, int kRowStep, int kStep>
void tile(const float* a, int64_t panel, const float* b, int64_t depth, float* c, bool add) {
  VecF sum[kRows][kColumnVectors] = {};
  for (; depth > 0; depth -= kWidth, a += panel) {
    const float* step = a;
    for (const float* end = b + (depth < kWidth ? depth : kWidth) * kWidth; b < end; b += kWidth, step += kStep) {
      VecF bv[kColumnVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kColumnVectors; ++v) bv[v] = load(b + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const VecF av = splat(step[r * kRowStep]);
#pragma GCC unroll 16
        for (int v = 0; v < kColumnVectors; ++v) sum[r][v] += av * bv[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kColumnVectors; ++v) {
      float* at = c + r * kWidth + v * kLanes;
      store(at, add ? sum[r][v] + load(at) : sum[r][v]);
    }
  }
}

template <int kColumnVectors, int kRowStep, int kStep>
CONVGRAD_INLINE void tile_of(int64_t rows, const float* a, int64_t panel, const float* b, int64_t depth, float* c,
                             bool add) {
  switch (rows) {
#if CONVGRAD_ISA_AVX512 || CONVGRAD_ISA_NEON
    case 12:
      return tile<12, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 11:
      return tile<11, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 10:
      return tile<10, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 9:
      return tile<9, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 8:
      return tile<8, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 7:
      return tile<7, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
#endif
    case 6:
      return tile<6, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 5:
      return tile<5, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 4:
      return tile<4, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 3:
      return tile<3, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    case 2:
      return tile<2, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
    default:
      return tile<1, kColumnVectors, kRowStep, kStep>(a, panel, b, depth, c, add);
  }
}

/// Rows in tiles of about the same size: one of a single row would wait for its own sums.
template <int kColumnVectors, int kRowStep, int kStep>
CONVGRAD_INLINE void tiles(const WinogradProduct& p, int64_t panel) {
  const int64_t count = (p.rows + kTileRows - 1) / kTileRows, rows = p.rows / count, larger = p.rows % count;
  const float* a = p.a;
  float* c = p.c;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t tile_rows = rows + (i < larger);
    tile_of<kColumnVectors, kRowStep, kStep>(tile_rows, a, panel, p.b, p.depth, c, p.add);
    a += tile_rows * kRowStep;
    c += tile_rows * kWidth;
  }
}

template <int kRowStep, int kStep>
CONVGRAD_INLINE void multiply(const WinogradProduct& p, int64_t panel) {
  if (p.vectors == 1) {
    tiles<1, kRowStep, kStep>(p, panel);
  } else {
    tiles<2, kRowStep, kStep>(p, panel);
  }
}

void product(const WinogradProduct& p) { multiply<kWidth, 1>(p, p.a_panel); }

void product_transposed(const WinogradProduct& p) { multiply<1, kWidth>(p, kWidth * kWidth); }

}  // namespace

extern const WinogradKernels winograd_kernels;
const WinogradKernels winograd_kernels = {
    .width = kWidth,
    .tile_rows = kTileRows,
    .input = forward<InputTransform>,
    .weight = forward<WeightTransform>,
    .output = output,
    .output_gradient = forward<OutputGradientTransform>,
    .weight_gradient = weight_gradient,
    .product = product,
    .product_transposed = product_transposed,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
