// Two-dimensional convolution and its gradients. Images are [N, H, W, C], weights [R, S, C / groups, K].
#pragma once

#include <algorithm>

#include "ops/epilogue.h"
#include "ops/op.h"

namespace convgrad {

constexpr std::array kConvAlgorithmNames = {"auto", "winograd", "implicit_gemm", "im2col", "direct", "reference"};
static_assert(kConvAlgorithmNames.size() == static_cast<size_t>(ConvAlgorithm::count));
inline EnumNames names_of(ConvAlgorithm) { return kConvAlgorithmNames; }

constexpr std::array kPrecisionNames = {"high", "highest"};
static_assert(kPrecisionNames.size() == static_cast<size_t>(Precision::count));
inline EnumNames names_of(Precision) { return kPrecisionNames; }

/// Where the windows lie.
struct Window2d {
  IntList stride;    // [vertical, horizontal]
  IntList padding;   // [top, bottom, left, right]; empty: 'same', TensorFlow's rule, which resolve() turns into numbers
  IntList dilation;  // [vertical, horizontal]

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("stride", stride);
    visit("padding", padding);
    visit("dilation", dilation);
  }

  /// Checks the parameters for images of height × width and kernels of r × s, and returns how many windows there are,
  /// [P, Q].
  std::array<int64_t, 2> resolve(const char* op, int64_t height, int64_t width, int64_t r, int64_t s) {
    check_pair(op, "stride", stride);
    check_pair(op, "dilation", dilation);
    const int64_t input[2] = {height, width}, taps[2] = {r, s};
    const bool same = padding.size() == 0;
    if (!same) {
      check(padding.size() == 4, "ERR_VALUE", op, ": padding must be [top, bottom, left, right], got ", padding.size(),
            " numbers");
      for (int64_t side : padding) {
        check(side >= 0 && side <= kMaxExtent, "ERR_VALUE", op, ": padding must not be negative, got [", padding[0],
              ", ", padding[1], ", ", padding[2], ", ", padding[3], "] for top, bottom, left, right");
      }
    }
    std::array<int64_t, 2> windows;
    for (int axis = 0; axis < 2; ++axis) {
      check(input[axis] <= kMaxExtent && taps[axis] <= kMaxExtent / dilation[axis], "ERR_SHAPE", op,
            ": an axis of an image or a dilated kernel must not be longer than 2^30");
      const int64_t extent = (taps[axis] - 1) * dilation[axis] + 1;
      if (same) {
        windows[axis] = (input[axis] + stride[axis] - 1) / stride[axis];
        const int64_t total = std::max<int64_t>(0, (windows[axis] - 1) * stride[axis] + extent - input[axis]);
        padding.push_back(total / 2);
        padding.push_back(total - total / 2);
        continue;
      }
      const int64_t padded = input[axis] + padding[2 * axis] + padding[2 * axis + 1];
      check(extent <= padded, "ERR_SHAPE", op, ": the kernel's ", axis == 0 ? "height" : "width", ", ", extent,
            dilation[axis] > 1 ? " with dilation" : "", ", is larger than the input's, ", padded,
            padded > input[axis] ? " with padding" : "");
      windows[axis] = (padded - extent) / stride[axis] + 1;
    }
    return windows;
  }

 private:
  static constexpr int64_t kMaxExtent = int64_t{1} << 30;

  static void check_pair(const char* op, const char* field, const IntList& pair) {
    check(pair.size() == 2, "ERR_VALUE", op, ": ", field, " must be [vertical, horizontal], got ", pair.size(),
          " numbers");
    check(pair[0] >= 1 && pair[1] >= 1 && pair[0] <= kMaxExtent && pair[1] <= kMaxExtent, "ERR_VALUE", op, ": ", field,
          " must be at least 1, got [", pair[0], ", ", pair[1], "]");
  }
};

struct Conv2dParams : Window2d {
  int64_t groups = 1;
  ConvAlgorithm algorithm{};
  Precision precision{};

  template <class Visitor>
  void fields(Visitor&& visit) {
    Window2d::fields(visit);
    visit("groups", groups);
    visit("algorithm", algorithm);
    visit("precision", precision);
  }

  /// Whether winograd can do it, with kernels of r × s.
  bool winograd_can(int64_t r, int64_t s) const {
    return r == 3 && s == 3 && stride[0] == 1 && stride[1] == 1 && dilation[0] == 1 && dilation[1] == 1 && groups == 1;
  }

