// Reductions: the axes are sorted into kept and reduced ones and merged. Where the innermost axis is reduced, rows are
// added up; where it is kept, columns. A long reduction is cut into chunks whose totals (float64, in the workspace) are
// combined in order, so that the result depends on the shape alone.
#include <algorithm>

#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/strided_loop.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 32768;       // elements a task
constexpr int64_t kColumnBlock = 1024;  // columns a task: their totals stay in the L1 cache

struct Plan {
  StridedLoop<1> kept;     // places of the results in x; in column mode without the innermost axis
  StridedLoop<1> reduced;  // in row mode without the innermost axis
  bool row_mode = true;
  int64_t inner = 1;      // length of the innermost axis
  int64_t outputs = 1;    // results
  int64_t values = 1;     // values for each
  int64_t segment = 1;    // row mode: a row is cut into segments of this many values
  int64_t segments = 1;   // row mode: segments a row
  int64_t per_chunk = 1;  // rows (column mode) or segments (row mode) of a chunk
  int64_t chunks = 1;

  Plan(const Shape& shape, const IntList& axes) {
    int64_t stride = shape.size();
    for (int axis = 0; axis < shape.rank(); ++axis) {
      stride /= shape[axis];
      const bool is_reduced = std::find(axes.begin(), axes.end(), axis) != axes.end();
      (is_reduced ? reduced : kept).add_axis(shape[axis], {stride});
    }
    outputs = kept.total();
    values = reduced.total();
    row_mode = !(kept.rank() && kept.inner_stride(0) == 1);
    StridedLoop<1>& rows = row_mode ? reduced : kept;
    inner = rows.inner_size();
    if (rows.rank()) rows.remove_axis(rows.rank() - 1);
    if (row_mode) {
      segment = std::min(inner, kGrain);
      segments = (inner + segment - 1) / segment;
      per_chunk = std::max<int64_t>(1, kGrain / segment);
      chunks = (reduced.total() * segments + per_chunk - 1) / per_chunk;
    } else {
      per_chunk = std::max<int64_t>(1, kGrain / std::min(inner, kColumnBlock));
      chunks = (values + per_chunk - 1) / per_chunk;
    }
  }
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Fills totals[chunk][output].
template <class T>
void accumulate(const Plan& plan, const T* x, Accumulation f, ReduceKernels::Row<T> row,
                ReduceKernels::Columns<T> columns, const double* centers, double* totals) {
  const double identity = f == Accumulation::max ? -__builtin_inf() : f == Accumulation::min ? __builtin_inf() : 0;
  const auto combine = [f](double a, double b) {
    if (f == Accumulation::max) return b > a || b != b ? b : a;
    if (f == Accumulation::min) return b < a || b != b ? b : a;
    return a + b;
  };
  if (plan.row_mode) {
    // A task is one chunk of one output, or several short outputs.
    const int64_t group = plan.chunks > 1 ? 1 : std::max<int64_t>(1, kGrain / plan.values);
    const int64_t groups = ceil_div(plan.outputs, group), all = plan.reduced.total() * plan.segments;
    parallel_for(groups * plan.chunks, [&](int64_t task, int) {
      const int64_t chunk = task / groups, first = task % groups * group;
      const int64_t begin = chunk * plan.per_chunk, end = std::min(begin + plan.per_chunk, all);
      int64_t output = first;
      plan.kept.runs(first, std::min(first + group, plan.outputs), [&](const int64_t(&at)[1], int64_t count) {
        for (int64_t k = 0; k < count; ++k, ++output) {
          const T* start = x + at[0] + k * plan.kept.inner_stride(0);
          const double center = centers ? centers[output] : 0;
          double total = identity;
          // Rows whole, but for those that are cut into segments.
          plan.reduced.runs(begin / plan.segments, ceil_div(end, plan.segments),
                            [&](const int64_t(&offset)[1], int64_t rows) {
                              for (int64_t r = 0; r < rows; ++r) {
                                const T* values = start + offset[0] + r * plan.reduced.inner_stride(0);
                                const int64_t skip = plan.segments > 1 ? begin % plan.segments * plan.segment : 0;
                                const int64_t length = std::min(plan.segment, plan.inner - skip);
                                total = combine(total, row(values + skip, length, center));
                              }
                            });
          totals[chunk * plan.outputs + output] = total;
        }
      });
    });
    return;
  }
  // A task is one chunk of rows of one block of columns, or of several of them where they are short.
  const int64_t blocks = ceil_div(plan.inner, kColumnBlock), outer = plan.outputs / plan.inner;
  const int64_t group = plan.chunks > 1 || blocks > 1 ? 1 : std::max<int64_t>(1, kGrain / (plan.values * plan.inner));
  const int64_t groups = ceil_div(outer, group);
  parallel_for(groups * blocks * plan.chunks, [&](int64_t task, int) {
    const int64_t chunk = task / (groups * blocks), block = task / groups % blocks, first = task % groups * group;
    const int64_t column = block * kColumnBlock, count = std::min(kColumnBlock, plan.inner - column);
    const int64_t begin = chunk * plan.per_chunk, end = std::min(begin + plan.per_chunk, plan.values);
    int64_t index = first;
    plan.kept.runs(first, std::min(first + group, outer), [&](const int64_t(&at)[1], int64_t places) {
      for (int64_t k = 0; k < places; ++k, ++index) {
        const T* start = x + at[0] + k * plan.kept.inner_stride(0) + column;
        const int64_t output = index * plan.inner + column;
        double* acc = totals + chunk * plan.outputs + output;
        std::fill_n(acc, count, identity);
        plan.reduced.runs(begin, end, [&](const int64_t(&offset)[1], int64_t rows) {
          columns(start + offset[0], rows, plan.reduced.inner_stride(0), count, centers ? centers + output : nullptr,
                  acc);
        });
      }
    });
  });
}

template <class T>
struct KernelsOf;
template <>
struct KernelsOf<float> {
  static auto row(Accumulation f) { return kernels().reduce->row_f32[static_cast<int>(f)]; }
  static auto columns(Accumulation f) { return kernels().reduce->columns_f32[static_cast<int>(f)]; }
  static float result(double value) { return static_cast<float>(value); }
};
template <>
struct KernelsOf<int32_t> {
  static auto row(Accumulation f) { return kernels().reduce->row_i32[static_cast<int>(f)]; }
  static auto columns(Accumulation f) { return kernels().reduce->columns_i32[static_cast<int>(f)]; }
  /// Modulo 2^32. Sums of up to 2^22 of the largest integers are exact in a double, and far more of usual ones.
  static int32_t result(double value) {
    return static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(value)));
  }
};

