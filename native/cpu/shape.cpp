// Copies between strided layouts, and the gathers. An op describes where its elements lie on both sides; one routine
// moves them: rows with memcpy, swapped axes in tiles, the rest element by element.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/strided_loop.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 16384;  // elements a task
constexpr int64_t kTile = 64;      // a tile of two swapped axes: 64 x 64 elements fit the L1 cache
constexpr int kFrom = 0, kTo = 1;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
void transpose_tile(const T* x, int64_t x_stride, T* y, int64_t y_stride, int64_t rows, int64_t columns) {
  if constexpr (sizeof(T) == 4) {
    kernels().move->transpose_32(x, x_stride, y, y_stride, rows, columns);
  } else {
    kernels().move->transpose_8(x, x_stride, y, y_stride, rows, columns);
  }
}

/// The innermost axis of `loop` is contiguous in y, and `swapped` is contiguous in x.
template <class T>
void copy_swapped(StridedLoop<2> loop, int swapped, const T* x, T* y) {
  const int inner = loop.rank() - 1;
  const int64_t columns = loop.size(inner), x_stride = loop.stride(kFrom, inner);
  const int64_t rows = loop.size(swapped), y_stride = loop.stride(kTo, swapped);
  loop.remove_axis(inner);
  loop.remove_axis(swapped);
  const int64_t row_tiles = ceil_div(rows, kTile), column_tiles = ceil_div(columns, kTile);
  const int64_t tiles = row_tiles * column_tiles;
  const int64_t tile_size = std::min(rows, kTile) * std::min(columns, kTile);
  parallel_ranges(loop.total() * tiles, ceil_div(kGrain, tile_size), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t r = task % tiles / column_tiles * kTile, c = task % column_tiles * kTile;
      loop.runs(task / tiles, task / tiles + 1, [&](const int64_t(&offsets)[2], int64_t) {
        transpose_tile(x + offsets[kFrom] + c * x_stride + r, x_stride, y + offsets[kTo] + r * y_stride + c, y_stride,
                       std::min(kTile, rows - r), std::min(kTile, columns - c));
      });
    }
  });
}

template <class T>
void copy_strided(const StridedLoop<2>& loop, const T* x, T* y) {
  const int64_t x_step = loop.inner_stride(kFrom), y_step = loop.inner_stride(kTo);
  if (y_step == 1 && x_step != 0 && x_step != 1) {
    for (int axis = 0; axis < loop.rank() - 1; ++axis) {
      if (loop.stride(kFrom, axis) == 1) return copy_swapped(loop, axis, x, y);
    }
  }
  parallel_ranges(loop.total(), kGrain, [&](int64_t begin, int64_t end) {
    loop.runs(begin, end, [&](const int64_t(&offsets)[2], int64_t count) {
      const T* from = x + offsets[kFrom];
      T* to = y + offsets[kTo];
      if (x_step == 1 && y_step == 1 && count >= 16) {
        std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
      } else if (x_step == 0 && y_step == 1) {
        std::fill_n(to, count, *from);
      } else {
        for (int64_t i = 0; i < count; ++i) to[i * y_step] = from[i * x_step];
      }
    });
  });
}

/// Moves elements from x + x_offset to y + y_offset along the axes of `loop`; strides count elements.
void copy_strided(const StridedLoop<2>& loop, const View& x, int64_t x_offset, const View& y, int64_t y_offset) {
  if (size_of(x.dtype) == 4) {
    copy_strided(loop, x.as<const uint32_t>() + x_offset, y.as<uint32_t>() + y_offset);
  } else {
    copy_strided(loop, x.as<const uint8_t>() + x_offset, y.as<uint8_t>() + y_offset);
  }
}

struct DenseStrides : BroadcastStrides {
  explicit DenseStrides(const Shape& shape) : BroadcastStrides(shape, shape) {}
};

void fill(const View& y, double value) {
  const auto fill_with = [&](auto* data, auto element) {
    parallel_ranges(y.size(), kGrain,
                    [&](int64_t begin, int64_t end) { std::fill(data + begin, data + end, element); });
  };
  if (y.dtype == DType::float32) fill_with(y.as<float>(), static_cast<float>(value));
  if (y.dtype == DType::int32) fill_with(y.as<int32_t>(), static_cast<int32_t>(value));
  if (y.dtype == DType::uint8) fill_with(y.as<uint8_t>(), static_cast<uint8_t>(value));
}

/// Throws ERR_VALUE for the first index outside [0, size).
void check_indices(const int32_t* indices, int64_t count, int64_t size) {
  for (int64_t i = 0; i < count; ++i) {
    check(indices[i] >= 0 && indices[i] < size, "ERR_VALUE", "indices[", i, "] is ", indices[i],
          ", wanted an integer from 0 to ", size - 1);
  }
}

}  // namespace

template <>
void run<Transpose>(const Args<Transpose>& args) {
  const View &x = args.in[0], &y = args.out[0];
  const DenseStrides from(x.shape), to(y.shape);
  StridedLoop<2> loop;
  for (int axis = 0; axis < y.shape.rank(); ++axis) {
    loop.add_axis(y.shape[axis], {from[static_cast<int>(args.params.permutation[axis])], to[axis]});
  }
  copy_strided(loop, x, 0, y, 0);
}

