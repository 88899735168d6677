// Resizing a row at a time, vectorised over channels. `nearest` is a bilinear tap of weight 0.
#include "cpu/kernels/resize.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

typedef uint8_t VecB __attribute__((vector_size(kLanes)));

CONVGRAD_INLINE VecF load_pixels(const float* p, WholeVector lanes) { return lanes.load(p); }
CONVGRAD_INLINE VecF load_pixels(const float* p, PartialVector lanes) { return lanes.load(p); }
CONVGRAD_INLINE VecF load_pixels(const uint8_t* p, WholeVector) { return __builtin_convertvector(load<VecB>(p), VecF); }
CONVGRAD_INLINE VecF load_pixels(const uint8_t* p, PartialVector lanes) {
  VecB bytes = {};
  for (int64_t i = 0; i < lanes.count; ++i) bytes[i] = p[i];
  return __builtin_convertvector(bytes, VecF);
}

template <class T>
void row(const ResizeRow& row, float* y) {
  const int64_t line = row.width * row.channels;
  const ResizeTap vertical = *row.rows;
  const T* top = static_cast<const T*>(row.image) + vertical.low * line;
  const T* bottom = static_cast<const T*>(row.image) + vertical.high * line;
  for (int64_t q = 0; q < row.count; ++q, y += row.channels) {
    const ResizeTap horizontal = row.columns[q];
    const int64_t left = horizontal.low * row.channels, right = horizontal.high * row.channels;
    if (vertical.weight == 0.0f && horizontal.weight == 0.0f) {
      each_vector(row.channels, [&](int64_t c, auto lanes)
                                    CONVGRAD_LAMBDA { lanes.store(y + c, load_pixels(top + left + c, lanes)); });
      continue;
    }
    each_vector(row.channels, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      const VecF a = load_pixels(top + left + c, lanes), b = load_pixels(top + right + c, lanes);
      const VecF d = load_pixels(bottom + left + c, lanes), e = load_pixels(bottom + right + c, lanes);
      const VecF above = a + horizontal.weight * (b - a), below = d + horizontal.weight * (e - d);
      lanes.store(y + c, above + vertical.weight * (below - above));
    });
  }
}

/// How much of the input's element `i` is in an element of the result.
CONVGRAD_INLINE float share(const ResizeTap& tap, int32_t i) {
  return (tap.low == i ? 1.0f - tap.weight : 0.0f) + (tap.high == i ? tap.weight : 0.0f);
}

void gradient_row(const ResizeRow& row, float* dx) {
  const int64_t line = row.width * row.channels;
  const float* dy = static_cast<const float*>(row.image);
  for (int64_t w = 0; w < row.count; ++w, dx += row.channels) {
    const ResizeRange columns = row.covering_columns[w];
    each_vector(row.channels, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      VecF sum = {};
      for (int32_t p = row.covering_rows.begin; p < row.covering_rows.end; ++p) {
        const float vertical = share(row.rows[p], row.row);
        for (int32_t q = columns.begin; q < columns.end; ++q) {
          sum += lanes.load(dy + p * line + q * row.channels + c) *
                 (vertical * share(row.columns[q], static_cast<int32_t>(w)));
        }
      }
      lanes.store(dx + c, sum);
    });
  }
}

}  // namespace

extern const ResizeKernels resize_kernels;
const ResizeKernels resize_kernels = {.row = {row<float>, row<uint8_t>}, .gradient_row = gradient_row};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
