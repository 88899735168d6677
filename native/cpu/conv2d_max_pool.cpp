// Convolution and max pooling in windows of 2x2 in one product: its rows are ordered by windows, so that the four
// pixels of one are four rows of a register tile, of which only the maximum is written. Winograd convolution is faster
// where it can be had, although it has to write what is then pooled.
#include <algorithm>

#include "cpu/conv2d.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kMostPooledDepth = 1280;  // steps that are summed in one go, and what panel of B the caches hold

/// Windows of 2x2 pixels of the output in place of pixels: row 4·i + j of A is what pixel j of window i sees.
class PooledForward final : public GemmOperands {
 public:
  PooledForward(const Args<Conv2dMaxPool>& args, const Conv2dProblem& conv, const float* x, const float* zeros,
                bool rows_of_taps)
      : c_(conv), x_(x), zeros_(zeros), weight_(args.in[1].as<float>()), taps_(rows_of_taps ? 1 : c_.s) {
    shape.rows = 4 * c_.n * (c_.p / 2) * (c_.q / 2);
    shape.columns = c_.k;
    shape.depth = rows_of_taps ? Depth{c_.r, c_.s * c_.c} : Depth{c_.r * c_.s, c_.c};
    shape.b_k_stride = c_.k;
    shape.b_n_stride = 1;
    shape.pooled = true;
    shape.kept = &args.packed;
    shape.kept_id = {static_cast<int64_t>(id_of<Conv2dMaxPool>)};
    output.c = args.out[0].as<float>();
    output.bias = args.in.has(2) ? args.in[2].as<float>() : nullptr;
    output.activation = args.params.activation;
    output.indices = args.out[1].as<int32_t>();
    output.pool_width = static_cast<int32_t>(c_.q);
  }

  GemmShape shape;
  GemmOutput output;

  void find_rows(const RowsOfA& request) const override {
    WindowAt at(c_, request.row / 4);
    for (int64_t i = 0; i < request.rows; i += 4, at.next()) {
      for (int64_t segment = 0, r = 0; r < c_.r; ++r) {
        for (int64_t tap = 0; tap < taps_; ++tap, ++segment) {
          const int64_t h = at.p * c_.stride_h + r * c_.dilation_h - c_.top;
          const int64_t w = at.q * c_.stride_w + tap * c_.dilation_w - c_.left;
          const float* x = x_ + ((at.n * c_.h + h) * c_.w + w) * c_.c;
          for (int64_t pixel = 0; pixel < 4; ++pixel) {
            const int64_t below = pixel / 2 * c_.stride_h, beside = pixel % 2 * c_.stride_w;
            const bool inside = h + below >= 0 && h + below < c_.h && w + beside >= 0 && w + beside < c_.w;
            request.start(i + pixel, segment) = inside ? x + (below * c_.w + beside) * c_.c : zeros_;
          }
        }
      }
    }
  }
  const float* b(int64_t, int64_t segment) const override { return weight_ + segment * shape.depth.length * c_.k; }
  void find_outputs(int64_t, int64_t row, int64_t rows, int64_t* offsets, int32_t* positions) const override {
    WindowAt at(c_, row / 4);
    for (int64_t i = 0; i < rows; i += 4, at.next()) {
      std::fill_n(offsets + i, 4, (row + i) / 4 * c_.k);
      positions[i / 4] = static_cast<int32_t>(at.p * c_.q + at.q);
    }
  }

 private:
  /// The first pixel of a window.
  struct WindowAt {
    int64_t p_end, q_end, n, p, q;

    WindowAt(const Conv2dProblem& c, int64_t window)
        : p_end(c.p / 2 * 2),
          q_end(c.q / 2 * 2),
          n(window / (c.p / 2) / (c.q / 2)),
          p(window / (c.q / 2) % (c.p / 2) * 2),
          q(window % (c.q / 2) * 2) {}
    void next() {
      if ((q += 2) < q_end) return;
      q = 0;
      if ((p += 2) < p_end) return;
      p = 0;
      ++n;
    }
  };

  Conv2dProblem c_;
  const float *x_, *zeros_, *weight_;
  int64_t taps_;  // segments to a row of taps
};

