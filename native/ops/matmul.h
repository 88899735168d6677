// Matrix product with broadcast leading dimensions: y = activation(a·b + bias + residual).
#pragma once

#include "ops/epilogue.h"
#include "ops/op.h"

namespace convgrad {

struct Matmul {
  static constexpr const char* name = "matmul";
  static constexpr std::array operands = {"a", "b", "bias?", "residual?"};
  static constexpr std::array outputs = {"y"};
  static constexpr int packed_operand = 1;
  static constexpr bool has_workspace = true;

  struct Params {
    bool transpose_a = false;
    bool transpose_b = false;
    Activation activation{};
    int packed_variant() const { return transpose_b; }
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("transposeA", transpose_a);
      visit("transposeB", transpose_b);
      visit("activation", activation);
    }
  };

  /// a [..., M, K], b [..., K, N] (each transposed or not) → [..., M, N].
  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const Shape &a = in[0].shape, &b = in[1].shape;
    check_dtype(name, "a", in[0], DType::float32);
    check_dtype(name, "b", in[1], DType::float32);
    check(a.rank() >= 2, "ERR_SHAPE", name, ": a must have at least 2 dimensions, got ", a);
    check(b.rank() >= 2, "ERR_SHAPE", name, ": b must have at least 2 dimensions, got ", b);
    const int64_t m = a[a.rank() - (params.transpose_a ? 1 : 2)], ka = a[a.rank() - (params.transpose_a ? 2 : 1)];
    const int64_t kb = b[b.rank() - (params.transpose_b ? 1 : 2)], n = b[b.rank() - (params.transpose_b ? 2 : 1)];
    check(ka == kb, "ERR_SHAPE", name, ": a ", a, params.transpose_a ? " transposed" : "", " has ", ka,
          " columns, but b ", b, params.transpose_b ? " transposed" : "", " has ", kb, " rows");
    Shape y;
    const int rank = std::max(a.rank(), b.rank());
    for (int axis = 0; axis < rank - 2; ++axis) {
      const int in_a = axis - (rank - a.rank()), in_b = axis - (rank - b.rank());
      const int64_t da = in_a < 0 ? 1 : a[in_a], db = in_b < 0 ? 1 : b[in_b];
      check(da == db || da == 1 || db == 1, "ERR_SHAPE", name, ": the leading dimensions of a ", a, " and b ", b,
            " do not broadcast");
      y.push_back(std::max(da, db));
    }
    y.push_back(m);
    y.push_back(n);
    y.validate(name);
    if (in.has(2)) check_bias(name, in[2], n);
    if (in.has(3)) {
      check_dtype(name, "residual", in[3], DType::float32);
      check_shape(name, "residual", in[3], y);
    }
    return {{DType::float32, y}};
  }
};

}  // namespace convgrad
