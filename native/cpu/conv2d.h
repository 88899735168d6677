// What the files of convolution share.
#pragma once

#include <cstddef>

#include "cpu/gemm.h"
#include "ops/conv2d.h"

namespace convgrad::cpu {

inline Conv2dProblem problem_of(const Args<Conv2d>& args) {
  return {args.params, args.in[0].shape, args.in[1].shape, args.out[0].shape};
}
inline Conv2dProblem problem_of(const Args<Conv2dBackwardInput>& args) {
  return {args.params, args.out[0].shape, args.in[1].shape, args.in[0].shape};
}
inline Conv2dProblem problem_of(const Args<Conv2dBackwardWeight>& args) {
  return {args.params, args.in[0].shape, args.out[0].shape, args.in[1].shape};
}

// The definition, summed in float64.
void conv2d_reference(const Args<Conv2d>& args);
void conv2d_reference(const Args<Conv2dBackwardInput>& args);
void conv2d_reference(const Args<Conv2dBackwardWeight>& args);

/// Depthwise convolution without a product.
void conv2d_direct(const Args<Conv2d>& args);
void conv2d_direct(const Args<Conv2dBackwardInput>& args);
void conv2d_direct(const Args<Conv2dBackwardWeight>& args);
size_t conv2d_direct_workspace(const Args<Conv2d>& args);
size_t conv2d_direct_workspace(const Args<Conv2dBackwardInput>& args);
size_t conv2d_direct_workspace(const Args<Conv2dBackwardWeight>& args);

/// F(4×4, 3×3), for kernels of 3 × 3 with stride 1, dilation 1 and one group.
void conv2d_winograd(const Args<Conv2d>& args);
void conv2d_winograd(const Args<Conv2dBackwardInput>& args);
void conv2d_winograd(const Args<Conv2dBackwardWeight>& args);
size_t conv2d_winograd_workspace(const Args<Conv2d>& args);
size_t conv2d_winograd_workspace(const Args<Conv2dBackwardInput>& args);
size_t conv2d_winograd_workspace(const Args<Conv2dBackwardWeight>& args);

/// Whether it is faster than implicit_gemm.
bool winograd_pays(const Args<Conv2d>& args);
bool winograd_pays(const Args<Conv2dBackwardInput>& args);
bool winograd_pays(const Args<Conv2dBackwardWeight>& args);

template <class Op>
ConvAlgorithm choose(const Args<Op>& args) {
  if (args.params.algorithm != ConvAlgorithm::automatic) return args.params.algorithm;
  const Conv2dProblem c = problem_of(args);
  if (c.depthwise()) return ConvAlgorithm::direct;
  const bool winograd = args.params.precision == Precision::high && args.params.winograd_can(c.r, c.s);
  return winograd && winograd_pays(args) ? ConvAlgorithm::winograd : ConvAlgorithm::implicit_gemm;
}

/// The gradient with respect to x, along one axis: the pixels first, first + stride, …, and the taps that hit them. Tap
/// first_tap + j · tap_step hits the i-th pixel from window i + window - j · window_step.
struct PhaseAxis {
  int64_t first, pixels, first_tap, taps, tap_step, window, window_step;

  PhaseAxis(int64_t phase, int64_t size, int64_t stride, int64_t dilation, int64_t before, int64_t kernel)
      : first(phase), pixels(phase < size ? (size - phase + stride - 1) / stride : 0) {
    first_tap = kernel;
    taps = 0;
    tap_step = 1;
    for (int64_t tap = 0; tap < kernel; ++tap) {
      if ((phase + before - tap * dilation) % stride) continue;
      if (taps == 0) first_tap = tap;
      if (taps == 1) tap_step = tap - first_tap;
      ++taps;
    }
    // Taps of one phase are evenly spaced: dilation · tap is the same modulo the stride.
    window = taps ? (phase + before - first_tap * dilation) / stride : 0;
    window_step = tap_step * dilation / stride;
  }
};

constexpr int64_t kFewChannels = 8;  // so few that the taps of a row are worth being read as one run

/// With few channels a tap is too short a run: the taps of a row are read as one, and for that the padding has to be
/// there, in a copy of the image.
struct FewChannels {
  bool rows_of_taps, copy;
  int64_t h, w;
  size_t bytes = 0;

  explicit FewChannels(const Conv2dProblem& c) {
    rows_of_taps = c.c <= kFewChannels && c.groups == 1 && c.dilation_w == 1 && c.s > 1;
    copy = rows_of_taps && (c.left || c.right);
    h = c.h + c.top + c.bottom;
    w = c.w + c.left + c.right;
    if (copy) bytes = static_cast<size_t>((c.n * h * w * c.c + 15) / 16 * 16) * sizeof(float);
  }

  static Conv2dProblem padded(Conv2dProblem c, const FewChannels& few) {
    c.h = few.h;
    c.w = few.w;
    c.top = c.bottom = c.left = c.right = 0;
    return c;
  }
};
void pad_image(const Conv2dProblem& problem, const FewChannels& few, const float* x, float* padded);

/// Steps [first, first + count) of the window of output pixel (n, p, q), in a group's channels: zeros in the padding.
void copy_window(const Conv2dProblem& problem, const float* x, int64_t group, int64_t n, int64_t p, int64_t q,
                 int64_t first, int64_t count, float* destination);

/// Adds to one row of x, dx[n, h, :, :], what the windows' matrix holds for it. `columns` are the windows of all
/// images.
void add_windows(const Conv2dProblem& problem, const float* columns, int64_t n, int64_t h, float* dx_row);

}  // namespace convgrad::cpu
