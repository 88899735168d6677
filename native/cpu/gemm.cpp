#include "cpu/gemm.h"

#include <algorithm>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kTaskTiles = 16;       // rows of a task in tiles: its part of A stays in the second-level cache
constexpr int64_t kTaskPanels = 16;      // columns of a task in panels: its part of C stays there, too
constexpr int64_t kTaskWork = 1 << 18;   // multiply-adds that are worth a task
constexpr int64_t kPackGrain = 1 << 15;  // floats a task packs
constexpr int64_t kMostKept =
    1 << 22;  // floats: a larger B costs more to read than to pack, and twice the memory to keep
constexpr int64_t kAliasFloats =
    512;                            // rows of A that lie a multiple of this apart share a few sets of the first cache
constexpr int64_t kCopyPanels = 4;  // panels of B that make up for copying such rows
constexpr int64_t kReadTiles = 3;   // tiles of rows for which B is not worth packing
constexpr size_t kLine = 64;

constexpr int64_t kMaxFavourite = 512;  // limit of the micro-kernels' favourite depths

int64_t tile_rows(const GemmShape& shape) {
  return shape.pooled ? kernels().gemm->pool_tile_rows : kernels().gemm->tile_rows;
}
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/// Blocks of about the micro-kernel's favourite depth: some whole segments, or a part of one.
class DepthBlocks {
 public:
  explicit DepthBlocks(const Depth& depth, bool whole = false) : depth_(depth) {
    const int64_t favourite = whole ? depth.total() : kernels().gemm->depth;
    parts_ = ceil_div(depth.length, favourite);
    part_ = ceil_div(depth.length, parts_);
    // As even as possible: nine taps in blocks of up to four are 3 + 3 + 3 and not 4 + 4 + 1.
    most_ = std::clamp<int64_t>(favourite / depth.length, 1, depth.segments);
    group_ = ceil_div(depth.segments, ceil_div(depth.segments, most_));
  }

  int64_t count() const { return ceil_div(depth_.segments, group_) * parts_; }
  DepthBlock operator[](int64_t i) const {
    const int64_t segment = i / parts_ * group_, offset = i % parts_ * part_;
    return {segment, std::min(group_, depth_.segments - segment), offset, std::min(part_, depth_.length - offset)};
  }
  /// Holds for depths with fewer segments, too.
  DepthBlockLimits limits() const { return {most_, most_ * part_}; }

 private:
  Depth depth_;
  int64_t most_;   // segments that fit a block
  int64_t group_;  // segments of a block
  int64_t parts_;  // blocks of a segment; 1 where group_ > 1
  int64_t part_;   // steps of a part
};

/// The panels of a packed B: all kTileColumns wide, but a last one of no more than half of that, which is one vector
/// wide.
class Panels {
 public:
  explicit Panels(int64_t columns) : columns_(columns), full_(kernels().gemm->tile_columns) {}
  int64_t count() const { return ceil_div(columns_, full_); }
  int64_t column(int64_t panel) const { return panel * full_; }
  int64_t columns(int64_t panel) const { return std::min(full_, columns_ - column(panel)); }
  int64_t width(int64_t panel) const { return columns(panel) <= kernels().gemm->lanes ? kernels().gemm->lanes : full_; }
  int64_t full_width() const { return full_; }
  /// Floats of a whole matrix of `depth` rows, and where its panels begin.
  int64_t packed_size(int64_t depth) const { return round_up(depth * full_ * count(), kLine / sizeof(float)); }
  int64_t packed_offset(int64_t panel, int64_t depth) const { return panel * full_ * depth; }

 private:
  int64_t columns_, full_;
};

int64_t max_task_tiles(const GemmShape& shape) {
  return shape.max_task_rows ? ceil_div(shape.max_task_rows, tile_rows(shape)) : kTaskTiles;
}

/// Whether tasks pack B: when all rows are in one task, so that no other task wants the same panel.
bool packs_in_tasks(const GemmShape& shape) {
  return shape.pack_b_in_tasks || ceil_div(shape.rows, tile_rows(shape)) <= max_task_tiles(shape);
}

int64_t packed_floats(const GemmShape& shape) {
  return shape.b_matrices * Panels(shape.columns).packed_size(shape.depth.total());
}

bool keeps_panels(const GemmShape& shape) {
  return shape.kept && shape.kept->keep && packed_floats(shape) <= kMostKept;
}

