#pragma once

#include <cstdint>

namespace convgrad::cpu {

/// What the steps need, worked out in float64 beforehand. The formulas are in ops/optimizer.h.
struct SgdFactors {
  float lr, momentum, gradient_weight, weight_decay;  // gradient_weight: 1 - dampening, and 1 in the first step
  bool nesterov;
};
struct AdamFactors {
  float beta1, gradient_weight, beta2, square_weight, epsilon, weight_decay;
  float decay;        // what a decoupled weight decay leaves of a parameter: 1 - lr · weight_decay
  float rate;         // lr / (1 - beta1^t)
  float square_root;  // 1 / √(1 - beta2^t)
};
struct RmspropFactors {
  float lr, alpha, square_weight, weight_decay, momentum;
  float inner_epsilon, outer_epsilon;  // added under the root, and to it: one of them is 0
};

struct OptimizerKernels {
  /// `momentum` is null where there is none; so are `mean` and `momentum` of rmsprop.
  void (*sgd)(float* p, const float* g, float* momentum, int64_t count, const SgdFactors& factors);
  void (*adam)(float* p, const float* g, float* mean, float* square, int64_t count, const AdamFactors& factors);
  void (*rmsprop)(float* p, const float* g, float* square, float* mean, float* momentum, int64_t count,
                  const RmspropFactors& factors);
  void (*scale)(float* x, int64_t count, float factor);
  void (*clip)(float* x, int64_t count, float limit);
};

}  // namespace convgrad::cpu