/// Accumulates and combines the chunks: totals[0 .. outputs) holds the results afterwards.
template <class T>
void reduce(const Plan& plan, const T* x, Accumulation f, const double* centers, double* totals) {
  accumulate<T>(plan, x, f, KernelsOf<T>::row(f), KernelsOf<T>::columns(f), centers, totals);
  if (plan.chunks == 1) return;
  parallel_ranges(plan.outputs, std::max<int64_t>(1, kGrain / plan.chunks), [&](int64_t begin, int64_t end) {
    for (int64_t chunk = 1; chunk < plan.chunks; ++chunk) {
      const double* part = totals + chunk * plan.outputs;
      for (int64_t i = begin; i < end; ++i) {
        if (f == Accumulation::max) {
          if (part[i] > totals[i] || part[i] != part[i]) totals[i] = part[i];
        } else if (f == Accumulation::min) {
          if (part[i] < totals[i] || part[i] != part[i]) totals[i] = part[i];
        } else {
          totals[i] += part[i];
        }
      }
    }
  });
}

Accumulation accumulation_of(ReduceFunction function) {
  switch (function) {
    case ReduceFunction::max:
      return Accumulation::max;
    case ReduceFunction::min:
      return Accumulation::min;
    case ReduceFunction::variance:
      return Accumulation::sum_squared_deviations;
    case ReduceFunction::sum_squares:
      return Accumulation::sum_squares;
    default:
      return Accumulation::sum;
  }
}

template <class T>
void run_reduce(const Args<Reduce>& args) {
  const auto& p = args.params;
  const Plan plan(args.in[0].shape, p.axes);
  const T* x = args.in[0].as<T>();
  T* y = args.out[0].as<T>();
  auto* totals = reinterpret_cast<double*>(args.workspace);
  const double* centers = nullptr;
  double divisor = 1;
  if (p.function == ReduceFunction::mean) divisor = static_cast<double>(plan.values);
  if (p.function == ReduceFunction::variance) {
    // Two passes: the mean first, then the squares of the deviations from it.
    double* means = totals;
    totals += plan.outputs * plan.chunks;
    reduce<T>(plan, x, Accumulation::sum, nullptr, means);
    for (int64_t i = 0; i < plan.outputs; ++i) means[i] /= static_cast<double>(plan.values);
    centers = means;
    divisor = static_cast<double>(plan.values - p.correction);
  }
  reduce<T>(plan, x, accumulation_of(p.function), centers, totals);
  for (int64_t i = 0; i < plan.outputs; ++i) y[i] = KernelsOf<T>::result(totals[i] / divisor);
}

}  // namespace

template <>
size_t workspace<Reduce>(const Args<Reduce>& args) {
  const Plan plan(args.in[0].shape, args.params.axes);
  const int64_t arrays = args.params.function == ReduceFunction::variance ? 2 : 1;
  return static_cast<size_t>(arrays * plan.outputs * plan.chunks) * sizeof(double);
}

template <>
void run<Reduce>(const Args<Reduce>& args) {
  if (args.in[0].dtype == DType::float32) {
    run_reduce<float>(args);
  } else {
    run_reduce<int32_t>(args);
  }
}

template <>
void run<ArgReduce>(const Args<ArgReduce>& args) {
  const auto& p = args.params;
  const Shape& shape = args.in[0].shape;
  const int64_t outer = shape.size(0, p.axis), length = shape[p.axis], inner = shape.size(p.axis + 1, shape.rank());
  const float* x = args.in[0].as<float>();
  int32_t* y = args.out[0].as<int32_t>();
  const int function = static_cast<int>(p.function);
  if (inner == 1) {
    const auto kernel = kernels().reduce->arg_row[function];
    parallel_ranges(outer, std::max<int64_t>(1, kGrain / length), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) y[row] = kernel(x + row * length, length);
    });
    return;
  }
  const auto kernel = kernels().reduce->arg_columns[function];
  const int64_t blocks = ceil_div(inner, kColumnBlock);
  parallel_for(outer * blocks, [&](int64_t task, int) {
    float best[kColumnBlock];
    const int64_t i = task / blocks, column = task % blocks * kColumnBlock;
    kernel(x + i * length * inner + column, length, inner, std::min(kColumnBlock, inner - column), best,
           y + i * inner + column);
  });
}

}  // namespace convgrad::cpu
