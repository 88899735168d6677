// Winograd convolution with respect to the weight, the transpose of the forward one: dW = Gᵀ·dU·G, where dU is the sum
// over all tiles of V = Bᵀ·d·B times A·dy·Aᵀ: for each of the 36 elements of a tile, a product whose depth is the
// tiles.
//
// A task is a block of channels of the image by a block of channels of the output, whose dU stays in the caches, and a
// split of the tiles. Splits have a partial dW each; their number follows from the problem alone, and they are added in
// order.
#include "cpu/run.h"
#include "cpu/thread_pool.h"
#include "cpu/winograd.h"

namespace convgrad::cpu {

namespace {

// Adam divides a gradient by its size, so that it grows the rounding of small ones: with fewer channels, the losses of
// the networks in test/train/trajectories.test.ts leave the reference by 2e-4 within 20 steps, instead of less than
// 1e-4.
constexpr int64_t kFewestChannels = 64;

constexpr int64_t kBlockChannels = 64;          // dU stays in the second-level cache
constexpr int64_t kMaxTiles = 96;               // that are summed in one go
constexpr int64_t kMinSplitTiles = 48;          // a split has a dU to transform back
constexpr int64_t kFewTasks = 4;                // fewer are worth smaller blocks, which transform more often
constexpr int64_t kMaxTasks = 32;               // by which splits are made
constexpr int64_t kMaxPartialFloats = 1 << 22;  // of all partial dW

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// `count` things in the fewest pieces of at most `most`, of about the same size.
struct Pieces {
  int64_t count, pieces, size;
  Pieces(int64_t all, int64_t most) : count(all), pieces(ceil_div(all, most)), size(ceil_div(all, pieces)) {
    pieces = ceil_div(all, size);
  }
  int64_t begin(int64_t piece) const { return piece * size; }
  int64_t end(int64_t piece) const { return std::min(count, (piece + 1) * size); }
};

struct Problem {
  WinogradImages image, gradient;  // x in tiles of 6 × 6, dy in tiles of 4 × 4
  const float *x, *dy;
  float* dweight;
  Pieces c_blocks, k_blocks;  // of panels
  Pieces splits;              // of tiles

  explicit Problem(const Args<Conv2dBackwardWeight>& args) : Problem(args, kBlockChannels) {
    if (tasks() < kFewTasks) *this = Problem(args, kBlockChannels / 2);
  }

  int64_t blocks() const { return c_blocks.pieces * k_blocks.pieces; }
  int64_t tasks() const { return blocks() * splits.pieces; }
  int64_t c() const { return image.c; }
  int64_t k() const { return gradient.c; }
  int64_t weight_size() const { return kWinogradTaps * kWinogradTaps * c() * k(); }
  size_t partial_bytes() const {
    return splits.pieces > 1 ? static_cast<size_t>((splits.pieces * weight_size() + 15) / 16 * 16) * sizeof(float) : 0;
  }

 private:
  Problem(const Args<Conv2dBackwardWeight>& args, int64_t block_channels)
      : Problem(args, problem_of(args), block_channels / winograd_width()) {}
  Problem(const Args<Conv2dBackwardWeight>& args, const Conv2dProblem& p, int64_t block_panels)
      : Problem(args, p, {p.n, p.p, p.q}, block_panels) {}
  Problem(const Args<Conv2dBackwardWeight>& args, const Conv2dProblem& p, const WinogradGrid& grid,
          int64_t block_panels)
      : image{grid, p.h, p.w, p.c, p.top, p.left, kWinogradInput},
        gradient{grid, p.p, p.q, p.k, 0, 0, kWinogradOutput},
        x(args.in[0].as<float>()),
        dy(args.in[1].as<float>()),
        dweight(args.out[0].as<float>()),
        c_blocks(winograd_panels(p.c), block_panels),
        k_blocks(winograd_panels(p.k), block_panels),
        splits(grid.count, split_tiles(grid.count)) {}

  int64_t split_tiles(int64_t tiles) const {
    const int64_t most = std::min(kMaxTasks / blocks(), kMaxPartialFloats / weight_size());
    int64_t count = 1;
    while (2 * count <= most && tiles >= 2 * count * kMinSplitTiles) count *= 2;
    return ceil_div(tiles, count);
  }
};

class Block {
 public:
  Block(const Problem& problem, float* scratch)
      : p_(problem),
        most_(std::min(kMaxTiles, p_.splits.size)),
        panel_(most_ * winograd_width()),
        v_plane_(p_.c_blocks.size * panel_ + winograd_width()),
        d_plane_(p_.k_blocks.size * panel_ + winograd_width()),
        u_panel_(p_.c_blocks.size * winograd_width() * winograd_width()),
        u_plane_(p_.k_blocks.size * u_panel_ + winograd_width()),
        v_(scratch),
        d_(v_ + kWinogradPlanes * v_plane_),
        u_(d_ + kWinogradPlanes * d_plane_) {}

  int64_t scratch_floats() const { return kWinogradPlanes * (v_plane_ + d_plane_ + u_plane_); }

