// The driver that every matrix product shares, convolutions included: C = activation(A·B + bias + residual).
//
// A is read where it lies: for each task and block of the depth the operands tell where the rows are, so that a
// convolution reads its image in place. Where that is impossible or slow (a transposed A, an explicit im2col, padding),
// they write the rows to the task's buffer and point there. B is packed in panels of the micro-kernel's width: once
// before, or by each task where only one task uses it.
//
// The depth is cut into blocks by the problem alone, and each element of C sums them in order. Rows and columns are cut
// into tasks by the number of threads, which does not change a bit of the result.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ops/enums.h"
#include "packed.h"

namespace convgrad::cpu {

/// The steps over which a product sums: `segments` runs of `length`. A convolution has a segment for each tap.
struct Depth {
  int64_t segments, length;
  int64_t total() const { return segments * length; }
};

/// Steps [offset, offset + length) of each of the segments [segment, segment + segments). Either there is one segment,
/// or they are whole.
struct DepthBlock {
  int64_t segment, segments, offset, length;
};

struct GemmShape {
  int64_t batches = 1;  // products of one shape: the groups of a convolution, the leading dimensions of a matmul
  int64_t rows, columns;
  Depth depth;
  int64_t a_step = 1;                // distance of two steps of a segment in A, in floats
  int64_t a_row_stride = 0;          // of neighbouring rows of A, where it is one: some need to be copied
  int64_t b_matrices = 1;            // how many different B the batches use
  int64_t b_k_stride, b_n_stride;    // of B; one of them is 1
  int64_t buffer_floats = 0;         // of a task's buffer for A, for one block of the depth
  int64_t max_task_rows = 0;         // 0: what fits the second-level cache
  bool pooled = false;               // rows are windows of four pixels; the depth is one block
  bool pack_b_in_tasks = false;      // B differs from batch to batch, and is too large to be packed before
  const PackedUse* kept = nullptr;   // where B's panels may be kept
  std::array<int64_t, 6> kept_id{};  // tells products that take the same tensor in different ways from each other
};

/// What the operands are asked for: rows [row, row + rows) of A, in one block of the depth.
struct RowsOfA {
  int64_t batch, row, rows;
  DepthBlock depth;
  float* buffer;  // of shape.buffer_floats, the task's own

  /// To be set for every i < rows and s < depth.segments: the address of step depth.offset of row `row + i` in segment
  /// `depth.segment + s`.
  const float*& start(int64_t i, int64_t s) const { return starts[s * rows + i]; }
  const float** starts;
};

class GemmOperands {
 public:
  /// Sets request.start() for every row and segment, to A itself or to what it writes into the buffer.
  virtual void find_rows(const RowsOfA& request) const = 0;
  /// The first step and column of a segment of a B.
  virtual const float* b(int64_t matrix, int64_t segment) const = 0;
  /// Which B a batch uses.
  virtual int64_t matrix_of(int64_t batch) const { return batch; }
  /// Where rows of C begin: offsets from GemmOutput::c, and from the residual. Of a pooled product: where the windows
  /// of the rows do, and the positions h · width + w of each window's first row.
  virtual void find_outputs(int64_t batch, int64_t row, int64_t rows, int64_t* offsets, int32_t* positions) const = 0;
  /// Batches may differ in the number of segments, up to that of the shape.
  virtual int64_t segments_of(int64_t batch, const GemmShape& shape) const {
    static_cast<void>(batch);
    return shape.depth.segments;
  }
};

struct GemmOutput {
  float* c;
  const float* bias = nullptr;
  int64_t bias_step = 0;  // distance of two batches' biases
  const float* residual = nullptr;
  Activation activation = Activation::none;
  // For a pooled product: the indices of the maxima, and the width of what is pooled.
  int32_t* indices = nullptr;
  int32_t pool_width = 0;
};

/// Bytes of scratch memory for up to `workers` threads.
size_t gemm_workspace(const GemmShape& shape, int workers);

/// Uses as many threads as the workspace has room for, at most.
void gemm(const GemmShape& shape, const GemmOperands& operands, const GemmOutput& output, std::byte* workspace,
          size_t workspace_bytes);

/// The most segments and steps in one block of a depth, to size buffers by.
struct DepthBlockLimits {
  int64_t segments, steps;
};
DepthBlockLimits depth_block_limits(const Depth& depth);

/// The most rows of A in a request, to size buffers by.
int64_t gemm_task_rows(const GemmShape& shape);

/// At least as many zeros as a block has steps of one segment: a row of A in the padding of an image.
extern const float kZeros[];

}  // namespace convgrad::cpu
