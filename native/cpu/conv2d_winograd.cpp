// Winograd convolution F(4×4, 3×3), forward and with respect to the image, which is a forward convolution of dy with
// the flipped and transposed weight. U = G·g·Gᵀ for the weight, V = Bᵀ·d·B for tiles of the image, a product of V and U
// for each of the 36 elements of a tile, and y = Aᵀ·m·A.
//
// A task is a block of tiles and some panels of output channels: its V and, a panel at a time, its products stay in the
// second-level cache. U lies in parts of a panel of K and some channels, so that a task reads it in order, once.
#include "cpu/run.h"
#include "cpu/thread_pool.h"
#include "cpu/winograd.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kBlockFloats = 1 << 18;          // of V: the second-level cache, less room for U and the products
constexpr int64_t kMinTiles = 48, kMaxTiles = 96;  // of a block: reading U has to pay
constexpr int64_t kDepth = 32;                     // channels that are summed in one go: short sums round less
constexpr int64_t kPackRows = 16;                  // rows of the weight that are transformed together
constexpr int64_t kRepeats = 4;        // blocks of tiles that may each transform the weight anew, rather than read U
constexpr size_t kMostKept = 1 << 22;  // floats of U: a larger one costs more to read than to transform

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Problem {
  WinogradImages image;   // [N, H, W, C] in tiles of 6 × 6
  WinogradImages result;  // [N, P, Q, K] in tiles of 4 × 4
  const float* x;
  float* y;
  // Element (tap, c, k) of the weight.
  const float* weight;
  int64_t tap_stride, c_stride, k_stride;
  const PackedUse* packed;
  const float *bias, *residual;
  Activation activation;

  int64_t tiles() const { return image.grid.count; }
  int64_t pixels() const { return image.grid.n * result.h * result.w; }
  int64_t c() const { return image.c; }
  int64_t k() const { return result.c; }
};

Problem problem(const Args<Conv2d>& args) {
  const Conv2dProblem c = problem_of(args);
  const WinogradGrid grid(c.n, c.p, c.q);
  return {{grid, c.h, c.w, c.c, c.top, c.left, kWinogradInput},
          {grid, c.p, c.q, c.k, 0, 0, kWinogradOutput},
          args.in[0].as<float>(),
          args.out[0].as<float>(),
          args.in[1].as<float>(),
          c.c * c.k,
          c.k,
          1,
          &args.packed,
          args.in.has(2) ? args.in[2].as<float>() : nullptr,
          args.in.has(3) ? args.in[3].as<float>() : nullptr,
          args.params.activation};
}

Problem problem(const Args<Conv2dBackwardInput>& args) {
  const Conv2dProblem c = problem_of(args);
  const WinogradGrid grid(c.n, c.h, c.w);
  constexpr int64_t kLastTap = kWinogradTaps - 1;
  return {{grid, c.p, c.q, c.k, kLastTap - c.top, kLastTap - c.left, kWinogradInput},
          {grid, c.h, c.w, c.c, 0, 0, kWinogradOutput},
          args.in[0].as<float>(),
          args.out[0].as<float>(),
          args.in[1].as<float>() + (kWinogradTaps * kWinogradTaps - 1) * c.c * c.k,
          -c.c * c.k,
          1,
          c.k,
          &args.packed,
          args.in.has(2) ? args.in[2].as<float>() : nullptr,
          nullptr,
          args.params.activation};
}

int64_t depths(const Problem& p) { return ceil_div(p.c(), kDepth); }

/// A part of U is for a panel of K and kDepth channels: [36][channels + 1][width]. The row too many keeps the elements
/// of a tile from falling into one set of a cache.
struct WeightPart {
  int64_t panel, depth, channels;
  WeightPart(const Problem& p, int64_t panel_of_k, int64_t depth_of_c)
      : panel(panel_of_k), depth(depth_of_c), channels(std::min(kDepth, p.c() - c())) {}
  int64_t c() const { return depth * kDepth; }
  int64_t plane() const { return (channels + 1) * winograd_width(); }
  int64_t offset(const Problem& p) const {
    return kWinogradPlanes * (panel * (p.c() + depths(p)) + depth * (kDepth + 1)) * winograd_width();
  }
};

