// Transposition of tiles, conversion between dtypes.
#include "cpu/kernels/move.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

/// In blocks of 4 x 4, which every instruction set can transpose in registers; such a loop waits for memory.
void transpose_32(const uint32_t* x, int64_t x_stride, uint32_t* y, int64_t y_stride, int64_t rows, int64_t columns) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      Quad block[4];
      for (int i = 0; i < 4; ++i) block[i] = load<Quad>(x + (c + i) * x_stride + r);
      transpose_quads(block);
      for (int i = 0; i < 4; ++i) store(y + (r + i) * y_stride + c, block[i]);
    }
    for (; c < columns; ++c) {
      for (int64_t i = 0; i < 4; ++i) y[(r + i) * y_stride + c] = x[c * x_stride + r + i];
    }
  }
  for (; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) y[r * y_stride + c] = x[c * x_stride + r];
  }
}

void transpose_8(const uint8_t* x, int64_t x_stride, uint8_t* y, int64_t y_stride, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) y[r * y_stride + c] = x[c * x_stride + r];
  }
}

/// Towards zero, saturated; NaN becomes 0.
CONVGRAD_INLINE int32_t to_int32(float x) {
  const float low = x > -2147483648.0f ? x : -2147483648.0f;  // NaN too
  const int32_t truncated = static_cast<int32_t>(low < 2147483520.0f ? low : 2147483520.0f);
  return x != x ? 0 : (x >= 2147483648.0f ? 2147483647 : truncated);
}
CONVGRAD_INLINE uint8_t to_uint8(float x) {
  const float low = x > 0.0f ? x : 0.0f;
  return static_cast<uint8_t>(static_cast<int32_t>(low < 255.0f ? low : 255.0f));
}

template <class From, class To>
CONVGRAD_INLINE To convert(From x) {
  return static_cast<To>(x);
}
template <>
CONVGRAD_INLINE int32_t convert<float, int32_t>(float x) {
  return to_int32(x);
}
template <>
CONVGRAD_INLINE uint8_t convert<float, uint8_t>(float x) {
  return to_uint8(x);
}
template <>
CONVGRAD_INLINE uint8_t convert<int32_t, uint8_t>(int32_t x) {
  return static_cast<uint8_t>(x < 0 ? 0 : (x > 255 ? 255 : x));
}

template <class From, class To>
void cast(const void* x, void* y, int64_t count) {
  const From* __restrict from = static_cast<const From*>(x);
  To* __restrict to = static_cast<To*>(y);
  for (int64_t i = 0; i < count; ++i) to[i] = convert<From, To>(from[i]);
}

void add(const float* x, float* y, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, load(y + i) + load(x + i));
  for (; i < count; ++i) y[i] += x[i];
}

}  // namespace

#define CONVGRAD_FROM(T) \
  { cast<T, float>, cast<T, int32_t>, cast<T, uint8_t> }

extern const MoveKernels move_kernels;
const MoveKernels move_kernels = {.transpose_32 = transpose_32,
                                  .transpose_8 = transpose_8,
                                  .cast = {CONVGRAD_FROM(float), CONVGRAD_FROM(int32_t), CONVGRAD_FROM(uint8_t)},
                                  .add = add};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
