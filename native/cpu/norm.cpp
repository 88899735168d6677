// batchNorm and groupNorm: sums a channel, then coefficients a channel, then one pass over the elements. layerNorm:
// rows.
#include "ops/norm.h"

#include <algorithm>
#include <cmath>

#include "cpu/channel_sums.h"
#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGrain = 16384;  // elements a task

ChannelTiles batch_tiles(const View& x) {
  const int64_t channels = x.shape[x.shape.rank() - 1];
  return {1, x.size() / channels, channels};
}

ChannelTiles sample_tiles(const View& x) {
  const int64_t images = x.shape[0], channels = x.shape[x.shape.rank() - 1];
  return {images, x.size() / images / channels, channels};
}

/// An optional operand's element.
float value_or(const View& view, int64_t i, float otherwise) { return view ? view.as<float>()[i] : otherwise; }

double inverse_std(double variance, float epsilon) { return 1.0 / std::sqrt(variance + static_cast<double>(epsilon)); }

/// y = (x - mean) · scale + shift; the coefficients are [images, channels].
void normalize(const ChannelTiles& tiles, const View& x, const float* mean, const float* scale, const float* shift,
               const View& y) {
  each_tile(tiles, [&](const ChannelTile& tile) {
    const int64_t c = tile.image * tiles.channels + tile.channel;
    kernels().norm->normalize(x.as<float>() + tile.offset, tile.rows, tile.channels, tiles.channels, mean + c,
                              scale + c, shift + c, y.as<float>() + tile.offset);
  });
}

/// dx = a · dy + b · (x - mean) + c; the coefficients are [images, channels].
void input_gradient(const ChannelTiles& tiles, const View& x, const View& dy, const float* mean, const float* a,
                    const float* b, const float* c, const View& dx) {
  each_tile(tiles, [&](const ChannelTile& tile) {
    const int64_t i = tile.image * tiles.channels + tile.channel;
    kernels().norm->input_gradient(x.as<float>() + tile.offset, dy.as<float>() + tile.offset, tile.rows, tile.channels,
                                   tiles.channels, mean + i, a + i, b + i, c + i, dx.as<float>() + tile.offset);
  });
}

}  // namespace

// ---- batchNorm ----

template <>
size_t workspace<BatchNorm>(const Args<BatchNorm>& args) {
  return ChannelScratch::bytes(batch_tiles(args.in[0]));
}

template <>
void run<BatchNorm>(const Args<BatchNorm>& args) {
  const View &x = args.in[0], &gamma = args.in[1], &beta = args.in[2];
  float* running_mean = args.in[3].as<float>();
  float* running_var = args.in[4].as<float>();
  float* mean = args.out[1].as<float>();
  float* inv_std = args.out[2].as<float>();
  const auto& p = args.params;
  const ChannelTiles tiles = batch_tiles(x);
  const ChannelScratch scratch(tiles, args.workspace);
  channel_moments(tiles, x.as<float>(), scratch);

  float *scale = scratch.coefficients[0], *shift = scratch.coefficients[1];
  const double n = static_cast<double>(tiles.rows), momentum = static_cast<double>(p.momentum);
  const auto move = [&](float& running, double batch) {
    running = static_cast<float>(static_cast<double>(running) + momentum * (batch - static_cast<double>(running)));
  };
  for (int64_t c = 0; c < tiles.channels; ++c) {
    const double m2 = scratch.merged[1][c];
    mean[c] = static_cast<float>(scratch.merged[0][c]);
    inv_std[c] = static_cast<float>(inverse_std(m2 / n, p.epsilon));
    if (running_mean) move(running_mean[c], scratch.merged[0][c]);
    if (running_var) move(running_var[c], p.unbiased_running_var ? m2 / (n - 1) : m2 / n);
    scale[c] = value_or(gamma, c, 1) * inv_std[c];
    shift[c] = value_or(beta, c, 0);
  }
  normalize(tiles, x, mean, scale, shift, args.out[0]);
}

template <>
size_t workspace<BatchNormBackward>(const Args<BatchNormBackward>& args) {
  return ChannelScratch::bytes(batch_tiles(args.in[0]));
}

// With x̂ = (x - mean) · s, s = 1/std:  dx = γ s (dy - Σdy / n - x̂ · Σ(dy x̂) / n).
template <>
void run<BatchNormBackward>(const Args<BatchNormBackward>& args) {
  const View &x = args.in[0], &dy = args.in[1], &gamma = args.in[4];
  const float* mean = args.in[2].as<float>();
  const float* inv_std = args.in[3].as<float>();
  float* dgamma = args.out[1].as<float>();
  float* dbeta = args.out[2].as<float>();
  const ChannelTiles tiles = batch_tiles(x);
  const ChannelScratch scratch(tiles, args.workspace);
  channel_gradient_sums(tiles, x.as<float>(), dy.as<float>(), mean, scratch);

  float *a = scratch.coefficients[0], *b = scratch.coefficients[1], *constant = scratch.coefficients[2];
  const double n = static_cast<double>(tiles.rows);
  for (int64_t c = 0; c < tiles.channels; ++c) {
    const double s = static_cast<double>(inv_std[c]), scale = s * static_cast<double>(value_or(gamma, c, 1));
    const double sum = scratch.merged[0][c], product = scratch.merged[1][c];
    dbeta[c] = static_cast<float>(sum);
    dgamma[c] = static_cast<float>(product * s);
    a[c] = static_cast<float>(scale);
    b[c] = static_cast<float>(-scale * s * s * product / n);
    constant[c] = static_cast<float>(-scale * sum / n);
  }
  input_gradient(tiles, x, dy, mean, a, b, constant, args.out[0]);
}

