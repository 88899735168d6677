#pragma once

#include <cstdint>

#include "ops/enums.h"

namespace convgrad::cpu {

constexpr int kUnaryCount = static_cast<int>(UnaryFunction::count);

struct ElementwiseKernels {
  /// y[i] = f(x[i]) for i < count. x == y is allowed.
  void (*unary[kUnaryCount])(const float* x, float* y, int64_t count, float alpha, float beta);
  /// dx[i] = dy[i] · f'(saved[i]), where saved is x or y as UnaryBackward::saves_output says.
  void (*unary_backward[kUnaryCount])(const float* saved, const float* dy, float* dx, int64_t count, float alpha,
                                      float beta);
};

}  // namespace convgrad::cpu
