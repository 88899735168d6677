// Binary functions, comparisons and where: a micro-kernel for every row.
#include "cpu/isa.h"
#include "cpu/rows.h"
#include "cpu/run.h"

namespace convgrad::cpu {

namespace {

template <class T, class Y>
void apply(BinaryKernels::Function<T, Y> kernel, const RowOperand (&operands)[2], const View& y) {
  for_each_row(
      operands, y.shape, [&](const void* const(&p)[2], const int64_t(&step)[2], int64_t offset, int64_t count) {
        kernel(static_cast<const T*>(p[0]), step[0], static_cast<const T*>(p[1]), step[1], y.as<Y>() + offset, count);
      });
}

template <class T>
void apply(BinaryKernels::Select<T> kernel, const RowOperand (&operands)[3], const View& y) {
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
  const RowOperand operands[2] = {{args.in[0], scalar, y.dtype}, {args.in[1], scalar, y.dtype}};
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
  const RowOperand operands[3] = {
      {args.in[0], p.scalar, DType::float32}, {args.in[1], p.scalar, DType::float32}, RowOperand(args.in[2])};
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
  const RowOperand operands[2] = {{args.in[0], scalar, dtype}, {args.in[1], scalar, dtype}};
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
  const RowOperand operands[3] = {
      RowOperand(args.in[0]), {args.in[1], args.params.scalar_a, y.dtype}, {args.in[2], args.params.scalar_b, y.dtype}};
  if (y.dtype == DType::uint8) {
    apply<uint8_t>(kernels().binary->select_8, operands, y);
  } else {
    apply<uint32_t>(kernels().binary->select_32, operands, y);
  }
}

}  // namespace convgrad::cpu
