// Normalisation: batchNorm over all but the last axis, layerNorm over the last axes, groupNorm over groups of channels
// of one sample. Training ops also return the means and 1 / sqrt(variance + epsilon) that their backward ops need.
#pragma once

#include "ops/op.h"

namespace convgrad {

inline void check_input_of_norm(const char* op, const View& x, int min_rank, const char* layout) {
  check_dtype(op, "x", x, DType::float32);
  check(x.shape.rank() >= min_rank, "ERR_SHAPE", op, ": x must have at least ", min_rank, " dimensions ", layout,
        ", got ", x.shape);
}

/// A float32 operand of the given shape.
inline void check_float(const char* op, const char* operand, const View& view, const Shape& shape) {
  check_dtype(op, operand, view, DType::float32);
  check_shape(op, operand, view, shape);
}

inline void check_optional_float(const char* op, const char* operand, const Views& in, int i, const Shape& shape) {
  if (in.has(i)) check_float(op, operand, in[i], shape);
}

inline void check_epsilon(const char* op, float epsilon) {
  check(epsilon >= 0, "ERR_VALUE", op, ": epsilon must not be negative, got ", epsilon);
}

/// The channels of an NHWC tensor as a shape.
inline Shape channels_of(const Shape& shape) { return {shape[shape.rank() - 1]}; }

struct EpsilonParams {
  float epsilon = 0;
  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("epsilon", epsilon);
  }
};

struct NoParams {
  template <class Visitor>
  void fields(Visitor&&) {}
};

/// y = (x - mean) / sqrt(variance + epsilon) · gamma + beta with the batch's own biased variance. Moves the running
/// statistics towards the batch's: running += momentum · (batch - running).
struct BatchNorm {
  static constexpr const char* name = "batchNorm";
  static constexpr std::array operands = {"x", "gamma?", "beta?", "runningMean?!", "runningVar?!"};
  static constexpr std::array outputs = {"y", "mean", "invStd"};
  static constexpr bool has_workspace = true;

  struct Params {
    float momentum = 0;
    float epsilon = 0;
    bool unbiased_running_var = false;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("momentum", momentum);
      visit("epsilon", epsilon);
      visit("unbiasedRunningVar", unbiased_running_var);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_input_of_norm(name, in[0], 2, "[N, ..., C]");
    const Shape channels = channels_of(in[0].shape);
    check_optional_float(name, "gamma", in, 1, channels);
    check_optional_float(name, "beta", in, 2, channels);
    check_optional_float(name, "runningMean", in, 3, channels);
    check_optional_float(name, "runningVar", in, 4, channels);
    check(params.momentum >= 0 && params.momentum <= 1, "ERR_VALUE", name, ": momentum must be from 0 to 1, got ",
          params.momentum);
    check_epsilon(name, params.epsilon);
    const bool one_value = in[0].size() == channels.size();
    check(!(one_value && params.unbiased_running_var), "ERR_SHAPE", name,
          ": the unbiased variance needs more than one value a channel, but x is ", in[0].shape);
    return {{DType::float32, in[0].shape}, {DType::float32, channels}, {DType::float32, channels}};
  }
};

/// Gradients through the batch's statistics.
struct BatchNormBackward {
  static constexpr const char* name = "batchNormBackward";
  static constexpr std::array operands = {"x", "dy", "mean", "invStd", "gamma?"};
  static constexpr std::array outputs = {"dx", "dgamma", "dbeta"};
  static constexpr bool has_workspace = true;
  using Params = NoParams;

  static std::vector<TensorSpec> infer(Params&, const Views& in) {
    check_input_of_norm(name, in[0], 2, "[N, ..., C]");
    const Shape channels = channels_of(in[0].shape);
    check_float(name, "dy", in[1], in[0].shape);
    check_float(name, "mean", in[2], channels);
    check_float(name, "invStd", in[3], channels);
    check_optional_float(name, "gamma", in, 4, channels);
    return {{DType::float32, in[0].shape}, {DType::float32, channels}, {DType::float32, channels}};
  }
};

/// With given statistics, which are constants for the gradient.
struct BatchNormInference {
  static constexpr const char* name = "batchNormInference";
  static constexpr std::array operands = {"x", "mean", "variance", "gamma?", "beta?"};
  static constexpr std::array outputs = {"y"};
  static constexpr bool has_workspace = true;
  using Params = EpsilonParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_input_of_norm(name, in[0], 2, "[N, ..., C]");
    const Shape channels = channels_of(in[0].shape);
    check_float(name, "mean", in[1], channels);
    check_float(name, "variance", in[2], channels);
    check_optional_float(name, "gamma", in, 3, channels);
    check_optional_float(name, "beta", in, 4, channels);
    check_epsilon(name, params.epsilon);
    return {{DType::float32, in[0].shape}};
  }
};

