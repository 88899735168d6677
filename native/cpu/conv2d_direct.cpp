// Depthwise convolution, where every input channel is a group of its own: no product, but vectors of channels.
//
// Forward, and backward to the input, are one correlation: an axis of the output falls into phases whose pixels see the
// same taps (one phase forward, `stride` of them backward). Rows of a few taps are cut into tiles of pixels; other rows
// into runs of pixels that see the same taps.
//
// With a multiplier m > 1, channel c makes output channels c·m … c·m + m - 1: the image is copied with each channel m
// times, and gradients are summed over the m, so that the kernels know of one channel count only.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "cpu/conv2d.h"
#include "cpu/isa.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kMaxSplits = 32;        // of the pixels, for the gradient of the weight
constexpr int64_t kSplitPixels = 256;     // pixels that are worth a split
constexpr int64_t kTaskFloats = 1 << 15;  // of the output, a task at most,
constexpr int64_t kMinTaskFloats = 2048;  // and at least, where there would be fewer tasks than
constexpr int64_t kWantedTasks = 8;
constexpr int64_t kFewRows = 7;               // fewer rows than this share out their channels, too, so many to a task
constexpr int64_t kStreamedFloats = 1 << 23;  // outputs that no cache holds until they are read
constexpr int64_t kSharedChannels = 128;
constexpr int64_t kCachedFloats = 6144;  // three quarters of a small first-level cache

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The channels in blocks of at most `most`, of whole vectors of any instruction set.
struct Blocks {
  int64_t channels, count, size;

  Blocks(int64_t channels, int64_t most) : channels(channels) {
    constexpr int64_t kVector = 16;
    most = std::max(kVector, most / kVector * kVector);
    size = ceil_div(ceil_div(channels, ceil_div(channels, most)), kVector) * kVector;
    count = ceil_div(channels, size);
  }
  int64_t begin(int64_t block) const { return block * size; }
  int64_t size_of(int64_t block) const { return std::min(size, channels - block * size); }
};

/// The pixels first, first + spacing, … along one axis of an output. Tap t of the i-th sees element
/// i·step + offset + t·tap_step of the input, and is tap weight + t·weight_step of the kernel.
struct TapAxis {
  int64_t first, pixels, spacing;
  int64_t step, offset, taps, tap_step;
  int64_t weight, weight_step;
  int64_t size;  // of the input

  struct Range {
    int64_t begin, end;
    bool operator==(const Range&) const = default;
  };
  /// The taps of pixel i that lie in the input.
  Range visible(int64_t i) const {
    const int64_t start = i * step + offset;
    Range range{0, taps};
    while (range.begin < taps && start + range.begin * tap_step < 0) ++range.begin;
    while (range.end > range.begin && start + (range.end - 1) * tap_step >= size) --range.end;
    return range.begin < range.end ? range : Range{0, 0};
  }
};

using TapAxes = std::vector<TapAxis>;  // one a phase

TapAxes forward_axes(int64_t pixels, int64_t kernel, int64_t stride, int64_t before, int64_t dilation, int64_t size) {
  return {{0, pixels, 1, stride, -before, kernel, dilation, 0, 1, size}};
}

/// Backward a window's later taps come from earlier windows: the taps are taken from the last to the first.
TapAxes gradient_axes(int64_t pixels, int64_t kernel, int64_t stride, int64_t before, int64_t dilation, int64_t size) {
  TapAxes axes;
  for (int64_t phase = 0; phase < std::min(stride, pixels); ++phase) {
    const PhaseAxis axis(phase, pixels, stride, dilation, before, kernel);
    const int64_t last = std::max<int64_t>(axis.taps - 1, 0), step = last ? axis.window_step : 1;
    axes.push_back({axis.first, axis.pixels, stride, 1, axis.window - last * step, axis.taps, step,
                    axis.first_tap + last * axis.tap_step, -axis.tap_step, size});
  }
  return axes;
}

/// Pixels [begin, end) that see the same taps.
struct Run {
  int64_t begin, end;
  TapAxis::Range taps;
};

std::vector<Run> runs_of(const TapAxis& axis) {
  std::vector<Run> runs;
  for (int64_t i = 0; i < axis.pixels; ++i) {
    const TapAxis::Range taps = axis.visible(i);
    if (!runs.empty() && runs.back().taps == taps) {
      runs.back().end = i + 1;
    } else {
      runs.push_back({i, i + 1, taps});
    }
  }
  return runs;
}

/// The kernel for rows of these taps in tiles, or null.
template <class Kernel>
Kernel tiles_for(Kernel (&tiles)[kDepthwiseStrides][kDepthwiseTaps], int64_t step, int64_t taps, int64_t tap_step) {
  const bool small = step <= kDepthwiseStrides && taps >= 1 && taps <= kDepthwiseTaps;
  return small && tap_step == 1 ? tiles[step - 1][taps - 1] : nullptr;
}

