// Reductions over the rows of [images, rows, channels], which batchNorm (one image) and groupNorm share: tiles give two
// partial results a channel, in float32, and these are merged in double, tile after tile. The tiles depend on the shape
// alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/thread_pool.h"

namespace convgrad::cpu {

struct ChannelTiles {
  ChannelTiles(int64_t images, int64_t rows, int64_t channels) : images(images), rows(rows), channels(channels) {
    constexpr int64_t kElements = 16384, kMaxRows = 1024, kMaxChannels = 96, kSplitChannels = 64;
    tile_channels = channels <= kMaxChannels ? channels : kSplitChannels;
    tile_rows = kElements / tile_channels < kMaxRows ? kElements / tile_channels : kMaxRows;
    row_tiles = (rows + tile_rows - 1) / tile_rows;
    channel_tiles = (channels + tile_channels - 1) / tile_channels;
  }

  /// Rows in tile `t`.
  int64_t rows_of(int64_t t) const { return t + 1 < row_tiles ? tile_rows : rows - t * tile_rows; }

  int64_t images, rows, channels;
  int64_t tile_rows, tile_channels, row_tiles, channel_tiles;
};

/// One tile: `rows` rows of `channels` channels that start at `offset`, at channel `channel` of image `image`.
struct ChannelTile {
  int64_t image, row_tile, channel;
  int64_t offset, rows, channels;
};

/// Calls body(tile) for all tiles, in parallel.
template <class Body>
void each_tile(const ChannelTiles& tiles, Body&& body) {
  parallel_for(tiles.images * tiles.row_tiles * tiles.channel_tiles, [&](int64_t task, int) {
    const int64_t t = task / tiles.channel_tiles % tiles.row_tiles;
    const int64_t image = task / tiles.channel_tiles / tiles.row_tiles;
    const int64_t channel = task % tiles.channel_tiles * tiles.tile_channels;
    const int64_t left = tiles.channels - channel;
    body(ChannelTile{image, t, channel, (image * tiles.rows + t * tiles.tile_rows) * tiles.channels + channel,
                     tiles.rows_of(t), left < tiles.tile_channels ? left : tiles.tile_channels});
  });
}

/// Scratch memory of an op: merged results and coefficients [images, channels], partial results [images, row_tiles,
/// channels].
struct ChannelScratch {
  static constexpr int kCoefficients = 4;

  static size_t bytes(const ChannelTiles& t) {
    const int64_t merged = t.images * t.channels, partial = merged * t.row_tiles;
    return static_cast<size_t>(merged) * (2 * sizeof(double) + kCoefficients * sizeof(float)) +
           static_cast<size_t>(partial) * 2 * sizeof(float);
  }

  ChannelScratch(const ChannelTiles& t, std::byte* workspace) {
    const int64_t count = t.images * t.channels;
    merged[0] = reinterpret_cast<double*>(workspace);
    merged[1] = merged[0] + count;
    coefficients[0] = reinterpret_cast<float*>(merged[1] + count);
    for (int i = 1; i < kCoefficients; ++i) coefficients[i] = coefficients[i - 1] + count;
    partial[0] = coefficients[kCoefficients - 1] + count;
    partial[1] = partial[0] + count * t.row_tiles;
  }

  double* merged[2];
  float* coefficients[kCoefficients];
  float* partial[2];
};

/// merged = {mean, Σ (x - mean)²} for each image and channel.
void channel_moments(const ChannelTiles& tiles, const float* x, const ChannelScratch& scratch);

/// merged = {Σ dy, Σ dy · (x - mean)} for each image and channel; mean is [images, channels].
void channel_gradient_sums(const ChannelTiles& tiles, const float* x, const float* dy, const float* mean,
                           const ChannelScratch& scratch);

}  // namespace convgrad::cpu
