// The windows of an image as rows of a matrix, and the way back. A row is one window: taps in order, channels within.
#include <algorithm>
#include <cstring>

#include "cpu/conv2d.h"
#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

void copy_window(const Conv2dProblem& c, const float* x, int64_t group, int64_t n, int64_t p, int64_t q, int64_t first,
                 int64_t count, float* destination) {
  const int64_t cg = c.group_c();
  while (count > 0) {
    const int64_t tap = first / cg, channel = first % cg, r = tap / c.s, s = tap % c.s;
    const int64_t h = p * c.stride_h + r * c.dilation_h - c.top;
    const int64_t w = q * c.stride_w + s * c.dilation_w - c.left;
    int64_t run = std::min(count, cg - channel);
    const bool row_inside = h >= 0 && h < c.h;
    if (row_inside && w >= 0 && w < c.w) {
      // The taps of a row lie side by side in a whole image.
      if (c.groups == 1 && c.dilation_w == 1) {
        run = std::min(count, (std::min(c.s - s, c.w - w)) * cg - channel);
      }
      std::memcpy(destination, x + ((n * c.h + h) * c.w + w) * c.c + group * cg + channel,
                  static_cast<size_t>(run) * sizeof(float));
    } else {
      std::fill_n(destination, run, 0.0f);
    }
    first += run;
    destination += run;
    count -= run;
  }
}

void add_windows(const Conv2dProblem& c, const float* columns, int64_t n, int64_t h, float* dx_row) {
  std::fill_n(dx_row, c.w * c.c, 0.0f);
  for (int64_t r = 0; r < c.r; ++r) {
    const int64_t down = h + c.top - r * c.dilation_h;
    if (down < 0 || down % c.stride_h || down / c.stride_h >= c.p) continue;
    const float* row = columns + (n * c.p + down / c.stride_h) * c.q * c.r * c.s * c.c;
    for (int64_t q = 0; q < c.q; ++q) {
      for (int64_t s = 0; s < c.s; ++s) {
        const int64_t w = q * c.stride_w + s * c.dilation_w - c.left;
        if (w < 0 || w >= c.w) continue;
        const float* source = row + (q * c.r * c.s + r * c.s + s) * c.c;
        float* destination = dx_row + w * c.c;
        for (int64_t i = 0; i < c.c; ++i) destination[i] += source[i];
      }
    }
  }
}

namespace {

/// A window has as many columns as there are weights to one output channel.
Conv2dProblem problem_of(const Im2col::Params& params, const Shape& x, const Shape& columns) {
  Conv2dParams conv;
  static_cast<Window2d&>(conv) = params;
  return {conv, x, Shape{params.kernel_size[0], params.kernel_size[1], x[3], 1}, columns};
}

}  // namespace

template <>
void run<Im2col>(const Args<Im2col>& args) {
  const Conv2dProblem c = problem_of(args.params, args.in[0].shape, args.out[0].shape);
  const float* x = args.in[0].as<float>();
  float* columns = args.out[0].as<float>();
  const int64_t steps = c.r * c.s * c.c;
  parallel_for(c.n * c.p, [&](int64_t row, int) {
    for (int64_t q = 0; q < c.q; ++q) {
      copy_window(c, x, 0, row / c.p, row % c.p, q, 0, steps, columns + (row * c.q + q) * steps);
    }
  });
}

template <>
void run<Col2im>(const Args<Col2im>& args) {
  const Conv2dProblem c = problem_of(args.params, args.out[0].shape, args.in[0].shape);
  const float* columns = args.in[0].as<float>();
  float* x = args.out[0].as<float>();
  parallel_for(c.n * c.h,
               [&](int64_t row, int) { add_windows(c, columns, row / c.h, row % c.h, x + row * c.w * c.c); });
}

}  // namespace convgrad::cpu