template <>
void run<Slice>(const Args<Slice>& args) {
  const View &x = args.in[0], &y = args.out[0];
  const DenseStrides from(x.shape), to(y.shape);
  StridedLoop<2> loop;
  int64_t offset = 0;
  for (int axis = 0; axis < y.shape.rank(); ++axis) {
    offset += args.params.begin[axis] * from[axis];
    loop.add_axis(y.shape[axis], {args.params.strides[axis] * from[axis], to[axis]});
  }
  copy_strided(loop, x, offset, y, 0);
}

template <>
void run<SliceBackward>(const Args<SliceBackward>& args) {
  const View &dy = args.in[0], &dx = args.out[0];
  const DenseStrides from(dy.shape), to(dx.shape);
  StridedLoop<2> loop;
  int64_t offset = 0;
  for (int axis = 0; axis < dy.shape.rank(); ++axis) {
    offset += args.params.begin[axis] * to[axis];
    loop.add_axis(dy.shape[axis], {from[axis], args.params.strides[axis] * to[axis]});
  }
  if (dy.size() < dx.size()) fill(dx, 0);
  copy_strided(loop, dy, 0, dx, offset);
}

template <>
void run<Pad>(const Args<Pad>& args) {
  const View &x = args.in[0], &y = args.out[0];
  const DenseStrides from(x.shape), to(y.shape);
  StridedLoop<2> loop;
  int64_t offset = 0;
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    offset += args.params.before[axis] * to[axis];
    loop.add_axis(x.shape[axis], {from[axis], to[axis]});
  }
  if (x.size() < y.size()) fill(y, args.params.value);
  copy_strided(loop, x, 0, y, offset);
}

template <>
void run<Concat>(const Args<Concat>& args) {
  const View& y = args.out[0];
  const DenseStrides to(y.shape);
  int64_t offset = 0;
  for (const View& x : args.in.list(0)) {
    const DenseStrides from(x.shape);
    StridedLoop<2> loop;
    for (int axis = 0; axis < x.shape.rank(); ++axis) loop.add_axis(x.shape[axis], {from[axis], to[axis]});
    copy_strided(loop, x, 0, y, offset);
    offset += x.shape[args.params.axis] * to[args.params.axis];
  }
}

template <>
void run<BroadcastTo>(const Args<BroadcastTo>& args) {
  const View &x = args.in[0], &y = args.out[0];
  const BroadcastStrides from(x.shape, y.shape), to(y.shape, y.shape);
  StridedLoop<2> loop;
  for (int axis = 0; axis < y.shape.rank(); ++axis) loop.add_axis(y.shape[axis], {from[axis], to[axis]});
  copy_strided(loop, x, 0, y, 0);
}

template <>
void run<Gather>(const Args<Gather>& args) {
  const View &x = args.in[0], &indices = args.in[1], &y = args.out[0];
  const int axis = args.params.axis;
  const int64_t size = x.shape[axis], inner = x.shape.size(axis + 1, x.shape.rank()), count = indices.size();
  const size_t row = static_cast<size_t>(inner) * size_of(x.dtype);
  const int32_t* index = indices.as<int32_t>();
  check_indices(index, count, size);
  const auto* from = x.as<const char>();
  auto* to = y.as<char>();
  parallel_ranges(x.shape.size(0, axis) * count, std::max<int64_t>(1, kGrain / inner), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t source = i / count * size + index[i % count];
      std::memcpy(to + static_cast<size_t>(i) * row, from + static_cast<size_t>(source) * row, row);
    }
  });
}

template <>
void run<GatherBackward>(const Args<GatherBackward>& args) {
  const View &dy = args.in[0], &indices = args.in[1], &dx = args.out[0];
  const int axis = args.params.axis;
  const int64_t size = dx.shape[axis], outer = dx.shape.size(0, axis);
  const int64_t inner = dx.shape.size(axis + 1, dx.shape.rank()), count = indices.size();
  const int32_t* index = indices.as<int32_t>();
  check_indices(index, count, size);
  fill(dx, 0);
  // Rows that add up at the same place must do so in order: tasks split the other axes only.
  const int64_t width = std::clamp(kGrain / std::max(count, size), int64_t{64}, inner < 64 ? int64_t{64} : inner);
  const int64_t blocks = ceil_div(inner, width);
  parallel_for(outer * blocks, [&](int64_t task, int) {
    const int64_t column = task % blocks * width, columns = std::min(width, inner - column);
    const float* from = dy.as<float>() + task / blocks * count * inner + column;
    float* to = dx.as<float>() + task / blocks * size * inner + column;
    for (int64_t i = 0; i < count; ++i) kernels().move->add(from + i * inner, to + index[i] * inner, columns);
  });
}

template <>
void run<OneHot>(const Args<OneHot>& args) {
  const View &indices = args.in[0], &y = args.out[0];
  const int64_t depth = args.params.depth, count = indices.size();
  const int32_t* index = indices.as<int32_t>();
  check_indices(index, count, depth);
  fill(y, 0);
  for (int64_t i = 0; i < count; ++i) y.as<float>()[i * depth + index[i]] = 1;
}

template <>
void run<Cast>(const Args<Cast>& args) {
  const View &x = args.in[0], &y = args.out[0];
  const auto kernel = kernels().move->cast[static_cast<int>(x.dtype)][static_cast<int>(y.dtype)];
  const int64_t x_bytes = static_cast<int64_t>(size_of(x.dtype)), y_bytes = static_cast<int64_t>(size_of(y.dtype));
  parallel_ranges(y.size(), kGrain, [&](int64_t begin, int64_t end) {
    kernel(x.as<const char>() + begin * x_bytes, y.as<char>() + begin * y_bytes, end - begin);
  });
}

}  // namespace convgrad::cpu
