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

/// A row of pixels: y[i] = Σ_r Σ_s x[r·x_row + (offset + i·stride + s)·x_step] · weight[r·weight_row + s·weight_step],
/// channel by channel, then bias, residual (laid out as y) and limits. Columns of x outside of [0, width) count as
/// zero. Steps are in floats.
struct DepthwiseRow {
  const float* x;
  const float* weight;
  float* y;
  int64_t pixels, channels;
  int64_t rows, x_row, weight_row;
  int64_t offset, width;
  int64_t x_step, weight_step, y_step;
  const float* bias;
  const float* residual;
  bool limited;
  float low, high;
  bool streaming;  // y is stored past the caches; its channels are whole, aligned vectors
};

/// dweight[r·weight_row + s·weight_step] += Σ_i x[r·x_row + (offset + i·stride + s)·x_step] · dy[i·dy_step], as above.
struct DepthwiseWeightRow {
  const float* x;
  const float* dy;
  float* dweight;
  int64_t pixels, channels;
  int64_t rows, x_row, weight_row;
  int64_t offset, width;
  int64_t x_step, weight_step, dy_step;
};

constexpr int kDepthwiseTaps = 5, kDepthwiseStrides = 2;

struct DepthwiseKernels {
  void (*run)(const DepthwiseRun& run);
  void (*weight_run)(const DepthwiseWeightRun& run);
  /// For rows of so many taps: [stride - 1][taps - 1]. Null where the runs do it.
  void (*row[kDepthwiseStrides][kDepthwiseTaps])(const DepthwiseRow& row);
  void (*weight_row[kDepthwiseStrides][kDepthwiseTaps])(const DepthwiseWeightRow& row);
};

}  // namespace convgrad::cpu
