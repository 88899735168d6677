#pragma once

#include <cstdint>

namespace convgrad::cpu {

/// A run of pixels that see the same taps: y[i] = Σ_t x[i·x_step + x_offset[t]] · weight[weight_offset[t]], channel by
/// channel. Steps and offsets are in floats.
struct DepthwiseRun {
  const float* x;
  const float* weight;
  float* y;
  int64_t pixels, channels;
  int64_t x_step, y_step;
  int64_t taps;
  const int64_t* x_offset;
  const int64_t* weight_offset;
};

/// dweight[t] += Σ_i x[i·x_step + t·x_tap_step] · dy[i·dy_step], channel by channel, with dweight[t] at
/// t·weight_tap_step.
struct DepthwiseWeightRun {
  const float* x;
  const float* dy;
  float* dweight;
  int64_t pixels, channels;
  int64_t x_step, dy_step;
  int64_t taps, x_tap_step, weight_tap_step;
};

struct DepthwiseKernels {
  void (*run)(const DepthwiseRun& run);
  void (*weight_run)(const DepthwiseWeightRun& run);
};

}  // namespace convgrad::cpu
