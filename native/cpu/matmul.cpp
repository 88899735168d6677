// Matmul: batches of products, or matrix times vector where one side has a single row or column.
#include <algorithm>

#include "cpu/gemm.h"
#include "cpu/isa.h"
#include "cpu/run.h"
#include "cpu/thread_pool.h"

namespace convgrad::cpu {

namespace {

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

/// Vector times matrix: y = x·M, or with one column of B yᵀ = bᵀ·aᵀ.
class Gemv {
 public:
  explicit Gemv(const MatmulProblem& problem) : problem_(problem), row_(problem.shape.rows == 1) {
    const GemmShape& shape = problem.shape;
    depth_ = shape.depth.length;
    count_ = row_ ? shape.columns : shape.rows;
    k_stride_ = row_ ? shape.b_k_stride : shape.a_step;
    n_stride_ = row_ ? shape.b_n_stride : problem.a_row_stride();
    columns_ = n_stride_ == 1 ? kGemvColumns : kGemvDots;
    blocks_ = (count_ + columns_ - 1) / columns_;
    // A row-major matrix is read in the order of memory, so that its rows are cut into splits and not its columns.
    const int64_t wanted = n_stride_ == 1 ? depth_ * std::min(count_, columns_) / kGemvSplit : 1;
    splits_ = std::clamp<int64_t>(wanted, 1, std::min(depth_, kMostSplits));
  }

  size_t workspace() const {
    return splits_ == 1 ? 0 : static_cast<size_t>(splits_ * problem_.shape.batches * count_) * sizeof(float);
  }

  void run(std::byte* workspace) const {
    const int64_t batches = problem_.shape.batches, size = batches * count_;
    float* y = problem_.output.c;
    float* partial = splits_ == 1 ? y : reinterpret_cast<float*>(workspace);
    parallel_for(batches * blocks_ * splits_, [&](int64_t task, int) {
      const int64_t batch = task / splits_ / blocks_, first = task / splits_ % blocks_ * columns_;
      const int64_t split = task % splits_, begin = depth_ * split / splits_, end = depth_ * (split + 1) / splits_;
      const int64_t at = batch * count_ + first, columns = std::min(columns_, count_ - first);
      multiply(batch, first, columns, begin, end, partial + split * size + at);
      if (splits_ == 1) finish(at, first, columns);
    });
    if (splits_ == 1) return;
    parallel_for(batches * blocks_, [&](int64_t task, int) {
      const int64_t first = task % blocks_ * columns_, at = task / blocks_ * count_ + first;
      const int64_t columns = std::min(columns_, count_ - first);
      kernels().gemm->sum_rows(partial + at, size, splits_, columns, y + at);
      finish(at, first, columns);
    });
  }

 private:
  static constexpr int64_t kGemvColumns = 4096;   // of a row-major matrix: its part of y stays in the first cache
  static constexpr int64_t kGemvDots = 128;       // of a column-major one
  static constexpr int64_t kGemvSplit = 1 << 17;  // elements that are worth a split
  static constexpr int64_t kMostSplits = 32;

  void multiply(int64_t batch, int64_t first, int64_t columns, int64_t begin, int64_t end, float* y) const {
    const float* x = (row_ ? problem_.a_of(batch) : problem_.b_of(batch)) + begin;
    const float* matrix = (row_ ? problem_.b_of(batch) : problem_.a_of(batch)) + first * n_stride_ + begin * k_stride_;
    if (n_stride_ == 1) {
      kernels().gemm->gemv_rows(x, matrix, k_stride_, end - begin, columns, y);
    } else {
      kernels().gemm->gemv_columns(x, matrix, n_stride_, end - begin, columns, y);
    }
  }

  void finish(int64_t at, int64_t first, int64_t columns) const {
    const GemmOutput& output = problem_.output;
    if (!output.bias && !output.residual && output.activation == Activation::none) return;
    const float* residual = output.residual ? output.residual + at : nullptr;
    const float* bias = row_ && output.bias ? output.bias + first : nullptr;
    if (!row_ && output.bias) {
      for (int64_t i = 0; i < columns; ++i) output.c[at + i] += output.bias[0];  // one for the only column
    }
    kernels().gemm->epilogue(output.c + at, bias, residual, output.activation, columns);
  }

  const MatmulProblem& problem_;
  bool row_;
  int64_t depth_, count_, k_stride_, n_stride_, columns_, blocks_, splits_;
};

}  // namespace

template <>
size_t workspace<Matmul>(const Args<Matmul>& args) {
  const MatmulProblem problem(args);
  return is_gemv(problem.shape) ? Gemv(problem).workspace() : gemm_workspace(problem.shape, thread_count());
}

template <>
void run<Matmul>(const Args<Matmul>& args) {
  const MatmulProblem problem(args);
  if (is_gemv(problem.shape)) {
    Gemv(problem).run(args.workspace);
  } else {
    gemm(problem.shape, problem, problem.output, args.workspace, args.workspace_bytes);
  }
}

}  // namespace convgrad::cpu
