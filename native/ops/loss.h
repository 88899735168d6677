// Losses, fused with what they are losses of: the forward ops read their operands once, and so do the backward ops.
//
// Weights: `sampleWeight` multiplies the losses; its shape is that of the unreduced loss, or the first dimensions of
// it. 'mean' divides by the number of losses, as Keras does with sample weights, except that cross-entropy with class
// weights and integer labels divides by the sum of the labels' weights, as PyTorch does.
#pragma once

#include "ops/enums.h"
#include "ops/op.h"

namespace convgrad {

enum class Reduction { none, mean, sum, count };
constexpr std::array kReductionNames = {"none", "mean", "sum"};
static_assert(kReductionNames.size() == static_cast<size_t>(Reduction::count));
inline EnumNames names_of(Reduction) { return kReductionNames; }

constexpr std::array kPointwiseLossNames = {"mseLoss", "maeLoss", "huberLoss", "binaryCrossEntropy",
                                            "binaryCrossEntropyWithLogits"};
static_assert(kPointwiseLossNames.size() == static_cast<size_t>(PointwiseLossFunction::count));
inline EnumNames names_of(PointwiseLossFunction) { return kPointwiseLossNames; }

/// The shape of a loss whose unreduced shape is `losses`.
inline Shape reduced(Reduction reduction, const Shape& losses) {
  return reduction == Reduction::none ? losses : Shape{};
}

inline void check_sample_weight(const char* op, const Views& in, int i, const Shape& losses) {
  if (!in.has(i)) return;
  check_dtype(op, "sampleWeight", in[i], DType::float32);
  const Shape& given = in[i].shape;
  bool is_prefix = given.rank() <= losses.rank();
  for (int axis = 0; is_prefix && axis < given.rank(); ++axis) is_prefix = given[axis] == losses[axis];
  check(is_prefix, "ERR_SHAPE", op, ": sampleWeight must have the shape of the losses ", losses,
        " or their first dimensions, got ", given);
}

inline void check_smoothing(const char* op, float smoothing) {
  check(smoothing >= 0 && smoothing <= 1, "ERR_VALUE", op, ": labelSmoothing must be from 0 to 1, got ", smoothing);
}

inline void check_probability_epsilon(const char* op, float epsilon) {
  check(epsilon > 0 && epsilon < 0.5f, "ERR_VALUE", op, ": epsilon must be between 0 and 0.5, got ", epsilon);
}

// ---- cross-entropy over classes ----

/// -Σ_c w_c t'_c log q_c over the last axis of `scores`, where q = softmax(scores), or, from probabilities,
/// q = clip(scores / Σ scores, epsilon, 1 - epsilon). t is one-hot for int32 labels; t' = t (1 - s) + s / C.
struct CrossEntropyParams {
  bool from_logits = true;
  float label_smoothing = 0;
  float epsilon = 0;  // from probabilities
  Reduction reduction{};
  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("fromLogits", from_logits);
    visit("labelSmoothing", label_smoothing);
    visit("epsilon", epsilon);
    visit("reduction", reduction);
  }
};

/// Checks scores, target, classWeight and sampleWeight at the given positions; returns the shape of the losses.
inline Shape infer_cross_entropy(const CrossEntropyParams& params, const Views& in, int class_weight,
                                 int sample_weight) {
  const char* const op = params.from_logits ? "crossEntropy" : "crossEntropyFromProbabilities";
  const char* const scores_name = params.from_logits ? "logits" : "probabilities";
  const View &scores = in[0], &target = in[1];
  check_dtype(op, scores_name, scores, DType::float32);
  const int rank = scores.shape.rank();
  check(rank >= 2, "ERR_SHAPE", op, ": ", scores_name, " must have at least 2 dimensions [N, ..., classes], got ",
        scores.shape);
  const Shape losses(scores.shape.begin(), rank - 1);
  if (target.dtype == DType::int32) {
    check(target.shape == losses, "ERR_SHAPE", op, ": labels for ", scores_name, " ", scores.shape, " must have shape ",
          losses, ", got ", target.shape);
  } else {
    check(target.dtype == DType::float32, "ERR_DTYPE", op,
          ": target must be int32 labels or float32 probabilities, got ", target.dtype);
    check(target.shape == scores.shape, "ERR_SHAPE", op, ": target probabilities must have shape ", scores.shape,
          " like the ", scores_name, " (labels must be int32), got ", target.shape);
  }
  if (in.has(class_weight)) {
    check_dtype(op, "classWeight", in[class_weight], DType::float32);
    check_shape(op, "classWeight", in[class_weight], {scores.shape[rank - 1]});
  }
  check_sample_weight(op, in, sample_weight, losses);
  check_smoothing(op, params.label_smoothing);
  if (!params.from_logits) check_probability_epsilon(op, params.epsilon);
  return losses;
}