  /// Checks the shapes of x and weight against each other, resolves the padding, and returns the output's shape.
  /// `image` and `channels` are the words for x in messages.
  Shape infer(const char* op, const Shape& x, const Shape& weight, const char* image = "input") {
    check(groups >= 1, "ERR_VALUE", op, ": groups must be at least 1, got ", groups);
    const int64_t wanted = weight[2] * groups, filters = weight[3];
    check(x[3] == wanted, "ERR_SHAPE", op, ": weight ", weight, groups > 1 ? " in " : "",
          groups > 1 ? std::to_string(groups) + " groups" : "", " wants ", wanted, " input channels, ", image, " ", x,
          " has ", x[3]);
    check(filters % groups == 0, "ERR_SHAPE", op, ": weight ", weight, " has ", filters,
          " output channels, which cannot be divided into ", groups, " groups");
    check(algorithm != ConvAlgorithm::direct || weight[2] == 1, "ERR_VALUE", op,
          ": algorithm 'direct' is for depthwise convolutions, where every input channel is a group of its own; here a "
          "group has ",
          weight[2]);
    const auto [p, q] = resolve(op, x[1], x[2], weight[0], weight[1]);
    check(algorithm != ConvAlgorithm::winograd || winograd_can(weight[0], weight[1]), "ERR_VALUE", op,
          ": algorithm 'winograd' is for kernels of 3 x 3 with stride 1, dilation 1 and one group; here weight is ",
          weight, ", stride [", stride[0], ", ", stride[1], "], dilation [", dilation[0], ", ", dilation[1],
          "], groups ", groups);
    const Shape y{x[0], p, q, filters};
    y.validate(op);
    return y;
  }
};

inline void check_image(const char* op, const char* operand, const View& view) {
  check_rank(op, operand, view, 4, "[N, H, W, C]");
  check_dtype(op, operand, view, DType::float32);
}

inline void check_weight(const char* op, const View& view) {
  check_rank(op, "weight", view, 4, "[R, S, C / groups, K]");
  check_dtype(op, "weight", view, DType::float32);
}

/// A shape among the parameters.
inline Shape shape_of(const char* op, const char* field, const IntList& list, int rank, const char* layout) {
  check(list.size() == rank, "ERR_SHAPE", op, ": ", field, " must have ", rank, " dimensions ", layout, ", got ",
        list.size());
  const Shape shape(list.begin(), list.size());
  shape.validate(op);
  return shape;
}

/// y[n, p, q, k] = activation(Σ x[n, p·stride + r·dilation - padding, …, c] · weight[r, s, c, k] + bias[k] + residual).
struct Conv2d {
  static constexpr const char* name = "conv2d";
  static constexpr std::array operands = {"x", "weight", "bias?", "residual?"};
  static constexpr std::array outputs = {"y"};
  static constexpr int packed_operand = 1;
  static constexpr bool has_workspace = true;

  struct Params : Conv2dParams {
    Activation activation{};
    template <class Visitor>
    void fields(Visitor&& visit) {
      Conv2dParams::fields(visit);
      visit("activation", activation);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_image(name, "input", in[0]);
    check_weight(name, in[1]);
    const Shape y = params.Conv2dParams::infer(name, in[0].shape, in[1].shape);
    if (in.has(2)) check_bias(name, in[2], y[3]);
    if (in.has(3)) {
      check_dtype(name, "residual", in[3], DType::float32);
      check_shape(name, "residual", in[3], y);
    }
    return {{DType::float32, y}};
  }
};

/// The maxima of a convolution in windows of 2x2 with stride 2, and where they were, as maxPool2dWithIndices makes them
/// of conv2d's output: without that in memory.
struct Conv2dMaxPool {
  static constexpr const char* name = "conv2dMaxPool";
  static constexpr std::array operands = {"x", "weight", "bias?"};
  static constexpr std::array outputs = {"y", "indices"};
  static constexpr int packed_operand = 1;
  static constexpr bool has_workspace = true;

  struct Params : Window2d {
    Precision precision{};
    Activation activation{};
    template <class Visitor>
    void fields(Visitor&& visit) {
      Window2d::fields(visit);
      visit("precision", precision);
      visit("activation", activation);
    }
    Conv2dParams conv() const {
      Conv2dParams params;
      static_cast<Window2d&>(params) = *this;
      params.precision = precision;
      return params;
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_image(name, "input", in[0]);
    check_weight(name, in[1]);
    Conv2dParams conv = params.conv();
    const Shape y = conv.infer(name, in[0].shape, in[1].shape);
    params.padding = conv.padding;
    check(y[1] >= 2 && y[2] >= 2, "ERR_SHAPE", name, ": a window of 2x2 does not fit into a convolution of ", y[1], "x",
          y[2]);
    check(y[1] * y[2] <= INT32_MAX, "ERR_SHAPE", name, ": an image of ", y[1], "x", y[2],
          " has more elements than int32 indices can name");
    check(params.activation <= Activation::relu6, "ERR_VALUE", name, ": activation must be none, relu or relu6, got ",
          name_of(params.activation));
    if (in.has(2)) check_bias(name, in[2], y[3]);
    const Shape pooled{y[0], y[1] / 2, y[2] / 2, y[3]};
    return {{DType::float32, pooled}, {DType::int32, pooled}};
  }
};

/// The gradient with respect to x. With bias and activation, also the transposed convolution, whose image is dy.
struct Conv2dBackwardInput {
  static constexpr const char* name = "conv2dBackwardInput";
  static constexpr std::array operands = {"dy", "weight", "bias?"};
  static constexpr std::array outputs = {"dx"};
  static constexpr int packed_operand = 1;
  static constexpr bool has_workspace = true;