/// What the layout of the panels depends on.
PackedCopies::Key key_of(const GemmShape& shape) {
  const auto& id = shape.kept_id;
  return {id[0],
          id[1],
          id[2],
          id[3],
          id[4],
          id[5],
          shape.depth.segments,
          shape.depth.length,
          shape.columns,
          shape.b_k_stride,
          shape.b_n_stride,
          shape.b_matrices};
}

/// Whether tasks find B packed, now or before.
bool packs_before(const GemmShape& shape) { return keeps_panels(shape) || !packs_in_tasks(shape); }

/// Whether tasks copy their rows of A, so that those of a tile do not put each other out of the first-level cache.
bool copies_rows(const GemmShape& shape) {
  return shape.a_step == 1 && shape.a_row_stride && shape.a_row_stride % kAliasFloats == 0 &&
         Panels(shape.columns).count() >= kCopyPanels;
}

/// Part i of `count` things cut into `parts` that differ by at most one.
int64_t cut(int64_t count, int64_t parts, int64_t i) { return count * i / parts; }

/// How the rows and columns of each batch are cut into tasks, in tiles and panels.
struct Partition {
  int64_t tiles, panels, row_tasks, column_tasks;

  Partition(const GemmShape& shape, int workers)
      : tiles(ceil_div(shape.rows, tile_rows(shape))), panels(Panels(shape.columns).count()) {
    const int64_t work = shape.batches * shape.rows * shape.columns * shape.depth.total();
    const int64_t wanted = workers == 1 ? 1 : std::min<int64_t>(4 * workers, std::max<int64_t>(1, work / kTaskWork));
    const int64_t wanted_a_batch = ceil_div(wanted, shape.batches);
    const bool split_rows = shape.pack_b_in_tasks || !packs_in_tasks(shape);
    const int64_t fewest = ceil_div(tiles, max_task_tiles(shape));
    row_tasks = split_rows ? std::clamp(wanted_a_batch, fewest, std::max(fewest, ceil_div(tiles, 4))) : 1;
    column_tasks = std::min(panels, std::max(ceil_div(wanted_a_batch, row_tasks), ceil_div(panels, kTaskPanels)));
  }
  int64_t tasks_a_batch() const { return row_tasks * column_tasks; }
};

/// A task's own part of the workspace.
class WorkerScratch {
 public:
  explicit WorkerScratch(const GemmShape& shape) : rows_(gemm_task_rows(shape)) {
    const DepthBlockLimits limits = DepthBlocks(shape.depth, shape.pooled).limits();
    add(a_, rows_ * limits.segments * sizeof(float*));
    add(c_, rows_ * sizeof(float*));
    add(residual_, rows_ * sizeof(float*));
    add(offsets_, rows_ * sizeof(int64_t));
    add(positions_, shape.pooled ? rows_ / 4 * sizeof(int32_t) : 0);
    add(panel_, !packs_before(shape) ? limits.steps * kernels().gemm->tile_columns * sizeof(float) : 0);
    add(buffer_, shape.buffer_floats * sizeof(float));
    copy_stride_ = limits.steps + static_cast<int64_t>(kLine / sizeof(float));
    add(copy_, copies_rows(shape) ? rows_ * copy_stride_ * sizeof(float) : 0);
  }
  size_t bytes() const { return bytes_; }
  void bind(std::byte* base) { base_ = base; }
  const float** a() const { return reinterpret_cast<const float**>(base_ + a_); }
  float** c() const { return reinterpret_cast<float**>(base_ + c_); }
  int64_t* offsets() const { return reinterpret_cast<int64_t*>(base_ + offsets_); }
  int32_t* positions() const { return reinterpret_cast<int32_t*>(base_ + positions_); }
  const float** residual() const { return reinterpret_cast<const float**>(base_ + residual_); }
  float* panel() const { return reinterpret_cast<float*>(base_ + panel_); }
  float* buffer() const { return reinterpret_cast<float*>(base_ + buffer_); }
  /// Where the copy of a row begins.
  float* copy(int64_t row) const { return reinterpret_cast<float*>(base_ + copy_) + row * copy_stride_; }

 private:
  void add(size_t& offset, size_t bytes) {
    offset = bytes_;
    bytes_ += round_up(static_cast<int64_t>(bytes), kLine);
  }

  int64_t rows_, copy_stride_;
  size_t bytes_ = 0, a_, c_, residual_, offsets_, positions_, panel_, buffer_, copy_;
  std::byte* base_ = nullptr;
};

