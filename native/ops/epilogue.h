// The epilogue of convolution and matmul, y = activation(z + bias), and the way back through it.
#pragma once

#include "ops/enums.h"
#include "ops/op.h"

namespace convgrad {

constexpr std::array kActivationNames = {"none", "relu", "relu6", "sigmoid", "tanh", "silu"};
static_assert(kActivationNames.size() == static_cast<size_t>(Activation::count));
inline EnumNames names_of(Activation) { return kActivationNames; }

inline void check_bias(const char* op, const View& bias, int64_t channels) {
  check_dtype(op, "bias", bias, DType::float32);
  check(bias.shape == Shape{channels}, "ERR_SHAPE", op, ": bias must have shape ", Shape{channels},
        ", one number an output channel, got ", bias.shape);
}

/// dz = dy · activation'(z), from the output y alone, and dbias = Σ dz over all axes but the last, in one pass.
struct EpilogueBackward {
  static constexpr const char* name = "epilogueBackward";
  static constexpr std::array operands = {"dy", "y"};
  static constexpr std::array outputs = {"dz", "dbias"};
  static constexpr bool has_workspace = true;

  struct Params {
    Activation activation{};
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("activation", activation);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape& dy = in[0].shape;
    check_dtype(name, "dy", in[0], DType::float32);
    check_dtype(name, "y", in[1], DType::float32);
    check(dy.rank() >= 1, "ERR_SHAPE", name, ": dy must have at least 1 dimension, got ", dy);
    check_shape(name, "y", in[1], dy);
    check(params.activation != Activation::none && params.activation != Activation::silu, "ERR_VALUE", name,
          ": the derivative of '", name_of(params.activation), "' is not one that follows from its output");
    return {{DType::float32, dy}, {DType::float32, Shape{dy[dy.rank() - 1]}}};
  }
};

/// dbias = Σ dy over all axes but the last.
struct BiasBackward {
  static constexpr const char* name = "biasBackward";
  static constexpr std::array operands = {"dy"};
  static constexpr std::array outputs = {"dbias"};
  static constexpr bool has_workspace = true;

  struct Params {
    template <class Visitor>
    void fields(Visitor&&) {}
  };

  static std::vector<TensorSpec> infer(Params&, const Views& in) {
    const Shape& dy = in[0].shape;
    check_dtype(name, "dy", in[0], DType::float32);
    check(dy.rank() >= 1, "ERR_SHAPE", name, ": dy must have at least 1 dimension, got ", dy);
    return {{DType::float32, Shape{dy[dy.rank() - 1]}}};
  }
};

}  // namespace convgrad
