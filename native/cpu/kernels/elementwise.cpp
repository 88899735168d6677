// Unary functions and their derivatives over a range: whole vectors, then one partial vector.
#include "cpu/kernels/elementwise.h"

#include "cpu/simd_math.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

using F = UnaryFunction;

constexpr float kSqrtHalf = 0.70710678f;
constexpr float kInvSqrt2Pi = 0.39894228f;
constexpr float kSqrt2OverPi = 0.79788456f;
constexpr float kGeluCubic = 0.044715f;

/// `x < 0 ? 0 : x` and not a max: NaN stays NaN.
CONVGRAD_INLINE VecF relu(VecF x) { return x < 0.0f ? splat(0.0f) : x; }
CONVGRAD_INLINE VecF clip(VecF x, VecF low, VecF high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

template <F f>
CONVGRAD_INLINE VecF forward(VecF x, VecF alpha, VecF beta) {
  const VecF zero = {}, one = splat(1.0f);
  if constexpr (f == F::relu) return relu(x);
  if constexpr (f == F::relu6) return clip(x, zero, splat(6.0f));
  if constexpr (f == F::leaky_relu) return x < 0.0f ? x * alpha : x;
  if constexpr (f == F::sigmoid) return sigmoid(x);
  if constexpr (f == F::tanh) return tanh(x);
  if constexpr (f == F::silu) return x * sigmoid(x);
  if constexpr (f == F::hard_silu) return x * clip(x + 3.0f, zero, splat(6.0f)) * (1.0f / 6.0f);
  if constexpr (f == F::hard_sigmoid) return clip(x + 3.0f, zero, splat(6.0f)) * (1.0f / 6.0f);
  if constexpr (f == F::gelu) return 0.5f * x * (1.0f + erf(x * kSqrtHalf));
  if constexpr (f == F::gelu_tanh) return 0.5f * x * (1.0f + tanh(kSqrt2OverPi * (x + kGeluCubic * x * x * x)));
  if constexpr (f == F::softplus) return softplus(x);
  if constexpr (f == F::elu) return x < 0.0f ? alpha * expm1(x) : x;
  if constexpr (f == F::exp) return exp(x);
  if constexpr (f == F::log) return log(x);
  if constexpr (f == F::sqrt) return sqrt(x);
  if constexpr (f == F::rsqrt) return one / sqrt(x);
  if constexpr (f == F::square) return x * x;
  if constexpr (f == F::neg) return -x;
  if constexpr (f == F::abs) return abs(x);
  if constexpr (f == F::clip) return clip(x, alpha, beta);
  if constexpr (f == F::reciprocal) return one / x;
  if constexpr (f == F::sign) return x > 0.0f ? one : (x < 0.0f ? -one : x);
}

/// dy · f'(s); s is the output y for the functions that UnaryBackward::saves_output names, else the input x.
template <F f>
CONVGRAD_INLINE VecF backward(VecF s, VecF dy, VecF alpha, VecF beta) {
  const VecF zero = {}, one = splat(1.0f);
  if constexpr (f == F::relu) return s > 0.0f ? dy : zero;
  if constexpr (f == F::relu6) return (s > 0.0f) & (s < 6.0f) ? dy : zero;
  if constexpr (f == F::leaky_relu) return s > 0.0f ? dy : dy * alpha;
  if constexpr (f == F::sigmoid) return dy * s * (one - s);
  if constexpr (f == F::tanh) return dy * (one - s * s);
  if constexpr (f == F::silu) {
    const VecF g = sigmoid(s);
    return dy * g * (one + s * (one - g));
  }
  if constexpr (f == F::hard_silu) return s <= -3.0f ? zero : (s >= 3.0f ? dy : dy * (s * (1.0f / 3.0f) + 0.5f));
  if constexpr (f == F::hard_sigmoid) return (s > -3.0f) & (s < 3.0f) ? dy * (1.0f / 6.0f) : zero;
  if constexpr (f == F::gelu) return dy * (0.5f * (1.0f + erf(s * kSqrtHalf)) + s * kInvSqrt2Pi * exp(-0.5f * s * s));
  if constexpr (f == F::gelu_tanh) {
    const VecF t = tanh(kSqrt2OverPi * (s + kGeluCubic * s * s * s));
    return dy * 0.5f * (1.0f + t + s * (1.0f - t * t) * kSqrt2OverPi * (1.0f + 3.0f * kGeluCubic * s * s));
  }
  if constexpr (f == F::softplus) return dy * sigmoid(s);
  if constexpr (f == F::elu) return s < 0.0f ? dy * alpha * exp(s) : dy;
  if constexpr (f == F::exp) return dy * s;
  if constexpr (f == F::log) return dy / s;
  if constexpr (f == F::sqrt) return dy * 0.5f / s;
  if constexpr (f == F::rsqrt) return dy * -0.5f * s * s * s;
  if constexpr (f == F::square) return dy * 2.0f * s;
  if constexpr (f == F::neg) return -dy;
  if constexpr (f == F::abs) return s > 0.0f ? dy : (s < 0.0f ? -dy : zero);
  if constexpr (f == F::clip) return (s >= alpha) & (s <= beta) ? dy : zero;
  if constexpr (f == F::reciprocal) return -dy * s * s;
  if constexpr (f == F::sign) return zero;
}

template <F f>
void unary(const float* x, float* y, int64_t count, float alpha, float beta) {
  const VecF a = splat(alpha), b = splat(beta);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, forward<f>(load(x + i), a, b));
  if (i < count) store_partial(y + i, forward<f>(load_partial(x + i, count - i), a, b), count - i);
}

template <F f>
void unary_backward(const float* saved, const float* dy, float* dx, int64_t count, float alpha, float beta) {
  const VecF a = splat(alpha), b = splat(beta);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(dx + i, backward<f>(load(saved + i), load(dy + i), a, b));
  if (i < count) {
    const int64_t n = count - i;
    store_partial(dx + i, backward<f>(load_partial(saved + i, n), load_partial(dy + i, n), a, b), n);
  }
}

}  // namespace

#define CONVGRAD_EACH(kernel)                                                                                       \
  {                                                                                                                 \
    kernel<F::relu>, kernel<F::relu6>, kernel<F::leaky_relu>, kernel<F::sigmoid>, kernel<F::tanh>, kernel<F::silu>, \
        kernel<F::hard_silu>, kernel<F::hard_sigmoid>, kernel<F::gelu>, kernel<F::gelu_tanh>, kernel<F::softplus>,  \
        kernel<F::elu>, kernel<F::exp>, kernel<F::log>, kernel<F::sqrt>, kernel<F::rsqrt>, kernel<F::square>,       \
        kernel<F::neg>, kernel<F::abs>, kernel<F::clip>, kernel<F::reciprocal>, kernel<F::sign>                     \
  }

extern const ElementwiseKernels elementwise_kernels;
const ElementwiseKernels elementwise_kernels = {.unary = CONVGRAD_EACH(unary),
                                                .unary_backward = CONVGRAD_EACH(unary_backward)};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
