// Normalisation over tiles that fit the second-level cache, so that a second pass over them costs no memory traffic.
#include "cpu/kernels/norm.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

// ---- statistics a channel: the channels of up to four vectors are summed down the rows in registers ----

constexpr int kBlock = 4;

/// A block of channels: kVectors whole vectors, or `count` lanes of one.
template <int kVectors>
struct WholeBlock {
  static constexpr int vectors = kVectors;
  CONVGRAD_INLINE VecF load_vector(const float* p, int v) const { return load(p + v * kLanes); }
  CONVGRAD_INLINE void store_vector(float* p, int v, VecF x) const { store(p + v * kLanes, x); }
};
struct PartialBlock {
  static constexpr int vectors = 1;
  int64_t count;
  CONVGRAD_INLINE VecF load_vector(const float* p, int) const { return load_partial(p, count); }
  CONVGRAD_INLINE void store_vector(float* p, int, VecF x) const { store_partial(p, x, count); }
};

template <class Body>
CONVGRAD_INLINE void each_block(int64_t channels, Body&& body) {
  int64_t c = 0;
  for (; c + kBlock * kLanes <= channels; c += kBlock * kLanes) body(c, WholeBlock<kBlock>{});
  for (; c + kLanes <= channels; c += kLanes) body(c, WholeBlock<1>{});
  if (c < channels) body(c, PartialBlock{channels - c});
}

/// Two passes; the second also sums x - mean, which removes the first one's rounding error.
void moments(const float* x, int64_t rows, int64_t channels, int64_t stride, float* mean, float* m2) {
  const float n = static_cast<float>(rows);
  each_block(channels, [&](int64_t c, auto block) CONVGRAD_LAMBDA {
    constexpr int kVectors = decltype(block)::vectors;
    VecF m[kVectors] = {}, rest[kVectors] = {}, squares[kVectors] = {};
    const float* from = x + c;
    for (int64_t r = 0; r < rows; ++r) {
      for (int v = 0; v < kVectors; ++v) m[v] += block.load_vector(from + r * stride, v);
    }
    for (int v = 0; v < kVectors; ++v) m[v] /= n;
    for (int64_t r = 0; r < rows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        const VecF d = block.load_vector(from + r * stride, v) - m[v];
        rest[v] += d;
        squares[v] += d * d;
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      block.store_vector(mean + c, v, m[v] + rest[v] / n);
      block.store_vector(m2 + c, v, squares[v] - rest[v] * rest[v] / n);
    }
  });
}

void gradient_sums(const float* x, const float* dy, int64_t rows, int64_t channels, int64_t stride, const float* mean,
                   float* sum_dy, float* sum_dy_x) {
  each_block(channels, [&](int64_t c, auto block) CONVGRAD_LAMBDA {
    constexpr int kVectors = decltype(block)::vectors;
    VecF m[kVectors], sum[kVectors] = {}, product[kVectors] = {};
    for (int v = 0; v < kVectors; ++v) m[v] = block.load_vector(mean + c, v);
    for (int64_t r = 0; r < rows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        const VecF g = block.load_vector(dy + r * stride + c, v);
        sum[v] += g;
        product[v] += g * (block.load_vector(x + r * stride + c, v) - m[v]);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      block.store_vector(sum_dy + c, v, sum[v]);
      block.store_vector(sum_dy_x + c, v, product[v]);
    }
  });
}

// ---- application: row by row, the coefficients stay in the first-level cache ----

void normalize(const float* x, int64_t rows, int64_t channels, int64_t stride, const float* mean, const float* scale,
               const float* shift, float* y) {
  for (int64_t r = 0; r < rows; ++r, x += stride, y += stride) {
    each_vector(channels, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      lanes.store(y + c, (lanes.load(x + c) - lanes.load(mean + c)) * lanes.load(scale + c) + lanes.load(shift + c));
    });
  }
}

