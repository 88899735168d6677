// Depthwise convolution over vectors of channels. The runs do any taps. Rows of a few taps side by side go in tiles of
// pixels: an element of x is loaded once for all taps and pixels that see it, a tap's weight once for all pixels.
#include "cpu/kernels/depthwise.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

/// `kPixels` pixels in `kVectors` vectors of channels.
template <int kPixels, int kVectors, class LanesOf>
CONVGRAD_INLINE void tile(const DepthwiseRun& g, int64_t pixel, int64_t channel, LanesOf lanes) {
  VecF sum[kPixels][kVectors] = {};
  const float* x = g.x + pixel * g.x_step + channel;
  const float* weight = g.weight + channel;
  for (int64_t t = 0; t < g.taps; ++t) {
    const float* at = x + g.x_offset[t];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const VecF w = lanes.load(weight + g.weight_offset[t] + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kPixels; ++i) sum[i][v] += lanes.load(at + i * g.x_step + v * kLanes) * w;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kPixels; ++i) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) lanes.store(g.y + (pixel + i) * g.y_step + channel + v * kLanes, sum[i][v]);
  }
}

template <int kVectors, class LanesOf>
CONVGRAD_INLINE void strip(const DepthwiseRun& g, int64_t channel, LanesOf lanes) {
  constexpr int kPixels = 4;
  int64_t pixel = 0;
  for (; pixel + kPixels <= g.pixels; pixel += kPixels) tile<kPixels, kVectors>(g, pixel, channel, lanes);
  for (; pixel < g.pixels; ++pixel) tile<1, kVectors>(g, pixel, channel, lanes);
}

void run(const DepthwiseRun& g) {
  int64_t channel = 0;
  for (; channel + 2 * kLanes <= g.channels; channel += 2 * kLanes) strip<2>(g, channel, WholeVector{});
  for (; channel + kLanes <= g.channels; channel += kLanes) strip<1>(g, channel, WholeVector{});
  if (channel < g.channels) strip<1>(g, channel, PartialVector{g.channels - channel});
}

/// Sums of `kTaps` taps in registers; each load of dy serves all of them.
template <int kTaps, int kVectors, class LanesOf>
CONVGRAD_INLINE void weight_strip(const DepthwiseWeightRun& g, int64_t tap, int64_t channel, LanesOf lanes) {
  VecF sum[kTaps][kVectors];
  float* dweight = g.dweight + tap * g.weight_tap_step + channel;
#pragma GCC unroll 16
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum[t][v] = lanes.load(dweight + t * g.weight_tap_step + v * kLanes);
  }
  const float* x = g.x + tap * g.x_tap_step + channel;
  const float* dy = g.dy + channel;
  for (int64_t i = 0; i < g.pixels; ++i, x += g.x_step, dy += g.dy_step) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const VecF d = lanes.load(dy + v * kLanes);
#pragma GCC unroll 16
      for (int t = 0; t < kTaps; ++t) sum[t][v] += lanes.load(x + t * g.x_tap_step + v * kLanes) * d;
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) lanes.store(dweight + t * g.weight_tap_step + v * kLanes, sum[t][v]);
  }
}

template <int kVectors, class LanesOf>
CONVGRAD_INLINE void weight_strips(const DepthwiseWeightRun& g, int64_t channel, LanesOf lanes) {
  int64_t tap = 0;
  for (; tap + 5 <= g.taps; tap += 5) weight_strip<5, kVectors>(g, tap, channel, lanes);
  for (; tap + 3 <= g.taps; tap += 3) weight_strip<3, kVectors>(g, tap, channel, lanes);
  for (; tap < g.taps; ++tap) weight_strip<1, kVectors>(g, tap, channel, lanes);
}

void weight_run(const DepthwiseWeightRun& g) {
  int64_t channel = 0;
  for (; channel + 2 * kLanes <= g.channels; channel += 2 * kLanes) weight_strips<2>(g, channel, WholeVector{});
  for (; channel + kLanes <= g.channels; channel += kLanes) weight_strips<1>(g, channel, WholeVector{});
  if (channel < g.channels) weight_strips<1>(g, channel, PartialVector{g.channels - channel});
}

