#pragma once

#include <cstdint>

#include "ops/enums.h"

namespace convgrad::cpu {

/// Rows of scores and their targets, for cross-entropy: a_c = w_c · (t_c · confidence + uniform).
struct CrossEntropyRows {
  const float* scores;        // [count, classes]
  const int32_t* labels;      // [count], each checked to be in [0, classes), or
  const float* targets;       // [count, classes]
  const float* class_weight;  // [classes] or null
  int64_t count, classes;
  float confidence, uniform;
  float epsilon;
};

constexpr int kPointwiseLossCount = static_cast<int>(PointwiseLossFunction::count);

struct PointwiseParams {
  float parameter;            // huber: delta; binary cross-entropy: epsilon
  float confidence, uniform;  // of the target of the binary cross-entropies: t' = t · confidence + uniform
};

struct LossKernels {
  // Indexed by [from probabilities][targets are probabilities].
  /// loss[i] = -Σ_c a_c log q_c, and statistics[i] = (shift, sum) as the op says.
  void (*cross_entropy[2][2])(const CrossEntropyRows& rows, float* loss, float* statistics);
  /// The gradient, times scale[i].
  void (*cross_entropy_gradient[2][2])(const CrossEntropyRows& rows, const float* statistics, const float* scale,
                                       float* dscores);

  /// Returns the sum of the losses times weight[i] (null: 1), and stores loss · weight[i] · scale unless `loss` is
  /// null.
  double (*pointwise[kPointwiseLossCount])(const float* prediction, const float* target, const float* weight,
                                           float scale, int64_t count, const PointwiseParams& params, float* loss);
  /// The gradient times dloss[i] (null: 1), weight[i] (null: 1) and scale.
  void (*pointwise_gradient[kPointwiseLossCount])(const float* prediction, const float* target, const float* dloss,
                                                  const float* weight, float scale, int64_t count,
                                                  const PointwiseParams& params, float* dprediction);
};

}  // namespace convgrad::cpu
