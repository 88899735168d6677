// The gradient of convolution with respect to the image, which is also transposed convolution.
//
// implicit_gemm: a pixel of dx sees those windows whose tap hits it. With stride 1 that is a convolution of dy with the
// flipped weight; with a larger stride the pixels fall into stride_h · stride_w phases, and within a phase all pixels
// are hit by the same taps: a convolution each, with a part of the taps.
// im2col: dy · weightᵀ gives the gradient of every window, and col2im adds the windows up.
#include <algorithm>

#include "cpu/conv2d.h"
#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

class BackwardInput final : public GemmOperands {
 public:
  BackwardInput(const Args<Conv2dBackwardInput>& args, const Conv2dProblem& conv, int64_t phase_h, int64_t phase_w)
      : c_(conv),
        down_(phase_h, conv.h, conv.stride_h, conv.dilation_h, conv.top, conv.r),
        across_(phase_w, conv.w, conv.stride_w, conv.dilation_w, conv.left, conv.s),
        dy_(args.in[0].as<float>()),
        weight_(args.in[1].as<float>()) {
    shape.batches = shape.b_matrices = c_.groups;
    shape.rows = c_.n * down_.pixels * across_.pixels;
    shape.columns = c_.group_c();
    shape.a_row_stride = c_.k;
    shape.depth = {down_.taps * across_.taps, c_.group_k()};
    shape.b_k_stride = 1;
    shape.b_n_stride = c_.k;
    shape.kept = &args.packed;
    shape.kept_id = {static_cast<int64_t>(id_of<Conv2dBackwardInput>),
                     down_.first_tap,
                     down_.tap_step,
                     across_.first_tap,
                     across_.tap_step,
                     c_.s};
    output = {args.out[0].as<float>(), args.in.has(2) ? args.in[2].as<float>() : nullptr, c_.group_c(), nullptr,
              args.params.activation};
  }

  GemmShape shape;
  GemmOutput output;

  void find_rows(const RowsOfA& request) const override {
    const float* dy = dy_ + request.batch * c_.group_k() + request.depth.offset;
    for (int64_t i = 0; i < request.rows;) {
      // A run of pixels of one row of the phase.
      const int64_t pixel = request.row + i, column = pixel % across_.pixels;
      const int64_t row = pixel / across_.pixels % down_.pixels, n = pixel / across_.pixels / down_.pixels;
      const int64_t run = std::min(request.rows - i, across_.pixels - column);
      for (int64_t segment = 0; segment < request.depth.segments; ++segment) {
        const int64_t tap = request.depth.segment + segment;
        const int64_t p = row + down_.window - tap / across_.taps * down_.window_step;
        const int64_t q = column + across_.window - tap % across_.taps * across_.window_step;
        const bool row_inside = p >= 0 && p < c_.p;
        const float* start = dy + ((n * c_.p + p) * c_.q + q) * c_.k;
        for (int64_t j = 0; j < run; ++j) {
          request.start(i + j, segment) = row_inside && q + j >= 0 && q + j < c_.q ? start + j * c_.k : kZeros;
        }
      }
      i += run;
    }
  }

  const float* b(int64_t group, int64_t segment) const override {
    const int64_t r = down_.first_tap + segment / across_.taps * down_.tap_step;
    const int64_t s = across_.first_tap + segment % across_.taps * across_.tap_step;
    return weight_ + (r * c_.s + s) * c_.group_c() * c_.k + group * c_.group_k();
  }

  void find_outputs(int64_t group, int64_t row, int64_t rows, int64_t* offsets, int32_t*) const override {
    int64_t column = row % across_.pixels, down = row / across_.pixels % down_.pixels;
    int64_t n = row / across_.pixels / down_.pixels;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t h = down_.first + down * c_.stride_h, w = across_.first + column * c_.stride_w;
      offsets[i] = ((n * c_.h + h) * c_.w + w) * c_.c + group * c_.group_c();
      if (++column < across_.pixels) continue;
      column = 0;
      if (++down < down_.pixels) continue;
      down = 0;
      ++n;
    }
  }

  /// No window sees these pixels: their gradient is 0.
  void fill() const {
    parallel_ranges(shape.rows, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        int64_t offset = 0;
        find_outputs(0, row, 1, &offset, nullptr);
        float* dx = output.c + offset;
        std::fill_n(dx, c_.c, 0.0f);
        kernels().gemm->epilogue(dx, output.bias, nullptr, output.activation, c_.c);
      }
    });
  }

 private:
  Conv2dProblem c_;
  PhaseAxis down_, across_;
  const float *dy_, *weight_;
};

/// The phases that have pixels.
template <class F>
void each_phase(const Conv2dProblem& c, F&& f) {
  for (int64_t h = 0; h < std::min(c.stride_h, c.h); ++h) {
    for (int64_t w = 0; w < std::min(c.stride_w, c.w); ++w) f(h, w);
  }
}

