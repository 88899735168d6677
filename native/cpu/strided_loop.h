// A loop nest over several arrays at once, each with its own stride on every axis (0 where it repeats). Axes are merged
// where all arrays allow it, so that most ops end up with one or two.
#pragma once

#include <cstdint>

#include "tensor.h"

namespace convgrad::cpu {

template <int N>
class StridedLoop {
 public:
  /// Axes come from the outermost to the innermost.
  void add_axis(int64_t size, const int64_t (&strides)[N]) {
    if (size == 1) return;
    if (rank_ > 0) {
      bool merges = true;
      for (int n = 0; n < N; ++n) merges &= axes_[rank_ - 1].strides[n] == strides[n] * size;
      if (merges) {
        Axis& last = axes_[rank_ - 1];
        last.size *= size;
        for (int n = 0; n < N; ++n) last.strides[n] = strides[n];
        return;
      }
    }
    Axis& axis = axes_[rank_++];
    axis.size = size;
    for (int n = 0; n < N; ++n) axis.strides[n] = strides[n];
  }

  int rank() const { return rank_; }
  int64_t size(int axis) const { return axes_[axis].size; }
  int64_t stride(int n, int axis) const { return axes_[axis].strides[n]; }
  /// Size and strides of the innermost axis; 1 and 0 for a nest of none.
  int64_t inner_size() const { return rank_ ? axes_[rank_ - 1].size : 1; }
  int64_t inner_stride(int n) const { return rank_ ? axes_[rank_ - 1].strides[n] : 0; }

  int64_t total() const {
    int64_t total = 1;
    for (int axis = 0; axis < rank_; ++axis) total *= axes_[axis].size;
    return total;
  }

  /// Takes an axis out of the nest, for a kernel that handles it itself.
  void remove_axis(int axis) {
    for (--rank_; axis < rank_; ++axis) axes_[axis] = axes_[axis + 1];
  }

  /// Calls `body(offsets, count)` for each run along the innermost axis within the flat range [begin, end).
  template <class Body>
  void runs(int64_t begin, int64_t end, Body&& body) const {
    int64_t index[kMaxAxes] = {};
    int64_t offsets[N] = {};
    int64_t rest = begin;
    for (int axis = rank_ - 1; axis >= 0; --axis) {
      index[axis] = rest % axes_[axis].size;
      rest /= axes_[axis].size;
      for (int n = 0; n < N; ++n) offsets[n] += index[axis] * axes_[axis].strides[n];
    }
    const int inner = rank_ - 1;
    const int64_t inner_size = this->inner_size();
    for (int64_t position = begin; position < end;) {
      const int64_t start = rank_ ? index[inner] : 0;
      const int64_t count = inner_size - start < end - position ? inner_size - start : end - position;
      body(static_cast<const int64_t(&)[N]>(offsets), count);
      position += count;
      if (position >= end) return;
      for (int n = 0; n < N; ++n) offsets[n] -= start * axes_[inner].strides[n];
      index[inner] = 0;
      for (int axis = inner - 1; axis >= 0; --axis) {
        for (int n = 0; n < N; ++n) offsets[n] += axes_[axis].strides[n];
        if (++index[axis] < axes_[axis].size) break;
        for (int n = 0; n < N; ++n) offsets[n] -= axes_[axis].size * axes_[axis].strides[n];
        index[axis] = 0;
      }
    }
  }

 private:
  static constexpr int kMaxAxes = 2 * kMaxRank;
  struct Axis {
    int64_t size;
    int64_t strides[N];
  };
  Axis axes_[kMaxAxes];
  int rank_ = 0;
};

/// Strides of a dense row-major array, on the axes of `to` that it broadcasts to (0 where it repeats).
struct BroadcastStrides {
  int64_t values[kMaxRank] = {};
  BroadcastStrides(const Shape& from, const Shape& to) {
    int64_t stride = 1;
    for (int axis = to.rank() - 1; axis >= 0; --axis) {
      const int i = axis - (to.rank() - from.rank());
      const int64_t dim = i < 0 ? 1 : from[i];
      values[axis] = dim == 1 ? 0 : stride;
      stride *= dim;
    }
  }
  int64_t operator[](int axis) const { return values[axis]; }
};

}  // namespace convgrad::cpu
