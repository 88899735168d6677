// softmax over [outer, size, inner]: along rows where inner is 1, else along columns, with the vectors across them.
#include "ops/softmax.h"

#include <algorithm>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 8192;        // elements a task, about
constexpr int64_t kColumnsChunk = 256;  // columns a task

struct Axis {
  Axis(const Shape& shape, int64_t axis)
      : outer(shape.size(0, static_cast<int>(axis))),
        size(shape[static_cast<int>(axis)]),
        inner(shape.size(static_cast<int>(axis) + 1, shape.rank())) {}
  int64_t outer, size, inner;
};

/// Calls rows(offset, count), or columns(offset, count) for parts of the columns.
template <class Rows, class Columns>
void split(const Axis& axis, Rows&& rows, Columns&& columns) {
  if (axis.inner == 1) {
    parallel_ranges(axis.outer, std::max<int64_t>(1, kGrain / axis.size),
                    [&](int64_t begin, int64_t end) { rows(begin * axis.size, end - begin); });
    return;
  }
  const int64_t chunks = (axis.inner + kColumnsChunk - 1) / kColumnsChunk;
  parallel_for(axis.outer * chunks, [&](int64_t task, int) {
    const int64_t begin = task % chunks * kColumnsChunk;
    columns(task / chunks * axis.size * axis.inner + begin, std::min(kColumnsChunk, axis.inner - begin));
  });
}

}  // namespace

template <>
void run<Softmax>(const Args<Softmax>& args) {
  const Axis axis(args.in[0].shape, args.params.axis);
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  const SoftmaxKernels& k = *kernels().softmax;
  const bool log = args.params.logarithm;
  split(
      axis, [&](int64_t offset, int64_t rows) { k.rows[log](x + offset, rows, axis.size, y + offset); },
      [&](int64_t offset, int64_t count) { k.columns[log](x + offset, axis.size, axis.inner, count, y + offset); });
}

template <>
void run<SoftmaxBackward>(const Args<SoftmaxBackward>& args) {
  const Axis axis(args.in[0].shape, args.params.axis);
  const float* y = args.in[0].as<float>();
  const float* dy = args.in[1].as<float>();
  float* dx = args.out[0].as<float>();
  const SoftmaxKernels& k = *kernels().softmax;
  const bool log = args.params.logarithm;
  split(
      axis,
      [&](int64_t offset, int64_t rows) {
        k.rows_gradient[log](y + offset, dy + offset, rows, axis.size, dx + offset);
      },
      [&](int64_t offset, int64_t count) {
        k.columns_gradient[log](y + offset, dy + offset, axis.size, axis.inner, count, dx + offset);
      });
}

}  // namespace convgrad::cpu
