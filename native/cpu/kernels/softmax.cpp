// Softmax: the maximum, the sum of exp(x - maximum), and the quotient or its logarithm. A NaN is ignored by the maximum
// but not by the sum, so it makes its whole row NaN.
#include "cpu/kernels/softmax.h"

#include "cpu/simd_math.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

CONVGRAD_INLINE float log_of(float x) { return log(splat(x))[0]; }

template <bool kLog>
void rows(const float* x, int64_t rows, int64_t size, float* y) {
  for (int64_t r = 0; r < rows; ++r, x += size, y += size) {
    VecF peaks = splat(-__builtin_inff());
    each_vector(size, [&](int64_t i, auto lanes)
                          CONVGRAD_LAMBDA { peaks = max(peaks, lanes.keep(lanes.load(x + i), -__builtin_inff())); });
    const float peak = max_lanes(peaks);
    VecF sums = {};
    each_vector(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      const VecF e = exp(lanes.load(x + i) - peak);
      sums += lanes.keep(e, 0.0f);
      if constexpr (!kLog) lanes.store(y + i, e);
    });
    const float sum = sum_lanes(sums), log_sum = kLog ? log_of(sum) : 0.0f;
    each_vector(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      lanes.store(y + i, kLog ? lanes.load(x + i) - peak - log_sum : lanes.load(y + i) / sum);
    });
  }
}

template <bool kLog>
void rows_gradient(const float* y, const float* dy, int64_t rows, int64_t size, float* dx) {
  for (int64_t r = 0; r < rows; ++r, y += size, dy += size, dx += size) {
    VecF sums = {};
    each_vector(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      sums += kLog ? lanes.load(dy + i) : lanes.load(dy + i) * lanes.load(y + i);
    });
    const float sum = sum_lanes(sums);
    each_vector(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      const VecF v = lanes.load(y + i), g = lanes.load(dy + i);
      lanes.store(dx + i, kLog ? g - exp(v) * sum : v * (g - sum));
    });
  }
}

template <bool kLog>
void columns(const float* x, int64_t size, int64_t stride, int64_t count, float* y) {
  each_vector(count, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
    const float* from = x + c;
    float* to = y + c;
    VecF peak = splat(-__builtin_inff());
    for (int64_t i = 0; i < size; ++i) peak = max(peak, lanes.load(from + i * stride));
    VecF sum = {};
    for (int64_t i = 0; i < size; ++i) {
      const VecF e = exp(lanes.load(from + i * stride) - peak);
      sum += e;
      if constexpr (!kLog) lanes.store(to + i * stride, e);
    }
    const VecF log_sum = kLog ? log(sum) : sum;
    for (int64_t i = 0; i < size; ++i) {
      lanes.store(to + i * stride,
                  kLog ? lanes.load(from + i * stride) - peak - log_sum : lanes.load(to + i * stride) / sum);
    }
  });
}

template <bool kLog>
void columns_gradient(const float* y, const float* dy, int64_t size, int64_t stride, int64_t count, float* dx) {
  each_vector(count, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
    VecF sum = {};
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = i * stride + c;
      sum += kLog ? lanes.load(dy + at) : lanes.load(dy + at) * lanes.load(y + at);
    }
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = i * stride + c;
      const VecF v = lanes.load(y + at), g = lanes.load(dy + at);
      lanes.store(dx + at, kLog ? g - exp(v) * sum : v * (g - sum));
    }
  });
}

}  // namespace

extern const SoftmaxKernels softmax_kernels;
const SoftmaxKernels softmax_kernels = {
    .rows = {rows<false>, rows<true>},
    .rows_gradient = {rows_gradient<false>, rows_gradient<true>},
    .columns = {columns<false>, columns<true>},
    .columns_gradient = {columns_gradient<false>, columns_gradient<true>},
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