// Pixels of a tile. All widths of the usual networks are multiples of it: 112, 56, 28, 14 and 7.
constexpr int kTile = 7;

/// Columns of x that a tile sees.
template <int kTaps, int kStride, int kPixels>
constexpr int kColumns = (kPixels - 1) * kStride + kTaps;

/// Whether column `column` of a tile's window is tap `tap` of one of its pixels.
template <int kStride, int kPixels>
constexpr bool sees(int column, int tap) {
  return column >= tap && (column - tap) % kStride == 0 && (column - tap) / kStride < kPixels;
}

/// The next row of pixels begins `kStride` rows of x further down: by then its new rows are in the second-level cache.
template <int kStride, int kPixels>
CONVGRAD_INLINE void prefetch_below(const float* x, int64_t x_row, int64_t x_step) {
#pragma GCC unroll 32
  for (int r = 0; r < kStride; ++r) {
#pragma GCC unroll 32
    for (int i = 0; i < kPixels * kStride; ++i) __builtin_prefetch(x + r * x_row + i * x_step, 0, 2);
  }
}

template <int kTaps, int kStride, int kPixels, bool kEdge, class LanesOf>
CONVGRAD_INLINE void row_tile(const DepthwiseRow& g, int64_t pixel, int64_t channel, LanesOf lanes) {
  const int64_t start = g.offset + pixel * kStride;
  VecF sum[kPixels] = {};
  const float* x = g.x + start * g.x_step + channel;
  const float* weight = g.weight + channel;
  for (int64_t r = 0; r < g.rows; ++r, x += g.x_row, weight += g.weight_row) {
    VecF w[kTaps];
#pragma GCC unroll 32
    for (int s = 0; s < kTaps; ++s) w[s] = lanes.load(weight + s * g.weight_step);
#pragma GCC unroll 32
    for (int column = 0; column < kColumns<kTaps, kStride, kPixels>; ++column) {
      if (kEdge && (start + column < 0 || start + column >= g.width)) continue;
      VecF v = lanes.load(x + column * g.x_step);
      keep_in_register(v);
#pragma GCC unroll 32
      for (int s = 0; s < kTaps; ++s) {
        if (sees<kStride, kPixels>(column, s)) sum[(column - s) / kStride] += v * w[s];
      }
    }
  }
  if (!kEdge) prefetch_below<kStride, kPixels>(x, g.x_row, g.x_step);
  float* y = g.y + pixel * g.y_step + channel;
  if (g.bias) {
    const VecF bias = lanes.load(g.bias + channel);
#pragma GCC unroll 32
    for (int i = 0; i < kPixels; ++i) sum[i] += bias;
  }
  if (g.residual) {
    const float* residual = g.residual + pixel * g.y_step + channel;
#pragma GCC unroll 32
    for (int i = 0; i < kPixels; ++i) sum[i] += lanes.load(residual + i * g.y_step);
  }
  if (g.limited) {
    const VecF low = splat(g.low), high = splat(g.high);
#pragma GCC unroll 32
    for (int i = 0; i < kPixels; ++i) sum[i] = min(max(sum[i], low), high);
  }
  if (g.streaming) {
#pragma GCC unroll 32
    for (int i = 0; i < kPixels; ++i) lanes.store_streaming(y + i * g.y_step, sum[i]);
  } else {
#pragma GCC unroll 32
    for (int i = 0; i < kPixels; ++i) lanes.store(y + i * g.y_step, sum[i]);
  }
}

