// Pooling: the maximum or the average of each window of an NHWC image, channel by channel.
#pragma once

#include <algorithm>

#include "ops/op.h"

namespace convgrad {

struct PoolParams {
  IntList size;     // of a window, [height, width]; adaptive: how many windows, [rows, columns]
  IntList stride;   // [vertical, horizontal]
  IntList padding;  // [top, bottom, left, right]; empty: 'same', TensorFlow's rule, which infer() turns into numbers
  bool ceil_mode = false;  // a last window may hang over the end, if it starts in the input or before it
  bool adaptive = false;   // the windows are spread evenly over the input; stride and padding mean nothing

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("size", size);
    visit("stride", stride);
    visit("padding", padding);
    visit("ceilMode", ceil_mode);
    visit("adaptive", adaptive);
  }
};

/// So that positions along an axis, padding included, fit the kernels' 32 bits.
constexpr int64_t kMaxPoolExtent = int64_t{1} << 30;

/// The windows along one axis.
struct PoolAxis {
  int64_t input, windows;
  bool adaptive;
  int64_t size = 0, stride = 0, before = 0, after = 0;

  /// In input coordinates, padding included: the first window may begin before 0, the last may end after the input.
  int64_t begin(int64_t i) const { return adaptive ? i * input / windows : i * stride - before; }
  int64_t end(int64_t i) const {
    return adaptive ? ((i + 1) * input + windows - 1) / windows : std::min(begin(i) + size, input + after);
  }
};

/// The windows along axis 0 (vertical) or 1 of an input of `input` elements, of checked parameters.
inline PoolAxis pool_axis(const PoolParams& p, int axis, int64_t input) {
  if (p.adaptive) return {input, p.size[axis], true};
  PoolAxis result{input, 0, false, p.size[axis], p.stride[axis], p.padding[2 * axis], p.padding[2 * axis + 1]};
  const int64_t room = input + result.before + result.after - result.size;
  result.windows = (p.ceil_mode ? room + result.stride - 1 : room) / result.stride + 1;
  if (result.begin(result.windows - 1) >= input) --result.windows;  // ceil mode: it would see padding only
  return result;
}

/// Checks the parameters for images of `height` × `width`, turns 'same' into numbers, and returns [rows, columns] of
/// the windows.
inline std::array<int64_t, 2> resolve_pool(const char* op, PoolParams& p, int64_t height, int64_t width) {
  const char* const size_name = p.adaptive ? "outputSize" : "poolSize";
  check(p.size.size() == 2, "ERR_VALUE", op, ": ", size_name, " must be [height, width], got ", p.size.size(),
        " numbers");
  const auto in_range = [](int64_t value) { return value >= 1 && value <= kMaxPoolExtent; };
  check(in_range(p.size[0]) && in_range(p.size[1]), "ERR_VALUE", op, ": ", size_name, " must be from 1 to 2^30, got [",
        p.size[0], ", ", p.size[1], "]");
  check(in_range(height) && in_range(width), "ERR_SHAPE", op,
        ": an image's height and width must be from 1 to 2^30, got ", height, "x", width);
  if (p.adaptive) return {p.size[0], p.size[1]};

  check(p.stride.size() == 2, "ERR_VALUE", op, ": stride must be [vertical, horizontal], got ", p.stride.size(),
        " numbers");
  check(in_range(p.stride[0]) && in_range(p.stride[1]), "ERR_VALUE", op, ": stride must be from 1 to 2^30, got [",
        p.stride[0], ", ", p.stride[1], "]");
  const int64_t input[2] = {height, width};
  if (p.padding.size() == 0) {
    for (int axis = 0; axis < 2; ++axis) {
      const int64_t windows = (input[axis] + p.stride[axis] - 1) / p.stride[axis];
      const int64_t total = std::max<int64_t>(0, (windows - 1) * p.stride[axis] + p.size[axis] - input[axis]);
      p.padding.push_back(total / 2);
      p.padding.push_back(total - total / 2);
    }
    p.ceil_mode = false;
  }
  check(p.padding.size() == 4, "ERR_VALUE", op, ": padding must be [top, bottom, left, right], got ", p.padding.size(),
        " numbers");
  for (int side = 0; side < 4; ++side) {
    const int64_t padding = p.padding[side], size = p.size[side / 2];
    check(padding >= 0 && padding < size, "ERR_VALUE", op, ": padding must be at least 0 and smaller than the window (",
          p.size[0], "x", p.size[1], "), got [", p.padding[0], ", ", p.padding[1], ", ", p.padding[2], ", ",
          p.padding[3], "] for top, bottom, left, right");
  }
  const int64_t padded_height = height + p.padding[0] + p.padding[1];
  const int64_t padded_width = width + p.padding[2] + p.padding[3];
  check(p.size[0] <= padded_height && p.size[1] <= padded_width, "ERR_SHAPE", op, ": a window of ", p.size[0], "x",
        p.size[1], " does not fit into an input of ", height, "x", width, " (", padded_height, "x", padded_width,
        " with padding)");
  return {pool_axis(p, 0, height).windows, pool_axis(p, 1, width).windows};
}