template <>
size_t workspace<BatchNormInference>(const Args<BatchNormInference>& args) {
  return ChannelScratch::bytes(batch_tiles(args.in[0]));
}

template <>
void run<BatchNormInference>(const Args<BatchNormInference>& args) {
  const View &x = args.in[0], &gamma = args.in[3], &beta = args.in[4];
  const float* variance = args.in[2].as<float>();
  const ChannelTiles tiles = batch_tiles(x);
  const ChannelScratch scratch(tiles, args.workspace);
  float *scale = scratch.coefficients[0], *shift = scratch.coefficients[1];
  for (int64_t c = 0; c < tiles.channels; ++c) {
    const double s = inverse_std(static_cast<double>(variance[c]), args.params.epsilon);
    scale[c] = static_cast<float>(s * static_cast<double>(value_or(gamma, c, 1)));
    shift[c] = value_or(beta, c, 0);
  }
  normalize(tiles, x, args.in[1].as<float>(), scale, shift, args.out[0]);
}

template <>
size_t workspace<BatchNormInferenceBackward>(const Args<BatchNormInferenceBackward>& args) {
  return ChannelScratch::bytes(batch_tiles(args.in[0]));
}

template <>
void run<BatchNormInferenceBackward>(const Args<BatchNormInferenceBackward>& args) {
  const View &x = args.in[0], &dy = args.in[1], &gamma = args.in[4];
  const float* mean = args.in[2].as<float>();
  const float* variance = args.in[3].as<float>();
  float* dgamma = args.out[1].as<float>();
  float* dbeta = args.out[2].as<float>();
  const ChannelTiles tiles = batch_tiles(x);
  const ChannelScratch scratch(tiles, args.workspace);
  channel_gradient_sums(tiles, x.as<float>(), dy.as<float>(), mean, scratch);

  float *scale = scratch.coefficients[0], *zero = scratch.coefficients[1];
  for (int64_t c = 0; c < tiles.channels; ++c) {
    const double s = inverse_std(static_cast<double>(variance[c]), args.params.epsilon);
    dbeta[c] = static_cast<float>(scratch.merged[0][c]);
    dgamma[c] = static_cast<float>(scratch.merged[1][c] * s);
    scale[c] = static_cast<float>(s * static_cast<double>(value_or(gamma, c, 1)));
    zero[c] = 0;
  }
  normalize(tiles, dy, zero, scale, zero, args.out[0]);
}

// ---- groupNorm: batchNorm's passes with one set of coefficients a sample ----

template <>
size_t workspace<GroupNorm>(const Args<GroupNorm>& args) {
  return ChannelScratch::bytes(sample_tiles(args.in[0]));
}

template <>
void run<GroupNorm>(const Args<GroupNorm>& args) {
  const View &x = args.in[0], &gamma = args.in[1], &beta = args.in[2];
  float* mean = args.out[1].as<float>();
  float* inv_std = args.out[2].as<float>();
  const ChannelTiles tiles = sample_tiles(x);
  const ChannelScratch scratch(tiles, args.workspace);
  channel_moments(tiles, x.as<float>(), scratch);

  float *means = scratch.coefficients[0], *scale = scratch.coefficients[1], *shift = scratch.coefficients[2];
  const int64_t groups = args.params.groups, width = tiles.channels / groups;
  const double n = static_cast<double>(width), rows = static_cast<double>(tiles.rows);
  for (int64_t g = 0; g < tiles.images * groups; ++g) {
    const int64_t first = g * width;  // of the group's channels in [images, channels]
    double sum = 0, m2 = 0;
    for (int64_t c = first; c < first + width; ++c) sum += scratch.merged[0][c];
    const double m = sum / n;
    for (int64_t c = first; c < first + width; ++c) {
      const double d = scratch.merged[0][c] - m;
      m2 += scratch.merged[1][c] + rows * d * d;
    }
    mean[g] = static_cast<float>(m);
    inv_std[g] = static_cast<float>(inverse_std(m2 / (n * rows), args.params.epsilon));
    for (int64_t c = first; c < first + width; ++c) {
      means[c] = mean[g];
      scale[c] = inv_std[g] * value_or(gamma, c % tiles.channels, 1);
      shift[c] = value_or(beta, c % tiles.channels, 0);
    }
  }
  normalize(tiles, x, means, scale, shift, args.out[0]);
}

template <>
size_t workspace<GroupNormBackward>(const Args<GroupNormBackward>& args) {
  return ChannelScratch::bytes(sample_tiles(args.in[0]));
}

