#pragma once

#include <cstdint>

#include "ops/enums.h"

namespace convgrad::cpu {

/// Winograd's minimal filtering F(4×4, 3×3): 4 × 4 pixels of a convolution with 3 × 3 taps from 6 × 6 pixels of the
/// image, in 36 products instead of 144.
constexpr int64_t kWinogradOutput = 4, kWinogradTaps = 3, kWinogradInput = 6, kWinogradPlanes = 36;
constexpr int64_t kWinogradMaxWidth = 32;  // of a panel

/// Channels lie in panels of `width`. A transformed tile has an element in each of 36 planes, and the tiles of a plane
/// are the rows of a matrix. Strides are in floats.
struct WinogradTile {
  int64_t row_stride, column_stride;  // of pixels
  int64_t plane_stride;
  int64_t vectors;  // of channels: 1 or 2
};

/// c[m·width + n] = Σ a(m, k) · b[k·width + n], or += that, where `add`.
struct WinogradProduct {
  int64_t rows, depth;
  int64_t vectors;  // of columns: 1 or 2
  const float* a;
  int64_t a_panel;  // forward: distance of two panels of A
  const float* b;
  float* c;
  bool add;
};

struct WinogradKernels {
  int width;      // of a panel of channels: two vectors
  int tile_rows;  // of a product's register tile
  /// planes = Bᵀ · pixels · B, with 6 × 6 pixels of the image.
  void (*input)(const WinogradTile& tile, const float* pixels, float* planes);
  /// planes = G · taps · Gᵀ, where the taps lie as pixels do.
  void (*weight)(const WinogradTile& tile, const float* taps, float* planes);
  /// pixels = activation(Aᵀ · planes · A + bias + residual), 4 × 4 pixels of the output. bias and residual may be null,
  /// the residual lies as the pixels do, and the activation is none, relu or relu6.
  void (*output)(const WinogradTile& tile, const float* planes, const float* bias, const float* residual,
                 Activation activation, float* pixels);
  /// planes = A · pixels · Aᵀ: the transpose of the output's transform.
  void (*output_gradient)(const WinogradTile& tile, const float* pixels, float* planes);
  /// taps = Gᵀ · planes · G for `channels` channels: the transpose of the weight's transform.
  void (*weight_gradient)(const WinogradTile& tile, const float* planes, int64_t channels, float* taps);
  /// a(m, k) = a[k / width · a_panel + m · width + k % width]: tiles by channels.
  void (*product)(const WinogradProduct& product);
  /// a(m, k) = a[k · width + m]: channels of one panel by tiles.
  void (*product_transposed)(const WinogradProduct& product);
};

}  // namespace convgrad::cpu
