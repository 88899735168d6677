// Depthwise convolution: vectors of channels; a tile of pixels shares each load of the weight.
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

}  // namespace

extern const DepthwiseKernels depthwise_kernels;
const DepthwiseKernels depthwise_kernels = {.run = run, .weight_run = weight_run};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
