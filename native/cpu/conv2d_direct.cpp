// Depthwise convolution, where every input channel is a group of its own: no product, but vectors of channels.
//
// A row of pixels is cut into runs that see the same taps of the kernel's row; all of the padding's effect lies there.
// With a multiplier m > 1, channel c makes output channels c·m … c·m + m - 1: the image is copied with each channel m
// times, and gradients are summed over the m, so that the kernels know of one channel count only.
#include <algorithm>
#include <vector>

#include "cpu/conv2d.h"
#include "cpu/isa.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kMaxSplits = 32;        // of the pixels, for the gradient of the weight
constexpr int64_t kSplitPixels = 256;     // pixels that are worth a split
constexpr int64_t kTaskFloats = 1 << 15;  // of the output, a task

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Pixels [begin, end) of a row see taps [first, last) of the kernel's row.
struct Run {
  int64_t begin, end, first, last;
};

/// Tap t of pixel i sees column i·step + offset + t·tap_step of a row of `size`.
std::vector<Run> runs_of(int64_t pixels, int64_t taps, int64_t step, int64_t offset, int64_t tap_step, int64_t size) {
  const auto seen = [&](int64_t i, int64_t t) {
    const int64_t column = i * step + offset + t * tap_step;
    return column >= 0 && column < size;
  };
  std::vector<Run> runs;
  for (int64_t i = 0; i < pixels; ++i) {
    int64_t first = 0, last = taps;
    while (first < last && !seen(i, first)) ++first;
    while (last > first && !seen(i, last - 1)) --last;
    if (first == last) first = last = 0;
    if (!runs.empty() && runs.back().first == first && runs.back().last == last) {
      runs.back().end = i + 1;
    } else {
      runs.push_back({i, i + 1, first, last});
    }
  }
  return runs;
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

/// Rows of an output that a task computes.
int64_t task_rows(int64_t row_floats) { return std::max<int64_t>(1, kTaskFloats / row_floats); }

struct Epilogue {
  const float* bias;
  const float* residual;
  Activation activation;

  void apply(float* y, int64_t at, int64_t pixels, int64_t channels) const {
    if (!bias && !residual && activation == Activation::none) return;
    for (int64_t i = at; i < at + pixels * channels; i += channels) {
      kernels().gemm->epilogue(y + i, bias, residual ? residual + i : nullptr, activation, channels);
    }
  }
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
  const float* weight = args.in[1].as<float>();
  float* y = args.out[0].as<float>();
  const Epilogue epilogue{args.in.has(2) ? args.in[2].as<float>() : nullptr,
                          args.in.has(3) ? args.in[3].as<float>() : nullptr, args.params.activation};
  const std::vector<Run> runs = runs_of(c.q, c.s, c.stride_w, -c.left, c.dilation_w, c.w);
  parallel_ranges(c.n * c.p, task_rows(c.q * c.k), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> x_offset(static_cast<size_t>(c.r * c.s)), weight_offset(x_offset.size());
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / c.p, top = row % c.p * c.stride_h - c.top;
      for (const Run& run : runs) {
        size_t taps = 0;
        for (int64_t r = 0; r < c.r; ++r) {
          const int64_t h = top + r * c.dilation_h;
          if (h < 0 || h >= c.h) continue;
          for (int64_t s = run.first; s < run.last; ++s, ++taps) {
            x_offset[taps] = ((n * c.h + h) * c.w + run.begin * c.stride_w - c.left + s * c.dilation_w) * c.k;
            weight_offset[taps] = (r * c.s + s) * c.k;
          }
        }
        kernels().depthwise->run({x, weight, y + (row * c.q + run.begin) * c.k, run.end - run.begin, c.k,
                                  c.stride_w * c.k, c.k, static_cast<int64_t>(taps), x_offset.data(),
                                  weight_offset.data()});
      }
      epilogue.apply(y, row * c.q * c.k, c.q, c.k);
    }
  });
}

size_t conv2d_direct_workspace(const Args<Conv2dBackwardInput>& args) { return repeated_bytes(problem_of(args)); }

