// softmax and log softmax over one axis.
#pragma once

#include "ops/op.h"

namespace convgrad {

struct SoftmaxParams {
  int64_t axis = -1;
  bool logarithm = false;
  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("axis", axis);
    visit("logarithm", logarithm);
  }
};

/// y = exp(x) / Σ exp(x) along the axis, or its logarithm; stable for any finite x.
struct Softmax {
  static constexpr const char* name = "softmax";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};
  using Params = SoftmaxParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "x", in[0], DType::float32);
    check(in[0].shape.rank() >= 1, "ERR_SHAPE", name, ": x must have at least 1 dimension, got ", in[0].shape);
    params.axis = check_axis(name, params.axis, in[0].shape.rank());
    return {{DType::float32, in[0].shape}};
  }
};

struct SoftmaxBackward {
  static constexpr const char* name = "softmaxBackward";
  static constexpr std::array operands = {"y", "dy"};
  static constexpr std::array outputs = {"dx"};
  using Params = SoftmaxParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "y", in[0], DType::float32);
    check_dtype(name, "dy", in[1], DType::float32);
    check_shape(name, "dy", in[1], in[0].shape);
    params.axis = check_axis(name, params.axis, in[0].shape.rank());
    return {{DType::float32, in[0].shape}};
  }
};

}  // namespace convgrad
