// Rows of operands that broadcast against each other. Rows of at least kDirectRow elements go to the micro-kernels as
// they are; operands with shorter ones (a bias of three channels) are first spread out into a block in the L1 cache.
#pragma once

#include <algorithm>

#include "cpu/strided_loop.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

constexpr int64_t kRowGrain = 16384;  // elements a task
constexpr int64_t kDirectRow = 32;
constexpr int64_t kSpreadBlock = 1024;

/// An operand of a broadcasting op: a tensor, or a number in its place.
struct RowOperand {
  RowOperand(const View& view, double scalar, DType dtype) : shape(view.shape), element_bytes(size_of(dtype)) {
    if (view) {
      data = view.data;
      return;
    }
    if (dtype == DType::float32) number.f32 = static_cast<float>(scalar);
    if (dtype == DType::int32) number.i32 = static_cast<int32_t>(scalar);
    if (dtype == DType::uint8) number.u8 = static_cast<uint8_t>(scalar);
  }
  explicit RowOperand(const View& view) : RowOperand(view, 0, view.dtype) {}

  const char* base() const { return static_cast<const char*>(data ? data : &number); }

  const void* data = nullptr;
  Shape shape;
  size_t element_bytes;
  union {
    float f32;
    int32_t i32;
    uint8_t u8;
  } number{};
};

template <class T>
void spread(const T* source, int64_t stride, T* destination, int64_t count) {
  for (int64_t i = 0; i < count; ++i) destination[i] = source[i * stride];
}

/// Calls `body(pointers, steps, offset, count)` for rows that together cover the output once: `pointers[n]` is where
/// operand n's row starts, `steps[n]` is 1 or 0, `offset` is the row's place in the output.
template <int N, class Body>
void for_each_row(const RowOperand (&operands)[N], const Shape& output, Body&& body) {
  int64_t dense[N];  // whether operand n is laid out as the output is
  StridedLoop<N> loop;
  for (int axis = 0; axis < output.rank(); ++axis) {
    int64_t strides[N];
    for (int n = 0; n < N; ++n) strides[n] = BroadcastStrides(operands[n].shape, output)[axis];
    loop.add_axis(output[axis], strides);
  }
  for (int n = 0; n < N; ++n) dense[n] = operands[n].shape.size() == output.size();

  const int64_t total = output.size(), inner = loop.inner_size();
  const auto address = [&](int n, int64_t offset) {
    return operands[n].base() + offset * static_cast<int64_t>(operands[n].element_bytes);
  };
  if (loop.rank() <= 1 || inner >= kDirectRow) {
    parallel_ranges(total, kRowGrain, [&](int64_t begin, int64_t end) {
      int64_t position = begin;
      loop.runs(begin, end, [&](const int64_t(&offsets)[N], int64_t count) {
        const void* pointers[N];
        int64_t steps[N];
        for (int n = 0; n < N; ++n) {
          pointers[n] = address(n, offsets[n]);
          steps[n] = loop.inner_stride(n);
        }
        body(pointers, steps, position, count);
        position += count;
      });
    });
    return;
  }

  // Blocks of whole rows; an operand that repeats on all axes but the innermost is spread once for all of them.
  bool periodic[N];
  for (int n = 0; n < N; ++n) {
    periodic[n] = true;
    for (int axis = 0; axis < loop.rank() - 1; ++axis) periodic[n] &= loop.stride(n, axis) == 0;
  }
  const int64_t block = kSpreadBlock / inner * inner;
  parallel_ranges(total, kRowGrain / block * block, [&](int64_t begin, int64_t end) {
    alignas(64) char spread_rows[N][kSpreadBlock * 4];
    for (int64_t start = begin; start < end; start += block) {
      const int64_t stop = std::min(start + block, end);
      const void* pointers[N];
      int64_t steps[N];
      bool gather[N];
      for (int n = 0; n < N; ++n) {
        const bool single = periodic[n] && loop.inner_stride(n) == 0;
        steps[n] = !single;
        pointers[n] = dense[n] ? address(n, start) : single ? address(n, 0) : spread_rows[n];
        gather[n] = !dense[n] && !single && !(periodic[n] && start > begin);
      }
      int64_t position = 0;
      loop.runs(start, stop, [&](const int64_t(&offsets)[N], int64_t count) {
        for (int n = 0; n < N; ++n) {
          if (!gather[n]) continue;
          const int64_t stride = loop.inner_stride(n);
          if (operands[n].element_bytes == 4) {
            spread(reinterpret_cast<const uint32_t*>(address(n, offsets[n])), stride,
                   reinterpret_cast<uint32_t*>(spread_rows[n]) + position, count);
          } else {
            spread(reinterpret_cast<const uint8_t*>(address(n, offsets[n])), stride,
                   reinterpret_cast<uint8_t*>(spread_rows[n]) + position, count);
          }
        }
        position += count;
      });
      body(pointers, steps, start, stop - start);
    }
  });
}

}  // namespace convgrad::cpu
