// Losses and their gradients, a row of scores or a range of predictions at a time.
#include "cpu/kernels/loss.h"

#include "cpu/simd_math.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

// ---- cross-entropy ----

/// a_c of one row, zero in the lanes that a partial vector lacks.
template <bool kProbabilities>
struct Target {
  const CrossEntropyRows& rows;
  int64_t row;

  template <class Lanes>
  CONVGRAD_INLINE VecF operator()(int64_t c, Lanes lanes) const {
    VecF a;
    if constexpr (kProbabilities) {
      a = lanes.load(rows.targets + row * rows.classes + c) * rows.confidence + rows.uniform;
    } else {
      const VecI hot = lane_numbers() == static_cast<int32_t>(rows.labels[row] - c);
      a = hot ? splat(rows.confidence + rows.uniform) : splat(rows.uniform);
    }
    if (rows.class_weight) a *= lanes.load(rows.class_weight + c);
    return lanes.keep(a, 0.0f);
  }
};

CONVGRAD_INLINE VecF clip(VecF x, float low, float high) {
  x = x < low ? splat(low) : x;
  return x > high ? splat(high) : x;
}

template <bool kFromProbabilities, bool kProbabilities>
void cross_entropy(const CrossEntropyRows& rows, float* loss, float* statistics) {
  const int64_t classes = rows.classes;
  for (int64_t r = 0; r < rows.count; ++r) {
    const float* x = rows.scores + r * classes;
    const Target<kProbabilities> target{rows, r};
    float shift = 0;
    VecF sums = {};
    if constexpr (kFromProbabilities) {
      each_vector(classes, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA { sums += lanes.load(x + c); });
    } else {
      VecF peaks = splat(-__builtin_inff());
      each_vector(classes, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
        peaks = max(peaks, lanes.keep(lanes.load(x + c), -__builtin_inff()));
      });
      shift = max_lanes(peaks);
      each_vector(classes, [&](int64_t c, auto lanes)
                               CONVGRAD_LAMBDA { sums += lanes.keep(exp(lanes.load(x + c) - shift), 0.0f); });
    }
    const float sum = sum_lanes(sums), log_sum = kFromProbabilities ? 0.0f : log(splat(sum))[0];
    VecF losses = {};
    each_vector(classes, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      const VecF a = target(c, lanes), v = lanes.load(x + c);
      const VecF nll =
          kFromProbabilities ? -log(clip(v / sum, rows.epsilon, 1.0f - rows.epsilon)) : log_sum - (v - shift);
      losses += a == 0.0f ? splat(0.0f) : a * nll;  // 0 · log 0 is 0
    });
    // The sum brings in a NaN at a class of weight 0.
    loss[r] = sum == sum ? sum_lanes(losses) : sum;
    statistics[2 * r] = shift;
    statistics[2 * r + 1] = sum;
  }
}

template <bool kFromProbabilities, bool kProbabilities>
void cross_entropy_gradient(const CrossEntropyRows& rows, const float* statistics, const float* scale, float* dscores) {
  const int64_t classes = rows.classes;
  for (int64_t r = 0; r < rows.count; ++r) {
    const float* x = rows.scores + r * classes;
    float* dx = dscores + r * classes;
    const Target<kProbabilities> target{rows, r};
    const float shift = statistics[2 * r], sum = statistics[2 * r + 1], s = scale[r];
    const float low = rows.epsilon, high = 1.0f - rows.epsilon;
    VecF weights = {};
    if constexpr (kFromProbabilities) {
      // q = x / sum; a clipped q has no gradient: dx_j = (Σ a_c - a_j / q_j) / sum, over what is not clipped.
      each_vector(classes, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
        const VecF q = lanes.load(x + c) / sum;
        weights += (q < low) | (q > high) ? splat(0.0f) : target(c, lanes);
      });
      const float weight = sum_lanes(weights), factor = s / sum;
      each_vector(classes, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
        const VecF q = lanes.load(x + c) / sum;
        const VecF own = (q < low) | (q > high) ? splat(0.0f) : target(c, lanes) / q;
        lanes.store(dx + c, (weight - own) * factor);
      });
    } else {
      // dx_j = q_j Σ a_c - a_j.
      each_vector(classes, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA { weights += target(c, lanes); });
      const float weight = sum_lanes(weights) / sum;
      each_vector(classes, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
        lanes.store(dx + c, (exp(lanes.load(x + c) - shift) * weight - target(c, lanes)) * s);
      });
    }
  }
}

