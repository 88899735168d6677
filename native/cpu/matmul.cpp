// Matmul: batches of products, or matrix times vector where one side has a single row or column.
#include <algorithm>

#include "cpu/gemm.h"
#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

constexpr int64_t kGemvColumns = 128;  // columns of a task: whole cache lines of each row of B

/// The products as the driver sees them.
class MatmulProblem final : public GemmOperands {
 public:
  explicit MatmulProblem(const Args<Matmul>& args) {
    const Shape &a = args.in[0].shape, &b = args.in[1].shape;
    const auto& p = args.params;
    a_ = args.in[0].as<float>();
    b_ = args.in[1].as<float>();
    const int64_t a_columns = a[a.rank() - 1], b_columns = b[b.rank() - 1];
    shape.depth = {1, a[a.rank() - (p.transpose_a ? 2 : 1)]};
    shape.rows = a[a.rank() - (p.transpose_a ? 1 : 2)];
    shape.columns = b[b.rank() - (p.transpose_b ? 2 : 1)];
    a_row_stride_ = p.transpose_a ? 1 : a_columns;
    shape.a_step = p.transpose_a ? a_columns : 1;
    shape.a_row_stride = p.transpose_a ? 0 : a_columns;
    shape.b_k_stride = p.transpose_b ? 1 : b_columns;
    shape.b_n_stride = p.transpose_b ? b_columns : 1;
    a_matrix_ = shape.rows * shape.depth.length;
    b_matrix_ = shape.depth.length * shape.columns;
    shape.b_matrices = b.size(0, b.rank() - 2);
    shape.batches = 1;
    if (shape.b_matrices == 1 && !p.transpose_a) {
      shape.rows *= a.size(0, a.rank() - 2);  // one B: all rows of A in one product
    } else {
      set_batches(a, b);
    }
    shape.kept = &args.packed;
    shape.kept_id = {static_cast<int64_t>(id_of<Matmul>)};
    output = {args.out[0].as<float>(), args.in.has(2) ? args.in[2].as<float>() : nullptr, 0,
              args.in.has(3) ? args.in[3].as<float>() : nullptr, p.activation};
  }

  GemmShape shape;
  GemmOutput output;

  void find_rows(const RowsOfA& request) const override {
    const float* first = a_of(request.batch) + request.row * a_row_stride_ + request.depth.offset * shape.a_step;
    for (int64_t i = 0; i < request.rows; ++i) request.start(i, 0) = first + i * a_row_stride_;
  }
  const float* b(int64_t matrix, int64_t) const override { return b_ + matrix * b_matrix_; }
  int64_t matrix_of(int64_t batch) const override { return index_of(batch, b_strides_); }
  void find_outputs(int64_t batch, int64_t row, int64_t rows, int64_t* offsets, int32_t*) const override {
    for (int64_t i = 0; i < rows; ++i) offsets[i] = (batch * shape.rows + row + i) * shape.columns;
  }

  const float* a_of(int64_t batch) const { return a_ + index_of(batch, a_strides_) * a_matrix_; }
  const float* b_of(int64_t batch) const { return b(matrix_of(batch), 0); }
  int64_t a_row_stride() const { return a_row_stride_; }

 private:
  /// The leading dimensions of y, and for each the distance in matrices of a and b: 0 where they are broadcast.
  void set_batches(const Shape& a, const Shape& b) {
    const int rank = std::max(a.rank(), b.rank()) - 2;
    int64_t a_stride = 1, b_stride = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const int in_a = axis - (rank + 2 - a.rank()), in_b = axis - (rank + 2 - b.rank());
      const int64_t da = in_a < 0 ? 1 : a[in_a], db = in_b < 0 ? 1 : b[in_b];
      dims_.push_back(std::max(da, db));
      a_strides_.push_back(da == 1 ? 0 : a_stride);
      b_strides_.push_back(db == 1 ? 0 : b_stride);
      a_stride *= da;
      b_stride *= db;
      shape.batches *= std::max(da, db);
    }
  }
  int64_t index_of(int64_t batch, const Shape& strides) const {
    int64_t index = 0;
    for (int i = 0; i < dims_.rank(); ++i) {  // the last axis first
      index += batch % dims_[i] * strides[i];
      batch /= dims_[i];
    }
    return index;
  }

  const float *a_, *b_;
  int64_t a_row_stride_, a_matrix_, b_matrix_;
  Shape dims_, a_strides_, b_strides_;
};

/// One row of A, or one column of B: no operand is used twice, so that nothing is worth packing.
bool is_gemv(const GemmShape& shape) { return shape.rows == 1 || shape.columns == 1; }

void run_gemv(const MatmulProblem& problem) {
  const GemmShape& shape = problem.shape;
  const GemmOutput& output = problem.output;
  const GemmKernels& gemm = *kernels().gemm;
  const bool row = shape.rows == 1;  // else yᵀ = bᵀ·aᵀ
  const int64_t depth = shape.depth.length, count = row ? shape.columns : shape.rows;
  const int64_t k_stride = row ? shape.b_k_stride : shape.a_step;
  const int64_t n_stride = row ? shape.b_n_stride : problem.a_row_stride();
  const int64_t blocks = (count + kGemvColumns - 1) / kGemvColumns;
  parallel_for(shape.batches * blocks, [&](int64_t task, int) {
    const int64_t batch = task / blocks, first = task % blocks * kGemvColumns;
    const int64_t columns = std::min(kGemvColumns, count - first);
    const float* x = row ? problem.a_of(batch) : problem.b_of(batch);
    const float* matrix = (row ? problem.b_of(batch) : problem.a_of(batch)) + first * n_stride;
    const int64_t at = batch * count + first;
    if (n_stride == 1) {
      gemm.gemv_rows(x, matrix, k_stride, depth, columns, output.c + at);
    } else {
      gemm.gemv_columns(x, matrix, n_stride, depth, columns, output.c + at);
    }
    if (!output.bias && !output.residual && output.activation == Activation::none) return;
    const float* residual = output.residual ? output.residual + at : nullptr;
    if (row || !output.bias) {
      gemm.epilogue(output.c + at, output.bias ? output.bias + first : nullptr, residual, output.activation, columns);
    } else {
      // One bias for the only column.
      for (int64_t i = 0; i < columns; ++i) output.c[at + i] += output.bias[0];
      gemm.epilogue(output.c + at, nullptr, residual, output.activation, columns);
    }
  });
}

}  // namespace

template <>
size_t workspace<Matmul>(const Args<Matmul>& args) {
  const MatmulProblem problem(args);
  return is_gemv(problem.shape) ? 0 : gemm_workspace(problem.shape, thread_count());
}

template <>
void run<Matmul>(const Args<Matmul>& args) {
  const MatmulProblem problem(args);
  if (is_gemv(problem.shape)) {
    run_gemv(problem);
  } else {
    gemm(problem.shape, problem, problem.output, args.workspace, args.workspace_bytes);
  }
}

}  // namespace convgrad::cpu