void transform_weight(const Problem& p, const WeightPart& part, float* u) {
  const int64_t width = winograd_width(), tap_size = kPackRows * width, k = part.panel * width;
  alignas(64) float taps[kWinogradTaps * kWinogradTaps * kPackRows * kWinogradMaxWidth];
  for (int64_t first = 0; first < part.channels; first += kPackRows) {
    const int64_t rows = std::min(kPackRows, part.channels - first);
    for (int64_t tap = 0; tap < kWinogradTaps * kWinogradTaps; ++tap) {
      const float* weight = p.weight + tap * p.tap_stride + (part.c() + first) * p.c_stride + k * p.k_stride;
      kernels().gemm->pack(weight, p.c_stride, p.k_stride, rows, std::min(width, p.k() - k), width,
                           taps + tap * tap_size);
    }
    const WinogradTile tile{kWinogradTaps * tap_size, tap_size, part.plane(), width / kernels().lanes};
    for (int64_t row = 0; row < rows; ++row) {
      kernels().winograd->weight(tile, taps + row * width, u + (first + row) * width);
    }
  }
}

/// U: its parts for the first panel of K, then those for the next, so that a task reads on.
void transform_weight(const Problem& p, float* u) {
  parallel_for(winograd_panels(p.k()) * depths(p), [&](int64_t task, int) {
    const WeightPart part(p, task / depths(p), task % depths(p));
    transform_weight(p, part, u + part.offset(p));
  });
}

/// The most tiles of a block.
int64_t block_tiles(const Problem& p) {
  const int64_t fit = kBlockFloats / (kWinogradPlanes * winograd_panels(p.c()) * winograd_width());
  return std::min(p.tiles(), std::clamp(fit, kMinTiles, kMaxTiles));
}

/// How tiles and panels of output channels are cut into tasks.
struct Partition {
  int64_t tiles, blocks, panels, parts;

  Partition(const Problem& p, int workers) {
    const int64_t all_panels = winograd_panels(p.k()), wanted = workers == 1 ? 1 : 4 * workers;
    blocks = ceil_div(p.tiles(), block_tiles(p));
    // Parts repeat the image's transform, and smaller blocks read U more often.
    parts = std::clamp<int64_t>(ceil_div(wanted, blocks), 1, std::max<int64_t>(1, all_panels / 4));
    blocks = std::max(blocks, std::min(ceil_div(wanted, parts), p.tiles() / (kMinTiles / 2)));
    parts = std::min(std::max(parts, ceil_div(workers, blocks)), all_panels);
    tiles = ceil_div(p.tiles(), blocks);
    blocks = ceil_div(p.tiles(), tiles);
    panels = ceil_div(all_panels, parts);
    parts = ceil_div(all_panels, panels);
  }
};

class Block {
 public:
  /// V and the products in planes of panels, tile by tile; the panel's width too much is for the sets of a cache,
  /// again.
  Block(const Problem& problem, int64_t tiles, float* scratch)
      : p_(problem),
        panel_(tiles * winograd_width()),
        v_plane_(winograd_panels(p_.c()) * panel_ + winograd_width()),
        m_plane_(panel_ + winograd_width()),
        v_(scratch),
        m_(scratch + kWinogradPlanes * v_plane_),
        u_(m_ + kWinogradPlanes * m_plane_) {}

  int64_t scratch_floats() const { return kWinogradPlanes * (v_plane_ + m_plane_ + (kDepth + 1) * winograd_width()); }

  /// Without U, transforms what it needs of the weight itself.
  void run(const float* u, int64_t first, int64_t last, int64_t first_panel, int64_t last_panel) const {
    const int64_t width = winograd_width();
    for (int64_t tile = first; tile < last; ++tile) {
      p_.image.read(p_.x, tile, 0, winograd_panels(p_.c()), v_plane_,
                    [&](const WinogradTile& strides, const float* pixels, int64_t panel) {
                      kernels().winograd->input(strides, pixels, v_ + panel * panel_ + (tile - first) * width);
                    });
    }
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
      for (int64_t depth = 0; depth < depths(p_); ++depth) {
        const WeightPart part(p_, panel, depth);
        if (!u) transform_weight(p_, part, u_);
        const float* part_u = u ? u + part.offset(p_) : u_;
        const int64_t vectors = winograd_vectors(std::min(width, p_.k() - panel * width));
        for (int64_t plane = 0; plane < kWinogradPlanes; ++plane) {
          kernels().winograd->product({last - first, part.channels, vectors,
                                       v_ + plane * v_plane_ + part.c() / width * panel_, panel_,
                                       part_u + plane * part.plane(), m_ + plane * m_plane_, depth > 0});
        }
      }
      for (int64_t tile = first; tile < last; ++tile) write(tile, m_ + (tile - first) * width, panel * width);
    }
  }

 private:
  void write(int64_t tile, const float* planes, int64_t channel) const {
    const int64_t width = winograd_width(), k = p_.k();
    const int64_t channels = std::min(width, k - channel), vectors = winograd_vectors(channels);
    const auto at = p_.result.place(tile);
    const int64_t offset = at.offset + channel, row_stride = p_.result.w * k;
    const float* bias = p_.bias ? p_.bias + channel : nullptr;
    const float* residual = p_.residual ? p_.residual + offset : nullptr;
    if (p_.result.whole(at) && channels % kernels().lanes == 0 && p_.activation <= Activation::relu6) {
      return kernels().winograd->output({row_stride, k, m_plane_, vectors}, planes, bias, residual, p_.activation,
                                        p_.y + offset);
    }
    alignas(64) float pixels[kWinogradOutput * kWinogradOutput * kWinogradMaxWidth];
    kernels().winograd->output({kWinogradOutput * width, width, m_plane_, vectors}, planes, nullptr, nullptr,
                               Activation::none, pixels);
    for (int64_t i = 0; i < at.last_row; ++i) {
      for (int64_t j = 0; j < at.last_column; ++j) {
        const int64_t pixel = i * row_stride + j * k;
        float* y = p_.y + offset + pixel;
        std::memcpy(y, pixels + (i * kWinogradOutput + j) * width, static_cast<size_t>(channels) * sizeof(float));
        kernels().gemm->epilogue(y, bias, residual ? residual + pixel : nullptr, p_.activation, channels);
      }
    }
  }

  const Problem& p_;
  int64_t panel_, v_plane_, m_plane_;
  float *v_, *m_, *u_;
};

