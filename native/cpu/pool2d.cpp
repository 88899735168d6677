// Pooling: tables of the windows of each axis, then rows of windows (forward) or of the input (backward) in parallel.
#include "ops/pool2d.h"

#include <algorithm>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 16384;       // elements read by a task, about
constexpr int64_t kChannelChunk = 128;  // channels of a task where there are few rows
constexpr int64_t kFewRows = 32;
constexpr int64_t kMaxSegments = 64;

/// What the extents of windows count: their product is the divisor of an average.
struct Extents {
  bool count_padding = false;
  int32_t override[2] = {0, 0};  // unless 0: the extent of every window along the axis

  template <class Params>
  static Extents of(const Params& p) {
    const auto divisor = static_cast<int32_t>(p.divisor_override);
    return {p.count_include_pad, {divisor, divisor ? 1 : 0}};
  }
};

/// The windows along axis 0 (vertical) or 1, clipped to the input of `input` elements.
void fill_windows(const PoolParams& params, int which, int64_t input, const Extents& extents, PoolWindow* windows) {
  const PoolAxis axis = pool_axis(params, which, input);
  for (int64_t i = 0; i < axis.windows; ++i) {
    const int64_t begin = axis.begin(i), end = axis.end(i);
    PoolWindow& window = windows[i];
    window.begin = static_cast<int32_t>(std::max<int64_t>(begin, 0));
    window.end = static_cast<int32_t>(std::min(end, axis.input));
    window.extent = extents.count_padding ? static_cast<int32_t>(end - begin) : window.end - window.begin;
    if (extents.override[which]) window.extent = extents.override[which];
  }
}

/// Which windows cover each element. Both ends of windows only ever grow, so that these are ranges.
void fill_ranges(const PoolWindow* windows, int64_t count, int64_t input, PoolRange* ranges) {
  int32_t first = 0, last = 0;
  for (int64_t i = 0; i < input; ++i) {
    while (first < count && windows[first].end <= i) ++first;
    while (last < count && windows[last].begin <= i) ++last;
    ranges[i] = {first, last};
  }
}

/// Calls body(image, row, channel, channels) for all rows, split by the shape alone: several rows a task where they are
/// short, and parts of the channels where there are few rows.
template <class Body>
void each_row(int64_t images, int64_t rows, int64_t channels, int64_t elements_a_row, Body&& body) {
  const int64_t chunk = images * rows < kFewRows ? std::min(channels, kChannelChunk) : channels;
  const int64_t chunks = (channels + chunk - 1) / chunk;
  const int64_t grain = std::max<int64_t>(1, kGrain * chunks / std::max<int64_t>(1, elements_a_row));
  parallel_ranges(images * rows * chunks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / chunks, channel = i % chunks * chunk;
      body(row / rows, row % rows, channel, std::min(chunk, channels - channel));
    }
  });
}

size_t forward_workspace(const View& y) { return static_cast<size_t>(y.shape[1] + y.shape[2]) * sizeof(PoolWindow); }

template <class Kernel>
void pool_forward(const PoolParams& params, const Extents& extents, const View& x, const View& y, std::byte* workspace,
                  Kernel&& kernel) {
  const int64_t height = x.shape[1], width = x.shape[2], channels = x.shape[3];
  const int64_t rows = y.shape[1], columns = y.shape[2];
  auto* window_rows = reinterpret_cast<PoolWindow*>(workspace);
  auto* window_columns = window_rows + rows;
  fill_windows(params, 0, height, extents, window_rows);
  fill_windows(params, 1, width, extents, window_columns);

  const int64_t elements_a_row = std::max(height * width / rows, columns) * channels;
  each_row(x.shape[0], rows, channels, elements_a_row, [&](int64_t image, int64_t p, int64_t channel, int64_t count) {
    const PoolRow row{x.as<float>() + image * height * width * channels + channel,
                      width,
                      channels,
                      count,
                      window_rows[p],
                      window_columns,
                      columns};
    kernel(row, (image * rows + p) * columns * channels + channel);
  });
}