struct BatchNormInferenceBackward {
  static constexpr const char* name = "batchNormInferenceBackward";
  static constexpr std::array operands = {"x", "dy", "mean", "variance", "gamma?"};
  static constexpr std::array outputs = {"dx", "dgamma", "dbeta"};
  static constexpr bool has_workspace = true;
  using Params = EpsilonParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_input_of_norm(name, in[0], 2, "[N, ..., C]");
    const Shape channels = channels_of(in[0].shape);
    check_float(name, "dy", in[1], in[0].shape);
    check_float(name, "mean", in[2], channels);
    check_float(name, "variance", in[3], channels);
    check_optional_float(name, "gamma", in, 4, channels);
    check_epsilon(name, params.epsilon);
    return {{DType::float32, in[0].shape}, {DType::float32, channels}, {DType::float32, channels}};
  }
};

/// Normalises the channels of each group of one sample [..., C], over the group's channels and all positions.
struct GroupNorm {
  static constexpr const char* name = "groupNorm";
  static constexpr std::array operands = {"x", "gamma?", "beta?"};
  static constexpr std::array outputs = {"y", "mean", "invStd"};
  static constexpr bool has_workspace = true;

  struct Params {
    int64_t groups = 0;
    float epsilon = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("groups", groups);
      visit("epsilon", epsilon);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_input_of_norm(name, in[0], 2, "[N, ..., C]");
    const Shape channels = channels_of(in[0].shape);
    check(params.groups >= 1 && channels[0] % params.groups == 0, "ERR_VALUE", name, ": groups must divide the ",
          channels[0], " channels of x, got ", params.groups);
    check_optional_float(name, "gamma", in, 1, channels);
    check_optional_float(name, "beta", in, 2, channels);
    check_epsilon(name, params.epsilon);
    const Shape statistics{in[0].shape[0], params.groups};
    return {{DType::float32, in[0].shape}, {DType::float32, statistics}, {DType::float32, statistics}};
  }
};

struct GroupNormBackward {
  static constexpr const char* name = "groupNormBackward";
  static constexpr std::array operands = {"x", "dy", "mean", "invStd", "gamma?"};
  static constexpr std::array outputs = {"dx", "dgamma", "dbeta"};
  static constexpr bool has_workspace = true;
  using Params = NoParams;

  static std::vector<TensorSpec> infer(Params&, const Views& in) {
    check_input_of_norm(name, in[0], 2, "[N, ..., C]");
    const Shape channels = channels_of(in[0].shape);
    check_rank(name, "mean", in[2], 2, "[N, groups]");
    const int64_t groups = in[2].shape[1];
    check(channels[0] % groups == 0, "ERR_SHAPE", name, ": the ", groups, " groups of mean do not divide the ",
          channels[0], " channels of x");
    const Shape statistics{in[0].shape[0], groups};
    check_float(name, "dy", in[1], in[0].shape);
    check_float(name, "mean", in[2], statistics);
    check_float(name, "invStd", in[3], statistics);
    check_optional_float(name, "gamma", in, 4, channels);
    return {{DType::float32, in[0].shape}, {DType::float32, channels}, {DType::float32, channels}};
  }
};

/// Normalises each row, a row being the last `normalizedRank` axes; gamma and beta have their shape.
struct LayerNorm {
  static constexpr const char* name = "layerNorm";
  static constexpr std::array operands = {"x", "gamma?", "beta?"};
  static constexpr std::array outputs = {"y", "mean", "invStd"};

  struct Params {
    int normalized_rank = 1;
    float epsilon = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("normalizedRank", normalized_rank);
      visit("epsilon", epsilon);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_input_of_norm(name, in[0], 1, "[..., D]");
    const Shape& x = in[0].shape;
    check(params.normalized_rank >= 1 && params.normalized_rank <= x.rank(), "ERR_VALUE", name,
          ": normalizedRank must be from 1 to ", x.rank(), " for x of shape ", x, ", got ", params.normalized_rank);
    const int outer = x.rank() - params.normalized_rank;
    const Shape row(x.begin() + outer, params.normalized_rank);
    check_optional_float(name, "gamma", in, 1, row);
    check_optional_float(name, "beta", in, 2, row);
    check_epsilon(name, params.epsilon);
    const Shape statistics(x.begin(), outer);
    return {{DType::float32, x}, {DType::float32, statistics}, {DType::float32, statistics}};
  }
};

struct LayerNormBackward {
  static constexpr const char* name = "layerNormBackward";
  static constexpr std::array operands = {"x", "dy", "mean", "invStd", "gamma?"};
  static constexpr std::array outputs = {"dx", "dgamma", "dbeta"};
  static constexpr bool has_workspace = true;
  using Params = NoParams;

  static std::vector<TensorSpec> infer(Params&, const Views& in) {
    check_input_of_norm(name, in[0], 1, "[..., D]");
    const Shape& x = in[0].shape;
    const int outer = in[2].shape.rank();
    check(outer < x.rank(), "ERR_SHAPE", name, ": mean must have fewer dimensions than x ", x, ", got ", in[2].shape);
    const Shape statistics(x.begin(), outer), row(x.begin() + outer, x.rank() - outer);
    check_float(name, "dy", in[1], x);
    check_float(name, "mean", in[2], statistics);
    check_float(name, "invStd", in[3], statistics);
    check_optional_float(name, "gamma", in, 4, row);
    return {{DType::float32, x}, {DType::float32, row}, {DType::float32, row}};
  }
};

}  // namespace convgrad
