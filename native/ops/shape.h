// Ops that move elements and compute nothing: for every dtype, unless said otherwise.
#pragma once

#include "ops/binary.h"
#include "ops/op.h"

namespace convgrad {

struct Transpose {
  static constexpr const char* name = "transpose";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    IntList permutation;  // axis i of y is axis permutation[i] of x
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("permutation", permutation);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape& shape = in[0].shape;
    IntList& permutation = params.permutation;
    check(permutation.size() == shape.rank(), "ERR_VALUE", name, ": the permutation must name the ", shape.rank(),
          " axes of ", shape, ", got ", permutation.size());
    bool used[kMaxRank] = {};
    Shape result;
    for (int i = 0; i < permutation.size(); ++i) {
      const int axis = check_axis(name, permutation[i], shape.rank());
      check(!used[axis], "ERR_VALUE", name, ": the permutation names axis ", axis, " twice");
      used[axis] = true;
      permutation[i] = axis;
      result.push_back(shape[axis]);
    }
    return {{in[0].dtype, result}};
  }
};

/// Element i of an axis comes from begin + i · stride; a stride may be negative.
struct Slice {
  static constexpr const char* name = "slice";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    IntList begin, size, strides;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("begin", begin);
      visit("size", size);
      visit("strides", strides);
    }
  };

  static void check_ranges(const char* op, const Params& params, const Shape& shape) {
    for (const IntList* list : {&params.begin, &params.size, &params.strides}) {
      check(list->size() == shape.rank(), "ERR_VALUE", op, ": begin, size and strides need ", shape.rank(),
            " entries for ", shape, ", got ", list->size());
    }
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const int64_t begin = params.begin[axis], size = params.size[axis], stride = params.strides[axis];
      check(size >= 1 && stride != 0, "ERR_VALUE", op, ": on axis ", axis,
            " the size must be at least 1 and the stride not 0, got ", size, " and ", stride);
      const bool fits = begin >= 0 && begin < shape[axis] && size <= shape[axis] &&
                        (size == 1 || (stride > -shape[axis] && stride < shape[axis] &&
                                       begin + (size - 1) * stride >= 0 && begin + (size - 1) * stride < shape[axis]));
      check(fits, "ERR_VALUE", op, ": axis ", axis, " of ", shape, " has no ", size, " elements from ", begin,
            " in steps of ", stride);
    }
  }

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_ranges(name, params, in[0].shape);
    return {{in[0].dtype, Shape(params.size.begin(), params.size.size())}};
  }
};

/// Puts dy back in its place in zeros of the sliced tensor's shape.
struct SliceBackward {
  static constexpr const char* name = "sliceBackward";
  static constexpr std::array operands = {"dy"};
  static constexpr std::array outputs = {"dx"};

  struct Params {
    IntList shape, begin, strides;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("shape", shape);
      visit("begin", begin);
      visit("strides", strides);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape shape(params.shape.begin(), params.shape.size());
    shape.validate(name);
    Slice::Params slice{params.begin, {}, params.strides};
    for (int64_t dim : in[0].shape) slice.size.push_back(dim);
    Slice::check_ranges(name, slice, shape);
    return {{in[0].dtype, shape}};
  }
};

struct Pad {
  static constexpr const char* name = "pad";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    IntList before, after;
    double value = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("before", before);
      visit("after", after);
      visit("value", value);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape& shape = in[0].shape;
    check(params.before.size() == shape.rank() && params.after.size() == shape.rank(), "ERR_VALUE", name,
          ": needs one pair of paddings for each of the ", shape.rank(), " axes of ", shape, ", got ",
          params.before.size());
    check_scalar(name, params.value, in[0].dtype);
    Shape result;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      check(params.before[axis] >= 0 && params.after[axis] >= 0, "ERR_VALUE", name, ": axis ", axis,
            " must not have a negative padding, got ", params.before[axis], " and ", params.after[axis]);
      result.push_back(shape[axis] + params.before[axis] + params.after[axis]);
    }
    result.validate(name);
    return {{in[0].dtype, result}};
  }
};