size_t scratch_bytes(const Problem& p) {
  return static_cast<size_t>(Block(p, block_tiles(p), nullptr).scratch_floats()) * sizeof(float);
}

size_t transformed_floats(const Problem& p) {
  return static_cast<size_t>(WeightPart(p, winograd_panels(p.k()), 0).offset(p));
}

bool keeps_transformed(const Problem& p) { return p.packed->keep && transformed_floats(p) <= kMostKept; }

/// Bytes of U in the workspace: none where it is kept with the weight, and where few blocks of tiles want it, which
/// then transform the weight themselves, part by part, in their caches.
size_t transformed_bytes(const Problem& p) {
  if (keeps_transformed(p) || ceil_div(p.tiles(), block_tiles(p)) <= kRepeats) return 0;
  return transformed_floats(p) * sizeof(float);
}

size_t workspace(const Problem& p) {
  return transformed_bytes(p) + static_cast<size_t>(thread_count()) * scratch_bytes(p);
}

bool pays(const Problem& p) {
  const int64_t c = winograd_padded(p.c()), k = winograd_padded(p.k());
  const int64_t repeats = std::min(kRepeats, ceil_div(p.tiles(), block_tiles(p)));
  return winograd_is_faster(p.pixels() * p.c() * p.k(), p.tiles() * p.c() * k, p.tiles() * (c + k),
                            repeats * p.c() * k);
}

template <class Op>
void run(const Problem& p, const Args<Op>& args) {
  const size_t u_bytes = transformed_bytes(p), scratch_size = scratch_bytes(p);
  const int workers = std::min(thread_count(), static_cast<int>((args.workspace_bytes - u_bytes) / scratch_size));
  const float* u = nullptr;
  if (keeps_transformed(p)) {
    // The key of another algorithm's copy has no negative number in this place.
    u = p.packed->copies->get({static_cast<int64_t>(id_of<Op>), -1, p.c(), p.k()}, p.packed->version,
                              transformed_floats(p), [&](float* kept) { transform_weight(p, kept); });
  } else if (u_bytes) {
    transform_weight(p, reinterpret_cast<float*>(args.workspace));
    u = reinterpret_cast<const float*>(args.workspace);
  }
  const Partition partition(p, workers);
  const int64_t panels = winograd_panels(p.k());
  parallel_for(
      partition.blocks * partition.parts,
      [&](int64_t task, int worker) {
        // Blocks change fastest: tasks that run at the same time share U.
        const int64_t tile = task % partition.blocks * partition.tiles;
        const int64_t panel = task / partition.blocks * partition.panels;
        std::byte* scratch = args.workspace + u_bytes + static_cast<size_t>(worker) * scratch_size;
        Block(p, partition.tiles, reinterpret_cast<float*>(scratch))
            .run(u, tile, std::min(p.tiles(), tile + partition.tiles), panel,
                 std::min(panels, panel + partition.panels));
      },
      workers);
}

}  // namespace

bool winograd_pays(const Args<Conv2d>& args) { return pays(problem(args)); }
bool winograd_pays(const Args<Conv2dBackwardInput>& args) { return pays(problem(args)); }
size_t conv2d_winograd_workspace(const Args<Conv2d>& args) { return workspace(problem(args)); }
size_t conv2d_winograd_workspace(const Args<Conv2dBackwardInput>& args) { return workspace(problem(args)); }
void conv2d_winograd(const Args<Conv2d>& args) { run(problem(args), args); }
void conv2d_winograd(const Args<Conv2dBackwardInput>& args) { run(problem(args), args); }

}  // namespace convgrad::cpu