inline Shape infer_pool(const char* op, PoolParams& params, const View& x) {
  check_rank(op, "x", x, 4, "[N, H, W, C]");
  check_dtype(op, "x", x, DType::float32);
  const auto [rows, columns] = resolve_pool(op, params, x.shape[1], x.shape[2]);
  const Shape y{x.shape[0], rows, columns, x.shape[3]};
  y.validate(op);
  return y;
}

struct MaxPool2d {
  static constexpr const char* name = "maxPool2d";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};
  static constexpr bool has_workspace = true;
  using Params = PoolParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    return {{DType::float32, infer_pool(name, params, in[0])}};
  }
};

/// Also says where each maximum was: h · W + w, int32. Of equal values it is the first, of NaNs the last.
struct MaxPool2dWithIndices {
  static constexpr const char* name = "maxPool2dWithIndices";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y", "indices"};
  static constexpr bool has_workspace = true;
  using Params = PoolParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape y = infer_pool(name, params, in[0]);
    const Shape& x = in[0].shape;
    check(x[1] * x[2] <= INT32_MAX, "ERR_SHAPE", name, ": an image of ", x[1], "x", x[2],
          " has more elements than int32 indices can name");
    return {{DType::float32, y}, {DType::int32, y}};
  }
};

/// What the backward ops add to the parameters: the size of the images that were pooled.
struct PoolBackwardParams : PoolParams {
  IntList input_size;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("inputSize", input_size);
    PoolParams::fields(visit);
  }
};

inline std::vector<TensorSpec> infer_pool_backward(const char* op, PoolBackwardParams& params, const View& dy) {
  check_rank(op, "dy", dy, 4, "[N, P, Q, C]");
  check_dtype(op, "dy", dy, DType::float32);
  check(params.input_size.size() == 2, "ERR_VALUE", op, ": inputSize must be [height, width], got ",
        params.input_size.size(), " numbers");
  const int64_t height = params.input_size[0], width = params.input_size[1];
  const Shape x{dy.shape[0], height, width, dy.shape[3]};
  x.validate(op);
  const auto [rows, columns] = resolve_pool(op, params, height, width);
  check_shape(op, "dy", dy, {dy.shape[0], rows, columns, dy.shape[3]});
  return {{DType::float32, x}};
}

struct MaxPool2dBackward {
  static constexpr const char* name = "maxPool2dBackward";
  static constexpr std::array operands = {"dy", "indices"};
  static constexpr std::array outputs = {"dx"};
  static constexpr bool has_workspace = true;
  using Params = PoolBackwardParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "indices", in[1], DType::int32);
    check_shape(name, "indices", in[1], in[0].shape);
    return infer_pool_backward(name, params, in[0]);
  }
};

/// What an average divides by: `divisorOverride` unless it is 0, else the number of elements in the window. Padding
/// counts if asked for, but nothing that ceil mode adds behind it.
template <class Params>
struct AvgPoolParams : Params {
  bool count_include_pad = false;
  int64_t divisor_override = 0;

  template <class Visitor>
  void fields(Visitor&& visit) {
    Params::fields(visit);
    visit("countIncludePad", count_include_pad);
    visit("divisorOverride", divisor_override);
  }

  void check_divisor(const char* op) const {
    check(divisor_override >= 0 && divisor_override <= kMaxPoolExtent, "ERR_VALUE", op,
          ": divisorOverride must be from 1 to 2^30, or 0 for none, got ", divisor_override);
  }
};

struct AvgPool2d {
  static constexpr const char* name = "avgPool2d";
  static constexpr std::array operands = {"x"};
  static constexpr std::array outputs = {"y"};
  static constexpr bool has_workspace = true;
  using Params = AvgPoolParams<PoolParams>;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    params.check_divisor(name);
    return {{DType::float32, infer_pool(name, params, in[0])}};
  }
};

struct AvgPool2dBackward {
  static constexpr const char* name = "avgPool2dBackward";
  static constexpr std::array operands = {"dy"};
  static constexpr std::array outputs = {"dx"};
  static constexpr bool has_workspace = true;
  using Params = AvgPoolParams<PoolBackwardParams>;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    params.check_divisor(name);
    return infer_pool_backward(name, params, in[0]);
  }
};

}  // namespace convgrad
