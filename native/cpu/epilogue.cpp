// The way back through activation and bias: one pass over dy. The rows are cut into tasks by their number alone, and
// the tasks' sums are added in order.
#include <algorithm>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kTaskElements = 16384;
constexpr int64_t kMaxTasks = 64;

struct Split {
  int64_t columns, rows, tasks, task_rows;

  explicit Split(const Shape& dy) {
    columns = dy[dy.rank() - 1];
    rows = dy.size() / columns;
    const int64_t wanted = std::clamp<int64_t>(dy.size() / kTaskElements, 1, std::min(rows, kMaxTasks));
    task_rows = (rows + wanted - 1) / wanted;
    tasks = (rows + task_rows - 1) / task_rows;
  }
  size_t workspace() const { return static_cast<size_t>(tasks * columns) * sizeof(float); }
};

/// y and dz are null without an activation.
void backward(const Split& split, const float* dy, const float* y, float* dz, float* dbias, Activation activation,
              float* partial) {
  parallel_for(split.tasks, [&](int64_t task, int) {
    const int64_t first = task * split.task_rows, at = first * split.columns;
    kernels().gemm->epilogue_backward(dy + at, y ? y + at : nullptr, dz ? dz + at : nullptr,
                                      partial + task * split.columns, activation,
                                      std::min(split.task_rows, split.rows - first), split.columns);
  });
  kernels().gemm->sum_rows(partial, split.columns, split.tasks, split.columns, dbias);
}

}  // namespace

template <>
size_t workspace<EpilogueBackward>(const Args<EpilogueBackward>& args) {
  return Split(args.in[0].shape).workspace();
}

template <>
void run<EpilogueBackward>(const Args<EpilogueBackward>& args) {
  backward(Split(args.in[0].shape), args.in[0].as<float>(), args.in[1].as<float>(), args.out[0].as<float>(),
           args.out[1].as<float>(), args.params.activation, reinterpret_cast<float*>(args.workspace));
}

template <>
size_t workspace<BiasBackward>(const Args<BiasBackward>& args) {
  return Split(args.in[0].shape).workspace();
}

template <>
void run<BiasBackward>(const Args<BiasBackward>& args) {
  backward(Split(args.in[0].shape), args.in[0].as<float>(), nullptr, nullptr, args.out[0].as<float>(), Activation::none,
           reinterpret_cast<float*>(args.workspace));
}

}  // namespace convgrad::cpu
