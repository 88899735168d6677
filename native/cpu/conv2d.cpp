// Forward convolution as a product: the rows of A are the windows, one an output pixel, and B is the weight.
#include "cpu/conv2d.h"

#include <algorithm>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

/// Shape and output are the same however the rows of A are found.
class ForwardProblem : public GemmOperands {
 public:
  ForwardProblem(const Args<Conv2d>& args, const Conv2dProblem& conv)
      : c(conv), x_(args.in[0].as<float>()), weight_(args.in[1].as<float>()) {
    shape.batches = shape.b_matrices = c.groups;
    shape.rows = c.n * c.p * c.q;
    shape.a_row_stride = c.stride_w * c.c;
    shape.columns = c.group_k();
    shape.b_k_stride = c.k;
    shape.b_n_stride = 1;
    shape.kept = &args.packed;
    shape.kept_id = {static_cast<int64_t>(id_of<Conv2d>)};
    output = {args.out[0].as<float>(), args.in.has(2) ? args.in[2].as<float>() : nullptr, c.group_k(),
              args.in.has(3) ? args.in[3].as<float>() : nullptr, args.params.activation};
  }

  GemmShape shape;
  GemmOutput output;

  const float* b(int64_t group, int64_t segment) const override {
    return weight_ + segment * shape.depth.length * c.k + group * c.group_k();
  }
  void find_outputs(int64_t group, int64_t row, int64_t rows, int64_t* offsets, int32_t*) const override {
    int64_t offset = row * c.k + group * c.group_k();
    for (int64_t i = 0; i < rows; ++i, offset += c.k) offsets[i] = offset;
  }

 protected:
  Conv2dProblem c;
  const float *x_, *weight_;
};

/// A segment of the depth is a tap, or a row of taps where they lie side by side in the image.
class ImplicitForward final : public ForwardProblem {
 public:
  ImplicitForward(const Args<Conv2d>& args, const Conv2dProblem& conv, const float* x, bool rows_of_taps)
      : ForwardProblem(args, conv), taps_(rows_of_taps ? 1 : c.s) {
    x_ = x;
    shape.depth = rows_of_taps ? Depth{c.r, c.s * c.c} : Depth{c.r * c.s, c.group_c()};
  }

  void find_rows(const RowsOfA& request) const override {
    const float* x = x_ + request.batch * c.group_c() + request.depth.offset;
    for (int64_t i = 0; i < request.rows;) {
      // A run of pixels of one row of the output.
      const int64_t pixel = request.row + i, q = pixel % c.q, p = pixel / c.q % c.p, n = pixel / c.q / c.p;
      const int64_t run = std::min(request.rows - i, c.q - q);
      for (int64_t segment = 0; segment < request.depth.segments; ++segment) {
        const int64_t tap = request.depth.segment + segment;
        const int64_t h = p * c.stride_h + tap / taps_ * c.dilation_h - c.top;
        const int64_t w = q * c.stride_w + tap % taps_ * c.dilation_w - c.left;
        // Pixels [first, last) of the run see a column of the image.
        const bool row_inside = h >= 0 && h < c.h;
        const int64_t last = row_inside ? std::clamp<int64_t>((c.w - w + c.stride_w - 1) / c.stride_w, 0, run) : 0;
        const int64_t first = std::clamp<int64_t>((-w + c.stride_w - 1) / c.stride_w, 0, last);
        const float** starts = &request.start(i, segment);
        const float* start = x + ((n * c.h + h) * c.w + w) * c.c;
        std::fill_n(starts, first, kZeros);
        for (int64_t j = first; j < last; ++j) starts[j] = start + j * c.stride_w * c.c;
        std::fill_n(starts + last, run - last, kZeros);
      }
      i += run;
    }
  }

 private:
  int64_t taps_;  // segments to a row of taps
};

/// The windows are written out, as rows of a matrix.
class Im2colForward final : public ForwardProblem {
 public:
  Im2colForward(const Args<Conv2d>& args, const Conv2dProblem& conv) : ForwardProblem(args, conv) {
    shape.depth = {1, c.r * c.s * c.group_c()};
    shape.buffer_floats = gemm_task_rows(shape) * depth_block_limits(shape.depth).steps;
  }

  void find_rows(const RowsOfA& request) const override {
    const int64_t steps = request.depth.length;
    for (int64_t i = 0; i < request.rows; ++i) {
      const int64_t pixel = request.row + i;
      float* row = request.buffer + i * steps;
      copy_window(c, x_, request.batch, pixel / c.q / c.p, pixel / c.q % c.p, pixel % c.q, request.depth.offset, steps,
                  row);
      request.start(i, 0) = row;
    }
  }
};

}  // namespace

void pad_image(const Conv2dProblem& c, const FewChannels& few, const float* x, float* padded) {
  parallel_for(c.n * few.h, [&](int64_t task, int) {
    const int64_t n = task / few.h, h = task % few.h - c.top;
    float* row = padded + task * few.w * c.c;
    if (h < 0 || h >= c.h) {
      std::fill_n(row, few.w * c.c, 0.0f);
      return;
    }
    std::fill_n(row, c.left * c.c, 0.0f);
    std::memcpy(row + c.left * c.c, x + (n * c.h + h) * c.w * c.c, static_cast<size_t>(c.w * c.c) * sizeof(float));
    std::fill_n(row + (c.left + c.w) * c.c, c.right * c.c, 0.0f);
  });
}

template <>
size_t workspace<Conv2d>(const Args<Conv2d>& args) {
  const Conv2dProblem c = problem_of(args);
  switch (choose(args)) {
    case ConvAlgorithm::implicit_gemm: {
      const FewChannels few(c);
      const ImplicitForward problem(args, c, nullptr, few.rows_of_taps);
      return few.bytes + gemm_workspace(problem.shape, thread_count());
    }
    case ConvAlgorithm::im2col:
      return gemm_workspace(Im2colForward(args, c).shape, thread_count());
    case ConvAlgorithm::winograd:
      return conv2d_winograd_workspace(args);
    case ConvAlgorithm::direct:
      return conv2d_direct_workspace(args);
    default:
      return 0;
  }
}

template <>
void run<Conv2d>(const Args<Conv2d>& args) {
  const Conv2dProblem c = problem_of(args);
  const float* x = args.in[0].as<float>();
  switch (choose(args)) {
    case ConvAlgorithm::implicit_gemm: {
      const FewChannels few(c);
      float* padded = reinterpret_cast<float*>(args.workspace);
      if (few.copy) pad_image(c, few, x, padded);
      const ImplicitForward problem(args, few.copy ? FewChannels::padded(c, few) : c, few.copy ? padded : x,
                                    few.rows_of_taps);
      return gemm(problem.shape, problem, problem.output, args.workspace + few.bytes, args.workspace_bytes - few.bytes);
    }
    case ConvAlgorithm::im2col: {
      const Im2colForward problem(args, c);
      return gemm(problem.shape, problem, problem.output, args.workspace, args.workspace_bytes);
    }
    case ConvAlgorithm::winograd:
      return conv2d_winograd(args);
    case ConvAlgorithm::direct:
      return conv2d_direct(args);
    default:
      return conv2d_reference(args);
  }
}

}  // namespace convgrad::cpu