size_t packed_bytes(const GemmShape& shape) {
  return packs_before(shape) && !keeps_panels(shape) ? static_cast<size_t>(packed_floats(shape)) * sizeof(float) : 0;
}

/// One panel of B in one block of the depth.
void pack(const GemmShape& shape, const GemmOperands& operands, int64_t matrix, const DepthBlock& block,
          const Panels& panels, int64_t panel, float* packed) {
  for (int64_t s = 0; s < block.segments; ++s) {
    const float* b = operands.b(matrix, block.segment + s) + block.offset * shape.b_k_stride +
                     panels.column(panel) * shape.b_n_stride;
    kernels().gemm->pack(b, shape.b_k_stride, shape.b_n_stride, block.length, panels.columns(panel),
                         panels.width(panel), packed + s * block.length * panels.width(panel));
  }
}

void pack_all(const GemmShape& shape, const GemmOperands& operands, float* packed, int workers) {
  const Panels panels(shape.columns);
  const DepthBlocks blocks(shape.depth, shape.pooled);
  const int64_t depth = shape.depth.total(), count = shape.b_matrices * panels.count() * blocks.count();
  const int64_t grain = std::max<int64_t>(1, kPackGrain / (blocks.limits().steps * panels.full_width()));
  parallel_for(
      ceil_div(count, grain),
      [&](int64_t task, int) {
        for (int64_t i = task * grain; i < std::min(count, (task + 1) * grain); ++i) {
          const DepthBlock block = blocks[i % blocks.count()];
          const int64_t panel = i / blocks.count() % panels.count(), matrix = i / blocks.count() / panels.count();
          const int64_t step = block.segment * shape.depth.length + block.offset;
          pack(shape, operands, matrix, block, panels, panel,
               packed + matrix * panels.packed_size(depth) + panels.packed_offset(panel, depth) +
                   step * panels.width(panel));
        }
      },
      workers);
}

class Task {
 public:
  Task(const GemmShape& shape, const GemmOperands& operands, const GemmOutput& output, const WorkerScratch& scratch,
       const float* packed)
      : shape_(shape), operands_(operands), output_(output), scratch_(scratch), packed_(packed) {}

  void run(int64_t batch, int64_t row, int64_t rows, int64_t first_panel, int64_t last_panel) {
    operands_.find_outputs(batch, row, rows, scratch_.offsets(), scratch_.positions());
    for (int64_t i = 0; i < rows; ++i) {
      scratch_.c()[i] = output_.c + scratch_.offsets()[i];
      if (output_.residual) scratch_.residual()[i] = output_.residual + scratch_.offsets()[i];
    }
    const GemmPool pool = {output_.c, output_.indices, scratch_.positions(), output_.pool_width};
    const Panels panels(shape_.columns);
    const Depth depth{operands_.segments_of(batch, shape_), shape_.depth.length};
    const DepthBlocks blocks(depth, shape_.pooled);
    GemmBlock g{};
    g.rows = rows;
    g.a = scratch_.a();
    g.a_step = shape_.a_step;
    g.c = scratch_.c();
    g.bias = output_.bias ? output_.bias + batch * output_.bias_step : nullptr;
    g.residual = output_.residual ? scratch_.residual() : nullptr;
    g.activation = output_.activation;
    g.pool = shape_.pooled ? &pool : nullptr;
    for (int64_t i = 0; i < blocks.count(); ++i) {
      const DepthBlock block = blocks[i];
      operands_.find_rows({batch, row, rows, block, scratch_.buffer(), scratch_.a()});
      if (copies_rows(shape_)) copy_rows(rows, block);
      g.segments = block.segments;
      g.length = block.length;
      g.first = i == 0;
      g.last = i + 1 == blocks.count();
      for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        g.b_step = panels.width(panel);
        if (packed_) {
          g.b = packed_panel(batch, block, panels, panel, depth.total());
        } else if (lies_packed(batch, block, rows, panels, panel)) {
          g.b = b_in_place(batch, block.segment, block.offset, panels.column(panel));
          g.b_step = shape_.b_k_stride;
        } else {
          g.b = pack_panel(batch, block, panels, panel);
        }
        g.column = panels.column(panel);
        g.columns = panels.columns(panel);
        kernels().gemm->block(g);
      }
    }
  }

 private:
  void copy_rows(int64_t rows, const DepthBlock& block) const {
    for (int64_t s = 0; s < block.segments; ++s) {
      for (int64_t i = 0; i < rows; ++i) {
        const float*& start = scratch_.a()[s * rows + i];
        float* copy = scratch_.copy(i) + s * block.length;
        std::memcpy(copy, start, static_cast<size_t>(block.length) * sizeof(float));
        start = copy;
      }
    }
  }
  const float* packed_panel(int64_t batch, const DepthBlock& block, const Panels& panels, int64_t panel,
                            int64_t depth) const {
    const int64_t step = block.segment * shape_.depth.length + block.offset;
    return packed_ + operands_.matrix_of(batch) * panels.packed_size(depth) + panels.packed_offset(panel, depth) +
           step * panels.width(panel);
  }
  const float* b_in_place(int64_t batch, int64_t segment, int64_t offset, int64_t column) const {
    return operands_.b(operands_.matrix_of(batch), segment) + offset * shape_.b_k_stride + column;
  }
  /// Whether a panel of B can be read where it is, and too few rows use it to make up for packing.
  bool lies_packed(int64_t batch, const DepthBlock& block, int64_t rows, const Panels& panels, int64_t panel) const {
    if (shape_.b_n_stride != 1 || panels.columns(panel) != panels.width(panel)) return false;
    if (rows > kReadTiles * tile_rows(shape_)) return false;
    const int64_t last = block.segment + block.segments - 1, steps = (block.segments - 1) * shape_.depth.length;
    return b_in_place(batch, last, 0, 0) == b_in_place(batch, block.segment, 0, 0) + steps * shape_.b_k_stride;
  }
  const float* pack_panel(int64_t batch, const DepthBlock& block, const Panels& panels, int64_t panel) const {
    pack(shape_, operands_, operands_.matrix_of(batch), block, panels, panel, scratch_.panel());
    return scratch_.panel();
  }

  const GemmShape& shape_;
  const GemmOperands& operands_;
  const GemmOutput& output_;
  const WorkerScratch& scratch_;
  const float* packed_;
};

}  // namespace

