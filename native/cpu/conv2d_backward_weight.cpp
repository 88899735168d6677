// The gradient of convolution with respect to the weight: dW[(r, s, c), k] = Σ over the pixels of x · dy, a product
// whose depth is the pixels. A segment of the depth is a row of the output.
//
// The rows of a task are ordered by channel and then by tap, so that a task needs a few channels of the image and all
// their taps. For each block of pixels it copies what these see into its buffer, channel by channel and with the
// padding: there, the pixels that a tap sees lie side by side.
//
// A weight is small and the pixels are many, so that the pixels are cut into splits with a partial dW each. Their
// number follows from the problem alone, and they are added in order.
#include <algorithm>

#include "cpu/conv2d.h"
#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kBufferFloats = 1 << 15;  // of image in a task's buffer: half of a second-level cache of 256 KiB
constexpr int64_t kSplitWork = 1 << 22;     // multiply-adds that are worth a split
constexpr int64_t kSplitPixels = 512;       // pixels that are: a partial dW costs a write and a read
constexpr int64_t kMaxSplits = 32;
constexpr int64_t kMaxPartialFloats = 1 << 22;  // of all partial dW

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

class BackwardWeight : public GemmOperands {
 public:
  BackwardWeight(const Args<Conv2dBackwardWeight>& args, const Conv2dProblem& conv)
      : c(conv), x_(args.in[0].as<float>()), dy_(args.in[1].as<float>()), dweight_(args.out[0].as<float>()) {
    const int64_t rows = c.n * c.p, pixels = rows * c.q;
    const int64_t wanted = std::min({pixels * weight_size() / kSplitWork, pixels / kSplitPixels,
                                     kMaxPartialFloats / weight_size(), rows, kMaxSplits});
    split_rows_ = ceil_div(rows, std::max<int64_t>(1, wanted));
    splits_ = ceil_div(rows, split_rows_);
    shape.batches = splits_ * c.groups;
    shape.b_matrices = shape.batches;
    shape.rows = c.r * c.s * c.group_c();
    shape.columns = c.group_k();
    shape.depth = {split_rows_, c.q};
    shape.b_k_stride = c.k;
    shape.b_n_stride = 1;
    shape.pack_b_in_tasks = true;
  }

  GemmShape shape;

  const float* b(int64_t batch, int64_t segment) const override {
    return dy_ + (split_of(batch) * split_rows_ + segment) * c.q * c.k + group_of(batch) * c.group_k();
  }
  void find_outputs(int64_t batch, int64_t row, int64_t rows, int64_t* offsets, int32_t*) const override {
    const int64_t first = split_of(batch) * weight_size() + group_of(batch) * c.group_k();
    int64_t tap = row % taps(), channel = row / taps();
    for (int64_t i = 0; i < rows; ++i) {
      offsets[i] = first + (tap * c.group_c() + channel) * c.k;
      if (++tap < taps()) continue;
      tap = 0;
      ++channel;
    }
  }
  int64_t segments_of(int64_t batch, const GemmShape&) const override {
    return std::min(split_rows_, c.n * c.p - split_of(batch) * split_rows_);
  }

  size_t workspace() const { return partial_bytes() + gemm_workspace(shape, thread_count()); }

  void run(std::byte* workspace, size_t workspace_bytes) const {
    float* partial = splits_ > 1 ? reinterpret_cast<float*>(workspace) : dweight_;
    gemm(shape, *this, {partial}, workspace + partial_bytes(), workspace_bytes - partial_bytes());
    if (splits_ == 1) return;
    parallel_ranges(weight_size(), 4096, [&](int64_t begin, int64_t end) {
      kernels().gemm->sum_rows(partial + begin, weight_size(), splits_, end - begin, dweight_ + begin);
    });
  }

 protected:
  int64_t taps() const { return c.r * c.s; }
  int64_t split_of(int64_t batch) const { return batch / c.groups; }
  int64_t group_of(int64_t batch) const { return batch % c.groups; }
  /// Which of the rows of all images' outputs a segment is.
  int64_t output_row(const RowsOfA& request, int64_t segment) const {
    return split_of(request.batch) * split_rows_ + request.depth.segment + segment;
  }

  Conv2dProblem c;
  const float *x_, *dy_;

 private:
  int64_t weight_size() const { return taps() * c.group_c() * c.k; }
  size_t partial_bytes() const {
    return splits_ > 1 ? static_cast<size_t>((splits_ * weight_size() + 15) / 16 * 16) * sizeof(float) : 0;
  }

  float* dweight_;
  int64_t splits_, split_rows_;
};

/// A task's buffer holds planes, one a channel, of the rows of the image that a block of pixels sees.
class ImplicitBackwardWeight final : public BackwardWeight {
 public:
  ImplicitBackwardWeight(const Args<Conv2dBackwardWeight>& args, const Conv2dProblem& conv)
      : BackwardWeight(args, conv) {
    shape.a_step = c.stride_w;
    const DepthBlockLimits limits = depth_block_limits(shape.depth);
    // Rows of the output that follow each other in one image share rows of the image.
    const int64_t images = extent() > c.stride_h ? (limits.segments + c.p - 2) / c.p + 1 : 1;
    plane_ = (limits.segments * c.stride_h + images * (extent() - c.stride_h)) * width(limits.steps / limits.segments);
    const int64_t channels = std::clamp<int64_t>(kBufferFloats / plane_, 1, c.group_c());
    shape.max_task_rows = std::max(channels * taps(), std::min<int64_t>(shape.rows, 64));
    // A task may begin and end between the taps of a channel.
    shape.buffer_floats = std::min(c.group_c(), ceil_div(gemm_task_rows(shape), taps()) + 1) * plane_;
  }

