// What the passes of Winograd convolution share: images in tiles that overlap by two pixels.
#pragma once

#include <algorithm>
#include <cstring>

#include "cpu/conv2d.h"
#include "cpu/isa.h"

namespace convgrad::cpu {

inline int64_t winograd_width() { return kernels().winograd->width; }
inline int64_t winograd_panels(int64_t channels) { return (channels + winograd_width() - 1) / winograd_width(); }

/// Of `channels` of one panel.
inline int64_t winograd_vectors(int64_t channels) { return (channels + kernels().lanes - 1) / kernels().lanes; }

inline int64_t winograd_padded(int64_t channels) { return (channels + 15) / 16 * 16; }

/// Whether a pass takes less time than the `direct` multiply-adds of the same pixels (without the nine taps), given
/// what a plane costs: multiply-adds of the product, and elements of tiles and of weights that are transformed. The
/// constants were measured with AVX-512 and AVX2, in multiply-adds.
inline bool winograd_is_faster(int64_t direct, int64_t product, int64_t tile_elements, int64_t weight_elements) {
  constexpr int64_t kTileElement = 18, kWeightElement = 6;
  constexpr double kShare = 0.95;  // of the product's speed, that implicit_gemm reaches
  const int64_t plane = product + kTileElement * tile_elements + kWeightElement * weight_elements;
  return static_cast<double>(kWinogradPlanes * plane) * kShare <
         static_cast<double>(kWinogradTaps * kWinogradTaps * direct);
}

/// How outputs [N, P, Q] are cut into tiles of 4 × 4, the last ones of a row or column ragged.
struct WinogradGrid {
  int64_t n, down, across, count;
  WinogradGrid(int64_t images, int64_t p, int64_t q)
      : n(images),
        down((p + kWinogradOutput - 1) / kWinogradOutput),
        across((q + kWinogradOutput - 1) / kWinogradOutput),
        count(n * down * across) {}
};

/// Images [N, H, W, C] in tiles of size × size pixels: tile (i, j) begins at (4·i - top, 4·j - left).
struct WinogradImages {
  WinogradGrid grid;
  int64_t h, w, c, top, left, size;

  /// A tile's place: the offset of its first pixel, which may lie outside the image, and which of its pixels are
  /// inside.
  struct Place {
    int64_t offset, first_row, last_row, first_column, last_column;
  };
  Place place(int64_t tile) const {
    const int64_t row = tile / grid.across % grid.down * kWinogradOutput - top;
    const int64_t column = tile % grid.across * kWinogradOutput - left;
    const int64_t n = tile / grid.across / grid.down;
    const auto inside = [&](int64_t i, int64_t extent) { return std::clamp<int64_t>(i, 0, extent); };
    return {((n * h + row) * w + column) * c, inside(row, h) - row, inside(row + size, h) - row,
            inside(column, w) - column, inside(column + size, w) - column};
  }
  bool whole(const Place& at) const {
    return at.last_row - at.first_row == size && at.last_column - at.first_column == size;
  }

  /// Calls transform(tile, pixels, panel) for each panel of channels [first, last) of a tile, with the pixels where
  /// they lie, or in a copy with zeros around the image and after the last channel.
  template <class F>
  void read(const float* data, int64_t tile, int64_t first, int64_t last, int64_t plane_stride, F&& transform) const {
    alignas(64) float copy[kWinogradInput * kWinogradInput * kWinogradMaxWidth];
    const Place at = place(tile);
    const int64_t width = winograd_width(), lanes = kernels().lanes;
    for (int64_t panel = first; panel < last; ++panel) {
      const float* pixels = data + at.offset + panel * width;
      const int64_t channels = std::min(width, c - panel * width), vectors = winograd_vectors(channels);
      if (whole(at) && channels % lanes == 0) {
        transform(WinogradTile{w * c, c, plane_stride, vectors}, pixels, panel);
        continue;
      }
      std::memset(copy, 0, static_cast<size_t>(size * size * width) * sizeof(float));
      for (int64_t i = at.first_row; i < at.last_row; ++i) {
        for (int64_t j = at.first_column; j < at.last_column; ++j) {
          std::memcpy(copy + (i * size + j) * width, pixels + (i * w + j) * c,
                      static_cast<size_t>(channels) * sizeof(float));
        }
      }
      transform(WinogradTile{size * width, width, plane_stride, vectors}, copy, panel);
    }
  }
};

}  // namespace convgrad::cpu
