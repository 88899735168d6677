// Pooling a row at a time, vectorised over channels. Gradients are gathered: an input element sums what the windows
// that cover it send back, in a fixed order, so that each element is written once and rows are independent of each
// other.
#include "cpu/kernels/pool.h"

#include "cpu/simd.h"

namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE {
namespace {

/// A greater value replaces the best one, and so does NaN.
CONVGRAD_INLINE VecI beats(VecF v, VecF best) { return (v > best) | (v != v); }

template <bool kIndices>
void max_row(const PoolRow& row, float* y, int32_t* indices) {
  for (int64_t q = 0; q < row.count; ++q) {
    const PoolWindow rows = row.rows, columns = row.columns[q];
    const int64_t corner = rows.begin * row.width + columns.begin;
    const bool two_by_two = rows.end - rows.begin == 2 && columns.end - columns.begin == 2;
    each_vector(row.channels, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      const float* x = row.x + c;
      VecF best = lanes.load(x + corner * row.stride);
      VecI at = splat(static_cast<int32_t>(corner));
      const auto consider = [&](int64_t position) CONVGRAD_LAMBDA {
        const VecF v = lanes.load(x + position * row.stride);
        const VecI better = beats(v, best);
        best = better ? v : best;
        if constexpr (kIndices) at = better ? splat(static_cast<int32_t>(position)) : at;
      };
      if (two_by_two) {
        consider(corner + 1);
        consider(corner + row.width);
        consider(corner + row.width + 1);
      } else {
        for (int64_t h = rows.begin; h < rows.end; ++h) {
          for (int64_t w = columns.begin; w < columns.end; ++w) consider(h * row.width + w);
        }
      }
      lanes.store(y + q * row.stride + c, best);
      if constexpr (kIndices) lanes.store(indices + q * row.stride + c, at);
    });
  }
}

void max_row_only(const PoolRow& row, float* y) { max_row<false>(row, y, nullptr); }

/// `kVectors` vectors of channels at once, from channel c on. Sums of rows are added up, which keeps a large window's
/// rounding error small.
template <int kVectors>
CONVGRAD_INLINE void avg_block(const PoolRow& row, PoolWindow columns, int64_t c, float* y) {
  VecF total[kVectors] = {};
  for (int32_t h = row.rows.begin; h < row.rows.end; ++h) {
    const float* x = row.x + (h * row.width + columns.begin) * row.stride + c;
    VecF sum[kVectors] = {};
    for (int32_t w = columns.begin; w < columns.end; ++w, x += row.stride) {
      for (int v = 0; v < kVectors; ++v) sum[v] += load(x + v * kLanes);
    }
    for (int v = 0; v < kVectors; ++v) total[v] += sum[v];
  }
  const float divisor = static_cast<float>(row.rows.extent) * static_cast<float>(columns.extent);
  for (int v = 0; v < kVectors; ++v) store(y + c + v * kLanes, total[v] / divisor);
}

void avg_row(const PoolRow& row, float* y) {
  constexpr int kBlock = 4;
  for (int64_t q = 0; q < row.count; ++q, y += row.stride) {
    const PoolWindow columns = row.columns[q];
    int64_t c = 0;
    for (; c + kBlock * kLanes <= row.channels; c += kBlock * kLanes) avg_block<kBlock>(row, columns, c, y);
    for (; c + kLanes <= row.channels; c += kLanes) avg_block<1>(row, columns, c, y);
    if (c == row.channels) continue;
    const int64_t left = row.channels - c;
    VecF total = {};
    for (int32_t h = row.rows.begin; h < row.rows.end; ++h) {
      VecF sum = {};
      for (int32_t w = columns.begin; w < columns.end; ++w)
        sum += load_partial(row.x + (h * row.width + w) * row.stride + c, left);
      total += sum;
    }
    const float divisor = static_cast<float>(row.rows.extent) * static_cast<float>(columns.extent);
    store_partial(y + c, total / divisor, left);
  }
}

void max_gradient_row(const PoolGradientRow& row, float* dx) {
  const int64_t line = row.windows_across * row.stride;
  for (int64_t w = 0; w < row.count; ++w, dx += row.stride) {
    const VecI here = splat(row.position + static_cast<int32_t>(w));
    const PoolRange columns = row.columns[w];
    each_vector(row.channels, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      VecF sum = {};
      for (int32_t p = row.rows.begin; p < row.rows.end; ++p) {
        for (int32_t q = columns.begin; q < columns.end; ++q) {
          const int64_t at = p * line + q * row.stride + c;
          sum += lanes.load(row.indices + at) == here ? lanes.load(row.dy + at) : splat(0.0f);
        }
      }
      lanes.store(dx + c, sum);
    });
  }
}

void avg_gradient_row(const PoolGradientRow& row, float* dx) {
  const int64_t line = row.windows_across * row.stride;
  for (int64_t w = 0; w < row.count; ++w, dx += row.stride) {
    const PoolRange columns = row.columns[w];
    each_vector(row.channels, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      VecF sum = {};
      for (int32_t p = row.rows.begin; p < row.rows.end; ++p) {
        const float extent = static_cast<float>(row.window_rows[p].extent);
        for (int32_t q = columns.begin; q < columns.end; ++q) {
          const float factor = 1.0f / (extent * static_cast<float>(row.window_columns[q].extent));
          sum += lanes.load(row.dy + p * line + q * row.stride + c) * factor;
        }
      }
      lanes.store(dx + c, sum);
    });
  }
}

void max_gradient_2x2(const float* dy, const int32_t* indices, int64_t count, int64_t channels, int32_t position,
                      int32_t width, float* dx, int64_t dx_row) {
  for (int64_t q = 0; q < count; ++q, position += 2) {
    each_vector(channels, [&](int64_t c, auto lanes) CONVGRAD_LAMBDA {
      const VecI at = lanes.load(indices + q * channels + c);
      const VecF g = lanes.load(dy + q * channels + c);
      const VecF zero = {};
      float* const to = dx + 2 * q * channels + c;
      lanes.store(to, at == position ? g : zero);
      lanes.store(to + channels, at == position + 1 ? g : zero);
      lanes.store(to + dx_row, at == position + width ? g : zero);
      lanes.store(to + dx_row + channels, at == position + width + 1 ? g : zero);
    });
  }
}

}  // namespace

extern const PoolKernels pool_kernels;
const PoolKernels pool_kernels = {
    .max_row = max_row_only,
    .max_row_with_indices = max_row<true>,
    .avg_row = avg_row,
    .max_gradient_row = max_gradient_row,
    .avg_gradient_row = avg_gradient_row,
    .max_gradient_2x2 = max_gradient_2x2,
};

}  // namespace convgrad::cpu::CONVGRAD_ISA_NAMESPACE