  void find_rows(const RowsOfA& request) const override {
    const int64_t first_channel = request.row / taps();
    const int64_t channels = (request.row + request.rows - 1) / taps() + 1 - first_channel;
    const int64_t row_width = width(request.depth.length);
    float* planes = request.buffer;
    for (int64_t segment = 0; segment < request.depth.segments;) {
      const int64_t row = output_row(request, segment), n = row / c.p, p = row % c.p;
      const int64_t run = std::min(request.depth.segments - segment, c.p - p);  // rows of the output of one image
      const int64_t rows = (run - 1) * c.stride_h + extent();
      for (int64_t i = 0; i < rows; ++i) {
        copy_row(n, p * c.stride_h - c.top + i, request.depth.offset * c.stride_w - c.left, row_width,
                 group_of(request.batch) * c.group_c() + first_channel, channels, planes + i * row_width);
      }
      for (int64_t i = 0; i < request.rows; ++i) {
        const int64_t channel = (request.row + i) / taps() - first_channel, tap = (request.row + i) % taps();
        const float* start =
            planes + channel * plane_ + tap / c.s * c.dilation_h * row_width + tap % c.s * c.dilation_w;
        for (int64_t j = 0; j < run; ++j) request.start(i, segment + j) = start + j * c.stride_h * row_width;
      }
      planes += rows * row_width;
      segment += run;
    }
  }

 private:
  int64_t extent() const { return (c.r - 1) * c.dilation_h + 1; }
  /// Columns of the image that `length` windows see.
  int64_t width(int64_t length) const { return (length - 1) * c.stride_w + (c.s - 1) * c.dilation_w + 1; }

  /// Pixels [w, w + count) of row h of image n, which may lie in the padding, channel by channel.
  void copy_row(int64_t n, int64_t h, int64_t w, int64_t count, int64_t channel, int64_t channels,
                float* planes) const {
    const bool row_inside = h >= 0 && h < c.h;
    const int64_t begin = row_inside ? std::clamp<int64_t>(-w, 0, count) : count;
    const int64_t end = row_inside ? std::clamp<int64_t>(c.w - w, begin, count) : count;
    if (begin < end) {
      kernels().gemm->transpose(x_ + ((n * c.h + h) * c.w + w + begin) * c.c + channel, c.c, end - begin, channels,
                                planes + begin, plane_);
    }
    if (begin == 0 && end == count) return;
    for (int64_t i = 0; i < channels; ++i) {
      std::fill_n(planes + i * plane_, begin, 0.0f);
      std::fill_n(planes + i * plane_ + end, count - end, 0.0f);
    }
  }

  int64_t plane_;
};

/// What every tap sees is written out: the transpose of im2col's matrix.
class Im2colBackwardWeight final : public BackwardWeight {
 public:
  Im2colBackwardWeight(const Args<Conv2dBackwardWeight>& args, const Conv2dProblem& conv) : BackwardWeight(args, conv) {
    steps_ = depth_block_limits(shape.depth).steps;
    shape.buffer_floats = gemm_task_rows(shape) * steps_;
  }

  void find_rows(const RowsOfA& request) const override {
    for (int64_t i = 0; i < request.rows; ++i) {
      const int64_t channel = (request.row + i) / taps(), tap = (request.row + i) % taps();
      for (int64_t j = 0; j < request.depth.segments; ++j) {
        float* steps = request.buffer + i * steps_ + j * request.depth.length;
        request.start(i, j) = steps;
        const int64_t row = output_row(request, j), n = row / c.p;
        const int64_t h = row % c.p * c.stride_h + tap / c.s * c.dilation_h - c.top;
        const float* image_row = x_ + (n * c.h + h) * c.w * c.c + group_of(request.batch) * c.group_c() + channel;
        for (int64_t q = 0; q < request.depth.length; ++q) {
          const int64_t w = (request.depth.offset + q) * c.stride_w + tap % c.s * c.dilation_w - c.left;
          steps[q] = h >= 0 && h < c.h && w >= 0 && w < c.w ? image_row[w * c.c] : 0.0f;
        }
      }
    }
  }

 private:
  int64_t steps_;
};

}  // namespace

template <>
size_t workspace<Conv2dBackwardWeight>(const Args<Conv2dBackwardWeight>& args) {
  const Conv2dProblem c = problem_of(args);
  switch (choose(args)) {
    case ConvAlgorithm::implicit_gemm:
      return ImplicitBackwardWeight(args, c).workspace();
    case ConvAlgorithm::im2col:
      return Im2colBackwardWeight(args, c).workspace();
    case ConvAlgorithm::winograd:
      return conv2d_winograd_workspace(args);
    case ConvAlgorithm::direct:
      return conv2d_direct_workspace(args);
    default:
      return 0;
  }
}

template <>
void run<Conv2dBackwardWeight>(const Args<Conv2dBackwardWeight>& args) {
  const Conv2dProblem c = problem_of(args);
  switch (choose(args)) {
    case ConvAlgorithm::implicit_gemm:
      return ImplicitBackwardWeight(args, c).run(args.workspace, args.workspace_bytes);
    case ConvAlgorithm::im2col:
      return Im2colBackwardWeight(args, c).run(args.workspace, args.workspace_bytes);
    case ConvAlgorithm::winograd:
      return conv2d_winograd(args);
    case ConvAlgorithm::direct:
      return conv2d_direct(args);
    default:
      return conv2d_reference(args);
  }
}

}  // namespace convgrad::cpu
