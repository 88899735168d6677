// Reductions over any axes. No axes means all of them.
#pragma once

#include <algorithm>

#include "ops/enums.h"
#include "ops/op.h"

namespace convgrad {

constexpr std::array kReduceNames = {"sum", "mean", "max", "min", "variance", "sumSquares"};
static_assert(kReduceNames.size() == static_cast<size_t>(ReduceFunction::count));
inline EnumNames names_of(ReduceFunction) { return kReduceNames; }

/// Makes the axes positive, ascending and distinct; an empty list becomes all axes. Throws ERR_VALUE.
inline void normalize_axes(const char* op, IntList& axes, int rank) {
  bool chosen[kMaxRank] = {};
  for (int64_t axis : axes) {
    const int resolved = check_axis(op, axis, rank);
    check(!chosen[resolved], "ERR_VALUE", op, ": axis ", resolved, " is named twice");
    chosen[resolved] = true;
  }
  const bool all = axes.size() == 0;
  axes.clear();
  for (int axis = 0; axis < rank; ++axis) {
    if (all || chosen[axis]) axes.push_back(axis);
  }
}

/// The shape after reducing the (normalised) axes.
inline Shape reduced_shape(const Shape& shape, const IntList& axes, bool keep_dims) {
  Shape reduced;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) {
      reduced.push_back(shape[axis]);
    } else if (keep_dims) {
      reduced.push_back(1);
    }
  }
  return reduced;
}

/// float32; sum, max and min of int32 too (a sum wraps around). Accumulates in float64, in an order that the shape
/// alone decides. max and min of values with a NaN among them are NaN.
struct Reduce {
  static constexpr const char* name = "reduce";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};
  static constexpr bool has_workspace = true;

  struct Params {
    ReduceFunction function{};
    IntList axes;
    bool keep_dims = false;
    int64_t correction = 0;  // variance divides by the number of elements less this
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("fn", function);
      visit("axes", axes);
      visit("keepDims", keep_dims);
      visit("correction", correction);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    using enum ReduceFunction;
    const char* op = name_of(params.function);
    const View& x = in[0];
    const bool integers = params.function == sum || params.function == max || params.function == min;
    check(x.dtype == DType::float32 || (x.dtype == DType::int32 && integers), "ERR_DTYPE", op, ": x must be float32",
          integers ? " or int32" : "", ", got ", x.dtype);
    normalize_axes(op, params.axes, x.shape.rank());
    int64_t values = 1;
    for (int64_t axis : params.axes) values *= x.shape[static_cast<int>(axis)];
    check(params.function != variance || values > params.correction, "ERR_VALUE", op,
          ": an unbiased variance needs more than ", params.correction, " value, got ", x.shape, " over ",
          params.axes.size(), " axes");
    return {{x.dtype, reduced_shape(x.shape, params.axes, params.keep_dims)}};
  }
};

enum class ArgReduceFunction { arg_max, arg_min, count };
constexpr std::array kArgReduceNames = {"argMax", "argMin"};
inline EnumNames names_of(ArgReduceFunction) { return kArgReduceNames; }

/// The index of the first largest or smallest value along an axis, as int32. A NaN counts as the largest or smallest.
struct ArgReduce {
  static constexpr const char* name = "argReduce";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    ArgReduceFunction function{};
    int axis = 0;
    bool keep_dims = false;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("fn", function);
      visit("axis", axis);
      visit("keepDims", keep_dims);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const char* op = name_of(params.function);
    const View& x = in[0];
    check_dtype(op, "x", x, DType::float32);
    params.axis = check_axis(op, params.axis, x.shape.rank());
    check(x.shape[params.axis] <= INT32_MAX, "ERR_SHAPE", op, ": axis ", params.axis, " of ", x.shape,
          " is too long for int32 indices");
    IntList axes;
    axes.push_back(params.axis);
    return {{DType::int32, reduced_shape(x.shape, axes, params.keep_dims)}};
  }
};

}  // namespace convgrad