template <>
void run<GroupNormBackward>(const Args<GroupNormBackward>& args) {
  const View &x = args.in[0], &dy = args.in[1], &gamma = args.in[4];
  const float* mean = args.in[2].as<float>();
  const float* inv_std = args.in[3].as<float>();
  float* dgamma = args.out[1].as<float>();
  float* dbeta = args.out[2].as<float>();
  const ChannelTiles tiles = sample_tiles(x);
  const ChannelScratch scratch(tiles, args.workspace);
  const int64_t groups = args.in[2].shape[1], width = tiles.channels / groups;
  float* means = scratch.coefficients[3];
  for (int64_t c = 0; c < tiles.images * tiles.channels; ++c) means[c] = mean[c / width];
  channel_gradient_sums(tiles, x.as<float>(), dy.as<float>(), means, scratch);

  float *a = scratch.coefficients[0], *b = scratch.coefficients[1], *constant = scratch.coefficients[2];
  const double n = static_cast<double>(width * tiles.rows);
  for (int64_t g = 0; g < tiles.images * groups; ++g) {
    const int64_t first = g * width;
    const double s = static_cast<double>(inv_std[g]);
    double sum = 0, product = 0;  // Σ γ dy and Σ γ dy (x - mean) over the group
    for (int64_t c = first; c < first + width; ++c) {
      const double weight = static_cast<double>(value_or(gamma, c % tiles.channels, 1));
      sum += weight * scratch.merged[0][c];
      product += weight * scratch.merged[1][c];
    }
    for (int64_t c = first; c < first + width; ++c) {
      a[c] = static_cast<float>(s * static_cast<double>(value_or(gamma, c % tiles.channels, 1)));
      b[c] = static_cast<float>(-s * s * s * product / n);
      constant[c] = static_cast<float>(-s * sum / n);
    }
  }
  for (int64_t c = 0; c < tiles.channels; ++c) {
    double gamma_sum = 0, beta_sum = 0;
    for (int64_t image = 0; image < tiles.images; ++image) {
      const int64_t i = image * tiles.channels + c;
      gamma_sum += scratch.merged[1][i] * static_cast<double>(inv_std[i / width]);
      beta_sum += scratch.merged[0][i];
    }
    dgamma[c] = static_cast<float>(gamma_sum);
    dbeta[c] = static_cast<float>(beta_sum);
  }
  input_gradient(tiles, x, dy, means, a, b, constant, args.out[0]);
}

// ---- layerNorm ----

template <>
void run<LayerNorm>(const Args<LayerNorm>& args) {
  const View &x = args.in[0], &y = args.out[0];
  const int64_t rows = args.out[1].size(), size = x.size() / rows;
  parallel_ranges(rows, std::max<int64_t>(1, kGrain / size), [&](int64_t begin, int64_t end) {
    kernels().norm->layer_norm(x.as<float>() + begin * size, end - begin, size, args.in[1].as<float>(),
                               args.in[2].as<float>(), args.params.epsilon, y.as<float>() + begin * size,
                               args.out[1].as<float>() + begin, args.out[2].as<float>() + begin);
  });
}

namespace {

/// Rows that one task of the backward pass takes: its own sums for dgamma and dbeta bound the number of tasks.
int64_t layer_norm_rows_a_task(int64_t rows, int64_t size) {
  constexpr int64_t kMaxTasks = 64;
  return std::max((rows + kMaxTasks - 1) / kMaxTasks, std::max<int64_t>(1, kGrain / size));
}

}  // namespace

template <>
size_t workspace<LayerNormBackward>(const Args<LayerNormBackward>& args) {
  const int64_t rows = args.in[2].size(), size = args.in[0].size() / rows;
  const int64_t grain = layer_norm_rows_a_task(rows, size);
  return static_cast<size_t>((rows + grain - 1) / grain * 2 * size) * sizeof(float);
}

template <>
void run<LayerNormBackward>(const Args<LayerNormBackward>& args) {
  const View &x = args.in[0], &dy = args.in[1];
  const int64_t rows = args.in[2].size(), size = x.size() / rows;
  const int64_t grain = layer_norm_rows_a_task(rows, size), tasks = (rows + grain - 1) / grain;
  float* sums = reinterpret_cast<float*>(args.workspace);  // [tasks, 2, size]: of dgamma, of dbeta
  parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    float* own = sums + begin / grain * 2 * size;
    std::fill_n(own, 2 * size, 0.0f);
    kernels().norm->layer_norm_gradient(x.as<float>() + begin * size, dy.as<float>() + begin * size, end - begin, size,
                                        args.in[4].as<float>(), args.in[2].as<float>() + begin,
                                        args.in[3].as<float>() + begin, args.out[0].as<float>() + begin * size, own,
                                        own + size);
  });
  parallel_ranges(2 * size, kGrain / 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double sum = 0;
      for (int64_t task = 0; task < tasks; ++task) sum += static_cast<double>(sums[task * 2 * size + i]);
      (i < size ? args.out[1] : args.out[2]).as<float>()[i % size] = static_cast<float>(sum);
    }
  });
}

}  // namespace convgrad::cpu