/// Also returns what the backward op needs: a pair (shift, sum) for each loss, so that q = exp(x - shift) / sum or
/// q = x / sum before clipping, and what 'mean' divided by. A label out of range is found when the op runs.
struct CrossEntropy {
  static constexpr const char* name = "crossEntropy";
  static constexpr std::array operands = {"scores", "target", "classWeight?", "sampleWeight?"};
  static constexpr std::array outputs = {"loss", "statistics", "divisor"};
  static constexpr bool has_workspace = true;
  using Params = CrossEntropyParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape losses = infer_cross_entropy(params, in, 2, 3);
    return {{DType::float32, reduced(params.reduction, losses)},
            {DType::float32, {losses.size(), 2}},
            {DType::float32, Shape{}}};
  }
};

struct CrossEntropyBackward {
  static constexpr const char* name = "crossEntropyBackward";
  static constexpr std::array operands = {"scores", "target",       "statistics",   "divisor",
                                          "dloss",  "classWeight?", "sampleWeight?"};
  static constexpr std::array outputs = {"dscores"};
  static constexpr bool has_workspace = true;
  using Params = CrossEntropyParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape losses = infer_cross_entropy(params, in, 5, 6);
    for (int i : {2, 3, 4}) check_dtype(name, OperandSpec(operands[i]).name.data(), in[i], DType::float32);
    check_shape(name, "statistics", in[2], {losses.size(), 2});
    check_shape(name, "divisor", in[3], Shape{});
    check_shape(name, "dloss", in[4], reduced(params.reduction, losses));
    return {{DType::float32, in[0].shape}};
  }
};

// ---- losses of one prediction and one target each ----

struct PointwiseLossParams {
  PointwiseLossFunction function{};
  float parameter = 0;        // huber: delta; binaryCrossEntropy: epsilon, to which probabilities are clipped
  float label_smoothing = 0;  // of the binary cross-entropies: t' = t (1 - s) + s / 2
  Reduction reduction{};
  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("fn", function);
    visit("parameter", parameter);
    visit("labelSmoothing", label_smoothing);
    visit("reduction", reduction);
  }
};

inline void check_pointwise_loss(const PointwiseLossParams& params, const Views& in, int sample_weight) {
  using enum PointwiseLossFunction;
  const char* op = name_of(params.function);
  check_dtype(op, "prediction", in[0], DType::float32);
  check_dtype(op, "target", in[1], DType::float32);
  check(in[1].shape == in[0].shape, "ERR_SHAPE", op, ": target must have the prediction's shape ", in[0].shape,
        ", got ", in[1].shape);
  check_sample_weight(op, in, sample_weight, in[0].shape);
  if (params.function == huber)
    check(params.parameter > 0, "ERR_VALUE", op, ": delta must be positive, got ", params.parameter);
  if (params.function == binary_cross_entropy) check_probability_epsilon(op, params.parameter);
  check_smoothing(op, params.label_smoothing);
}

struct PointwiseLoss {
  static constexpr const char* name = "pointwiseLoss";
  static constexpr std::array operands = {"prediction", "target", "sampleWeight?"};
  static constexpr std::array outputs = {"loss"};
  static constexpr bool has_workspace = true;
  using Params = PointwiseLossParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_pointwise_loss(params, in, 2);
    return {{DType::float32, reduced(params.reduction, in[0].shape)}};
  }
};

struct PointwiseLossBackward {
  static constexpr const char* name = "pointwiseLossBackward";
  static constexpr std::array operands = {"prediction", "target", "dloss", "sampleWeight?"};
  static constexpr std::array outputs = {"dprediction"};
  using Params = PointwiseLossParams;

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_pointwise_loss(params, in, 3);
    check_dtype(name, "dloss", in[2], DType::float32);
    check_shape(name, "dloss", in[2], reduced(params.reduction, in[0].shape));
    return {{DType::float32, in[0].shape}};
  }
};

}  // namespace convgrad