/// Bytes of an image whose channels are repeated `multiplier` times, if they are.
size_t repeated_bytes(const Conv2dProblem& c) {
  return c.k == c.c ? 0 : static_cast<size_t>((c.n * c.h * c.w * c.k + 15) / 16 * 16) * sizeof(float);
}

void repeat_channels(const Conv2dProblem& c, const float* x, float* repeated) {
  const int64_t multiplier = c.k / c.c;
  parallel_ranges(c.n * c.h * c.w, 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * c.k; i < end * c.k; ++i) repeated[i] = x[i / multiplier];
  });
}

void sum_channels(const Conv2dProblem& c, const float* repeated, float* dx) {
  const int64_t multiplier = c.k / c.c;
  parallel_ranges(c.n * c.h * c.w, 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * c.c; i < end * c.c; ++i) {
      float sum = 0;
      for (int64_t m = 0; m < multiplier; ++m) sum += repeated[i * multiplier + m];
      dx[i] = sum;
    }
  });
}

struct Epilogue {
  const float* bias;
  const float* residual;
  Activation activation;

  /// Whether the tiles can do it: limits, but no functions.
  bool simple() const { return activation <= Activation::relu6; }

  void apply(float* y, int64_t at, int64_t pixels, int64_t stride, int64_t channel, int64_t channels) const {
    if (!bias && !residual && activation == Activation::none) return;
    for (int64_t i = at; i < at + pixels * stride; i += stride) {
      kernels().gemm->epilogue(y + i, bias ? bias + channel : nullptr, residual ? residual + i : nullptr, activation,
                               channels);
    }
  }
};

/// y = epilogue(x ⋆ weight), with the weight [.., weight_columns, channels] and images of `channels` channels.
struct CorrelationProblem {
  const float* x;
  const float* weight;
  float* y;
  int64_t images, channels, weight_columns;
  TapAxes rows, columns;
  Epilogue epilogue;
};

class Correlation : CorrelationProblem {
 public:
  explicit Correlation(CorrelationProblem problem) : CorrelationProblem(std::move(problem)) {
    for (const TapAxis& axis : columns) {
      tiles_.push_back(tiles_for(kernels().depthwise->row, axis.step, axis.taps, axis.tap_step));
      runs_.push_back(tiles_.back() ? std::vector<Run>() : runs_of(axis));
      fused_ &= tiles_.back() != nullptr;
    }
    for (const TapAxis& axis : rows) height_ += axis.pixels;
    for (const TapAxis& axis : columns) width_ += axis.pixels;
    const bool aligned = channels % 16 == 0 && reinterpret_cast<uintptr_t>(y) % 64 == 0;
    streaming_ = fuses() && aligned && images * height_ * width_ * channels >= kStreamedFloats;
  }

  void run() const {
    const int64_t all = images * height_;
    const Blocks blocks(channels, all < kFewRows ? kSharedChannels : channels);
    const int64_t floats = width_ * blocks.size;  // of a row, for one task
    const int64_t most = std::max<int64_t>(1, kTaskFloats / floats);
    const int64_t grain = std::clamp(all / kWantedTasks, std::min(most, ceil_div(kMinTaskFloats, floats)), most);
    const int64_t groups = ceil_div(all, grain);
    parallel_for(groups * blocks.count, [&](int64_t task, int) {
      const int64_t begin = task % groups * grain, block = task / groups;
      for (int64_t i = begin; i < std::min(begin + grain, all); ++i) row(i, blocks.begin(block), blocks.size_of(block));
    });
  }

 private:
  void row(int64_t row, int64_t channel, int64_t count) const {
    const int64_t image = row / height_, down = row % height_;
    const auto phases = static_cast<int64_t>(rows.size());
    const TapAxis& axis = rows[static_cast<size_t>(down % phases)];
    const TapAxis::Range taps = axis.visible(down / phases);
    const int64_t top = down / phases * axis.step + axis.offset + taps.begin * axis.tap_step;
    const Place place{x + (image * axis.size + top) * columns[0].size * channels + channel,
                      weight + (axis.weight + taps.begin * axis.weight_step) * weight_columns * channels + channel,
                      row * width_ * channels + channel,
                      channel,
                      count,
                      taps.end - taps.begin,
                      axis.tap_step * columns[0].size * channels,
                      axis.weight_step * weight_columns * channels};
    for (size_t phase = 0; phase < columns.size(); ++phase) {
      if (tiles_[phase]) {
        tiles(place, columns[phase], tiles_[phase]);
      } else {
        runs(place, columns[phase], runs_[phase]);
      }
    }
    if (!fuses()) epilogue.apply(y, place.at, width_, channels, channel, count);
  }