void input_gradient(const float* x, const float* dy, int64_t rows, int64_t channels, int64_t stride, const float* mean,
                    const float* a, const float* b, const float* c, float* dx) {
  for (int64_t r = 0; r < rows; ++r, x += stride, dy += stride, dx += stride) {
    each_vector(channels, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      const VecF centred = lanes.load(x + i) - lanes.load(mean + i);
      lanes.store(dx + i, lanes.load(a + i) * lanes.load(dy + i) + (lanes.load(b + i) * centred + lanes.load(c + i)));
    });
  }
}

// ---- layerNorm ----

/// Σ term(i, lanes) over a row, in double from stretch to stretch, so that long rows lose nothing. `term` must give
/// zero in the lanes that a partial vector lacks.
template <class Term>
CONVGRAD_INLINE double row_sum(int64_t size, Term&& term) {
  constexpr int64_t kStretch = 128 * kLanes;
  double total = 0;
  for (int64_t begin = 0; begin < size; begin += kStretch) {
    const int64_t count = size - begin < kStretch ? size - begin : kStretch;
    VecF sum = {};
    each_vector(count, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA { sum += term(begin + i, lanes); });
    total += static_cast<double>(sum_lanes(sum));
  }
  return total;
}

void layer_norm(const float* x, int64_t rows, int64_t size, const float* gamma, const float* beta, float epsilon,
                float* y, float* mean, float* inv_std) {
  const double n = static_cast<double>(size);
  for (int64_t r = 0; r < rows; ++r, x += size, y += size) {
    const float m =
        static_cast<float>(row_sum(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA { return lanes.load(x + i); }) / n);
    const double squares = row_sum(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      const VecF d = lanes.keep(lanes.load(x + i) - m, 0.0f);
      return d * d;
    });
    const float s = static_cast<float>(1.0 / __builtin_sqrt(squares / n + static_cast<double>(epsilon)));
    mean[r] = m;
    inv_std[r] = s;
    each_vector(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      VecF v = (lanes.load(x + i) - m) * s;
      if (gamma) v *= lanes.load(gamma + i);
      if (beta) v += lanes.load(beta + i);
      lanes.store(y + i, v);
    });
  }
}

void layer_norm_gradient(const float* x, const float* dy, int64_t rows, int64_t size, const float* gamma,
                         const float* mean, const float* inv_std, float* dx, float* dgamma, float* dbeta) {
  const double n = static_cast<double>(size);
  for (int64_t r = 0; r < rows; ++r, x += size, dy += size, dx += size) {
    const float m = mean[r], s = inv_std[r];
    const auto normalized = [&](int64_t i, auto lanes) CONVGRAD_LAMBDA { return (lanes.load(x + i) - m) * s; };
    const auto scaled = [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      const VecF g = lanes.load(dy + i);
      return gamma ? g * lanes.load(gamma + i) : g;
    };
    const float sum = static_cast<float>(row_sum(size, scaled) / n);
    const float product = static_cast<float>(
        row_sum(size, [&](int64_t i, auto lanes)
                          CONVGRAD_LAMBDA { return lanes.keep(scaled(i, lanes) * normalized(i, lanes), 0.0f); }) /
        n);
    each_vector(size, [&](int64_t i, auto lanes) CONVGRAD_LAMBDA {
      const VecF g = lanes.load(dy + i), hat = normalized(i, lanes);
      lanes.store(dx + i, (scaled(i, lanes) - sum - hat * product) * s);
      lanes.store(dgamma + i, lanes.load(dgamma + i) + g * hat);
      lanes.store(dbeta + i, lanes.load(dbeta + i) + g);
    });
  }
}

}  // namespace

extern const NormKernels norm_kernels;
const NormKernels norm_kernels = {
    .moments = moments,
    .gradient_sums = gradient_sums,
    .normalize = normalize,
    .input_gradient = input_gradient,
    .layer_norm = layer_norm,
    .layer_norm_gradient = layer_norm_gradient,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