struct GradientTables {
  PoolWindow *window_rows, *window_columns;
  PoolRange *rows, *columns;
};

size_t backward_workspace(const View& dy, const View& dx) {
  return forward_workspace(dy) + static_cast<size_t>(dx.shape[1] + dx.shape[2]) * sizeof(PoolRange);
}

GradientTables fill_tables(const PoolParams& params, const Extents& extents, const View& dy, const View& dx,
                           std::byte* workspace) {
  const int64_t rows = dy.shape[1], columns = dy.shape[2], height = dx.shape[1], width = dx.shape[2];
  GradientTables t;
  t.window_rows = reinterpret_cast<PoolWindow*>(workspace);
  t.window_columns = t.window_rows + rows;
  t.rows = reinterpret_cast<PoolRange*>(t.window_columns + columns);
  t.columns = t.rows + height;
  fill_windows(params, 0, height, extents, t.window_rows);
  fill_windows(params, 1, width, extents, t.window_columns);
  fill_ranges(t.window_rows, rows, height, t.rows);
  fill_ranges(t.window_columns, columns, width, t.columns);
  return t;
}

/// A single window that is the whole of each image, of so few images that each is cut into segments of pixels: their
/// sums are added in order.
struct WholeImages {
  int64_t images, pixels, channels, segments, segment;

  WholeImages(const View& x) : images(x.shape[0]), pixels(x.shape[1] * x.shape[2]), channels(x.shape[3]) {
    segments = std::clamp<int64_t>(pixels * channels / kGrain, 1, std::min(pixels, kMaxSegments));
    segment = (pixels + segments - 1) / segments;
    segments = (pixels + segment - 1) / segment;
  }
  static bool has(const Args<AvgPool2d>& args) {
    const Shape& y = args.out[0].shape;
    return args.params.adaptive && y[1] == 1 && y[2] == 1 && y[0] < kFewRows && !args.params.divisor_override;
  }
  size_t workspace() const { return static_cast<size_t>(images * segments * channels) * sizeof(float); }

  void average(const float* x, float* partial, float* y) const {
    parallel_for(images * segments, [&](int64_t task, int) {
      const int64_t image = task / segments, first = task % segments * segment;
      kernels().gemm->sum_rows(x + (image * pixels + first) * channels, channels, std::min(segment, pixels - first),
                               channels, partial + task * channels);
    });
    for (int64_t image = 0; image < images; ++image) {
      float* mean = y + image * channels;
      kernels().gemm->sum_rows(partial + image * segments * channels, channels, segments, channels, mean);
      for (int64_t c = 0; c < channels; ++c) mean[c] /= static_cast<float>(pixels);
    }
  }
};

using GradientKernel = void (*)(const PoolGradientRow&, float*);

void gather_gradient(const GradientTables& tables, const View& dy, const int32_t* indices, const View& dx,
                     GradientKernel kernel) {
  const int64_t rows = dy.shape[1], columns = dy.shape[2], height = dx.shape[1], width = dx.shape[2];
  const int64_t channels = dx.shape[3];
  each_row(dx.shape[0], height, channels, width * channels,
           [&](int64_t image, int64_t h, int64_t channel, int64_t count) {
             const int64_t first = image * rows * columns * channels + channel;
             const PoolGradientRow row{dy.as<float>() + first,
                                       indices ? indices + first : nullptr,
                                       columns,
                                       channels,
                                       count,
                                       tables.rows[h],
                                       tables.columns,
                                       tables.window_rows,
                                       tables.window_columns,
                                       width,
                                       static_cast<int32_t>(h * width)};
             kernel(row, dx.as<float>() + (image * height + h) * width * channels + channel);
           });
}

/// Windows that do not overlap and cover all but perhaps a last odd row and column.
bool is_plain_2x2(const PoolParams& p) {
  const auto all = [](const IntList& list, int64_t value) {
    return std::all_of(list.begin(), list.end(), [=](int64_t x) { return x == value; });
  };
  return !p.adaptive && all(p.size, 2) && all(p.stride, 2) && all(p.padding, 0) && !p.ceil_mode;
}

