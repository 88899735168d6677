// Ops on two operands that broadcast against each other as in NumPy: shapes are aligned at the last axis, and an axis
// of size 1 (or a missing one) repeats. Either operand may be a number instead of a tensor: the absent one is `scalar`.
#pragma once

#include <cmath>

#include "ops/enums.h"
#include "ops/op.h"

namespace convgrad {

constexpr std::array kBinaryNames = {"add", "sub", "mul", "div", "pow", "maximum", "minimum"};
static_assert(kBinaryNames.size() == static_cast<size_t>(BinaryFunction::count));
inline EnumNames names_of(BinaryFunction) { return kBinaryNames; }

constexpr std::array kCompareNames = {"equal", "notEqual", "greater", "greaterEqual", "less", "lessEqual"};
static_assert(kCompareNames.size() == static_cast<size_t>(CompareFunction::count));
inline EnumNames names_of(CompareFunction) { return kCompareNames; }

constexpr std::array kSideNames = {"a", "b"};
inline EnumNames names_of(Side) { return kSideNames; }

/// The shape that a and b broadcast to. Throws ERR_SHAPE, naming both, where an axis differs and neither is 1.
inline Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
  Shape shape;
  for (int axis = 0; axis < rank; ++axis) {
    const int i = axis - (rank - a.rank()), j = axis - (rank - b.rank());
    const int64_t da = i < 0 ? 1 : a[i], db = j < 0 ? 1 : b[j];
    check(da == db || da == 1 || db == 1, "ERR_SHAPE", op, ": shapes ", a, " and ", b, " do not broadcast: axis ", axis,
          " has sizes ", da, " and ", db);
    shape.push_back(da == 1 ? db : da);
  }
  return shape;
}

/// Whether `from` broadcasts to exactly `to`.
inline bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank()) return false;
  for (int axis = 0; axis < from.rank(); ++axis) {
    const int64_t dim = to[axis + to.rank() - from.rank()];
    if (from[axis] != dim && from[axis] != 1) return false;
  }
  return true;
}

/// Throws unless a number can stand in for a tensor of this dtype without changing its value.
inline void check_scalar(const char* op, double scalar, DType dtype) {
  if (dtype == DType::float32) return;
  const double low = dtype == DType::int32 ? INT32_MIN : 0, high = dtype == DType::int32 ? INT32_MAX : UINT8_MAX;
  check(std::trunc(scalar) == scalar && scalar >= low && scalar <= high, "ERR_VALUE", op, ": ", scalar, " is no ",
        dtype, "; cast the tensor to float32 first");
}

/// The dtype of two operands, one of which may be a number.
inline DType common_dtype(const char* op, const Views& in, int a, int b, double scalar) {
  check(in.has(a) || in.has(b), "ERR_VALUE", op, ": at least one operand must be a tensor");
  if (in.has(a) && in.has(b)) {
    check(in[a].dtype == in[b].dtype, "ERR_DTYPE", op, ": a is ", in[a].dtype, " and b is ", in[b].dtype,
          "; cast one of them");
    return in[a].dtype;
  }
  const DType dtype = in[in.has(a) ? a : b].dtype;
  check_scalar(op, scalar, dtype);
  return dtype;
}

/// float32, and int32 for all but div and pow. int32 arithmetic wraps around.
struct Binary {
  static constexpr const char* name = "binary";
  static constexpr std::array operands = {"a?", "b?"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    BinaryFunction function{};
    double scalar = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("fn", function);
      visit("scalar", scalar);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const char* op = name_of(params.function);
    const DType dtype = common_dtype(op, in, 0, 1, params.scalar);
    const bool float_only = params.function == BinaryFunction::div || params.function == BinaryFunction::pow;
    check(dtype == DType::float32 || (dtype == DType::int32 && !float_only), "ERR_DTYPE", op,
          ": operands must be float32", float_only ? "" : " or int32", ", got ", dtype);
    return {{dtype, broadcast_shapes(op, in[0].shape, in[1].shape)}};
  }
};

/// The gradient for one operand of div, pow, maximum and minimum before it is summed over the broadcast axes:
///   div       a: dy / b                  b: -dy a / b²
///   pow       a: dy b a^(b-1)            b: dy a^b ln a, and 0 where a = 0
///   maximum   dy where the operand is larger, half of it where both are equal
struct BinaryBackward {
  static constexpr const char* name = "binaryBackward";
  static constexpr std::array operands = {"a?", "b?", "dy"};
  static constexpr std::array outputs = {"dx"};

  struct Params {
    BinaryFunction function{};
    Side side{};
    double scalar = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("fn", function);
      visit("side", side);
      visit("scalar", scalar);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check(params.function >= BinaryFunction::div, "ERR_VALUE", name, ": ", name_of(params.function),
          " has a gradient that needs no kernel");
    common_dtype(name, in, 0, 1, params.scalar);
    check_dtype(name, "dy", in[2], DType::float32);
    check_shape(name, "dy", in[2], broadcast_shapes(name, in[0].shape, in[1].shape));
    return {{DType::float32, in[2].shape}};
  }
};

/// 1 where the comparison holds, else 0. Comparisons with NaN are false, but for notEqual.
struct Compare {
  static constexpr const char* name = "compare";
  static constexpr std::array operands = {"a?", "b?"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    CompareFunction function{};
    double scalar = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("fn", function);
      visit("scalar", scalar);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const char* op = name_of(params.function);
    common_dtype(op, in, 0, 1, params.scalar);
    return {{DType::uint8, broadcast_shapes(op, in[0].shape, in[1].shape)}};
  }
};

/// a where the condition is not 0, else b; all three broadcast.
struct Where {
  static constexpr const char* name = "where";
  static constexpr std::array operands = {"condition", "a?", "b?"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    double scalar_a = 0;  // stands in for an absent a
    double scalar_b = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("scalarA", scalar_a);
      visit("scalarB", scalar_b);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "condition", in[0], DType::uint8);
    const DType dtype = common_dtype(name, in, 1, 2, in.has(1) ? params.scalar_b : params.scalar_a);
    return {{dtype, broadcast_shapes(name, in[0].shape, broadcast_shapes(name, in[1].shape, in[2].shape))}};
  }
};

}  // namespace convgrad