  /// What a row of the output sees.
  struct Place {
    const float* x;
    const float* weight;
    int64_t at, channel, channels;
    int64_t rows, x_row, weight_row;
  };

  bool fuses() const { return fused_ && epilogue.simple(); }

  void tiles(const Place& place, const TapAxis& axis, void (*kernel)(const DepthwiseRow&)) const {
    const bool fuse = fuses();
    const int64_t at = place.at + axis.first * channels;
    kernel({.x = place.x,
            .weight = place.weight + axis.weight * channels,
            .y = y + at,
            .pixels = axis.pixels,
            .channels = place.channels,
            .rows = place.rows,
            .x_row = place.x_row,
            .weight_row = place.weight_row,
            .offset = axis.offset,
            .width = axis.size,
            .x_step = channels,
            .weight_step = axis.weight_step * channels,
            .y_step = axis.spacing * channels,
            .bias = fuse && epilogue.bias ? epilogue.bias + place.channel : nullptr,
            .residual = fuse && epilogue.residual ? epilogue.residual + at : nullptr,
            .limited = fuse && epilogue.activation != Activation::none,
            .low = 0,
            .high = epilogue.activation == Activation::relu6 ? 6.0f : INFINITY,
            .streaming = streaming_});
  }

  void runs(const Place& place, const TapAxis& axis, const std::vector<Run>& runs) const {
    std::vector<int64_t> x_offset(static_cast<size_t>(place.rows * axis.taps)), weight_offset(x_offset.size());
    for (const Run& run : runs) {
      size_t taps = 0;
      for (int64_t r = 0; r < place.rows; ++r) {
        for (int64_t t = run.taps.begin; t < run.taps.end; ++t, ++taps) {
          x_offset[taps] = r * place.x_row + (run.begin * axis.step + axis.offset + t * axis.tap_step) * channels;
          weight_offset[taps] = r * place.weight_row + (axis.weight + t * axis.weight_step) * channels;
        }
      }
      kernels().depthwise->run({place.x, place.weight,
                                y + place.at + (axis.first + run.begin * axis.spacing) * channels, run.end - run.begin,
                                place.channels, axis.step * channels, axis.spacing * channels,
                                static_cast<int64_t>(taps), x_offset.data(), weight_offset.data()});
    }
  }

  int64_t height_ = 0, width_ = 0;
  std::vector<void (*)(const DepthwiseRow&)> tiles_;  // a phase of the columns
  std::vector<std::vector<Run>> runs_;
  bool fused_ = true, streaming_ = false;
};

}  // namespace

size_t conv2d_direct_workspace(const Args<Conv2d>& args) { return repeated_bytes(problem_of(args)); }

void conv2d_direct(const Args<Conv2d>& args) {
  const Conv2dProblem c = problem_of(args);
  const float* x = args.in[0].as<float>();
  if (repeated_bytes(c)) {
    float* repeated = reinterpret_cast<float*>(args.workspace);
    repeat_channels(c, x, repeated);
    x = repeated;
  }
  const Correlation correlation({x,
                                 args.in[1].as<float>(),
                                 args.out[0].as<float>(),
                                 c.n,
                                 c.k,
                                 c.s,
                                 forward_axes(c.p, c.r, c.stride_h, c.top, c.dilation_h, c.h),
                                 forward_axes(c.q, c.s, c.stride_w, c.left, c.dilation_w, c.w),
                                 {args.in[2].as<float>(), args.in[3].as<float>(), args.params.activation}});
  correlation.run();
}

size_t conv2d_direct_workspace(const Args<Conv2dBackwardInput>& args) { return repeated_bytes(problem_of(args)); }

void conv2d_direct(const Args<Conv2dBackwardInput>& args) {
  const Conv2dProblem c = problem_of(args);
  float* dx = args.out[0].as<float>();
  const bool repeated = repeated_bytes(c) > 0;
  const Epilogue epilogue{args.in[2].as<float>(), nullptr, args.params.activation}, none{nullptr, nullptr, {}};
  float* gradient = repeated ? reinterpret_cast<float*>(args.workspace) : dx;
  const Correlation correlation({args.in[0].as<float>(), args.in[1].as<float>(), gradient, c.n, c.k, c.s,
                                 gradient_axes(c.h, c.r, c.stride_h, c.top, c.dilation_h, c.p),
                                 gradient_axes(c.w, c.s, c.stride_w, c.left, c.dilation_w, c.q),
                                 repeated ? none : epilogue});
  correlation.run();
  if (!repeated) return;
  sum_channels(c, gradient, dx);
  parallel_ranges(c.n * c.h, std::max<int64_t>(1, kTaskFloats / (c.w * c.c)), [&](int64_t begin, int64_t end) {
    epilogue.apply(dx, begin * c.w * c.c, (end - begin) * c.w, c.c, 0, c.c);
  });
}

