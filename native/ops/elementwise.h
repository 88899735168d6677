// Ops whose output element depends on the operands' elements at the same place.
#pragma once

#include "ops/enums.h"
#include "ops/op.h"

namespace convgrad {

constexpr std::array kUnaryNames = {
    "relu",   "relu6",    "leakyRelu", "sigmoid", "tanh",       "silu", "hardSilu", "hardSigmoid",
    "gelu",   "geluTanh", "softplus",  "elu",     "exp",        "log",  "sqrt",     "rsqrt",
    "square", "neg",      "abs",       "clip",    "reciprocal", "sign",
};
static_assert(kUnaryNames.size() == static_cast<size_t>(UnaryFunction::count));
inline EnumNames names_of(UnaryFunction) { return kUnaryNames; }

struct Unary {
  static constexpr const char* name = "unary";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    UnaryFunction function{};
    float alpha = 0;
    float beta = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("fn", function);
      visit("alpha", alpha);
      visit("beta", beta);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name_of(params.function), "x", in[0], DType::float32);
    return {{DType::float32, in[0].shape}};
  }
};

/// dx = dy · f'(x). `saved` is the function's input or its output, whichever kSavesOutput says.
struct UnaryBackward {
  static constexpr const char* name = "unaryBackward";
  static constexpr std::array operands = {"saved", "dy"};
  static constexpr std::array outputs = {"dx"};
  using Params = Unary::Params;

  /// Functions whose derivative follows from the output alone, so that the input need not be kept.
  static constexpr bool saves_output(UnaryFunction f) {
    using enum UnaryFunction;
    return f == relu || f == relu6 || f == sigmoid || f == UnaryFunction::tanh || f == UnaryFunction::exp ||
           f == UnaryFunction::sqrt || f == rsqrt || f == reciprocal;
  }

  static std::vector<TensorSpec> infer(Params&, const Views& in) {
    check_dtype(name, "dy", in[1], DType::float32);
    check_shape(name, "dy", in[1], in[0].shape);
    return {{DType::float32, in[0].shape}};
  }
};

/// Writes `source` into `destination`, of the same dtype and shape: assignment to a parameter.
struct Copy {
  static constexpr const char* name = "copy";
  static constexpr std::array operands = {"destination!", "source"};
  static constexpr std::array<const char*, 0> outputs{};

  struct Params {
    template <class Visitor>
    void fields(Visitor&&) {}
  };

  static std::vector<TensorSpec> infer(Params&, const Views& in) {
    check_dtype(name, "source", in[1], in[0].dtype);
    check_shape(name, "source", in[1], in[0].shape);
    return {};
  }
};

/// A tensor of one value.
struct Fill {
  static constexpr const char* name = "fill";
  static constexpr std::array<const char*, 0> operands{};
  static constexpr std::array outputs = {"y"};

  struct Params {
    DType dtype{};
    IntList shape;
    double value = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("dtype", dtype);
      visit("shape", shape);
      visit("value", value);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views&) {
    const Shape shape(params.shape.begin(), params.shape.size());
    shape.validate(name);
    return {{params.dtype, shape}};
  }
};

}  // namespace convgrad
