// Resizing: tables of taps of each axis, then rows of the result (forward) or of the input (backward) in parallel.
#include "ops/resize.h"

#include <algorithm>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 8192;  // elements a task

void fill_taps(const ResizeParams& p, int64_t input, int64_t output, ResizeTap* taps) {
  for (int64_t i = 0; i < output; ++i) {
    const ResizeSource source = resize_source(p, i, input, output);
    taps[i] = {source.low, source.high, source.weight};
  }
}

/// Which elements of the result each element of the input is a part of: ranges, since taps only ever move on.
void fill_ranges(const ResizeTap* taps, int64_t input, int64_t output, ResizeRange* ranges) {
  int32_t begin = 0, end = 0;
  for (int64_t i = 0; i < input; ++i) {
    while (begin < output && taps[begin].high < i) ++begin;
    while (end < output && taps[end].low <= i) ++end;
    ranges[i] = {begin, end};
  }
}

int64_t rows_a_task(int64_t width, int64_t channels) { return std::max<int64_t>(1, kGrain / (width * channels)); }

}  // namespace

template <>
size_t workspace<Resize>(const Args<Resize>& args) {
  return static_cast<size_t>(args.out[0].shape[1] + args.out[0].shape[2]) * sizeof(ResizeTap);
}

template <>
void run<Resize>(const Args<Resize>& args) {
  const View &x = args.in[0], &y = args.out[0];
  const int64_t height = x.shape[1], width = x.shape[2], channels = x.shape[3];
  const int64_t rows = y.shape[1], columns = y.shape[2];
  auto* row_taps = reinterpret_cast<ResizeTap*>(args.workspace);
  auto* column_taps = row_taps + rows;
  fill_taps(args.params, height, rows, row_taps);
  fill_taps(args.params, width, columns, column_taps);

  const auto kernel = kernels().resize->row[x.dtype == DType::uint8];
  const auto* images = x.as<std::byte>();
  const int64_t image_bytes = height * width * channels * static_cast<int64_t>(size_of(x.dtype));
  parallel_ranges(x.shape[0] * rows, rows_a_task(columns, channels), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const ResizeRow row{images + i / rows * image_bytes, width, channels, columns, row_taps + i % rows, column_taps};
      kernel(row, y.as<float>() + i * columns * channels);
    }
  });
}

template <>
size_t workspace<ResizeBackward>(const Args<ResizeBackward>& args) {
  const Shape &dy = args.in[0].shape, &dx = args.out[0].shape;
  return static_cast<size_t>(dy[1] + dy[2]) * sizeof(ResizeTap) +
         static_cast<size_t>(dx[1] + dx[2]) * sizeof(ResizeRange);
}

template <>
void run<ResizeBackward>(const Args<ResizeBackward>& args) {
  const View &dy = args.in[0], &dx = args.out[0];
  const int64_t rows = dy.shape[1], columns = dy.shape[2], channels = dy.shape[3];
  const int64_t height = dx.shape[1], width = dx.shape[2];
  auto* row_taps = reinterpret_cast<ResizeTap*>(args.workspace);
  auto* column_taps = row_taps + rows;
  auto* row_ranges = reinterpret_cast<ResizeRange*>(column_taps + columns);
  auto* column_ranges = row_ranges + height;
  fill_taps(args.params, height, rows, row_taps);
  fill_taps(args.params, width, columns, column_taps);
  fill_ranges(row_taps, height, rows, row_ranges);
  fill_ranges(column_taps, width, columns, column_ranges);

  const int64_t elements_a_row = std::max(width, rows * columns / height) * channels;
  parallel_ranges(dx.shape[0] * height, rows_a_task(1, elements_a_row), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t h = i % height;
      const ResizeRow row{dy.as<float>() + i / height * rows * columns * channels,
                          columns,
                          channels,
                          width,
                          row_taps,
                          column_taps,
                          static_cast<int32_t>(h),
                          row_ranges[h],
                          column_ranges};
      kernels().resize->gradient_row(row, dx.as<float>() + i * width * channels);
    }
  });
}

}  // namespace convgrad::cpu