// ---- losses of one prediction and one target each ----

using F = PointwiseLossFunction;

CONVGRAD_INLINE VecF smooth(VecF target, const PointwiseParams& params) {
  return target * params.confidence + params.uniform;
}

template <F f>
CONVGRAD_INLINE VecF loss_of(VecF prediction, VecF target, const PointwiseParams& params) {
  const VecF d = prediction - target;
  if constexpr (f == F::mse) return d * d;
  if constexpr (f == F::mae) return abs(d);
  if constexpr (f == F::huber) {
    const float delta = params.parameter;
    return abs(d) > delta ? delta * (abs(d) - 0.5f * delta) : 0.5f * d * d;
  }
  if constexpr (f == F::binary_cross_entropy) {
    const VecF t = smooth(target, params), q = clip(prediction, params.parameter, 1.0f - params.parameter);
    return -(t * log(q) + (1.0f - t) * log(1.0f - q));
  }
  if constexpr (f == F::binary_cross_entropy_with_logits)
    return softplus(prediction) - prediction * smooth(target, params);
}

template <F f>
CONVGRAD_INLINE VecF derivative_of(VecF prediction, VecF target, const PointwiseParams& params) {
  const VecF d = prediction - target;
  if constexpr (f == F::mse) return 2.0f * d;
  if constexpr (f == F::mae) return d > 0.0f ? splat(1.0f) : (d < 0.0f ? splat(-1.0f) : d);
  if constexpr (f == F::huber) {
    const VecF delta = splat(params.parameter);
    return d > delta ? delta : (d < -delta ? -delta : d);
  }
  if constexpr (f == F::binary_cross_entropy) {
    const VecF q = prediction;
    const VecI clipped = (q < params.parameter) | (q > 1.0f - params.parameter);
    return clipped ? splat(0.0f) : (q - smooth(target, params)) / (q * (1.0f - q));
  }
  if constexpr (f == F::binary_cross_entropy_with_logits) return sigmoid(prediction) - smooth(target, params);
}

template <F f>
double pointwise(const float* prediction, const float* target, const float* weight, float scale, int64_t count,
                 const PointwiseParams& params, float* loss) {
  constexpr int64_t kStretch = 64 * kLanes;  // summed in float32
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kStretch) {
    VecF sums = {};
    each_vector(count - begin < kStretch ? count - begin : kStretch, [&](int64_t offset, auto lanes) CONVGRAD_LAMBDA {
      const int64_t i = begin + offset;
      VecF v = loss_of<f>(lanes.load(prediction + i), lanes.load(target + i), params);
      if (weight) v *= lanes.load(weight + i);
      sums += lanes.keep(v, 0.0f);
      if (loss) lanes.store(loss + i, v * scale);
    });
    total += static_cast<double>(sum_lanes(sums));
  }
  return total;
}

template <F f>
void pointwise_gradient(const float* prediction, const float* target, const float* dloss, const float* weight,
                        float scale, int64_t count, const PointwiseParams& params, float* dprediction) {
  each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
    VecF v = derivative_of<f>(lanes.load(prediction + i), lanes.load(target + i), params) * scale;
    if (weight) v *= lanes.load(weight + i);
    if (dloss) v *= lanes.load(dloss + i);
    lanes.store(dprediction + i, v);
  });
}

}  // namespace

#define CONVGRAD_EACH(kernel)                                                          \
  {                                                                                    \
    kernel<F::mse>, kernel<F::mae>, kernel<F::huber>, kernel<F::binary_cross_entropy>, \
        kernel<F::binary_cross_entropy_with_logits>                                    \
  }
#define CONVGRAD_EACH_TARGET(kernel)                                                         \
  {                                                                                          \
    {kernel<false, false>, kernel<false, true>}, { kernel<true, false>, kernel<true, true> } \
  }

extern const LossKernels loss_kernels;
const LossKernels loss_kernels = {
    .cross_entropy = CONVGRAD_EACH_TARGET(cross_entropy),
    .cross_entropy_gradient = CONVGRAD_EACH_TARGET(cross_entropy_gradient),
    .pointwise = CONVGRAD_EACH(pointwise),
    .pointwise_gradient = CONVGRAD_EACH(pointwise_gradient),
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