void max_gradient_2x2(const View& dy, const View& indices, const View& dx) {
  const int64_t rows = dy.shape[1], columns = dy.shape[2], height = dx.shape[1], width = dx.shape[2];
  const int64_t channels = dx.shape[3], line = width * channels;
  const int64_t grain = std::max<int64_t>(1, kGrain / (2 * line));
  parallel_ranges(dx.shape[0] * rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / rows, p = i % rows;
      float* out = dx.as<float>() + (image * height + 2 * p) * line;
      kernels().pool->max_gradient_2x2(dy.as<float>() + i * columns * channels,
                                       indices.as<int32_t>() + i * columns * channels, columns, channels,
                                       static_cast<int32_t>(2 * p * width), static_cast<int32_t>(width), out, line);
      if (width % 2) {
        std::fill_n(out + line - channels, channels, 0.0f);
        std::fill_n(out + 2 * line - channels, channels, 0.0f);
      }
      if (height % 2 && p == rows - 1) std::fill_n(out + 2 * line, line, 0.0f);
    }
  });
}

}  // namespace

template <>
size_t workspace<MaxPool2d>(const Args<MaxPool2d>& args) {
  return forward_workspace(args.out[0]);
}

template <>
void run<MaxPool2d>(const Args<MaxPool2d>& args) {
  float* y = args.out[0].as<float>();
  pool_forward(args.params, {}, args.in[0], args.out[0], args.workspace,
               [&](const PoolRow& row, int64_t offset) { kernels().pool->max_row(row, y + offset); });
}

template <>
size_t workspace<MaxPool2dWithIndices>(const Args<MaxPool2dWithIndices>& args) {
  return forward_workspace(args.out[0]);
}

template <>
void run<MaxPool2dWithIndices>(const Args<MaxPool2dWithIndices>& args) {
  float* y = args.out[0].as<float>();
  int32_t* indices = args.out[1].as<int32_t>();
  pool_forward(args.params, {}, args.in[0], args.out[0], args.workspace, [&](const PoolRow& row, int64_t offset) {
    kernels().pool->max_row_with_indices(row, y + offset, indices + offset);
  });
}

template <>
size_t workspace<AvgPool2d>(const Args<AvgPool2d>& args) {
  if (WholeImages::has(args)) return WholeImages(args.in[0]).workspace();
  return forward_workspace(args.out[0]);
}

template <>
void run<AvgPool2d>(const Args<AvgPool2d>& args) {
  float* y = args.out[0].as<float>();
  if (WholeImages::has(args)) {
    return WholeImages(args.in[0]).average(args.in[0].as<float>(), reinterpret_cast<float*>(args.workspace), y);
  }
  pool_forward(args.params, Extents::of(args.params), args.in[0], args.out[0], args.workspace,
               [&](const PoolRow& row, int64_t offset) { kernels().pool->avg_row(row, y + offset); });
}

template <>
size_t workspace<MaxPool2dBackward>(const Args<MaxPool2dBackward>& args) {
  return backward_workspace(args.in[0], args.out[0]);
}

template <>
void run<MaxPool2dBackward>(const Args<MaxPool2dBackward>& args) {
  const View &dy = args.in[0], &indices = args.in[1], &dx = args.out[0];
  if (is_plain_2x2(args.params)) return max_gradient_2x2(dy, indices, dx);
  const GradientTables tables = fill_tables(args.params, {}, dy, dx, args.workspace);
  gather_gradient(tables, dy, indices.as<int32_t>(), dx, kernels().pool->max_gradient_row);
}

template <>
size_t workspace<AvgPool2dBackward>(const Args<AvgPool2dBackward>& args) {
  return backward_workspace(args.in[0], args.out[0]);
}

template <>
void run<AvgPool2dBackward>(const Args<AvgPool2dBackward>& args) {
  const View &dy = args.in[0], &dx = args.out[0];
  const GradientTables tables = fill_tables(args.params, Extents::of(args.params), dy, dx, args.workspace);
  gather_gradient(tables, dy, nullptr, dx, kernels().pool->avg_gradient_row);
}

}  // namespace convgrad::cpu