  void run(int64_t split, int64_t c_block, int64_t k_block, float* dweight) const {
    const Pieces blocks(p_.splits.end(split) - p_.splits.begin(split), most_);
    for (int64_t i = 0; i < blocks.pieces; ++i) {
      const int64_t first = p_.splits.begin(split) + blocks.begin(i), last = p_.splits.begin(split) + blocks.end(i);
      transform(p_.image, p_.x, kernels().winograd->input, first, last, p_.c_blocks, c_block, v_plane_, v_);
      transform(p_.gradient, p_.dy, kernels().winograd->output_gradient, first, last, p_.k_blocks, k_block, d_plane_,
                d_);
      multiply(last - first, c_block, k_block, i > 0);
    }
    finish(c_block, k_block, dweight);
  }

 private:
  using Transform = void (*)(const WinogradTile&, const float*, float*);

  void transform(const WinogradImages& images, const float* data, Transform transform, int64_t first, int64_t last,
                 const Pieces& blocks, int64_t block, int64_t plane_stride, float* planes) const {
    for (int64_t tile = first; tile < last; ++tile) {
      images.read(data, tile, blocks.begin(block), blocks.end(block), plane_stride,
                  [&](const WinogradTile& strides, const float* pixels, int64_t panel) {
                    transform(strides, pixels,
                              planes + (panel - blocks.begin(block)) * panel_ + (tile - first) * winograd_width());
                  });
    }
  }

  void multiply(int64_t tiles, int64_t c_block, int64_t k_block, bool add) const {
    const int64_t width = winograd_width(), c_panel = p_.c_blocks.begin(c_block), k_panel = p_.k_blocks.begin(k_block);
    for (int64_t plane = 0; plane < kWinogradPlanes; ++plane) {
      for (int64_t k = 0; k < p_.k_blocks.end(k_block) - k_panel; ++k) {
        for (int64_t c = 0; c < p_.c_blocks.end(c_block) - c_panel; ++c) {
          kernels().winograd->product_transposed(
              {std::min(width, p_.c() - (c_panel + c) * width), tiles,
               winograd_vectors(std::min(width, p_.k() - (k_panel + k) * width)), v_ + plane * v_plane_ + c * panel_, 0,
               d_ + plane * d_plane_ + k * panel_, u_ + plane * u_plane_ + k * u_panel_ + c * width * width, add});
        }
      }
    }
  }

  void finish(int64_t c_block, int64_t k_block, float* dweight) const {
    const int64_t width = winograd_width(), tap_size = p_.c() * p_.k();
    const int64_t first = p_.c_blocks.begin(c_block) * width, last = std::min(p_.c(), p_.c_blocks.end(c_block) * width);
    const WinogradTile tile{kWinogradTaps * tap_size, tap_size, u_plane_, 0};
    for (int64_t panel = p_.k_blocks.begin(k_block); panel < p_.k_blocks.end(k_block); ++panel) {
      const float* planes = u_ + (panel - p_.k_blocks.begin(k_block)) * u_panel_;
      const int64_t k = panel * width;
      for (int64_t c = first; c < last; ++c, planes += width) {
        kernels().winograd->weight_gradient(tile, planes, std::min(width, p_.k() - k), dweight + c * p_.k() + k);
      }
    }
  }

  const Problem& p_;
  int64_t most_, panel_, v_plane_, d_plane_, u_panel_, u_plane_;
  float *v_, *d_, *u_;
};

size_t scratch_bytes(const Problem& p) {
  return static_cast<size_t>(Block(p, nullptr).scratch_floats()) * sizeof(float);
}

}  // namespace

bool winograd_pays(const Args<Conv2dBackwardWeight>& args) {
  const Problem p(args);
  if (std::min(p.c(), p.k()) < kFewestChannels) return false;
  const int64_t c = winograd_padded(p.c()), k = winograd_padded(p.k()), tiles = p.image.grid.count;
  return winograd_is_faster(p.image.grid.n * p.gradient.h * p.gradient.w * p.c() * p.k(), tiles * p.c() * k,
                            tiles * (c * p.k_blocks.pieces + k * p.c_blocks.pieces), p.splits.pieces * p.c() * k);
}

size_t conv2d_winograd_workspace(const Args<Conv2dBackwardWeight>& args) {
  const Problem p(args);
  return p.partial_bytes() + static_cast<size_t>(thread_count()) * scratch_bytes(p);
}

void conv2d_winograd(const Args<Conv2dBackwardWeight>& args) {
  const Problem p(args);
  const size_t scratch_size = scratch_bytes(p);
  const int workers = static_cast<int>((args.workspace_bytes - p.partial_bytes()) / scratch_size);
  const int64_t blocks = p.blocks(), splits = p.splits.pieces;
  float* partial = splits > 1 ? reinterpret_cast<float*>(args.workspace) : p.dweight;
  parallel_for(
      p.tasks(),
      [&](int64_t task, int worker) {
        const int64_t split = task / blocks, block = task % blocks;
        std::byte* scratch = args.workspace + p.partial_bytes() + static_cast<size_t>(worker) * scratch_size;
        Block(p, reinterpret_cast<float*>(scratch))
            .run(split, block / p.k_blocks.pieces, block % p.k_blocks.pieces, partial + split * p.weight_size());
      },
      workers);
  if (splits == 1) return;
  parallel_ranges(p.weight_size(), 4096, [&](int64_t begin, int64_t end) {
    kernels().gemm->sum_rows(partial + begin, p.weight_size(), splits, end - begin, p.dweight + begin);
  });
}

}  // namespace convgrad::cpu