/// The gradient of the windows of one image at a time, in columns [R, S, C] as im2col orders them.
class WindowGradients final : public GemmOperands {
 public:
  WindowGradients(const Args<Conv2dBackwardInput>& args, const Conv2dProblem& conv, int64_t image, float* columns)
      : c_(conv), dy_(args.in[0].as<float>() + image * conv.p * conv.q * conv.k), weight_(args.in[1].as<float>()) {
    // A product for each group and tap, so that the columns of a group land between those of its neighbours.
    shape.batches = shape.b_matrices = c_.groups * (c_.groups > 1 ? c_.r * c_.s : 1);
    shape.rows = c_.p * c_.q;
    shape.columns = c_.groups > 1 ? c_.group_c() : c_.r * c_.s * c_.c;
    shape.depth = {1, c_.group_k()};
    shape.b_k_stride = 1;
    shape.b_n_stride = c_.k;
    output.c = columns;
  }

  GemmShape shape;
  GemmOutput output;

  void find_rows(const RowsOfA& request) const override {
    const float* dy = dy_ + request.batch % c_.groups * c_.group_k() + request.depth.offset;
    for (int64_t i = 0; i < request.rows; ++i) request.start(i, 0) = dy + (request.row + i) * c_.k;
  }
  const float* b(int64_t matrix, int64_t) const override {
    return weight_ + matrix / c_.groups * c_.group_c() * c_.k + matrix % c_.groups * c_.group_k();
  }
  void find_outputs(int64_t batch, int64_t row, int64_t rows, int64_t* offsets, int32_t*) const override {
    const int64_t tap = batch / c_.groups, channel = batch % c_.groups * c_.group_c();
    for (int64_t i = 0; i < rows; ++i) offsets[i] = ((row + i) * c_.r * c_.s + tap) * c_.c + channel;
  }

  size_t columns_bytes() const {
    return static_cast<size_t>((c_.p * c_.q * c_.r * c_.s * c_.c + 15) / 16 * 16) * sizeof(float);
  }

 private:
  Conv2dProblem c_;
  const float *dy_, *weight_;
};

void run_im2col(const Args<Conv2dBackwardInput>& args, const Conv2dProblem& c) {
  float* columns = reinterpret_cast<float*>(args.workspace);
  const float* bias = args.in.has(2) ? args.in[2].as<float>() : nullptr;
  const int64_t row_size = c.w * c.c;
  for (int64_t n = 0; n < c.n; ++n) {
    const WindowGradients problem(args, c, n, columns);
    const size_t bytes = problem.columns_bytes();
    gemm(problem.shape, problem, problem.output, args.workspace + bytes, args.workspace_bytes - bytes);
    float* dx = args.out[0].as<float>() + n * c.h * row_size;
    parallel_for(c.h, [&](int64_t h, int) {
      float* row = dx + h * row_size;
      add_windows(c, columns, 0, h, row);
      for (int64_t w = 0; w < c.w; ++w) {
        kernels().gemm->epilogue(row + w * c.c, bias, nullptr, args.params.activation, c.c);
      }
    });
  }
}

}  // namespace

template <>
size_t workspace<Conv2dBackwardInput>(const Args<Conv2dBackwardInput>& args) {
  const Conv2dProblem c = problem_of(args);
  switch (choose(args)) {
    case ConvAlgorithm::implicit_gemm: {
      size_t bytes = 0;
      each_phase(c, [&](int64_t h, int64_t w) {
        const BackwardInput problem(args, c, h, w);
        if (problem.shape.depth.segments) {
          bytes = std::max(bytes, gemm_workspace(problem.shape, thread_count()));
        }
      });
      return bytes;
    }
    case ConvAlgorithm::im2col: {
      const WindowGradients problem(args, c, 0, nullptr);
      return problem.columns_bytes() + gemm_workspace(problem.shape, thread_count());
    }
    case ConvAlgorithm::winograd:
      return conv2d_winograd_workspace(args);
    case ConvAlgorithm::direct:
      return conv2d_direct_workspace(args);
    default:
      return 0;
  }
}

template <>
void run<Conv2dBackwardInput>(const Args<Conv2dBackwardInput>& args) {
  const Conv2dProblem c = problem_of(args);
  switch (choose(args)) {
    case ConvAlgorithm::implicit_gemm:
      return each_phase(c, [&](int64_t h, int64_t w) {
        const BackwardInput problem(args, c, h, w);
        if (problem.shape.depth.segments) {
          gemm(problem.shape, problem, problem.output, args.workspace, args.workspace_bytes);
        } else {
          problem.fill();
        }
      });
    case ConvAlgorithm::im2col:
      return run_im2col(args, c);
    case ConvAlgorithm::winograd:
      return conv2d_winograd(args);
    case ConvAlgorithm::direct:
      return conv2d_direct(args);
    default:
      return conv2d_reference(args);
  }
}

}  // namespace convgrad::cpu