alignas(kLine) const float kZeros[kMaxFavourite] = {};

int64_t gemm_task_rows(const GemmShape& shape) { return max_task_tiles(shape) * tile_rows(shape); }

DepthBlockLimits depth_block_limits(const Depth& depth) { return DepthBlocks(depth).limits(); }

size_t gemm_workspace(const GemmShape& shape, int workers) {
  return packed_bytes(shape) + static_cast<size_t>(workers) * WorkerScratch(shape).bytes();
}

void gemm(const GemmShape& shape, const GemmOperands& operands, const GemmOutput& output, std::byte* workspace,
          size_t workspace_bytes) {
  const size_t packed_size = packed_bytes(shape), scratch_size = WorkerScratch(shape).bytes();
  const int workers = std::min<int>(thread_count(), static_cast<int>((workspace_bytes - packed_size) / scratch_size));
  const float* packed = nullptr;
  if (keeps_panels(shape)) {
    packed = shape.kept->copies->get(key_of(shape), shape.kept->version, static_cast<size_t>(packed_floats(shape)),
                                     [&](float* panels) { pack_all(shape, operands, panels, workers); });
  } else if (packed_size) {
    pack_all(shape, operands, reinterpret_cast<float*>(workspace), workers);
    packed = reinterpret_cast<const float*>(workspace);
  }

  const Partition partition(shape, workers);
  parallel_for(
      shape.batches * partition.tasks_a_batch(),
      [&](int64_t task, int worker) {
        // Columns change fastest: neighbouring tasks, which are one worker's, share rows, also with those of the next
        // op.
        const int64_t batch = task / partition.tasks_a_batch();
        const int64_t row_task = task / partition.column_tasks % partition.row_tasks;
        const int64_t column_task = task % partition.column_tasks;
        const auto row = [&](int64_t i) {
          return std::min(shape.rows, cut(partition.tiles, partition.row_tasks, i) * tile_rows(shape));
        };
        const auto panel = [&](int64_t i) { return cut(partition.panels, partition.column_tasks, i); };
        WorkerScratch scratch(shape);
        scratch.bind(workspace + packed_size + static_cast<size_t>(worker) * scratch_size);
        Task(shape, operands, output, scratch, packed)
            .run(batch, row(row_task), row(row_task + 1) - row(row_task), panel(column_task), panel(column_task + 1));
      },
      workers);
}

}  // namespace convgrad::cpu
