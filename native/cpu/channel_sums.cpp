#include "cpu/channel_sums.h"

#include "cpu/isa.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kChannelGrain = 64;

/// Calls merge(merged index, first partial index) for each image and channel; a channel's partial results are
/// `channels` apart.
template <class Merge>
void each_channel(const ChannelTiles& tiles, Merge&& merge) {
  parallel_ranges(tiles.images * tiles.channels, kChannelGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      merge(i, i / tiles.channels * tiles.row_tiles * tiles.channels + i % tiles.channels);
    }
  });
}

}  // namespace

void channel_moments(const ChannelTiles& tiles, const float* x, const ChannelScratch& scratch) {
  each_tile(tiles, [&](const ChannelTile& tile) {
    const int64_t at = (tile.image * tiles.row_tiles + tile.row_tile) * tiles.channels + tile.channel;
    kernels().norm->moments(x + tile.offset, tile.rows, tile.channels, tiles.channels, scratch.partial[0] + at,
                            scratch.partial[1] + at);
  });
  each_channel(tiles, [&](int64_t i, int64_t first) {
    const float* means = scratch.partial[0] + first;
    const float* squares = scratch.partial[1] + first;
    double sum = 0;
    for (int64_t t = 0; t < tiles.row_tiles; ++t)
      sum += static_cast<double>(tiles.rows_of(t)) * static_cast<double>(means[t * tiles.channels]);
    const double mean = sum / static_cast<double>(tiles.rows);
    double m2 = 0;
    for (int64_t t = 0; t < tiles.row_tiles; ++t) {
      const double d = static_cast<double>(means[t * tiles.channels]) - mean;
      m2 += static_cast<double>(squares[t * tiles.channels]) + static_cast<double>(tiles.rows_of(t)) * d * d;
    }
    scratch.merged[0][i] = mean;
    scratch.merged[1][i] = m2;
  });
}

void channel_gradient_sums(const ChannelTiles& tiles, const float* x, const float* dy, const float* mean,
                           const ChannelScratch& scratch) {
  each_tile(tiles, [&](const ChannelTile& tile) {
    const int64_t at = (tile.image * tiles.row_tiles + tile.row_tile) * tiles.channels + tile.channel;
    kernels().norm->gradient_sums(x + tile.offset, dy + tile.offset, tile.rows, tile.channels, tiles.channels,
                                  mean + tile.image * tiles.channels + tile.channel, scratch.partial[0] + at,
                                  scratch.partial[1] + at);
  });
  each_channel(tiles, [&](int64_t i, int64_t first) {
    for (int k = 0; k < 2; ++k) {
      double sum = 0;
      for (int64_t t = 0; t < tiles.row_tiles; ++t)
        sum += static_cast<double>(scratch.partial[k][first + t * tiles.channels]);
      scratch.merged[k][i] = sum;
    }
  });
}

}  // namespace convgrad::cpu