/// dy stays in registers for all rows of the kernel.
template <int kTaps, int kStride, int kPixels, bool kEdge, class LanesOf>
CONVGRAD_INLINE void row_tile(const DepthwiseWeightRow& g, int64_t pixel, int64_t channel, LanesOf lanes) {
  const int64_t start = g.offset + pixel * kStride;
  const float* x = g.x + start * g.x_step + channel;
  const float* dy = g.dy + pixel * g.dy_step + channel;
  float* dweight = g.dweight + channel;
  VecF d[kPixels];
#pragma GCC unroll 32
  for (int i = 0; i < kPixels; ++i) d[i] = lanes.load(dy + i * g.dy_step);
  for (int64_t r = 0; r < g.rows; ++r, x += g.x_row, dweight += g.weight_row) {
    VecF sum[kTaps];
#pragma GCC unroll 32
    for (int s = 0; s < kTaps; ++s) sum[s] = lanes.load(dweight + s * g.weight_step);
#pragma GCC unroll 32
    for (int column = 0; column < kColumns<kTaps, kStride, kPixels>; ++column) {
      if (kEdge && (start + column < 0 || start + column >= g.width)) continue;
      VecF v = lanes.load(x + column * g.x_step);
      keep_in_register(v);
#pragma GCC unroll 32
      for (int s = 0; s < kTaps; ++s) {
        if (sees<kStride, kPixels>(column, s)) sum[s] += v * d[(column - s) / kStride];
      }
    }
#pragma GCC unroll 32
    for (int s = 0; s < kTaps; ++s) lanes.store(dweight + s * g.weight_step, sum[s]);
  }
  if (!kEdge) prefetch_below<kStride, kPixels>(x, g.x_row, g.x_step);
}

template <int kTaps, int kStride, class Row>
CONVGRAD_INLINE void whole_tile(const Row& g, int64_t pixel) {
  const int64_t start = g.offset + pixel * kStride;
  if (start < 0 || start + kColumns < kTaps, kStride, kTile >> g.width) {
    each_vector(g.channels, [&](int64_t c, auto lanes)
                                CONVGRAD_LAMBDA { row_tile<kTaps, kStride, kTile, true>(g, pixel, c, lanes); });
  } else {
    each_vector(g.channels, [&](int64_t c, auto lanes)
                                CONVGRAD_LAMBDA { row_tile<kTaps, kStride, kTile, false>(g, pixel, c, lanes); });
  }
}

template <int kTaps, int kStride, class Row>
CONVGRAD_INLINE void single_pixels(const Row& g, int64_t pixel) {
  for (; pixel < g.pixels; ++pixel) {
    each_vector(g.channels,
                [&](int64_t c, auto lanes) CONVGRAD_LAMBDA { row_tile<kTaps, kStride, 1, true>(g, pixel, c, lanes); });
  }
}

template <int kTaps, int kStride>
void row(const DepthwiseRow& g) {
  if (g.pixels < kTile) single_pixels<kTaps, kStride>(g, 0);
  for (int64_t pixel = 0; g.pixels >= kTile && pixel < g.pixels; pixel += kTile) {
    // The last tile may compute some pixels again.
    whole_tile<kTaps, kStride>(g, pixel < g.pixels - kTile ? pixel : g.pixels - kTile);
  }
  if (g.streaming) fence_streams();
}

template <int kTaps, int kStride>
void weight_row(const DepthwiseWeightRow& g) {
  int64_t pixel = 0;
  for (; pixel + kTile <= g.pixels; pixel += kTile) whole_tile<kTaps, kStride>(g, pixel);
  single_pixels<kTaps, kStride>(g, pixel);
}

}  // namespace

extern const DepthwiseKernels depthwise_kernels;
const DepthwiseKernels depthwise_kernels = {
    .run = run,
    .weight_run = weight_run,
    // One and two taps: the gradient of the input with stride 2 sees so many of a kernel's three, and two and three of
    // five.
    .row = {{row<1, 1>, row<2, 1>, row<3, 1>, nullptr, row<5, 1>}, {nullptr, nullptr, row<3, 2>, nullptr, row<5, 2>}},
    .weight_row = {{nullptr, nullptr, weight_row<3, 1>, nullptr, weight_row<5, 1>},
                   {nullptr, nullptr, weight_row<3, 2>, nullptr, weight_row<5, 2>}},
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