  struct Params : Conv2dParams {
    IntList input_shape;
    Activation activation{};
    template <class Visitor>
    void fields(Visitor&& visit) {
      Conv2dParams::fields(visit);
      visit("inputShape", input_shape);
      visit("activation", activation);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_image(name, "dy", in[0]);
    check_weight(name, in[1]);
    const Shape x = shape_of(name, "inputShape", params.input_shape, 4, "[N, H, W, C]");
    check_shape(name, "dy", in[0], params.infer(name, x, in[1].shape, "inputShape"));
    if (in.has(2)) check_bias(name, in[2], x[3]);
    return {{DType::float32, x}};
  }
};

/// The gradient with respect to the weight.
struct Conv2dBackwardWeight {
  static constexpr const char* name = "conv2dBackwardWeight";
  static constexpr std::array operands = {"x", "dy"};
  static constexpr std::array outputs = {"dweight"};
  static constexpr bool has_workspace = true;

  struct Params : Conv2dParams {
    IntList weight_shape;
    template <class Visitor>
    void fields(Visitor&& visit) {
      Conv2dParams::fields(visit);
      visit("weightShape", weight_shape);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_image(name, "input", in[0]);
    check_image(name, "dy", in[1]);
    const Shape weight = shape_of(name, "weightShape", params.weight_shape, 4, "[R, S, C / groups, K]");
    check_shape(name, "dy", in[1], params.infer(name, in[0].shape, weight));
    return {{DType::float32, weight}};
  }
};

/// The sizes of a convolution, in the usual letters. x is [n, h, w, c], weight [r, s, c / groups, k], y [n, p, q, k].
struct Conv2dProblem {
  int64_t n, h, w, c, r, s, k, p, q;
  int64_t stride_h, stride_w, dilation_h, dilation_w, top, bottom, left, right;
  int64_t groups;

  Conv2dProblem(const Conv2dParams& params, const Shape& x, const Shape& weight, const Shape& y)
      : n(x[0]),
        h(x[1]),
        w(x[2]),
        c(x[3]),
        r(weight[0]),
        s(weight[1]),
        k(weight[3]),
        p(y[1]),
        q(y[2]),
        stride_h(params.stride[0]),
        stride_w(params.stride[1]),
        dilation_h(params.dilation[0]),
        dilation_w(params.dilation[1]),
        top(params.padding[0]),
        bottom(params.padding[1]),
        left(params.padding[2]),
        right(params.padding[3]),
        groups(params.groups) {}

  int64_t group_c() const { return c / groups; }
  int64_t group_k() const { return k / groups; }
  bool depthwise() const { return group_c() == 1; }
  bool padded() const { return top || bottom || left || right; }
};

/// The windows of an image as the rows of a matrix: [N, H, W, C] → [N, P, Q, R·S·C].
struct Im2col {
  static constexpr const char* name = "im2col";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"columns"};

  struct Params : Window2d {
    IntList kernel_size;
    template <class Visitor>
    void fields(Visitor&& visit) {
      Window2d::fields(visit);
      visit("kernelSize", kernel_size);
    }

    Shape infer(const char* op, const Shape& x) {
      check(kernel_size.size() == 2 && kernel_size[0] >= 1 && kernel_size[1] >= 1, "ERR_VALUE", op,
            ": kernelSize must be [height, width], each at least 1");
      const auto [p, q] = resolve(op, x[1], x[2], kernel_size[0], kernel_size[1]);
      const Shape columns{x[0], p, q, kernel_size[0] * kernel_size[1] * x[3]};
      columns.validate(op);
      return columns;
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_image(name, "input", in[0]);
    return {{DType::float32, params.infer(name, in[0].shape)}};
  }
};

/// The transpose of im2col: adds every row's elements to where they came from.
struct Col2im {
  static constexpr const char* name = "col2im";
  static constexpr std::array operands = {"columns"};
  static constexpr std::array outputs = {"x"};

  struct Params : Im2col::Params {
    IntList input_shape;
    template <class Visitor>
    void fields(Visitor&& visit) {
      Im2col::Params::fields(visit);
      visit("inputShape", input_shape);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "columns", in[0], DType::float32);
    const Shape x = shape_of(name, "inputShape", params.input_shape, 4, "[N, H, W, C]");
    check_shape(name, "columns", in[0], params.infer(name, x));
    return {{DType::float32, x}};
  }
};

}  // namespace convgrad
