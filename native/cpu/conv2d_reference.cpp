// The definition of convolution and its gradients: naive loops that sum in float64. What the other algorithms are held
// against in tests and benchmarks.
#include "cpu/conv2d.h"
#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

/// The row (or column) of the input that a tap sees; outside [0, h) (or [0, w)) lies the padding.
int64_t input_row(const Conv2dProblem& c, int64_t p, int64_t r) { return p * c.stride_h + r * c.dilation_h - c.top; }
int64_t input_column(const Conv2dProblem& c, int64_t q, int64_t s) {
  return q * c.stride_w + s * c.dilation_w - c.left;
}
bool inside(int64_t i, int64_t size) { return i >= 0 && i < size; }

}  // namespace

void conv2d_reference(const Args<Conv2d>& args) {
  const Conv2dProblem c = problem_of(args);
  const float *x = args.in[0].as<float>(), *weight = args.in[1].as<float>();
  const float* bias = args.in.has(2) ? args.in[2].as<float>() : nullptr;
  const float* residual = args.in.has(3) ? args.in[3].as<float>() : nullptr;
  float* y = args.out[0].as<float>();
  const int64_t cg = c.group_c();
  parallel_for(c.n * c.p * c.q, [&](int64_t pixel, int) {
    const int64_t q = pixel % c.q, p = pixel / c.q % c.p, n = pixel / c.q / c.p;
    float* out = y + pixel * c.k;
    for (int64_t k = 0; k < c.k; ++k) {
      const int64_t first = k / c.group_k() * cg;
      double sum = 0;
      for (int64_t r = 0; r < c.r; ++r) {
        for (int64_t s = 0; s < c.s; ++s) {
          const int64_t h = input_row(c, p, r), w = input_column(c, q, s);
          if (!inside(h, c.h) || !inside(w, c.w)) continue;
          for (int64_t i = 0; i < cg; ++i) {
            sum += double{x[((n * c.h + h) * c.w + w) * c.c + first + i]} * weight[((r * c.s + s) * cg + i) * c.k + k];
          }
        }
      }
      out[k] = static_cast<float>(sum);
    }
    kernels().gemm->epilogue(out, bias, residual ? residual + pixel * c.k : nullptr, args.params.activation, c.k);
  });
}

void conv2d_reference(const Args<Conv2dBackwardInput>& args) {
  const Conv2dProblem c = problem_of(args);
  const float *dy = args.in[0].as<float>(), *weight = args.in[1].as<float>();
  const float* bias = args.in.has(2) ? args.in[2].as<float>() : nullptr;
  float* dx = args.out[0].as<float>();
  const int64_t cg = c.group_c(), kg = c.group_k();
  parallel_for(c.n * c.h * c.w, [&](int64_t pixel, int) {
    const int64_t w = pixel % c.w, h = pixel / c.w % c.h, n = pixel / c.w / c.h;
    float* out = dx + pixel * c.c;
    for (int64_t i = 0; i < c.c; ++i) {
      const int64_t group = i / cg;
      double sum = 0;
      for (int64_t r = 0; r < c.r; ++r) {
        for (int64_t s = 0; s < c.s; ++s) {
          // The window that sees this pixel through this tap, if there is one.
          const int64_t down = h + c.top - r * c.dilation_h, across = w + c.left - s * c.dilation_w;
          if (down % c.stride_h || across % c.stride_w) continue;
          const int64_t p = down / c.stride_h, q = across / c.stride_w;
          if (!inside(p, c.p) || !inside(q, c.q)) continue;
          for (int64_t k = 0; k < kg; ++k) {
            sum += double{dy[((n * c.p + p) * c.q + q) * c.k + group * kg + k]} *
                   weight[((r * c.s + s) * cg + i % cg) * c.k + group * kg + k];
          }
        }
      }
      out[i] = static_cast<float>(sum);
    }
    kernels().gemm->epilogue(out, bias, nullptr, args.params.activation, c.c);
  });
}

void conv2d_reference(const Args<Conv2dBackwardWeight>& args) {
  const Conv2dProblem c = problem_of(args);
  const float *x = args.in[0].as<float>(), *dy = args.in[1].as<float>();
  float* dweight = args.out[0].as<float>();
  const int64_t cg = c.group_c();
  parallel_for(c.r * c.s * cg * c.k, [&](int64_t at, int) {
    const int64_t k = at % c.k, i = at / c.k % cg, s = at / c.k / cg % c.s, r = at / c.k / cg / c.s;
    const int64_t channel = k / c.group_k() * cg + i;
    double sum = 0;
    for (int64_t n = 0; n < c.n; ++n) {
      for (int64_t p = 0; p < c.p; ++p) {
        for (int64_t q = 0; q < c.q; ++q) {
          const int64_t h = input_row(c, p, r), w = input_column(c, q, s);
          if (!inside(h, c.h) || !inside(w, c.w)) continue;
          sum += double{x[((n * c.h + h) * c.w + w) * c.c + channel]} * dy[((n * c.p + p) * c.q + q) * c.k + k];
        }
      }
    }
    dweight[at] = static_cast<float>(sum);
  });
}

}  // namespace convgrad::cpu
