// Binary functions, comparisons and where. Rows of at least kDirectRow elements go to the micro-kernels as they are;
// operands with shorter ones (a bias of three channels) are first spread out into a block in the L1 cache.
#include <algorithm>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/strided_loop.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 16384;  // elements a task
constexpr int64_t kDirectRow = 32;
constexpr int64_t kBlock = 1024;

/// An operand of a broadcasting op: a tensor, or a number in its place.
struct Operand {
  Operand(const View& view, double scalar, DType dtype) : shape(view.shape), element_bytes(size_of(dtype)) {
    if (view) {
      data = view.data;
      return;
    }
    if (dtype == DType::float32) number.f32 = static_cast<float>(scalar);
    if (dtype == DType::int32) number.i32 = static_cast<int32_t>(scalar);
    if (dtype == DType::uint8) number.u8 = static_cast<uint8_t>(scalar);
  }
  explicit Operand(const View& view) : Operand(view, 0, view.dtype) {}

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
void for_each_row(const Operand (&operands)[N], const Shape& output, Body&& body) {
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
    parallel_ranges(total, kGrain, [&](int64_t begin, int64_t end) {
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
  const int64_t block = kBlock / inner * inner;
  parallel_ranges(total, kGrain / block * block, [&](int64_t begin, int64_t end) {
    alignas(64) char spread_rows[N][kBlock * 4];
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

template <class T, class Y>
void apply(BinaryKernels::Function<T, Y> kernel, const Operand (&operands)[2], const View& y) {
  for_each_row(
      operands, y.shape, [&](const void* const(&p)[2], const int64_t(&step)[2], int64_t offset, int64_t count) {
        kernel(static_cast<const T*>(p[0]), step[0], static_cast<const T*>(p[1]), step[1], y.as<Y>() + offset, count);
      });
}

template <class T>
void apply(BinaryKernels::Select<T> kernel, const Operand (&operands)[3], const View& y) {
  for_each_row(operands, y.shape,
               [&](const void* const(&p)[3], const int64_t(&step)[3], int64_t offset, int64_t count) {
                 kernel(static_cast<const uint8_t*>(p[0]), step[0], static_cast<const T*>(p[1]), step[1],
                        static_cast<const T*>(p[2]), step[2], y.as<T>() + offset, count);
               });
}

}  // namespace

template <>
void run<Binary>(const Args<Binary>& args) {
  const View& y = args.out[0];
  const double scalar = args.params.scalar;
  const Operand operands[2] = {{args.in[0], scalar, y.dtype}, {args.in[1], scalar, y.dtype}};
  const int function = static_cast<int>(args.params.function);
  if (y.dtype == DType::float32) {
    apply<float, float>(kernels().binary->f32[function], operands, y);
  } else {
    apply<int32_t, int32_t>(kernels().binary->i32[function], operands, y);
  }
}

template <>
void run<BinaryBackward>(const Args<BinaryBackward>& args) {
  const auto& p = args.params;
  const auto kernel = kernels().binary->backward[static_cast<int>(p.function)][static_cast<int>(p.side)];
  const Operand operands[3] = {
      {args.in[0], p.scalar, DType::float32}, {args.in[1], p.scalar, DType::float32}, Operand(args.in[2])};
  float* dx = args.out[0].as<float>();
  for_each_row(operands, args.out[0].shape,
               [&](const void* const(&rows)[3], const int64_t(&step)[3], int64_t offset, int64_t count) {
                 kernel(static_cast<const float*>(rows[0]), step[0], static_cast<const float*>(rows[1]), step[1],
                        static_cast<const float*>(rows[2]), dx + offset, count);
               });
}

template <>
void run<Compare>(const Args<Compare>& args) {
  const View& y = args.out[0];
  const double scalar = args.params.scalar;
  const DType dtype = args.in[args.in.has(0) ? 0 : 1].dtype;
  const Operand operands[2] = {{args.in[0], scalar, dtype}, {args.in[1], scalar, dtype}};
  const int function = static_cast<int>(args.params.function);
  switch (dtype) {
    case DType::float32:
      return apply<float, uint8_t>(kernels().binary->compare_f32[function], operands, y);
    case DType::int32:
      return apply<int32_t, uint8_t>(kernels().binary->compare_i32[function], operands, y);
    case DType::uint8:
      return apply<uint8_t, uint8_t>(kernels().binary->compare_u8[function], operands, y);
  }
}

template <>
void run<Where>(const Args<Where>& args) {
  const View& y = args.out[0];
  const Operand operands[3] = {
      Operand(args.in[0]), {args.in[1], args.params.scalar_a, y.dtype}, {args.in[2], args.params.scalar_b, y.dtype}};
  if (y.dtype == DType::uint8) {
    apply<uint8_t>(kernels().binary->select_8, operands, y);
  } else {
    apply<uint32_t>(kernels().binary->select_32, operands, y);
  }
}

}  // namespace convgrad::cpu