void conv2d_direct(const Args<Conv2dBackwardInput>& args) {
  const Conv2dProblem c = problem_of(args);
  const float *dy = args.in[0].as<float>(), *weight = args.in[1].as<float>();
  float* result = args.out[0].as<float>();
  const bool repeated = repeated_bytes(c) > 0;
  float* dx = repeated ? reinterpret_cast<float*>(args.workspace) : result;
  const Epilogue epilogue{args.in.has(2) ? args.in[2].as<float>() : nullptr, nullptr, args.params.activation};

  struct Column {
    PhaseAxis axis;
    std::vector<Run> runs;
  };
  std::vector<Column> columns;
  for (int64_t phase = 0; phase < std::min(c.stride_w, c.w); ++phase) {
    const PhaseAxis axis(phase, c.w, c.stride_w, c.dilation_w, c.left, c.s);
    columns.push_back({axis, runs_of(axis.pixels, axis.taps, 1, axis.window, -axis.window_step, c.q)});
  }
  parallel_ranges(c.n * c.h, task_rows(c.w * c.k), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> dy_offset(static_cast<size_t>(c.r * c.s)), weight_offset(dy_offset.size());
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / c.h, down = row % c.h + c.top;
      for (const auto& [axis, runs] : columns) {
        for (const Run& run : runs) {
          size_t taps = 0;
          for (int64_t r = 0; r < c.r; ++r) {
            const int64_t distance = down - r * c.dilation_h, p = distance / c.stride_h;
            if (distance < 0 || distance % c.stride_h || p >= c.p) continue;
            for (int64_t t = run.first; t < run.last; ++t, ++taps) {
              dy_offset[taps] = ((n * c.p + p) * c.q + run.begin + axis.window - t * axis.window_step) * c.k;
              weight_offset[taps] = (r * c.s + axis.first_tap + t * axis.tap_step) * c.k;
            }
          }
          kernels().depthwise->run({dy, weight, dx + (row * c.w + axis.first + run.begin * c.stride_w) * c.k,
                                    run.end - run.begin, c.k, c.k, c.stride_w * c.k, static_cast<int64_t>(taps),
                                    dy_offset.data(), weight_offset.data()});
        }
      }
      if (!repeated) epilogue.apply(dx, row * c.w * c.c, c.w, c.c);
    }
  });
  if (!repeated) return;
  sum_channels(c, dx, result);
  parallel_ranges(c.n * c.h, task_rows(c.w * c.c), [&](int64_t begin, int64_t end) {
    epilogue.apply(result, begin * c.w * c.c, (end - begin) * c.w, c.c);
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

}  // namespace

size_t conv2d_direct_workspace(const Args<Conv2dBackwardWeight>& args) {
  const Conv2dProblem c = problem_of(args);
  return Splits(c).bytes() + repeated_bytes(c);
}

void conv2d_direct(const Args<Conv2dBackwardWeight>& args) {
  const Conv2dProblem c = problem_of(args);
  const Splits splits(c);
  const float *x = args.in[0].as<float>(), *dy = args.in[1].as<float>();
  float* partial = reinterpret_cast<float*>(args.workspace);
  if (repeated_bytes(c)) {
    float* repeated = reinterpret_cast<float*>(args.workspace + splits.bytes());
    repeat_channels(c, x, repeated);
    x = repeated;
  }
  const std::vector<Run> runs = runs_of(c.q, c.s, c.stride_w, -c.left, c.dilation_w, c.w);
  parallel_for(splits.count, [&](int64_t split, int) {
    float* dweight = partial + split * splits.weight_size;
    std::fill_n(dweight, splits.weight_size, 0.0f);
    const int64_t end = std::min(splits.rows, (split + 1) * splits.split_rows);
    for (int64_t row = split * splits.split_rows; row < end; ++row) {
      const int64_t n = row / c.p, top = row % c.p * c.stride_h - c.top;
      for (int64_t r = 0; r < c.r; ++r) {
        const int64_t h = top + r * c.dilation_h;
        if (h < 0 || h >= c.h) continue;
        for (const Run& run : runs) {
          const int64_t w = run.begin * c.stride_w - c.left + run.first * c.dilation_w;
          kernels().depthwise->weight_run({x + ((n * c.h + h) * c.w + w) * c.k, dy + (row * c.q + run.begin) * c.k,
                                           dweight + (r * c.s + run.first) * c.k, run.end - run.begin, c.k,
                                           c.stride_w * c.k, c.k, run.last - run.first, c.dilation_w * c.k, c.k});
        }
      }
    }
  });
  float* dweight = args.out[0].as<float>();
  parallel_ranges(splits.weight_size, 4096, [&](int64_t begin, int64_t end) {
    kernels().gemm->sum_rows(partial + begin, splits.weight_size, splits.count, end - begin, dweight + begin);
  });
}

}  // namespace convgrad::cpu