namespace {

/// The rows of all outputs, cut into splits with a partial gradient each.
struct Splits {
  int64_t rows, split_rows, count, weight_size;
  explicit Splits(const Conv2dProblem& c) : rows(c.n * c.p), weight_size(c.r * c.s * c.k) {
    const int64_t wanted = std::clamp<int64_t>(rows * c.q / kSplitPixels, 1, std::min(rows, kMaxSplits));
    split_rows = ceil_div(rows, wanted);
    count = ceil_div(rows, split_rows);
  }
  size_t bytes() const { return static_cast<size_t>((count * weight_size + 15) / 16 * 16) * sizeof(float); }
};

/// Adds what one row of dy gives to the gradient of the weight, in channels [channel, channel + count).
class WeightGradient {
 public:
  WeightGradient(const Conv2dProblem& c, const float* x, const float* dy)
      : c_(c),
        x_(x),
        dy_(dy),
        rows_(forward_axes(c.p, c.r, c.stride_h, c.top, c.dilation_h, c.h)[0]),
        columns_(forward_axes(c.q, c.s, c.stride_w, c.left, c.dilation_w, c.w)[0]),
        tiles_(tiles_for(kernels().depthwise->weight_row, c.stride_w, c.s, c.dilation_w)) {
    if (!tiles_) runs_ = runs_of(columns_);
  }

  void row(int64_t row, int64_t channel, int64_t count, float* dweight) const {
    const TapAxis::Range taps = rows_.visible(row % c_.p);
    const int64_t h = row % c_.p * c_.stride_h - c_.top + taps.begin * c_.dilation_h;
    const float* x = x_ + (row / c_.p * c_.h + h) * c_.w * c_.k + channel;
    const float* dy = dy_ + row * c_.q * c_.k + channel;
    const int64_t x_row = c_.dilation_h * c_.w * c_.k, weight_row = c_.s * c_.k;
    dweight += taps.begin * weight_row + channel;
    if (tiles_) {
      return tiles_(
          {x, dy, dweight, c_.q, count, taps.end - taps.begin, x_row, weight_row, -c_.left, c_.w, c_.k, c_.k, c_.k});
    }
    for (int64_t r = 0; r < taps.end - taps.begin; ++r, x += x_row, dweight += weight_row) {
      for (const Run& run : runs_) {
        const int64_t w = run.begin * c_.stride_w - c_.left + run.taps.begin * c_.dilation_w;
        kernels().depthwise->weight_run({x + w * c_.k, dy + run.begin * c_.k, dweight + run.taps.begin * c_.k,
                                         run.end - run.begin, count, c_.stride_w * c_.k, c_.k,
                                         run.taps.end - run.taps.begin, c_.dilation_w * c_.k, c_.k});
      }
    }
  }

 private:
  const Conv2dProblem& c_;
  const float *x_, *dy_;
  TapAxis rows_, columns_;
  void (*tiles_)(const DepthwiseWeightRow&);
  std::vector<Run> runs_;
};

}  // namespace

size_t conv2d_direct_workspace(const Args<Conv2dBackwardWeight>& args) {
  const Conv2dProblem c = problem_of(args);
  return Splits(c).bytes() + repeated_bytes(c);
}

void conv2d_direct(const Args<Conv2dBackwardWeight>& args) {
  const Conv2dProblem c = problem_of(args);
  const Splits splits(c);
  const float* x = args.in[0].as<float>();
  float* partial = reinterpret_cast<float*>(args.workspace);
  if (repeated_bytes(c)) {
    float* repeated = reinterpret_cast<float*>(args.workspace + splits.bytes());
    repeat_channels(c, x, repeated);
    x = repeated;
  }
  const WeightGradient gradient(c, x, args.in[1].as<float>());
  // Blocks of x's rows and dy's stay in the first-level cache: going down, only the new ones come from further away.
  const Blocks blocks(c.k, kCachedFloats / ((c.r + 1) * c.w));
  parallel_for(splits.count * blocks.count, [&](int64_t task, int) {
    const int64_t split = task / blocks.count, block = task % blocks.count;
    const int64_t channel = blocks.begin(block), count = blocks.size_of(block);
    float* dweight = partial + split * splits.weight_size;
    for (int64_t tap = 0; tap < c.r * c.s; ++tap) std::fill_n(dweight + tap * c.k + channel, count, 0.0f);
    const int64_t end = std::min(splits.rows, (split + 1) * splits.split_rows);
    for (int64_t row = split * splits.split_rows; row < end; ++row) gradient.row(row, channel, count, dweight);
  });
  float* dweight = args.out[0].as<float>();
  parallel_ranges(splits.weight_size, 4096, [&](int64_t begin, int64_t end) {
    kernels().gemm->sum_rows(partial + begin, splits.weight_size, splits.count, end - begin, dweight + begin);
  });
}

}  // namespace convgrad::cpu