/// What lies in the workspace in front of the product's: a padded image, or a segment of padding.
size_t image_bytes(const Conv2dProblem& c, const FewChannels& few) {
  return few.copy ? few.bytes : static_cast<size_t>((c.s * c.c + 15) / 16 * 16) * sizeof(float);
}

Conv2dProblem problem_of(const Args<Conv2dMaxPool>& args) {
  const Conv2dParams params = args.params.conv();
  const Shape &x = args.in[0].shape, &weight = args.in[1].shape;
  Window2d windows = params;
  const auto [p, q] = windows.resolve(Conv2dMaxPool::name, x[1], x[2], weight[0], weight[1]);
  return {params, x, weight, Shape{x[0], p, q, weight[3]}};
}

/// The convolution and the pooling as ops of their own, with the convolution in the workspace.
struct ConvThenPool {
  Args<Conv2d> conv;
  Args<MaxPool2dWithIndices> pool;
  size_t conv_bytes;

  ConvThenPool(const Args<Conv2dMaxPool>& args, const Conv2dProblem& c) {
    const Shape shape{c.n, c.p, c.q, c.k};
    conv_bytes = static_cast<size_t>((shape.size() + 15) / 16 * 16) * sizeof(float);
    View image;
    image.data = args.workspace;
    image.shape = shape;
    static_cast<Conv2dParams&>(conv.params) = args.params.conv();
    conv.params.activation = args.params.activation;
    conv.packed = args.packed;
    for (int i = 0; i < 3; ++i) conv.in.add(args.in.has(i) ? args.in[i] : View{});
    conv.in.add(View{});
    conv.out.add(image);
    for (int axis = 0; axis < 2; ++axis) {
      pool.params.size.push_back(2);
      pool.params.stride.push_back(2);
    }
    for (int side = 0; side < 4; ++side) pool.params.padding.push_back(0);
    pool.in.add(image);
    for (int i = 0; i < 2; ++i) pool.out.add(args.out[i]);
  }

  /// The product takes the maxima in its registers: for that its sums must be whole, and not longer than rounding
  /// allows.
  bool is_better(const Conv2dProblem& c) const {
    return c.r * c.s * c.c > kMostPooledDepth || choose(conv) == ConvAlgorithm::winograd;
  }
  size_t workspace() const {
    return conv_bytes + std::max(cpu::workspace<Conv2d>(conv), cpu::workspace<MaxPool2dWithIndices>(pool));
  }
  void run(const Args<Conv2dMaxPool>& args) {
    conv.workspace = pool.workspace = args.workspace + conv_bytes;
    conv.workspace_bytes = pool.workspace_bytes = args.workspace_bytes - conv_bytes;
    cpu::run<Conv2d>(conv);
    cpu::run<MaxPool2dWithIndices>(pool);
  }
};

}  // namespace

template <>
size_t workspace<Conv2dMaxPool>(const Args<Conv2dMaxPool>& args) {
  const Conv2dProblem c = problem_of(args);
  if (const ConvThenPool ops(args, c); ops.is_better(c)) return ops.workspace();
  const FewChannels few(c);
  return image_bytes(c, few) +
         gemm_workspace(PooledForward(args, c, nullptr, nullptr, few.rows_of_taps).shape, thread_count());
}

template <>
void run<Conv2dMaxPool>(const Args<Conv2dMaxPool>& args) {
  const Conv2dProblem c = problem_of(args);
  if (ConvThenPool ops(args, c); ops.is_better(c)) return ops.run(args);
  const float* x = args.in[0].as<float>();
  const FewChannels few(c);
  const size_t bytes = image_bytes(c, few);
  float* image = reinterpret_cast<float*>(args.workspace);
  if (few.copy) {
    pad_image(c, few, x, image);
  } else {
    std::fill_n(image, c.s * c.c, 0.0f);
  }
  const PooledForward problem(args, few.copy ? FewChannels::padded(c, few) : c, few.copy ? image : x, image,
                              few.rows_of_taps);
  gemm(problem.shape, problem, problem.output, args.workspace + bytes, args.workspace_bytes - bytes);
}

}  // namespace convgrad::cpu