struct Concat {
  static constexpr const char* name = "concat";
  static constexpr std::array operands = {"xs*"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    int axis = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("axis", axis);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const std::span<const View> xs = in.list(0);
    check(!xs.empty(), "ERR_VALUE", name, ": needs at least one tensor");
    Shape result = xs[0].shape;
    params.axis = check_axis(name, params.axis, result.rank());
    for (size_t i = 1; i < xs.size(); ++i) {
      check(xs[i].dtype == xs[0].dtype, "ERR_DTYPE", name, ": tensor ", i, " is ", xs[i].dtype, ", the first is ",
            xs[0].dtype);
      bool fits = xs[i].shape.rank() == result.rank();
      for (int axis = 0; fits && axis < result.rank(); ++axis) {
        fits = axis == params.axis || xs[i].shape[axis] == result[axis];
      }
      check(fits, "ERR_SHAPE", name, ": tensor ", i, " has shape ", xs[i].shape, ", which differs from the first, ",
            xs[0].shape, ", on another axis than ", params.axis);
      result[params.axis] += xs[i].shape[params.axis];
    }
    result.validate(name);
    return {{xs[0].dtype, result}};
  }
};

struct BroadcastTo {
  static constexpr const char* name = "broadcastTo";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    IntList shape;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("shape", shape);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape shape(params.shape.begin(), params.shape.size());
    shape.validate(name);
    check(broadcasts_to(in[0].shape, shape), "ERR_SHAPE", name, ": ", in[0].shape, " does not broadcast to ", shape);
    return {{in[0].dtype, shape}};
  }
};

/// y[a…, i…, b…] = x[a…, indices[i…], b…]. An index outside [0, size) is an error that the next wait reports.
struct Gather {
  static constexpr const char* name = "gather";
  static constexpr std::array operands = {"x", "indices"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    int axis = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("axis", axis);
    }
  };

  /// x's shape with the axis replaced by the indices' shape.
  static Shape result_shape(const Shape& x, int axis, const Shape& indices) {
    Shape result;
    for (int i = 0; i < axis; ++i) result.push_back(x[i]);
    for (int64_t dim : indices) result.push_back(dim);
    for (int i = axis + 1; i < x.rank(); ++i) result.push_back(x[i]);
    return result;
  }

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "indices", in[1], DType::int32);
    params.axis = check_axis(name, params.axis, in[0].shape.rank());
    return {{in[0].dtype, result_shape(in[0].shape, params.axis, in[1].shape)}};
  }
};

/// Adds dy up at the indices it was gathered from, in the order of the indices.
struct GatherBackward {
  static constexpr const char* name = "gatherBackward";
  static constexpr std::array operands = {"dy", "indices"};
  static constexpr std::array outputs = {"dx"};

  struct Params {
    IntList shape;
    int axis = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("shape", shape);
      visit("axis", axis);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape shape(params.shape.begin(), params.shape.size());
    shape.validate(name);
    check_dtype(name, "dy", in[0], DType::float32);
    check_dtype(name, "indices", in[1], DType::int32);
    params.axis = check_axis(name, params.axis, shape.rank());
    check_shape(name, "dy", in[0], Gather::result_shape(shape, params.axis, in[1].shape));
    return {{DType::float32, shape}};
  }
};

/// float32 y[i…, c] = 1 where c = indices[i…], else 0.
struct OneHot {
  static constexpr const char* name = "oneHot";
  static constexpr std::array operands = {"indices"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    int64_t depth = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("depth", depth);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "indices", in[0], DType::int32);
    check(params.depth >= 1, "ERR_VALUE", name, ": depth must be at least 1, got ", params.depth);
    Shape shape = in[0].shape;
    shape.push_back(params.depth);
    shape.validate(name);
    return {{DType::float32, shape}};
  }
};

/// To integers: towards zero, saturated to the range of the dtype; NaN becomes 0. int32 to float32 rounds to nearest.
struct Cast {
  static constexpr const char* name = "cast";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    DType dtype{};
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("dtype", dtype);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) { return {{params.dtype, in[0].shape}}; }
};

}  // namespace convgrad
