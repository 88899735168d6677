// The steps of optimizers over a range of one parameter: everything is read and written once.
#include "cpu/kernels/optimizer.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

void sgd(float* p, const float* g, float* momentum, int64_t count, const SgdFactors& f) {
  each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
    const VecF value = lanes.load(p + i);
    const VecF gradient = lanes.load(g + i) + f.weight_decay * value;
    VecF step = gradient;
    if (momentum) {
      const VecF m = f.momentum * lanes.load(momentum + i) + f.gradient_weight * gradient;
      lanes.store(momentum + i, m);
      step = f.nesterov ? gradient + f.momentum * m : m;
    }
    lanes.store(p + i, value - f.lr * step);
  });
}

void adam(float* p, const float* g, float* mean, float* square, int64_t count, const AdamFactors& f) {
  each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
    const VecF value = lanes.load(p + i);
    const VecF gradient = lanes.load(g + i) + f.weight_decay * value;
    const VecF m = f.beta1 * lanes.load(mean + i) + f.gradient_weight * gradient;
    const VecF v = f.beta2 * lanes.load(square + i) + f.square_weight * gradient * gradient;
    lanes.store(mean + i, m);
    lanes.store(square + i, v);
    lanes.store(p + i, f.decay * value - f.rate * m / (sqrt(v) * f.square_root + f.epsilon));
  });
}

template <bool centered, bool with_momentum>
CONVGRAD_INLINE void rmsprop_loop(float* p, const float* g, float* square, float* mean, float* momentum, int64_t count,
                                  const RmspropFactors& f) {
  each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
    const VecF value = lanes.load(p + i);
    const VecF gradient = lanes.load(g + i) + f.weight_decay * value;
    const VecF v = f.alpha * lanes.load(square + i) + f.square_weight * gradient * gradient;
    lanes.store(square + i, v);
    VecF spread = v;
    if (centered) {
      const VecF a = f.alpha * lanes.load(mean + i) + f.square_weight * gradient;
      lanes.store(mean + i, a);
      spread = v - a * a;
    }
    VecF step = gradient / (sqrt(spread + f.inner_epsilon) + f.outer_epsilon);
    if (with_momentum) {
      step = f.momentum * lanes.load(momentum + i) + step;
      lanes.store(momentum + i, step);
    }
    lanes.store(p + i, value - f.lr * step);
  });
}

void rmsprop(float* p, const float* g, float* square, float* mean, float* momentum, int64_t count,
             const RmspropFactors& f) {
  if (mean && momentum) return rmsprop_loop<true, true>(p, g, square, mean, momentum, count, f);
  if (mean) return rmsprop_loop<true, false>(p, g, square, mean, momentum, count, f);
  if (momentum) return rmsprop_loop<false, true>(p, g, square, mean, momentum, count, f);
  rmsprop_loop<false, false>(p, g, square, mean, momentum, count, f);
}

void scale(float* x, int64_t count, float factor) {
  each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA { lanes.store(x + i, factor * lanes.load(x + i)); });
}

void clip(float* x, int64_t count, float limit) {
  each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
    lanes.store(x + i, min(max(lanes.load(x + i), splat(-limit)), splat(limit)));
  });
}

}  // namespace

extern const OptimizerKernels optimizer_kernels;
const OptimizerKernels optimizer_kernels = {.sgd = sgd, .adam = adam, .rmsprop = rmsprop, .scale = scale, .clip = clip};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
